//! The hidden directory beside the output in which a tree is built, and the renames to its final name.
//!
//! It does not know the contents.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, Result};

use super::remove;
use crate::write::folders::holding;
use crate::write::leftover;

/// A locked directory with a random name. Dropping it removes it with its contents.
pub(super) struct Staging {
    path: PathBuf,
    folder: OwnedFd,
    kept: bool,
}

impl Staging {
    /// Makes one beside `path`, which need not exist.
    pub(super) fn beside(path: &Path) -> Result<Self> {
        leftover::remove(path);
        loop {
            let made = tempfile::Builder::new()
                .prefix(&leftover::prefix(path))
                .make_in(holding(path), |name| Ok(rustix::fs::mkdir(name, Mode::RWXU)?))
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::EXIST))?;
            // `tempfile` would remove it as a file.
            let path = made.into_temp_path().keep().map_err(|_| Errno::IO)?;
            // The umask may have removed the owner's permissions.
            match rustix::fs::chmod(&path, Mode::RWXU).and_then(|()| open(&path)) {
                Ok(folder) if leftover::lock(&folder, &path) => return Ok(Self { path, folder, kept: false }),
                // Another run has just removed it.
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
    }

    #[cfg(feature = "cli")]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Renames it to the unused name `path`.
    pub(super) fn rename_new(self, path: &Path) -> Result<()> {
        match rustix::fs::renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.keep();
                Ok(())
            }
            Err(error) if is_unknown(error) => self.rename_over(path),
            Err(error) => Err(error),
        }
    }

    /// Renames it to `path`, where rename(2) replaces an empty directory.
    pub(super) fn rename_over(self, path: &Path) -> Result<()> {
        rustix::fs::rename(&self.path, path)?;
        self.keep();
        Ok(())
    }

    /// Exchanges it with the directory at `path`, and returns the new path of that.
    pub(super) fn exchange(self, path: &Path) -> Result<PathBuf> {
        match rustix::fs::renameat_with(CWD, &self.path, CWD, path, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(self.keep()),
            Err(error) if is_unknown(error) => {
                let aside = self.path.with_extension("old");
                rustix::fs::rename(path, &aside)?;
                if let Err(error) = rustix::fs::rename(&self.path, path) {
                    rustix::fs::rename(&aside, path)?;
                    return Err(error);
                }
                self.keep();
                Ok(aside)
            }
            Err(error) => Err(error),
        }
    }

    fn keep(mut self) -> PathBuf {
        self.kept = true;
        std::mem::take(&mut self.path)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept {
            // The error that ended the run is more important.
            let _ = remove::tree(&self.path);
        }
    }
}

/// Returns whether the kernel or the file system does not support renameat2(2) or its flags.
fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}
