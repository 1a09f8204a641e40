//! dpkg's database: `/var/lib/dpkg/status`, the lists beside it, diversions and alternatives; and the `status.d` of
//! distroless images.
//!
//! Formats: deb822(5), deb-control(5), dpkg-divert(1), update-alternatives(1).

use std::ops::Range;

#[cfg(feature = "cli")]
use super::About;
use super::{Database, Format, LONGEST, Listing, Package, text};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

const FOLDER: &str = "/var/lib/dpkg";
/// The parts of the database that are read completely.
pub(super) const PLACES: [&str; 2] = ["/var/lib/dpkg/status", "/var/lib/dpkg/status.d"];
const ALTERNATIVES: &str = "/var/lib/dpkg/alternatives";

/// A file that is renamed for all packages but one.
#[derive(Debug, Clone)]
pub(super) struct Diversion {
    pub(super) from: RootfsPath,
    pub(super) to: RootfsPath,
    /// The package that keeps the name; `:` for a diversion by the administrator.
    pub(super) by: Box<str>,
}

fn at(path: &str) -> RootfsPath {
    RootfsPath::root().join(path.as_bytes())
}

pub(super) fn open(view: &mut Sysroot) -> Option<Database> {
    let folder = view.walk(&at(FOLDER)).path;
    let (mut packages, mut bytes) = (Vec::new(), Vec::new());
    if let Some(status) = view.read_small(&folder.join(b"status"), LONGEST) {
        packages.extend(self::packages(&status).into_iter().map(|it| Package { listing: Listing::Info, ..it }));
        bytes = status;
    }
    let parts = folder.join(b"status.d");
    for name in view.names(&parts) {
        if name.ends_with(b".md5sums") {
            continue;
        }
        let Some(record) = view.peek(&parts.join(&name), LONGEST) else { continue };
        let sums = parts.join(&[&name[..], b".md5sums"].concat());
        let start = bytes.len();
        packages.extend(records(&record).filter_map(|(range, text)| {
            let record = start + range.start..start + range.end;
            Some(Package { listing: Listing::File(sums.clone()), record, ..package(text)? })
        }));
        bytes.extend(record);
    }
    if packages.is_empty() {
        return None;
    }
    let mut database = Database::unindexed(Format::Dpkg, packages);
    database.bytes = bytes;
    database.info = folder.join(b"info");
    database.diversions = diversions(&view.peek(&folder.join(b"diversions"), LONGEST).unwrap_or_default());
    Some(database)
}

/// The names of a package's list, the likely one first: they contain the architecture if several may be installed
/// (deb-control(5), Multi-Arch).
pub(super) fn list_names(package: &Package) -> [String; 2] {
    let mut names = [format!("{}:{}.list", package.name, package.architecture), format!("{}.list", package.name)];
    names.rotate_left(usize::from(!package.is_of_several));
    names
}

/// The packages of a status file whose files are installed.
pub(super) fn packages(bytes: &[u8]) -> Vec<Package> {
    // `install ok installed`: the first word is the wanted state, the last one the present state. mmdebstrap and `dpkg
    // --unpack` leave packages unpacked, with their files installed.
    let is_there = |record: &[u8]| {
        let status = field(record, b"Status").unwrap_or_default();
        let is = status.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        !matches!(is, b"not-installed" | b"config-files" | b"half-installed" | b"")
    };
    let installed = records(bytes).filter(|(_, record)| is_there(record));
    installed.filter_map(|(range, text)| Some(Package { record: range, ..package(text)? })).collect()
}

/// Each record with its position.
fn records(bytes: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8])> {
    let mut next = 0;
    std::iter::from_fn(move || {
        if next >= bytes.len() {
            return None;
        }
        let (start, end) = (next, memchr::memmem::find(&bytes[next..], b"\n\n").map(|end| next + end + 1));
        next = end.map_or(bytes.len(), |end| end + 1);
        let range = start..end.unwrap_or(bytes.len());
        Some((range.clone(), &bytes[range]))
    })
}

/// Parses all fields in one pass; most of a record is not needed.
fn package(record: &[u8]) -> Option<Package> {
    let mut package = Package::default();
    let mut relations = Vec::new();
    for (name, value) in fields(record) {
        match name {
            b"Package" => package.name = text(value)?,
            b"Version" => package.version = text(value).unwrap_or_default(),
            b"Architecture" => package.architecture = text(value).unwrap_or_default(),
            // `glibc (2.36-9)` if the versions differ.
            b"Source" => package.source = relation(value),
            b"Multi-Arch" => package.is_of_several = value == b"same",
            b"Essential" => package.is_core |= value == b"yes",
            b"Priority" => package.is_core |= value == b"required",
            b"Depends" | b"Pre-Depends" => relations.push(value),
            b"Provides" => package.provides.extend(value.split(|byte| *byte == b',').filter_map(relation)),
            _ => {}
        }
    }
    package.relations = relations.join(&b',').into();
    (!package.name.is_empty()).then_some(package)
}

/// The names in relations: one of each group suffices.
pub(super) fn groups(relations: &[u8]) -> Vec<Vec<Box<str>>> {
    let group = |group: &[u8]| group.split(|byte| *byte == b'|').filter_map(relation).collect::<Vec<_>>();
    relations.split(|byte| *byte == b',').map(group).filter(|group| !group.is_empty()).collect()
}

/// The name in a relation: `perl:any (>= 5.36) <!nocheck>` is `perl`. An architecture other than the package's own
/// (`:arm64`) stays in the name.
fn relation(bytes: &[u8]) -> Option<Box<str>> {
    let name = bytes.trim_ascii().split(|byte| b" (<[\t\n".contains(byte)).next()?;
    let name = name.strip_suffix(b":any").or_else(|| name.strip_suffix(b":native")).unwrap_or(name);
    text(name)
}

