//! The package database of a sysroot: the installed packages, their files and their dependencies.
//!
//! It reads the database files of dpkg, apk and pacman, and executes nothing. Those of rpm are not read: they are
//! SQLite or Berkeley DB files. [`crate::layout`] chooses the files of a package for an image.

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
pub(crate) use index::Marks;
pub(crate) use known::known_owner;
pub(crate) use pacman::cut as cut_pacman_list;

/// The maximum size of a database file: Debian's whole archive has 40 MB.
const LONGEST: usize = 64 << 20;

/// The maximum length of a path in a system call, with its NUL (linux/limits.h).
const PATH_MAX: usize = 4096;

/// The directories that distributions merge with others.
const MERGED: [&str; 8] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin", "usr/lib64"];

/// The record of one installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// The name, such as `libssl3`.
    pub name: Box<str>,
    /// The distribution's version, such as `3.0.17-1~deb12u2`.
    pub version: Box<str>,
    /// The distribution's architecture: `amd64`, `x86_64`, `all`, `any`.
    pub architecture: Box<str>,
    /// The source package, if its name differs.
    pub source: Option<Box<str>>,
    /// The licence, if the database has it; dpkg's does not.
    pub licence: Option<Box<str>>,
    /// Its dependencies, without versions: one of each group suffices.
    depends: Vec<Vec<Box<str>>>,
    /// The same in dpkg's syntax, `Depends` and `Pre-Depends`: parsed on demand, since few are used.
    relations: Box<[u8]>,
    /// Other names that it provides, without versions.
    provides: Vec<Box<str>>,
    /// True if every system has it, so that its files are likely to be queried.
    is_core: bool,
    /// True if it may be installed for several architectures.
    is_of_several: bool,
    /// The range of its record in [`Database::bytes`].
    record: std::ops::Range<usize>,
    /// The place of its list of files, which depends on the format.
    listing: Listing,
}

/// The place of a package's list of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Listing {
    #[default]
    None,
    /// A file in the database's format: an `.md5sums` of `status.d`, pacman's `files`.
    File(RootfsPath),
    /// A file in dpkg's directory of lists, by the package's name.
    Info,
    /// In its record.
    Record,
}

/// The package manager of a database.
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
    /// The packages in `bytes`, which is a complete database file or a part of one: `/var/lib/dpkg/status`,
    /// `/lib/apk/db/installed`, `desc` in a directory of `/var/lib/pacman/local`. Unreadable records are skipped.
    pub fn packages(self, bytes: &[u8]) -> Vec<Package> {
        match self {
            Self::Dpkg => dpkg::packages(bytes),
            Self::Apk => apk::packages(bytes),
            Self::Pacman => pacman::package(bytes).into_iter().collect(),
        }
    }

    /// The paths in `bytes`, a list of files of this format: `.list` or `.md5sums`, a record of
    /// `/lib/apk/db/installed`, `files` in a directory of `/var/lib/pacman/local`. Paths with `..`, and those longer
    /// than PATH_MAX, are left out.
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

/// Fields of a package for bills of materials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) struct About {
    /// Name and version of its source, if either differs from its own.
    pub(crate) source: Option<(String, String)>,
    pub(crate) licences: Vec<String>,
    /// `Name <address>`
    pub(crate) maintainer: Option<String>,
    pub(crate) homepage: Option<String>,
    /// The number of its regular files; with apk and pacman, of its files and symlinks.
    pub(crate) files: usize,
}

/// A package of a [`Database`], by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(usize);

/// The packages installed in a sysroot.
#[derive(Debug)]
pub struct Database {
    format: Format,
    /// Sorted by name.
    packages: Vec<Package>,
    /// The architecture of names without one, besides `all`; `None` means any.
    architecture: Option<&'static str>,
    /// The packages that provide a name other than their own.
    providers: FxHashMap<Box<str>, Vec<PackageId>>,
    /// The records of all packages, concatenated: apk's file, dpkg's `status` and the files of `status.d`, each `desc`.
    bytes: Vec<u8>,
    /// The directory of lists that dpkg has.
    info: RootfsPath,
    diversions: Vec<dpkg::Diversion>,
    /// Directories that are symlinks in the sysroot, with their targets: a list may have a file under either.
    merged: Vec<(RootfsPath, RootfsPath)>,
    /// The index of all lists, built on demand.
    lists: OnceLock<Index>,
}

/// Packages with their dependencies.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// Without duplicates, after the package that depends on it; the number is the index of the request that led to it.
    pub packages: Vec<(PackageId, usize)>,
    /// Dependencies that are not installed: the package, and the alternatives, such as `mawk | gawk`.
    pub missing: Vec<(PackageId, String)>,
}

