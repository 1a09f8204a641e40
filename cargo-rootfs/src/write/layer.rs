//! Layers of images: a tar of a rootfs and its digests. This is the one place that makes them.
//!
//! The same rootfs gives the same layer in every release: no file in it has a modification time.

use std::io::{self, IoSlice, Write};

use sha2::{Digest as _, Sha256};

use super::encode::{self, Encoder};
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};

/// The modification time of everything in a layer: SOURCE_DATE_EPOCH is for the image.
pub(crate) const MTIME: u64 = 0;

/// A layer that was written, as images refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The digest of the archive: `sha256:` and 64 digits.
    pub(crate) diff_id: String,
}

/// A layer on its way to `W`.
pub(crate) struct LayerWriter<W>(Encoder<Hashed<W>>);

impl<W: Write> LayerWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self(Encoder::new(Hashed { out, sha256: Sha256::new() }, MTIME))
    }

    /// The length of the layer of `rootfs`, uncompressed.
    pub(crate) fn length(rootfs: &Rootfs) -> u64 {
        encode::length(rootfs, MTIME)
    }

    pub(crate) fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> io::Result<()> {
        self.0.entry(path, entry)
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.data(bytes)
    }

    /// Ends the layer, and gives back what it went to.
    pub(crate) fn finish(self) -> io::Result<(Layer, W)> {
        let mut hashed = self.0.into_inner()?;
        hashed.write_all(&encode::END)?;
        Ok((Layer { diff_id: digest(hashed.sha256) }, hashed.out))
    }
}

/// The digest of `bytes`, as blobs are named by: `sha256:` and 64 digits.
pub(crate) fn digest_of(bytes: impl AsRef<[u8]>) -> String {
    digest(Sha256::new_with_prefix(bytes))
}

fn digest(sha256: Sha256) -> String {
    sha256.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Digests what goes by.
struct Hashed<W> {
    out: W,
    sha256: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.sha256.update(&bytes[..count]);
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut left = self.out.write_vectored(slices)?;
        let count = left;
        for slice in slices {
            let written = left.min(slice.len());
            self.sha256.update(&slice[..written]);
            left -= written;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
