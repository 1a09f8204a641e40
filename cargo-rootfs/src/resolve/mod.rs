//! The dynamic loader's rules: from an executable to all objects that are mapped with it.
//!
//! It opens no file itself: names and headers come through [`Files`], so the same rules work on a sysroot, on the
//! planned rootfs, and on a table in a test. It reads neither LD_LIBRARY_PATH nor any other environment variable.
//!
//! The rules are glibc's (ld.so(8), and elf/dl-load.c, dl-deps.c and dl-cache.c of its source) and musl's
//! (ldso/dynlink.c).

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::elf::{Bytes, Malformed, Object};
use crate::path::RootfsPath;

#[doc(hidden)]
pub mod cache;
mod candidate;
mod closure;
mod conf;
mod dlopen;
mod folders;
pub(crate) mod hwcaps;
mod legacy;
mod library_path;
mod loader;
mod mapping;
mod may_open;
mod names;
mod opening;
mod own_lists;
mod queue;
mod releases;
mod resolver;
mod scopes;
mod search;
mod target_libraries;
#[cfg(test)]
mod tests;
mod tokens;
mod versions;

pub use closure::{Closure, Loaded, Missing, Skipped};
#[doc(hidden)]
pub use closure::{Noted, Opening, OtherName};
pub use dlopen::{Note, Priority};
#[doc(hidden)]
pub use hwcaps::Hwcaps;
pub use library_path::LibraryPath;
pub use loader::{Libc, Loader};
#[doc(hidden)]
pub use may_open::MayOpen;
pub(crate) use may_open::in_directories;
#[doc(hidden)]
pub use releases::{Release, RunsOn};
pub use resolver::Resolver;
pub use search::Attempt;
#[doc(hidden)]
pub use target_libraries::Given;
pub use target_libraries::TargetLibraries;
pub(crate) use versions::distinct;
#[doc(hidden)]
pub use versions::{Lack, Unsatisfied, Unversioned, Verdict, Versions};

/// A regular file, the same for all its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(crate) usize);

impl FileId {
    /// Makes an identifier in an implementation of [`Files`]. Numbers should be small: at most the number of files
    /// looked up.
    pub fn new(number: usize) -> Self {
        Self(number)
    }
}

/// The result of looking up a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Find {
    /// A regular file, by its path without symlinks.
    File {
        /// The path without symlinks and `..`.
        realpath: RootfsPath,
        /// The file.
        file: FileId,
    },
    /// A directory.
    Dir,
    /// A device, FIFO or socket; the word names which.
    Special(&'static str),
    /// The path does not exist.
    Absent,
    /// A component that should be a directory is none.
    NotDir,
    /// Too many symlinks.
    Loop,
    /// The look-up failed, with this reason.
    Failed(String),
}

/// The reason why a found file cannot be read as an ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadObject {
    /// The I/O error.
    Unreadable(String),
    /// It is not a well-formed ELF file.
    Malformed(Malformed),
}

impl fmt::Display for BadObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::Malformed(malformed) => f.write_str(&malformed.reason),
        }
    }
}

/// A tree of files, as the rules access it.
pub trait Files {
    /// Looks up `path`, and follows symlinks.
    fn find(&mut self, path: &RootfsPath) -> Find;
    /// The ELF headers of a file.
    fn object(&mut self, file: FileId) -> Result<Arc<Object>, BadObject>;
    /// Reads a whole file; fails if it has more than `limit` bytes.
    fn read(&mut self, file: FileId, limit: usize) -> io::Result<Vec<u8>>;
    /// Reads up to `length` bytes of a file at `offset`.
    fn part(&mut self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.read(file, MAX_WHOLE)?;
        Ok(bytes.get(start..).unwrap_or_default().iter().take(length).copied().collect())
    }
    /// A hint: `paths` will be looked up and their ELF headers read, and the same for the paths that `more` names for
    /// each file. It affects only the speed.
    fn read_ahead(&mut self, _paths: &[RootfsPath], _more: &mut More<'_>) {}
    /// The sorted names of libraries among the strings of a file that imports dlopen(3) without a dlopen note, with stars
    /// for the parts that it makes; `None` for any other file.
    fn names_to_open(&mut self, _file: FileId) -> Option<Vec<Bytes>> {
        None
    }
    /// The sorted names in a directory; empty if it is none.
    fn list(&mut self, folder: &RootfsPath) -> Vec<Box<[u8]>>;
    /// Device and inode, which identify a file in two views.
    fn inode(&self, file: FileId) -> (u64, u64);
}

/// The maximum size of a file that is read whole in order to return a part.
const MAX_WHOLE: usize = 64 << 20;

/// Names the paths that will be looked up because of an object; see [`Files::read_ahead`].
pub type More<'m> = dyn FnMut(&mut dyn Files, &Object) -> Vec<RootfsPath> + 'm;

/// The source in which a shared object was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FoundBy {
    /// DT_RPATH, the object's own or inherited.
    Rpath,
    /// DT_RUNPATH of the object that needs it.
    Runpath,
    /// `--library-path`.
    LibraryPath,
    /// The loader's cache.
    Cache,
    /// A directory of ld.so.conf, in a sysroot without a cache.
    Conf,
    /// The loader's default directories.
    Default,
    /// The name is a path.
    Absolute,
    /// `/etc/ld.so.preload`.
    Preload,
    /// Already mapped: the interpreter.
    Loaded,
}

impl FoundBy {
    /// The word of the JSON contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rpath => "rpath",
            Self::Runpath => "runpath",
            Self::LibraryPath => "library-path",
            Self::Cache => "ld.so.cache",
            Self::Conf => "ld.so.conf",
            Self::Default => "default",
            Self::Absolute => "absolute",
            Self::Preload => "preload",
            Self::Loaded => "loaded",
        }
    }
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Copies bytes of a file into a shared handle.
pub(crate) fn bytes(text: &[u8]) -> Bytes {
    Bytes::from(text)
}
