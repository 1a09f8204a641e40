//! Rows of data from TOML or a manifest's metadata: typed access that reports every error with its row and key.
//!
//! It knows no kind of row; callers define the keys of their rows.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::wording::near_or_all;

/// An error in a row, and its position in the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// In bytes from the start; 0 without a text.
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// A value of TOML or JSON, and its position.
#[derive(Debug)]
pub(crate) struct Datum {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// The types of values in rows.
#[derive(Debug)]
pub(crate) enum Value {
    Text(String),
    Flag(bool),
    List(Vec<Datum>),
    Table(Fields),
    Other,
}

/// The keys of a table, with their values.
pub(crate) type Fields = Vec<(String, Datum)>;

impl Datum {
    pub(crate) fn of_toml(value: &Spanned<DeValue<'_>>) -> Self {
        let at = value.span().start;
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Array(items) => Value::List(items.iter().map(Self::of_toml).collect()),
            DeValue::Table(fields) => Value::Table(fields_of(fields)),
            _ => Value::Other,
        };
        Self { at, value }
    }

    #[cfg(feature = "cli")]
    pub(crate) fn of_json(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::String(text) => Value::Text(text.clone()),
            Json::Bool(flag) => Value::Flag(*flag),
            Json::Array(items) => Value::List(items.iter().map(Self::of_json).collect()),
            Json::Object(fields) => {
                Value::Table(fields.iter().map(|(key, value)| (key.clone(), Self::of_json(value))).collect())
            }
            _ => Value::Other,
        };
        Self { at: 0, value }
    }
}

fn fields_of(table: &DeTable<'_>) -> Fields {
    let field =
        |(key, value): (&Spanned<_>, _)| (AsRef::<str>::as_ref(key.get_ref()).to_owned(), Datum::of_toml(value));
    table.iter().map(field).collect()
}

/// The keys of an embedded document. A test parses each.
pub(crate) fn embedded(text: &str) -> Fields {
    fields_of(DeTable::parse(text).expect("embedded data is TOML, which a test reads").get_ref())
}

/// The value of a key.
pub(crate) fn value<'f>(fields: &'f Fields, key: &str) -> Option<&'f Value> {
    fields.iter().find(|(known, _)| known == key).map(|(_, datum)| &datum.value)
}

/// The table of a key.
pub(crate) fn table<'f>(fields: &'f Fields, key: &str) -> Option<&'f Fields> {
    if let Value::Table(fields) = value(fields, key)? { Some(fields) } else { None }
}

/// The text of a key.
#[cfg(feature = "cli")]
pub(crate) fn text<'f>(fields: &'f Fields, key: &str) -> Option<&'f str> {
    if let Value::Text(text) = value(fields, key)? { Some(text) } else { None }
}

/// The texts of a key, in a list.
#[cfg(feature = "cli")]
pub(crate) fn texts<'f>(fields: &'f Fields, key: &str) -> Vec<&'f str> {
    let Some(Value::List(items)) = value(fields, key) else { return Vec::new() };
    let text = |item: &'f Datum| if let Value::Text(text) = &item.value { Some(text.as_str()) } else { None };
    items.iter().filter_map(text).collect()
}

/// The texts of a list in an embedded document, which has it.
pub(crate) fn list<'f>(fields: &'f Fields, key: &str) -> impl Iterator<Item = &'f str> {
    let Some(Value::List(items)) = value(fields, key) else { unreachable!("embedded data has the list `{key}`") };
    items.iter().filter_map(|item| if let Value::Text(text) = &item.value { Some(text.as_str()) } else { None })
}

/// Reads the array of tables `kind`, whose rows have unique names.
pub(crate) fn named<T>(
    kind: &'static str,
    datum: &Datum,
    mut one: impl FnMut(&mut Reader, &str, &Fields, usize) -> Option<T>,
) -> Result<Vec<T>, Vec<Problem>> {
    let mut names: Vec<String> = Vec::new();
    tables(kind, datum, |reader, fields, at| {
        let name = match fields.iter().find(|(key, _)| key == "name") {
            Some((_, Datum { value: Value::Text(name), .. })) if !name.is_empty() => name.clone(),
            _ => {
                reader.problem(at, format!("a {kind} has no `name`"));
                return None;
            }
        };
        reader.row = format!("{kind} `{name}`");
        let before = reader.problems.len();
        let row = one(reader, &name, fields, at).filter(|_| reader.problems.len() == before)?;
        if names.contains(&name) {
            reader.problem(at, format!("there is a {kind} `{name}` already"));
        }
        names.push(name);
        Some(row)
    })
}

