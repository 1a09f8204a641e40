//! The built-in rules, embedded, and parsed on demand.
//!
//! There are a hundred rules and few are used: their names and conditions are extracted from the text, which takes
//! microseconds, and a rule is parsed when its condition matches.

use toml::de::DeTable;

use super::Rule;
use super::read::from_toml;

/// A file of `templates/runtime/`.
pub(super) struct BuiltIn {
    #[cfg(test)]
    name: &'static str,
    text: &'static str,
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(BuiltIn { #[cfg(test)] name: $name, text: include_str!(concat!("../../templates/runtime/", $name, ".toml")) }),*]
    };
}

/// All of them; a test compares them with the directory.
pub(super) static ALL: &[BuiltIn] = built_in!(
    "accounts",
    "archives",
    "building",
    "databases",
    "desktop",
    "editors",
    "files",
    "gnupg",
    "libc",
    "media",
    "modules",
    "network",
    "python",
    "remaking",
    "science",
    "scripting",
    "servers",
    "shell",
    "terminal",
    "time",
    "tls",
    "version-control"
);

/// A rule as text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sketch {
    /// From `[[rule]]` to the next rule.
    pub(super) text: &'static str,
    pub(super) name: &'static str,
}

/// The conditions that fire a rule.
pub(super) struct Waits {
    pub(super) when: Vec<&'static str>,
    pub(super) calls: Vec<&'static str>,
    pub(super) mentions: Vec<&'static str>,
}

/// Each rule of a file, with its conditions.
pub(super) fn sketches(file: &BuiltIn) -> impl Iterator<Item = (Sketch, Waits)> {
    let mut rest = file.text;
    // A comment precedes the first rule.
    std::iter::from_fn(move || {
        let begin = at_line(rest, "[[rule]]")?;
        let text = &rest[begin..];
        let length = at_line(&text[1..], "[[rule]]").map_or(text.len(), |next| next + 1);
        rest = &text[length..];
        let text = &text[..length];
        let name = strings(text, "name").first().copied().unwrap_or_default();
        Some((
            Sketch { text, name },
            Waits { when: strings(text, "when"), calls: strings(text, "calls"), mentions: strings(text, "mentions") },
        ))
    })
}

impl Sketch {
    /// Parses the rule. The tests have parsed every one.
    pub(super) fn parse(self) -> Option<Rule> {
        let document = DeTable::parse(self.text).ok()?;
        from_toml(document.get_ref().get("rule")?).ok()?.pop()
    }
}

/// The position of the first line that equals `line`.
fn at_line(text: &str, line: &str) -> Option<usize> {
    memchr::memmem::find_iter(text.as_bytes(), line).find(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n')
}

/// The strings of `key = "..."`, or of a list. Escapes are not supported; a test checks that the rules have none.
fn strings(text: &'static str, key: &str) -> Vec<&'static str> {
    let begins_line = |at: usize| at == 0 || text.as_bytes()[at - 1] == b'\n';
    let mut places = memchr::memmem::find_iter(text.as_bytes(), key).filter(|at| begins_line(*at));
    let value = places.find_map(|at| text[at + key.len()..].trim_start_matches(' ').strip_prefix('='));
    let Some(value) = value.map(str::trim_start) else { return Vec::new() };
    let is_list = value.starts_with('[');
    let mut strings = Vec::new();
    let mut bytes = value.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' | b'\'' => {
                let Some((end, _)) = bytes.find(|(_, other)| *other == byte) else { break };
                strings.push(&value[at + 1..end]);
                if !is_list {
                    break;
                }
            }
            b'#' => drop(bytes.find(|(_, byte)| *byte == b'\n')),
            b']' => break,
            b'\n' if !is_list => break,
            _ => {}
        }
    }
    strings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_has_every_file_of_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/runtime");
        let names = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        let known: BTreeSet<String> = ALL.iter().map(|file| format!("{}.toml", file.name)).collect();
        assert_eq!(names.collect::<BTreeSet<_>>(), known);
    }

    /// The extracted sketches agree with the parsed TOML, and every rule is well-formed.
    #[test]
    fn sketches_are_true_to_the_rules() {
        let mut names = BTreeSet::new();
        for file in ALL {
            let document = DeTable::parse(file.text).unwrap_or_else(|error| panic!("{}: {error}", file.name));
            let rules = from_toml(document.get_ref().get("rule").unwrap());
            let rules = rules.unwrap_or_else(|problems| panic!("{}: {problems:#?}", file.name));
            let sketches: Vec<_> = sketches(file).collect();
            assert_eq!(sketches.len(), rules.len(), "{}", file.name);
            for (rule, (sketch, waits)) in rules.iter().zip(sketches) {
                let owned = |texts: &[&str]| texts.iter().map(|it| it.to_string()).collect::<Vec<_>>();
                assert_eq!(
                    (&*rule.name, &rule.when, &rule.calls, &rule.mentions),
                    (sketch.name, &owned(&waits.when), &owned(&waits.calls), &owned(&waits.mentions)),
                    "{}",
                    file.name
                );
                assert_eq!(sketch.parse().as_ref(), Some(rule), "{}", file.name);
                assert!(names.insert(rule.name.clone()), "two rules are called {}", rule.name);
                assert!(!rule.learned_from.is_empty(), "{} does not say whose paths it has", rule.name);
            }
        }
    }
}
