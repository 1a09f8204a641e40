//! Available tools that may be useful but were not requested: rules name them, and scripts seem to call them.
//!
//! They are only suggested, never packed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::opened::offer;
use super::scripts::Script;
use super::tools;
use crate::error::Warning;
use crate::path::{RootfsPath, is_program_directory};
use crate::rootfs::Rootfs;
use crate::sysroot::Sysroot;

/// An available tool that may be useful but was not requested.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suggestion {
    /// Its name, for `--with`.
    pub tool: String,
    /// The file that may run it.
    pub by: RootfsPath,
    /// The rule that names it; `None` if a script calls it.
    pub rule: Option<Arc<str>>,
}

/// Suggestions of rules, and calls of scripts, that the sysroot has and the rootfs lacks.
pub(super) fn find(
    view: &mut Sysroot,
    rules: impl Iterator<Item = Suggestion>,
    scripts: &[Script],
    rootfs: &Rootfs,
) -> Vec<Suggestion> {
    let called = scripts.iter().flat_map(|script| {
        let one = |tool: &Arc<str>| Suggestion { tool: tool.to_string(), by: script.realpath.clone(), rule: None };
        script.calls.iter().map(one)
    });
    let all: BTreeSet<Suggestion> = rules.chain(called).collect();
    let is_lacking = |it: &Suggestion| tools::find(view, &it.tool).is_some_and(|path| rootfs.way(&path).is_empty());
    let mut all: Vec<_> = all.into_iter().collect();
    all.retain(is_lacking);
    all
}

/// One warning for all suggestions. `None` without suggestions.
pub fn suggestion_warning<'s>(suggestions: impl IntoIterator<Item = &'s Suggestion>) -> Option<Warning> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Suggestion { tool, by, .. } in suggestions {
        let by = String::from_utf8_lossy(by.file_name()).into_owned();
        named.entry(short(tool).to_owned()).or_default().insert(by);
    }
    offer(&named, "may be run", "--with")
}

/// The name alone of a tool in a directory of programs.
fn short(tool: &str) -> &str {
    let (directory, name) = tool.rsplit_once('/').unwrap_or_default();
    if is_program_directory(directory.as_bytes()) { name } else { tool }
}
