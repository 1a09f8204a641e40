//! Writes a [`Rootfs`]: reads every file once, and passes it to every sink.
//!
//! A sink is one destination: a tar, a directory, an engine. It writes beside its final name, and gets that name only
//! after all sinks are complete. The contents of the rootfs are decided elsewhere.

#[cfg(feature = "cli")]
pub(crate) mod blob_archive;
#[cfg(feature = "cli")]
pub(crate) mod compress;
pub(crate) mod destination;
#[cfg(feature = "cli")]
pub(crate) mod digest_cache;
pub mod dir;
pub(crate) mod encode;
mod folders;
#[cfg(feature = "cli")]
pub(crate) mod layer;
#[cfg(feature = "cli")]
pub(crate) mod layer_cache;
mod leftover;
mod reader;
#[cfg(feature = "cli")]
pub(crate) mod records;
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

use crate::error::{Error, Result, Warning};
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, HostFile, Kind, Rootfs};
use reader::Reader;
pub(crate) use splice::Splice;
#[cfg(feature = "cli")]
pub(crate) use staged_file::StagedFile;
use taken::Taken;

/// The maximum number of bytes in one step of a sink: progress and interrupts are handled between steps.
const STEP: u64 = 1 << 20;

/// One destination while it is written. Dropping it discards what it has written.
pub trait Sink {
    /// Announces the whole rootfs before its entries, so that the sink can reserve space.
    fn expect(&mut self, rootfs: &Rootfs) {
        let _ = rootfs;
    }

    /// Starts the next entry, in the order of [`Rootfs::iter`]. For a regular file, calls of [`data`](Sink::data)
    /// follow, whose lengths add up to [`Entry::size`].
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()>;

    /// The next bytes of the current regular file; never empty.
    fn data(&mut self, bytes: &[u8]) -> Result<()>;

    /// Returns false if it needs neither entries nor data.
    fn is_active(&self) -> bool {
        true
    }

    /// `Some` if it can take host files themselves as the only active sink: an archive, alone or on its way to docker.
    #[doc(hidden)]
    fn splice(&mut self) -> Option<&mut dyn Splice> {
        None
    }

    /// The error for a failure of such a transfer.
    #[doc(hidden)]
    fn failed(&self, error: io::Error) -> Error {
        Error::failed("cannot write").with_source(error)
    }

    /// Completes the destination, except for its name. `observer` receives deviations from the plan.
    fn finish(self: Box<Self>, observer: &mut dyn Observer) -> Result<Box<dyn Staged>>;
}

/// A complete destination without its final name. Dropping it discards it.
pub trait Staged {
    /// Does the work that can be undone or is not visible yet, before any output of the same step gets its name.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// Gives it its name, and returns that: a path, or the id that an engine reports.
    fn commit(self: Box<Self>) -> Result<Written>;
}

/// A listener to the progress of writing. `()` ignores it.
pub trait Observer {
    /// Reports that all sinks have received this number of further file bytes, of [`Rootfs::size`] in total.
    fn wrote(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Reports a deviation of a sink from the plan.
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
        /// The id, as `sha256:...`.
        id: String,
        /// The requested name, with its tag.
        name: String,
    },
    /// An image in a registry.
    Pushed {
        /// The requested name.
        name: String,
        /// The digest of the manifest or index to which the tag points: `sha256:...`.
        digest: String,
        /// The size of the blobs that the registry lacked.
        sent: u64,
    },
    /// A document about the other outputs, at this path.
    Beside(std::path::PathBuf),
    /// It went to standard output, which therefore contains nothing else.
    Stdout,
}

/// Writes `rootfs` to all of `sinks`, and returns the result of each, in their order.
///
/// Every host file is read once: by a thread that stays a few buffers ahead, or by a sink that takes files. Memory does
/// not grow with the rootfs. No sink gets its name before all have finished: until then, a failure or `interrupted`
/// becoming true leaves every destination unchanged.
///
/// # Errors
///
/// A file that changed since it was planned, a failure of a sink, an entry whose parent is not a directory.
pub fn write(
    rootfs: &Rootfs,
    sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Vec<Written>> {
    stage(rootfs, sinks, observer, interrupted)?.into_iter().map(Staged::commit).collect()
}

/// The same without the names: the results are complete, and get their names when they are committed.
pub fn stage(
    rootfs: &Rootfs,
    mut sinks: Vec<Box<dyn Sink>>,
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Vec<Box<dyn Staged>>> {
    // Ctrl-C also reaches an engine's process, and causes the failures after it.
    let or_interrupted = |error| if interrupted.load(Ordering::Relaxed) { Error::interrupted() } else { error };

    check(rootfs)?;
    // On failure they are dropped from last to first: a directory that one sink made may contain the output of a later
    // one.
    sinks.reverse();
    let mut active: Vec<&mut Box<dyn Sink>> = sinks.iter_mut().filter(|sink| sink.is_active()).collect();
    let taken = stream(rootfs, &mut active, observer, interrupted).map_err(or_interrupted)?;
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

#[cfg(feature = "cli")]
pub(crate) use destination::is_stdout;

/// Writes a small file, which appears complete under its name.
#[cfg(feature = "cli")]
pub(crate) fn small_file(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    let mut file = destination::Destination::of_text(path)?;
    file.write_all(bytes).map_err(|error| Error::io("write", path, error))?;
    file.persist()
}

/// Passes the files of `rootfs` on in its order, as bytes or as the files themselves. Returns those of the latter that
/// may still be unread.
fn stream<'r>(
    rootfs: &'r Rootfs,
    sinks: &mut [&mut Box<dyn Sink>],
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Taken<'r>> {
    let mut taken = Taken::default();
    std::thread::scope(|scope| {
        let is_taken = sinks.len() == 1 && sinks[0].splice().is_some();
        let mut reader = if is_taken { None } else { Some(Reader::start(scope, rootfs.host_files().collect())?) };
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
                    None => hand_over(file, &mut **sinks[0], &mut taken, observer, interrupted)?,
                },
                _ => {}
            }
        }
        reader.map_or(Ok(()), Reader::finish)
    })?;
    Ok(taken)
}

/// Passes the bytes of the next file to all sinks.
fn copy(
    file: &HostFile,
    reader: &mut Reader<'_>,
    sinks: &mut [&mut Box<dyn Sink>],
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

/// Passes the file itself to a sink that takes files.
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

/// Checks the rules on which sinks rely: names are text and stay inside, directories come before their contents, hard
/// links come after their regular files.
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
