//! A folder of the host seen as a root file system: every path, every absolute or `..` symlink,
//! resolves inside it.
//!
//! It reads names, links and ELF headers, each once, and remembers them; it writes nothing and
//! executes nothing. Files that are not in the folder but will be in the image (the project's own)
//! can be planted into the view.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use crate::elf::{Buffers, Object, ReadError};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::resolve::{BadObject, FileId, Files, Find};
use crate::rootfs::HostFile;

/// The most links that one path may lead through, as the kernel has it (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A folder of the host as a root file system.
#[derive(Debug)]
pub struct Sysroot {
    root: PathBuf,
    handle: OwnedFd,
    hidden: Vec<RootfsPath>,
    nodes: Vec<Node>,
    files: Vec<FileRecord>,
    by_inode: FxHashMap<(u64, u64), FileId>,
    /// Names that the sysroot does not have: planted or grafted ones. Their files may have others that it has.
    outside: FxHashSet<NodeId>,
    buffers: Buffers,
}

type NodeId = usize;
const ROOT: NodeId = 0;

#[derive(Debug)]
struct Node {
    parent: NodeId,
    path: RootfsPath,
    kind: NodeKind,
    children: FxHashMap<Box<[u8]>, NodeId>,
    /// Host folders whose files appear in this one, before its own.
    grafts: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
enum NodeKind {
    /// With its mode; `None` where it is not on the host.
    Dir(Option<u32>),
    Link(Arc<[u8]>),
    File(FileId),
    Special(&'static str),
    Absent,
    Failed(Arc<io::Error>),
}

/// A regular file that was met.
#[derive(Debug)]
struct FileRecord {
    info: Arc<FileInfo>,
    object: Option<Result<Arc<Object>, BadObject>>,
}

/// A regular file of the sysroot, or of the project.
#[derive(Debug, Clone)]
pub struct FileInfo {
    /// Where it is on the host, and what it was when looked at.
    pub host: Arc<HostFile>,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Its owner there.
    pub uid: u32,
    /// Its group there.
    pub gid: u32,
}

/// Where a path led.
#[derive(Debug)]
pub struct Walk {
    /// The symlinks it led through, in order: each link's own real path and its target.
    pub links: Links,
    /// The folders that a `..` led out of: they must be there for the path to work.
    pub passed: Vec<RootfsPath>,
    /// The real path it ended at, free of links; of something that may be absent.
    pub path: RootfsPath,
    /// What is there.
    pub end: End,
}

/// Links on a way: each by its own real path, with its target.
pub type Links = Vec<(RootfsPath, Arc<[u8]>)>;

/// What stands at the end of a [`Walk`].
#[derive(Debug, Clone)]
pub enum End {
    /// A regular file.
    File(FileId),
    /// A folder, with its mode.
    Dir(u32),
    /// A device, FIFO or socket, by that word.
    Special(&'static str),
    /// Nothing.
    Absent,
    /// More than 40 links.
    Loop,
    /// It could not be looked at.
    Failed(Arc<io::Error>),
}

impl Sysroot {
    /// Opens the folder `root`.
    pub fn open(root: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|error| Error::io("open the sysroot", root, error.into()))?;
        let root = root.canonicalize().map_err(|error| Error::io("open the sysroot", root, error))?;
        let mode = rustix::fs::fstat(&handle).map_or(0o755, |stat| stat.st_mode & 0o7777);
        let top = Node {
            parent: ROOT,
            path: RootfsPath::root(),
            kind: NodeKind::Dir(Some(mode)),
            children: FxHashMap::default(),
            grafts: Vec::new(),
        };
        Ok(Self {
            root,
            handle,
            hidden: Vec::new(),
            nodes: vec![top],
            files: Vec::new(),
            by_inode: FxHashMap::default(),
            outside: FxHashSet::default(),
            buffers: Buffers::default(),
        })
    }

    /// The folder on the host, with its own links resolved.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a host folder invisible where it lies in the sysroot, so that nothing in it can be found
    /// by its path there. The sysroot itself is never hidden.
    pub fn hide(&mut self, folder: &Path) {
        let Ok(folder) = folder.canonicalize() else { return };
        let Ok(inside) = folder.strip_prefix(&self.root) else { return };
        let path = RootfsPath::root().join(inside.as_os_str().as_bytes());
        if path != RootfsPath::root() {
            self.hidden.push(path);
        }
    }

