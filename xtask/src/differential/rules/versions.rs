//! What glibc's loader says of symbol versions (elf/dl-version.c), against what a rule says that it does.

use std::collections::BTreeSet;

use super::super::answer::Printed;

/// What the loader says otherwise than a rule, if it does. `lines` are the rule's, `file` is what was started.
pub(super) fn differ(lines: &[String], printed: &Printed, file: &str) -> Option<String> {
    let expected: BTreeSet<String> = lines.iter().flat_map(|line| complaints(line)).collect();
    let found = found(printed, file);
    // At these it ends, and gets no further; of the others it tells all.
    let ends = |line: &String| line.contains(", not loaded,") || line.starts_with("GLIBC_ABI_DT_RELR needed");
    let is_right =
        if lines.iter().any(ends) { !found.is_empty() && found.is_subset(&expected) } else { found == expected };
    (!is_right).then(|| format!("\n    rule:   {expected:?}\n    loader: {found:?}"))
}

/// The loader's words for a line of a rule.
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

/// Its words without what stands before them. A weak version that is lacking is told of in this mode alone.
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
