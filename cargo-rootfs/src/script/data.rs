//! The rows of `templates/policy/scripts.toml`.

use std::sync::LazyLock;

use crate::rows::{self, Fields};

pub(super) static DATA: LazyLock<Fields> =
    LazyLock::new(|| rows::embedded(include_str!("../../templates/policy/scripts.toml")));

/// Returns whether a list has a name.
pub(super) fn has(list: &str, name: &[u8]) -> bool {
    rows::list(&DATA, list).any(|known| known.as_bytes() == name)
}
