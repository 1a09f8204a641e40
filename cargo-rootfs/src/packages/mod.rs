//! The package database of a sysroot: what is installed, which files belong to it, what depends on what.
//!
//! It reads the database's own files, as dpkg, apk and pacman write them, and executes nothing. rpm's are not read: they
//! are SQLite or Berkeley DB files. What of a package goes into an image is for [`crate::layout`].

mod apk;
mod dpkg;
mod hints;
mod holders;
mod index;
mod known;
mod pacman;

use std::borrow::Cow;
use std::sync::OnceLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::path::RootfsPath;
use crate::sysroot::{End, Sysroot};
use crate::target::Machine;
use crate::wording::nearest;

pub(crate) use apk::{FILES as APK_FILES, cut as cut_apk_record};
pub(crate) use dpkg::{Sums, cut as cut_dpkg_record};
#[cfg(feature = "cli")]
pub(crate) use hints::{ABOUT, is_provisioned};
pub(crate) use hints::{elsewhere, of_library, of_tool, of_tool_in_debian, remedy};
use index::Index;
pub(crate) use known::known_owner;
pub(crate) use pacman::cut as cut_pacman_list;

/// Longer files of a database are not read: Debian's whole archive is 40 MB.
const LONGEST: usize = 64 << 20;

/// Bytes of the longest path that a system call takes, with a NUL at its end (linux/limits.h).
const PATH_MAX: usize = 4096;

/// The directories that distributions merge with others, one before the other.
const MERGED: [&str; 8] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin", "usr/lib64"];

/// The record of one installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// As `libssl3`.
    pub name: Box<str>,
    /// As the distribution writes it: `3.0.17-1~deb12u2`.
    pub version: Box<str>,
    /// As the distribution calls it: `amd64`, `x86_64`, `all`, `any`.
    pub architecture: Box<str>,
    /// The source package, where it has another name.
    pub source: Option<Box<str>>,
    /// The licence, where the database has it: dpkg's has not.
    pub licence: Option<Box<str>>,
    /// Its dependencies: one of each group is enough. Versions are left out.
    depends: Vec<Vec<Box<str>>>,
    /// The same in dpkg's syntax, `Depends` and `Pre-Depends`: parsed on demand, since few are used.
    relations: Box<[u8]>,
    /// Other names that it answers to, without versions.
    provides: Vec<Box<str>>,
    /// True if every system has it: its files are likely to be met.
    is_core: bool,
    /// True if it may be installed for several architectures.
    is_of_several: bool,
    /// The bytes of its record in [`Database::bytes`].
    record: std::ops::Range<usize>,
    /// The position of its list of files, in the meaning of its format.
    listing: Listing,
}

/// The place of a package's list of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Listing {
    /// At one of these, in the database's directory, in its format: dpkg's `.list` and `.md5sums`, pacman's `files`.
    #[default]
    None,
    Files(Vec<RootfsPath>),
    /// In its record.
    Record,
}

/// The package manager that keeps a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Debian, Ubuntu, and distroless images.
    Dpkg,
    /// Alpine.
    Apk,
    /// Arch.
    Pacman,
}

impl Format {
    /// The packages in `bytes`, the whole or a part of such a database: `/var/lib/dpkg/status`,
    /// `/lib/apk/db/installed`, `desc` in a directory of `/var/lib/pacman/local`. Unreadable records are skipped.
    pub fn packages(self, bytes: &[u8]) -> Vec<Package> {
        match self {
            Self::Dpkg => dpkg::packages(bytes),
            Self::Apk => apk::packages(bytes),
            Self::Pacman => pacman::package(bytes).into_iter().collect(),
        }
    }

    /// The paths in `bytes`, a list of files of this format: `.list` or `.md5sums`, a record of
    /// `/lib/apk/db/installed`, `files` in a directory of `/var/lib/pacman/local`. None has a `..` in it, or is longer
    /// than a path may be.
    pub fn files(self, bytes: &[u8]) -> Vec<RootfsPath> {
        let mut files = match self {
            Self::Dpkg => dpkg::files(bytes),
            Self::Apk => apk::files(bytes),
            Self::Pacman => pacman::files(bytes),
        };
        files.retain(|path| path.as_bytes().len() < PATH_MAX);
        files
    }
}

