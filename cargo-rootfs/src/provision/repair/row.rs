//! Parses one row of repair from TOML.

use crate::glob::{Glob, unknown_placeholder};
use crate::rows::{self, Datum, Fields, Problem, Reader, Value};

/// The kinds of rows, in the order of their application: a row may use results of earlier ones.
pub(super) const KINDS: [(&str, Kind, &[&str]); 8] = [
    ("alternative", Kind::Alternative, &["path", "names", "first-of"]),
    ("copy", Kind::Copy, &["path", "from", "replace"]),
    ("link", Kind::Link, &["path", "names", "first-of", "from", "if", "number"]),
    ("text", Kind::Text, &["path", "directory", "head", "part"]),
    ("join", Kind::Join, &["path", "from", "form", "if"]),
    ("run", Kind::Run, &["path", "from", "program", "package", "makes"]),
    ("unmade", Kind::Unmade, &["path", "from", "program"]),
    ("mode", Kind::Mode, &["path", "names", "mode", "releases"]),
];

/// The operation of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A symlink through /etc/alternatives to the first existing one of `first-of`.
    Alternative,
    /// A copy of each file `from`, with words replaced.
    Copy,
    /// A symlink to the first existing one of `first-of`, or one symlink to each file `from`.
    Link,
    /// A file made of parts; each part is included if another file exists.
    Text,
    /// All files `from` in one file.
    Join,
    /// The files that a program of the host makes from copies of the files `from`.
    Run,
    /// Files of a program of the sysroot, which is not executed.
    Unmade,
    /// The mode of a file.
    Mode,
}

/// A row. `templates/README.md` explains each key.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) names: Vec<String>,
    pub(super) first_of: Vec<String>,
    pub(super) from: String,
    pub(super) condition: String,
    /// Words and their replacements, or files and the parts that they enable; sorted.
    pub(super) pairs: Vec<(String, String)>,
    pub(super) number: String,
    pub(super) directory: String,
    pub(super) head: String,
    pub(super) form: Form,
    pub(super) program: String,
    pub(super) package: String,
    pub(super) makes: Vec<String>,
    pub(super) mode: u32,
    pub(super) releases: Vec<String>,
}

/// The format of joined files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// The contents one after the other.
    #[default]
    Lines,
    /// A Java keystore of the certificates.
    Jks,
}

fn is_placeholder(name: &str) -> bool {
    matches!(name, "triplet" | "name" | "number" | "file") || matches!(name.as_bytes(), [b'1'..=b'9'])
}

/// Reads the rows of a document, grouped by kind.
pub(super) fn read(fields: &Fields) -> Result<Vec<Row>, Vec<Problem>> {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for (word, kind, keys) in KINDS {
        for (_, datum) in fields.iter().filter(|(key, _)| key == word) {
            match rows::tables(word, datum, |reader, fields, at| row(reader, kind, keys, fields, at)) {
                Ok(rows) => all.extend(rows),
                Err(more) => problems.extend(more),
            }
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

fn row(reader: &mut Reader, kind: Kind, keys: &[&str], fields: &Fields, at: usize) -> Option<Row> {
    let mut row = Row {
        kind,
        path: String::new(),
        names: Vec::new(),
        first_of: Vec::new(),
        from: String::new(),
        condition: String::new(),
        pairs: Vec::new(),
        number: String::new(),
        directory: String::new(),
        head: String::new(),
        form: Form::default(),
        program: String::new(),
        package: String::new(),
        makes: Vec::new(),
        mode: 0,
        releases: Vec::new(),
    };
    for (key, value) in fields {
        match key.as_str() {
            _ if !keys.contains(&key.as_str()) => reader.unknown(key, value, keys),
            "path" => row.path = path(reader, key, value),
            "names" => row.names = reader.texts(key, value),
            "first-of" => row.first_of = reader.texts(key, value),
            "from" => row.from = pattern(reader, key, value),
            "if" => row.condition = path(reader, key, value),
            "replace" | "part" => row.pairs = pairs(reader, key, value),
            "number" => row.number = reader.text(key, value),
            "directory" => row.directory = path(reader, key, value),
            "head" => row.head = reader.text(key, value),
            "form" => row.form = reader.word(key, value, &[("lines", Form::Lines), ("jks", Form::Jks)])?,
            "program" => row.program = reader.text(key, value),
            "package" => row.package = reader.text(key, value),
            "makes" => row.makes = reader.texts(key, value),
            "mode" => match u32::from_str_radix(&reader.text(key, value), 8) {
                Ok(mode) if mode <= 0o7777 => row.mode = mode,
                _ => reader.wrong(key, value, "octal digits"),
            },
            _ => row.releases = reader.texts(key, value),
        }
    }
    let has_source = match kind {
        Kind::Alternative => !row.first_of.is_empty(),
        Kind::Link => row.first_of.is_empty() != row.from.is_empty(),
        Kind::Text => !row.pairs.is_empty(),
        Kind::Mode => row.mode != 0,
        Kind::Copy | Kind::Join => !row.from.is_empty(),
        Kind::Unmade => !(row.from.is_empty() || row.program.is_empty()),
        Kind::Run => !(row.from.is_empty() || row.program.is_empty() || row.makes.is_empty()),
    };
    if row.path.is_empty() || !has_source {
        reader.problem(
            at,
            format!("a {} needs a `path`, and what it is made of: known here: {}", reader.row, keys.join(", ")),
        );
    }
    Some(row)
}

fn path(reader: &mut Reader, key: &str, datum: &Datum) -> String {
    let text = reader.text(key, datum);
    match unknown_placeholder(&text, is_placeholder) {
        Some(name) => reader.problem(datum.at, format!("`{text}`: there is no placeholder `{{{name}}}`")),
        None if !text.starts_with('/') => reader.wrong(key, datum, "an absolute path"),
        None => {}
    }
    text
}

/// Reads a pattern whose placeholders are names.
fn pattern(reader: &mut Reader, key: &str, datum: &Datum) -> String {
    let text = path(reader, key, datum);
    if let Err(why) = Glob::parse(&text) {
        reader.problem(datum.at, format!("`{text}` in `{key}`: {why}"));
    }
    text
}

fn pairs(reader: &mut Reader, key: &str, datum: &Datum) -> Vec<(String, String)> {
    let Value::Table(fields) = &datum.value else {
        reader.wrong(key, datum, "a table of strings");
        return Vec::new();
    };
    fields.iter().map(|(word, value)| (word.clone(), reader.text(word, value))).collect()
}
