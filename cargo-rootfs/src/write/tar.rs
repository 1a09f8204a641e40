//! The tar sink: an archive as a file that appears when it is complete, or streamed to what is no file.
//!
//! How entries become bytes is in `encode`; nothing is compressed here.

use std::fs::File;
use std::io::{self, IoSlice, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use camino::Utf8Path;

use super::encode::{self, Encoder};
use super::pages::Passage;
use super::staged_file::StagedFile;
use super::{Observer, Sink, Staged, Written};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};

/// A tar archive that is being written.
pub struct TarFile {
    encoder: Encoder<Destination>,
    /// By which host files go to it, where it is a regular file: what is in a pipe of somebody else's may be read when
    /// nobody here looks any more whether a file has changed.
    passage: Option<Passage>,
    written: Written,
}

enum Destination {
    Staged(StagedFile),
    /// A device, a FIFO, standard output: it has no name that could be taken at the end.
    Straight(File),
}

impl TarFile {
    /// An archive that will be at `path`, all of whose entries have the modification time `epoch`
    /// (seconds since 1970).
    ///
    /// A regular file, or nothing, at `path` is replaced at the end in one step; a symlink to one stays and
    /// its target is replaced. A device or FIFO is written straight. Missing folders are made.
    ///
    /// # Errors
    ///
    /// `path` is a folder, cannot be written, or `epoch` is negative.
    pub fn create(path: &Utf8Path, epoch: i64) -> Result<Box<dyn Sink>> {
        let mtime = encode::mtime(epoch)?;
        let destination = Destination::open(path.as_std_path())?;
        let written = Written::Tar(path.as_std_path().to_owned());
        Ok(Box::new(Self::new(destination, mtime, written)))
    }

    fn new(destination: Destination, mtime: u64, written: Written) -> Self {
        let is_file = destination.file().metadata().is_ok_and(|metadata| metadata.is_file());
        let passage = is_file.then(|| Passage::new().ok()).flatten();
        Self { encoder: Encoder::new(destination, mtime), passage, written }
    }

    fn failed(&self, error: io::Error) -> Error {
        failed(&self.written, error)
    }
}

/// An archive that goes to standard output as it is made. Its end is written when every other sink has finished.
///
/// # Errors
///
/// Standard output is a terminal, which GNU tar refuses too; `epoch` is negative.
pub fn stdout(epoch: i64) -> Result<Box<dyn Sink>> {
    let mtime = encode::mtime(epoch)?;
    if io::stdout().is_terminal() {
        return Err(
            Error::usage("an archive is not for a terminal").help("redirect standard output, or pass --tar FILE")
        );
    }
    // Rust's own stdout gathers lines.
    let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(|error| failed(&Written::Stdout, error))?;
    let destination = Destination::Straight(File::from(stdout));
    Ok(Box::new(TarFile::new(destination, mtime, Written::Stdout)))
}

fn failed(written: &Written, error: io::Error) -> Error {
    match written {
        Written::Tar(path) => Error::io("write", path, error),
        _ => Error::failed("cannot write to standard output").with_source(error),
    }
}

impl Destination {
    fn open(path: &Path) -> Result<Self> {
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("create", path, error)),
            Ok(metadata) => Some(metadata),
        };
        match metadata.map(|metadata| metadata.file_type()) {
            None => Ok(Self::Staged(StagedFile::create(path)?)),
            Some(kind) if kind.is_dir() => {
                Err(Error::failed(format!("cannot write the archive `{}`: it is a folder", path.display())))
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

    fn file(&self) -> &File {
        match self {
            Self::Staged(file) => file.file(),
            Self::Straight(file) => file,
        }
    }
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

impl Sink for TarFile {
    fn expect(&mut self, rootfs: &Rootfs) {
        let length = self.encoder.length(rootfs);
        if let Destination::Staged(file) = self.encoder.out() {
            file.reserve(length);
        }
    }

    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        self.encoder.entry(path, entry).map_err(|error| self.failed(error))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.encoder.data(bytes).map_err(|error| self.failed(error))
    }

    fn backlog(&self) -> Option<u64> {
        // What was passed was read.
        self.passage.as_ref().map(|_| 0)
    }

    fn take(&mut self, file: &File, limit: u64) -> Result<u64> {
        let Self { encoder, passage, written } = self;
        let Some(passage) = passage else { return Ok(0) };
        let mut take = || {
            let count = passage.pass(file, encoder.bypass()?.file(), limit)?;
            encoder.passed(count);
            Ok(count)
        };
        take().map_err(|error| failed(written, error))
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { encoder, written, .. } = *self;
        let mut destination = encoder.into_inner().map_err(|error| failed(&written, error))?;
        if let Destination::Staged(file) = &mut destination {
            file.write_all(&encode::END).map_err(|error| failed(&written, error))?;
        }
        Ok(Box::new(Complete { destination, written }))
    }
}

struct Complete {
    destination: Destination,
    written: Written,
}

impl Staged for Complete {
    fn commit(self: Box<Self>) -> Result<Written> {
        let Self { destination, written } = *self;
        match destination {
            Destination::Staged(file) => file.persist()?,
            // Whoever reads the stream must not take it for complete while another sink can still fail.
            Destination::Straight(mut file) => {
                file.write_all(&encode::END).map_err(|error| failed(&written, error))?;
            }
        }
        Ok(written)
    }
}
