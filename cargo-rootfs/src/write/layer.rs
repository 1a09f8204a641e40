//! Makes layers of images: a tar of a rootfs and its digests. No other module makes layers.
//!
//! The same rootfs gives the same layer in every release: all files have the modification time 0.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, Write};

use sha2::{Digest as _, Sha256};

use super::compress::{Compression, Compressor};
use super::encode::{self, Encoder};
use crate::hex::hex;
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Kind, Rootfs};

/// The modification time of everything in a layer. SOURCE_DATE_EPOCH applies to the image only.
pub(crate) const MTIME: u64 = 0;

/// A written layer, with the properties to which images refer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The digest of the uncompressed archive: `sha256:` and 64 digits.
    pub(crate) diff_id: String,
    /// The digest of the compressed blob.
    pub(crate) digest: String,
    /// The length of the blob.
    pub(crate) size: u64,
    /// The media type of the blob in the OCI image specification (layer.md).
    pub(crate) media_type: &'static str,
}

impl Layer {
    /// The media type of layers with this compression.
    pub(crate) fn media_type(compression: Compression) -> &'static str {
        match compression {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// A layer that is written to `W`. Each entry is checked against the rules on which readers rely.
pub(crate) struct LayerWriter<W: Write> {
    body: Body<W>,
    rules: Rules,
}

enum Body<W: Write> {
    Plain(Encoder<Hashed<W>>),
    /// One pass computes both digests.
    Compressed(Encoder<Hashed<Compressor<Hashed<W>>>>, Compression),
}

impl<W: Write> LayerWriter<W> {
    /// An uncompressed layer.
    pub(crate) fn new(out: W) -> Self {
        Self { body: Body::Plain(Encoder::new(Hashed::new(out), MTIME)), rules: Rules::default() }
    }

    /// A layer with this compression.
    pub(crate) fn compressed(out: W, compression: Compression) -> io::Result<Self> {
        if compression == Compression::None {
            return Ok(Self::new(out));
        }
        let compressor = Compressor::new(Hashed::new(out), compression)?;
        let body = Body::Compressed(Encoder::new(Hashed::new(compressor), MTIME), compression);
        Ok(Self { body, rules: Rules::default() })
    }

    /// The length of the uncompressed layer of `rootfs`.
    pub(crate) fn length(rootfs: &Rootfs) -> u64 {
        encode::length(rootfs, MTIME)
    }

    pub(crate) fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> io::Result<()> {
        self.rules.admit(path, entry).map_err(io::Error::other)?;
        match &mut self.body {
            Body::Plain(encoder) => encoder.entry(path, entry),
            Body::Compressed(encoder, _) => encoder.entry(path, entry),
        }
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.body {
            Body::Plain(encoder) => encoder.data(bytes),
            Body::Compressed(encoder, _) => encoder.data(bytes),
        }
    }

    /// Ends the layer, and returns the writer.
    pub(crate) fn finish(self) -> io::Result<(Layer, W)> {
        match self.body {
            Body::Plain(encoder) => {
                let mut plain = encoder.into_inner()?;
                plain.write_all(&encode::END)?;
                let diff_id = digest(plain.sha256);
                let media_type = Layer::media_type(Compression::None);
                Ok((Layer { digest: diff_id.clone(), diff_id, size: plain.size, media_type }, plain.out))
            }
            Body::Compressed(encoder, compression) => {
                let mut plain = encoder.into_inner()?;
                plain.write_all(&encode::END)?;
                let diff_id = digest(plain.sha256);
                let blob = plain.out.finish()?;
                let media_type = Layer::media_type(compression);
                Ok((Layer { diff_id, digest: digest(blob.sha256), size: blob.size, media_type }, blob.out))
            }
        }
    }
}

/// The rules on which readers of layers rely: directories come before their contents; no name appears twice; no path
/// leads through a symlink; the file of a hard link comes before it in the same layer; no name is a whiteout.
#[derive(Default)]
struct Rules(BTreeMap<RootfsPath, Held>);

/// The kind of entry that a layer has under a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Directory,
    File,
    Link,
}

impl Rules {
    fn admit(&mut self, path: &RootfsPath, entry: &Entry) -> Result<(), String> {
        if path.components().any(|name| name.starts_with(b".wh.")) {
            return Err(format!("`{path}` would mean a deletion in a layer"));
        }
        if path.parent().is_some_and(|parent| self.0.get(&parent) != Some(&Held::Directory)) {
            return Err(format!("`{path}` is not in a directory of its layer"));
        }
        let held = match &entry.kind {
            Kind::Dir => Held::Directory,
            Kind::File(_) => Held::File,
            Kind::Symlink(_) => Held::Link,
            Kind::Hardlink(target) if self.0.get(target) == Some(&Held::File) => Held::Link,
            Kind::Hardlink(target) => {
                return Err(format!("`{path}` is a link to `{target}`, which is not in its layer"));
            }
        };
        match self.0.insert(path.clone(), held) {
            None => Ok(()),
            Some(_) => Err(format!("`{path}` is twice in its layer")),
        }
    }
}

/// The digest of `bytes`, in the form of blob names: `sha256:` and 64 digits.
pub(crate) fn digest_of(bytes: impl AsRef<[u8]>) -> String {
    digest(Sha256::new_with_prefix(bytes))
}

fn digest(sha256: Sha256) -> String {
    format!("sha256:{}", hex(&sha256.finalize()))
}

/// A writer that computes the digest and the number of bytes.
struct Hashed<W> {
    out: W,
    sha256: Sha256,
    size: u64,
}

impl<W> Hashed<W> {
    fn new(out: W) -> Self {
        Self { out, sha256: Sha256::new(), size: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.sha256.update(&bytes[..count]);
        self.size += count as u64;
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
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
