//! From a [`Rootfs`] to bytes elsewhere: every file is read once and handed to every sink.
//!
//! A sink is one destination: a tar, a directory, an engine. It writes beside its final name and
//! takes that name only when every sink has all it needs. What goes into a rootfs is not decided here.

#[cfg(feature = "cli")]
pub(crate) mod blob_archive;
#[cfg(feature = "cli")]
pub(crate) mod compress;
mod destination;
pub mod dir;
pub(crate) mod encode;
mod folders;
#[cfg(feature = "cli")]
pub(crate) mod layer;
#[cfg(feature = "cli")]
pub(crate) mod layer_cache;
mod leftover;
mod reader;
pub(crate) mod splice;
#[cfg(feature = "cli")]
pub(crate) mod spool;
mod staged_file;
mod taken;
pub mod tar;
#[cfg(feature = "cli")]
pub(crate) mod text_file;

use std::io;
#[cfg(feature = "cli")]
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "cli")]
use camino::Utf8Path;

use crate::error::{Error, Result, Warning};
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, HostFile, Kind, Rootfs};
use reader::Reader;
pub use splice::Splice;
#[cfg(feature = "cli")]
pub(crate) use staged_file::StagedFile;
use taken::Taken;

/// The most bytes that a sink is let take at once: so often is it told of, and may an interrupt be seen.
const STEP: u64 = 1 << 20;

/// One destination while it is written. Dropping it discards what it has written.
pub trait Sink {
    /// Is told all that will come before any of it does, so that it can set room aside.
    fn expect(&mut self, rootfs: &Rootfs) {
        let _ = rootfs;
    }

    /// Begins the next entry, in the order of [`Rootfs::iter`]. For a regular file, calls of
    /// [`data`](Sink::data) follow, whose lengths add up to [`Entry::size`].
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()>;

    /// The next bytes of the regular file begun last; never empty.
    fn data(&mut self, bytes: &[u8]) -> Result<()>;

    /// `Some` where it takes host files themselves, if it is the only sink.
    fn splice(&mut self) -> Option<&mut dyn Splice> {
        None
    }

    /// The error for one of its [`Splice`].
    fn failed(&self, error: io::Error) -> Error {
        Error::failed("cannot write").with_source(error)
    }

    /// Completes it, all but the name. What it could not do as planned goes to `observer`.
    fn finish(self: Box<Self>, observer: &mut dyn Observer) -> Result<Box<dyn Staged>>;
}

/// A complete destination that does not yet stand under its name. Dropping it discards it.
pub trait Staged {
    /// Does what can be undone or is not seen yet, before any output of the same step has its name.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// Puts it under its name and says what that is: a path, or the id that an engine reports.
    fn commit(self: Box<Self>) -> Result<Written>;
}

/// A listener to the progress of writing. `()` does not listen.
pub trait Observer {
    /// So many bytes more of the rootfs's files ([`Rootfs::size`] in all) have gone to every sink.
    fn wrote(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// A sink could not do all that was planned.
    fn warn(&mut self, warning: Warning) {
        let _ = warning;
    }
}

impl Observer for () {}

/// An output, as one line of stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// An archive at this path.
    Tar(std::path::PathBuf),
    /// A directory at this path.
    Dir(std::path::PathBuf),
    /// An image in an engine, by the id that it reports, under this name.
    Image {
        /// `sha256:...`
        id: String,
        /// As asked for, with the tag.
        name: String,
    },
    /// An image in a registry.
    Pushed {
        /// As it was named.
        name: String,
        /// Of the manifest or index that the name's tag points to: `sha256:...`
        digest: String,
        /// Bytes of blobs that the registry lacked.
        sent: u64,
    },
    /// A document about the other outputs, at this path.
    Beside(std::path::PathBuf),
    /// The archive went to standard output, which therefore carries nothing else.
    Stdout,
}

