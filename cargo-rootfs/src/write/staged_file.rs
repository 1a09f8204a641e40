//! A file that appears under its name complete, or never.
//!
//! It is not synced: what a crash of the machine leaves is for the file system to say, as for any build product.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FallocateFlags, FlockOperation, OFlags};
use tempfile::{NamedTempFile, TempPath};

use super::folders::{NewFolders, holding};
use super::leftover;
use crate::error::{Error, Result};

/// Mode of a new file before the umask, as for any other build product.
const MODE: u32 = 0o666;

/// A file without its name. Dropping it leaves what stands under that name as it is.
pub(crate) struct StagedFile {
    temporary: Temporary,
    path: PathBuf,
    folders: NewFolders,
}

enum Temporary {
    /// Without any name (O_TMPFILE, open(2)): even a killed process leaves nothing behind.
    Unnamed(File),
    /// A named temporary file, if the file system has no nameless ones, or no /proc is there to name them later.
    Named(NamedTempFile),
}

impl StagedFile {
    /// Will be the regular file `path`. Missing directories above it are made.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let folders = NewFolders::create(holding(path))?;
        // Only where a file is replaced may one without a name have left something.
        if path.symlink_metadata().is_ok() {
            leftover::remove(path);
        }
        let temporary = match unnamed(holding(path)) {
            Some(file) => Temporary::Unnamed(file),
            None => Temporary::Named(named(path)?),
        };
        Ok(Self { temporary, path: path.to_owned(), folders })
    }

    /// The same as on a file system that has only named files.
    #[cfg(test)]
    pub(super) fn named(path: &Path) -> Result<Self> {
        let folders = NewFolders::create(holding(path))?;
        Ok(Self { temporary: Temporary::Named(named(path)?), path: path.to_owned(), folders })
    }

    pub(super) fn file(&self) -> &File {
        match &self.temporary {
            Temporary::Unnamed(file) => file,
            Temporary::Named(file) => file.as_file(),
        }
    }

    /// Has the file system find room for `length` bytes at once: on ext4 this saves a quarter of the writing.
    ///
    /// Not where a file is to be replaced: there ext4 allocates and writes the new one back before the rename, so that
    /// a crash of the machine leaves one or the other (auto_da_alloc, ext4(5)), but does so only for what it has not
    /// allocated yet.
    pub(super) fn reserve(&self, length: u64) {
        if std::fs::symlink_metadata(&self.path).is_err() {
            // Where it cannot, writing tells what matters.
            let _ = rustix::fs::fallocate(self.file(), FallocateFlags::KEEP_SIZE, 0, length);
        }
    }

    /// Puts it under its name, over what may stand there.
    pub(crate) fn persist(self) -> Result<()> {
        let Self { temporary, path, folders } = self;
        let named = match temporary {
            Temporary::Named(file) => Some(file.into_temp_path()),
            Temporary::Unnamed(file) => link(&file, &path).map_err(|error| Error::io("create", &path, error))?,
        };
        if let Some(named) = named {
            named.persist(&path).map_err(|error| Error::io("replace", &path, error.error))?;
        }
        folders.keep();
        Ok(())
    }
}

/// A file in `folder` that has no name but can get one.
pub(super) fn unnamed(folder: &Path) -> Option<File> {
    let flags = i32::try_from(OFlags::TMPFILE.bits()).ok()?;
    let file = File::options().read(true).write(true).mode(MODE).custom_flags(flags).open(folder).ok()?;
    std::fs::metadata(magic_link(&file)).is_ok().then_some(file)
}

/// A file beside `path` that is removed when it is dropped.
fn named(path: &Path) -> Result<NamedTempFile> {
    leftover::remove(path);
    // Its own way to make files would put a path into the error that nobody asked for.
    let create = |name: &Path| File::options().write(true).create_new(true).mode(MODE).open(name);
    loop {
        let made = tempfile::Builder::new().prefix(&leftover::prefix(path)).make_in(holding(path), create);
        let file = made.map_err(|error| Error::io("create", path, error))?;
        if leftover::lock(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
}

/// Gives `file` the name `path`; or, where that is taken, one beside it, since linkat(2) replaces nothing.
fn link(file: &File, path: &Path) -> io::Result<Option<TempPath>> {
    // open(2) shows this way for O_TMPFILE; AT_EMPTY_PATH would need a privilege.
    let link = |name: &Path| rustix::fs::linkat(CWD, magic_link(file), CWD, name, AtFlags::SYMLINK_FOLLOW);
    match link(path) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::EXIST) => {
            let _ = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
            let named = tempfile::Builder::new()
                .prefix(&leftover::prefix(path))
                .make_in(holding(path), |name| Ok(link(name)?))?;
            Ok(Some(named.into_temp_path()))
        }
        Err(error) => Err(error.into()),
    }
}

fn magic_link(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.file().write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::tests::temp;
    use super::*;

    /// Replacing is left to what the file system does for it (auto_da_alloc of ext4(5)).
    #[test]
    fn room_is_set_aside_for_a_new_file_only() {
        let (_folder, folder) = temp();
        let path = folder.join("x").into_std_path_buf();
        for is_new in [true, false] {
            let mut file = StagedFile::create(&path).unwrap();
            file.reserve(100_000);
            let metadata = file.file().metadata().unwrap();
            assert_eq!((metadata.len(), metadata.blocks() * 512 >= 100_000), (0, is_new));
            file.write_all(b"short").unwrap();
            file.persist().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"short");
        }
    }
}
