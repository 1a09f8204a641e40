//! The tar sink: an archive as a file that appears when it is complete, or streamed to a device, FIFO or standard
//! output.
//!
//! `encode` turns entries into bytes, and `compress` compresses them.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use camino::Utf8Path;

#[cfg(feature = "cli")]
use super::compress::{Compression, Compressor};
use super::destination::Destination;
#[cfg(feature = "cli")]
use super::encode::Encoder;
use super::splice::{PlainTar, Splice};
use super::{Observer, Sink, Staged, Written, encode};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};

/// A tar archive that is being written.
pub struct TarFile {
    archive: Archive,
    written: Written,
}

/// An archive during its writing.
enum Archive {
    Plain(PlainTar),
    #[cfg(feature = "cli")]
    Compressed(Encoder<Compressor<Destination>>),
}

/// An archive that still lacks its end.
enum Open {
    Plain(Destination),
    #[cfg(feature = "cli")]
    Compressed(Compressor<Destination>),
}

impl Open {
    fn destination(&self) -> &Destination {
        match self {
            Self::Plain(destination) => destination,
            #[cfg(feature = "cli")]
            Self::Compressed(compressor) => compressor.out(),
        }
    }

    /// Writes the end.
    fn end(self) -> io::Result<Destination> {
        match self {
            Self::Plain(mut destination) => {
                destination.write_all(&encode::END)?;
                Ok(destination)
            }
            #[cfg(feature = "cli")]
            Self::Compressed(mut compressor) => {
                compressor.write_all(&encode::END)?;
                compressor.finish()
            }
        }
    }
}

impl TarFile {
    /// An archive that will get the name `path`; all its entries have the modification time `epoch` (seconds since
    /// 1970).
    ///
    /// A regular file at `path` is replaced at the end in one step; a symlink stays, and its target is replaced. A
    /// device or FIFO is written directly. Missing parent directories are made.
    ///
    /// # Errors
    ///
    /// `path` is a directory or cannot be written; `epoch` is negative.
    pub fn create(path: &Utf8Path, epoch: i64) -> Result<Box<dyn Sink>> {
        let mtime = encode::mtime(epoch)?;
        let destination = Destination::open(path.as_std_path())?;
        let written = Written::Tar(path.as_std_path().to_owned());
        Ok(Box::new(Self { archive: Archive::Plain(PlainTar::to_file(destination, mtime)), written }))
    }

    /// The same, compressed.
    #[cfg(feature = "cli")]
    pub(crate) fn compressed(path: &Utf8Path, epoch: i64, compression: Compression) -> Result<Box<dyn Sink>> {
        let mtime = encode::mtime(epoch)?;
        let destination = Destination::open(path.as_std_path())?;
        let compressor = Compressor::new(destination, compression).map_err(|error| Error::io("write", path, error))?;
        let archive = Archive::Compressed(Encoder::new(compressor, mtime));
        Ok(Box::new(Self { archive, written: Written::Tar(path.as_std_path().to_owned()) }))
    }
}

/// An archive that is streamed to standard output. Its end is written after all other sinks have finished.
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
    // Rust's own stdout is line-buffered.
    let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(|error| failed(&Written::Stdout, error))?;
    let destination = Destination::Straight(File::from(stdout));
    Ok(Box::new(TarFile { archive: Archive::Plain(PlainTar::to_file(destination, mtime)), written: Written::Stdout }))
}

fn failed(written: &Written, error: io::Error) -> Error {
    match written {
        Written::Tar(path) => Error::io("write", path, error),
        _ => Error::failed("cannot write to standard output").with_source(error),
    }
}

impl Sink for TarFile {
    fn expect(&mut self, rootfs: &Rootfs) {
        match &self.archive {
            Archive::Plain(tar) => {
                if let Destination::Staged(file) = tar.out() {
                    file.reserve(tar.length(rootfs));
                }
            }
            // The compressed length is not known in advance.
            #[cfg(feature = "cli")]
            Archive::Compressed(_) => {}
        }
    }

    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        match &mut self.archive {
            Archive::Plain(tar) => tar.entry(path, entry),
            #[cfg(feature = "cli")]
            Archive::Compressed(tar) => tar.entry(path, entry),
        }
        .map_err(|error| self.failed(error))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.archive {
            Archive::Plain(tar) => tar.data(bytes),
            #[cfg(feature = "cli")]
            Archive::Compressed(tar) => tar.data(bytes),
        }
        .map_err(|error| self.failed(error))
    }

    fn splice(&mut self) -> Option<&mut dyn Splice> {
        match &mut self.archive {
            Archive::Plain(tar) if tar.splices() => Some(tar),
            _ => None,
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        failed(&self.written, error)
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { archive, written } = *self;
        let open = match archive {
            Archive::Plain(tar) => tar.into_inner().map(Open::Plain),
            #[cfg(feature = "cli")]
            Archive::Compressed(tar) => tar.into_inner().map(Open::Compressed),
        };
        let open = open.map_err(|error| failed(&written, error))?;
        // The end of a stream is written last: its reader must not see a complete archive while another sink can still
        // fail.
        let complete = match open.destination() {
            Destination::Staged(_) => Complete::Ended(open.end().map_err(|error| failed(&written, error))?, written),
            Destination::Straight(_) => Complete::Open(open, written),
        };
        Ok(Box::new(complete))
    }
}

/// An archive that lacks only its name or its end.
enum Complete {
    Ended(Destination, Written),
    Open(Open, Written),
}

impl Staged for Complete {
    fn commit(self: Box<Self>) -> Result<Written> {
        let (destination, written) = match *self {
            Self::Ended(destination, written) => (destination, written),
            Self::Open(open, written) => (open.end().map_err(|error| failed(&written, error))?, written),
        };
        if let Destination::Staged(file) = destination {
            file.persist()?;
        }
        Ok(written)
    }
}
