//! Partitions a rootfs into the layers of an image.
//!
//! Membership depends on names and sizes of packages only, and not on earlier builds: an unchanged file stays in the
//! same layer in every project and release. It reads no file contents.

mod groups;
mod members;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::path::RootfsPath;
use crate::rootfs::{Entry, Kind, Rootfs};
use groups::Groups;

/// The number of layers that an image gets (`--layers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Layered {
    /// About eight, by the packages that own the files.
    #[default]
    Split,
    /// One.
    Single,
}

impl Layered {
    /// The value of the command line option.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Single => "single",
        }
    }
}

/// Host directories by which files of the project differ from files of the sysroot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origins<'o> {
    /// The workspace and cargo's target directory.
    pub(crate) project: &'o [PathBuf],
    pub(crate) sysroot: &'o Path,
}

impl Origins<'_> {
    /// Returns whether a host file belongs to the project. A sysroot inside the project does not belong to it.
    fn is_project(&self, file: &Path) -> bool {
        let is_sysroot = self.sysroot != Path::new("/") && file.starts_with(self.sysroot);
        !is_sysroot && self.project.iter().any(|directory| file.starts_with(directory))
    }
}

/// A set of layer numbers. Docker allows at most 125 layers.
type Set = u128;

/// The layers of one image, with the entries of each.
#[derive(Debug)]
pub(crate) struct Partition {
    comments: Vec<String>,
    members: BTreeMap<RootfsPath, Set>,
}

/// The comment of a single layer.
const ALL: &str = "the root filesystem";

impl Partition {
    /// The layers of `rootfs`, whose entries have their owning packages.
    pub(crate) fn new(layered: Layered, rootfs: &Rootfs, origins: Origins<'_>) -> Self {
        match layered {
            Layered::Single => Self::single(rootfs),
            Layered::Split => Self::split(rootfs, origins),
        }
    }

    fn single(rootfs: &Rootfs) -> Self {
        let members = rootfs.iter().map(|(path, _)| (path.clone(), 1)).collect();
        Self { comments: vec![ALL.to_owned()], members }
    }

    fn split(rootfs: &Rootfs, origins: Origins<'_>) -> Self {
        let groups = Groups::new(rootfs, origins);
        let (comments, layer_of) = groups.layers();
        let mut members: BTreeMap<RootfsPath, Set> = BTreeMap::new();
        // Children before parents: a directory is in the layers of all its contents.
        for (path, entry) in rootfs.iter().rev() {
            let held = members.get(path).copied().unwrap_or_default();
            let is_parent = matches!(entry.kind, Kind::Dir) && held != 0;
            let set = if is_parent { held } else { 1 << layer_of[groups.of(path)] };
            members.insert(path.clone(), set);
            if let Some(parent) = path.parent() {
                *members.entry(parent).or_default() |= set;
            }
        }
        Self { comments, members }
    }

    /// The comment of each layer, the lowest first.
    pub(crate) fn comments(&self) -> &[String] {
        &self.comments
    }

    /// The layers that contain `path`, by number: one, or any number for a directory.
    pub(crate) fn of(&self, path: &RootfsPath) -> impl Iterator<Item = usize> + use<> {
        let set = self.members.get(path).copied().unwrap_or_default();
        (0..Set::BITS as usize).take_while(move |at| set >> at != 0).filter(move |at| set >> at & 1 == 1)
    }

    /// Fails if an image of these layers would be read as another tree than `rootfs`. It checks every layer as a reader
    /// does, independent of how the layer was made.
    pub(crate) fn check(&self, rootfs: &Rootfs) -> Result<(), Broken> {
        let broken = |path: &RootfsPath, why: &'static str| Err(Broken { path: path.clone(), why });
        if let Some(path) = self.members.keys().find(|path| rootfs.get(path).is_none()) {
            return broken(path, "a layer holds it, and the rootfs does not");
        }
        for (path, entry) in rootfs.iter() {
            let layers: Vec<usize> = self.of(path).collect();
            let holds_all = |other: &RootfsPath| layers.iter().all(|layer| self.of(other).any(|at| at == *layer));
            match (&entry.kind, layers.len()) {
                (_, 0) => return broken(path, "no layer holds it"),
                (Kind::Dir, _) | (_, 1) => {}
                _ => return broken(path, "several layers hold it"),
            }
            if layers.iter().any(|layer| *layer >= self.comments.len()) {
                return broken(path, "its layer is not there");
            }
            if path.parent().is_some_and(|parent| !holds_all(&parent)) {
                return broken(path, "one of its layers lacks its directory");
            }
            if matches!(&entry.kind, Kind::Hardlink(target) if !holds_all(target)) {
                return broken(path, "its layer lacks the file that it is a link to");
            }
        }
        Ok(())
    }
}

/// A partition that is not the rootfs.
#[derive(Debug)]
pub(crate) struct Broken {
    path: RootfsPath,
    why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.why)
    }
}

/// The file that decides the group of an entry: for a hard link its file; for a link without a package its target.
fn file_of<'r>(rootfs: &'r Rootfs, path: &RootfsPath, entry: &'r Entry) -> (RootfsPath, &'r Entry) {
    let itself = (path.clone(), entry);
    match &entry.kind {
        Kind::Hardlink(target) => rootfs.get(target).map_or(itself, |entry| (target.clone(), entry)),
        Kind::Symlink(_) if entry.package.is_none() && path.components().count() > 1 => {
            let end = rootfs.way(path).pop().filter(|(_, end)| !matches!(end.kind, Kind::Dir));
            end.unwrap_or(itself)
        }
        _ => itself,
    }
}
