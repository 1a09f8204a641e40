//! An uncompressed tar into a file or a pipe. splice(2) moves the pages of host files without reading them, if the file
//! systems support it; otherwise they are copied.
//!
//! A pipe contains the file's own pages, which change with the file until they are read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::destination::Destination;
use super::encode::Encoder;
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};

/// A sink that takes host files themselves, if it is the only one.
pub trait Splice {
    /// The maximum number of taken bytes that are still unread.
    fn backlog(&self) -> u64;

    /// Takes at most `limit` of the next bytes of the current regular file from the position of `file`; returns their
    /// number, 0 at the end of `file`.
    fn take(&mut self, file: &File, limit: u64) -> io::Result<u64>;
}

/// An uncompressed tar, and the way in which host files get into it.
pub(crate) struct PlainTar {
    encoder: Encoder<Destination>,
    way: Way,
}

/// The way of host files.
enum Way {
    /// Through a buffer, like all other bytes.
    Copied,
    /// From page to page of a regular file. It is not used for a foreign pipe: its reader may read after the check that
    /// the file is unchanged.
    ToFile(Passage),
    /// As their own pages, into a pipe of this process.
    #[cfg(feature = "cli")]
    ToPipe,
}

impl PlainTar {
    /// A tar to a file of any kind, whose entries have the modification time `mtime`.
    pub(crate) fn to_file(out: Destination, mtime: u64) -> Self {
        let is_file = out.file().metadata().is_ok_and(|metadata| metadata.is_file());
        let way = is_file.then(|| Passage::new().ok()).flatten().map_or(Way::Copied, Way::ToFile);
        Self { encoder: Encoder::new(out, mtime), way }
    }

    /// The same to a pipe with the capacity [`PIPE`], which a child reads.
    #[cfg(feature = "cli")]
    pub(crate) fn to_pipe(pipe: File, mtime: u64) -> Self {
        Self { encoder: Encoder::new(Destination::Straight(pipe), mtime), way: Way::ToPipe }
    }

    pub(crate) fn out(&self) -> &Destination {
        self.encoder.out()
    }

    /// The length of the complete archive of `rootfs`.
    pub(crate) fn length(&self, rootfs: &Rootfs) -> u64 {
        self.encoder.length(rootfs)
    }

    pub(crate) fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> io::Result<()> {
        self.encoder.entry(path, entry)
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.encoder.data(bytes)
    }

    /// Returns whether host files are accepted.
    pub(crate) fn splices(&self) -> bool {
        !matches!(self.way, Way::Copied)
    }

    /// Returns the destination, which still lacks `encode::END`.
    pub(crate) fn into_inner(self) -> io::Result<Destination> {
        self.encoder.into_inner()
    }
}

impl Splice for PlainTar {
    fn backlog(&self) -> u64 {
        match self.way {
            // The bytes were read when they were passed on.
            Way::Copied | Way::ToFile(_) => 0,
            #[cfg(feature = "cli")]
            Way::ToPipe => PIPE as u64,
        }
    }

    fn take(&mut self, file: &File, limit: u64) -> io::Result<u64> {
        let out = self.encoder.bypass()?.file();
        let count = match &self.way {
            Way::Copied => 0,
            Way::ToFile(passage) => passage.pass(file, out, limit)?,
            #[cfg(feature = "cli")]
            Way::ToPipe => to_pipe(file, out, limit)?,
        };
        self.encoder.passed(count);
        Ok(count)
    }
}

/// The maximum capacity of a user's pipe (pipe(7)), for fewer switches between writer and reader.
const PIPE: usize = 1 << 20;

/// The size of one copy if pages cannot be moved.
const COPY: u64 = 64 << 10;

/// Moves at most `limit` bytes from the position of `source` to `pipe`, without a copy; returns 0 at its end.
#[cfg(feature = "cli")]
fn to_pipe(source: &File, mut pipe: &File, limit: u64) -> io::Result<u64> {
    match splice(source, None, pipe, None, room(limit), SpliceFlags::empty()) {
        // Not every file system supports it.
        Err(Errno::INVAL) => io::copy(&mut source.take(limit.min(COPY)), &mut pipe),
        done => Ok(done? as u64),
    }
}

/// Both ends of a new pipe; its capacity is smaller if the user has many pipes.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let _ = fcntl_setpipe_size(&writer, PIPE);
    Ok((reader, writer))
}

/// The way from one file to another: a pipe that is empty before and after each call.
struct Passage {
    reader: File,
    writer: OwnedFd,
}

impl Passage {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe()?;
        Ok(Self { reader: reader.into(), writer })
    }

    /// Moves at most `limit` bytes from the position of `source` to that of `out`; returns 0 at the end of `source`.
    /// Each byte is copied once, from page to page, and not through a buffer.
    fn pass(&self, source: &File, mut out: &File, limit: u64) -> io::Result<u64> {
        let count = match splice(source, None, &self.writer, None, room(limit), SpliceFlags::empty()) {
            Err(Errno::INVAL) => return io::copy(&mut source.take(limit.min(COPY)), &mut out),
            done => done?,
        };
        let mut left = count;
        while left > 0 {
            match splice(&self.reader, None, out, None, left, SpliceFlags::empty()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(passed) => left -= passed,
                Err(Errno::INTR) => {}
                // A file in append mode does not support it either.
                Err(Errno::INVAL) => {
                    let copied = io::copy(&mut (&self.reader).take(left as u64), &mut out)?;
                    left -= room(copied).min(left);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(count as u64)
    }
}

fn room(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::super::tests::temp;
    use super::*;

    /// The contents of a file at `path`, opened with `options`, after `bytes` was passed to it twice.
    fn passed(bytes: &[u8], options: &mut std::fs::OpenOptions) -> Vec<u8> {
        let (_folder, folder) = temp();
        let (from, to) = (folder.join("from"), folder.join("to"));
        std::fs::write(&from, bytes).unwrap();
        let mut out = options.create(true).open(&to).unwrap();
        out.write_all(b"head").unwrap();
        let mut source = File::open(&from).unwrap();
        let passage = Passage::new().unwrap();
        for _ in 0..2 {
            source.seek(SeekFrom::Start(0)).unwrap();
            while passage.pass(&source, &out, u64::MAX).unwrap() > 0 {}
        }
        std::fs::read(to).unwrap()
    }

    /// A file in append mode takes no pages, so it gets copies.
    #[test]
    fn all_bytes_arrive_in_order_by_pages_and_by_copies() {
        let bytes: Vec<u8> = (0..3_000_001u32).map(|at| (at / 251) as u8).collect();
        let expected = [&b"head"[..], &bytes, &bytes].concat();
        assert!(passed(&bytes, File::options().write(true)) == expected);
        assert!(passed(&bytes, File::options().append(true)) == expected);
    }

    /// A file that the kernel generates on reading has no pages.
    #[test]
    fn a_source_without_pages_is_copied() {
        let mut out = tempfile::tempfile().unwrap();
        let passage = Passage::new().unwrap();
        let source = File::open("/proc/self/status").unwrap();
        while passage.pass(&source, &out, u64::MAX).unwrap() > 0 {}
        let mut text = String::new();
        out.seek(SeekFrom::Start(0)).unwrap();
        out.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("Name:") && text.contains("nonvoluntary_ctxt_switches"), "{text}");
    }

    #[test]
    fn a_full_device_is_an_error() {
        let source = File::open(std::env::current_exe().unwrap()).unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert!(Passage::new().unwrap().pass(&source, &full, 4096).is_err());
    }
}
