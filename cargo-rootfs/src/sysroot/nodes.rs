//! The known part of a tree: one node a name, directories known by their children.
//!
//! It asks nobody: [`disk`](super::disk) looks, and the sysroot follows links.

use std::hash::Hasher;
use std::io;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};

use crate::path::RootfsPath;
use crate::resolve::FileId;

/// A name in a directory. Small, for a machine has many.
pub(super) type NodeId = u32;

/// The top.
pub(super) const ROOT: NodeId = 0;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: NodeId,
    /// Free of links.
    pub(super) path: RootfsPath,
    pub(super) kind: Kind,
    /// True if it was added by `plant` or `graft`.
    pub(super) is_outside: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// With its mode; `None` where it is not on the host.
    Dir(Option<u32>),
    Link(Arc<[u8]>),
    File(FileId),
    Special(&'static str),
    Absent,
    Failed(Arc<io::Error>),
    /// It is to be looked at, again.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Nodes {
    all: Vec<Node>,
    /// By the hash of parent and name; of several with the same hash, the others follow at the next numbers.
    by_name: FxHashMap<u64, NodeId>,
}

impl Nodes {
    pub(super) fn new(mode: u32) -> Self {
        let top = Node { parent: ROOT, path: RootfsPath::root(), kind: Kind::Dir(Some(mode)), is_outside: false };
        Self { all: vec![top], by_name: FxHashMap::default() }
    }

    /// The same, with paths of its own.
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

    /// Puts `name` into a directory, in the place of what was known of it.
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
        // Names take more than a byte of memory each, so there are fewer than four thousand million.
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
