//! The sysroot of one rootfs: a directory that may be replaced by a better one during the layout.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::Events;
use crate::error::{Error, Result};
use crate::host_files;
use crate::shortage::Shortage;

/// A source of the directory with tools and libraries.
///
/// The directory exists as long as its source is held.
pub(crate) trait SysrootSource {
    /// The directory in use.
    fn directory(&self) -> &Utf8Path;

    /// True if the directory stays the same in spite of shortages.
    fn is_final(&self) -> bool;

    /// Remedies shortages of the directory by another directory. Returns `false` if it stays; this must happen after
    /// finitely many calls.
    fn supply(&mut self, short: &BTreeSet<Shortage>, events: &dyn Events) -> Result<bool>;

    /// Adds packages that rules recommend, if the sysroot is made of packages. Returns the same as
    /// [`supply`](Self::supply).
    fn recommend(&mut self, packages: &BTreeSet<String>, events: &dyn Events) -> Result<bool>;

    /// Adds optional things, if the sysroot is made of packages that have them. Returns the same as
    /// [`supply`](Self::supply).
    fn grant(&mut self, wishes: &BTreeSet<Shortage>, events: &dyn Events) -> Result<bool>;

    /// Adds the known digests of the files with these inodes.
    #[cfg(feature = "cli")]
    fn find_known_files(&self, _: &BTreeSet<(u64, u64)>, _: &mut crate::rootfs::KnownFiles) {}

    /// The package with the development files of a library. `None` if the sysroot is not made of packages; `Some(None)`
    /// if no index knows it.
    #[cfg(feature = "cli")]
    fn builds_with(&self, _: crate::cargo::Sought<'_>, _: &dyn Events) -> Option<Option<String>> {
        None
    }
}

/// A fixed directory of the host.
pub(crate) struct Directory(Utf8PathBuf);

impl Directory {
    /// Fails if the directory does not exist.
    pub(crate) fn open(path: &Utf8Path) -> Result<Self> {
        if host_files::metadata(path).or_cannot("open the sysroot")?.is_dir() {
            Ok(Self(path.to_owned()))
        } else {
            Err(Error::failed(format!("the sysroot `{path}` is not a directory")))
        }
    }
}

impl SysrootSource for Directory {
    fn directory(&self) -> &Utf8Path {
        &self.0
    }

    fn is_final(&self) -> bool {
        true
    }

    fn supply(&mut self, _: &BTreeSet<Shortage>, _: &dyn Events) -> Result<bool> {
        Ok(false)
    }

    fn recommend(&mut self, _: &BTreeSet<String>, _: &dyn Events) -> Result<bool> {
        Ok(false)
    }

    fn grant(&mut self, _: &BTreeSet<Shortage>, _: &dyn Events) -> Result<bool> {
        Ok(false)
    }
}
