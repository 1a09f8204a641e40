//! Paths among constants, and in configuration, that exist in the sysroot: each text is reduced to its longest existing
//! prefix.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use crate::elf::{Bytes, PathText};
use crate::path::RootfsPath;
use crate::sysroot::{End, Sysroot};

/// An existing path that an object names.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// Verbatim from the object.
    pub(super) path: RootfsPath,
    /// Without symlinks.
    pub(super) real: RootfsPath,
    pub(super) end: End,
    pub(super) is_executable: bool,
}

impl Named {
    /// Returns whether a file without a package was probably left by a program, and not installed by an administrator.
    pub(super) fn is_made_by_nobody(&self) -> bool {
        self.path.components().next() == Some(b"var")
    }
}

/// The absolute paths in the text of a configuration, without its comments, and the libraries in one of the directories
/// `lib` that it names. A pattern and a path with a variable name their directory. Files that the text includes are in
/// `directory` if their paths are relative, as in dovecot's `!include conf.d/*.conf`.
pub(super) fn of_configuration(text: &[u8], lib: &[String], directory: Option<&RootfsPath>) -> BTreeSet<PathText> {
    let text = if text.contains(&0) { &[] } else { text };
    let mut texts = BTreeSet::new();
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start) {
        let verb = line.split(u8::is_ascii_whitespace).next().unwrap_or_default().to_ascii_lowercase();
        let includes = !verb.starts_with(b"#") && memchr::memmem::find(&verb, b"include").is_some();
        if !includes && matches!(line, [b'#' | b';' | b'!', ..] | [b'/', b'/' | b'*', ..]) {
            continue;
        }
        let words = line.split(|byte| byte.is_ascii_whitespace() || b"\"'=:,;()<>[]{}|".contains(byte));
        for word in words.filter(|word| !word.iter().any(|byte| b"%\\".contains(byte))) {
            let end = word.iter().position(|byte| b"*$".contains(byte));
            let (path, is_whole) = (&word[..end.unwrap_or(word.len())], end.is_none());
            let is_library = || is_whole && (path.ends_with(b".so") || memchr::memmem::find(path, b".so.").is_some());
            let places: Vec<&[u8]> = if path.starts_with(b"/") {
                vec![b""]
            } else if is_library() && !path.contains(&b'/') {
                lib.iter().map(String::as_bytes).collect()
            } else if includes && !path.is_empty() && memchr::memmem::find(path, b"..").is_none() {
                directory.map(RootfsPath::as_bytes).into_iter().collect()
            } else {
                Vec::new()
            };
            texts.extend(places.into_iter().map(|place| {
                let bytes = if place.is_empty() { path.to_vec() } else { [place, b"/", path].concat() };
                PathText { bytes: Bytes::from(bytes), is_whole, may_run_on: false }
            }));
        }
    }
    texts
}

/// The minimum length of a name to which a text without an end is shortened: shorter names begin too many words.
const SHORTEST: usize = 3;

/// The existing paths in `scout` that `texts` name, without duplicates and without paths below another one;
/// `is_general` identifies paths that are no evidence.
pub(super) fn there(
    scout: &mut Sysroot,
    texts: &BTreeSet<PathText>,
    is_general: impl Fn(&RootfsPath) -> bool,
) -> Vec<Named> {
    let mut found: BTreeMap<RootfsPath, Named> = BTreeMap::new();
    for text in texts {
        if let Some(named) = longest(scout, text).filter(|named| !is_general(&named.path)) {
            found.insert(named.path.clone(), named);
        }
    }
    // With a merged /usr, the end of a path is itself a path: /lib/x of /usr/lib/x.
    let ends: FxHashSet<&[u8]> = found.keys().filter_map(|path| path.as_bytes().strip_prefix(b"/usr")).collect();
    let is_end = |path: &RootfsPath| ends.contains(path.as_bytes());
    let mut kept: Vec<Named> = Vec::new();
    for named in found.values().filter(|named| !is_end(&named.path)).cloned() {
        let is_below = |other: &Named| matches!(other.end, End::Dir(_)) && named.path.is_within(&other.path);
        if !kept.iter().any(is_below) {
            kept.push(named);
        }
    }
    kept
}

