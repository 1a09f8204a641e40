//! Owning packages: the package of the sysroot's distribution that owns each file and symlink of a rootfs.
//!
//! It reads the lists of every installed package, so it runs only for outputs that show owners, and never for a plain
//! archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::packages::{Database, Package, PackageId};
use crate::path::RootfsPath;
use crate::resolve::{Files, Find};
use crate::rootfs::{Body, Entry, Kind, OwningPackage, Rootfs};
use crate::sysroot::Sysroot;

/// The packages that have a file in a rootfs.
#[derive(Default)]
pub(super) struct Owners {
    pub(super) known: BTreeMap<PackageId, Arc<OwningPackage>>,
    /// Entries that were looked up.
    asked: FxHashSet<RootfsPath>,
}

impl Owners {
    /// Sets the package of each entry that `sysroot` has at the same path; no other entry has an owner. A directory
    /// belongs to every package with a file in it, so it has no owner either. Returns the newly found packages.
    pub(super) fn find(&mut self, rootfs: &mut Rootfs, sysroot: &mut Sysroot, database: &Database) -> Vec<PackageId> {
        let paths: Vec<RootfsPath> = rootfs
            .iter()
            .filter(|(path, entry)| !self.asked.contains(*path) && is_of(sysroot, rootfs, path, entry))
            .map(|(path, _)| path.clone())
            .collect();
        let mut new = Vec::new();
        for (path, owner) in paths.iter().zip(database.owners(sysroot, &paths)) {
            let (Some(id), Some(entry)) = (owner, rootfs.get_mut(path)) else { continue };
            let package = self.known.entry(id).or_insert_with(|| {
                new.push(id);
                Arc::new(owning(database.package(id)))
            });
            entry.package = Some(Arc::clone(package));
        }
        self.asked.extend(paths);
        new
    }
}

fn owning(package: &Package) -> OwningPackage {
    let Package { name, version, architecture, source, .. } = package.clone();
    // apk and pacman record the source of every package.
    let source = source.filter(|source| *source != name);
    OwningPackage { name, version, architecture, source }
}

/// Returns whether the sysroot has this very file or symlink: an include, or a file of the template or of the project,
/// may be at a path that a package lists.
fn is_of(sysroot: &mut Sysroot, rootfs: &Rootfs, path: &RootfsPath, entry: &Entry) -> bool {
    let body = match &entry.kind {
        Kind::Hardlink(first) => rootfs.get(first).map(|entry| &entry.kind),
        kind => Some(kind),
    };
    match body {
        Some(Kind::File(Body::Host(host))) => match sysroot.find(path) {
            Find::File { file, realpath } => realpath == *path && sysroot.inode(file) == host.inode,
            _ => false,
        },
        Some(Kind::Symlink(target)) => {
            sysroot.walk(path).links.first().is_some_and(|link| *link == (path.clone(), Arc::clone(target)))
        }
        _ => false,
    }
}
