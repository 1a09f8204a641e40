//! Destinations of an output: a file that appears when it is complete, or a device, FIFO or pipe. Symlinks to
//! existing files are followed.

use std::fs::File;
use std::io::{self, IoSlice, Write};
#[cfg(feature = "cli")]
use std::os::fd::AsFd;
#[cfg(feature = "cli")]
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::staged_file::StagedFile;
use crate::error::{Error, Result};

/// The destination of an output.
pub(crate) enum Destination {
    Staged(StagedFile),
    /// A device, a FIFO, or standard output, written directly: there is no name to set at the end.
    Straight(File),
}

impl Destination {
    /// Opens the destination at `path`, and makes missing parent directories.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("create", path, error)),
            Ok(metadata) => Some(metadata),
        };
        match metadata.map(|metadata| metadata.file_type()) {
            None => Ok(Self::Staged(StagedFile::create(path)?)),
            Some(kind) if kind.is_dir() => {
                Err(Error::failed(format!("cannot write `{}`: it is a directory", path.display())))
            }
            Some(kind) if kind.is_file() => {
                let path = path.canonicalize().map_err(|error| Error::io("replace", path, error))?;
                Ok(Self::Staged(StagedFile::create(&path)?))
            }
            Some(_) => {
                let file = File::options().write(true).open(path);
                Ok(Self::Straight(file.map_err(|error| Error::io("write", path, error))?))
            }
        }
    }

    /// The same for a text, which may go to standard output.
    #[cfg(feature = "cli")]
    pub(crate) fn of_text(path: &Path) -> Result<Self> {
        if !is_stdout(path) {
            return Self::open(path);
        }
        let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(|error| Error::io("write", path, error))?;
        Ok(Self::Straight(stdout.into()))
    }

    /// Gives a complete file its name.
    #[cfg(feature = "cli")]
    pub(crate) fn persist(self) -> Result<()> {
        match self {
            Self::Staged(file) => file.persist(),
            Self::Straight(_) => Ok(()),
        }
    }

    /// The open file, of any kind.
    pub(super) fn file(&self) -> &File {
        match self {
            Self::Staged(file) => file.file(),
            Self::Straight(file) => file,
        }
    }
}

/// Returns whether a text for `path` goes to standard output: `-`, /dev/stdout, or the file to which it is redirected. Such a
/// file is written at its position, and not replaced.
#[cfg(feature = "cli")]
pub(crate) fn is_stdout(path: &Path) -> bool {
    let is_it = |file: std::fs::Metadata| {
        rustix::fs::fstat(io::stdout()).is_ok_and(|output| (file.dev(), file.ino()) == (output.st_dev, output.st_ino))
    };
    // Nothing sees the order of what goes to /dev/null.
    path == Path::new("-") || (path != Path::new("/dev/null") && std::fs::metadata(path).is_ok_and(is_it))
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Staged(file) => file.write(bytes),
            Self::Straight(file) => file.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Staged(file) => file.write_vectored(slices),
            Self::Straight(file) => file.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
