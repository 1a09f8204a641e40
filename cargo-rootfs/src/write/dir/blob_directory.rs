//! A directory of named blobs: the layout of an image.
//!
//! It appears complete, and replaces the same directories as `--dir` does.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use camino::Utf8Path;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::{Complete, Output, Replace};
use crate::error::{Error, Result};
use crate::write::Staged;
use crate::write::layer::MTIME;

/// A directory that is being written.
pub(crate) struct BlobDirectory(Output);

impl BlobDirectory {
    /// A directory that will get the name `path`.
    ///
    /// # Errors
    ///
    /// Those of [`Dir::create`](super::Dir::create).
    pub(crate) fn create(path: &Utf8Path, replace: Replace) -> Result<Self> {
        // Not SOURCE_DATE_EPOCH: unchanged blobs keep identical files.
        Output::begin(path, MTIME as i64, replace).map(Self)
    }

    /// Adds a file with these bytes.
    pub(crate) fn add(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let failed = |error| Error::io("write", self.0.written.join(name), error);
        self.make(name).and_then(|mut file| file.write_all(bytes).and_then(|()| settle(&file))).map_err(failed)
    }

    /// Adds the `size` bytes of `file`: by a hard link if it has no name and is on this file system, or by a copy.
    pub(crate) fn adopt(&self, name: &str, size: u64, mut file: &File) -> Result<()> {
        let failed = |error| Error::io("write", self.0.written.join(name), error);
        let mut adopted = || -> io::Result<()> {
            let path = self.place(name)?;
            if file.metadata()?.nlink() == 0 {
                // The way of open(2) to name an O_TMPFILE file.
                let link = format!("/proc/self/fd/{}", file.as_raw_fd());
                if rustix::fs::linkat(CWD, link, CWD, &path, AtFlags::SYMLINK_FOLLOW).is_ok() {
                    return settle(file);
                }
            }
            let mut copy = File::create_new(&path)?;
            file.seek(SeekFrom::Start(0))?;
            match io::copy(&mut file, &mut copy)? {
                copied if copied == size => settle(&copy),
                _ => Err(io::Error::other("a blob has another length than its size")),
            }
        };
        adopted().map_err(failed)
    }

    fn make(&self, name: &str) -> io::Result<File> {
        File::create_new(self.place(name)?)
    }

    /// The path of a file; makes its parent directories.
    fn place(&self, name: &str) -> io::Result<std::path::PathBuf> {
        let root = self.0.staging.path();
        let above = Path::new(name).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        for directory in above.collect::<Vec<_>>().into_iter().rev().map(|above| root.join(above)) {
            match DirBuilder::new().mode(0o755).create(&directory) {
                // The umask may have removed bits of the mode.
                Ok(()) => std::fs::set_permissions(&directory, Permissions::from_mode(0o755))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(root.join(name))
    }

    /// Completes the directory, except for its name.
    pub(crate) fn stage(self) -> Result<Box<dyn Staged>> {
        let marked = self.0.mark()?;
        let opened = std::fs::set_permissions(self.0.staging.path(), Permissions::from_mode(0o755));
        opened.map_err(|error| Error::io("write", &self.0.written, error))?;
        Ok(Box::new(Complete { output: self.0, marked }))
    }
}

/// Sets the mode and the modification time that all files share.
fn settle(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o644))?;
    let time = Timespec { tv_sec: MTIME as i64, tv_nsec: 0 };
    Ok(rustix::fs::futimens(file.as_fd(), &Timestamps { last_access: time, last_modification: time })?)
}
