//! Packages by paths: the owner of each, and all that list it.

use std::cell::OnceCell;

use memchr::memmem::Finder;
use rustc_hash::{FxHashMap, FxHashSet};

use super::index::Lists;
use super::known::{known_owner, made_by_scripts};
use super::{Database, Format, PackageId, dpkg};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

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

impl Database {
    /// The owner of each of `paths`, which is the first of its [`holders`](Self::holders). As few lists as possible are
    /// read: those of likely packages.
    pub fn owners(&self, view: &Sysroot, paths: &[RootfsPath]) -> Vec<Option<PackageId>> {
        let first = |holders: Vec<PackageId>| holders.first().copied();
        let by_likelihood = self.owners_by_likelihood(view, paths);
        by_likelihood.unwrap_or_else(|| self.holders(view, paths).into_iter().map(first).collect())
    }

    /// The packages that list each of `paths`, which are real ones, the likeliest first; for a directory, all packages
    /// with a file in it. One of another architecture counts only if no other package lists the path. A database may
    /// list a path without `/usr` if /usr is merged.
    pub fn holders(&self, view: &Sysroot, paths: &[RootfsPath]) -> Vec<Vec<PackageId>> {
        let is_ours = |id: &PackageId| self.is_ours(self.package(*id));
        let mut holders = self.listing(view, paths);
        for holders in holders.iter_mut().filter(|holders| holders.iter().any(is_ours)) {
            holders.retain(is_ours);
        }
        if holders.iter().any(|holders| holders.len() > 1) {
            let mut ranks = vec![usize::MAX; self.packages.len()];
            let named = self.guessed(paths);
            let (likely, others) = self.likely_after(&named);
            named.into_iter().chain(likely).chain(others).enumerate().for_each(|(rank, id)| ranks[id.0] = rank);
            holders.iter_mut().for_each(|holders| holders.sort_by_key(|id| ranks[id.0]));
        }
        holders
    }

    /// The owner of each path: lists are read in the order of likelihood until each path has one. `None` if the index of
    /// all lists exists already, or would cost less.
    fn owners_by_likelihood(&self, view: &Sysroot, paths: &[RootfsPath]) -> Option<Vec<Option<PackageId>>> {
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
        let named = self.guessed(paths);
        // Few lists answer most queries, so the others are ordered on demand.
        let likely = OnceCell::new();
        let likely = || likely.get_or_init(|| self.likely_after(&named));
        for part in 0..3 {
            if open == 0 {
                break;
            }
            // Few paths are left: most have no owner, or one of the dependencies of named packages.
            if part > 0 {
                if part == 2 {
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
                if part == 2 && needles.is_none() {
                    return None;
                }
            }
            let ids = match part {
                0 => &named,
                1 => &likely().0,
                _ => &likely().1,
            };
            for id in ids.iter().copied() {
                if open == 0 {
                    break;
                }
                let package = self.package(id);
                let list = lists.of(self, package);
                if needles.as_ref().is_some_and(|needles| needles.iter().all(|needle| needle.find(list).is_none())) {
                    continue;
                }
                for path in dpkg::listed(list).filter(|path| marks.may_have(path)) {
                    let diverted =
                        self.diversions.iter().find(|it| it.from.relative() == path && it.by != package.name);
                    let path = diverted.map_or(path, |it| it.to.relative());
                    for at in by_name.get(path).copied().into_iter().flatten().copied() {
                        open -= usize::from(owners[at].is_none());
                        owners[at].get_or_insert(id);
                    }
                }
            }
        }
        Some(owners)
    }

    /// The packages that the names of `paths` suggest.
    fn guessed(&self, paths: &[RootfsPath]) -> Vec<PackageId> {
        let mut seen: FxHashSet<PackageId> = FxHashSet::default();
        let named = paths.iter().flat_map(guesses).filter_map(|name| self.named(&name));
        named.filter(|id| self.is_ours(self.package(*id)) && seen.insert(*id)).collect()
    }

    /// The packages besides `named`: likely ones, which are those of every system and the dependencies of the named, and
    /// the rest. Of two architectures that share a file, the one that a name without an architecture means comes first.
    fn likely_after(&self, named: &[PackageId]) -> (Vec<PackageId>, Vec<PackageId>) {
        let mut seen: FxHashSet<PackageId> = named.iter().copied().collect();
        let is_ours = |id: &PackageId| self.is_ours(self.package(*id));
        let (ours, others): (Vec<_>, Vec<_>) = self.packages().map(|(id, _)| id).partition(is_ours);
        let (core, rest): (Vec<_>, Vec<_>) = ours.into_iter().partition(|id| self.package(*id).is_core);
        let needed = self.dependencies(named).packages.into_iter().map(|(id, _)| id);
        let likely = core.into_iter().chain(needed).filter(|id| is_ours(id) && seen.insert(*id)).collect();
        (likely, rest.into_iter().chain(others).filter(|id| !seen.contains(id)).collect())
    }
}

/// Names of packages that may have the file at `path`: its own name, that of a directory of documentation, a known one for
/// configuration, and Debian's for a library of this soname (Debian policy, 8.1).
fn guesses(path: &RootfsPath) -> Vec<String> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let Some(name) = text(path.file_name()) else { return Vec::new() };
    if let Some((stem, version)) = name.split_once(".so.") {
        let major = version.split('.').next().unwrap_or(version);
        let stem = stem.replace('_', "-").to_ascii_lowercase();
        let dash = if stem.ends_with(|last: char| last.is_ascii_digit()) { "-" } else { "" };
        let package = format!("{stem}{dash}{major}");
        return vec![format!("{package}t64"), package];
    }
    let folder = path.parent();
    let in_documentation = folder.as_ref().filter(|it| it.as_bytes().starts_with(b"/usr/share/doc/"));
    let known = path.as_str().filter(|path| path.starts_with("/etc/")).and_then(|path| known_owner("files", path));
    let in_documentation = in_documentation.and_then(|folder| text(folder.file_name()));
    in_documentation.into_iter().chain(known.map(str::to_owned)).chain([name]).collect()
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
