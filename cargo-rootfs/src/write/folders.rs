//! Makes the missing parent directories of an output.
//!
//! Those of a failed run are removed again. Directories inside a rootfs are made elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// New directories. Dropping this removes those that are still empty.
pub(super) struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    /// Makes `folder` and its missing parents.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let mut made = Self(Vec::new());
        let mut missing = Vec::new();
        for ancestor in folder.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty()) {
            if ancestor.is_dir() {
                break;
            }
            missing.push(ancestor);
        }
        for ancestor in missing.into_iter().rev() {
            match std::fs::create_dir(ancestor) {
                Ok(()) => made.0.push(ancestor.to_owned()),
                // `a/./b`, `a/../a`, or another process has just made it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && ancestor.is_dir() => {}
                Err(error) => return Err(Error::io("create directory", ancestor, error)),
            }
        }
        Ok(made)
    }

    /// Keeps the directories.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // A directory with files of another process stays.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// The parent directory of `path`, in a form that can be opened.
pub(super) fn holding(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
