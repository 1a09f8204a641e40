//! Tools, libraries and files whose package has another name: rows of `templates/policy/owners.toml`; and files that no
//! package has: rows of `templates/repair`.
//!
//! A row of the first is a guess until a package index or the files themselves confirm it.

use std::sync::OnceLock;

use rustc_hash::FxHashSet;

use crate::glob::Glob;
use crate::rows::{Datum, Fields, Value, embedded, table, value};

/// The package of a tool, a library or a file with another name; `kind` is the name of the table.
pub(crate) fn known_owner(kind: &str, name: &str) -> Option<&'static str> {
    static OWNERS: OnceLock<Fields> = OnceLock::new();
    let owners = OWNERS.get_or_init(|| embedded(include_str!("../../templates/policy/owners.toml")));
    let is_it = |word: &str| {
        let globs = if word.contains('*') { Glob::parse(word).unwrap_or_default() } else { Vec::new() };
        word == name || globs.iter().any(|glob| glob.matches_name(name.as_bytes()).is_some())
    };
    let has = |names: &Datum| matches!(&names.value, Value::Text(names) if names.split_whitespace().any(is_it));
    table(owners, kind)?.iter().find(|(_, names)| has(names)).map(|(package, _)| package.as_str())
}

/// The paths of files that maintainer scripts make. No package has them: those that make them have other files.
pub(super) fn made_by_scripts() -> &'static FxHashSet<Box<[u8]>> {
    static MADE: OnceLock<FxHashSet<Box<[u8]>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let kinds = embedded(include_str!("../../templates/repair/debian.toml"));
        let lists = ["link", "copy", "join", "text"].iter().filter_map(|kind| match value(&kinds, kind) {
            Some(Value::List(rows)) => Some(rows),
            _ => None,
        });
        let paths = lists.flatten().filter_map(|row| match &row.value {
            Value::Table(fields) => value(fields, "path"),
            _ => None,
        });
        let literal = paths.filter_map(|path| match path {
            Value::Text(path) if !path.contains('{') => Some(path.as_bytes().into()),
            _ => None,
        });
        literal.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_with_other_names() {
        assert_eq!(known_owner("files", "/etc/services"), Some("netbase"));
        assert_eq!(known_owner("tools", "ls"), Some("coreutils"));
        assert_eq!(known_owner("libraries", "ld-linux-x86-64.so.2"), Some("libc6"));
        assert_eq!(known_owner("tools", "bash"), None);
    }

    #[test]
    fn files_of_maintainer_scripts_are_those_with_a_whole_path() {
        let made = made_by_scripts();
        for path in ["/etc/ssl/certs/ca-certificates.crt", "/etc/nsswitch.conf", "/usr/bin/sh", "/etc/shells"] {
            assert!(made.contains(path.as_bytes()), "{path}");
        }
        // A package has this file; its script changes the mode.
        assert!(!made.contains(&b"/usr/bin/ping"[..]));
        assert!(made.iter().all(|path| !path.contains(&b'{')));
    }
}
