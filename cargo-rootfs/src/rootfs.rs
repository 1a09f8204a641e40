//! The planned root filesystem: a sorted tree of entries, each with where it came from.
//!
//! It is data: it reads nothing (but see [`HostFile::open`]) and decides nothing.

mod reasons;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::resolve::Priority;
pub use reasons::Reasons;

/// A root filesystem as it will be written: parents before children, in byte order of their paths.
///
/// The root directory itself is the entry `/`.
#[derive(Debug, Clone, Default)]
pub struct Rootfs {
    entries: BTreeMap<RootfsPath, Entry>,
}

/// One file, directory or link of a [`Rootfs`].
#[derive(Debug, Clone)]
pub struct Entry {
    /// The kind of entry, with its contents.
    pub kind: Kind,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Numeric owner; 0 unless an include said otherwise.
    pub uid: u32,
    /// Numeric group; 0 unless an include said otherwise.
    pub gid: u32,
    /// The value of the extended attribute `security.capability` (capabilities(7)), as the kernel stores it.
    pub capability: Option<Arc<[u8]>>,
    /// The reasons for its presence; never empty.
    pub origins: Reasons,
    /// The package of the sysroot's distribution that it belongs to, once it was looked up: for records of packages, or
    /// by [`crate::layout::Assembly::find_owners`].
    pub package: Option<Arc<OwningPackage>>,
}

/// A package of a distribution, as the package that owns an [`Entry`].
///
/// Its [`Display`](fmt::Display) is `libc6 2.36-9+deb12u10 (glibc)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwningPackage {
    /// As `libc6`.
    pub name: Box<str>,
    /// As the distribution writes it: `2.36-9+deb12u10`.
    pub version: Box<str>,
    /// As the distribution calls it: `amd64`, `x86_64`, `all`.
    pub architecture: Box<str>,
    /// The source package, where it has another name.
    pub source: Option<Box<str>>,
}

impl fmt::Display for OwningPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, " ({source})"))
    }
}

/// The kind of an [`Entry`].
#[derive(Debug, Clone)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File(Body),
    /// A symbolic link and its target, byte for byte.
    Symlink(Arc<[u8]>),
    /// Another name of the regular file at this path, which sorts before it.
    Hardlink(RootfsPath),
}

/// The source of the bytes of a regular file.
#[derive(Debug, Clone)]
pub enum Body {
    /// Bytes that the tool itself made, or a template's.
    Bytes(Arc<[u8]>),
    /// A file of the host.
    Host(Arc<HostFile>),
}

/// A regular file of the host as it was when it was looked at. [`HostFile::open`] and
/// [`HostFile::unchanged`] fail when it is another one by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Its path on the host.
    pub path: PathBuf,
    /// Device and inode: equal for two names of one file.
    pub inode: (u64, u64),
    /// Length in bytes.
    pub size: u64,
    /// Names that it has on the host (`st_nlink`).
    pub links: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl HostFile {
    /// Remembers the file behind `path` by its metadata, as fstat(2) or lstat(2) gave it.
    pub fn new(path: PathBuf, metadata: &std::fs::Metadata) -> Self {
        Self::from_stat(path, &HostStat::from(metadata))
    }

    /// The same from what stat(2) said.
    pub(crate) fn from_stat(path: PathBuf, stat: &HostStat) -> Self {
        let &HostStat { inode, size, links, mtime, ctime, .. } = stat;
        Self { path, inode, size, links, mtime, ctime }
    }

    /// Opens it for reading. Fails where the path names another file by now, or a changed one.
    pub fn open(&self) -> Result<File> {
        // A FIFO put in the file's place must not block, nor a link be followed.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(&self.path)
            .map_err(|error| Error::io("read", &self.path, error))?;
        self.unchanged(&file)?;
        Ok(file)
    }

    /// Fails where `file` is not what it was when this was made; to be called after the last read, too.
    pub fn unchanged(&self, file: &File) -> Result<()> {
        let metadata = file.metadata().map_err(|error| Error::io("read", &self.path, error))?;
        let mut now = Self::new(PathBuf::new(), &metadata);
        now.path.clone_from(&self.path);
        // A name made or removed elsewhere changes nlink and ctime, not the bytes: sysroots made of packages share their
        // files, and others are made and pruned at any time. Of a file with one name ctime is all that tells of a write
        // with a forged mtime, so there it stays in the comparison.
        if now.links > 1 || self.links > 1 {
            now.ctime = self.ctime;
        }
        now.links = self.links;
        if now == *self {
            return Ok(());
        }
        Err(Error::failed(format!("`{}` changed while it was packed", self.path.display())).help("run it again"))
    }

    /// The times of the last change of its bytes and of its inode: seconds and nanoseconds since 1970.
    #[cfg(feature = "cli")]
    pub(crate) fn times(&self) -> [(i64, i64); 2] {
        [self.mtime, self.ctime]
    }

    /// The error of a `file` that ends before its size.
    pub(crate) fn shorter(&self, file: &File) -> Error {
        match self.unchanged(file) {
            Err(error) => error,
            // As with files of sysfs(5), which say a page and hold a line.
            Ok(()) => Error::failed(format!("`{}` is shorter than its size", self.path.display())),
        }
    }
}

