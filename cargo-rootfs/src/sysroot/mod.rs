//! A directory of the host as a root file system: every path, and every absolute or `..` symlink, resolves inside it.
//!
//! It reads names, symlinks and ELF headers, each once, and caches them; it writes nothing and executes nothing. Files
//! that the image will have but the directory has not (the project's own) can be added to the view.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::elf::{Buffers, Object};
use crate::error::{Error, Result};
use crate::host_files;
use crate::path::RootfsPath;
use crate::resolve::{BadObject, FileId, Files};
use crate::rootfs::{HostFile, HostStat};

mod ahead;
mod below;
mod disk;
mod expand;
mod files;
mod nodes;
mod way;

pub(crate) use below::Below;
pub(crate) use disk::Folder;
use disk::{Disk, Seen};
use nodes::{Kind, NodeId, Nodes, ROOT};
use way::Way;

/// The maximum number of symlinks in the resolution of one path, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

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

/// The result of resolving a path, and the number of symlinks on the way.
type Reached = (NodeId, usize);

/// A known regular file.
#[derive(Debug)]
struct FileRecord {
    place: Place,
    stat: HostStat,
    info: OnceCell<Arc<FileInfo>>,
    object: Option<std::result::Result<Arc<Object>, BadObject>>,
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
        let disk = Disk::open(root)?;
        Ok(Self {
            hidden: Vec::new(),
            nodes: Nodes::new(disk.mode()),
            files: Vec::new(),
            by_inode: FxHashMap::default(),
            folders: FxHashMap::default(),
            grafts: FxHashMap::default(),
            buffers: Buffers::default(),
            disk: Arc::new(disk),
        })
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

    /// Hides a host directory inside the sysroot, so that no path finds a file in it. The sysroot itself is never
    /// hidden.
    pub fn hide(&mut self, folder: &Path) {
        let Some(folder) = host_files::real(folder).ok() else { return };
        let Ok(inside) = folder.strip_prefix(self.root()) else { return };
        let path = RootfsPath::root().join(inside.as_os_str().as_bytes());
        if path != RootfsPath::root() {
            self.hidden.push(path);
            self.folders.clear();
        }
    }

    /// Makes the files of the host directory `host` appear in `folder`, before those of the sysroot.
    pub fn graft(&mut self, folder: &RootfsPath, host: PathBuf) {
        let node = self.make_dir(folder);
        let grafts = self.grafts.entry(node).or_default();
        if grafts.contains(&host) {
            return;
        }
        grafts.push(host);
        // Cached results, except planted files, may now be another file.
        let children = self.nodes.iter_mut().filter(|child| child.parent == node && !child.is_outside);
        for child in children.filter(|child| !matches!(child.kind, Kind::Dir(_))) {
            child.kind = Kind::Unknown;
        }
    }

    /// Makes the host's regular file `host` appear at `path`.
    pub fn plant(&mut self, path: &RootfsPath, host: &Path) -> Result<FileId> {
        // The path may be a symlink; the real file counts (and its directory is the value of `$ORIGIN`).
        let host = &host_files::real(host).or_cannot("read")?;
        let metadata = host_files::metadata(host).or_cannot("read")?;
        if !metadata.is_file() {
            return Err(Error::failed(format!("`{}` is not a regular file", host.display())));
        }
        let file = self.record(Place::Outside(host.to_owned()), HostStat::from(&metadata));
        self.put_outside(path, Kind::File(file));
        Ok(file)
    }

    /// Makes a symlink appear at `path`.
    pub fn plant_link(&mut self, path: &RootfsPath, target: Arc<[u8]>) {
        self.put_outside(path, Kind::Link(target));
    }

    fn put_outside(&mut self, path: &RootfsPath, kind: Kind) {
        let parent = self.make_dir(&path.parent().unwrap_or_else(RootfsPath::root));
        let node = self.nodes.put(parent, path.file_name(), kind);
        self.nodes[node].is_outside = true;
    }