/// Fields of a package that bills of materials have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) struct About {
    /// Name and version of its source, where either differs from its own.
    pub(crate) source: Option<(String, String)>,
    pub(crate) licences: Vec<String>,
    /// `Name <address>`
    pub(crate) maintainer: Option<String>,
    pub(crate) homepage: Option<String>,
    /// The number of its regular files; of apk and pacman, of its files and links.
    pub(crate) files: usize,
}

/// A package of a [`Database`], by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(usize);

/// The packages installed in a sysroot.
#[derive(Debug)]
pub struct Database {
    format: Format,
    /// In order of names.
    packages: Vec<Package>,
    /// The architecture that names without one mean, besides `all`; any where `None`.
    architecture: Option<&'static str>,
    /// Those that answer to a name that is not theirs.
    providers: FxHashMap<Box<str>, Vec<PackageId>>,
    /// The records of all packages, one after the other: apk's file, dpkg's `status` and what `status.d` has, each `desc`.
    bytes: Vec<u8>,
    diversions: Vec<dpkg::Diversion>,
    /// Directories that are links in the sysroot, and where they lead: a list may have a file under either.
    merged: Vec<(RootfsPath, RootfsPath)>,
    /// The index of all lists, built on first use.
    lists: OnceLock<Index>,
}

/// Packages, and what they depend on.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// Each once, after what it was wanted by, with the place in what was asked for that led to it.
    pub packages: Vec<(PackageId, usize)>,
    /// The dependencies that are not installed: the package, and its alternatives, as `mawk | gawk`.
    pub missing: Vec<(PackageId, String)>,
}

impl Database {
    /// Reads the database of `view`; packages for another machine than `machine` are found by qualified names alone.
    /// `None` where there is none of a known format.
    pub fn open(view: &mut Sysroot, machine: Machine) -> Option<Self> {
        let mut database = dpkg::open(view).or_else(|| apk::open(view)).or_else(|| pacman::open(view))?;
        for folder in MERGED {
            let path = RootfsPath::root().join(folder.as_bytes());
            let walk = view.walk(&path);
            if matches!(walk.end, End::Dir(_)) && walk.path != path {
                database.merged.push((path, walk.path));
            }
        }
        database.index(machine.debian().filter(|_| database.format == Format::Dpkg));
        Some(database)
    }

    /// Looks at the places that [`open`](Self::open) looks at: they are inputs of a database that was read elsewhere.
    pub(crate) fn look(view: &mut Sysroot) {
        let at = |path: &str| RootfsPath::root().join(path.as_bytes());
        for places in [&dpkg::PLACES[..], &apk::FILES, &[pacman::FOLDER]] {
            let ends: Vec<End> = places.iter().map(|path| view.walk(&at(path)).end).collect();
            if ends.iter().any(|end| matches!(end, End::File(_) | End::Dir(_))) {
                break;
            }
        }
        for folder in MERGED {
            view.walk(&at(folder));
        }
    }

