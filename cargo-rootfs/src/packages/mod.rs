//! The package database of a sysroot: what is installed, which files belong to it, what depends on what.
//!
//! It reads the database's own files, as dpkg, apk and pacman write them, and executes nothing. rpm's are not read: they
//! are SQLite or Berkeley DB files. What of a package goes into an image is for [`crate::layout`].

mod apk;
mod dpkg;
mod hints;
mod known;
mod pacman;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::path::RootfsPath;
use crate::sysroot::{End, Sysroot};
use crate::target::Machine;
use crate::wording::nearest;

#[cfg(feature = "cli")]
pub(crate) use hints::ABOUT;
pub(crate) use hints::{elsewhere, of_library, of_tool, of_tool_in_debian, remedy};
pub(crate) use known::known_owner;

/// Longer files of a database are not read: Debian's whole archive is 40 MB.
const LONGEST: usize = 64 << 20;

/// How many paths are looked for in the text of a list; for more, the list is taken apart.
const FEW: usize = 16;

/// Bytes of the longest path that a system call takes, with a NUL at its end (linux/limits.h).
const PATH_MAX: usize = 4096;

/// What distributions merge with other folders, one before the other.
const MERGED: [&str; 8] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin", "usr/lib64"];

/// What a database says of one package that is installed.
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
    /// What it depends on: of each group one is enough. Versions are left out.
    depends: Vec<Vec<Box<str>>>,
    /// Other names that it answers to, without versions.
    provides: Vec<Box<str>>,
    /// Where its list of files is: what that means is the format's.
    listing: Listing,
}

/// Where the list of a package's files is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Listing {
    /// At one of these, in the database's folder, in its format: dpkg's `.list` and `.md5sums`, pacman's `files`.
    #[default]
    None,
    Files(Vec<RootfsPath>),
    /// In the database's one file.
    Range(std::ops::Range<usize>),
}

/// Who keeps a database.
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
    /// What `bytes`, the whole or a part of such a database, says of packages: `/var/lib/dpkg/status`,
    /// `/lib/apk/db/installed`, `desc` in a folder of `/var/lib/pacman/local`. What cannot be read is passed over.
    pub fn packages(self, bytes: &[u8]) -> Vec<Package> {
        match self {
            Self::Dpkg => dpkg::packages(bytes),
            Self::Apk => apk::packages(bytes),
            Self::Pacman => pacman::package(bytes).into_iter().collect(),
        }
    }

    /// The paths in `bytes`, a list of files of this format: `.list` or `.md5sums`, a record of
    /// `/lib/apk/db/installed`, `files` in a folder of `/var/lib/pacman/local`. None has a `..` in it, or is longer than
    /// a path may be.
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

/// A package of a [`Database`], by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(usize);

/// What is installed in a sysroot.
#[derive(Debug)]
pub struct Database {
    format: Format,
    packages: Vec<Package>,
    /// By name, in order of preference.
    named: FxHashMap<Box<str>, Vec<PackageId>>,
    /// Those that answer to a name that is not theirs.
    providers: FxHashMap<Box<str>, Vec<PackageId>>,
    /// The database's one file, where it is that: apk's.
    bytes: Vec<u8>,
    diversions: Vec<dpkg::Diversion>,
    /// Folders that are links in the sysroot, and where they lead: a list may have a file under either.
    merged: Vec<(RootfsPath, RootfsPath)>,
}

