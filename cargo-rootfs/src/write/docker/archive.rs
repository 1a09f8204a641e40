//! A layer on its way into an engine: bare for `import`, or inside an archive of Docker's own for `load`.
//!
//! The archive is that of `docker save`: the layer, the image's configuration, `manifest.json`. The layer comes first, as its
//! digest stands in the configuration and is known only when it has gone by.

use std::fs::File;
use std::io::{self, IoSlice, Write};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::image::ImageConfig;
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};
use crate::write::encode::{self, Encoder};
use crate::write::pages;

/// Modification time of all that is in a layer, so that it stays the same from release to release.
const MTIME: u64 = 0;

const LAYER: &str = "layer.tar";

/// A layer that is being written, and whatever stands around it.
pub(super) struct Layer(Encoder<Pipe>);

/// An engine's standard input, and the digest of what went in where it is asked for.
struct Pipe {
    file: File,
    sha256: Option<Sha256>,
}

/// A layer that has gone by.
pub(super) struct Written {
    pipe: File,
    /// `sha256:...`, of a layer in an archive.
    diff_id: String,
}

impl Layer {
    /// A layer and nothing else.
    pub(super) fn bare(pipe: File) -> Self {
        Self(Encoder::new(Pipe { file: pipe, sha256: None }, MTIME))
    }

    /// The layer of `rootfs` as the first file of an archive.
    pub(super) fn in_archive(mut pipe: File, rootfs: &Rootfs) -> io::Result<Self> {
        let mut header = Vec::new();
        encode::file_header(&mut header, LAYER, encode::length(rootfs, MTIME), MTIME);
        pipe.write_all(&header)?;
        Ok(Self(Encoder::new(Pipe { file: pipe, sha256: Some(Sha256::new()) }, MTIME)))
    }

    pub(super) fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> io::Result<()> {
        self.0.entry(path, entry)
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.data(bytes)
    }

    /// Whether [`take`](Self::take) may be called: nobody here needs to see the bytes.
    pub(super) fn takes_files(&self) -> bool {
        self.0.out().sha256.is_none()
    }

    /// At most `limit` bytes from where `source` stands; 0 at its end. The pipe gets the file's own pages, which saves
    /// copying each byte twice.
    pub(super) fn take(&mut self, source: &File, limit: u64) -> io::Result<u64> {
        let count = pages::to_pipe(source, &self.0.bypass()?.file, limit)?;
        self.0.passed(count);
        Ok(count)
    }

    /// Ends the layer. Dropping what is returned closes the pipe, which ends a bare one.
    pub(super) fn finish(self) -> io::Result<Written> {
        let mut pipe = self.0.into_inner()?;
        pipe.write_all(&encode::END)?;
        let diff_id = pipe.sha256.take().map(digest).unwrap_or_default();
        Ok(Written { pipe: pipe.file, diff_id })
    }
}

impl Written {
    /// The JSON of the image that `config` and the layer make.
    pub(super) fn image(&self, config: &ImageConfig) -> String {
        config.to_json(std::slice::from_ref(&self.diff_id))
    }

    /// Ends the archive: an image without a name (image-spec of Docker, version 1.2).
    pub(super) fn end_archive(mut self, image: &str) -> io::Result<()> {
        let config = format!("{}.json", &digest_of(image)["sha256:".len()..]);
        let manifest = json!([{ "Config": config, "Layers": [LAYER], "RepoTags": null }]).to_string();
        let mut blocks = Vec::new();
        for (name, text) in [(config.as_str(), image), ("manifest.json", &manifest)] {
            encode::file_header(&mut blocks, name, text.len() as u64, MTIME);
            blocks.extend_from_slice(text.as_bytes());
            blocks.resize(blocks.len().next_multiple_of(512), 0);
        }
        blocks.extend_from_slice(&encode::END);
        self.pipe.write_all(&blocks)
    }
}

/// `sha256:...`, as images are named by.
pub(super) fn digest_of(text: &str) -> String {
    digest(Sha256::new_with_prefix(text))
}

fn digest(sha256: Sha256) -> String {
    sha256.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&bytes[..count]);
        }
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.sha256 {
            None => self.file.write_vectored(slices),
            Some(_) => slices.iter().find(|slice| !slice.is_empty()).map_or(Ok(0), |slice| self.write(slice)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
