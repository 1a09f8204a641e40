//! A rootfs as files for the resolver.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::elf::{Object, ReadError};
use crate::path::RootfsPath;
use crate::resolve::{BadObject, FileId, Files, Find};
use crate::rootfs::{Body, Kind, Rootfs};
use crate::sysroot::{Sysroot, asks_for_folder};

/// A rootfs as files for the resolver.
pub(super) struct View<'a> {
    rootfs: &'a Rootfs,
    /// Supplies parsed headers by inode.
    pub(super) sysroot: &'a mut Sysroot,
    ids: FxHashMap<RootfsPath, FileId>,
    paths: Vec<RootfsPath>,
    /// The results of look-ups: closures repeat them.
    found: FxHashMap<RootfsPath, Find>,
}

impl<'a> View<'a> {
    pub(super) fn new(rootfs: &'a Rootfs, sysroot: &'a mut Sysroot) -> Self {
        Self { rootfs, sysroot, ids: FxHashMap::default(), paths: Vec::new(), found: FxHashMap::default() }
    }

    fn id(&mut self, path: &RootfsPath) -> FileId {
        if let Some(&id) = self.ids.get(path) {
            return id;
        }
        let id = FileId(self.paths.len());
        self.ids.insert(path.clone(), id);
        self.paths.push(path.clone());
        id
    }

    /// Returns whether a path leads to an executable file.
    pub(super) fn is_executable(&mut self, path: &RootfsPath) -> bool {
        let Find::File { file, .. } = self.find(path) else { return false };
        self.rootfs.get(&self.paths[file.0]).is_some_and(|entry| entry.mode & 0o111 != 0)
    }

    /// Resolves a path over the entries (path_resolution(7)).
    fn walk(&mut self, path: &RootfsPath) -> Find {
        let rootfs = self.rootfs;
        let kind = |path: &RootfsPath| rootfs.get(path).map(|entry| &entry.kind);
        let root = || (RootfsPath::root(), kind(&RootfsPath::root()));
        let (mut at, mut here) = root();
        let mut rest: Vec<&[u8]> = path.components().rev().collect();
        let (mut links, mut needs_folder) = (0, false);
        while let Some(part) = rest.pop() {
            match here {
                Some(Kind::Dir) => {}
                None => return Find::Absent,
                Some(_) => return Find::NotDir,
            }
            if part == b".." {
                at = at.parent().unwrap_or_else(RootfsPath::root);
                here = kind(&at);
                continue;
            }
            let next = at.child(part);
            match kind(&next) {
                None => return Find::Absent,
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > 40 {
                        return Find::Loop;
                    }
                    if target.first() == Some(&b'/') {
                        (at, here) = root();
                    }
                    needs_folder |= rest.is_empty() && asks_for_folder(target);
                    let parts = target.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
                    rest.extend(parts.rev());
                }
                found => (at, here) = (next, found),
            }
        }
        match here {
            None => Find::Absent,
            Some(Kind::Dir) => Find::Dir,
            Some(_) if needs_folder => Find::NotDir,
            Some(Kind::Hardlink(target)) => Find::File { file: self.id(target), realpath: at },
            Some(_) => Find::File { file: self.id(&at), realpath: at },
        }
    }

    fn body(&self, file: FileId) -> Option<&Body> {
        match &self.rootfs.get(&self.paths[file.0])?.kind {
            Kind::File(body) => Some(body),
            _ => None,
        }
    }
}

impl Files for View<'_> {
    fn find(&mut self, path: &RootfsPath) -> Find {
        if let Some(found) = self.found.get(path) {
            return found.clone();
        }
        let found = self.walk(path);
        self.found.insert(path.clone(), found.clone());
        found
    }

    fn object(&mut self, file: FileId) -> Result<Arc<Object>, BadObject> {
        match self.body(file).cloned() {
            Some(Body::Host(host)) => match self.sysroot.by_inode(host.inode) {
                Some(known) => self.sysroot.object(known),
                None => Err(BadObject::Unreadable("not read before".to_owned())),
            },
            Some(Body::Bytes(bytes)) => match Object::read(&bytes[..]) {
                Ok(object) => Ok(Arc::new(object)),
                Err(ReadError::Malformed(malformed)) => Err(BadObject::Malformed(malformed)),
                Err(ReadError::Io(error)) => Err(BadObject::Unreadable(error.to_string())),
            },
            None => Err(BadObject::Unreadable("not a regular file".to_owned())),
        }
    }

    fn read(&mut self, file: FileId, limit: usize) -> io::Result<Vec<u8>> {
        match self.body(file).cloned() {
            Some(Body::Host(host)) => match self.sysroot.by_inode(host.inode) {
                Some(known) => self.sysroot.read(known, limit),
                None => Err(io::ErrorKind::NotFound.into()),
            },
            Some(Body::Bytes(bytes)) => Ok(bytes.to_vec()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn part(&mut self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        match self.body(file).cloned() {
            Some(Body::Host(host)) => match self.sysroot.by_inode(host.inode) {
                Some(known) => self.sysroot.part(known, offset, length),
                None => Err(io::ErrorKind::NotFound.into()),
            },
            Some(Body::Bytes(bytes)) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(bytes.get(start..).unwrap_or_default().iter().take(length).copied().collect())
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&mut self, folder: &RootfsPath) -> Vec<Box<[u8]>> {
        self.rootfs
            .below(folder)
            .filter(|(path, _)| path.parent().as_ref() == Some(folder))
            .map(|(path, _)| path.file_name().into())
            .collect()
    }

    fn inode(&self, file: FileId) -> (u64, u64) {
        match self.body(file) {
            Some(Body::Host(host)) => host.inode,
            // No device has this number.
            _ => (u64::MAX, file.0 as u64),
        }
    }
}
