//! Removes a tree: follows no symlink and enters no mount.
//!
//! `standing` decides whether the tree may be removed.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

/// Removes the directory `path`. Another process may remove it at the same time.
pub(in crate::write) fn tree(path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::INVAL)?;
    tree_in(CWD, &name)
}

/// Removes the directory `name` of the open directory `parent`.
pub(super) fn tree_in(parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let folder = open(parent, name)?;
    empty(folder.as_fd(), rustix::fs::fstat(&folder)?.st_dev)?;
    gone(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
}

fn empty(folder: BorrowedFd<'_>, device: u64) -> Result<()> {
    if rustix::fs::fstat(folder)?.st_dev != device {
        return Err(Errno::XDEV);
    }
    // A rootfs has directories without write permission for their owner.
    rustix::fs::fchmod(folder, Mode::RWXU)?;
    for name in names(folder)? {
        match rustix::fs::unlinkat(folder, &name, AtFlags::empty()) {
            // For a directory, Linux returns EISDIR and POSIX specifies EPERM.
            Err(Errno::ISDIR | Errno::PERM) => {
                let inner = match open_inside(folder, &name) {
                    Err(Errno::NOENT) => continue,
                    inner => inner?,
                };
                empty(inner.as_fd(), device)?;
                gone(rustix::fs::unlinkat(folder, &name, AtFlags::REMOVEDIR))?;
            }
            result => gone(result)?,
        }
    }
    Ok(())
}

/// Accepts a missing path: another process may have removed it.
fn gone(result: Result<()>) -> Result<()> {
    if result == Err(Errno::NOENT) { Ok(()) } else { result }
}

/// The names in a directory, without `.` and `..`.
pub(super) fn names(folder: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Opens a directory of the same mount. Only openat2(2), from Linux 5.6 on, detects a bind mount of the same device;
/// `standing` has checked for mounts before.
fn open_inside(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let inside = || match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => open(parent, name),
        result => result,
    };
    match inside() {
        Err(Errno::ACCESS) => {
            // Its owner may have no read permission.
            let is_folder = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            if is_folder {
                rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            }
            inside()
        }
        result => result,
    }
}
