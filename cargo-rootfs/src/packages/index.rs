//! The index of the lists of all packages: each list is read once for all queries.
//!
//! It has hashes in place of paths: a machine with a thousand packages has a hundred thousand lines. Two paths with the
//! same 64-bit hash would be taken for one.

use std::collections::BTreeSet;
use std::hash::Hasher;

use memchr::memmem::Finder;
use rustc_hash::{FxHashMap, FxHasher};

use super::dpkg::{self, Diversion};
use super::{Database, Format, LONGEST, Listing, Package, PackageId};
use crate::path::RootfsPath;
use crate::sysroot::{Folder, Sysroot};

/// Hashes of listed paths, each with the index of its package.
#[derive(Debug)]
pub(super) struct Index {
    /// Sorted by the first bits of the hash, then by package.
    listed: Vec<(u64, u32)>,
    /// The beginning of each group with the same first bits, and the end of the last group.
    groups: Vec<usize>,
}

/// The number of common bits in a group: on a machine with a thousand packages, a group has thirty paths.
const BITS: u32 = 12;

fn group(hash: u64) -> usize {
    (hash >> (u64::BITS - BITS)) as usize
}

impl Index {
    /// Reads the lists of all packages of `database`. A diverted file is listed under its present name.
    pub(super) fn new(database: &Database, view: &Sysroot) -> Self {
        let mut listed: Vec<(u64, u32)> = Vec::new();
        let mut lists = Lists::new(view);
        let mut lost: FxHashMap<u64, Vec<&Diversion>> = FxHashMap::default();
        database.diversions.iter().for_each(|it| lost.entry(hash(it.from.relative())).or_default().push(it));
        // Few paths are diverted, and eight bits of the hash exclude most lines.
        let mut may_be_lost = [false; 256];
        lost.keys().for_each(|hash| may_be_lost[(hash & 255) as usize] = true);
        for (PackageId(place), package) in database.packages() {
            let mut add = |path: &[u8]| {
                let hash = hash(path);
                let lost = if may_be_lost[(hash & 255) as usize] { lost.get(&hash) } else { None };
                let diverted = lost.into_iter().flatten().find(|it| it.by != package.name);
                listed.push((diverted.map_or(hash, |it| self::hash(it.to.relative())), place as u32));
            };
            let list = match &package.listing {
                Listing::Record => database.bytes.get(package.record.clone()).unwrap_or_default(),
                _ => lists.of(database, package),
            };
            match database.format {
                // Lines are not converted to paths, for speed.
                Format::Dpkg => dpkg::listed(list).for_each(&mut add),
                _ => database.format.files(list).iter().for_each(|path| add(path.relative())),
            }
        }
        Self::grouped(&listed)
    }

    fn grouped(listed: &[(u64, u32)]) -> Self {
        let mut groups = vec![0; (1 << BITS) + 1];
        listed.iter().for_each(|(hash, _)| groups[group(*hash) + 1] += 1);
        for at in 1..groups.len() {
            groups[at] += groups[at - 1];
        }
        let (mut next, mut in_groups) = (groups.clone(), vec![(0, 0); listed.len()]);
        for one in listed {
            let place = &mut next[group(one.0)];
            in_groups[*place] = *one;
            *place += 1;
        }
        Self { listed: in_groups, groups }
    }

    /// The packages that list `path`, which has no leading slash, in order.
    pub(super) fn packages(&self, path: &[u8]) -> impl Iterator<Item = PackageId> {
        let wanted = hash(path);
        let group = self.groups[group(wanted)]..self.groups[group(wanted) + 1];
        let listed = self.listed[group].iter().filter(move |(hash, _)| *hash == wanted);
        listed.map(|(_, place)| PackageId(*place as usize))
    }
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(path);
    hasher.finish()
}

/// A reader of lists, most of which are in one directory.
pub(super) struct Lists<'v> {
    view: &'v Sysroot,
    folder: Option<(RootfsPath, Folder)>,
    bytes: Vec<u8>,
}

impl<'v> Lists<'v> {
    pub(super) fn new(view: &'v Sysroot) -> Self {
        Self { view, folder: None, bytes: Vec::new() }
    }

    /// The bytes of a package's list: of its first existing file.
    pub(super) fn of(&mut self, database: &Database, package: &Package) -> &[u8] {
        self.bytes.clear();
        let is_found = match &package.listing {
            Listing::None | Listing::Record => false,
            Listing::File(file) => match file.parent() {
                Some(parent) => self.read(&parent, file.file_name()),
                None => false,
            },
            Listing::Info => dpkg::list_names(package).iter().any(|name| self.read(&database.info, name.as_bytes())),
        };
        if is_found { &self.bytes } else { &[] }
    }

    fn read(&mut self, directory: &RootfsPath, name: &[u8]) -> bool {
        if self.folder.as_ref().is_none_or(|(path, _)| path != directory) {
            self.folder = self.view.folder(directory).map(|folder| (directory.clone(), folder));
        }
        self.folder.as_ref().is_some_and(|(_, folder)| folder.read(name, LONGEST, &mut self.bytes))
    }
}

impl Database {
    /// The listed paths with one of these file names, sorted.
    pub fn listed_under(&self, view: &Sysroot, names: &[&[u8]]) -> BTreeSet<RootfsPath> {
        let finders: Vec<Finder<'_>> = names.iter().map(|name| Finder::new(*name)).collect();
        let mut lists = Lists::new(view);
        let mut found = BTreeSet::new();
        for (_, package) in self.packages() {
            let list = match &package.listing {
                Listing::Record => self.bytes.get(package.record.clone()).unwrap_or_default(),
                _ => lists.of(self, package),
            };
            if finders.iter().any(|finder| finder.find(list).is_some()) {
                let files = self.format.files(list).into_iter();
                found.extend(files.filter(|path| names.contains(&path.file_name())));
            }
        }
        found
    }

    fn lists(&self, view: &Sysroot) -> &Index {
        self.lists.get_or_init(|| Index::new(self, view))
    }

    /// The names of [`Database::names`], and none for a file of the project: it has no package, and causes no reading.
    pub(super) fn names_in(&self, view: &Sysroot, path: &RootfsPath) -> Vec<RootfsPath> {
        if view.is_foreign(path) { Vec::new() } else { self.names(path) }
    }

    /// The packages that list each of `paths`, which are real ones, under any of their names; without duplicates, in
    /// order.
    pub(super) fn listing(&self, view: &Sysroot, paths: &[RootfsPath]) -> Vec<Vec<PackageId>> {
        let names = paths.iter().map(|path| self.names_in(view, path));
        let packages = names.map(|names| {
            let of_all = names.iter().flat_map(|name| self.lists(view).packages(name.relative()));
            let mut packages: Vec<PackageId> = of_all.collect();
            packages.sort_unstable();
            packages.dedup();
            packages
        });
        packages.collect()
    }
}
