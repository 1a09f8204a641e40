//! The dynamic loader's rules: from an executable to everything that gets mapped with it.
//!
//! It opens nothing itself: names and headers come through [`Files`], so that the same rules serve a
//! sysroot, the planned rootfs, and a table in a test. Nothing here reads LD_LIBRARY_PATH or any
//! other variable of the environment.
//!
//! The rules are glibc's (ld.so(8), and elf/dl-load.c, dl-deps.c and dl-cache.c of its source) and
//! musl's (ldso/dynlink.c).

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::elf::{Bytes, Malformed, Object};
use crate::path::RootfsPath;

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

pub use closure::{Closure, Loaded, Missing, Noted, Opening, OtherName, Skipped};
pub use dlopen::{Note, Priority};
pub use hwcaps::Hwcaps;
pub use library_path::LibraryPath;
pub use loader::{Libc, Loader};
pub use may_open::MayOpen;
pub use releases::{Release, RunsOn};
pub use resolver::Resolver;
pub use search::Attempt;
pub use target_libraries::{Given, TargetLibraries};
pub use versions::{Lack, Unsatisfied, Unversioned, Verdict, Versions};

/// A regular file, the same for all its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(crate) usize);

impl FileId {
    /// For who implements [`Files`]: small numbers, of which there are as many as files were met.
    pub fn new(number: usize) -> Self {
        Self(number)
    }
}

/// The result of looking up a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Find {
    /// A regular file, by its path without links.
    File {
        /// Free of links and `..`.
        realpath: RootfsPath,
        /// The file that it leads to.
        file: FileId,
    },
    /// A directory.
    Dir,
    /// A device, FIFO or socket, by that word.
    Special(&'static str),
    /// Nothing.
    Absent,
    /// Nothing, for what should be a directory on the way, or at its end, is none.
    NotDir,
    /// Too many links.
    Loop,
    /// It could not be looked at, and why.
    Failed(String),
}

/// The reason for which a file that was found cannot be read as an ELF file.
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

/// A tree of files, as the rules need to see one.
pub trait Files {
    /// Looks up `path`, through any symlinks.
    fn find(&mut self, path: &RootfsPath) -> Find;
    /// The ELF headers of a file.
    fn object(&mut self, file: FileId) -> Result<Arc<Object>, BadObject>;
    /// A file's bytes; an error where it has more than `limit`.
    fn read(&mut self, file: FileId, limit: usize) -> io::Result<Vec<u8>>;
    /// Up to `length` of a file's bytes, those at `offset`.
    fn part(&mut self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.read(file, MAX_WHOLE)?;
        Ok(bytes.get(start..).unwrap_or_default().iter().take(length).copied().collect())
    }
    /// A hint: `paths` will be asked for, each with its ELF headers, and so will what `more` names for
    /// each of those files. Answers are the same without it, and may be slower.
    fn read_ahead(&mut self, _paths: &[RootfsPath], _more: &mut More<'_>) {}
    /// The names of libraries that stand in a file which imports dlopen(3) and has no dlopen note that says what for,
    /// sorted; `None` where it does not, or cannot be read.
    fn names_to_open(&mut self, _file: FileId) -> Option<Vec<Bytes>> {
        None
    }
    /// The names in a directory, sorted; none where it is not one.
    fn list(&mut self, folder: &RootfsPath) -> Vec<Box<[u8]>>;
    /// Device and inode: what a file is, across two views of it.
    fn inode(&self, file: FileId) -> (u64, u64);
}

/// The longest file that is read whole for a part of it.
const MAX_WHOLE: usize = 64 << 20;

/// Names the paths that an object will make somebody ask for; see [`Files::read_ahead`].
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
    /// A directory that ld.so.conf names, in a sysroot that has no cache.
    Conf,
    /// The loader's default directories.
    Default,
    /// The name is a path.
    Absolute,
    /// `/etc/ld.so.preload`.
    Preload,
    /// It was there already: the interpreter.
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

/// A shared handle on some bytes that stand in a file.
pub(crate) fn bytes(text: &[u8]) -> Bytes {
    Bytes::from(text)
}
