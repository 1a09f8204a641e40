//! pacman's database: a directory for each package, with `desc` and `files`: `%NAME%` and a line for each value (alpm,
//! `lib/libalpm/be_local.c`).

use super::{Database, Format, LONGEST, Listing, Package, text};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

pub(super) const FOLDER: &str = "/var/lib/pacman/local";

pub(super) fn open(view: &mut Sysroot) -> Option<Database> {
    let folder = view.walk(&RootfsPath::root().join(FOLDER.as_bytes())).path;
    let (mut packages, mut bytes) = (Vec::new(), Vec::new());
    for name in view.names(&folder) {
        let own = folder.join(&name);
        let Some(desc) = view.peek(&own.join(b"desc"), LONGEST) else { continue };
        let Some(package) = package(&desc) else { continue };
        let record = bytes.len()..bytes.len() + desc.len();
        bytes.extend(desc);
        packages.push(Package { listing: Listing::File(own.join(b"files")), record, ..package });
    }
    (!packages.is_empty()).then(|| Database { bytes, ..Database::unindexed(Format::Pacman, packages) })
}

pub(super) fn package(desc: &[u8]) -> Option<Package> {
    let mut package = Package::default();
    for (section, value) in values(desc) {
        match section {
            b"%NAME%" => package.name = text(value)?,
            b"%VERSION%" => package.version = text(value).unwrap_or_default(),
            b"%ARCH%" => package.architecture = text(value).unwrap_or_default(),
            b"%BASE%" => package.source = text(value),
            b"%LICENSE%" => package.licence = package.licence.take().or_else(|| text(value)),
            b"%DEPENDS%" => package.depends.extend(relation(value).map(|name| vec![name])),
            b"%PROVIDES%" => package.provides.extend(relation(value)),
            _ => {}
        }
    }
    (!package.name.is_empty()).then_some(package)
}

/// The name in `glibc>=2.38` and `libz.so=1-64`.
fn relation(value: &[u8]) -> Option<Box<str>> {
    text(value.split(|byte| b"<>=".contains(byte)).next()?)
}

/// The section and the value of each line that is one.
fn values(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut section = &[][..];
    bytes.split(|byte| *byte == b'\n').filter_map(move |line| {
        if line.len() > 2 && line.starts_with(b"%") && line.ends_with(b"%") {
            section = line;
            return None;
        }
        (!line.is_empty() && !section.is_empty()).then_some((section, line))
    })
}

/// Relative paths; directories end with a slash.
pub(super) fn files(bytes: &[u8]) -> Vec<RootfsPath> {
    let listed = values(bytes).filter(|(section, _)| *section == b"%FILES%").map(|(_, path)| path);
    let is_safe = |path: &&[u8]| !path.contains(&0) && path.split(|byte| *byte == b'/').all(|part| part != b"..");
    listed.filter(is_safe).map(|path| RootfsPath::root().join(path)).collect()
}

/// Fields for bills of materials.
#[cfg(feature = "cli")]
pub(super) fn about(desc: &[u8]) -> super::About {
    let all = |name: &'static [u8]| {
        let of_name = values(desc).filter(move |(section, _)| *section == name);
        of_name.filter_map(|(_, value)| text(value).map(String::from))
    };
    let (maintainer, homepage) = (all(b"%PACKAGER%").next(), all(b"%URL%").next());
    super::About { licences: all(b"%LICENSE%").collect(), maintainer, homepage, ..super::About::default() }
}

/// The file `mtree`, by which scanners find the owner of a file (mtree(5)): paths and types, compressed as pacman does.
#[cfg(feature = "cli")]
pub(crate) fn mtree<'p>(files: impl Iterator<Item = (&'p RootfsPath, &'static str)>) -> std::io::Result<Vec<u8>> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"#mtree\n")?;
    for (path, kind) in files {
        let escaped = |byte: &u8| match byte {
            b'!'..=b'~' if !b"#\\*?[".contains(byte) => vec![*byte],
            _ => format!("\\{byte:03o}").into_bytes(),
        };
        let path: Vec<u8> = path.relative().iter().flat_map(escaped).collect();
        gzip.write_all(&[b"./", &path[..], b" type=", kind.as_bytes(), b"\n"].concat())?;
    }
    gzip.finish()
}

/// A list with only the files that `is_there` finds in place.
pub(crate) fn cut(list: &[u8], mut is_there: impl FnMut(&RootfsPath) -> bool) -> Vec<u8> {
    let mut text = b"%FILES%\n".to_vec();
    for (_, path) in values(list).filter(|(section, _)| *section == b"%FILES%") {
        if !path.ends_with(b"/") && is_there(&RootfsPath::root().join(path)) {
            text.extend([path, b"\n"].concat());
        }
    }
    text
}
