//! The state of the destination of a directory, and permission to replace it.
//!
//! A directory of this tool has a mark: an extended attribute, or, if the file system has none, a hidden file beside
//! the directory, never inside it. This module removes nothing.

use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxAttributes, StatxFlags, XattrFlags};
use rustix::io::{Errno, Result as SysResult};

use super::Replace;
use super::remove::names;
use crate::error::{Error, Result};
use crate::write::folders::holding;
use crate::write::staged_file::StagedFile;

/// The attribute; its value is a [`Mark`].
const MARK: &str = "user.cargo-rootfs";

/// Directories with temporary files only (hier(7)). A chroot without devices also turns `>/dev/null` into a file.
const VOLATILE: &[&[u8]] = &[b"dev", b"proc", b"run", b"sys", b"tmp", b"var/tmp"];

/// The mark of a directory that this tool made: all its files have this modification time, and none is younger.
struct Mark {
    /// The modification time of everything inside.
    epoch: i64,
    /// The time of its completion, since 1970.
    made: Duration,
}

impl Mark {
    fn now(epoch: i64) -> Self {
        Self { epoch, made: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() }
    }

    fn to_text(&self) -> String {
        format!("{} {}.{:09}", self.epoch, self.made.as_secs(), self.made.subsec_nanos())
    }

    fn parse(text: &str) -> Option<Self> {
        let (epoch, made) = text.split_once(' ')?;
        let (seconds, nanoseconds) = made.split_once('.')?;
        let made = Duration::from_secs(seconds.parse().ok()?) + Duration::from_nanos(nanoseconds.parse().ok()?);
        Some(Self { epoch: epoch.parse().ok()?, made })
    }

    /// Returns whether the file existed unchanged when the directory was completed. The birth time, if recorded,
    /// reveals a copy that keeps its modification time (`cp -a`).
    fn covers(&self, file: &Statx) -> bool {
        let since_1970 = Duration::from_secs(u64::try_from(file.stx_btime.tv_sec).unwrap_or_default())
            + Duration::from_nanos(file.stx_btime.tv_nsec.into());
        let knows_birth = file.stx_mask & StatxFlags::BTIME.bits() != 0;
        (file.stx_mtime.tv_sec, file.stx_mtime.tv_nsec) == (self.epoch, 0) && !(knows_birth && since_1970 > self.made)
    }
}

/// An existing object that may be replaced.
pub(super) enum Standing {
    /// Nothing.
    Absent,
    /// A directory without entries.
    Empty,
    /// A directory to be removed with its contents.
    Full,
}

impl Standing {
    /// Inspects `path`. Fails if the existing object must stay.
    pub(super) fn at(path: &Path, replace: Replace) -> Result<Self> {
        let shown = path.display();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(Self::Absent),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(Error::failed(format!("cannot write the directory `{shown}`: it is not a directory")));
            }
            Err(error) => return Err(Error::io("read", path, error.into())),
        };
        let read = |error: Errno| Error::io("read", path, error.into());
        if names(folder.as_fd()).map_err(read)?.is_empty() {
            return Ok(Self::Empty);
        }
        let by_force = "choose another directory, or pass --force to replace it and its contents";
        let mark = mark_of(&folder, path);
        if mark.is_none() && replace == Replace::OwnOnly {
            return Err(Error::failed(format!("`{shown}` is neither empty nor made by cargo rootfs")).help(by_force));
        }
        let owner = rustix::fs::fstat(&folder).map_err(read)?.st_uid;
        let user = rustix::process::geteuid();
        if !user.is_root() && user.as_raw() != owner {
            return Err(Error::failed(format!("cannot replace `{shown}`: it belongs to user {owner}")));
        }

        let mut survey = Survey { root: path, mark, replace, foreign: None };
        survey.folder(folder.as_fd(), b"")?;
        match survey.foreign {
            Some(foreign) if replace == Replace::OwnOnly => {
                Err(Error::failed(format!("`{shown}` has changed since cargo rootfs made it"))
                    .detail(format!("`{}` is not as it was written", foreign.display()))
                    .help(by_force))
            }
            _ => Ok(Self::Full),
        }
    }
}

/// A walk through a directory to be removed. It looks for mounts, whose contents must never be removed, and for files
/// from elsewhere.
struct Survey<'a> {
    root: &'a Path,
    mark: Option<Mark>,
    replace: Replace,
    foreign: Option<PathBuf>,
}