/// The facts of stat(2) on a regular file that matter to a rootfs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostStat {
    pub(crate) inode: (u64, u64),
    pub(crate) size: u64,
    links: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    /// Permission bits, `0o7777`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl HostStat {
    pub(crate) fn new(stat: &rustix::fs::Stat) -> Self {
        // The widths of these fields differ between architectures.
        #[allow(clippy::unnecessary_cast)]
        Self {
            inode: (stat.st_dev as u64, stat.st_ino as u64),
            size: stat.st_size as u64,
            links: stat.st_nlink as u64,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        }
    }
}

impl From<&std::fs::Metadata> for HostStat {
    fn from(metadata: &std::fs::Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            links: metadata.nlink(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        }
    }
}

/// A reason for the presence of an entry, which may have several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An executable of the project, by its name.
    Binary(String),
    /// A tool asked for by `--with`, as typed.
    Tool(String),
    /// A shared object asked for by `--with-lib`, as typed.
    Library(String),
    /// Needed at run time by this object.
    NeededBy(RootfsPath),
    /// Needed at run time by this object, on hardware that a glibc-hwcaps subdirectory is for.
    NeededOn {
        /// The object.
        by: RootfsPath,
        /// The subdirectory's name, as `x86-64-v3`.
        hwcaps: Arc<str>,
    },
    /// Opened at run time, by a dlopen note.
    OpenedBy {
        /// The object that has the note.
        by: RootfsPath,
        /// The priority of the library.
        priority: Priority,
        /// The feature that it serves.
        feature: Option<Arc<str>>,
    },
    /// A rule of [`crate::runtime`] names it as belonging with this file.
    Rule {
        /// The rule's name.
        name: Arc<str>,
        /// Its reason.
        why: Arc<str>,
        /// The file that called for it.
        because: RootfsPath,
    },
    /// In a package of the sysroot's distribution.
    Package {
        /// The package's name.
        name: Arc<str>,
        /// The option that it was taken for, as `--with-package curl`.
        because: Arc<str>,
    },
    /// The record of this package, for scanners.
    Record(Arc<str>),
    /// The name and release of the distribution, for scanners.
    Distribution,
    /// The licence of this package.
    Licence(Arc<str>),
    /// The program interpreter (PT_INTERP) of this object.
    InterpreterOf(RootfsPath),
    /// Asked for by `--locale`, as typed.
    Locale(String),
    /// Asked for by `--include`, source as typed.
    Include(String),
    /// From a template, by its name.
    Template(String),
    /// Made by this tool, and what for.
    Generated(String),
    /// A directory or link on the way to this entry.
    Leads(RootfsPath),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary(name) => write!(f, "binary {name}"),
            Self::Tool(name) => write!(f, "--with {name}"),
            Self::Library(name) => write!(f, "--with-lib {name}"),
            Self::NeededBy(path) => write!(f, "needed by {path}"),
            Self::NeededOn { by, hwcaps } => write!(f, "needed on {hwcaps} by {by}"),
            Self::OpenedBy { by, priority, feature: None } => write!(f, "dlopen note ({priority}) of {by}"),
            Self::OpenedBy { by, priority, feature: Some(feature) } => {
                write!(f, "dlopen note ({priority}, {feature}) of {by}")
            }
            Self::Rule { name, why, because } => write!(f, "rule {name}: {why}, because of {because}"),
            Self::Package { name, because } => write!(f, "package {name}, for {because}"),
            Self::Record(package) => write!(f, "record of package {package}"),
            Self::Distribution => f.write_str("name of the distribution"),
            Self::Licence(package) => write!(f, "licence of package {package}"),
            Self::InterpreterOf(path) => write!(f, "interpreter of {path}"),
            Self::Locale(name) => write!(f, "--locale {name}"),
            Self::Include(source) => write!(f, "--include {source}"),
            Self::Template(name) => write!(f, "template {name}"),
            Self::Generated(why) => write!(f, "generated {why}"),
            Self::Leads(path) => write!(f, "leads to {path}"),
        }
    }
}

