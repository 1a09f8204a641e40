//! Compares the messages of glibc's loader about symbol versions (elf/dl-version.c) with a rule.

use std::collections::BTreeSet;

use super::super::answer::Printed;

/// The difference between the loader's messages and a rule, if any. `lines` are the rule's; `file` is the started
/// program.
pub(super) fn differ(lines: &[String], printed: &Printed, file: &str) -> Option<String> {
    let expected: BTreeSet<String> = lines.iter().flat_map(|line| complaints(line)).collect();
    let found = found(printed, file);
    // The loader ends at these, and prints all others.
    let ends = |line: &String| line.contains(", not loaded,") || line.starts_with("GLIBC_ABI_DT_RELR needed");
    let is_right =
        if lines.iter().any(ends) { !found.is_empty() && found.is_subset(&expected) } else { found == expected };
    (!is_right).then(|| format!("\n    rule:   {expected:?}\n    loader: {found:?}"))
}

/// The loader's messages for a line of a rule.
fn complaints(line: &str) -> Vec<String> {
    if let Some((library, object)) = line.strip_prefix("any of ").and_then(|rest| rest.split_once(" for ")) {
        return vec![format!("{library}: no version information available (required by {object})")];
    }
    let Some((what, object)) = line.rsplit_once(" needed by ") else { return vec![line.to_owned()] };
    match what.split_once(" of ") {
        None => vec![format!("{object}: DT_RELR without GLIBC_ABI_DT_RELR dependency")],
        Some((_, library)) if library.ends_with(", not loaded,") => {
            vec!["Assertion `needed != NULL' failed!".to_owned()]
        }
        Some((versions, library)) => {
            let words = |version| format!("{library}: version `{version}' not found (required by {object})");
            versions.split(' ').map(words).collect()
        }
    }
}

/// The loader's messages without their prefixes. A missing weak version is reported in this mode only.
fn found(printed: &Printed, file: &str) -> BTreeSet<String> {
    let is_complaint = |line: &&str| ["version", "DT_RELR", "failed!"].iter().any(|word| line.contains(word));
    let lines = printed.stderr.lines().chain(printed.stdout.lines()).filter(is_complaint);
    let lines = lines.filter(|line| !line.contains("weak version"));
    let bare = |line: &str| {
        let line = line.find("Assertion").map_or(line, |at| &line[at..]);
        let line = line.strip_prefix(&format!("{file}: ")).unwrap_or(line);
        line.strip_prefix("error while loading shared libraries: ").unwrap_or(line).to_owned()
    };
    lines.map(bare).collect()
}
