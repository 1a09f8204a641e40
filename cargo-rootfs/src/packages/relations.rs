//! Relations of packages: dependencies, recommendations, and common sources.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Database, Dependencies, Format, PackageId, dpkg};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

impl Database {
    /// `wanted` with all dependencies. Of alternatives, the first installed one is taken, by its own name before a
    /// package that provides it. Recommended packages are left out.
    pub fn dependencies(&self, wanted: &[PackageId]) -> Dependencies {
        self.reach(wanted, |_, _| true)
    }

    /// The direct dependencies of `id`; of alternatives, the first installed one.
    pub fn depends_on(&self, id: PackageId) -> Vec<PackageId> {
        self.needed(id).filter_map(Result::ok).collect()
    }

    /// The direct, installed dependencies of a package; of alternatives, the first.
    #[cfg(feature = "cli")]
    pub(crate) fn needs(&self, id: PackageId) -> Vec<PackageId> {
        let found = self.reach(&[id], |by, _| by == id);
        found.packages.into_iter().map(|(needed, _)| needed).filter(|needed| *needed != id).collect()
    }

    /// The installed packages that `id` recommends; only dpkg has such a relation.
    pub fn recommends(&self, id: PackageId) -> Vec<PackageId> {
        let relations = match self.format {
            Format::Dpkg => dpkg::field(self.record(id), b"Recommends").unwrap_or_default(),
            Format::Apk | Format::Pacman => &[],
        };
        dpkg::groups(relations).iter().filter_map(|group| self.chosen(group)).collect()
    }

    /// `id` and those of its dependencies that have the same source: `file` is split into `file`, `libmagic1` and
    /// `libmagic-mgc`.
    pub fn parts(&self, id: PackageId) -> Vec<PackageId> {
        let found = self.reach(&[id], |_, needed| self.source(needed) == self.source(id));
        found.packages.into_iter().map(|(id, _)| id).collect()
    }

    /// `id`, and those of its dependencies that have a file for which `is_module` is true, or that have the same
    /// source, such as their data packages; in turn those of all these, and of packages with programs on which `id`
    /// itself depends. Each is returned with its files.
    pub fn modules(
        &self,
        view: &Sysroot,
        id: PackageId,
        is_module: impl Fn(&RootfsPath) -> bool,
    ) -> Vec<(PackageId, Vec<RootfsPath>)> {
        let mut held: FxHashMap<PackageId, Vec<RootfsPath>> = FxHashMap::default();
        let mut others: FxHashSet<PackageId> = FxHashSet::default();
        held.insert(id, self.files(view, id));
        let found = self.reach(&[id], |by, needed| {
            let is_part = held.contains_key(&by) && self.source(by) == self.source(needed);
            if held.contains_key(&needed) || !is_part && others.contains(&needed) {
                return held.contains_key(&needed);
            }
            let files = self.files(view, needed);
            if is_part || files.iter().any(&is_module) {
                held.insert(needed, files);
                return true;
            }
            others.insert(needed);
            by == id && files.iter().any(is_program)
        });
        let of = |id| held.remove(&id).map(|files| (id, files));
        found.packages.into_iter().map(|(id, _)| id).filter_map(of).collect()
    }

    /// Returns whether two packages have the same source.
    pub fn are_of_one_source(&self, one: PackageId, other: PackageId) -> bool {
        self.source(one) == self.source(other)
    }

    /// The packages of every system.
    pub fn core(&self) -> Vec<PackageId> {
        self.packages().filter(|(_, package)| package.is_core).map(|(id, _)| id).collect()
    }

    /// The dependencies, followed only from packages to packages for which `goes_on` is true.
    fn reach(&self, wanted: &[PackageId], mut goes_on: impl FnMut(PackageId, PackageId) -> bool) -> Dependencies {
        let mut found = Dependencies::default();
        let mut seen: FxHashSet<PackageId> = FxHashSet::default();
        for (place, &id) in wanted.iter().enumerate() {
            let first = found.packages.len();
            if seen.insert(id) {
                found.packages.push((id, place));
            }
            let mut next = first;
            while let Some(&(id, _)) = found.packages.get(next) {
                next += 1;
                for needed in self.needed(id) {
                    match needed {
                        Ok(needed) if !goes_on(id, needed) => {}
                        Ok(needed) if seen.insert(needed) => found.packages.push((needed, place)),
                        Ok(_) => {}
                        Err(group) => found.missing.push((id, group)),
                    }
                }
            }
        }
        found
    }

    /// The direct dependencies of a package: of each group the installed one, by its own name before a package that
    /// provides it, or the group itself.
    fn needed(&self, id: PackageId) -> impl Iterator<Item = Result<PackageId, String>> {
        let package = self.package(id);
        let groups = match &*package.relations {
            [] => Cow::Borrowed(&package.depends),
            relations => Cow::Owned(dpkg::groups(relations)),
        };
        let one = |group: &Vec<Box<str>>| self.chosen(group).ok_or_else(|| group.join(" | "));
        groups.iter().map(one).collect::<Vec<_>>().into_iter()
    }

    /// The installed one of alternatives, by its own name before a package that provides it.
    fn chosen(&self, group: &[Box<str>]) -> Option<PackageId> {
        let by_role = || group.iter().find_map(|name| self.providers.get(name)?.first().copied());
        group.iter().find_map(|name| self.named(name)).or_else(by_role)
    }

    /// The name of its source package.
    fn source(&self, id: PackageId) -> &str {
        let package = self.package(id);
        package.source.as_deref().unwrap_or(&package.name)
    }
}

/// Returns whether a file is in a directory of programs.
fn is_program(path: &RootfsPath) -> bool {
    let folder = path.parent();
    let bytes = folder.as_ref().map(RootfsPath::as_bytes).unwrap_or_default();
    bytes.ends_with(b"/bin") || bytes.ends_with(b"/sbin")
}
