//! Whole packages of requested tools without a rule: their own, those of data alone that they depend on, and those of
//! headers that they recommend.

use rustc_hash::FxHashSet;

use super::super::units;
use super::evidence::{MOST, Weigh, Weighing, origin};
use super::kin::full_of;
use super::subjects::{Reach, Subject};
use crate::packages::{Database, PackageId};
use crate::path::RootfsPath;
use crate::policy::is_loaded;
use crate::sysroot::End;

/// The relation of a whole package to a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    /// Its own package, or a part of it.
    Part,
    /// The same, for a tool that links programs: with objects and static libraries.
    Whole,
    /// Data alone, on which it depends.
    Data,
    /// Headers that it reads: it recommends their package.
    Headers,
    /// Headers, and the objects and libraries beside them, for a tool that links programs.
    Linked,
}

/// Returns whether a path is below the directory of headers.
fn is_header(path: &RootfsPath) -> bool {
    let mut components = path.components();
    components.next() == Some(b"usr") && components.next() == Some(b"include") && components.next().is_some()
}

impl Weighing<'_, '_, '_, '_> {
    /// Adds the rest of the packages that own subjects.
    pub(super) fn packages(&mut self, database: &Database, subjects: &[Subject], holders: &[Vec<PackageId>]) {
        for (subject, holders) in subjects.iter().zip(holders).filter(|(it, _)| it.has_prefix()) {
            let Some(&owner) = holders.first() else {
                if subject.file.is_some() || !self.worklist.view.is_outside(&subject.realpath) {
                    self.prefix(subject);
                }
                continue;
            };
            // The modules of a script's package come by rules.
            if subject.reach == Reach::Module {
                continue;
            }
            let full = full_of(database, owner).filter(|_| subject.is_named);
            let parts = [Some(owner), full].into_iter().flatten().flat_map(|id| database.parts(id));
            let mut packages: Vec<(PackageId, Is)> = parts.map(|id| (id, Is::Part)).collect();
            if subject.is_named {
                let data = self.data_of(database, owner, &packages);
                packages.extend(data.into_iter().map(|id| (id, Is::Data)));
                self.headers(database, subject, owner, &mut packages);
            }
            for (id, is) in packages {
                if !self.evidence.decided.insert((id, None)) {
                    continue;
                }
                let package = database.package(id);
                let is_for_builds = matches!(is, Is::Headers | Is::Linked);
                if !is_for_builds && self.evidence.judge.is_self_contained_package(package.name.as_bytes()) {
                    continue;
                }
                let files = database.files(self.worklist.view, id);
                if subject.is_named && self.evidence.weigh == Weigh::Take {
                    self.evidence.services.extend(files.iter().filter(|path| units::is_service(path)).cloned());
                }
                let (files, count, size) = self.wanted(&package.name, files, is);
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
                let brought = &mut self.evidence.brought;
                match is {
                    _ if count == 0 => {}
                    Is::Part | Is::Whole => brought.package(name, &subject.name, count, size),
                    Is::Data | Is::Headers | Is::Linked => brought.named(name, &subject.name, count, size),
                }
                if self.evidence.weigh == Weigh::Take {
                    let how = match is {
                        Is::Part | Is::Whole => "whose package it is",
                        Is::Data => "whose package depends on it",
                        Is::Headers | Is::Linked => "which reads its headers",
                    };
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

    /// The packages of data alone that a tool's package or one of its parts depends on, such as tzdata.
    fn data_of(&mut self, database: &Database, owner: PackageId, parts: &[(PackageId, Is)]) -> Vec<PackageId> {
        let needed = parts.iter().flat_map(|(id, _)| database.depends_on(*id));
        let judge = &self.evidence.judge;
        let is_code = |path: &RootfsPath| {
            let name = path.file_name();
            let is_library = name.ends_with(b".so") || memchr::memmem::find(name, b".so.").is_some();
            is_library || is_loaded(name) || path.parent().is_some_and(|it| judge.has_programs(&it))
        };
        let view = &*self.worklist.view;
        needed
            .filter(|id| !database.are_of_one_source(owner, *id))
            .filter(|id| !database.files(view, *id).iter().any(is_code))
            .collect()
    }

    /// Adds the packages of headers that a tool's package recommends. A tool with objects among its own files links
    /// programs, as gcc does: it needs all of its parts, and all of these and of the packages that they depend on.
    fn headers(&mut self, database: &Database, tool: &Subject, owner: PackageId, packages: &mut Vec<(PackageId, Is)>) {
        let view = &*self.worklist.view;
        let has_headers = |id: &PackageId| database.files(view, *id).iter().any(is_header);
        let mut found: Vec<PackageId> = database.recommends(owner).into_iter().filter(has_headers).collect();
        if found.is_empty() || tool.file.is_none() {
            return;
        }
        let is_object = |path: &RootfsPath| path.file_name().ends_with(b".o");
        if !packages.iter().any(|(id, _)| database.files(view, *id).iter().any(is_object)) {
            packages.extend(found.into_iter().map(|id| (id, Is::Headers)));
            return;
        }
        let mut next = 0;
        while let Some(&id) = found.get(next) {
            let needed = database.depends_on(id).into_iter().filter(|id| !found.contains(id)).filter(has_headers);
            let needed: Vec<PackageId> = needed.collect();
            found.extend(needed);
            next += 1;
        }
        packages.retain(|(id, _)| !found.contains(id));
        packages.iter_mut().for_each(|(_, is)| *is = if *is == Is::Part { Is::Whole } else { *is });
        packages.extend(found.into_iter().map(|id| (id, Is::Linked)));
    }

    /// The useful files of a package, their number and length.
    fn wanted(&mut self, name: &str, files: Vec<RootfsPath>, is: Is) -> (Vec<RootfsPath>, usize, u64) {
        let Some(scout) = &mut self.evidence.scout else { return Default::default() };
        let policy = &self.runtime.taken.policy;
        let exclude = match is {
            Is::Part | Is::Data => &self.evidence.exclude[..],
            // What is left out elsewhere serves a build.
            Is::Whole | Is::Headers | Is::Linked => &[],
        };
        let files = files.into_iter().filter(|path| is != Is::Headers || is_header(path));
        // A list may have a file behind a symlink of a merged /usr.
        let files: Vec<_> = files.map(|path| (scout.place(&path).path, path)).collect();
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
