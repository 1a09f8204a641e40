//! The usual causes of a difference: paths of the build, its time, build ids, order.

use camino::Utf8Path;
use memchr::memmem;

use crate::error::Error;

/// Paths of the two builds.
pub(super) struct Paths<'p> {
    pub(super) source: &'p Utf8Path,
    pub(super) copied: &'p Utf8Path,
    pub(super) build: &'p Utf8Path,
}

/// The start of an ELF note with a build id of 20 bytes: sizes of its name and description, its type, `GNU`.
const BUILD_ID: [&[u8]; 2] = [b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0", b"\0\0\0\x04\0\0\0\x14\0\0\0\x03GNU\0"];

/// The characters of a text around a difference that are shown.
const SHOWN: usize = 48;

/// The error of a file that differs.
pub(super) fn of_bodies(path: &str, one: &[u8], other: &[u8], paths: &Paths<'_>) -> Error {
    let at = first_difference(one, other);
    let (text, other_text) = (around(one, at), around(other, at));
    let length = if one.len() == other.len() {
        let count = one.iter().zip(other).filter(|(a, b)| a != b).count();
        format!("{count} of {} bytes", one.len())
    } else {
        format!("it has {} bytes and {} bytes", one.len(), other.len())
    };
    let error = Error::failed(format!("two builds differ: `{path}`, first at offset {at:#x} ({length})"))
        .detail(format!("first build   {text}"))
        .detail(format!("second build  {other_text}"));
    error.help(help(one, other, (&text, &other_text), paths))
}

/// The action against the likely cause.
fn help(one: &[u8], other: &[u8], texts: (&str, &str), paths: &Paths<'_>) -> String {
    let has = |bytes: &[u8], path: &Utf8Path| memmem::find(bytes, path.as_str().as_bytes()).is_some();
    if has(one, paths.source) && has(other, paths.copied) {
        let source = paths.source;
        return format!("it contains the path of its sources: RUSTFLAGS='--remap-path-prefix={source}=.'");
    }
    if has(one, paths.build) || has(other, paths.build) {
        return "it contains the path of its build directory: RUSTFLAGS='--remap-path-prefix=PATH=.'".to_owned();
    }
    let is_time = |text: &str| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        digits >= 6 && texts.0 != texts.1
    };
    if is_time(texts.0) && is_time(texts.1) {
        return "it seems to contain the time of its build: use SOURCE_DATE_EPOCH in build.rs".to_owned();
    }
    if only_build_id(one, other) {
        return "only the build id differs: RUSTFLAGS='-Clink-arg=-Wl,--build-id=sha1', not uuid".to_owned();
    }
    "look for hash maps that are iterated, and threads, in build.rs and macros; try codegen-units = 1".to_owned()
}

fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let common = one.iter().zip(other).position(|(a, b)| a != b).unwrap_or(one.len().min(other.len()));
    // A build id is a hash of the rest: the cause is elsewhere.
    match build_id(one) {
        Some(id) if id.contains(&common) => {
            let after = |bytes: &[u8]| bytes.get(id.end..).unwrap_or_default().to_vec();
            let (one, other) = (after(one), after(other));
            one.iter().zip(&other).position(|(a, b)| a != b).map_or(common, |at| id.end + at)
        }
        _ => common,
    }
}

fn only_build_id(one: &[u8], other: &[u8]) -> bool {
    let Some(id) = build_id(one) else { return false };
    one.len() == other.len() && one.iter().zip(other).enumerate().all(|(at, (a, b))| a == b || id.contains(&at))
}

/// The bytes of the build id.
fn build_id(file: &[u8]) -> Option<std::ops::Range<usize>> {
    let note = BUILD_ID.iter().find_map(|start| memmem::find(file, start).map(|at| at + start.len()))?;
    Some(note..note + 20)
}

/// The text around an offset: printable characters as they are, others as dots.
fn around(bytes: &[u8], at: usize) -> String {
    let start = at.saturating_sub(SHOWN / 2);
    let shown = bytes.get(start..bytes.len().min(start + SHOWN)).unwrap_or_default();
    shown.iter().map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Paths, of_bodies};

    const BUILD_ID: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";

    fn said(one: &[u8], other: &[u8]) -> String {
        let paths = Paths { source: "/src/app".into(), copied: "/copy/app".into(), build: "/work/build".into() };
        of_bodies("/usr/local/bin/app", one, other, &paths).to_string()
    }

    #[test]
    fn usual_causes_are_named() {
        assert!(said(b"x/src/app/main.rs", b"x/copy/app/main.rs").contains("--remap-path-prefix=/src/app=."));
        assert!(said(b"built 2026-11-30 08:00:01", b"built 2026-11-30 08:00:09").contains("SOURCE_DATE_EPOCH"));
        assert!(said(b"x/work/build/1", b"x/work/build/2").contains("build directory"));
        assert!(said(b"abcdef", b"abcfed").contains("hash maps"));
        let note = |id: u8, rest: &str| [BUILD_ID, &[id; 20], rest.as_bytes()].concat();
        assert!(said(&note(1, "same"), &note(2, "same")).contains("only the build id differs"));
        let behind = said(&note(1, "a at 1700000001"), &note(2, "a at 1700000002"));
        assert!(behind.contains("SOURCE_DATE_EPOCH") && behind.contains("first at offset 0x32"), "{behind}");
    }
}