    /// Returns whether the object at `realpath`, the end of a walk, was added by `plant` or `graft`.
    pub fn is_outside(&self, realpath: &RootfsPath) -> bool {
        self.nodes.find(realpath).is_some_and(|node| self.nodes[node].is_outside)
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

    fn follow(&mut self, path: &RootfsPath, record: Option<(&mut Links, &mut Vec<RootfsPath>)>) -> (RootfsPath, End) {
        let end = match record {
            // A caller that wants the symlinks needs the complete resolution.
            Some(_) => self.go((ROOT, 0), path.as_bytes(), record),
            None => {
                let (folder, name) = self.folder_of(path);
                self.go(folder, name, None)
            }
        };
        end.map_or_else(|lost| lost, |(node, _)| (self.nodes[node].path.clone(), self.end(node)))
    }

    /// The directory part of a path if it resolves to a directory, else the root; and the rest of the path. The same
    /// few directories are requested repeatedly.
    fn folder_of<'p>(&mut self, path: &'p RootfsPath) -> (Reached, &'p [u8]) {
        let (folder, name) = path.as_bytes().split_at(path.as_bytes().len() - path.file_name().len());
        if let Some(&known) = self.folders.get(folder) {
            return (known, name);
        }
        match self.go((ROOT, 0), folder, None) {
            Ok(reached) if matches!(self.nodes[reached.0].kind, Kind::Dir(_)) => {
                self.folders.insert(folder.into(), reached);
                (reached, name)
            }
            _ => ((ROOT, 0), path.as_bytes()),
        }
    }

    /// Continues from a directory. The result may be absent, or below an object that is no directory.
    fn go(
        &mut self,
        (mut node, mut met): Reached,
        path: &[u8],
        mut record: Option<(&mut Links, &mut Vec<RootfsPath>)>,
    ) -> std::result::Result<Reached, (RootfsPath, End)> {
        let mut way = Way::new(path);
        let mut needs_folder = false;
        while let Some(part) = way.next() {
            let part = way.part(part);
            if !matches!(self.nodes[node].kind, Kind::Dir(_)) {
                // A file where a directory is needed: ENOTDIR.
                let mut lost = self.nodes[node].path.child(part);
                while let Some(part) = way.next() {
                    lost = lost.child(way.part(part));
                }
                let end = match self.end(node) {
                    end @ (End::Failed(_) | End::Absent) => end,
                    _ => End::NotDir,
                };
                // Below a missing object there are no symlinks.
                return Err((lost.normalized(), end));
            }
            if part == b".." {
                if let Some((_, passed)) = &mut record {
                    passed.push(self.nodes[node].path.clone());
                }
                node = self.nodes[node].parent;
                continue;
            }
            let child = self.child(node, part);
            let Kind::Link(target) = &self.nodes[child].kind else {
                node = child;
                continue;
            };
            met += 1;
            if met > MAX_LINKS {
                return Err((self.nodes[child].path.clone(), End::Loop));
            }
            if let Some((links, _)) = &mut record {
                links.push((self.nodes[child].path.clone(), Arc::clone(target)));
            }
            if target.first() == Some(&b'/') {
                node = ROOT;
            }
            needs_folder |= asks_for_folder(target) && way.is_at_end();
            way.turn(Arc::clone(target));
        }
        if needs_folder && matches!(self.nodes[node].kind, Kind::File(_) | Kind::Special(_)) {
            return Err((self.nodes[node].path.clone(), End::NotDir));
        }
        Ok((node, met))
    }

    fn end(&self, node: NodeId) -> End {
        match &self.nodes[node].kind {
            Kind::Dir(mode) => End::Dir(mode.unwrap_or(0o755)),
            Kind::File(file) => End::File(*file),
            Kind::Special(word) => End::Special(word),
            Kind::Absent | Kind::Unknown => End::Absent,
            Kind::Link(_) => End::Loop,
            Kind::Failed(error) => End::Failed(Arc::clone(error)),
        }
    }

