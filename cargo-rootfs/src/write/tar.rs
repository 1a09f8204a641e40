//! The tar sink: an archive as a file that appears when it is complete, or streamed to what is no file.
//!
//! How entries become bytes is in `encode`; nothing is compressed here.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use camino::Utf8Path;

use super::destination::Destination;
use super::splice::{PlainTar, Splice};
use super::{Observer, Sink, Staged, Written, encode};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};

/// A tar archive that is being written.
pub struct TarFile {
    tar: PlainTar,
    written: Written,
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
        Self { tar: PlainTar::to_file(destination, mtime), written }
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

impl Sink for TarFile {
    fn expect(&mut self, rootfs: &Rootfs) {
        if let Destination::Staged(file) = self.tar.out() {
            file.reserve(self.tar.length(rootfs));
        }
    }

    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        self.tar.entry(path, entry).map_err(|error| self.failed(error))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.tar.data(bytes).map_err(|error| self.failed(error))
    }

    fn splice(&mut self) -> Option<&mut dyn Splice> {
        if self.tar.splices() { Some(&mut self.tar) } else { None }
    }

    fn failed(&self, error: io::Error) -> Error {
        failed(&self.written, error)
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { tar, written } = *self;
        let mut destination = tar.into_inner().map_err(|error| failed(&written, error))?;
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
