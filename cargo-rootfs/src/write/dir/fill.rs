//! Writes a rootfs into an open directory that never gets a name, because it is entered and then removed.
//!
//! Some regular files may be hollow: of their length, but without their bytes.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::remove;
use super::staging::Staging;
use super::tree::Tree;
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, Kind, Rootfs};
use crate::write::folders::NewFolders;
use crate::write::{self, Observer, Sink, Staged, Written};

/// A regular file without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hollow {
    /// Its length.
    pub(crate) size: u64,
    /// Extended attributes with the place of the bytes.
    pub(crate) attributes: Vec<(&'static str, Vec<u8>)>,
}

/// Makes the entries of `rootfs` in the empty directory `folder`, with the modification time `epoch`; the files in
/// `hollow` without their bytes.
///
/// Attributes that only root can set are left out for other users, without a message: inside, all files belong to root
/// anyway.
///
/// # Errors
///
/// Those of [`stage`](write::stage).
pub(crate) fn fill(
    rootfs: &Rootfs,
    folder: BorrowedFd<'_>,
    epoch: i64,
    hollow: BTreeMap<RootfsPath, Hollow>,
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<()> {
    let tree = Tree::new(folder, epoch).map_err(|error| Error::io("write", ROOT, error.into()))?;
    let mut rootfs = rootfs.clone();
    for path in hollow.keys() {
        let Some(entry) = rootfs.get_mut(path) else { continue };
        if let Kind::File(Body::Host(file)) = &entry.kind {
            // Opening fails if the file has changed since it was planned.
            file.open()?;
        }
        entry.kind = Kind::File(Body::Bytes(Arc::from([])));
    }
    write::stage(&rootfs, vec![Box::new(Filling { tree, hollow })], observer, interrupted).map(drop)
}

/// The name of the root directory in errors.
const ROOT: &str = "/";

struct Filling {
    tree: Tree,
    hollow: BTreeMap<RootfsPath, Hollow>,
}

impl Sink for Filling {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        match self.hollow.get(path) {
            Some(hollow) => self.tree.hollow(path, entry, hollow),
            None => self.tree.entry(path, entry),
        }
        .map_err(|failed| failed.below(Path::new(ROOT)))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.tree.data(bytes).map_err(|failed| failed.below(Path::new(ROOT)))
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        self.tree.finish().map_err(|failed| failed.below(Path::new(ROOT)))?;
        Ok(Box::new(Filled))
    }
}

/// A staged directory that gets no name.
struct Filled;

impl Staged for Filled {
    fn commit(self: Box<Self>) -> Result<Written> {
        Ok(Written::Dir(ROOT.into()))
    }
}

/// A directory that is removed when this value is dropped. The next run removes one of a killed run.
pub(crate) struct Temporary(Staging);

impl Temporary {
    /// Makes a directory in `folder`, which is made too if missing.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        NewFolders::create(folder)?.keep();
        let beside: PathBuf = folder.join("entered");
        let staging =
            Staging::beside(&beside).map_err(|error| Error::io("create a directory in", folder, error.into()))?;
        Ok(Self(staging))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The open directory.
    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.0.folder()
    }
}

/// Removes the directory `name` of the open directory `parent`, with its contents.
pub(crate) fn remove_in(parent: &OwnedFd, name: &CStr) -> std::io::Result<()> {
    Ok(remove::tree_in(parent.as_fd(), name)?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::rootfs::{HostFile, Origin};

    #[test]
    fn hollow_files_have_length_mode_and_attributes() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("host");
        std::fs::write(&host, vec![1; 1 << 20]).unwrap();
        let into = folder.path().join("into");
        std::fs::create_dir(&into).unwrap();

        let origin = || Origin::Tool("x".to_owned());
        let file = HostFile::new(host.clone(), &std::fs::metadata(&host).unwrap());
        let file = Kind::File(Body::Host(Arc::new(file)));
        let mut rootfs = Rootfs::default();
        rootfs.insert(RootfsPath::root(), Entry::new(Kind::Dir, 0o755, origin()));
        let path = |text: &str| RootfsPath::parse(text).unwrap();
        // The mode forbids its owner to write, but the file gets its length and attributes.
        rootfs.insert(path("/hollow"), Entry::new(file.clone(), 0o444, origin()));
        rootfs.insert(path("/name"), Entry::new(Kind::Hardlink(path("/hollow")), 0o444, origin()));
        rootfs.insert(path("/whole"), Entry::new(file, 0o755, origin()));
        let attributes = vec![("user.test", b"value".to_vec())];
        let hollow = BTreeMap::from([(path("/hollow"), Hollow { size: 1 << 20, attributes })]);

        let open = File::open(&into).unwrap();
        fill(&rootfs, open.as_fd(), 7, hollow.clone(), &mut (), &AtomicBool::new(false)).unwrap();
        let made = std::fs::metadata(into.join("hollow")).unwrap();
        assert_eq!((made.len(), made.blocks(), made.permissions().mode() & 0o7777), (1 << 20, 0, 0o444));
        assert_eq!((made.mtime(), made.ino()), (7, std::fs::metadata(into.join("name")).unwrap().ino()));
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(into.join("hollow"), "user.test", &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"value");
        assert_eq!(std::fs::read(into.join("whole")).unwrap(), std::fs::read(&host).unwrap());

        // A changed file must not be referenced.
        std::fs::write(&host, "another").unwrap();
        let again = folder.path().join("again");
        std::fs::create_dir(&again).unwrap();
        let open = File::open(&again).unwrap();
        let error = fill(&rootfs, open.as_fd(), 7, hollow, &mut (), &AtomicBool::new(false)).unwrap_err();
        assert!(error.message().contains("changed"), "{error}");
    }

    #[test]
    fn a_temporary_folder_goes() {
        let folder = tempfile::tempdir().unwrap();
        let within = folder.path().join("a/b");
        let temporary = Temporary::new(&within).unwrap();
        std::fs::write(temporary.path().join("file"), "x").unwrap();
        drop(temporary);
        assert_eq!(std::fs::read_dir(&within).unwrap().count(), 0);
    }
}