    /// The node of `name` in the directory `parent`, looked up if it is new.
    fn child(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        if let Some(known) = self.nodes.get(parent, name) {
            if !matches!(self.nodes[known].kind, Kind::Unknown) {
                return known;
            }
        }
        let grafts = self.grafts.get(&parent).cloned().unwrap_or_default();
        if let Some(kind) = grafts.iter().find_map(|graft| self.look_grafted(graft, name)) {
            let node = self.nodes.put(parent, name, kind);
            self.nodes[node].is_outside = true;
            return node;
        }
        let node = self.nodes.put(parent, name, Kind::Unknown);
        let seen = match self.nodes[parent].kind {
            Kind::Dir(Some(_)) if !self.hidden.contains(&self.nodes[node].path) => {
                self.disk.look(&self.nodes[node].path)
            }
            _ => Seen::Absent,
        };
        self.saw(node, seen);
        node
    }

    fn saw(&mut self, node: NodeId, seen: Seen) {
        self.nodes[node].kind = match seen {
            Seen::Dir(mode) => Kind::Dir(Some(mode)),
            Seen::Link(target) => Kind::Link(target),
            Seen::File(stat) => Kind::File(self.record(Place::Inside(self.nodes[node].path.clone()), stat)),
            Seen::Special(word) => Kind::Special(word),
            Seen::Absent => Kind::Absent,
            Seen::Failed(error) => Kind::Failed(Arc::new(error)),
        };
    }

    /// Looks up a name in a grafted directory, which shows its regular files. A symlink to a name in the same directory
    /// stays a symlink; for any other one, the file itself is shown, because host paths have no meaning in the image.
    fn look_grafted(&mut self, graft: &Path, name: &[u8]) -> Option<Kind> {
        let host = graft.join(OsStr::from_bytes(name));
        let metadata = host_files::own_metadata(&host).ok()?;
        if metadata.is_symlink() {
            let target = host_files::target(&host).ok()?.into_os_string().into_vec();
            if is_sibling(&target) {
                return Some(Kind::Link(Arc::from(target)));
            }
        }
        let host = host_files::real(&host).ok()?;
        let metadata = host_files::metadata(&host).ok()?;
        if !metadata.is_file() {
            return None;
        }
        Some(Kind::File(self.record(Place::Outside(host), HostStat::from(&metadata))))
    }

    fn record(&mut self, place: Place, stat: HostStat) -> FileId {
        let Self { files, by_inode, .. } = self;
        *by_inode.entry(stat.inode).or_insert_with(|| {
            files.push(FileRecord { place, stat, info: OnceCell::new(), object: None, is_shared: false });
            FileId(files.len() - 1)
        })
    }

    /// The directory at `path`, added if it does not exist.
    fn make_dir(&mut self, path: &RootfsPath) -> NodeId {
        // A new directory changes the results of cached paths.
        self.folders.clear();
        let mut node = ROOT;
        let mut met = 0;
        let mut way = Way::new(path.as_bytes());
        while let Some(part) = way.next() {
            let part = way.part(part);
            if part == b".." {
                node = self.nodes[node].parent;
                continue;
            }
            let child = self.child(node, part);
            match &self.nodes[child].kind {
                Kind::Link(target) if met < MAX_LINKS => {
                    met += 1;
                    if target.first() == Some(&b'/') {
                        node = ROOT;
                    }
                    way.turn(Arc::clone(target));
                }
                Kind::Dir(_) => node = child,
                _ => {
                    self.nodes[child].kind = Kind::Dir(None);
                    node = child;
                }
            }
        }
        node
    }

    /// Opens the host's file for reading.
    fn open_file(&self, file: FileId) -> io::Result<File> {
        match &self.files[file.0].place {
            Place::Inside(path) => self.disk.file(path),
            Place::Outside(path) => host_files::open_itself(path).result(),
        }
    }
}

/// Returns whether a symlink's target is a name in the same directory.
fn is_sibling(target: &[u8]) -> bool {
    !target.contains(&b'/') && !matches!(target, b"" | b"." | b"..")
}

/// Returns whether a symlink with this target can only lead to a directory (path_resolution(7), "trailing slashes").
pub(crate) fn asks_for_folder(target: &[u8]) -> bool {
    target.ends_with(b"/") || target.ends_with(b"/.") || target == b"."
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