impl Origin {
    /// The file that brings the entry, where another of the rootfs does.
    pub fn brought_by(&self) -> Option<&RootfsPath> {
        match self {
            Self::NeededBy(by)
            | Self::NeededOn { by, .. }
            | Self::OpenedBy { by, .. }
            | Self::Rule { because: by, .. }
            | Self::InterpreterOf(by)
            | Self::Leads(by) => Some(by),
            _ => None,
        }
    }
}

impl Entry {
    /// Returns whether it is a regular file, or another name of one.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File(_) | Kind::Hardlink(_))
    }

    /// An entry owned by 0:0, without capabilities.
    pub fn new(kind: Kind, mode: u32, origin: Origin) -> Self {
        Self { kind, mode, uid: 0, gid: 0, capability: None, origins: origin.into(), package: None }
    }

    /// Length of its body in bytes; 0 for all but regular files.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(Body::Bytes(bytes)) => bytes.len() as u64,
            Kind::File(Body::Host(file)) => file.size,
            _ => 0,
        }
    }
}

impl Rootfs {
    /// The entry at `path`, which must be free of symlinks and `..`.
    pub fn get(&self, path: &RootfsPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The links that `path` leads through, and the entry at its end, as the kernel walks it (path_resolution(7)).
    /// Empty where the end is not there.
    pub(crate) fn way(&self, path: &RootfsPath) -> Vec<(RootfsPath, &Entry)> {
        let Some(root) = self.get(&RootfsPath::root()) else { return Vec::new() };
        let mut way: Vec<(RootfsPath, &Entry)> = Vec::new();
        let (mut at, mut here) = (RootfsPath::root(), root);
        let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        while let Some(part) = rest.pop() {
            let next = if part == b".." { at.parent().unwrap_or_else(RootfsPath::root) } else { at.join(&part) };
            let Some(entry) = self.get(&next) else { return Vec::new() };
            match &entry.kind {
                Kind::Symlink(target) => {
                    // As many as the kernel allows.
                    if way.len() == 40 {
                        return Vec::new();
                    }
                    if target.first() == Some(&b'/') {
                        (at, here) = (RootfsPath::root(), root);
                    }
                    let parts = target.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
                    rest.extend(parts.rev().map(<[u8]>::to_vec));
                    way.push((next, entry));
                }
                _ => (at, here) = (next, entry),
            }
        }
        way.push((at, here));
        way
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, path: &RootfsPath) -> Option<&mut Entry> {
        self.entries.get_mut(path)
    }

    /// Puts `entry` at `path` and gives the one that was there.
    pub fn insert(&mut self, path: RootfsPath, entry: Entry) -> Option<Entry> {
        self.entries.insert(path, entry)
    }

    /// Takes the entry at `path` away; entries below a directory stay.
    pub fn remove(&mut self, path: &RootfsPath) -> Option<Entry> {
        self.entries.remove(path)
    }

    /// All entries, parents before children.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&RootfsPath, &Entry)> {
        self.entries.iter()
    }

    /// The entries directly or indirectly below the directory `path`, without itself.
    pub fn below(&self, path: &RootfsPath) -> impl Iterator<Item = (&RootfsPath, &Entry)> {
        let within = path.clone();
        self.entries
            .range(path.clone()..)
            .skip(1)
            .take_while(move |(at, _)| at.as_bytes().starts_with(within.as_bytes()))
            .filter({
                let within = path.clone();
                move |(at, _)| at.is_within(&within)
            })
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all regular files, each inode once.
    pub fn size(&self) -> u64 {
        self.entries.values().map(Entry::size).sum()
    }

    /// One line an entry, for goldens and people: path, type and mode, owner, length or target, origins.
    ///
    /// ```text
    /// /usr/bin/bash f0755 0:0 1265648 [--with bash]
    /// /usr/bin/sh l0777 0:0 -> dash [--with sh]
    /// ```
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for (path, entry) in &self.entries {
            let (letter, rest) = match &entry.kind {
                Kind::Dir => ('d', String::new()),
                Kind::File(_) => ('f', format!(" {}", entry.size())),
                Kind::Symlink(target) => ('l', format!(" -> {}", String::from_utf8_lossy(target))),
                Kind::Hardlink(target) => ('h', format!(" = {target}")),
            };
            let capability = if entry.capability.is_some() { " +capability" } else { "" };
            let origins: Vec<String> = entry.origins.iter().map(Origin::to_string).collect();
            text.push_str(&format!(
                "{path} {letter}{:04o} {}:{}{rest}{capability} [{}]\n",
                entry.mode,
                entry.uid,
                entry.gid,
                origins.join("; ")
            ));
        }
        text
    }
}