impl Database {
    /// Reads the database of `view`. Packages for another machine than `machine` are found only by qualified names.
    /// `None` if there is no database of a known format.
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

    /// Looks up the paths of [`open`](Self::open), so that they are inputs of a database that was read elsewhere.
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

    /// A database of these packages, which are all for the same machine.
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
            info: RootfsPath::root(),
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

    /// Returns whether a name without an architecture may mean this package.
    fn is_ours(&self, package: &Package) -> bool {
        self.architecture.is_none_or(|ours| [ours, "all"].contains(&&*package.architecture))
    }

    /// The package with exactly this name, such as `libssl3` or `libssl3:arm64`.
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

    /// The format of the database.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The package at `id`.
    pub fn package(&self, id: PackageId) -> &Package {
        &self.packages[id.0]
    }

    /// All installed packages, sorted by name.
    pub fn packages(&self) -> impl Iterator<Item = (PackageId, &Package)> {
        self.packages.iter().enumerate().map(|(place, package)| (PackageId(place), package))
    }

    /// The package of this name (such as `libssl3` or `libssl3:arm64`), or one that provides it.
    pub fn find(&self, name: &str) -> Option<PackageId> {
        self.named(name).or_else(|| self.providers.get(name)?.first().copied())
    }

    /// The most similar installed package: `libssl3` for `libsls3`, and for `ssl`.
    pub fn near(&self, name: &str) -> Option<&str> {
        let known = || self.packages.iter().map(|package| &*package.name);
        let has_it = |known: &&str| name.len() > 2 && known.contains(name);
        nearest(name, known()).or_else(|| known().filter(has_it).min_by_key(|known| known.len()))
    }

    /// `wanted` with all dependencies. Of alternatives, the first installed one is taken, by its own name before a
    /// package that provides it. Recommended packages are left out.
    pub fn dependencies(&self, wanted: &[PackageId]) -> Dependencies {
        self.reach(wanted, |_, _| true)
    }