impl Survey<'_> {
    fn folder(&mut self, folder: BorrowedFd<'_>, within: &[u8]) -> Result<()> {
        let failed = |path: &Path, error: Errno| Error::io("read", path, error.into());
        let at = self.path(within);
        for name in names(folder).map_err(|error| failed(&at, error))? {
            let inner = [within, if within.is_empty() { b"" } else { b"/" }, name.to_bytes()].concat();
            let path = self.path(&inner);
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
            let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
            let stat = rustix::fs::statx(folder, &name, flags, wanted).map_err(|error| failed(&path, error))?;
            if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
                return Err(Error::failed(format!(
                    "cannot replace `{}`: `{}` is mounted in it",
                    self.root.display(),
                    path.display()
                ))
                .help(format!("umount {}", path.display())));
            }
            match FileType::from_raw_mode(stat.stx_mode.into()) {
                FileType::Directory => match open(folder, &name) {
                    Ok(folder) => self.folder(folder.as_fd(), &inner)?,
                    Err(_) if self.replace == Replace::Force => {}
                    Err(error) => return Err(failed(&path, error)),
                },
                // Container engines leave empty files as mount points.
                FileType::RegularFile | FileType::Symlink
                    if stat.stx_size > 0 && !is_volatile(&inner) && !self.is_own(&stat) =>
                {
                    self.foreign.get_or_insert(path);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn is_own(&self, file: &Statx) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.covers(file))
    }

    fn path(&self, within: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        self.root.join(std::ffi::OsStr::from_bytes(within))
    }
}

fn is_volatile(path: &[u8]) -> bool {
    VOLATILE.iter().any(|folder| path.strip_prefix(*folder).is_some_and(|rest| rest.starts_with(b"/")))
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> SysResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Marks `folder` as made by this tool; returns false if its file system has no such attributes.
pub(super) fn mark(folder: BorrowedFd<'_>, epoch: i64) -> SysResult<bool> {
    match rustix::fs::fsetxattr(folder, MARK, Mark::now(epoch).to_text().as_bytes(), XattrFlags::empty()) {
        Ok(()) => Ok(true),
        // tmpfs has them from Linux 6.6; a full or old file system may have no space for them.
        Err(Errno::OPNOTSUPP | Errno::PERM | Errno::NOSPC | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes the mark of `folder`, which will get the name `path`, into a file beside it. The mark of the present
/// directory stays valid.
pub(super) fn mark_beside(path: &Path, folder: BorrowedFd<'_>, epoch: i64) -> Result<()> {
    let beside = beside(path);
    let identity = identity(folder).map_err(|error| Error::io("mark", path, error.into()))?;
    let mark = Mark::now(epoch).to_text();
    let earlier = std::fs::read_to_string(&beside).unwrap_or_default();
    let earlier = earlier.lines().next().unwrap_or_default();
    let mut file = StagedFile::create(&beside)?;
    file.write_all(format!("{identity} {mark}\n{earlier}\n").as_bytes())
        .map_err(|error| Error::io("write", &beside, error))?;
    file.persist()
}

/// The mark of `folder`, if this tool made it.
fn mark_of(folder: &OwnedFd, path: &Path) -> Option<Mark> {
    let mut value = [0; 64];
    if let Ok(length) = rustix::fs::fgetxattr(folder, MARK, &mut value[..]) {
        return Mark::parse(std::str::from_utf8(&value[..length]).ok()?);
    }
    let identity = identity(folder.as_fd()).ok()?;
    let marks = std::fs::read_to_string(beside(path)).ok()?;
    marks.lines().find_map(|line| line.strip_prefix(&identity)?.strip_prefix(' ').and_then(Mark::parse))
}

/// Device, inode and birth time, which no later directory shares.
fn identity(folder: BorrowedFd<'_>) -> SysResult<String> {
    let mask = StatxFlags::INO | StatxFlags::BTIME;
    let stat = rustix::fs::statx(folder, c"", AtFlags::EMPTY_PATH, mask)?;
    let born = stat.stx_btime;
    Ok(format!("{}:{} {} {}.{}", stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino, born.tv_sec, born.tv_nsec))
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    holding(path).join(format!(".{name}.cargo-rootfs"))
}
