//! Libraries that packed files open by their names, from packages on which the packages of these files depend.
//!
//! Other libraries that may be opened are suggested, see [`crate::layout::opened`].

use std::collections::BTreeSet;

use super::constants::{self, Named};
use super::evidence::{Weigh, Weighing, origin};
use super::subjects::Subject;
use crate::elf::Bytes;
use crate::packages::{Database, PackageId};
use crate::path::RootfsPath;
use crate::policy::is_rarely_opened_by;
use crate::resolve::{Files, in_directories};
use crate::sysroot::End;

impl Weighing<'_, '_, '_, '_> {
    /// Adds libraries whose names are constants of a subject that calls dlopen(3), if a package of any subject needs their
    /// package: WebKit's needs libgles2, which libepoxy opens for it.
    pub(super) fn opened(&mut self, database: &Database, subjects: &[Subject], holders: &[Vec<PackageId>]) {
        let files = || subjects.iter().zip(holders).filter(|(subject, _)| subject.file.is_some());
        let owners: BTreeSet<PackageId> = files().filter_map(|(_, holders)| holders.first().copied()).collect();
        let mut needed = BTreeSet::new();
        for owner in owners {
            needed.extend(self.needs(database, owner).into_iter().chain(database.parts(owner)));
        }
        let mut named: Vec<(&Subject, RootfsPath, RootfsPath)> = Vec::new();
        for (subject, _) in files() {
            named.extend(self.named_libraries(subject).into_iter().map(|(path, real)| (subject, path, real)));
        }
        let real: Vec<RootfsPath> = named.iter().map(|(.., real)| real.clone()).collect();
        let holders = database.holders(self.worklist.view, &real);
        for ((subject, path, _), holders) in named.into_iter().zip(holders) {
            let Some(&id) = holders.iter().find(|holder| needed.contains(holder)) else { continue };
            if !self.evidence.decided.insert((id, Some(path.clone()))) {
                continue;
            }
            let (count, size) = self.measure(&path);
            let package = &*database.package(id).name;
            self.evidence.brought.named(package, &subject.name, count, size);
            if self.evidence.weigh == Weigh::Take {
                let origin = origin(package, &subject.name, "which opens it");
                self.taking(&origin, |taking| {
                    taking.exclude = &[];
                    taking.path(&path);
                });
            }
        }
    }

    /// The libraries in the loader's directories that a subject may open and that are not packed, each with its real path.
    fn named_libraries(&mut self, subject: &Subject) -> Vec<(RootfsPath, RootfsPath)> {
        let names = subject.file.and_then(|file| self.worklist.view.names_to_open(file)).unwrap_or_default();
        let Some(scout) = &mut self.evidence.scout else { return Vec::new() };
        let is_library = |name: &&Bytes| {
            let is_rare = is_rarely_opened_by(subject.realpath.file_name(), name);
            name.starts_with(b"lib") && !name.contains(&b'/') && !is_rare
        };
        let directories = self.runtime.lib.iter().filter_map(|directory| RootfsPath::parse(directory).ok());
        let directories: Vec<RootfsPath> = directories.collect();
        let names = names.iter().filter(is_library).flat_map(|name| in_directories(scout, &directories, name));
        let names: Vec<Bytes> = names.collect();
        let mut found = Vec::new();
        for name in &names {
            let there = directories.iter().find_map(|directory| constants::at(scout, directory.child(name)));
            let is_new = |it: &Named| matches!(it.end, End::File(_)) && !self.runtime.paths.contains(&it.real);
            found.extend(there.filter(is_new).map(|it| (it.path, it.real)));
        }
        found
    }
}
