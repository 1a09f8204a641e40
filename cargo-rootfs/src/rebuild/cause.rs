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

/// The number of shown characters around a difference.
const SHOWN: usize = 48;

/// The minimum number of consecutive characters of a text.
const TEXT: usize = 6;

/// The maximum number of compared characters of a text.
const LONGEST: usize = 4096;

/// The error for a file that differs.
pub(super) fn of_bodies(path: &str, one: &[u8], other: &[u8], paths: &Paths<'_>) -> Error {
    let at = first_difference(one, other);
    let length = if one.len() == other.len() {
        let count = one.iter().zip(other).filter(|(a, b)| a != b).count();
        format!("{count} of {} bytes", one.len())
    } else {
        format!("it has {} bytes and {} bytes", one.len(), other.len())
    };
    let shown = different_text(one, other, paths).unwrap_or((at, at));
    let error = Error::failed(format!("two builds differ: `{path}`, first at offset {at:#x} ({length})"))
        .detail(format!("first build   {}", around(one, shown.0)))
        .detail(format!("second build  {}", around(other, shown.1)));
    error.help(help(one, other, shown, paths))
}

/// The remedy for the likely cause; `shown` are the offsets of the differing texts.
fn help(one: &[u8], other: &[u8], shown: (usize, usize), paths: &Paths<'_>) -> String {
    if find(one, paths.source).is_some() && find(other, paths.copied).is_some() {
        let source = paths.source;
        return format!("it contains the path of its sources: RUSTFLAGS='--remap-path-prefix={source}=.'");
    }
    if find(one, paths.build).is_some() || find(other, paths.build).is_some() {
        return "it contains the path of its build directory: RUSTFLAGS='--remap-path-prefix=PATH=.'".to_owned();
    }
    if only_build_id(one, other) {
        return "only the build id differs: RUSTFLAGS='-Clink-arg=-Wl,--build-id=sha1', not uuid".to_owned();
    }
    let texts = (text(one, shown.0), text(other, shown.1));
    let is_time = |text: &[u8]| text.iter().filter(|byte| byte.is_ascii_digit()).count() >= 6;
    if texts.0 != texts.1 && is_time(texts.0) && is_time(texts.1) {
        return "it seems to contain the time of its build: use SOURCE_DATE_EPOCH in build.rs".to_owned();
    }
    let sorted = |text: &[u8]| {
        let mut bytes = text.to_vec();
        bytes.sort_unstable();
        bytes
    };
    if texts.0 != texts.1 && sorted(texts.0) == sorted(texts.1) {
        return "the same text in another order: sort what build.rs and macros take from a HashMap, or use a BTreeMap"
            .to_owned();
    }
    "look in build.rs and macros for a HashMap, a process id or the number of jobs; try codegen-units = 1".to_owned()
}

fn find(bytes: &[u8], path: &Utf8Path) -> Option<usize> {
    memmem::find(bytes, path.as_str().as_bytes())
}

/// The offsets of a differing text: a path of the two builds, or the first differing text of files with the same
/// length.
fn different_text(one: &[u8], other: &[u8], paths: &Paths<'_>) -> Option<(usize, usize)> {
    if let (Some(source), Some(copied)) = (find(one, paths.source), find(other, paths.copied)) {
        return Some((source, copied));
    }
    if one.len() != other.len() {
        return None;
    }
    let is_text = |at: &usize| {
        let (a, b) = (text(one, *at), text(other, *at));
        a != b && a.len() >= TEXT && b.len() >= TEXT
    };
    let at = one.iter().zip(other).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at).find(is_text)?;
    Some((at, at))
}

fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let common = one.iter().zip(other).position(|(a, b)| a != b).unwrap_or(one.len().min(other.len()));
    // A build id is a hash of the rest, so the cause is elsewhere.
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

