//! A directory of the host seen as a root file system: every path, every absolute or `..` symlink,
//! resolves inside it.
//!
//! It reads names, links and ELF headers, each once, and remembers them; it writes nothing and
//! executes nothing. Files that are not in the directory but will be in the image (the project's own)
//! can be planted into the view.

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
use crate::path::RootfsPath;
use crate::resolve::{BadObject, FileId, Files};
use crate::rootfs::{HostFile, HostStat};

mod ahead;
mod disk;
mod expand;
mod files;
mod nodes;
mod way;

pub(crate) use disk::Folder;
use disk::{Disk, Seen};
use nodes::{Kind, NodeId, Nodes, ROOT};
use way::Way;

/// The most links that one path may lead through, as the kernel has it (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A directory of the host as a root file system.
#[derive(Debug)]
pub struct Sysroot {
    disk: Arc<Disk>,
    hidden: Vec<RootfsPath>,
    nodes: Nodes,
    files: Vec<FileRecord>,
    by_inode: FxHashMap<(u64, u64), FileId>,
    /// The destinations of paths of directories, each with a final slash.
    folders: FxHashMap<Box<[u8]>, Reached>,
    /// Host directories whose files appear in one of the sysroot, before its own.
    grafts: FxHashMap<NodeId, Vec<PathBuf>>,
    buffers: Buffers,
}

/// The destination of a path, and the number of links on the way.
type Reached = (NodeId, usize);

/// A regular file that was met.
#[derive(Debug)]
struct FileRecord {
    place: Place,
    stat: HostStat,
    info: OnceCell<Arc<FileInfo>>,
    object: Option<std::result::Result<Arc<Object>, BadObject>>,
    /// True if the object also belongs to another view, which another thread has.
    is_shared: bool,
}

/// The location of a regular file.
#[derive(Debug)]
enum Place {
    Inside(RootfsPath),
    /// On the host, planted or grafted.
    Outside(PathBuf),
}

/// A regular file of the sysroot, or of the project.
#[derive(Debug, Clone)]
pub struct FileInfo {
    /// Its location on the host, and its state when it was examined.
    pub host: Arc<HostFile>,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Its owner there.
    pub uid: u32,
    /// Its group there.
    pub gid: u32,
}

/// The destination of a path.
#[derive(Debug)]
pub struct Walk {
    /// The symlinks it led through, in order: each link's own real path and its target.
    pub links: Links,
    /// The directories that a `..` led out of: they must be there for the path to work.
    pub passed: Vec<RootfsPath>,
    /// The real path it ended at, free of links; of something that may be absent.
    pub path: RootfsPath,
    /// The object at the end.
    pub end: End,
}

/// Links on a way: each by its own real path, with its target.
pub type Links = Vec<(RootfsPath, Arc<[u8]>)>;