    /// Makes the files of the host folder `host` appear in `folder`, before those of the sysroot.
    pub fn graft(&mut self, folder: &RootfsPath, host: PathBuf) {
        let node = self.make_dir(folder);
        if !self.nodes[node].grafts.contains(&host) {
            // What was found before, unless it was planted, may be another file now.
            let Self { nodes, outside, .. } = self;
            let mut children = std::mem::take(&mut nodes[node].children);
            children.retain(|_, child| outside.contains(child) || matches!(nodes[*child].kind, NodeKind::Dir(_)));
            nodes[node].children = children;
            self.nodes[node].grafts.push(host);
        }
    }

    /// Makes the host's regular file `host` appear at `path`.
    pub fn plant(&mut self, path: &RootfsPath, host: &Path) -> Result<FileId> {
        // A link may be what is named; what is opened is the file (and its folder is what `$ORIGIN` means).
        let host = &host.canonicalize().map_err(|error| Error::io("read", host, error))?;
        let metadata = host.metadata().map_err(|error| Error::io("read", host, error))?;
        if !metadata.is_file() {
            return Err(Error::failed(format!("`{}` is not a regular file", host.display())));
        }
        let file = self.record_metadata(host.to_owned(), &metadata);
        let parent = self.make_dir(&path.parent().unwrap_or_else(RootfsPath::root));
        let real = self.nodes[parent].path.join(path.file_name());
        let node = self.add_node(parent, real, NodeKind::File(file));
        self.outside.insert(node);
        Ok(file)
    }

    /// Makes a symlink appear at `path`.
    pub fn plant_link(&mut self, path: &RootfsPath, target: Arc<[u8]>) {
        let parent = self.make_dir(&path.parent().unwrap_or_else(RootfsPath::root));
        let real = self.nodes[parent].path.join(path.file_name());
        let node = self.add_node(parent, real, NodeKind::Link(target));
        self.outside.insert(node);
    }

    /// Whether what is at `realpath`, where a path led, was planted or grafted rather than found in the sysroot.
    pub fn is_outside(&self, realpath: &RootfsPath) -> bool {
        let child = |node: NodeId, part| self.nodes[node].children.get(part).copied();
        let node = realpath.components().try_fold(ROOT, child);
        node.is_some_and(|node| self.outside.contains(&node))
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
        &self.files[file.0].info
    }

    /// Follows `path` to its end.
    pub fn walk(&mut self, path: &RootfsPath) -> Walk {
        let (mut links, mut passed) = (Vec::new(), Vec::new());
        let (path, end) = self.follow(path, Some((&mut links, &mut passed)));
        Walk { links, passed, path, end }
    }

    /// Follows the folder part of `path` and gives the real path that `path` then has; its last
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

    /// Whether `path` lies in a folder that was hidden.
    pub fn is_hidden(&self, path: &RootfsPath) -> bool {
        self.hidden.iter().any(|hidden| path.is_within(hidden))
    }

