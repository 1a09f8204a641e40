//! The index of the lists of all packages: each list is read once, however many questions are asked of them.
//!
//! It holds hashes and no paths: a machine with a thousand packages has a hundred thousand lines. Two paths whose 64 bits
//! are the same would be taken for one.

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};

use super::{Database, Format, LONGEST, Listing, PackageId, dpkg};
use crate::path::RootfsPath;
use crate::sysroot::{Folder, Sysroot};

/// Hashes of listed paths, package by package.
#[derive(Debug, Default)]
pub(super) struct Index {
    paths: Vec<u64>,
    /// The end of each package's part of `paths`.
    ends: Vec<usize>,
}

impl Index {
    /// Reads the lists of all packages of `database`. What is diverted is listed under the name that it has now.
    pub(super) fn new(database: &Database, view: &Sysroot) -> Self {
        let mut index = Self::default();
        let mut lists = Lists::new(view);
        let lost: FxHashMap<u64, Vec<usize>> = places(database.diversions.iter().map(|it| it.from.relative()));
        let filter = Filter::new(lost.keys());
        for (_, package) in database.packages() {
            let mut add = |path: &[u8]| {
                let hash = hash(path);
                let diverted = if filter.may_have(hash) { lost.get(&hash) } else { None };
                let diverted = diverted.into_iter().flatten().map(|at| &database.diversions[*at]);
                let to = diverted.into_iter().find(|it| it.by != package.name);
                index.paths.push(to.map_or(hash, |it| self::hash(it.to.relative())));
            };
            match &package.listing {
                Listing::None => {}
                // No line is made a path.
                Listing::Files(files) if database.format == Format::Dpkg => {
                    dpkg::listed(lists.first(files)).for_each(&mut add);
                }
                Listing::Files(files) => {
                    let paths = database.format.files(lists.first(files));
                    paths.iter().for_each(|path| add(path.relative()));
                }
                Listing::Record => {
                    let paths = database.format.files(database.bytes.get(package.record.clone()).unwrap_or_default());
                    paths.iter().for_each(|path| add(path.relative()));
                }
            }
            index.ends.push(index.paths.len());
        }
        index
    }

    /// The packages that list each of `names`, which are without their first slash; each once, in order.
    pub(super) fn packages<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> Vec<Vec<PackageId>> {
        let wanted = places(names);
        let filter = Filter::new(wanted.keys());
        let mut found = vec![Vec::new(); wanted.values().map(Vec::len).sum()];
        let mut start = 0;
        for (place, end) in self.ends.iter().enumerate() {
            let id = PackageId(place);
            for hash in self.paths[start..*end].iter().filter(|hash| filter.may_have(**hash)) {
                for at in wanted.get(hash).into_iter().flatten() {
                    if found[*at].last() != Some(&id) {
                        found[*at].push(id);
                    }
                }
            }
            start = *end;
        }
        found
    }
}

/// The places of paths, by their hashes.
fn places<'n>(paths: impl Iterator<Item = &'n [u8]>) -> FxHashMap<u64, Vec<usize>> {
    let mut places: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    paths.enumerate().for_each(|(at, path)| places.entry(hash(path)).or_default().push(at));
    places
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(path);
    hasher.finish()
}

/// A set of hashes that may seem to have more than it has, and says so at once.
struct Filter(Box<[u64; 1024]>);

impl Filter {
    fn new<'h>(hashes: impl Iterator<Item = &'h u64>) -> Self {
        let mut bits = Box::new([0; 1024]);
        hashes.for_each(|hash| bits[(hash >> 6 & 1023) as usize] |= 1 << (hash & 63));
        Self(bits)
    }

    fn may_have(&self, hash: u64) -> bool {
        self.0[(hash >> 6 & 1023) as usize] >> (hash & 63) & 1 == 1
    }
}

/// A reader of lists, most of which are in one directory.
struct Lists<'v> {
    view: &'v Sysroot,
    folder: Option<(RootfsPath, Folder)>,
    bytes: Vec<u8>,
}

impl<'v> Lists<'v> {
    fn new(view: &'v Sysroot) -> Self {
        Self { view, folder: None, bytes: Vec::new() }
    }

    /// The bytes of the first of these files that is there.
    fn first(&mut self, files: &[RootfsPath]) -> &[u8] {
        self.bytes.clear();
        for file in files {
            if !self.folder.as_ref().is_some_and(|(path, _)| file.is_child_of(path)) {
                let parent = file.parent();
                self.folder = parent.and_then(|path| Some((path.clone(), self.view.folder(&path)?)));
            }
            let Some((_, folder)) = &self.folder else { continue };
            if folder.read(file.file_name(), LONGEST, &mut self.bytes) {
                return &self.bytes;
            }
        }
        &[]
    }
}

impl Database {
    fn lists(&self, view: &Sysroot) -> &Index {
        self.lists.get_or_init(|| Index::new(self, view))
    }

    /// The packages that list each of `paths`, which are real ones, under any of their names; each once, in order.
    pub(super) fn listing(&self, view: &Sysroot, paths: &[RootfsPath]) -> Vec<Vec<PackageId>> {
        let names: Vec<(usize, RootfsPath)> = (paths.iter().enumerate())
            .flat_map(|(at, path)| self.names(path).into_iter().map(move |name| (at, name)))
            .collect();
        let mut found = vec![Vec::new(); paths.len()];
        if names.is_empty() {
            return found;
        }
        let packages = self.lists(view).packages(names.iter().map(|(_, name)| name.relative()));
        for ((at, _), packages) in names.iter().zip(packages) {
            found[*at].extend(packages);
        }
        for packages in &mut found {
            packages.sort_unstable();
            packages.dedup();
        }
        found
    }
}