/// Names and values; a value includes its continuation lines.
fn fields(record: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (mut start, mut ends) = (0, memchr::memchr_iter(b'\n', record).map(|end| end + 1));
    let lines = std::iter::from_fn(move || {
        if start >= record.len() {
            return None;
        }
        let is_end = |end: &usize| !matches!(record.get(*end), Some(b' ' | b'\t'));
        let end = ends.by_ref().find(is_end).unwrap_or(record.len());
        let field = &record[start..end];
        start = end;
        Some(field)
    });
    lines.filter_map(|field| {
        let colon = memchr::memchr(b':', field)?;
        Some((&field[..colon], field[colon + 1..].trim_ascii()))
    })
}

pub(super) fn field<'r>(record: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    fields(record).find(|(field, _)| *field == name).map(|(_, value)| value)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]).map(move |end| {
        let line = &bytes[start..end];
        start = end + 1;
        line
    })
}

/// The paths of a `.list`, or of an `.md5sums` (`hash  usr/bin/x`).
pub(super) fn files(bytes: &[u8]) -> Vec<RootfsPath> {
    let path = |line: &[u8]| {
        if line.first() == Some(&b'/') {
            return RootfsPath::from_bytes(line);
        }
        let path = line.get(32..)?.strip_prefix(b"  ")?;
        (!path.contains(&0)).then(|| RootfsPath::root().join(path))
    };
    let is_safe = |path: &RootfsPath| path.components().all(|part| part != b"..") && path.components().next().is_some();
    lines(bytes).filter_map(path).filter(is_safe).collect()
}

/// The paths of a list as in [`files()`], each as text without the leading slash and without checks.
pub(super) fn listed(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(bytes).filter_map(|line| match line.strip_prefix(b"/") {
        Some(path) => Some(path),
        None => line.get(32..)?.strip_prefix(b"  ").map(|path| path.strip_prefix(b"./").unwrap_or(path)),
    })
}

/// The text of an `.md5sums` (deb-md5sums(5)).
pub(crate) struct Sums(pub(super) Vec<u8>);

impl Sums {
    /// Each path for which `is_wanted` is true, with its sum.
    pub(crate) fn of(&self, is_wanted: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = (&[u8], &str)> {
        lines(&self.0).filter_map(move |line| {
            let (sum, rest) = line.split_at_checked(32)?;
            let path = rest.strip_prefix(b"  ")?;
            let path = path.strip_prefix(b"./").unwrap_or(path);
            if !is_wanted(path) || path.contains(&0) {
                return None;
            }
            // One check of all digits is faster than one for each.
            let is_sum = sum.iter().fold(true, |all, byte| all & byte.is_ascii_hexdigit());
            Some((path, std::str::from_utf8(sum).ok().filter(|_| is_sum)?))
        })
    }
}

/// Fields for bills of materials; its files are its configuration files, which have no sums.
#[cfg(feature = "cli")]
pub(super) fn about(record: &[u8]) -> About {
    let value = |name: &[u8]| field(record, name).and_then(text).map(String::from);
    let source = value(b"Source").map(|source| match source.split_once(' ') {
        Some((name, version)) => (name.to_owned(), version.trim_matches(['(', ')', ' ']).to_owned()),
        None => (source, String::new()),
    });
    let files = field(record, b"Conffiles").map_or(0, |value| value.split(|byte| *byte == b'\n').count());
    let (maintainer, homepage) = (value(b"Maintainer"), value(b"Homepage"));
    About { source, licences: Vec::new(), maintainer, homepage, files }
}

/// Fields about a system and not about the package: its state, and sums of configuration files.
const OF_A_SYSTEM: [&[u8]; 5] = [b"Status", b"Conffiles", b"Config-Version", b"Triggers-Pending", b"Triggers-Awaited"];

/// A record with `status`, without fields about its system, and without duplicate fields.
pub(crate) fn cut(record: &[u8], status: Option<&str>) -> Vec<u8> {
    let mut text = Vec::with_capacity(record.len());
    let mut seen: Vec<&[u8]> = OF_A_SYSTEM.to_vec();
    for (name, value) in fields(record) {
        if seen.iter().any(|known| known.eq_ignore_ascii_case(name)) || value.is_empty() {
            continue;
        }
        seen.push(name);
        text.extend([name, b": ", value, b"\n"].concat());
        if name == b"Package" {
            text.extend(status.map(|status| format!("Status: {status}\n")).unwrap_or_default().into_bytes());
        }
    }
    text
}

/// Three lines for each diversion: from, to, by.
fn diversions(bytes: &[u8]) -> Vec<Diversion> {
    let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    let one = |three: &[&[u8]]| {
        let [from, to, by] = three else { return None };
        Some(Diversion { from: RootfsPath::from_bytes(from)?, to: RootfsPath::from_bytes(to)?, by: text(by)? })
    };
    lines.chunks_exact(3).filter_map(one).collect()
}

/// The links of alternatives. Each file has a word, the link, then a name and a link for each companion, an empty line,
/// and the choices.
pub(super) fn alternatives(view: &mut Sysroot) -> Vec<RootfsPath> {
    let folder = view.walk(&at(ALTERNATIVES)).path;
    let mut links = Vec::new();
    for name in view.names(&folder) {
        let Some(bytes) = view.peek(&folder.join(&name), LONGEST) else { continue };
        let lines = bytes.split(|byte| *byte == b'\n').skip(1).take_while(|line| !line.is_empty());
        links.extend(lines.filter_map(RootfsPath::from_bytes));
    }
    links
}
