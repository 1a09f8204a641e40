//! apk's database: one file with a record for each package, with one-letter fields and file lists (apk-tools,
//! `src/database.c`).

use super::{Database, Format, LONGEST, Listing, Package, text};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

/// apk-tools 3 and later use the second path, with a merged /lib.
pub(crate) const FILES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

pub(super) fn open(view: &mut Sysroot) -> Option<Database> {
    let read = |path: &&str| view.read_small(&RootfsPath::root().join(path.as_bytes()), LONGEST);
    let bytes = FILES.iter().find_map(read)?;
    let packages = packages(&bytes);
    let mut database = Database::unindexed(Format::Apk, packages);
    database.bytes = bytes;
    Some(database)
}

pub(super) fn packages(bytes: &[u8]) -> Vec<Package> {
    let mut packages = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = memchr::memmem::find(&bytes[start..], b"\n\n").map_or(bytes.len(), |more| start + more + 1);
        packages.extend(package(&bytes[start..end]).map(|it| Package {
            listing: Listing::Record,
            record: start..end,
            ..it
        }));
        start = end + 1;
    }
    packages
}

fn package(record: &[u8]) -> Option<Package> {
    let mut package = Package::default();
    for line in record.split(|byte| *byte == b'\n') {
        let Some((field, value)) = line.split_at_checked(2) else { continue };
        let words = || value.split(|byte| *byte == b' ').filter_map(relation);
        match field {
            b"P:" => package.name = text(value)?,
            b"V:" => package.version = text(value).unwrap_or_default(),
            b"A:" => package.architecture = text(value).unwrap_or_default(),
            b"L:" => package.licence = text(value),
            b"o:" => package.source = text(value),
            b"D:" => package.depends.extend(words().map(|name| vec![name])),
            b"p:" => package.provides.extend(words()),
            // The following fields are files.
            b"F:" => break,
            _ => {}
        }
    }
    (!package.name.is_empty()).then_some(package)
}

/// The name in `so:libz.so.1=1.3`, `musl>=1.2`, `foo~1`, `foo@edge`; `None` for a conflict, `!foo`.
fn relation(word: &[u8]) -> Option<Box<str>> {
    let name = word.split(|byte| b"<>=~@".contains(byte)).next()?;
    if name.starts_with(b"!") { None } else { text(name) }
}

/// The paths of a record: `F:` is a directory, and each `R:` after it a file in it.
pub(super) fn files(record: &[u8]) -> Vec<RootfsPath> {
    let mut files = Vec::new();
    let mut folder = None;
    for line in record.split(|byte| *byte == b'\n') {
        let Some((field, value)) = line.split_at_checked(2) else { continue };
        let is_safe = !value.contains(&0) && value.split(|byte| *byte == b'/').all(|part| part != b"..");
        match field {
            b"F:" => {
                folder = is_safe.then(|| RootfsPath::root().join(value));
                files.extend(folder.clone().filter(|folder| *folder != RootfsPath::root()));
            }
            b"R:" if is_safe && !value.contains(&b'/') => files.extend(folder.as_ref().map(|it| it.join(value))),
            _ => {}
        }
    }
    files
}

/// Fields for bills of materials.
#[cfg(feature = "cli")]
pub(super) fn about(record: &[u8]) -> super::About {
    let value = |field: &[u8]| {
        let line = record.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(field));
        line.and_then(text).map(String::from)
    };
    let licences = value(b"L:").into_iter().collect();
    super::About { licences, maintainer: value(b"m:"), homepage: value(b"U:"), ..super::About::default() }
}

/// A record with only the files that `is_there` finds in place, and their directories.
pub(crate) fn cut(record: &[u8], mut is_there: impl FnMut(&RootfsPath) -> bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(record.len());
    // The lines of a directory are kept back until its first file; the fields of a file come after its name.
    let (mut folder, mut waiting, mut is_kept) = (None, Vec::new(), true);
    for line in record.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Some((field, value)) = line.split_at_checked(2) else { continue };
        match field {
            b"F:" => {
                (folder, is_kept) = (Some(RootfsPath::root().join(value)), false);
                waiting = [line, b"\n"].concat();
            }
            b"M:" => waiting.extend([line, b"\n"].concat()),
            b"R:" => {
                is_kept = folder.as_ref().is_some_and(|folder| is_there(&folder.join(value)));
                if is_kept {
                    text.append(&mut waiting);
                    text.extend([line, b"\n"].concat());
                }
            }
            _ if is_kept => text.extend([line, b"\n"].concat()),
            _ => {}
        }
    }
    text
}
