//! The package database of a sysroot: the installed packages, their files and their dependencies.
//!
//! It reads the database files of dpkg, apk and pacman, and executes nothing. Those of rpm are not read: they are
//! SQLite or Berkeley DB files. [`crate::layout`] chooses the files of a package for an image.

mod apk;
mod dpkg;
mod hints;
mod index;
mod known;
mod lists;
mod owners;
mod pacman;
mod relations;

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

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
pub(crate) use owners::Marks;
pub(crate) use pacman::cut as cut_pacman_list;
#[cfg(feature = "cli")]
pub(crate) use pacman::mtree;

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

    /// The package with exactly these fields.
    #[cfg(feature = "cli")]
    pub(crate) fn exactly(&self, name: &str, architecture: &str, version: &str) -> Option<PackageId> {
        let key = |package: &Package| (&*package.name, &*package.architecture).cmp(&(name, architecture));
        let start = self.packages.partition_point(|package| key(package).is_lt());
        let mut same = self.packages[start..].iter().take_while(|package| key(package).is_eq());
        same.position(|package| &*package.version == version).map(|place| PackageId(start + place))
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
                let folders: rustc_hash::FxHashSet<RootfsPath> = files.iter().filter_map(RootfsPath::parent).collect();
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

    /// The text of a package's record, verbatim.
    pub(crate) fn record(&self, id: PackageId) -> &[u8] {
        self.bytes.get(self.package(id).record.clone()).unwrap_or_default()
    }

    /// The names made by update-alternatives(1): symlinks that choose among files of packages. The sysroot resolves
    /// them.
    pub fn alternatives(&self, view: &mut Sysroot) -> Vec<RootfsPath> {
        if self.format == Format::Dpkg { dpkg::alternatives(view) } else { Vec::new() }
    }
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
