//! A directory of the host as a root file system: every path, and every absolute or `..` symlink, resolves inside it.
//!
//! It reads names, symlinks and ELF headers, each once, and caches them; it writes nothing and executes nothing. Files
//! that the image will have but the directory has not (the project's own) can be added to the view.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::elf::{Buffers, Imports, Object};
use crate::error::Result;
use crate::host_files;
use crate::path::RootfsPath;
use crate::resolve::{BadObject, FileId, Files};
use crate::rootfs::{HostFile, HostStat};

mod ahead;
mod below;
mod disk;
mod expand;
mod files;
mod lookup;
mod nodes;
mod overlay;
mod way;

pub(crate) use below::Below;
use disk::Disk;
pub(crate) use disk::Folder;
use lookup::Reached;
pub(crate) use lookup::asks_for_folder;
use nodes::{Kind, NodeId, Nodes};

/// A directory of the host as a root file system.
#[derive(Debug)]
pub struct Sysroot {
    disk: Arc<Disk>,
    hidden: Vec<RootfsPath>,
    nodes: Nodes,
    files: Vec<FileRecord>,
    by_inode: FxHashMap<(u64, u64), FileId>,
    /// The resolved directories of paths, each with a final slash.
    folders: FxHashMap<Box<[u8]>, Reached>,
    /// Host directories whose files appear in a directory of the sysroot, before its own.
    grafts: FxHashMap<NodeId, Vec<PathBuf>>,
    buffers: Buffers,
}

/// A known regular file.
#[derive(Debug)]
struct FileRecord {
    place: Place,
    stat: HostStat,
    info: OnceCell<Arc<FileInfo>>,
    object: Option<std::result::Result<Arc<Object>, BadObject>>,
    /// Set by the first query.
    imports: Option<Imports>,
    /// True if another view, used by another thread, shares the object.
    is_shared: bool,
}

/// The location of a regular file.
#[derive(Debug)]
enum Place {
    Inside(RootfsPath),
    /// On the host, added by `plant` or `graft`.
    Outside(PathBuf),
}

/// A regular file of the sysroot, or of the project.
#[derive(Debug, Clone)]
pub struct FileInfo {
    /// Its path on the host, and its state when it was looked up.
    pub host: Arc<HostFile>,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Its owner on the host.
    pub uid: u32,
    /// Its group on the host.
    pub gid: u32,
}

/// The result of resolving a path.
#[derive(Debug)]
pub struct Walk {
    /// The symlinks on the way, in order: each with its own real path and its target.
    pub links: Links,
    /// The directories that a `..` left: the path works only if they exist.
    pub passed: Vec<RootfsPath>,
    /// The real path at the end, without symlinks; the object may be absent.
    pub path: RootfsPath,
    /// The object at the end.
    pub end: End,
}

/// Symlinks on a path: each with its own real path and its target.
pub type Links = Vec<(RootfsPath, Arc<[u8]>)>;

/// The kind of object at the end of a [`Walk`].
#[derive(Debug, Clone)]
pub enum End {
    /// A regular file.
    File(FileId),
    /// A directory, with its mode.
    Dir(u32),
    /// A device, FIFO or socket; the word names which.
    Special(&'static str),
    /// The path does not exist.
    Absent,
    /// A component that should be a directory is none.
    NotDir,
    /// More than 40 symlinks.
    Loop,
    /// The look-up failed.
    Failed(Arc<io::Error>),
}

impl Sysroot {
    /// Opens the directory `root`.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self::new(Arc::new(Disk::open(root)?)))
    }

    fn new(disk: Arc<Disk>) -> Self {
        Self {
            hidden: Vec::new(),
            nodes: Nodes::new(disk.mode()),
            files: Vec::new(),
            by_inode: FxHashMap::default(),
            folders: FxHashMap::default(),
            grafts: FxHashMap::default(),
            buffers: Buffers::default(),
            disk,
        }
    }

