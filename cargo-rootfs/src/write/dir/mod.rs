//! The directory sink: a rootfs as a tree on disk, built beside its final name and renamed when it is complete.
//!
//! `standing` decides whether an existing directory may be removed.

#[cfg(feature = "cli")]
mod blob_directory;
#[cfg(feature = "cli")]
mod fill;
pub(super) mod remove;
mod staging;
mod standing;
mod tree;

use std::io;
use std::path::PathBuf;

use camino::Utf8Path;

use super::folders::{NewFolders, holding};
use super::{Observer, Sink, Staged, Written, encode};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::Entry;
#[cfg(feature = "cli")]
pub(crate) use blob_directory::BlobDirectory;
#[cfg(feature = "cli")]
pub(crate) use fill::{Hollow, Temporary, fill, remove_in};
use staging::Staging;
use standing::Standing;
use tree::Tree;

/// The directories that may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// An empty one, or one of an earlier run without files from elsewhere.
    OwnOnly,
    /// Any, with all its contents.
    Force,
}

/// A directory that is being written.
pub struct Dir {
    tree: Tree,
    output: Output,
}

/// The final path of the directory, and its temporary one.
struct Output {
    staging: Staging,
    /// As the user typed it.
    written: PathBuf,
    /// The same, without symlinks if it exists.
    path: PathBuf,
    replace: Replace,
    epoch: i64,
    folders: NewFolders,
}

impl Dir {
    /// A directory that will get the name `path`, in which everything has the modification time `epoch` (seconds since
    /// 1970). Missing parent directories are made.
    ///
    /// Modes are exact with any umask. Root sets the entries' owners and capabilities. Any other user owns all files,
    /// and [`Observer::warn`] receives the capabilities and set-ID bits that could not be set.
    ///
    /// # Errors
    ///
    /// The directory at `path` may not be replaced, is a mount point or contains one; the directory beside it is not
    /// writable; `epoch` is negative.
    pub fn create(path: &Utf8Path, epoch: i64, replace: Replace) -> Result<Box<dyn Sink>> {
        let output = Output::begin(path, epoch, replace)?;
        let failed = |error: rustix::io::Errno| Error::io("create", &output.written, error.into());
        let tree = Tree::new(output.staging.folder(), epoch).map_err(failed)?;
        Ok(Box::new(Self { tree, output }))
    }
}

impl Output {
    /// Makes an empty directory beside `path`.
    fn begin(path: &Utf8Path, epoch: i64, replace: Replace) -> Result<Self> {
        encode::mtime(epoch)?;
        let written = path.as_std_path().to_owned();
        let path = match written.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => written.clone(),
            Err(error) => return Err(Error::io("create", &written, error)),
        };
        if path.file_name().is_none() {
            return Err(Error::failed(format!("cannot replace the directory `{}`", written.display())));
        }
        Standing::at(&path, replace)?;
        let folders = NewFolders::create(holding(&path))?;
        let failed = |error: rustix::io::Errno| Error::io("create", &written, error.into());
        let staging = Staging::beside(&path).map_err(failed)?;
        Ok(Self { staging, written, path, replace, epoch, folders })
    }

    /// Marks the directory as made by this tool; returns false if its file system has no such attributes.
    fn mark(&self) -> Result<bool> {
        standing::mark(self.staging.folder(), self.epoch)
            .map_err(|error| Error::io("mark", &self.written, error.into()))
    }
}

impl Sink for Dir {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        self.tree.entry(path, entry).map_err(|failed| failed.below(&self.output.written))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.tree.data(bytes).map_err(|failed| failed.below(&self.output.written))
    }

    fn finish(self: Box<Self>, observer: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { tree, output } = *self;
        // Before the tree gets its final modes: a mark needs write permission on the directory (xattr(7)).
        let marked = output.mark()?;
        let lost = tree.finish().map_err(|failed| failed.below(&output.written))?;
        lost.warnings(&output.written).into_iter().for_each(|warning| observer.warn(warning));
        Ok(Box::new(Complete { output, marked }))
    }
}

struct Complete {
    output: Output,
    /// True if the directory itself has the mark, and needs no file beside it.
    marked: bool,
}

impl Staged for Complete {
    fn commit(self: Box<Self>) -> Result<Written> {
        let Self { output: Output { staging, written, path, replace, epoch, folders }, marked } = *self;
        let standing = Standing::at(&path, replace)?;
        if !marked {
            standing::mark_beside(&path, staging.folder(), epoch)?;
        }
        let failed = |error: rustix::io::Errno| Error::io("replace", &written, error.into());
        let earlier = match standing {
            Standing::Absent => staging.rename_new(&path).map(|()| None),
            Standing::Empty => staging.rename_over(&path).map(|()| None),
            Standing::Full => staging.exchange(&path).map(Some),
        };
        let earlier = earlier.map_err(failed)?;
        folders.keep();
        if let Some(earlier) = earlier {
            remove::tree(&earlier).map_err(|error| {
                Error::io("remove", &earlier, error.into())
                    .detail(format!("it is what was `{}` before; the new one is in its place", written.display()))
            })?;
        }
        Ok(Written::Dir(written))
    }
}

#[cfg(test)]
mod tests;
