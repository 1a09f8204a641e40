//! Makes the entries of a rootfs below an open directory, with openat(2) and without following symlinks.
//!
//! The directory is private until it is complete. Its path, and the directory that it replaces, are not known here.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::{Errno, Result as SysResult};

#[cfg(feature = "cli")]
use super::Hollow;
use crate::error::{Error, Warning};
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Kind};

const CAPABILITY: &str = "security.capability";

/// A tree that is written in the order of a rootfs.
pub(super) struct Tree {
    root: OwnedFd,
    times: Timestamps,
    /// Only root may change owners and set capabilities.
    is_root: bool,
    /// The last used directory; most entries follow others of the same directory.
    parent: Option<(RootfsPath, OwnedFd)>,
    /// The current regular file, while bytes of it are missing.
    file: Option<Growing>,
    /// Directories get their modes at the end, after their entries. The root is the first.
    folders: Vec<(RootfsPath, Attributes)>,
    lost: Lost,
}

struct Growing {
    path: RootfsPath,
    file: File,
    left: u64,
    attributes: Attributes,
    capability: Option<Arc<[u8]>>,
}

#[derive(Clone, Copy)]
struct Attributes {
    mode: Mode,
    owner: Uid,
    group: Gid,
}

impl From<&Entry> for Attributes {
    fn from(entry: &Entry) -> Self {
        Self {
            mode: Mode::from_raw_mode(entry.mode & 0o7777),
            owner: Uid::from_raw(entry.uid),
            group: Gid::from_raw(entry.gid),
        }
    }
}

/// The failed entry, and its error.
pub(super) struct Failed(RootfsPath, std::io::Error);

impl Failed {
    /// An error that names the file on the host.
    pub(super) fn below(self, root: &Path) -> Error {
        Error::io("write", self.0.below(root), self.1)
    }
}

/// Files without the attributes that only root can set.
#[derive(Default)]
pub(super) struct Lost {
    capabilities: Vec<RootfsPath>,
    set_id_bits: Vec<RootfsPath>,
}

impl Lost {
    pub(super) fn warnings(&self, root: &Path) -> Vec<Warning> {
        let root = root.display();
        let lost = [("capabilities", &self.capabilities), ("setuid and setgid bits", &self.set_id_bits)];
        let lost = lost.into_iter().filter(|(_, paths)| !paths.is_empty());
        lost.map(|(what, paths)| {
            let names = paths.iter().map(RootfsPath::to_text).collect::<Vec<_>>();
            Warning::new(format!("{what} cannot be set in `{root}`, of {}", names.join(", ")))
                .help("write it as root, or use --tar, which keeps them")
        })
        .collect()
    }
}

impl Tree {
    /// Starts below `root`, an empty directory with mode 0700. The mode becomes 0755 if the rootfs has no entry for its
    /// root.
    pub(super) fn new(root: BorrowedFd<'_>, epoch: i64) -> SysResult<Self> {
        let time = Timespec { tv_sec: epoch, tv_nsec: 0 };
        Ok(Self {
            root: root.try_clone_to_owned().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?,
            times: Timestamps { last_access: time, last_modification: time },
            is_root: rustix::process::geteuid().is_root(),
            parent: None,
            file: None,
            folders: vec![(
                RootfsPath::root(),
                Attributes { mode: Mode::from_raw_mode(0o755), owner: Uid::ROOT, group: Gid::ROOT },
            )],
            lost: Lost::default(),
        })
    }

    pub(super) fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<(), Failed> {
        self.make(path, entry).map_err(|error| Failed(path.clone(), error.into()))
    }

    fn make(&mut self, path: &RootfsPath, entry: &Entry) -> SysResult<()> {
        let attributes = Attributes::from(entry);
        let Some(folder) = path.parent() else {
            self.folders[0].1 = attributes;
            return Ok(());
        };
        let (is_root, times) = (self.is_root, self.times.clone());
        let target = match &entry.kind {
            Kind::Hardlink(target) => Some((self.open(&target.parent().unwrap_or_else(RootfsPath::root))?, target)),
            _ => None,
        };
        let parent = self.parent(folder)?;
        let name = path.file_name();
        match &entry.kind {
            Kind::Dir => {
                rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
                // The umask may have removed the owner's permissions.
                rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
                self.folders.push((path.clone(), attributes));
            }
            Kind::Symlink(target) => {
                rustix::fs::symlinkat(&**target, parent, name)?;
                if is_root {
                    let (owner, group) = (Some(attributes.owner), Some(attributes.group));
                    as_far_as_mapped(rustix::fs::chownat(parent, name, owner, group, AtFlags::SYMLINK_NOFOLLOW))?;
                }
                rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Kind::Hardlink(_) => {
                if let Some((folder, target)) = target {
                    rustix::fs::linkat(folder, target.file_name(), parent, name, AtFlags::empty())?;
                }
            }
            Kind::File(_) => {
                let file = create(parent, name)?;
                let capability = entry.capability.clone();
                let growing = Growing { path: path.clone(), file, left: entry.size(), attributes, capability };
                if growing.left == 0 {
                    self.complete(growing)?;
                } else {
                    self.file = Some(growing);
                }
            }
        }
        Ok(())
    }

    /// Makes a regular file with a length but no bytes, and with these extended attributes.
    #[cfg(feature = "cli")]
    pub(super) fn hollow(&mut self, path: &RootfsPath, entry: &Entry, hollow: &Hollow) -> Result<(), Failed> {
        let mut make = || {
            let file = create(self.parent(path.parent().unwrap_or_else(RootfsPath::root))?, path.file_name())?;
            rustix::fs::ftruncate(&file, hollow.size)?;
            for (name, value) in &hollow.attributes {
                rustix::fs::fsetxattr(&file, *name, value, XattrFlags::CREATE)?;
            }
            let (attributes, capability) = (Attributes::from(entry), entry.capability.clone());
            self.complete(Growing { path: path.clone(), file, left: 0, attributes, capability })
        };
        make().map_err(|error| Failed(path.clone(), error.into()))
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let Some(mut growing) = self.file.take() else { return Ok(()) };
        let path = growing.path.clone();
        growing.file.write_all(bytes).map_err(|error| Failed(path.clone(), error))?;
        growing.left -= bytes.len() as u64;
        if growing.left > 0 {
            self.file = Some(growing);
            return Ok(());
        }
        self.complete(growing).map_err(|error| Failed(path, error.into()))
    }

    /// Sets last the attributes that a write would clear: chown(2) clears setuid bits and capabilities.
    fn complete(&mut self, growing: Growing) -> SysResult<()> {
        let Growing { path, file, attributes, capability, .. } = growing;
        if self.is_root {
            as_far_as_mapped(rustix::fs::fchown(&file, Some(attributes.owner), Some(attributes.group)))?;
        }
        let mode = without_set_ids(&file, attributes)?;
        if mode != attributes.mode {
            self.lost.set_id_bits.push(path.clone());
        }
        if let Some(capability) = capability {
            match rustix::fs::fsetxattr(&file, CAPABILITY, &capability, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::OPNOTSUPP) => self.lost.capabilities.push(path),
                Err(error) => return Err(error),
            }
        }
        rustix::fs::fchmod(&file, mode)?;
        rustix::fs::futimens(&file, &self.times)
    }