    /// The path of rpm's database, which is not read.
    pub fn rpm(view: &mut Sysroot) -> Option<RootfsPath> {
        let folders = ["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
        let names = ["rpmdb.sqlite", "Packages.db", "Packages"];
        let all = folders.iter().flat_map(|folder| names.iter().map(move |name| format!("{folder}/{name}")));
        all.map(|path| RootfsPath::root().join(path.as_bytes()))
            .find(|path| matches!(view.walk(path).end, End::File(_)))
    }

    /// These packages, of which all are for the same machine.
    pub fn new(format: Format, packages: Vec<Package>) -> Self {
        let mut database = Self::unindexed(format, packages);
        database.index(None);
        database
    }

    fn unindexed(format: Format, packages: Vec<Package>) -> Self {
        Self {
            format,
            packages,
            architecture: None,
            providers: FxHashMap::default(),
            bytes: Vec::new(),
            diversions: Vec::new(),
            merged: Vec::new(),
            lists: OnceLock::new(),
        }
    }

    fn index(&mut self, architecture: Option<&'static str>) {
        self.architecture = architecture;
        self.packages.sort_by(|one, two| (&one.name, &one.architecture).cmp(&(&two.name, &two.architecture)));
        let mut providers: FxHashMap<Box<str>, Vec<PackageId>> = FxHashMap::default();
        for (place, package) in self.packages.iter().enumerate().filter(|(_, package)| self.is_ours(package)) {
            for name in &package.provides {
                providers.entry(name.clone()).or_default().push(PackageId(place));
            }
        }
        self.providers = providers;
    }

    /// Returns whether a name without an architecture may mean a package.
    fn is_ours(&self, package: &Package) -> bool {
        self.architecture.is_none_or(|ours| [ours, "all"].contains(&&*package.architecture))
    }

    /// The package of this very name, as `libssl3` or `libssl3:arm64`.
    fn named(&self, name: &str) -> Option<PackageId> {
        let (plain, architecture) = name.split_once(':').map_or((name, None), |(plain, of)| (plain, Some(of)));
        let start = self.packages.partition_point(|package| &*package.name < plain);
        let mut same = self.packages[start..].iter().take_while(|package| &*package.name == plain);
        let place = same.position(|package| match architecture {
            Some(of) => &*package.architecture == of,
            None => self.is_ours(package),
        });
        place.map(|place| PackageId(start + place))
    }

    /// The packages that a package depends on: of each group the one that is installed, by its own name before one that
    /// provides it, or the group itself.
    fn needed(&self, id: PackageId) -> impl Iterator<Item = Result<PackageId, String>> {
        let package = self.package(id);
        let groups = match &*package.relations {
            [] => Cow::Borrowed(&package.depends),
            relations => Cow::Owned(dpkg::groups(relations)),
        };
        let one = |group: &Vec<Box<str>>| {
            let by_role = || group.iter().find_map(|name| self.providers.get(name)?.first().copied());
            group.iter().find_map(|name| self.named(name)).or_else(by_role).ok_or_else(|| group.join(" | "))
        };
        groups.iter().map(one).collect::<Vec<_>>().into_iter()
    }

    /// The format of the database.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The package at `id`.
    pub fn package(&self, id: PackageId) -> &Package {
        &self.packages[id.0]
    }

    /// All that is installed, in order of names.
    pub fn packages(&self) -> impl Iterator<Item = (PackageId, &Package)> {
        self.packages.iter().enumerate().map(|(place, package)| (PackageId(place), package))
    }

    /// The package of this name (as `libssl3` or `libssl3:arm64`), or one that provides it.
    pub fn find(&self, name: &str) -> Option<PackageId> {
        self.named(name).or_else(|| self.providers.get(name)?.first().copied())
    }

    /// The installed package that `name` was most likely meant to be: `libssl3` for `libsls3`, and for `ssl`.
    pub fn near(&self, name: &str) -> Option<&str> {
        let known = || self.packages.iter().map(|package| &*package.name);
        let has_it = |known: &&str| name.len() > 2 && known.contains(name);
        nearest(name, known()).or_else(|| known().filter(has_it).min_by_key(|known| known.len()))
    }

    /// `wanted`, and whatever they depend on, and so on. Of alternatives the first that is installed is meant, by its
    /// own name before one that provides it. What is only recommended is left out.
    pub fn dependencies(&self, wanted: &[PackageId]) -> Dependencies {
        self.reach(wanted, |_, _| true)
    }

    /// The source package that it was made of.
    fn source(&self, id: PackageId) -> &str {
        let package = self.package(id);
        package.source.as_deref().unwrap_or(&package.name)
    }

    /// `id`, and of what it depends on the packages that were made of the same source, as `file` is split into `file`,
    /// `libmagic1` and `libmagic-mgc`.
    pub fn parts(&self, id: PackageId) -> Vec<PackageId> {
        let found = self.reach(&[id], |_, needed| self.source(needed) == self.source(id));
        found.packages.into_iter().map(|(id, _)| id).collect()
    }

    /// `id`, and of what it depends on the packages that hold a file for which `is_module` is true, and those that were
    /// made of the same source, as data of their own; and so on from all these, and from packages of programs that `id`
    /// itself depends on. Each comes with its files.
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

    /// The dependencies, as far as `goes_on` allows from one package to another.
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

    /// The paths that the database lists for a package: files, links, and mostly directories, in its order; not
    /// resolved through links of the sysroot. Paths that no longer exist are included.
    pub fn files(&self, view: &Sysroot, id: PackageId) -> Vec<RootfsPath> {
        let package = self.package(id);
        let files = match &package.listing {
            Listing::None => Vec::new(),
            Listing::Record => self.format.files(self.record(id)),
            Listing::Files(lists) => read_first(view, lists).map(|it| self.format.files(&it)).unwrap_or_default(),
        };
        match self.diversions[..] {
            [] => files,
            _ => files.into_iter().map(|path| self.diverted(package, path)).collect(),
        }
    }

    /// The package that each of `paths` belongs to, by the path that the database has it under, which in a merged /usr
    /// may be without `/usr`. Paths are real ones.
    pub fn owners(&self, view: &Sysroot, paths: &[RootfsPath]) -> Vec<Option<PackageId>> {
        if let Some(owners) = self.likely_owners(view, paths) {
            return owners;
        }
        let holders = self.listing(view, paths);
        let mut ranks = vec![usize::MAX; self.packages.len()];
        if holders.iter().any(|holders| holders.len() > 1) {
            self.likely_first(paths).enumerate().for_each(|(rank, id)| ranks[id.0] = rank);
        }
        holders.into_iter().map(|holders| holders.into_iter().min_by_key(|id| ranks[id.0])).collect()
    }

    /// All packages: those that the names of `paths` lead to, those that each system has, then the rest; of two
    /// architectures that share a file the one first that a name without its architecture means.
    fn likely_first(&self, paths: &[RootfsPath]) -> impl Iterator<Item = PackageId> {
        let mut seen: FxHashSet<PackageId> = FxHashSet::default();
        let named = paths.iter().flat_map(guesses).filter_map(|name| self.named(&name));
        let mut likely: Vec<PackageId> = named.filter(|id| seen.insert(*id)).collect();
        let is_ours = |id: &PackageId| self.is_ours(self.package(*id));
        let (ours, others): (Vec<_>, Vec<_>) = self.packages().map(|(id, _)| id).partition(is_ours);
        let (core, rest): (Vec<_>, Vec<_>) = ours.into_iter().partition(|id| self.package(*id).is_core);
        likely.extend(core.into_iter().chain(rest).chain(others).filter(|id| !seen.contains(id)));
        likely.into_iter()
    }

    /// The names under which the list of a package, or its sums, may have what is really at `path`.
    pub(crate) fn listed_as(&self, id: PackageId, path: &RootfsPath) -> Vec<RootfsPath> {
        let mut names = self.names(path);
        let by = &self.package(id).name;
        let lost: Vec<_> = self.diversions.iter().filter(|it| names.contains(&it.to) && it.by != *by).collect();
        names.extend(lost.into_iter().map(|it| it.from.clone()));
        names
    }

    /// The path without its ending of a dpkg package's files beside the status: `/var/lib/dpkg/info/libc6:amd64`.
    pub(crate) fn stem(&self, view: &Sysroot, id: PackageId) -> Option<RootfsPath> {
        let Listing::Files(lists) = &self.package(id).listing else { return None };
        let list = lists.iter().find(|list| view.has(list))?;
        let name = list.file_name();
        let stem = name.strip_suffix(b".list").or_else(|| name.strip_suffix(b".md5sums"))?;
        Some(list.parent()?.child(stem))
    }

    /// The MD5 sums that a dpkg package has, each with its path, which has no first slash: of what is configuration, or
    /// was made when it was installed, there is none.
    pub(crate) fn sums(&self, view: &Sysroot, id: PackageId) -> Sums {
        let file = self.stem(view, id).map(|stem| {
            stem.parent().unwrap_or_else(RootfsPath::root).child(&[stem.file_name(), b".md5sums"].concat())
        });
        Sums(file.and_then(|file| view.peek(&file, LONGEST)).unwrap_or_default())
    }

    /// The directory of a pacman package, and its list of files.
    pub(crate) fn pacman_list(&self, view: &Sysroot, id: PackageId) -> Option<(RootfsPath, Vec<u8>)> {
        let Listing::Files(lists) = &self.package(id).listing else { return None };
        let file = lists.first()?;
        Some((file.parent()?, view.peek(file, LONGEST)?))
    }

    /// Fields that are for bills of materials alone.
    #[cfg(feature = "cli")]
    pub(crate) fn about(&self, view: &Sysroot, id: PackageId) -> About {
        let package = self.package(id);
        let about = match self.format {
            Format::Dpkg => dpkg::about(self.record(id)),
            Format::Apk => apk::about(self.record(id)),
            Format::Pacman => pacman::about(self.record(id)),
        };
        let files = match self.format {
            Format::Dpkg => self.sums(view, id).iter().count() + about.files,
            _ => {
                let files = self.files(view, id);
                let folders: FxHashSet<RootfsPath> = files.iter().filter_map(RootfsPath::parent).collect();
                files.iter().filter(|path| !folders.contains(*path)).count()
            }
        };
        let is_own = |(name, version): &(String, String)| **name == *package.name && **version == *package.version;
        let unversioned = about.source.or_else(|| Some((package.source.clone()?.into(), String::new())));
        let source = unversioned.map(|(name, version)| match version.is_empty() {
            true => (name, package.version.to_string()),
            false => (name, version),
        });
        About { source: source.filter(|source| !is_own(source)), files, ..about }
    }

    /// The installed packages that a package itself depends on: of alternatives the first.
    #[cfg(feature = "cli")]
    pub(crate) fn needs(&self, id: PackageId) -> Vec<PackageId> {
        let found = self.reach(&[id], |by, _| by == id);
        found.packages.into_iter().map(|(needed, _)| needed).filter(|needed| *needed != id).collect()
    }

    /// The text of a package's record, as the database has it.
    pub(crate) fn record(&self, id: PackageId) -> &[u8] {
        self.bytes.get(self.package(id).record.clone()).unwrap_or_default()
    }

    /// The paths under which a database may have what is really at `path`.
    fn names(&self, path: &RootfsPath) -> Vec<RootfsPath> {
        // Every package with a file in it lists a merged directory, as the directory that it once was.
        if self.merged.iter().any(|(link, _)| link == path) {
            return Vec::new();
        }
        let mut names = vec![path.clone()];
        for (link, folder) in &self.merged {
            if path.is_within(folder) && path != folder {
                names.push(link.join(&path.as_bytes()[folder.as_bytes().len()..]));
            }
        }
        names
    }

    /// The real path of a file of `package` (dpkg-divert(1)).
    fn diverted(&self, package: &Package, path: RootfsPath) -> RootfsPath {
        match self.diversions.iter().find(|it| it.from == path && it.by != package.name) {
            Some(diversion) => diversion.to.clone(),
            None => path,
        }
    }

    /// The names that update-alternatives(1) made: links that choose among files of packages. Whether one leads to a
    /// file of a package is for the sysroot to say.
    pub fn alternatives(&self, view: &mut Sysroot) -> Vec<RootfsPath> {
        if self.format == Format::Dpkg { dpkg::alternatives(view) } else { Vec::new() }
    }
}

/// Names of packages that may have the file at `path`: its own name, that of a directory of documentation, and Debian's
/// for a library of this soname (Debian policy, 8.1).
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
    in_documentation.and_then(|folder| text(folder.file_name())).into_iter().chain([name]).collect()
}

/// Returns whether a file is in a directory of programs.
fn is_program(path: &RootfsPath) -> bool {
    let folder = path.parent();
    let bytes = folder.as_ref().map(RootfsPath::as_bytes).unwrap_or_default();
    bytes.ends_with(b"/bin") || bytes.ends_with(b"/sbin")
}

/// The first of these files that is there.
fn read_first(view: &Sysroot, files: &[RootfsPath]) -> Option<Vec<u8>> {
    files.iter().find_map(|file| view.peek(file, LONGEST))
}

/// A word or a line of a database, where it can be shown.
fn text(bytes: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
    // A name goes into messages and documents: what a terminal would take as a command does not.
    let is_printable = |byte: u8| matches!(byte, b' '..=b'~');
    let is_plain = text.bytes().all(is_printable) || !text.contains(char::is_control);
    let is_plain = !text.is_empty() && text.len() <= 256 && is_plain;
    is_plain.then(|| text.into())
}

#[cfg(test)]
mod tests;
