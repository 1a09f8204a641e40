//! A root filesystem that was read back: entries by path, with contents on demand.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use crate::elf::ReadAt;
use crate::path::RootfsPath;
use crate::rootfs::HostFile;

/// The maximum number of symlinks in the resolution of one path, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A root filesystem that was read back: parents before children, in byte order of their paths.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<RootfsPath, Node>,
    /// Each regular file once, independent of the number of its names.
    files: Vec<Arc<Content>>,
}

/// One name in a [`Tree`].
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// Permission bits, `0o7777`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The value of `security.capability`, as the kernel stores it.
    pub(crate) capability: Option<Arc<[u8]>>,
    /// The layer that contains it, counted from 0.
    pub(crate) layer: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    Dir,
    File(Arc<Content>),
    Symlink(Arc<[u8]>),
    /// A device, FIFO or socket; the word names which.
    Special(&'static str),
}

/// A regular file, shared by all its names.
#[derive(Debug)]
pub(crate) struct Content {
    /// Its index among the files of the tree.
    pub(crate) number: usize,
    pub(crate) size: u64,
    place: Place,
    sha256: OnceLock<[u8; 32]>,
}

/// The place of the bytes.
#[derive(Debug)]
pub(super) enum Place {
    /// In an archive, or in the temporary file with the contents of a compressed one.
    Part { file: Arc<File>, offset: u64 },
    /// A file of the host.
    Host(HostFile),
}

/// The result of resolving a path.
#[derive(Debug, Clone)]
pub(crate) enum Found<'t> {
    /// An entry that is no symlink, with its path without symlinks.
    Node(RootfsPath, &'t Node),
    Absent,
    /// A parent in the path is not a directory.
    NotDir,
    Loop,
}

impl Tree {
    /// The entry at `path`, which must have no symlinks and no `..`.
    pub(crate) fn get(&self, path: &RootfsPath) -> Option<&Node> {
        self.entries.get(path)
    }

    /// All entries, parents before children.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&RootfsPath, &Node)> {
        self.entries.iter()
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The regular file of this index; files are numbered in the order of reading.
    pub(crate) fn file(&self, number: usize) -> Option<&Arc<Content>> {
        self.files.get(number)
    }

    /// The size of all regular files with a name, each counted once.
    pub(crate) fn size(&self) -> u64 {
        let mut seen = vec![false; self.files.len()];
        let contents = self.entries.values().filter_map(Node::content);
        contents.filter(|it| !std::mem::replace(&mut seen[it.number], true)).map(|it| it.size).sum()
    }

    /// The entries below the directory `path`, without itself.
    pub(crate) fn below(&self, path: &RootfsPath) -> impl Iterator<Item = (&RootfsPath, &Node)> {
        let within = path.clone();
        self.entries
            .range(path.clone()..)
            .skip_while(move |(at, _)| **at == within)
            .take_while({
                let within = path.clone();
                move |(at, _)| at.as_bytes().starts_with(within.as_bytes())
            })
            .filter({
                let within = path.clone();
                move |(at, _)| at.is_within(&within)
            })
    }