    /// Another view of the same open directory, without cached results and changes.
    pub(crate) fn afresh(&self) -> Self {
        Self::new(Arc::clone(&self.disk))
    }

    /// A copy of this view for another thread, with the same cached results. Reference-counted data is copied: two
    /// cores that change the same count wait for each other.
    #[cfg(feature = "cli")]
    pub(crate) fn twin(&self) -> Self {
        let file = |record: &FileRecord| {
            let place = match &record.place {
                Place::Inside(path) => Place::Inside(path.copy()),
                Place::Outside(path) => Place::Outside(path.clone()),
            };
            FileRecord {
                place,
                stat: record.stat,
                info: OnceCell::new(),
                object: record.object.clone(),
                imports: None,
                is_shared: true,
            }
        };
        Self {
            disk: Arc::clone(&self.disk),
            hidden: self.hidden.clone(),
            nodes: self.nodes.copy(),
            files: self.files.iter().map(file).collect(),
            by_inode: self.by_inode.clone(),
            folders: self.folders.clone(),
            grafts: self.grafts.clone(),
            buffers: Buffers::default(),
        }
    }

    /// The directory on the host, without symlinks.
    pub fn root(&self) -> &Path {
        self.disk.root()
    }

    /// The owner of the directory itself: root, or the user who unpacked it.
    pub fn owner(&self) -> u32 {
        self.disk.owner()
    }

    /// Up to `length` bytes from the beginning of the file; empty if it cannot be read.
    pub fn head(&self, file: FileId, length: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Ok(handle) = self.open_file(file) {
            let _ = handle.take(length).read_to_end(&mut bytes);
        }
        bytes
    }

    /// The file's metadata.
    pub fn info(&self, file: FileId) -> &Arc<FileInfo> {
        let FileRecord { place, stat, info, .. } = &self.files[file.0];
        info.get_or_init(|| {
            let path = match place {
                Place::Inside(path) => path.below(self.root()),
                Place::Outside(path) => path.clone(),
            };
            let host = Arc::new(HostFile::from_stat(path, stat));
            Arc::new(FileInfo { host, mode: stat.mode, uid: stat.uid, gid: stat.gid })
        })
    }

    /// Resolves `path`.
    pub fn walk(&mut self, path: &RootfsPath) -> Walk {
        let (mut links, mut passed) = (Vec::new(), Vec::new());
        let (path, end) = self.follow(path, Some((&mut links, &mut passed)));
        Walk { links, passed, path, end }
    }

    /// Resolves the directory part of `path`, and returns the real path of `path`; its last component is not followed,
    /// and need not exist.
    pub fn place(&mut self, path: &RootfsPath) -> Walk {
        let Some(parent) = path.parent() else { return self.walk(path) };
        let mut walk = self.walk(&parent);
        walk.path = walk.path.join(path.file_name());
        walk
    }

    /// The file with this device and inode, if it is known.
    pub fn by_inode(&self, inode: (u64, u64)) -> Option<FileId> {
        self.by_inode.get(&inode).copied()
    }

    /// Returns whether `path` is in a hidden directory.
    pub fn is_hidden(&self, path: &RootfsPath) -> bool {
        self.hidden.iter().any(|hidden| path.is_within(hidden))
    }

    /// The sorted names in the directory at `path`; empty if it is no directory.
    pub fn names(&mut self, path: &RootfsPath) -> Vec<Box<[u8]>> {
        let (path, End::Dir(_)) = self.follow(path, None) else { return Vec::new() };
        let names = host_files::names(&path.below(self.root())).ok().unwrap_or_default();
        names.into_iter().map(|name| name.into_vec().into_boxed_slice()).collect()
    }

    /// Reads a small file of the sysroot; `None` if it is absent, too long or unreadable.
    pub fn read_small(&mut self, path: &RootfsPath, limit: usize) -> Option<Vec<u8>> {
        let (_, End::File(file)) = self.follow(path, None) else { return None };
        self.read(file, limit).ok()
    }