    /// The names in the folder at `path`, sorted; none where it is not a folder.
    pub fn names(&mut self, path: &RootfsPath) -> Vec<Box<[u8]>> {
        let (path, End::Dir(_)) = self.follow(path, None) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(path.below(&self.root)) else { return Vec::new() };
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

    /// The host paths that were looked at: those that were there, and those that were not.
    pub fn inputs(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (mut present, mut absent) = (Vec::new(), Vec::new());
        for node in &self.nodes {
            match &node.kind {
                NodeKind::File(file) => present.push(self.files[file.0].info.host.path.clone()),
                NodeKind::Link(_) => present.push(node.path.below(&self.root)),
                NodeKind::Absent => absent.push(node.path.below(&self.root)),
                _ => {}
            }
        }
        (present, absent)
    }

    fn follow(
        &mut self,
        path: &RootfsPath,
        mut record: Option<(&mut Links, &mut Vec<RootfsPath>)>,
    ) -> (RootfsPath, End) {
        let mut node = ROOT;
        let mut met = 0;
        // What is left to follow: texts, the last one first, each with how far it is read.
        let mut rest: Vec<(Arc<[u8]>, usize)> = vec![(Arc::from(path.as_bytes()), 0)];
        loop {
            let Some(part) = next_component(&mut rest) else {
                return (self.nodes[node].path.clone(), self.end(node));
            };
            if !matches!(self.nodes[node].kind, NodeKind::Dir(_)) {
                // A file where a folder is needed: ENOTDIR, which for a search is as good as absent.
                let mut lost = self.nodes[node].path.join(&part);
                while let Some(part) = next_component(&mut rest) {
                    lost = lost.join(&part);
                }
                let end = match self.end(node) {
                    end @ (End::Failed(_) | End::Absent) => end,
                    _ => End::Absent,
                };
                // Below what is not there nothing is a link.
                return (lost.normalized(), end);
            }
            if &*part == b".." {
                if let Some((_, passed)) = &mut record {
                    passed.push(self.nodes[node].path.clone());
                }
                node = self.nodes[node].parent;
                continue;
            }
            let child = self.child(node, &part);
            if let NodeKind::Link(target) = &self.nodes[child].kind {
                let target = Arc::clone(target);
                met += 1;
                if met > MAX_LINKS {
                    return (self.nodes[child].path.clone(), End::Loop);
                }
                if let Some((links, _)) = &mut record {
                    links.push((self.nodes[child].path.clone(), Arc::clone(&target)));
                }
                if target.first() == Some(&b'/') {
                    node = ROOT;
                }
                rest.push((target, 0));
            } else {
                node = child;
            }
        }
    }

    fn end(&self, node: NodeId) -> End {
        match &self.nodes[node].kind {
            NodeKind::Dir(mode) => End::Dir(mode.unwrap_or(0o755)),
            NodeKind::File(file) => End::File(*file),
            NodeKind::Special(word) => End::Special(word),
            NodeKind::Absent => End::Absent,
            NodeKind::Link(_) => End::Loop,
            NodeKind::Failed(error) => End::Failed(Arc::clone(error)),
        }
    }

    fn child(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        if let Some(&child) = self.nodes[parent].children.get(name) {
            return child;
        }
        let path = self.nodes[parent].path.join(name);
        for graft in self.nodes[parent].grafts.clone() {
            if let Some(kind) = self.look_grafted(&graft, name) {
                let node = self.add_node(parent, path, kind);
                self.outside.insert(node);
                return node;
            }
        }
        let kind = self.look(parent, &path);
        self.add_node(parent, path, kind)
    }

    fn add_node(&mut self, parent: NodeId, path: RootfsPath, kind: NodeKind) -> NodeId {
        let id = self.nodes.len();
        self.nodes[parent].children.insert(path.file_name().into(), id);
        self.nodes.push(Node { parent, path, kind, children: FxHashMap::default(), grafts: Vec::new() });
        id
    }

    /// Asks the host what `path`, in the folder `parent`, is.
    fn look(&mut self, parent: NodeId, path: &RootfsPath) -> NodeKind {
        let NodeKind::Dir(Some(_)) = self.nodes[parent].kind else { return NodeKind::Absent };
        if self.hidden.contains(path) {
            return NodeKind::Absent;
        }
        // The parent's path is free of links, so only the last component could be one.
        let relative = OsStr::from_bytes(path.relative());
        let stat = match rustix::fs::statat(&self.handle, relative, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::NAMETOOLONG) => {
                return NodeKind::Absent;
            }
            Err(error) => return NodeKind::Failed(Arc::new(error.into())),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => NodeKind::Dir(Some(stat.st_mode & 0o7777)),
            FileType::Symlink => match rustix::fs::readlinkat(&self.handle, relative, Vec::new()) {
                Ok(target) => NodeKind::Link(Arc::from(target.into_bytes())),
                Err(error) => NodeKind::Failed(Arc::new(error.into())),
            },
            FileType::RegularFile => {
                let host = HostFile::from_stat(path.below(&self.root), &stat);
                NodeKind::File(self.record(host, stat.st_mode & 0o7777, stat.st_uid, stat.st_gid))
            }
            FileType::Fifo => NodeKind::Special("FIFO"),
            FileType::Socket => NodeKind::Special("socket"),
            _ => NodeKind::Special("device"),
        }
    }

    /// A grafted folder shows its regular files. A link to a name in the same folder stays one; any
    /// other leads through the host's paths, which mean nothing in the image, so the file stands for it.
    fn look_grafted(&mut self, graft: &Path, name: &[u8]) -> Option<NodeKind> {
        let host = graft.join(OsStr::from_bytes(name));
        let metadata = host.symlink_metadata().ok()?;
        if metadata.is_symlink() {
            let target = std::fs::read_link(&host).ok()?.into_os_string().into_vec();
            if !target.contains(&b'/') && target != b".." && target != b"." {
                return Some(NodeKind::Link(Arc::from(target)));
            }
        }
        let host = host.canonicalize().ok()?;
        let metadata = host.metadata().ok()?;
        if !metadata.is_file() {
            return None;
        }
        Some(NodeKind::File(self.record_metadata(host, &metadata)))
    }

