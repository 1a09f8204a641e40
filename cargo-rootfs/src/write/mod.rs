//! From a [`Rootfs`] to bytes elsewhere: every file is read once and handed to every sink.
//!
//! A sink is one destination: a tar, a folder, an engine. It writes beside its final name and
//! takes that name only when every sink has all it needs.

use crate::error::Result;
use crate::path::RootfsPath;
use crate::rootfs::Entry;

/// One destination while it is written. Dropping it discards what it has written.
pub trait Sink {
    /// Begins the next entry, in the order of [`Rootfs::iter`]. For a regular file, calls of
    /// [`data`](Sink::data) follow, whose lengths add up to [`Entry::size`].
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()>;

    /// The next bytes of the regular file begun last; never empty.
    fn data(&mut self, bytes: &[u8]) -> Result<()>;

    /// Completes it, all but the name.
    fn finish(self: Box<Self>) -> Result<Box<dyn Staged>>;
}

/// A complete destination that does not yet stand under its name. Dropping it discards it.
pub trait Staged {
    /// Puts it under its name and says what that is: a path, or the id that an engine reports.
    fn commit(self: Box<Self>) -> Result<Written>;
}

/// What was written, as one line of stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// An archive at this path.
    Tar(std::path::PathBuf),
    /// A folder at this path.
    Dir(std::path::PathBuf),
    /// An image in an engine, by the id that it reports, under this name.
    Image {
        /// `sha256:...`
        id: String,
        /// As asked for, with the tag.
        name: String,
    },
    /// The archive went to standard output, which therefore carries nothing else.
    Stdout,
}
