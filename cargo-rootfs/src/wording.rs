//! Text for messages of several modules: a suggestion for a misspelt name, a shortened list, quoted words.
//!
//! Callers write the complete messages.

#[cfg(feature = "cli")]
use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;

use crate::path::RootfsPath;

/// The most similar one of `known` to `typed`: `bash` for `bahs`.
///
/// A swapped neighbour, and an inserted, missing or different letter count one edit each; one edit is allowed, two from
/// six letters on. Without such a name, it is the shortest one that begins with `typed`: `docker-import` for `docker`.
pub(crate) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = typed.chars().count();
    let allowed = (length / 3).clamp(1, 2);
    let mut near: Option<(usize, f64, &str)> = None;
    let mut longer: Option<&str> = None;
    for word in known {
        if length > 2 && word.starts_with(typed) && longer.is_none_or(|best| word.len() < best.len()) {
            longer = Some(word);
        }
        // The distance is never less than this difference, which is cheaper to compute.
        if word.len().abs_diff(typed.len()) > 4 * allowed {
            continue;
        }
        let distance = strsim::osa_distance(typed, word);
        if distance > allowed || distance >= length.max(1) {
            continue;
        }
        // Of equally distant words, one with swapped letters is preferred, then one with the same beginning.
        let swaps = strsim::levenshtein(typed, word) - distance;
        let likeness = swaps as f64 + strsim::jaro_winkler(typed, word);
        let is_nearer = |(best, best_likeness, _)| distance < best || distance == best && likeness > best_likeness;
        if near.is_none_or(is_nearer) {
            near = Some((distance, likeness, word));
        }
    }
    near.map(|(.., word)| word).or(longer)
}

/// A help line with a guess: ``did you mean `bash`?``.
pub(crate) fn did_you_mean(near: impl Display) -> String {
    format!("did you mean `{near}`?")
}

/// A help line with the most similar one of `known`, otherwise with all of them after `intro`.
pub(crate) fn near_or_all(typed: &str, known: &[&str], intro: &str) -> String {
    nearest(typed, known.iter().copied()).map_or_else(|| format!("{intro} {}", known.join(", ")), did_you_mean)
}

/// The first items and the number of the others: `a, b and 3 more`.
pub(crate) fn and_more<T: Display>(items: impl ExactSizeIterator<Item = T>, most: usize) -> String {
    let others = items.len().saturating_sub(most);
    and_others(items.take(most), others)
}

/// All items and the number of others that are not at hand.
pub(crate) fn and_others<T: Display>(items: impl Iterator<Item = T>, others: usize) -> String {
    let named = items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ");
    if others == 0 { named } else { format!("{named} and {others} more") }
}

/// The same as lines, for details of an error.
#[cfg(feature = "cli")]
pub(crate) fn lines_and_more<T: Display>(items: impl ExactSizeIterator<Item = T>, most: usize) -> Vec<String> {
    let others = items.len().saturating_sub(most);
    let last = (others > 0).then(|| format!("and {others} more"));
    items.take(most).map(|item| item.to_string()).chain(last).collect()
}

/// A text for a terminal. Control characters, except for those of its lines, are escaped: names of files in images are anything,
/// and a terminal would obey them.
#[cfg(feature = "cli")]
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_command = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_command) {
        return text.into();
    }
    text.chars().flat_map(|c| if is_command(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

/// A readable size: `1.4 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

/// The option that packs a path of the sysroot at `root`; it takes one path each: `--include /srv/sysroot/etc/a:/etc/a`.
pub(crate) fn include(root: &Path, path: &RootfsPath) -> String {
    format!("--include {}", shell_word(&format!("{}:{path}", path.below(root).display())))
}

/// A word in the syntax of a shell, quoted if necessary.
pub(crate) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A basic string of TOML 1.0.
#[cfg(feature = "cli")]
pub(crate) fn toml_string(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{and_more, nearest};

    #[test]
    fn lists_are_shortened() {
        let listed = |most| and_more(["a", "b", "c"].iter(), most);
        assert_eq!(
            [listed(1), listed(2), listed(3), listed(4)],
            ["a and 2 more", "a, b and 1 more", "a, b, c", "a, b, c"]
        );
    }

    #[cfg(feature = "cli")]
    #[test]
    fn quoted_words_are_read_back() {
        for word in ["plain/word-1", "", "it's", "a b", "$x\n\"", "\u{e9}"] {
            let script = format!("printf %s {}", super::shell_word(word));
            let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), word);
            let table: toml::Table = format!("key = {}", super::toml_string(word)).parse().unwrap();
            assert_eq!(table["key"].as_str(), Some(word));
        }
    }

    #[test]
    fn one_good_guess() {
        let tools = "as bash dash dot git gtk less ls python3 rbash rsync rsyncd tabs vim.basic vim.tiny".split(' ');
        for (typed, expected) in [
            ("bahs", Some("bash")),
            ("rsnyc", Some("rsync")),
            ("gti", Some("git")),
            ("pyhton3", Some("python3")),
            ("python", Some("python3")),
            ("vim", Some("vim.tiny")),
            ("bash", Some("bash")),
            ("x", None),
            ("", None),
            ("cargo", None),
            ("\u{e9}\u{e9}", None),
        ] {
            assert_eq!(nearest(typed, tools.clone()), expected, "{typed}");
        }
        // Two edits are one too many in a short word.
        assert_eq!(nearest("abcde", ["axcdx"]), None);
        assert_eq!(nearest("abcdef", ["axcdex"]), Some("axcdex"));
    }
}
