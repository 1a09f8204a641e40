//! Lines of `tree` for scripts and for suggested programs: their interpreters and their callers.

use std::collections::BTreeMap;

use crate::layout::{Script, Suggestion};

/// Writes a script with its interpreter and program.
pub(super) fn script(out: &mut Vec<u8>, script: &Script) {
    let Script { name, realpath, interpreter, program, .. } = script;
    let at = if *name == realpath.to_text() { String::new() } else { format!(" => {realpath}") };
    let runs = program.as_ref().map_or_else(String::new, |program| format!(" => {program}"));
    out.extend_from_slice(format!("{name}\n    script{at}, run by {interpreter}{runs}\n").as_bytes());
}

/// Writes the programs that are not packed, by the files that may run them.
pub(super) fn suggestions(out: &mut Vec<u8>, suggestions: &[Suggestion]) {
    let mut by: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for Suggestion { tool, by: path, rule } in suggestions {
        let rule = rule.as_ref().map_or_else(String::new, |rule| format!(" (rule {rule})"));
        by.entry(path).or_default().push(format!("{tool}{rule}"));
    }
    for (path, tools) in by {
        out.extend_from_slice(format!("{path} may run, not packed: {}\n", tools.join(", ")).as_bytes());
    }
}
