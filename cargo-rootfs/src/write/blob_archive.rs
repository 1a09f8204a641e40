//! A tar of named blobs: the archive of an image.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Read, Write};

use camino::Utf8Path;

use super::destination::Destination;
use super::layer::MTIME;
use super::staged_file::StagedFile;
use super::{Staged, Written, encode};
use crate::error::{Error, Result};

/// The block size of a tar.
const BLOCK: u64 = 512;

/// A tar of blobs, written to `W`.
pub(crate) struct BlobArchive<W> {
    out: W,
    /// The directories added so far, with a slash at the end.
    directories: BTreeSet<String>,
}

impl<W: Write> BlobArchive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, directories: BTreeSet::new() }
    }

    /// Adds the `size` bytes of `content` under `name`, after its parent directories: syft does not make missing ones.
    pub(crate) fn add(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut header = Vec::new();
        for (slash, _) in name.match_indices('/') {
            let directory = &name[..=slash];
            if self.directories.insert(directory.to_owned()) {
                encode::directory_header(&mut header, directory, MTIME);
            }
        }
        encode::file_header(&mut header, name, size, MTIME);
        self.out.write_all(&header)?;
        let copied = io::copy(&mut content.take(size), &mut self.out)?;
        if copied < size {
            return Err(io::Error::other("a blob is shorter than its size"));
        }
        let padding = size.next_multiple_of(BLOCK) - size;
        self.out.write_all(&[0; BLOCK as usize][..usize::try_from(padding).unwrap_or_default()])
    }

    /// Writes the end, and returns the writer.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&encode::END)?;
        Ok(self.out)
    }
}

/// A regular file with the output of `fill`, which gets the name `path` when it is committed.
pub(crate) fn stage_file(
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Box<dyn Staged>> {
    let Destination::Staged(file) = Destination::open(path.as_std_path())? else {
        return Err(Error::failed(format!("cannot write the archive `{path}`: it is not a regular file")));
    };
    let failed = |error| Error::io("write", path, error);
    let mut out = BufWriter::with_capacity(encode::GATHER, file);
    fill(&mut out).map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok(Box::new(Complete { file, path: path.into() }))
}

/// A complete file without its name.
struct Complete {
    file: StagedFile,
    path: std::path::PathBuf,
}

impl Staged for Complete {
    fn commit(self: Box<Self>) -> Result<Written> {
        self.file.persist()?;
        Ok(Written::Tar(self.path))
    }
}
