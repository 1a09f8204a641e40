//! Hidden names beside an output, under which it is made, and the leftovers of killed runs under such names.
//!
//! A run holds a lock (flock(2)) on its temporary file or directory. The lock ends with the process, so no age is
//! needed.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::dir::remove;
use super::folders::holding;

/// `.NAME.cargo-rootfs-`, short enough for a random suffix (NAME_MAX is 255).
pub(super) fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{}.cargo-rootfs-", name.chars().take(50).collect::<String>())
}

/// Locks the new file or directory at `path`, open as `file`. Returns false if another run took it for a leftover
/// before it was locked, and removes or has removed it.
///
/// Without locks on the file system, leftovers of killed runs are not removed.
pub(super) fn lock(file: impl AsFd, path: &Path) -> bool {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => false,
        _ => is_at(file, path),
    }
}

/// Removes leftovers of killed runs beside the output `path`; ignores errors.
pub(super) fn remove(path: &Path) {
    let prefix = prefix(path);
    let Ok(entries) = std::fs::read_dir(holding(path)) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes())) {
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else { continue };
        let may_be = metadata.is_dir() || metadata.is_file();
        if !may_be || metadata.uid() != rustix::process::geteuid().as_raw() {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(locked) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        if rustix::fs::flock(&locked, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&locked, &path) {
            let _ = if metadata.is_dir() { remove::tree(&path).is_ok() } else { std::fs::remove_file(&path).is_ok() };
        }
    }
}

/// Returns whether `path` is still the name of the open `file`.
fn is_at(file: impl AsFd, path: &Path) -> bool {
    let named = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    let open = rustix::fs::fstat(file);
    matches!((named, open), (Ok(named), Ok(open)) if (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino))
}