/// Writes `rootfs` to all of `sinks` and says what each became, in their order.
///
/// Every host file is read once, by a thread that stays a few buffers ahead, or handed to a sink that takes files:
/// memory does not grow with the rootfs. Names are taken only after every sink has finished: until then a failure,
/// or `interrupted` becoming true, leaves every destination as it was.
///
/// # Errors
///
/// A file that changed since it was planned, a sink that fails, an entry whose parent is not a directory.
pub fn write(
    rootfs: &Rootfs,
    sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Vec<Written>> {
    stage(rootfs, sinks, observer, interrupted)?.into_iter().map(Staged::commit).collect()
}

/// The same without the names: what it gives is complete, and stands under its name once it is committed.
pub fn stage(
    rootfs: &Rootfs,
    mut sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Vec<Box<dyn Staged>>> {
    // Ctrl-C reaches an engine's process as well, and is the cause of whatever fails after it.
    let or_interrupted = |error| if interrupted.load(Ordering::Relaxed) { Error::interrupted() } else { error };

    check(rootfs)?;
    // On failure they are dropped from the last to the first, as directories that one made for its output
    // may hold a later one's.
    sinks.reverse();
    let taken = stream(rootfs, &mut sinks, observer, interrupted).map_err(or_interrupted)?;
    let mut sinks = sinks.into_iter();
    let mut staged = Vec::new();
    for sink in sinks.by_ref() {
        staged.push(sink.finish(observer).map_err(or_interrupted)?);
    }
    stop(interrupted)?;
    taken.finish()?;
    staged.reverse();
    Ok(staged)
}

/// Writes a file of a few bytes, which appears under its name complete.
#[cfg(feature = "cli")]
pub(crate) fn small_file(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let failed = |error| Error::io("write", path, error);
    match destination::Destination::open(path.as_std_path())? {
        destination::Destination::Staged(mut file) => {
            file.write_all(bytes).map_err(failed)?;
            file.persist()
        }
        destination::Destination::Straight(mut file) => file.write_all(bytes).map_err(failed),
    }
}

/// Hands the files of `rootfs` on in its order, their bytes or the files themselves. Says which of the latter may still
/// be unread.
fn stream<'r>(
    rootfs: &'r Rootfs,
    sinks: &mut [Box<dyn Sink>],
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Taken<'r>> {
    let mut taken = Taken::default();
    std::thread::scope(|scope| {
        let is_taken = sinks.len() == 1 && sinks[0].splice().is_some();
        let mut reader = if is_taken { None } else { Some(Reader::start(scope, host_files(rootfs))?) };
        for sink in sinks.iter_mut() {
            sink.expect(rootfs);
        }
        for (path, entry) in rootfs.iter() {
            stop(interrupted)?;
            for sink in sinks.iter_mut() {
                sink.entry(path, entry)?;
            }
            match &entry.kind {
                Kind::File(Body::Bytes(bytes)) if !bytes.is_empty() => {
                    for sink in sinks.iter_mut() {
                        sink.data(bytes)?;
                    }
                    observer.wrote(bytes.len() as u64);
                }
                Kind::File(Body::Host(file)) => match &mut reader {
                    Some(reader) => copy(file, reader, sinks, observer, interrupted)?,
                    None => hand_over(file, &mut *sinks[0], &mut taken, observer, interrupted)?,
                },
                _ => {}
            }
        }
        reader.map_or(Ok(()), Reader::finish)
    })?;
    Ok(taken)
}

/// Gives the bytes of the next file to all sinks.
fn copy(
    file: &HostFile,
    reader: &mut Reader<'_>,
    sinks: &mut [Box<dyn Sink>],
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<()> {
    let mut left = file.size;
    while left > 0 {
        stop(interrupted)?;
        let bytes = reader.next(left)?;
        for sink in sinks.iter_mut() {
            sink.data(bytes)?;
        }
        left -= bytes.len() as u64;
        observer.wrote(bytes.len() as u64);
    }
    Ok(())
}

/// Gives the file itself to a sink that takes files.
fn hand_over<'r>(
    file: &'r HostFile,
    sink: &mut dyn Sink,
    taken: &mut Taken<'r>,
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<()> {
    let open = file.open()?;
    let mut left = file.size;
    while left > 0 {
        stop(interrupted)?;
        let Some(splice) = sink.splice() else { break };
        let count = splice.take(&open, left.min(STEP)).map_err(|error| sink.failed(error))?;
        if count == 0 {
            return Err(file.shorter(&open));
        }
        left -= count;
        taken.add(count);
        observer.wrote(count);
    }
    taken.end(file, open, sink.splice().map_or(0, |splice| splice.backlog()))
}

fn stop(interrupted: &AtomicBool) -> Result<()> {
    if interrupted.load(Ordering::Relaxed) { Err(Error::interrupted()) } else { Ok(()) }
}

/// The host files of `rootfs`, in its order.
fn host_files(rootfs: &Rootfs) -> Vec<&HostFile> {
    let files = rootfs.iter().filter_map(|(_, entry)| match &entry.kind {
        Kind::File(Body::Host(file)) => Some(&**file),
        _ => None,
    });
    files.collect()
}

/// Checks the assumptions of every sink: names that are text and stay inside, directories before their contents, hard
/// links after the regular files that they link to.
fn check(rootfs: &Rootfs) -> Result<()> {
    let mut errors = Vec::new();
    for (path, entry) in rootfs.iter() {
        let refused = |why: &str| Error::failed(format!("cannot pack `{path}`: {why}"));
        if path.as_str().is_none() {
            errors.push(refused("its name is not UTF-8"));
        } else if path.components().any(|part| part == b"..") {
            errors.push(refused("its name holds `..`"));
        }
        let parent = path.parent().map(|parent| rootfs.get(&parent).map(|entry| &entry.kind));
        match parent {
            None if !matches!(entry.kind, Kind::Dir) => errors.push(refused("the root is a directory")),
            None | Some(Some(Kind::Dir)) => {}
            Some(_) => errors.push(refused("what holds it is not a directory of the rootfs")),
        }
        match &entry.kind {
            Kind::Hardlink(target)
                if target >= path || !matches!(rootfs.get(target).map(|entry| &entry.kind), Some(Kind::File(_))) =>
            {
                errors.push(refused(&format!("it is another name of `{target}`, which is no regular file before it")));
            }
            Kind::Symlink(target) if target.is_empty() || target.contains(&0) => {
                errors.push(refused("it is a symlink to nothing"));
            }
            _ => {}
        }
    }
    Error::all(errors)
}

#[cfg(test)]
pub(crate) mod tests;
