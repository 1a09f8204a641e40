//! Access to the host: the system calls behind a [`Sysroot`](super::Sysroot).
//!
//! It caches nothing, so that several threads can use it. Paths have no symlinks: the sysroot follows them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use crate::elf::{Buffers, Object, ReadError};
use crate::error::{Error, Result};
use crate::host_files;
use crate::path::RootfsPath;
use crate::resolve::BadObject;
use crate::rootfs::HostStat;

/// An open directory of the host.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    handle: OwnedFd,
}

/// The object at a path.
#[derive(Debug)]
pub(super) enum Seen {
    /// A directory with its mode.
    Dir(u32),
    Link(Arc<[u8]>),
    File(HostStat),
    Special(&'static str),
    Absent,
    Failed(io::Error),
}

impl Disk {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|error| Error::io("open the sysroot", root, error.into()))?;
        // `/` has no symlinks, and is the usual directory.
        let root = match root.as_os_str().as_bytes() {
            b"/" => root.to_owned(),
            _ => host_files::real(root).or_cannot("open the sysroot")?,
        };
        Ok(Self { root, handle })
    }

    /// The directory on the host, with its own links resolved.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The permission bits of the directory itself.
    pub(super) fn mode(&self) -> u32 {
        rustix::fs::fstat(&self.handle).map_or(0o755, |stat| stat.st_mode & 0o7777)
    }

    /// The owner of the directory itself.
    pub(super) fn owner(&self) -> u32 {
        rustix::fs::fstat(&self.handle).map_or(0, |stat| stat.st_uid)
    }

    /// Looks up `path`; only its last component may be a symlink.
    pub(super) fn look(&self, path: &RootfsPath) -> Seen {
        let relative = OsStr::from_bytes(path.relative());
        // `libfoo.so.1` is nearly always a symlink: one system call in place of two.
        if is_soname(path.file_name()) {
            if let link @ Seen::Link(_) = self.link(relative) {
                return link;
            }
        }
        let stat = match rustix::fs::statat(&self.handle, relative, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::NAMETOOLONG) => {
                return Seen::Absent;
            }
            Err(error) => return Seen::Failed(error.into()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Seen::Dir(stat.st_mode & 0o7777),
            FileType::Symlink => self.link(relative),
            FileType::RegularFile => Seen::File(HostStat::new(&stat)),
            FileType::Fifo => Seen::Special("FIFO"),
            FileType::Socket => Seen::Special("socket"),
            _ => Seen::Special("device"),
        }
    }

    fn link(&self, relative: &OsStr) -> Seen {
        let mut room = [MaybeUninit::uninit(); 512];
        match rustix::fs::readlinkat_raw(&self.handle, relative, &mut room) {
            Ok((target, rest)) if !rest.is_empty() => return Seen::Link(Arc::from(&*target)),
            Ok(_) => {}
            Err(error) => return Seen::Failed(error.into()),
        }
        match rustix::fs::readlinkat(&self.handle, relative, Vec::new()) {
            Ok(target) => Seen::Link(Arc::from(target.into_bytes())),
            Err(error) => Seen::Failed(error.into()),
        }
    }

    /// Opens the directory at `path`.
    pub(super) fn folder(&self, path: &RootfsPath) -> io::Result<Folder> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.handle, OsStr::from_bytes(path.relative()), flags, Mode::empty(), how) {
            Ok(folder) => Ok(Folder(folder)),
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
                Ok(Folder(rustix::fs::open(path.below(&self.root), flags, Mode::empty())?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the regular file at `path` for reading.
    pub(super) fn file(&self, path: &RootfsPath) -> io::Result<File> {
        // The path has no symlinks; if one replaces a component meanwhile, it is resolved inside the root.
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let relative = OsStr::from_bytes(path.relative());
        match rustix::fs::openat2(&self.handle, relative, flags(), Mode::empty(), how) {
            Ok(file) => Ok(File::from(file)),
            // Kernels before 5.6, and sandboxes without the call.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
                host_files::open_itself(&path.below(&self.root)).result()
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A directory whose files are opened by their names.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    /// Appends the bytes of a regular file, at most `limit`, to `into`; returns false if there is none.
    pub(crate) fn read(&self, name: &[u8], limit: usize, into: &mut Vec<u8>) -> bool {
        if name.contains(&b'/') || matches!(name, b"" | b"." | b"..") {
            return false;
        }
        let Ok(file) = rustix::fs::openat(&self.0, OsStr::from_bytes(name), flags(), Mode::empty()) else {
            return false;
        };
        let before = into.len();
        let is_read = File::from(file).take(limit as u64 + 1).read_to_end(into).is_ok_and(|length| length <= limit);
        if !is_read {
            into.truncate(before);
        }
        is_read
    }
}

/// Returns whether a name has the form of a soname: one number after `.so.`.
fn is_soname(name: &[u8]) -> bool {
    let number = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    number > 0 && name[..name.len() - number].ends_with(b".so.")
}

// A FIFO in the file's place must not block, and a symlink must not be followed.
fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC
}

/// The ELF headers of an open file.
pub(super) fn object(file: io::Result<File>, buffers: &mut Buffers) -> std::result::Result<Arc<Object>, BadObject> {
    match file {
        Ok(file) => match Object::read_in(&file, buffers) {
            Ok(object) => Ok(Arc::new(object)),
            Err(ReadError::Malformed(malformed)) => Err(BadObject::Malformed(malformed)),
            Err(ReadError::Io(error)) => Err(BadObject::Unreadable(error.to_string())),
        },
        Err(error) => Err(BadObject::Unreadable(error.to_string())),
    }
}