/// The kind of object at the end of a [`Walk`].
#[derive(Debug, Clone)]
pub enum End {
    /// A regular file.
    File(FileId),
    /// A directory, with its mode.
    Dir(u32),
    /// A device, FIFO or socket, by that word.
    Special(&'static str),
    /// Nothing.
    Absent,
    /// Nothing, for what should be a directory on the way, or at its end, is none.
    NotDir,
    /// More than 40 links.
    Loop,
    /// It could not be looked at.
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

    /// Another view of the same directory, which has seen the same and goes on by itself: for another thread. What both
    /// would count references to is made twice, for two cores that do so wait for each other at each step.
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

    /// The directory on the host, with its own links resolved.
    pub fn root(&self) -> &Path {
        self.disk.root()
    }

    /// The owner of the directory itself: root, or the user who unpacked it.
    pub fn owner(&self) -> u32 {
        self.disk.owner()
    }

    /// Makes a host directory invisible where it lies in the sysroot, so that nothing in it can be found
    /// by its path there. The sysroot itself is never hidden.
    pub fn hide(&mut self, folder: &Path) {
        let Ok(folder) = folder.canonicalize() else { return };
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
        // What was found before, unless it was planted, may be another file now.
        let children = self.nodes.iter_mut().filter(|child| child.parent == node && !child.is_outside);
        for child in children.filter(|child| !matches!(child.kind, Kind::Dir(_))) {
            child.kind = Kind::Unknown;
        }
    }

    /// Makes the host's regular file `host` appear at `path`.
    pub fn plant(&mut self, path: &RootfsPath, host: &Path) -> Result<FileId> {
        // A link may be what is named; what is opened is the file (and its directory is what `$ORIGIN` means).
        let host = &host.canonicalize().map_err(|error| Error::io("read", host, error))?;
        let metadata = host.metadata().map_err(|error| Error::io("read", host, error))?;
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

    /// Returns whether the object at `realpath`, the end of a walk, was added by `plant` or `graft` and is no part of
    /// the sysroot.
    pub fn is_outside(&self, realpath: &RootfsPath) -> bool {
        self.nodes.find(realpath).is_some_and(|node| self.nodes[node].is_outside)
    }

    /// Up to `length` bytes of the file's beginning; none where it cannot be read.
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

    /// Follows `path` to its end.
    pub fn walk(&mut self, path: &RootfsPath) -> Walk {
        let (mut links, mut passed) = (Vec::new(), Vec::new());
        let (path, end) = self.follow(path, Some((&mut links, &mut passed)));
        Walk { links, passed, path, end }
    }

    /// Follows the directory part of `path` and gives the real path that `path` then has; its last
    /// component is not followed, and need not exist.
    pub fn place(&mut self, path: &RootfsPath) -> Walk {
        let Some(parent) = path.parent() else { return self.walk(path) };
        let mut walk = self.walk(&parent);
        walk.path = walk.path.join(path.file_name());
        walk
    }

    /// The file of this device and inode, where it was met.
    pub fn by_inode(&self, inode: (u64, u64)) -> Option<FileId> {
        self.by_inode.get(&inode).copied()
    }

    /// Returns whether `path` is in a directory that was hidden.
    pub fn is_hidden(&self, path: &RootfsPath) -> bool {
        self.hidden.iter().any(|hidden| path.is_within(hidden))
    }

    /// The names in the directory at `path`, sorted; none where it is not a directory.
    pub fn names(&mut self, path: &RootfsPath) -> Vec<Box<[u8]>> {
        let (path, End::Dir(_)) = self.follow(path, None) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(path.below(self.root())) else { return Vec::new() };
        let mut names: Vec<Box<[u8]>> =
            entries.flatten().map(|entry| entry.file_name().into_vec().into_boxed_slice()).collect();
        names.sort_unstable();
        names
    }

    /// Reads a small file of the sysroot whole; `None` where it is absent, too long or unreadable.
    pub fn read_small(&mut self, path: &RootfsPath, limit: usize) -> Option<Vec<u8>> {
        let (_, End::File(file)) = self.follow(path, None) else { return None };
        self.read(file, limit).ok()
    }

    /// The same of a path that is free of links, without the file becoming one that was looked at: what is only searched
    /// for something is no input.
    pub(crate) fn peek(&self, path: &RootfsPath, limit: usize) -> Option<Vec<u8>> {
        let file = self.disk.file(path).ok()?;
        // With room for all and one more, the end is seen without growing.
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

    /// The host paths that were looked at: those that were there, and those that were not.
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
            // What stands on the way is to be told of, so the whole way is gone.
            Some(_) => self.go((ROOT, 0), path.as_bytes(), record),
            None => {
                let (folder, name) = self.folder_of(path);
                self.go(folder, name, None)
            }
        };
        end.map_or_else(|lost| lost, |(node, _)| (self.nodes[node].path.clone(), self.end(node)))
    }

    /// The directory part of a path where that leads to a directory, else the root; and what is left of the path.
    /// The same few directories are asked for again and again.
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

    /// Goes on from a directory; to what may be absent, or to a path that lies below what is no directory.
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
                // Below what is not there nothing is a link.
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

    /// The node of `name` in the directory `parent`, examined if it is new.
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

    /// A grafted directory shows its regular files. A link to a name in the same directory stays one; any
    /// other leads through the host's paths, which mean nothing in the image, so the file stands for it.
    fn look_grafted(&mut self, graft: &Path, name: &[u8]) -> Option<Kind> {
        let host = graft.join(OsStr::from_bytes(name));
        let metadata = host.symlink_metadata().ok()?;
        if metadata.is_symlink() {
            let target = std::fs::read_link(&host).ok()?.into_os_string().into_vec();
            if is_sibling(&target) {
                return Some(Kind::Link(Arc::from(target)));
            }
        }
        let host = host.canonicalize().ok()?;
        let metadata = host.metadata().ok()?;
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

    /// The directory at `path`, made up where it is not there.
    fn make_dir(&mut self, path: &RootfsPath) -> NodeId {
        // Whoever makes one is about to change what paths lead to.
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
            Place::Outside(path) => disk::outside(path),
        }
    }
}

/// Returns whether a link's target is a name in the same directory.
fn is_sibling(target: &[u8]) -> bool {
    !target.contains(&b'/') && !matches!(target, b"" | b"." | b"..")
}

/// Returns whether a link with this target leads to directories alone (path_resolution(7), "trailing slashes").
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
        // 25 links of the directory, 16 and one more before it.
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