    /// Resolves `path`, including a symlink at its end, as the kernel does inside a root directory.
    pub(crate) fn find(&self, path: &RootfsPath) -> Found<'_> {
        let mut at = RootfsPath::root();
        let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let (mut links, mut needs_directory) = (0, false);
        while let Some(part) = rest.pop() {
            match self.entries.get(&at).map(|node| &node.kind) {
                Some(NodeKind::Dir) => {}
                None => return Found::Absent,
                Some(_) => return Found::NotDir,
            }
            if part == b".." {
                at = at.parent().unwrap_or_else(RootfsPath::root);
                continue;
            }
            let next = at.join(&part);
            match self.entries.get(&next).map(|node| &node.kind) {
                None => return Found::Absent,
                Some(NodeKind::Symlink(target)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Found::Loop;
                    }
                    if target.first() == Some(&b'/') {
                        at = RootfsPath::root();
                    }
                    needs_directory |= rest.is_empty() && (target.ends_with(b"/") || target.ends_with(b"/."));
                    let parts = target.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
                    rest.extend(parts.rev().map(<[u8]>::to_vec));
                }
                Some(_) => at = next,
            }
        }
        match self.entries.get(&at) {
            None => Found::Absent,
            Some(node) if needs_directory && !matches!(node.kind, NodeKind::Dir) => Found::NotDir,
            Some(node) => Found::Node(at, node),
        }
    }

    /// The regular file to which `path` resolves.
    pub(crate) fn content(&self, path: &RootfsPath) -> Option<(RootfsPath, &Node, &Arc<Content>)> {
        match self.find(path) {
            Found::Node(path, node) => node.content().map(|content| (path, node, content)),
            _ => None,
        }
    }

    /// The bytes of the file to which `path` resolves, if it has at most `limit`.
    pub(crate) fn read(&self, path: &RootfsPath, limit: usize) -> Option<Vec<u8>> {
        self.content(path)?.2.read(limit).ok()
    }

    pub(super) fn insert(&mut self, path: RootfsPath, node: Node) -> Option<Node> {
        self.entries.insert(path, node)
    }

    pub(super) fn remove(&mut self, path: &RootfsPath) -> Option<Node> {
        self.entries.remove(path)
    }

    pub(super) fn add_content(&mut self, size: u64, place: Place) -> Arc<Content> {
        let content = Arc::new(Content { number: self.files.len(), size, place, sha256: OnceLock::new() });
        self.files.push(Arc::clone(&content));
        content
    }
}

impl Node {
    /// The content of a regular file.
    pub(crate) fn content(&self) -> Option<&Arc<Content>> {
        match &self.kind {
            NodeKind::File(content) => Some(content),
            _ => None,
        }
    }

    /// True for a regular file with an execute bit.
    pub(crate) fn is_executable(&self) -> bool {
        self.content().is_some() && self.mode & 0o111 != 0
    }
}

/// A file that is open for reading at any offset.
pub(crate) struct Opened<'c> {
    file: Handle<'c>,
    offset: u64,
    size: u64,
}

enum Handle<'c> {
    Shared(&'c File),
    Own(File),
}

impl Opened<'_> {
    fn file(&self) -> &File {
        match &self.file {
            Handle::Shared(file) => file,
            Handle::Own(file) => file,
        }
    }
}

impl ReadAt for Opened<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset);
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(0);
        }
        self.file().read_at(&mut buffer[..length], self.offset.saturating_add(offset))
    }
}

impl Content {
    /// Opens it; fails if a host file has been replaced.
    pub(crate) fn open(&self) -> io::Result<Opened<'_>> {
        let (file, offset) = match &self.place {
            Place::Part { file, offset } => (Handle::Shared(file), *offset),
            Place::Host(host) => (Handle::Own(host.open().map_err(|error| io::Error::other(error.to_string()))?), 0),
        };
        Ok(Opened { file, offset, size: self.size })
    }

    /// Reads up to `length` bytes at `offset`.
    pub(crate) fn part(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(left)];
        let open = self.open()?;
        let mut count = 0;
        while count < bytes.len() {
            match open.read_at(&mut bytes[count..], offset + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Reads the whole file; fails if it has more than `limit` bytes.
    pub(crate) fn read(&self, limit: usize) -> io::Result<Vec<u8>> {
        match usize::try_from(self.size) {
            Ok(size) if size <= limit => self.part(0, size),
            _ => Err(io::Error::other(format!("it is longer than {limit} bytes"))),
        }
    }

    /// The digest of its bytes, computed at the first call.
    pub(crate) fn sha256(&self) -> io::Result<[u8; 32]> {
        if let Some(known) = self.sha256.get() {
            return Ok(*known);
        }
        let (open, mut hash, mut at) = (self.open()?, Sha256::new(), 0);
        let mut buffer = vec![0; 128 << 10];
        while at < self.size {
            match open.read_at(&mut buffer, at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    hash.update(&buffer[..count]);
                    at += count as u64;
                }
            }
        }
        Ok(*self.sha256.get_or_init(|| hash.finalize().into()))
    }
}