/// Reads the array of tables `kind`.
pub(crate) fn tables<T>(
    kind: &'static str,
    datum: &Datum,
    mut one: impl FnMut(&mut Reader, &Fields, usize) -> Option<T>,
) -> Result<Vec<T>, Vec<Problem>> {
    let mut reader = Reader::of(kind);
    let mut rows = Vec::new();
    match &datum.value {
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Table(_))) => {
            for item in items {
                let Value::Table(fields) = &item.value else { continue };
                rows.extend(one(&mut reader, fields, item.at));
            }
        }
        _ => {
            let help = format!("begin each by `[[{kind}]]`");
            reader.problem_with_help(datum.at, format!("`{kind}` must be a list of tables"), help);
        }
    }
    if reader.problems.is_empty() { Ok(rows) } else { Err(reader.problems) }
}

/// Reads the values of one row, and collects the errors of all rows.
pub(crate) struct Reader {
    pub(crate) problems: Vec<Problem>,
    /// The current row in messages: "rule `git`".
    pub(crate) row: String,
}

impl Reader {
    /// A reader of values outside of rows.
    pub(crate) fn of(document: &str) -> Self {
        Self { problems: Vec::new(), row: document.to_owned() }
    }

    pub(crate) fn problem(&mut self, at: usize, message: impl Into<String>) {
        self.problems.push(Problem { at, message: message.into(), help: None });
    }

    pub(crate) fn problem_with_help(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem { at, message: message.into(), help: Some(help.into()) });
    }

    /// Reads tables, or a single one.
    pub(crate) fn each<T>(
        &mut self,
        key: &str,
        datum: &Datum,
        one: impl Fn(&mut Self, &Fields, usize) -> Option<T>,
    ) -> Vec<T> {
        let items = match &datum.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(datum),
        };
        if items.iter().any(|item| !matches!(item.value, Value::Table(_))) {
            self.wrong(key, datum, "a list of tables");
            return Vec::new();
        }
        let mut read = Vec::new();
        for item in items {
            let Value::Table(fields) = &item.value else { continue };
            read.extend(one(self, fields, item.at));
        }
        read
    }

    /// Reads a list of texts, each with its position.
    pub(crate) fn texts_at<'d>(&mut self, key: &str, datum: &'d Datum) -> Vec<(&'d str, usize)> {
        let Value::List(items) = &datum.value else {
            self.wrong(key, datum, "a list of strings");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) => texts.push((text.as_str(), item.at)),
                _ => self.wrong(key, item, "a list of strings"),
            }
        }
        texts
    }

    pub(crate) fn texts(&mut self, key: &str, datum: &Datum) -> Vec<String> {
        self.texts_at(key, datum).into_iter().map(|(text, _)| text.to_owned()).collect()
    }

    pub(crate) fn text(&mut self, key: &str, datum: &Datum) -> String {
        match &datum.value {
            Value::Text(text) => text.clone(),
            _ => {
                self.wrong(key, datum, "a string");
                String::new()
            }
        }
    }

    pub(crate) fn flag(&mut self, key: &str, datum: &Datum) -> bool {
        match datum.value {
            Value::Flag(flag) => flag,
            _ => {
                self.wrong(key, datum, "true or false");
                false
            }
        }
    }

    /// Reads a word that is one of `known`.
    pub(crate) fn word<T: Copy>(&mut self, key: &str, datum: &Datum, known: &[(&str, T)]) -> Option<T> {
        let text = self.text(key, datum);
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            let message = format!("{} has an unknown `{key}`", self.row);
            self.problem_with_help(datum.at, message, format!("choose one of {}", words.join(", ")));
        }
        found
    }

    pub(crate) fn wrong(&mut self, key: &str, datum: &Datum, expected: &str) {
        self.problem(datum.at, format!("`{key}` of {} must be {expected}", self.row));
    }

    pub(crate) fn unknown(&mut self, key: &str, datum: &Datum, known: &[&str]) {
        let help = near_or_all(key, known, "known here:");
        self.problem_with_help(datum.at, format!("unknown key `{key}` of {}", self.row), help);
    }
}
