//! The sysroot of one rootfs: a directory, which a better one may replace while the rootfs is laid out.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::Events;
use crate::error::{Error, Result};
use crate::shortage::Shortage;

/// Gives the directory that tools and libraries come from.
///
/// The directory stays as long as its source is held.
pub(crate) trait SysrootSource {
    /// The directory in use.
    fn directory(&self) -> &Utf8Path;

    /// True where the directory stays as it is, whatever it is short of.
    fn is_final(&self) -> bool;

    /// Remedies shortages of the directory, by another one. Returns `false` where it stays; that must happen after
    /// finitely many calls.
    fn supply(&mut self, short: &BTreeSet<Shortage>, events: &dyn Events) -> Result<bool>;

    /// Adds the packages that rules recommend, where it is made of packages, by another directory. Returns as
    /// [`supply`](Self::supply) does.
    fn recommend(&mut self, packages: &BTreeSet<String>, events: &dyn Events) -> Result<bool>;

    /// Adds things that may be missing, where it is made of packages that have them. Returns as [`supply`](Self::supply)
    /// does.
    fn grant(&mut self, wishes: &BTreeSet<Shortage>, events: &dyn Events) -> Result<bool>;

    /// The package that has a library to build with, where an index tells it; `None` where the directory is not made
    /// of packages.
    #[cfg(feature = "cli")]
    fn builds_with(&self, _: crate::cargo::Sought<'_>, _: &dyn Events) -> Option<Option<String>> {
        None
    }
}

/// A directory of the host, as it is.
pub(crate) struct Directory(Utf8PathBuf);

impl Directory {
    /// Fails where there is no such directory.
    pub(crate) fn open(path: &Utf8Path) -> Result<Self> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Self(path.to_owned())),
            Ok(_) => Err(Error::failed(format!("the sysroot `{path}` is not a directory"))),
            Err(error) => Err(Error::io("open the sysroot", path, error)),
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