    /// The name of its source package.
    fn source(&self, id: PackageId) -> &str {
        let package = self.package(id);
        package.source.as_deref().unwrap_or(&package.name)
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

    /// The paths that the database lists for a package: files, symlinks, and mostly directories, in its order. They are
    /// not resolved through the sysroot's symlinks, and may no longer exist.
    pub fn files(&self, view: &Sysroot, id: PackageId) -> Vec<RootfsPath> {
        let package = self.package(id);
        let files = match &package.listing {
            Listing::Record => self.format.files(self.record(id)),
            _ => {
                let list = self.lists_of(package).iter().find_map(|file| view.peek(file, LONGEST));
                list.map(|bytes| self.format.files(&bytes)).unwrap_or_default()
            }
        };
        match self.diversions[..] {
            [] => files,
            _ => files.into_iter().map(|path| self.diverted(package, path)).collect(),
        }
    }

    /// The package that owns each of `paths`, which are real ones. A database may list a path without `/usr` if /usr is
    /// merged.
    pub fn owners(&self, view: &Sysroot, paths: &[RootfsPath]) -> Vec<Option<PackageId>> {
        if let Some(owners) = self.owners_by_likelihood(view, paths) {
            return owners;
        }
        let holders = self.listing(view, paths);
        let mut ranks = vec![usize::MAX; self.packages.len()];
        if holders.iter().any(|holders| holders.len() > 1) {
            let (named, likely, others) = self.likely_first(paths);
            named.into_iter().chain(likely).chain(others).enumerate().for_each(|(rank, id)| ranks[id.0] = rank);
        }
        holders.into_iter().map(|holders| holders.into_iter().min_by_key(|id| ranks[id.0])).collect()
    }

    /// All packages: those that the names of `paths` suggest; other likely ones, which are those of every system and the
    /// dependencies of the first; and the rest. Of two architectures that share a file, the one that a name without an
    /// architecture means comes first.
    fn likely_first(&self, paths: &[RootfsPath]) -> (Vec<PackageId>, Vec<PackageId>, impl Iterator<Item = PackageId>) {
        let mut seen: FxHashSet<PackageId> = FxHashSet::default();
        let named = paths.iter().flat_map(guesses).filter_map(|name| self.named(&name));
        let named: Vec<PackageId> = named.filter(|id| seen.insert(*id)).collect();
        let is_ours = |id: &PackageId| self.is_ours(self.package(*id));
        let (ours, others): (Vec<_>, Vec<_>) = self.packages().map(|(id, _)| id).partition(is_ours);
        let (core, rest): (Vec<_>, Vec<_>) = ours.into_iter().partition(|id| self.package(*id).is_core);
        let needed = self.dependencies(&named).packages.into_iter().map(|(id, _)| id);
        let likely = core.into_iter().chain(needed).filter(|id| seen.insert(*id)).collect();
        (named, likely, rest.into_iter().chain(others).filter(move |id| !seen.contains(id)))
    }

    /// The names under which the list of a package, or its sums, may have the file with the real path `path`.
    pub(crate) fn listed_as(&self, id: PackageId, path: &RootfsPath) -> Vec<RootfsPath> {
        let mut names = self.names(path);
        let by = &self.package(id).name;
        let lost: Vec<_> = self.diversions.iter().filter(|it| names.contains(&it.to) && it.by != *by).collect();
        names.extend(lost.into_iter().map(|it| it.from.clone()));
        names
    }

    /// The possible paths of a package's list; the first existing one counts.
    fn lists_of(&self, package: &Package) -> Vec<RootfsPath> {
        match &package.listing {
            Listing::None | Listing::Record => Vec::new(),
            Listing::File(file) => vec![file.clone()],
            Listing::Info => dpkg::list_names(package).map(|name| self.info.join(name.as_bytes())).into(),
        }
    }

    /// The path, without its ending, of a dpkg package's files beside the status: `/var/lib/dpkg/info/libc6:amd64`.
    pub(crate) fn stem(&self, view: &Sysroot, id: PackageId) -> Option<RootfsPath> {
        let lists = self.lists_of(self.package(id));
        let list = lists.iter().find(|list| view.has(list))?;
        let name = list.file_name();
        let stem = name.strip_suffix(b".list").or_else(|| name.strip_suffix(b".md5sums"))?;
        Some(list.parent()?.child(stem))
    }

    /// The MD5 sums of a dpkg package, each with its path without the leading slash. Configuration files, and files
    /// made at installation, have none.
    pub(crate) fn sums(&self, view: &Sysroot, id: PackageId) -> Sums {
        let file = self.stem(view, id).map(|stem| {
            stem.parent().unwrap_or_else(RootfsPath::root).child(&[stem.file_name(), b".md5sums"].concat())
        });
        Sums(file.and_then(|file| view.peek(&file, LONGEST)).unwrap_or_default())
    }

    /// The directory of a pacman package, and its list of files.
    pub(crate) fn pacman_list(&self, view: &Sysroot, id: PackageId) -> Option<(RootfsPath, Vec<u8>)> {
        let Listing::File(file) = &self.package(id).listing else { return None };
        Some((file.parent()?, view.peek(file, LONGEST)?))
    }

    /// Fields that only bills of materials need.
    #[cfg(feature = "cli")]
    pub(crate) fn about(&self, view: &Sysroot, id: PackageId) -> About {
        let package = self.package(id);
        let about = match self.format {
            Format::Dpkg => dpkg::about(self.record(id)),
            Format::Apk => apk::about(self.record(id)),
            Format::Pacman => pacman::about(self.record(id)),
        };
        let files = match self.format {
            Format::Dpkg => self.sums(view, id).of(|_| true).count() + about.files,
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

    /// The direct, installed dependencies of a package; of alternatives, the first.
    #[cfg(feature = "cli")]
    pub(crate) fn needs(&self, id: PackageId) -> Vec<PackageId> {
        let found = self.reach(&[id], |by, _| by == id);
        found.packages.into_iter().map(|(needed, _)| needed).filter(|needed| *needed != id).collect()
    }

    /// The text of a package's record, verbatim.
    pub(crate) fn record(&self, id: PackageId) -> &[u8] {
        self.bytes.get(self.package(id).record.clone()).unwrap_or_default()
    }

    /// The paths under which a database may have the file with the real path `path`.
    fn names(&self, path: &RootfsPath) -> Vec<RootfsPath> {
        // Every package with a file in a merged directory lists it, as the directory that it was before.
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

    /// The names made by update-alternatives(1): symlinks that choose among files of packages. The sysroot resolves
    /// them.
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

/// A word or a line of a database, if it is printable.
fn text(bytes: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
    // A name appears in messages and documents, so it must not contain terminal commands.
    let is_printable = |byte: u8| matches!(byte, b' '..=b'~');
    let is_plain = text.bytes().all(is_printable) || !text.contains(char::is_control);
    let is_plain = !text.is_empty() && text.len() <= 256 && is_plain;
    is_plain.then(|| text.into())
}

#[cfg(test)]
mod tests;
