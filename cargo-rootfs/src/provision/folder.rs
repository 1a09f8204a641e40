//! Directory trees of the cache: records of their contents, checks against the records, removal.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::host_files::{self, Found, Walk};

/// The paths in a directory, sorted; empty if it does not exist.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let names = host_files::names(folder).if_there("read")?.unwrap_or_default();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// An I/O failure and its path.
#[derive(Debug)]
pub(super) struct Unwritable(pub(super) PathBuf, pub(super) io::Error);

impl Unwritable {
    /// Gives errors the path that they are of.
    pub(super) fn at<E: Into<io::Error>>(path: impl Into<PathBuf>) -> impl Fn(E) -> Self {
        let path = path.into();
        move |error| Self(path.clone(), error.into())
    }
}

/// A record for each file and symlink below `root`: `f` or `l`, size and modification time in eight bytes each, the
/// path, a NUL. Directories have no record of their own.
pub(super) fn record(root: &Path) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    for found in Walk::below(root, "read") {
        let Found { path, metadata } = found?;
        if metadata.is_dir() {
            continue;
        }
        let inside = path.strip_prefix(root).unwrap_or(&path);
        contents.push(if metadata.is_symlink() { b'l' } else { b'f' });
        contents.extend(metadata.size().to_le_bytes());
        contents.extend(metadata.mtime().to_le_bytes());
        contents.extend(inside.as_os_str().as_bytes());
        contents.push(0);
    }
    Ok(contents)
}

/// Kind, size, time and path.
type Record<'c> = (u8, u64, i64, &'c [u8]);

/// Iterates over the records.
pub(super) fn records(mut contents: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (kind, rest) = contents.split_first()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let end = memchr::memchr(0, rest)?;
        contents = &rest[end + 1..];
        Some((*kind, u64::from_le_bytes(*size), i64::from_le_bytes(*time), &rest[..end]))
    })
}

/// Returns whether all recorded files exist unmodified, by size and time. Reading the bytes would take longer than the
/// rest of a run.
pub(super) fn is_intact(root: &Path, contents: &[u8]) -> bool {
    use rustix::fs::{AtFlags, FileType, Mode, OFlags};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = rustix::fs::open(root, flags, Mode::empty()) else { return false };
    let is_as_recorded = |&(kind, size, time, path): &Record<'_>| {
        rustix::fs::statat(&root, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
            let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            // The widths of these fields differ between architectures.
            #[allow(clippy::unnecessary_cast)]
            let is_same = (stat.st_size as u64, stat.st_mtime as i64) == (size, time);
            is_link == (kind == b'l') && is_same
        })
    };
    // Every run waits for this check, and a sysroot has thousands of files, so two threads share it.
    let records: Vec<_> = records(contents).collect();
    let (here, there) = records.split_at(records.len() / 2);
    !records.is_empty()
        && std::thread::scope(|scope| {
            let there = scope.spawn(|| there.iter().all(is_as_recorded));
            here.iter().all(is_as_recorded) && there.join().is_ok_and(|is_intact| is_intact)
        })
}

/// Removes a tree, including directories without write permission for their owner.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    if metadata.mode() & 0o700 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode() & 0o7777 | 0o700))?;
    }
    for entry in fs::read_dir(path)? {
        remove(&entry?.path())?;
    }
    fs::remove_dir(path)
}

/// The size of the files that have no other hard link, and so are freed by a removal.
pub(super) fn size_of(path: &Path) -> u64 {
    let found = Walk::of(path, "read").filter_map(Result::ok).map(|found| found.metadata);
    found.filter(|metadata| metadata.is_file() && metadata.nlink() == 1).map(|metadata| metadata.len()).sum()
}

/// Returns whether the name is that of an unfinished directory: of a current run, or of a killed one.
pub(super) fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_may_not_be_written_to_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("c"), "").unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
        remove(&temp.path().join("a")).unwrap();
        assert!(!temp.path().join("a").exists());
    }
}
