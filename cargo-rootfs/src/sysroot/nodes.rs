//! The known part of a tree: one node for each name, with a hash table for children.
//!
//! It makes no system calls: [`disk`](super::disk) looks up names, and the sysroot follows symlinks.

use std::hash::Hasher;
use std::io;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};

use crate::path::RootfsPath;
use crate::resolve::FileId;

/// The identifier of a name in a directory; small, because a machine has many.
pub(super) type NodeId = u32;

/// The top.
pub(super) const ROOT: NodeId = 0;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: NodeId,
    /// The path without symlinks.
    pub(super) path: RootfsPath,
    pub(super) kind: Kind,
    /// True if it was added by `plant` or `graft`.
    pub(super) is_outside: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A directory with its mode; `None` if it is not on the host.
    Dir(Option<u32>),
    Link(Arc<[u8]>),
    File(FileId),
    Special(&'static str),
    Absent,
    Failed(Arc<io::Error>),
    /// It must be looked up (again).
    Unknown,
}

#[derive(Debug)]
pub(super) struct Nodes {
    all: Vec<Node>,
    /// By the hash of parent and name; further nodes with the same hash have the next numbers.
    by_name: FxHashMap<u64, NodeId>,
}

impl Nodes {
    pub(super) fn new(mode: u32) -> Self {
        let top = Node { parent: ROOT, path: RootfsPath::root(), kind: Kind::Dir(Some(mode)), is_outside: false };
        Self { all: vec![top], by_name: FxHashMap::default() }
    }

    /// A copy with separately allocated paths.
    #[cfg(feature = "cli")]
    pub(super) fn copy(&self) -> Self {
        let copy = |node: &Node| Node { path: node.path.copy(), kind: node.kind.clone(), ..*node };
        Self { all: self.all.iter().map(copy).collect(), by_name: self.by_name.clone() }
    }

    /// The node of `name` in a directory, if it is known.
    pub(super) fn get(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let mut hash = hash(parent, name);
        loop {
            let id = *self.by_name.get(&hash)?;
            let node = &self[id];
            if node.parent == parent && node.path.file_name() == name {
                return Some(id);
            }
            hash = hash.wrapping_add(1);
        }
    }

    /// The node of a path without links, if it is known.
    pub(super) fn find(&self, realpath: &RootfsPath) -> Option<NodeId> {
        realpath.components().try_fold(ROOT, |node, part| self.get(node, part))
    }

    /// Puts `name` into a directory, and replaces a known node.
    pub(super) fn put(&mut self, parent: NodeId, name: &[u8], kind: Kind) -> NodeId {
        if let Some(known) = self.get(parent, name) {
            self[known].kind = kind;
            return known;
        }
        let mut hash = hash(parent, name);
        while self.by_name.contains_key(&hash) {
            hash = hash.wrapping_add(1);
        }
        let path = self[parent].path.child(name);
        // Each name takes more than a byte of memory, so there are fewer than 2^32.
        let id = self.all.len() as NodeId;
        self.by_name.insert(hash, id);
        self.all.push(Node { parent, path, kind, is_outside: false });
        id
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.all.iter_mut()
    }
}

fn hash(parent: NodeId, name: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u32(parent);
    hasher.write(name);
    hasher.finish()
}

impl std::ops::Index<NodeId> for Nodes {
    type Output = Node;

    fn index(&self, id: NodeId) -> &Node {
        &self.all[id as usize]
    }
}

impl std::ops::IndexMut<NodeId> for Nodes {
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.all[id as usize]
    }
}
