//! Parses one row of policy from TOML or a manifest's metadata.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::secrets::Secret;
use crate::glob::{Glob, unknown_placeholder};
use crate::rows::{self, Datum, Fields, Problem, Reader};

/// A kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Secret,
    Documentation,
    Noise,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Secret, Self::Documentation, Self::Noise];

    /// The name of its array of tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Documentation => "documentation",
            Self::Noise => "noise",
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Secret => &["name", "why", "paths", "except", "endings", "is", "holds-key"],
            Self::Documentation => &["name", "why", "paths", "except", "endings", "except-own", "except-packages"],
            Self::Noise => &["name", "why", "paths", "except", "endings"],
        }
    }
}

/// The prefix of documentation patterns that are relative to the first directory `share` of a path.
pub(super) const SHARE: &str = "{share}";

/// A row of policy: files by their paths. `templates/README.md` explains each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub(super) kind: Kind,
    pub(super) name: Arc<str>,
    /// `None` for all files.
    pub(super) paths: Option<Vec<String>>,
    pub(super) except: Vec<String>,
    /// Endings of names, without the dot; the empty one means names without an ending.
    pub(super) endings: Vec<String>,
    pub(super) secret: Secret,
    pub(super) holds_key: bool,
    pub(super) except_own: bool,
    pub(super) except_packages: Vec<String>,
}

/// Parses the array of tables of a kind from a TOML document.
pub(crate) fn from_toml(kind: Kind, value: &Spanned<DeValue<'_>>) -> Result<Vec<Row>, Vec<Problem>> {
    read(kind, &Datum::of_toml(value))
}

/// Parses the rows of a kind from the metadata of a manifest.
#[cfg(feature = "cli")]
pub(crate) fn from_json(kind: Kind, value: &serde_json::Value) -> Result<Vec<Row>, Vec<Problem>> {
    read(kind, &Datum::of_json(value))
}

pub(super) fn read(kind: Kind, datum: &Datum) -> Result<Vec<Row>, Vec<Problem>> {
    rows::named(kind.word(), datum, |reader, name, fields, at| row(reader, kind, name, fields, at))
}

fn row(reader: &mut Reader, kind: Kind, name: &str, fields: &Fields, at: usize) -> Option<Row> {
    let keys = kind.keys();
    let mut row = Row {
        kind,
        name: Arc::from(name),
        paths: None,
        except: Vec::new(),
        endings: Vec::new(),
        secret: Secret::Closed,
        holds_key: false,
        except_own: false,
        except_packages: Vec::new(),
    };
    let mut is = None;
    for (key, value) in fields {
        match key.as_str() {
            _ if !keys.contains(&key.as_str()) => reader.unknown(key, value, keys),
            "name" => {}
            "why" => drop(reader.text(key, value)),
            "paths" => row.paths = Some(patterns(reader, kind, key, value)),
            "except" => row.except = patterns(reader, kind, key, value),
            "endings" => row.endings = reader.texts(key, value),
            "is" => is = reader.word(key, value, &Secret::WORDS),
            "holds-key" => row.holds_key = reader.flag(key, value),
            "except-own" => row.except_own = reader.flag(key, value),
            _ => row.except_packages = names(reader, key, value),
        }
    }
    if row.paths.is_none() && row.endings.is_empty() {
        reader.problem(at, format!("{} has neither `paths` nor `endings`", reader.row));
    }
    match is {
        Some(is) => row.secret = is,
        None if kind == Kind::Secret && !fields.iter().any(|(key, _)| key == "is") => {
            reader.problem(at, format!("{} has no `is`", reader.row));
        }
        None => {}
    }
    Some(row)
}

/// Reads patterns of paths: absolute ones, or a name in any directory.
fn patterns(reader: &mut Reader, kind: Kind, key: &str, datum: &Datum) -> Vec<String> {
    let texts = reader.texts_at(key, datum);
    for (text, at) in &texts {
        let rest = text.strip_prefix(SHARE).filter(|_| kind == Kind::Documentation).unwrap_or(text);
        let why = match (unknown_placeholder(rest, |_| false), Glob::parse(rest)) {
            (Some(name), _) => format!("there is no variable `{{{name}}}`"),
            (None, Err(why)) => why.to_owned(),
            (None, Ok(globs)) if globs.iter().all(|glob| glob.is_absolute || glob.is_name()) => continue,
            (None, Ok(_)) => "it must begin with a slash, or be a name without one".to_owned(),
        };
        reader.problem(*at, format!("`{text}` in `{key}` of {}: {why}", reader.row));
    }
    texts.into_iter().map(|(text, _)| text.to_owned()).collect()
}

/// Reads patterns of package names.
fn names(reader: &mut Reader, key: &str, datum: &Datum) -> Vec<String> {
    let texts = reader.texts_at(key, datum);
    for (text, at) in &texts {
        if !Glob::parse(text).is_ok_and(|globs| globs.iter().all(Glob::is_name)) {
            reader.problem(*at, format!("`{text}` in `{key}` of {}: it is no name of a package", reader.row));
        }
    }
    texts.into_iter().map(|(text, _)| text.to_owned()).collect()
}
