//! Whole packages of requested tools without a rule: their own, and those of data alone that they depend on.

use rustc_hash::FxHashSet;

use super::super::units;
use super::evidence::{MODULES, MOST, Weigh, Weighing, origin};
use super::kin::full_of;
use super::subjects::{Reach, Subject};
use crate::packages::{Database, PackageId};
use crate::path::RootfsPath;
use crate::sysroot::End;

impl Weighing<'_, '_, '_, '_> {
    /// Adds the rest of the packages that own subjects.
    pub(super) fn packages(&mut self, database: &Database, subjects: &[Subject], holders: &[Vec<PackageId>]) {
        for (subject, holders) in subjects.iter().zip(holders).filter(|(it, _)| it.reach == Reach::Package) {
            let Some(&owner) = holders.first() else {
                if subject.file.is_some() || !self.worklist.view.is_outside(&subject.realpath) {
                    self.prefix(subject);
                }
                continue;
            };
            let full = full_of(database, owner).filter(|_| subject.is_named);
            let parts = [Some(owner), full].into_iter().flatten().flat_map(|id| database.parts(id));
            let data = if subject.is_named { self.data_of(database, owner, full) } else { Vec::new() };
            for id in parts.chain(data.iter().copied()).collect::<Vec<_>>() {
                if !self.evidence.decided.insert((id, None)) {
                    continue;
                }
                let package = database.package(id);
                if self.evidence.judge.is_self_contained_package(package.name.as_bytes()) {
                    continue;
                }
                let files = database.files(self.worklist.view, id);
                if subject.is_named && self.evidence.weigh == Weigh::Take {
                    self.evidence.services.extend(files.iter().filter(|path| units::is_service(path)).cloned());
                }
                let (files, count, size) = self.wanted(&package.name, files);
                if files.is_empty() {
                    continue;
                }
                let name = &*package.name;
                // Without its own files, a named tool may not start at all.
                let most = if subject.is_named { 2 * MOST } else { MOST };
                if size > most {
                    self.evidence.offers.large(name, &subject.name, size);
                    continue;
                }
                self.evidence.whole.insert(id);
                let (is_data, brought) = (data.contains(&id), &mut self.evidence.brought);
                if count > 0 && is_data {
                    brought.named(name, &subject.name, count, size);
                } else if count > 0 {
                    brought.package(name, &subject.name, count, size);
                }
                if self.evidence.weigh == Weigh::Take {
                    let how = if is_data { "whose package depends on it" } else { "whose package it is" };
                    let origin = origin(name, &subject.name, how);
                    self.taking(&origin, |taking| {
                        // `wanted` has already removed the files that are left out.
                        taking.exclude = &[];
                        taking.package(name, &files);
                    });
                }
            }
        }
    }

    /// The packages of data alone that a tool's package depends on, such as tzdata.
    fn data_of(&mut self, database: &Database, owner: PackageId, full: Option<PackageId>) -> Vec<PackageId> {
        let needed = std::iter::once(owner).chain(full).flat_map(|id| database.depends_on(id));
        let judge = &self.evidence.judge;
        let is_code = |path: &RootfsPath| {
            let name = path.file_name();
            let is_library = name.ends_with(b".so") || memchr::memmem::find(name, b".so.").is_some();
            is_library
                || MODULES.iter().any(|ending| name.ends_with(ending))
                || path.parent().is_some_and(|it| judge.has_programs(&it))
        };
        let view = &*self.worklist.view;
        needed
            .filter(|id| !database.are_of_one_source(owner, *id))
            .filter(|id| !database.files(view, *id).iter().any(is_code))
            .collect()
    }

    /// The useful files of a package, their number and length.
    fn wanted(&mut self, name: &str, files: Vec<RootfsPath>) -> (Vec<RootfsPath>, usize, u64) {
        let Some(scout) = &mut self.evidence.scout else { return Default::default() };
        let policy = &self.runtime.taken.policy;
        let exclude = &self.evidence.exclude;
        // A list may have a file behind a symlink of a merged /usr.
        let files: Vec<_> = files.into_iter().map(|path| (scout.place(&path).path, path)).collect();
        let folders: FxHashSet<RootfsPath> =
            files.iter().flat_map(|(real, _)| std::iter::successors(real.parent(), RootfsPath::parent)).collect();
        // What others put into a directory serves another program; its own is its data.
        let is_own = |directory: &RootfsPath| directory.file_name() == name.as_bytes();
        let is_wanted = |(real, path): &(RootfsPath, RootfsPath)| {
            let mut on_the_way = std::iter::successors(Some(real.clone()), RootfsPath::parent);
            !folders.contains(real)
                && !policy.is_documentation(name, path)
                && !self.runtime.paths.contains(real)
                && !on_the_way.any(|it| !is_own(&it) && exclude.iter().any(|glob| glob.matches(&it).is_some()))
        };
        let mut wanted: Vec<_> = files.into_iter().filter(is_wanted).map(|(_, path)| path).collect();
        let (mut count, mut size) = (0, 0);
        wanted.retain(|path| {
            let walk = scout.walk(path);
            let End::File(file) = walk.end else { return matches!(walk.end, End::Dir(_)) };
            let is_program = scout.info(file).mode & 0o111 != 0
                && path.parent().is_some_and(|directory| self.evidence.judge.has_programs(&directory));
            if is_program || policy.secrets().of_path(path).is_some() {
                return false;
            }
            count += 1;
            if walk.links.iter().all(|(link, _)| link.file_name() != path.file_name()) {
                size += scout.info(file).host.size;
            }
            true
        });
        (wanted, count, size)
    }
}
