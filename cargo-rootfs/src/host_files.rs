//! Files of this machine, by path. Each error names its path.
//!
//! Rooms that read and do not write use this one (`disallowed-methods` in .clippy.toml). It resolves no link inside a
//! sysroot; `sysroot` does.

#![expect(clippy::disallowed_methods, reason = "each result is held together with its path")]
#![cfg_attr(not(feature = "cli"), allow(dead_code))]

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{Error, Result};

/// The result of one operation on a path, for an error that names the path.
#[must_use]
pub(crate) struct Tried<'p, T> {
    path: &'p Path,
    result: io::Result<T>,
}

impl<T> Tried<'_, T> {
    /// The result, or an error such as ``cannot read `a/b` ``.
    pub(crate) fn or_cannot(self, verb: &str) -> Result<T> {
        self.result.map_err(|error| Error::io(verb, self.path, error))
    }

    /// The result, or an error; `None` if nothing is at the path.
    pub(crate) fn if_there(self, verb: &str) -> Result<Option<T>> {
        match self.result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => Tried { path: self.path, result }.or_cannot(verb).map(Some),
        }
    }

    /// The result; `None` after any error. For optional files.
    pub(crate) fn ok(self) -> Option<T> {
        self.result.ok()
    }

    /// The bare result, for an error with more than a verb and the path.
    pub(crate) fn result(self) -> io::Result<T> {
        self.result
    }
}

fn tried<'p, T>(path: &'p (impl AsRef<Path> + ?Sized), operation: impl FnOnce(&Path) -> io::Result<T>) -> Tried<'p, T> {
    Tried { path: path.as_ref(), result: operation(path.as_ref()) }
}

/// The bytes of a file.
pub(crate) fn bytes(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, Vec<u8>> {
    tried(path, |path| fs::read(path))
}

/// The text of a file.
pub(crate) fn text(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, String> {
    tried(path, |path| fs::read_to_string(path))
}

/// A file, opened for reading.
pub(crate) fn open(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, File> {
    tried(path, |path| File::open(path))
}

/// A file, opened for reading, if `path` is no link. A FIFO does not block.
pub(crate) fn open_itself(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    tried(path, |path| File::options().read(true).custom_flags(flags.bits() as i32).open(path))
}

/// The metadata at the end of all links of `path`.
pub(crate) fn metadata(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, Metadata> {
    tried(path, |path| fs::metadata(path))
}

/// The metadata of `path` itself, which may be a link.
pub(crate) fn own_metadata(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, Metadata> {
    tried(path, |path| fs::symlink_metadata(path))
}

/// The target of a symlink, verbatim.
pub(crate) fn target(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, PathBuf> {
    tried(path, |path| fs::read_link(path))
}

/// The absolute path, without links and `..`.
pub(crate) fn real(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, PathBuf> {
    tried(path, |path| fs::canonicalize(path))
}

/// Removes a file or a link.
pub(crate) fn remove(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, ()> {
    tried(path, |path| fs::remove_file(path))
}

/// Renames a file to `to`, which errors name.
pub(crate) fn rename<'p>(from: impl AsRef<Path>, to: &'p (impl AsRef<Path> + ?Sized)) -> Tried<'p, ()> {
    tried(to, |to| fs::rename(from, to))
}

/// Makes a directory, with its parents.
pub(crate) fn make_directory(path: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, ()> {
    tried(path, |path| fs::create_dir_all(path))
}

/// The names in a directory, sorted, so that the order is the same on every file system.
pub(crate) fn names(directory: &(impl AsRef<Path> + ?Sized)) -> Tried<'_, Vec<OsString>> {
    tried(directory, |directory| {
        let entries = fs::read_dir(directory)?;
        let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    })
}

/// One result of a walk.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// The metadata of a link itself, not of its target.
    pub(crate) metadata: Metadata,
}

/// A walk through a directory, in order of names: a directory comes before its contents, and no link is followed.
pub(crate) struct Walk {
    verb: &'static str,
    left: Vec<PathBuf>,
    /// The last returned directory, which the next call reads.
    entered: Option<PathBuf>,
}

impl Walk {
    /// Walks `path` itself and everything below it; `verb` is for errors.
    pub(crate) fn of(path: &(impl AsRef<Path> + ?Sized), verb: &'static str) -> Self {
        Self { verb, left: vec![path.as_ref().to_owned()], entered: None }
    }

    /// Walks everything below `directory`.
    pub(crate) fn below(directory: &(impl AsRef<Path> + ?Sized), verb: &'static str) -> Self {
        Self { verb, left: Vec::new(), entered: Some(directory.as_ref().to_owned()) }
    }

    /// Skips the contents of the last returned directory.
    pub(crate) fn leave(&mut self) {
        self.entered = None;
    }
}

impl Iterator for Walk {
    type Item = Result<Found>;

    fn next(&mut self) -> Option<Result<Found>> {
        if let Some(directory) = self.entered.take() {
            match names(&directory).or_cannot(self.verb) {
                Ok(names) => self.left.extend(names.iter().rev().map(|name| directory.join(name))),
                Err(error) => return Some(Err(error)),
            }
        }
        let path = self.left.pop()?;
        let metadata = match own_metadata(&path).or_cannot(self.verb) {
            Ok(metadata) => metadata,
            Err(error) => return Some(Err(error)),
        };
        self.entered = metadata.is_dir().then(|| path.clone());
        Some(Ok(Found { path, metadata }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_by_name_follows_no_link_and_leaves_out_what_it_is_told_to() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/x"), "").unwrap();
        std::os::unix::fs::symlink("..", root.join("b/up")).unwrap();
        let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let names: Vec<_> = Walk::of(root, "read").map(|found| name(&found.unwrap().path)).collect();
        assert_eq!(names, ["", "a", "a/x", "b", "b/deep", "b/up"]);
        let mut walk = Walk::below(root, "read");
        let mut names = Vec::new();
        while let Some(found) = walk.next() {
            names.push(name(&found.unwrap().path));
            if names.len() == 1 {
                walk.leave();
            }
        }
        assert_eq!(names, ["a", "b", "b/deep", "b/up"]);
    }

    #[test]
    fn an_error_names_its_path_and_a_walk_goes_on_after_it() {
        let temp = tempfile::tempdir().unwrap();
        let absent = temp.path().join("absent");
        let message = format!("cannot include `{}`", absent.display());
        assert_eq!(text(&absent).or_cannot("include").unwrap_err().message(), message);
        assert!(text(&absent).if_there("include").unwrap().is_none());
        assert!(names(temp.path()).or_cannot("read").unwrap().is_empty());
        let mut walk = Walk::below(&absent, "include");
        assert_eq!(walk.next().unwrap().err().unwrap().message(), message);
        assert!(walk.next().is_none());
    }
}
