//! The index of the lists of all packages: each list is read once for all queries.
//!
//! It has hashes in place of paths: a machine with a thousand packages has a hundred thousand lines. Two paths with the
//! same 64-bit hash would be taken for one.

use std::collections::BTreeSet;
use std::hash::Hasher;

use memchr::memmem::Finder;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use super::dpkg::{self, Diversion};
use super::known::made_by_scripts;
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

/// A set of paths that rejects most others without hashing them.
pub(crate) struct Marks([u64; Marks::COUNT / 64]);

impl Marks {
    const COUNT: usize = 1 << 12;

    pub(crate) fn of<'p>(paths: impl Iterator<Item = &'p [u8]>) -> Self {
        let mut marks = Self([0; Self::COUNT / 64]);
        paths.map(Self::mark).for_each(|mark| marks.0[mark / 64] |= 1 << (mark % 64));
        marks
    }

    /// Returns whether a path may be in the set.
    pub(crate) fn may_have(&self, path: &[u8]) -> bool {
        let mark = Self::mark(path);
        self.0[mark / 64] >> (mark % 64) & 1 == 1
    }

    /// A number by the length and the end of a path.
    fn mark(path: &[u8]) -> usize {
        let end = path.last_chunk().map_or(0, |end| u32::from_le_bytes(*end));
        ((end ^ (path.len() as u32)).wrapping_mul(0x9e37_79b1) >> (u32::BITS - Self::COUNT.trailing_zeros())) as usize
    }
}

/// Directories of the administrator (hier(7)), below which few packages have a file; and the rarest part of each, which
/// is found faster than the beginning of all lines.
const LOCAL: [(&[u8], &[u8]); 5] =
    [(b"usr/local/", b"/local/"), (b"opt/", b"opt/"), (b"root/", b"root/"), (b"home/", b"home/"), (b"srv/", b"srv/")];

/// Texts to search a list for: it can only contain one of `names` if it contains one of these, which are the names, their
/// directories, or directories above these, such as [`LOCAL`] ones. `None` if there are so many that an index costs less.
fn needles_of<'n>(names: impl Iterator<Item = &'n RootfsPath>) -> Option<Vec<Finder<'n>>> {
    const MOST: usize = 8;
    let local = |name: &'n [u8]| {
        let (_, needle) = LOCAL.into_iter().find(|(folder, _)| name.starts_with(folder))?;
        Some(needle)
    };
    let names: Vec<&[u8]> = names.map(RootfsPath::relative).map(|name| local(name).unwrap_or(name)).collect();
    let folder = |name: &'n [u8], depth| {
        let ends = memchr::memchr_iter(b'/', name).map(|slash| slash + 1);
        ends.take(depth).last().map_or(name, |end| &name[..end])
    };
    // The directory, `usr/local/share/`, `usr/local/`.
    let folders = [usize::MAX, 3, 2].map(|depth| names.iter().map(|name| folder(name, depth)).collect());
    let mut needles = std::iter::once(names.iter().copied().collect::<FxHashSet<_>>()).chain(folders);
    let needles = needles.find(|needles| needles.len() <= MOST)?;
    Some(needles.into_iter().map(Finder::new).collect())
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

    /// The bytes of a package's list: of its first existing file.
    fn of(&mut self, database: &Database, package: &Package) -> &[u8] {
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
    /// The owner of each path: the likeliest of the packages that list it. Lists are read in the order of likelihood until
    /// each path has an owner. `None` if the index of all lists exists already, or would cost less.
    pub(super) fn owners_by_likelihood(&self, view: &Sysroot, paths: &[RootfsPath]) -> Option<Vec<Option<PackageId>>> {
        if self.format != Format::Dpkg || self.lists.get().is_some() {
            return None;
        }
        let (mut owners, mut is_made) = (vec![None; paths.len()], vec![false; paths.len()]);
        let mut wanted: FxHashMap<RootfsPath, Vec<usize>> = FxHashMap::default();
        let mut open = 0;
        for (at, path) in paths.iter().enumerate() {
            let names = self.names_in(view, path);
            open += usize::from(!names.is_empty());
            names.into_iter().for_each(|name| wanted.entry(name).or_default().push(at));
        }
        let by_name: FxHashMap<&[u8], &Vec<usize>> =
            wanted.iter().map(|(name, places)| (name.relative(), places)).collect();
        let lost = self.diversions.iter().map(|it| it.from.relative());
        let marks = Marks::of(by_name.keys().copied().chain(lost));
        let mut lists = Lists::new(view);
        let mut needles = None;
        let (named, likely, others) = self.likely_first(paths);
        let (after_named, after_likely) = (named.len(), named.len() + likely.len());
        for (count, id) in named.into_iter().chain(likely).chain(others).enumerate() {
            if open == 0 {
                break;
            }
            // Few paths are left: most have no owner, or one of the dependencies of named packages.
            if count == after_named || count == after_likely {
                if count == after_likely {
                    let made = paths.iter().map(|path| made_by_scripts().contains(path.as_bytes()));
                    is_made = made.collect();
                }
                let is_open = |at: &usize| owners[*at].is_none() && !is_made[*at];
                let names = wanted.iter().filter(|(_, places)| places.iter().any(is_open)).map(|(name, _)| name);
                let names: Vec<&RootfsPath> = names.collect();
                if names.is_empty() {
                    break;
                }
                let lost = self.diversions.iter().filter(|it| wanted.contains_key(&it.to)).map(|it| &it.from);
                needles = needles_of(names.into_iter().chain(lost));
                if count == after_likely && needles.is_none() {
                    return None;
                }
            }
            let package = self.package(id);
            let list = lists.of(self, package);
            if needles.as_ref().is_some_and(|needles| needles.iter().all(|needle| needle.find(list).is_none())) {
                continue;
            }
            for path in dpkg::listed(list).filter(|path| marks.may_have(path)) {
                let diverted = self.diversions.iter().find(|it| it.from.relative() == path && it.by != package.name);
                let path = diverted.map_or(path, |it| it.to.relative());
                for at in by_name.get(path).copied().into_iter().flatten().copied() {
                    open -= usize::from(owners[at].is_none());
                    owners[at].get_or_insert(id);
                }
            }
        }
        Some(owners)
    }

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
    fn names_in(&self, view: &Sysroot, path: &RootfsPath) -> Vec<RootfsPath> {
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