    fn record_metadata(&mut self, path: PathBuf, metadata: &std::fs::Metadata) -> FileId {
        let host = HostFile::new(path, metadata);
        self.record(host, metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
    }

    fn record(&mut self, host: HostFile, mode: u32, uid: u32, gid: u32) -> FileId {
        let inode = host.inode;
        let Self { files, by_inode, .. } = self;
        *by_inode.entry(inode).or_insert_with(|| {
            let info = Arc::new(FileInfo { host: Arc::new(host), mode, uid, gid });
            files.push(FileRecord { info, object: None });
            FileId(files.len() - 1)
        })
    }

    /// The folder at `path`, made up where it is not there.
    fn make_dir(&mut self, path: &RootfsPath) -> NodeId {
        let mut node = ROOT;
        let mut met = 0;
        let mut rest: Vec<(Arc<[u8]>, usize)> = vec![(Arc::from(path.as_bytes()), 0)];
        while let Some(part) = next_component(&mut rest) {
            if &*part == b".." {
                node = self.nodes[node].parent;
                continue;
            }
            let child = self.child(node, &part);
            match &self.nodes[child].kind {
                NodeKind::Link(target) if met < MAX_LINKS => {
                    let target = Arc::clone(target);
                    met += 1;
                    if target.first() == Some(&b'/') {
                        node = ROOT;
                    }
                    rest.push((target, 0));
                }
                NodeKind::Dir(_) => node = child,
                _ => {
                    self.nodes[child].kind = NodeKind::Dir(None);
                    node = child;
                }
            }
        }
        node
    }

    /// Opens the host's file for reading, once more checked to be the one that was met.
    fn open_file(&self, file: FileId) -> io::Result<File> {
        let path = &self.files[file.0].info.host.path;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(relative) = path.strip_prefix(&self.root) {
            // The path is free of links; should one have come in its place, it stays inside.
            let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&self.handle, relative, flags, Mode::empty(), how) {
                Ok(file) => return Ok(File::from(file)),
                // Kernels before 5.6, and sandboxes that do not know the call.
                Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        File::options().read(true).custom_flags(flags.bits() as i32).open(path)
    }
}

/// Takes the next component off the texts that are left.
fn next_component(rest: &mut Vec<(Arc<[u8]>, usize)>) -> Option<Box<[u8]>> {
    while let Some((text, at)) = rest.last_mut() {
        let left = &text[*at..];
        let skip = left.iter().take_while(|byte| **byte == b'/').count();
        let length = left[skip..].iter().take_while(|byte| **byte != b'/').count();
        if length == 0 {
            rest.pop();
            continue;
        }
        let part: Box<[u8]> = left[skip..skip + length].into();
        *at += skip + length;
        if &*part != b"." {
            return Some(part);
        }
    }
    None
}

impl Files for Sysroot {
    fn find(&mut self, path: &RootfsPath) -> Find {
        let (realpath, end) = self.follow(path, None);
        match end {
            End::File(file) => Find::File { realpath, file },
            End::Dir(_) => Find::Dir,
            End::Special(word) => Find::Special(word),
            End::Absent => Find::Absent,
            End::Loop => Find::Loop,
            End::Failed(error) => Find::Failed(error.to_string()),
        }
    }

    fn object(&mut self, file: FileId) -> Result<Arc<Object>, BadObject> {
        if let Some(object) = &self.files[file.0].object {
            return object.clone();
        }
        let object = match self.open_file(file) {
            Ok(handle) => match Object::read_in(&handle, &mut self.buffers) {
                Ok(object) => Ok(Arc::new(object)),
                Err(ReadError::Malformed(malformed)) => Err(BadObject::Malformed(malformed)),
                Err(ReadError::Io(error)) => Err(BadObject::Unreadable(error.to_string())),
            },
            Err(error) => Err(BadObject::Unreadable(error.to_string())),
        };
        self.files[file.0].object = Some(object.clone());
        object
    }

    fn read(&mut self, file: FileId, limit: usize) -> io::Result<Vec<u8>> {
        let expected = usize::try_from(self.files[file.0].info.host.size).unwrap_or(limit).min(limit);
        let mut bytes = Vec::with_capacity(expected + 1);
        self.open_file(file)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "file too long"));
        }
        Ok(bytes)
    }

    fn list(&mut self, folder: &RootfsPath) -> Vec<Box<[u8]>> {
        self.names(folder)
    }

    fn inode(&self, file: FileId) -> (u64, u64) {
        self.files[file.0].info.host.inode
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

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