/// The absolute paths in the text of a script, without its comments.
pub(super) fn of_script(text: &[u8]) -> BTreeSet<PathText> {
    /// The maximum number of paths: a script with more is a list of files.
    const MOST: usize = 4096;
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-@".contains(byte);
    let mut texts = BTreeSet::new();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
    for line in lines {
        for start in memchr::memchr_iter(b'/', line) {
            let before = start.checked_sub(1).map_or(b' ', |at| line[at]);
            // Otherwise it continues a variable, a name or another slash.
            let is_url = line[start..].starts_with(b"//");
            let begins = before.is_ascii_whitespace() || b"\"'=(:,[<>|{`".contains(&before);
            if is_url || !begins && !is_behind_root(&line[..start]) || texts.len() == MOST {
                continue;
            }
            let length = line[start..].iter().take_while(|byte| is_part(byte)).count();
            let after = line.get(start + length).copied().unwrap_or(b'\n');
            let is_whole = after.is_ascii_whitespace() || b"\"':;,)]>|&}`".contains(&after);
            texts.insert(PathText { bytes: line[start..start + length].into(), is_whole, may_run_on: false });
        }
    }
    texts
}

/// Returns whether a text ends with a variable for the root of a system, as in `$DPKG_ROOT/etc/shells`.
fn is_behind_root(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"}").unwrap_or(text);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let (before, name) = text.split_at(text.len() - text.iter().rev().take_while(|byte| is_name(byte)).count());
    let is_root = [&b"root"[..], b"destdir", b"sysroot"].iter().any(|known| {
        let rest = name.len().checked_sub(known.len());
        rest.is_some_and(|rest| name[rest..].eq_ignore_ascii_case(known))
    });
    is_root && (before.ends_with(b"$") || before.ends_with(b"${"))
}

fn longest(scout: &mut Sysroot, text: &PathText) -> Option<Named> {
    let mut bytes = &text.bytes[..];
    if memchr::memmem::find(bytes, b"//").is_some() || memchr::memmem::find(bytes, b"/..").is_some() {
        return None;
    }
    if !text.is_whole {
        bytes = &bytes[..memchr::memrchr(b'/', bytes)?];
    }
    // A sentence may end with a dot, a list of directories with a slash.
    while let [rest @ .., b'/' | b'.'] = bytes {
        bytes = rest;
    }
    loop {
        let path = RootfsPath::from_bytes(bytes).filter(|path| path.components().nth(1).is_some())?;
        if let Some(named) = at(scout, path.clone()) {
            return Some(named);
        }
        if !text.may_run_on {
            return None;
        }
        let parent = path.parent()?;
        if let Some(name) = begun_by(scout, &parent, path.file_name()) {
            return at(scout, parent.child(&name));
        }
        bytes = &bytes[..memchr::memrchr(b'/', bytes)?];
    }
}

/// The longest name in a directory with which `text` begins.
fn begun_by(scout: &mut Sysroot, folder: &RootfsPath, text: &[u8]) -> Option<Box<[u8]>> {
    if !matches!(scout.walk(folder).end, End::Dir(_)) {
        return None;
    }
    let names = scout.names(folder).into_iter();
    names.filter(|name| name.len() >= SHORTEST && text.starts_with(name)).max_by_key(|name| name.len())
}

/// Looks up a path of the sysroot; `None` if it is neither a file nor a directory.
pub(super) fn at(scout: &mut Sysroot, path: RootfsPath) -> Option<Named> {
    let walk = scout.walk(&path);
    let is_executable = match walk.end {
        End::File(file) => scout.info(file).mode & 0o111 != 0,
        End::Dir(_) => false,
        _ => return None,
    };
    Some(Named { path, real: walk.path, end: walk.end, is_executable })
}

#[cfg(test)]
mod tests {
    use super::of_script;

    #[test]
    fn paths_of_a_script() {
        let text = b"#!/bin/sh\n  # /usr/share/comment\n. /usr/lib/x/part\nd=/usr/share/x; $d/usr/no http://h/usr/no\n\
            open('/etc/x.conf', \"/usr/lib/$arch/x\")\n";
        let found: Vec<_> = of_script(text).into_iter().map(|it| (it.bytes.to_vec(), it.is_whole)).collect();
        let expected: [(&[u8], bool); 4] =
            [(b"/etc/x.conf", true), (b"/usr/lib/", false), (b"/usr/lib/x/part", true), (b"/usr/share/x", true)];
        assert_eq!(found, expected.map(|(path, is_whole)| (path.to_vec(), is_whole)));
    }
}
