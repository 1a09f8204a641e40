//! One dlopen note: the libraries that an ELF file declares to open at run time.
//!
//! The format is UAPI.12, dlopen() metadata for ELF files
//! (<https://uapi-group.org/specifications/specs/elf_dlopen_metadata/>). The files of the libraries are not searched
//! here.

use std::fmt;
use std::sync::Arc;

use super::json::{self, Json};
use crate::elf::Bytes;

/// The priority of a library that is opened at run time (UAPI.12, priority definition); the highest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Nothing works without it.
    Required,
    /// It should be present in most cases; the default priority.
    #[default]
    Recommended,
    /// Only a full installation needs it.
    Suggested,
}

impl Priority {
    /// The specification's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Recommended => "recommended",
            Self::Suggested => "suggested",
        }
    }

    /// The priority of this name.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Required, Self::Recommended, Self::Suggested].into_iter().find(|priority| priority.as_str() == word)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of a dlopen note.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// The names that are opened, the most preferred first; any one suffices. Never empty.
    pub sonames: Vec<Bytes>,
    /// The priority of the library.
    pub priority: Priority,
    /// A keyword for the feature that uses it.
    pub feature: Option<Arc<str>>,
    /// A readable description of the feature.
    pub description: Option<Arc<str>>,
}

impl fmt::Display for Note {
    /// Priority, feature and description: `recommended, bpf: Support firewalling`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.priority)?;
        match (&self.feature, &self.description) {
            (Some(feature), Some(description)) => write!(f, ", {feature}: {description}"),
            (Some(text), None) | (None, Some(text)) => write!(f, ", {text}"),
            (None, None) => Ok(()),
        }
    }
}

/// The entries of one note's text, each parsed or with its error.
///
/// Notes from before the final specification have a single object in place of the list, and a single string in place of
/// the sonames. Unknown keys are ignored.
pub(super) fn read(text: &[u8]) -> Vec<Result<Note, String>> {
    let Ok(text) = std::str::from_utf8(text) else { return vec![Err("it is not UTF-8".to_owned())] };
    match json::parse(text) {
        Ok(Json::List(entries)) => entries.into_iter().map(note).collect(),
        Ok(entry) => vec![note(entry)],
        Err(why) => vec![Err(why.to_owned())],
    }
}

fn note(entry: Json) -> Result<Note, String> {
    let Json::Table(pairs) = entry else { return Err("an entry is not an object".to_owned()) };
    let mut note = Note { sonames: Vec::new(), priority: Priority::default(), feature: None, description: None };
    for (key, value) in pairs {
        match (key.as_str(), value) {
            ("soname", Json::List(names)) => note.sonames = names.into_iter().map(soname).collect::<Result<_, _>>()?,
            ("soname", name) => note.sonames = vec![soname(name)?],
            ("priority", Json::Text(word)) => {
                note.priority = Priority::parse(&word).ok_or_else(|| format!("`{}` is no priority", shown(&word)))?;
            }
            ("feature", Json::Text(text)) => note.feature = Some(shown(&text)),
            ("description", Json::Text(text)) => note.description = Some(shown(&text)),
            ("priority" | "feature" | "description", _) => return Err(format!("its `{key}` is not a string")),
            _ => {}
        }
    }
    if note.sonames.is_empty() { Err("it has no `soname`".to_owned()) } else { Ok(note) }
}

fn soname(name: Json) -> Result<Bytes, String> {
    match name {
        // dlopen("") opens the program itself.
        Json::Text(name) if name.is_empty() => Err("a soname is empty".to_owned()),
        Json::Text(name) if name.contains(char::is_control) => Err("a soname has a control character".to_owned()),
        Json::Text(name) => Ok(Bytes::from(name.as_bytes())),
        _ => Err("a soname is not a string".to_owned()),
    }
}

/// Removes control characters, which a terminal would interpret.
fn shown(text: &str) -> Arc<str> {
    text.replace(char::is_control, "\u{fffd}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(sonames: &[&str], priority: Priority, feature: Option<&str>, description: Option<&str>) -> Note {
        let sonames = sonames.iter().map(|name| Bytes::from(name.as_bytes())).collect();
        Note { sonames, priority, feature: feature.map(Arc::from), description: description.map(Arc::from) }
    }

    /// UAPI.12, well-known keys: only soname is mandatory, and unknown keys are ignored.
    #[test]
    fn entries() {
        let text = r#"[{"soname":["libfoo.so.1","libfoo.so.0"],"feature":"foo","description":"Enables foo",
                        "priority":"suggested"},
                       {"soname":["libbar.so"], "priority":"required", "x-own": {"a": [1]}},
                       {"soname":["libbaz.so"]}]"#;
        assert_eq!(
            read(text.as_bytes()),
            [
                Ok(note(&["libfoo.so.1", "libfoo.so.0"], Priority::Suggested, Some("foo"), Some("Enables foo"))),
                Ok(note(&["libbar.so"], Priority::Required, None, None)),
                Ok(note(&["libbaz.so"], Priority::Recommended, None, None)),
            ]
        );
        assert_eq!(read(b"[]"), []);
    }

    /// The form of systemd's first notes.
    #[test]
    fn a_lone_object_and_a_lone_soname() {
        let text = br#"{"soname":"libfoo.so.1","priority":"required"}"#;
        assert_eq!(read(text), [Ok(note(&["libfoo.so.1"], Priority::Required, None, None))]);
    }

    #[test]
    fn one_bad_entry_spares_the_rest() {
        let found = read(br#"[{"feature":"x"},{"soname":["liba.so"]}]"#);
        assert_eq!(
            found,
            [Err("it has no `soname`".to_owned()), Ok(note(&["liba.so"], Priority::Recommended, None, None))]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            (&b"\xff"[..], "it is not UTF-8"),
            (b"", "it ends too early"),
            (b"[{\"soname\":[\"a\"]}", "it ends too early"),
            (b"3", "an entry is not an object"),
            (b"[\"liba.so\"]", "an entry is not an object"),
            (b"{\"soname\":[]}", "it has no `soname`"),
            (b"{\"soname\":[3]}", "a soname is not a string"),
            (b"{\"soname\":{}}", "a soname is not a string"),
            (b"{\"soname\":\"\"}", "a soname is empty"),
            (b"{\"soname\":\"a\\u0000b\"}", "a soname has a control character"),
            (b"{\"soname\":\"a\",\"priority\":\"must\\u001b\"}", "`must\u{fffd}` is no priority"),
            (b"{\"soname\":\"a\",\"priority\":1}", "its `priority` is not a string"),
            (b"{\"soname\":\"a\",\"feature\":[]}", "its `feature` is not a string"),
        ] {
            assert_eq!(read(text), [Err(why.to_owned())], "{}", String::from_utf8_lossy(text));
        }
    }

    /// Strings of a hostile file are printed, and a terminal interprets escape sequences.
    #[test]
    fn texts_have_no_control_characters() {
        let found = read(br#"{"soname":"liba.so","feature":"a\u001b[2Jb","description":"\u009b1m"}"#);
        let expected = note(&["liba.so"], Priority::Recommended, Some("a\u{fffd}[2Jb"), Some("\u{fffd}1m"));
        assert_eq!(found, [Ok(expected)]);
    }
}