/// The range of the build id. Its ELF note has the sizes of name and description, its type, and `GNU`. xxhash has 8
/// bytes, MD5 and UUIDs 16, SHA-1 20.
fn build_id(file: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = |size: u8, is_little: bool| {
        let word = |value: u8| if is_little { [value, 0, 0, 0] } else { [0, 0, 0, value] };
        [&word(4)[..], &word(size), &word(3), b"GNU\0"].concat()
    };
    let notes = [8, 16, 20].into_iter().flat_map(|size| [(size, start(size, true)), (size, start(size, false))]);
    let found = notes.filter_map(|(size, note)| {
        let end = memmem::find(file, &note)? + note.len();
        Some(end..end + usize::from(size))
    });
    found.min_by_key(|id| id.start)
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' '
}

/// The printable characters around an offset.
fn text(bytes: &[u8], at: usize) -> &[u8] {
    let (before, after) = bytes.split_at(at.min(bytes.len()));
    let before = before.iter().rev().take(LONGEST).take_while(|byte| is_printable(**byte)).count();
    let after = after.iter().take(LONGEST).take_while(|byte| is_printable(**byte)).count();
    if after == 0 { &[] } else { bytes.get(at - before..at + after).unwrap_or_default() }
}

/// The bytes around an offset: printable characters verbatim, others as dots.
fn around(bytes: &[u8], at: usize) -> String {
    let start = at.saturating_sub(SHOWN / 2);
    let shown = bytes.get(start..bytes.len().min(start + SHOWN)).unwrap_or_default();
    shown.iter().map(|byte| if is_printable(*byte) { char::from(*byte) } else { '.' }).collect()
}

/// The text of the day `date`, such as `2026-11-30`, in an executable, in a usual format. Both builds contain it, but
/// one of tomorrow would not.
pub(super) fn day(body: &[u8], date: &str) -> Option<String> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let name = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    // The C compiler's __DATE__ has a space in place of a leading zero.
    let padded = day.strip_prefix('0').map_or_else(|| day.to_owned(), |digit| format!(" {digit}"));
    let written = [
        date.to_owned(),
        format!("{day}/{month}/{year}"),
        format!("{month}/{day}/{year}"),
        format!("{name} {padded} {year}"),
        format!("{name} {day} {year}"),
        format!("{day} {name} {year}"),
    ];
    if !body.starts_with(b"\x7fELF") {
        return None;
    }
    written.into_iter().find(|written| memmem::find(body, written.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::{Paths, day, of_bodies};

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
        assert!(said(b"\0abcdef\0", b"\0abcfed\0").contains("the same text in another order"));
        assert!(said(b"\0pid 123\0", b"\0pid 456\0").contains("a process id or the number of jobs"));
        let note = |id: u8, rest: &str| [BUILD_ID, &[id; 20], rest.as_bytes()].concat();
        assert!(said(&note(1, "same"), &note(2, "same")).contains("only the build id differs"));
        let uuid = |id: u8| [&b"\x04\0\0\0\x10\0\0\0\x03\0\0\0GNU\0"[..], &[id; 16], b"same"].concat();
        assert!(said(&uuid(1), &uuid(2)).contains("only the build id differs"));
        let behind = said(&note(1, "a at 1700000001"), &note(2, "a at 1700000002"));
        assert!(behind.contains("SOURCE_DATE_EPOCH") && behind.contains("first at offset 0x32"), "{behind}");
    }

    #[test]
    fn the_first_different_text_is_shown() {
        let text = said(b"\x01\0\0one by alpha,beta\0", b"\x02\0\0one by beta,alpha\0");
        assert!(text.contains("first at offset 0x0") && text.contains("first build   ...one by alpha,beta."), "{text}");
    }

    #[test]
    fn the_date_of_the_day_is_found_in_executables() {
        for (text, found) in [
            ("\x7fELF on 2026-12-03", Some("2026-12-03")),
            ("\x7fELF on Dec  3 2026", Some("Dec  3 2026")),
            ("\x7fELF on 03 Dec 2026 10:00", Some("03 Dec 2026")),
            ("\x7fELF on 2026-12-04", None),
            ("text of 2026-12-03", None),
        ] {
            assert_eq!(day(text.as_bytes(), "2026-12-03").as_deref(), found, "{text}");
        }
    }
}
