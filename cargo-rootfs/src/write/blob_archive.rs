//! Files of an image's archive, one of which gets its name, its digest, only when it has gone by.

use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;

use camino::Utf8Path;

use super::destination::Destination;
use super::layer::MTIME;
use super::staged_file::StagedFile;
use super::{Staged, Written, encode};
use crate::error::{Error, Result};

/// The unit of a tar.
const BLOCK: u64 = 512;

/// The size that the eleven octal digits of a header hold (tar(5)).
const LARGEST: u64 = 0o77_777_777_777;

/// A tar of blobs that appears under its name when it is complete.
pub(crate) struct BlobArchive {
    file: StagedFile,
    path: std::path::PathBuf,
    /// Bytes that were written.
    length: u64,
    /// The offset of the header of the blob that is being written.
    header: u64,
}

impl BlobArchive {
    /// An archive that will be at `path`. It is a regular file, as its beginning is written last.
    pub(crate) fn create(path: &Utf8Path) -> Result<Self> {
        match Destination::open(path.as_std_path())? {
            Destination::Staged(file) => Ok(Self { file, path: path.into(), length: 0, header: 0 }),
            Destination::Straight(_) => {
                Err(Error::failed(format!("cannot write the archive `{path}`: it is not a regular file")))
            }
        }
    }

    /// Begins a file whose bytes are written next.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        self.header = self.length;
        self.write_all(&[0; BLOCK as usize])
    }

    /// Ends it, and gives it its name.
    pub(crate) fn end(&mut self, name: &str) -> io::Result<()> {
        let size = self.length - self.header - BLOCK;
        if size > LARGEST {
            return Err(io::Error::other("a layer of more than 8 GiB"));
        }
        let mut header = Vec::new();
        encode::file_header(&mut header, name, size, MTIME);
        self.file.file().write_all_at(&header, self.header)?;
        let padding = self.length.next_multiple_of(BLOCK) - self.length;
        self.write_all(&[0; BLOCK as usize][..usize::try_from(padding).unwrap_or_default()])
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, name: &str, bytes: &str) -> io::Result<()> {
        self.begin()?;
        self.write_all(bytes.as_bytes())?;
        self.end(name)
    }

    /// Completes it, all but the name.
    pub(crate) fn complete(mut self) -> io::Result<Box<dyn Staged>> {
        self.write_all(&encode::END)?;
        Ok(Box::new(self))
    }
}

impl Write for BlobArchive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.length += count as u64;
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.file.write_vectored(slices)?;
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for BlobArchive {
    fn commit(self: Box<Self>) -> Result<Written> {
        self.file.persist()?;
        Ok(Written::Tar(self.path))
    }
}