    /// Sets the modes and times of the directories, the deepest first.
    pub(super) fn finish(mut self) -> Result<Lost, Failed> {
        for (path, attributes) in std::mem::take(&mut self.folders).into_iter().rev() {
            self.settle(&path, attributes).map_err(|error| Failed(path, error.into()))?;
        }
        Ok(self.lost)
    }

    fn settle(&self, path: &RootfsPath, attributes: Attributes) -> SysResult<()> {
        let folder = self.open(path)?;
        if self.is_root {
            as_far_as_mapped(rustix::fs::fchown(&folder, Some(attributes.owner), Some(attributes.group)))?;
        }
        rustix::fs::fchmod(&folder, attributes.mode)?;
        rustix::fs::futimens(&folder, &self.times)
    }

    fn parent(&mut self, path: RootfsPath) -> SysResult<BorrowedFd<'_>> {
        let opened = match self.parent.take() {
            Some((last, folder)) if last == path => folder,
            _ => self.open(&path)?,
        };
        Ok(self.parent.insert((path, opened)).1.as_fd())
    }

    /// Opens a directory of the tree component by component, so that no symlink leads out of it.
    fn open(&self, path: &RootfsPath) -> SysResult<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = rustix::fs::openat(&self.root, c".", flags, Mode::empty())?;
        for component in path.components() {
            folder = rustix::fs::openat(&folder, component, flags, Mode::empty())?;
        }
        Ok(folder)
    }
}

fn create(parent: BorrowedFd<'_>, name: &[u8]) -> SysResult<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?))
}

/// Accepts that an owner cannot be set if the user namespace does not map it (user_namespaces(7)): there, root has no
/// more rights than other users.
fn as_far_as_mapped(changed: SysResult<()>) -> SysResult<()> {
    match changed {
        Err(Errno::INVAL) => Ok(()),
        changed => changed,
    }
}

/// The mode for `file`: set-ID bits only if the file has its planned owner. A file that is setuid to the packing user
/// would let everyone act as that user.
fn without_set_ids(file: &File, attributes: Attributes) -> SysResult<Mode> {
    let stat = rustix::fs::fstat(file)?;
    let mut mode = attributes.mode;
    mode.set(Mode::SUID, mode.contains(Mode::SUID) && stat.st_uid == attributes.owner.as_raw());
    mode.set(Mode::SGID, mode.contains(Mode::SGID) && stat.st_gid == attributes.group.as_raw());
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::rootfs::{Body, Origin};

    #[test]
    fn who_cannot_give_files_away_gives_no_set_id_bits_either() {
        let folder = tempfile::tempdir().unwrap();
        let root = File::open(folder.path()).unwrap();
        let mut tree = Tree { is_root: false, ..Tree::new(root.as_fd(), 0).unwrap() };
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let cases = [
            ("/foreign", (own.0 + 7, own.1 + 7), 0o755),
            ("/group", (own.0, own.1 + 7), 0o4755),
            ("/own", own, 0o6755),
        ];
        for (path, (uid, gid), _) in cases {
            let body = Kind::File(Body::Bytes(Arc::from(&b""[..])));
            let entry = Entry { uid, gid, ..Entry::new(body, 0o6755, Origin::Tool("x".to_owned())) };
            assert!(tree.entry(&RootfsPath::parse(path).unwrap(), &entry).is_ok());
        }
        let Ok(lost) = tree.finish() else { panic!("the tree is not complete") };
        for (path, _, mode) in cases {
            let metadata = folder.path().join(&path[1..]).metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
        }
        let warnings = lost.warnings(Path::new("out"));
        let messages: Vec<_> = warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(messages, ["setuid and setgid bits cannot be set in `out`, of /foreign, /group"]);
    }
}
