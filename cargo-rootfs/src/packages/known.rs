//! Tools and libraries whose package has another name: rows of `templates/policy/owners.toml`.
//!
//! A row is a guess until a package index or the files themselves confirm it.

use std::sync::OnceLock;

use crate::glob::Glob;
use crate::rows::{Datum, Fields, Value, embedded, table};

/// The package of a tool or a library with another name; `kind` is the name of the table.
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
