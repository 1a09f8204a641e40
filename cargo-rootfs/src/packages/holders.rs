//! Packages by the files and directories that they list, and the relations of two packages.

use rustc_hash::FxHashMap;

use super::{Database, Format, Listing, PackageId, read_first};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

impl Database {
    /// The packages that list each of `paths`, which are real ones: of a directory all that have something in it.
    pub fn holders(&self, view: &Sysroot, paths: &[RootfsPath]) -> Vec<Vec<PackageId>> {
        let mut holders = vec![Vec::new(); paths.len()];
        let mut wanted: FxHashMap<RootfsPath, Vec<usize>> = FxHashMap::default();
        for (at, path) in paths.iter().enumerate() {
            for name in self.names(path) {
                wanted.entry(name).or_default().push(at);
            }
        }
        if wanted.is_empty() {
            return holders;
        }
        let by_name: FxHashMap<&[u8], &Vec<usize>> =
            wanted.iter().map(|(name, places)| (name.relative(), places)).collect();
        let is_ours = |id: PackageId| self.named.get(&self.package(id).name).is_some_and(|ids| ids.contains(&id));
        for (id, package) in self.packages().filter(|(id, _)| is_ours(*id)) {
            let mut hold = |relative: &[u8]| {
                for &at in by_name.get(relative).copied().into_iter().flatten() {
                    if holders[at].last() != Some(&id) {
                        holders[at].push(id);
                    }
                }
            };
            match &package.listing {
                // A whole machine has a hundred thousand lines: none is made a path.
                Listing::Files(lists) if self.format == Format::Dpkg && self.diversions.is_empty() => {
                    let bytes = read_first(view, lists).unwrap_or_default();
                    for line in bytes.split(|byte| *byte == b'\n') {
                        match line.first() {
                            Some(b'/') => hold(&line[1..]),
                            Some(_) => hold(line.get(34..).unwrap_or_default()),
                            None => {}
                        }
                    }
                }
                _ => self.files(view, id).iter().for_each(|path| hold(path.relative())),
            }
        }
        holders
    }

    /// The packages that `id` depends on itself: of alternatives the first that is installed.
    pub fn depends_on(&self, id: PackageId) -> Vec<PackageId> {
        let groups = self.package(id).depends.iter();
        let first = |group: &Vec<Box<str>>| {
            let by_name = group.iter().find_map(|name| self.named.get(name)?.first());
            by_name.or_else(|| group.iter().find_map(|name| self.providers.get(name)?.first())).copied()
        };
        groups.filter_map(first).collect()
    }

    /// The packages that every system has.
    pub fn core(&self) -> Vec<PackageId> {
        self.packages().filter(|(_, package)| package.is_core).map(|(id, _)| id).collect()
    }

    /// Whether two packages were made of one source.
    pub fn are_of_one_source(&self, one: PackageId, other: PackageId) -> bool {
        self.source(one) == self.source(other)
    }
}
