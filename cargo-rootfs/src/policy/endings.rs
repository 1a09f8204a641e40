//! Endings of files that interpreters and programs load.

use std::sync::LazyLock;

use crate::path::RootfsPath;
use crate::rows::{Fields, embedded, list};

static ENDINGS: LazyLock<Fields> = LazyLock::new(|| embedded(include_str!("../../templates/policy/endings.toml")));

/// Returns whether other scripts load a script of this name, independent of its mode.
pub(crate) fn is_module(name: &[u8]) -> bool {
    has("modules", name)
}

/// The same for modules that are read like the script that loads them.
pub(crate) fn is_read_module(name: &[u8]) -> bool {
    has("read", name)
}

/// Returns whether interpreters load a file of this name: a module, or an archive of them.
pub(crate) fn is_loaded(name: &[u8]) -> bool {
    is_module(name) || has("archives", name)
}

/// Returns whether a file without execute permission may be loaded as a plugin or a library. Most files that rules take
/// may not, and are not worth opening.
pub(crate) fn is_plugin(name: &[u8]) -> bool {
    has("plugins", name) || memchr::memmem::find(name, b".so.").is_some()
}

/// Returns whether a file is configuration, by its path.
pub(crate) fn is_configuration(path: &RootfsPath) -> bool {
    let name = path.file_name();
    let is_of_a_list = || path.parent().is_some_and(|directory| directory.file_name().ends_with(b".d"));
    path.components().next() == Some(b"etc") || has("configuration", name) || has("lists", name) && is_of_a_list()
}

fn has(of: &str, name: &[u8]) -> bool {
    list(&ENDINGS, of).any(|ending| name.ends_with(ending.as_bytes()))
}