/// Packages, and what they depend on.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// Each once, after what it was wanted by, with the place in what was asked for that led to it.
    pub packages: Vec<(PackageId, usize)>,
    /// What is depended on and not installed: the package, and what would do, as `mawk | gawk`.
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

    /// What rpm left where it keeps its database, which is not read.
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
        let (named, providers) = (FxHashMap::default(), FxHashMap::default());
        Self { format, packages, named, providers, bytes: Vec::new(), diversions: Vec::new(), merged: Vec::new() }
    }

    fn index(&mut self, architecture: Option<&str>) {
        self.packages.sort_by(|one, two| (&one.name, &one.architecture).cmp(&(&two.name, &two.architecture)));
        for (place, package) in self.packages.iter().enumerate() {
            let id = PackageId(place);
            let qualified = format!("{}:{}", package.name, package.architecture);
            self.named.entry(qualified.into_boxed_str()).or_default().push(id);
            let is_ours = architecture.is_none_or(|ours| [ours, "all"].contains(&&*package.architecture));
            if is_ours {
                self.named.entry(package.name.clone()).or_default().push(id);
                for name in &package.provides {
                    self.providers.entry(name.clone()).or_default().push(id);
                }
            }
        }
    }

    /// Who keeps it.
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
        self.named.get(name).or_else(|| self.providers.get(name))?.first().copied()
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

    /// What is depended on, as far as `goes_on` from one package to another.
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
                for group in &self.package(id).depends {
                    let by_name = group.iter().find_map(|name| self.named.get(name)?.first());
                    let by_role = || group.iter().find_map(|name| self.providers.get(name)?.first());
                    match by_name.or_else(by_role) {
                        Some(&needed) if !goes_on(id, needed) => {}
                        Some(&needed) if seen.insert(needed) => found.packages.push((needed, place)),
                        Some(_) => {}
                        None => found.missing.push((id, group.join(" | "))),
                    }
                }
            }
        }
        found
    }

    /// What the database lists of a package: files, links, and mostly folders, in its order; behind no links of the
    /// sysroot. What is not there any more is listed too.
    pub fn files(&self, view: &Sysroot, id: PackageId) -> Vec<RootfsPath> {
        let package = self.package(id);
        let files = match &package.listing {
            Listing::None => Vec::new(),
            Listing::Range(range) => self.bytes.get(range.clone()).map(|it| self.format.files(it)).unwrap_or_default(),
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
        let mut owners = vec![None; paths.len()];
        let asked: Vec<Vec<RootfsPath>> = paths.iter().map(|path| self.names(path)).collect();
        // Most tools are in a package of their own name: that one is looked into first.
        let likely: FxHashSet<PackageId> = paths
            .iter()
            .filter_map(|path| self.named.get(std::str::from_utf8(path.file_name()).ok()?)?.first().copied())
            .collect();
        // A file that packages of two architectures share belongs to the one that a name without its architecture means.
        let is_ours = |id: &PackageId| self.named.get(&self.package(*id).name).is_some_and(|ids| ids.contains(id));
        let (ours, others): (Vec<_>, Vec<_>) = self.packages().map(|(id, _)| id).partition(is_ours);
        let rest = ours.into_iter().chain(others).filter(|id| !likely.contains(id));
        for id in likely.iter().copied().chain(rest) {
            let open: Vec<usize> = (0..paths.len()).filter(|&at| owners[at].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let has = self.has(view, id, open.iter().map(|&at| &asked[at]));
            for (at, _) in open.into_iter().zip(has).filter(|(_, has)| *has) {
                owners[at] = Some(id);
            }
        }
        owners
    }

    /// Whether the package has any of the names, for each set of names.
    fn has<'n>(
        &self,
        view: &Sysroot,
        id: PackageId,
        sets: impl ExactSizeIterator<Item = &'n Vec<RootfsPath>>,
    ) -> Vec<bool> {
        let package = self.package(id);
        match &package.listing {
            Listing::Files(lists) if self.format == Format::Dpkg && sets.len() <= FEW => {
                let bytes = read_first(view, lists).unwrap_or_default();
                sets.map(|names| {
                    names.iter().any(|name| dpkg::has(&bytes, name) && self.diverted(package, name.clone()) == *name)
                        || self
                            .diversions
                            .iter()
                            .any(|it| names.contains(&it.to) && it.by != package.name && dpkg::has(&bytes, &it.from))
                })
                .collect()
            }
            _ => {
                let files: FxHashSet<RootfsPath> = self.files(view, id).into_iter().collect();
                sets.map(|names| names.iter().any(|name| files.contains(name))).collect()
            }
        }
    }

    /// The paths under which a database may have what is really at `path`.
    fn names(&self, path: &RootfsPath) -> Vec<RootfsPath> {
        // Every package with a file in it lists a merged folder, as the folder that it once was.
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

    /// Where a file of `package` really is (dpkg-divert(1)).
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

/// Whether a file is in a folder of programs.
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
    let is_plain = !text.is_empty() && text.len() <= 256 && !text.contains(char::is_control);
    is_plain.then(|| text.into())
}

#[cfg(test)]
mod tests;