    /// Reads a file at a path without symlinks, and does not record it as an input.
    pub(crate) fn peek(&self, path: &RootfsPath, limit: usize) -> Option<Vec<u8>> {
        let file = self.disk.file(path).ok()?;
        // With room for one more byte, the end of the file is noticed without a reallocation.
        let length = file.metadata().map_or(0, |metadata| metadata.len()).min(limit as u64);
        let mut bytes = Vec::with_capacity(length as usize + 32);
        file.take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= limit).then_some(bytes)
    }

    /// The directory at a path without links, for reading many of its files. The look-up is not recorded.
    pub(crate) fn folder(&self, path: &RootfsPath) -> Option<Folder> {
        self.disk.folder(path).ok()
    }

    /// Returns whether a file is at a path without links. The look-up is not recorded.
    pub(crate) fn has(&self, path: &RootfsPath) -> bool {
        self.disk.file(path).is_ok()
    }

    /// The looked-up host paths: the existing ones, and the missing ones.
    pub fn inputs(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (mut present, mut absent) = (Vec::new(), Vec::new());
        for node in self.nodes.iter() {
            match &node.kind {
                Kind::File(file) => present.push(self.info(*file).host.path.clone()),
                Kind::Link(_) => present.push(node.path.below(self.root())),
                Kind::Absent => absent.push(node.path.below(self.root())),
                _ => {}
            }
        }
        (present, absent)
    }

    fn record(&mut self, place: Place, stat: HostStat) -> FileId {
        let Self { files, by_inode, .. } = self;
        *by_inode.entry(stat.inode).or_insert_with(|| {
            let info = OnceCell::new();
            files.push(FileRecord { place, stat, info, object: None, imports: None, is_shared: false });
            FileId(files.len() - 1)
        })
    }

    /// Opens the host's file for reading.
    fn open_file(&self, file: FileId) -> io::Result<File> {
        match &self.files[file.0].place {
            Place::Inside(path) => self.disk.file(path),
            Place::Outside(path) => host_files::open_itself(path).result(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::resolve::Find;

    #[test]
    fn links_of_the_folder_and_of_the_name_count_together() {
        let root = tempfile::TempDir::new().unwrap();
        let chain = |name: &str, count: usize| {
            for at in 0..count {
                symlink(format!("{name}{at}"), root.path().join(format!("{name}{}", at + 1))).unwrap();
            }
        };
        std::fs::create_dir(root.path().join("d0")).unwrap();
        std::fs::write(root.path().join("d0/f"), "").unwrap();
        chain("d", 25);
        chain("e", 16);
        symlink("d25/f", root.path().join("e0")).unwrap();
        let mut sysroot = Sysroot::open(root.path()).unwrap();
        // 25 symlinks in the directory, after 16 and one more.
        let mut find = |path: &str| sysroot.find(&RootfsPath::parse(path).unwrap());
        assert!(matches!(find("/d25/f"), Find::File { .. }));
        assert!(matches!(find("/d25/../e14"), Find::Loop), "25 and 15 and 25");
        assert!(matches!(find("/e14"), Find::File { .. }), "15 and 25");
        assert_eq!(find("/e16"), Find::Loop);
    }

    #[test]
    fn what_lies_below_an_absent_folder_keeps_its_whole_path() {
        let root = tempfile::TempDir::new().unwrap();
        std::fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        symlink("usr/lib", root.path().join("lib")).unwrap();
        let mut sysroot = Sysroot::open(root.path()).unwrap();
        for (path, place) in [
            ("/lib/a", "/usr/lib/a"),
            ("/lib/a/b/c/d", "/usr/lib/a/b/c/d"),
            ("/opt/a/b/c", "/opt/a/b/c"),
            ("/opt/a/../b/c", "/opt/b/c"),
        ] {
            let path = RootfsPath::parse(path).unwrap();
            assert_eq!(sysroot.place(&path).path.to_string(), place, "{path}");
            assert_eq!(sysroot.walk(&path).path.to_string(), place, "{path}");
        }
    }
}
