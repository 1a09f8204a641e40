//! A tree as the [`Files`] in which the resolver follows loaders.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::tree::{Content, Found, Node, NodeKind, Tree};
use crate::elf::{Buffers, Object, ReadError};
use crate::path::RootfsPath;
use crate::resolve::{BadObject, FileId, Files, Find};

/// A [`Tree`] as [`Files`]. Headers are parsed once.
pub(crate) struct View<'t> {
    pub(crate) tree: &'t Tree,
    objects: FxHashMap<FileId, Result<Arc<Object>, BadObject>>,
    buffers: Buffers,
}

impl<'t> View<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        Self { tree, objects: FxHashMap::default(), buffers: Buffers::default() }
    }

    /// The file of this number.
    pub(crate) fn of(&self, file: FileId) -> Option<&'t Content> {
        self.tree.file(file.0).map(|content| &**content)
    }

    fn content(&self, file: FileId) -> io::Result<&'t Content> {
        self.of(file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Files for View<'_> {
    fn find(&mut self, path: &RootfsPath) -> Find {
        match self.tree.find(path) {
            Found::Node(realpath, Node { kind: NodeKind::File(content), .. }) => {
                Find::File { realpath, file: FileId(content.number) }
            }
            Found::Node(_, Node { kind: NodeKind::Special(word), .. }) => Find::Special(word),
            Found::Node(..) => Find::Dir,
            Found::Absent => Find::Absent,
            Found::NotDir => Find::NotDir,
            Found::Loop => Find::Loop,
        }
    }

    fn object(&mut self, file: FileId) -> Result<Arc<Object>, BadObject> {
        if let Some(known) = self.objects.get(&file) {
            return known.clone();
        }
        let unreadable = |error: io::Error| BadObject::Unreadable(error.to_string());
        let content = self.content(file).map_err(unreadable)?;
        let read = content.open().map_err(unreadable).and_then(|open| {
            Object::read_in(&open, &mut self.buffers).map(Arc::new).map_err(|error| match error {
                ReadError::Malformed(malformed) => BadObject::Malformed(malformed),
                ReadError::Io(error) => unreadable(error),
            })
        });
        self.objects.insert(file, read.clone());
        read
    }

    fn read(&mut self, file: FileId, limit: usize) -> io::Result<Vec<u8>> {
        self.content(file)?.read(limit)
    }

    fn part(&mut self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.content(file)?.part(offset, length)
    }

    fn list(&mut self, folder: &RootfsPath) -> Vec<Box<[u8]>> {
        let Found::Node(folder, _) = self.tree.find(folder) else { return Vec::new() };
        let below = self.tree.below(&folder).filter(|(path, _)| path.parent().as_ref() == Some(&folder));
        below.map(|(path, _)| path.file_name().into()).collect()
    }

    fn inode(&self, file: FileId) -> (u64, u64) {
        (0, file.0 as u64)
    }
}
