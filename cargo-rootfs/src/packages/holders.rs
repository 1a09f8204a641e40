//! Packages by the files and directories that they list, and the relations of two packages.

use super::{Database, Format, PackageId, dpkg};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

impl Database {
    /// The packages that list each of `paths`, which are real ones; for a directory, all packages with a file in it.
    pub fn holders(&self, view: &Sysroot, paths: &[RootfsPath]) -> Vec<Vec<PackageId>> {
        let is_ours = |id: &PackageId| self.is_ours(self.package(*id));
        let mut holders = self.listing(view, paths);
        holders.iter_mut().for_each(|holders| holders.retain(is_ours));
        holders
    }

    /// The direct dependencies of `id`; of alternatives, the first installed one.
    pub fn depends_on(&self, id: PackageId) -> Vec<PackageId> {
        self.needed(id).filter_map(Result::ok).collect()
    }

    /// The installed packages that `id` recommends; only dpkg has such a relation.
    pub fn recommends(&self, id: PackageId) -> Vec<PackageId> {
        let relations = match self.format {
            Format::Dpkg => dpkg::field(self.record(id), b"Recommends").unwrap_or_default(),
            Format::Apk | Format::Pacman => &[],
        };
        dpkg::groups(relations).iter().filter_map(|group| self.chosen(group)).collect()
    }

    /// The packages of every system.
    pub fn core(&self) -> Vec<PackageId> {
        self.packages().filter(|(_, package)| package.is_core).map(|(id, _)| id).collect()
    }

    /// Returns whether two packages have the same source.
    pub fn are_of_one_source(&self, one: PackageId, other: PackageId) -> bool {
        self.source(one) == self.source(other)
    }
}
