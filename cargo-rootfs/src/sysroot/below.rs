//! A walk through a directory of a sysroot.
//!
//! It does not look up the returned paths, because a skipped file must not be recorded as an input.

use std::vec::IntoIter;

use super::Sysroot;
use crate::path::RootfsPath;

/// All below a directory: names in order, and the directories that the caller enters after all other names.
pub(crate) struct Below {
    left: Vec<RootfsPath>,
    folder: RootfsPath,
    names: IntoIter<Box<[u8]>>,
}

impl Below {
    /// A walk through each of `directories`, the last one first.
    pub(crate) fn each(directories: Vec<RootfsPath>) -> Self {
        Self { left: directories, folder: RootfsPath::root(), names: Vec::new().into_iter() }
    }

    /// A walk through `directory`.
    pub(crate) fn of(directory: RootfsPath) -> Self {
        Self::each(vec![directory])
    }

    /// The next path.
    pub(crate) fn next(&mut self, view: &mut Sysroot) -> Option<RootfsPath> {
        loop {
            if let Some(name) = self.names.next() {
                return Some(self.folder.child(&name));
            }
            self.folder = self.left.pop()?;
            self.names = view.names(&self.folder).into_iter();
        }
    }

    /// Adds the contents of `directory`. Do not enter a link to a directory: it may form a cycle.
    pub(crate) fn enter(&mut self, directory: RootfsPath) {
        self.left.push(directory);
    }
}
