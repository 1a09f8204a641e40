//! JSON documents of mostly borrowed strings, with the text that serde_json gives an equal value: keys in order, and an
//! indentation of two spaces.
//!
//! A `serde_json::Value` owns every key and string, which took most of the time of a document.

use std::borrow::Cow;
use std::fmt::Write;

use super::sha256;

#[derive(Debug, PartialEq)]
pub(super) enum Json<'j> {
    Null,
    Bool(bool),
    Number(u32),
    Text(Cow<'j, str>),
    List(Vec<Json<'j>>),
    /// Sorted by key.
    Object(Vec<(&'static str, Json<'j>)>),
}

/// An object with these fields, without null ones.
pub(super) fn object<'j, const N: usize>(fields: [(&'static str, Json<'j>); N]) -> Json<'j> {
    let mut present = Vec::with_capacity(N);
    present.extend(fields.into_iter().filter(|(_, value)| *value != Json::Null));
    present.sort_unstable_by_key(|(key, _)| *key);
    Json::Object(present)
}

impl<'j> From<&'j str> for Json<'j> {
    fn from(text: &'j str) -> Self {
        Self::Text(text.into())
    }
}

impl<'j> From<&'j String> for Json<'j> {
    fn from(text: &'j String) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Json<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'j, T: Into<Self>> From<Option<T>> for Json<'j> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'j, T: Into<Self>> From<Vec<T>> for Json<'j> {
    fn from(values: Vec<T>) -> Self {
        values.into_iter().collect()
    }
}

impl<'j, T: Into<Self>, const N: usize> From<[T; N]> for Json<'j> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<'j, T: Into<Self>> FromIterator<T> for Json<'j> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<'j> Json<'j> {
    /// Adds a field to an object.
    fn insert(&mut self, key: &'static str, value: impl Into<Self>) {
        if let Self::Object(fields) = self {
            fields.push((key, value.into()));
            fields.sort_unstable_by_key(|(key, _)| *key);
        }
    }

    /// The text of an object with one more field, whose value `name` makes of the digest of the text: equal contents
    /// have equal names. All these values have the same length, and need no escapes.
    pub(super) fn pretty_named(mut self, key: &'static str, name: impl Fn(&str) -> String) -> String {
        let blank = name(&"0".repeat(64));
        let field = format!("\"{key}\": \"{blank}");
        self.insert(key, blank);
        let mut text = self.pretty();
        let name = name(&sha256(&text));
        // Quotes in a string are escaped, so it is found nowhere else.
        let end = text.find(&field).expect("the field is there") + field.len();
        text.replace_range(end - name.len()..end, &name);
        text
    }

    /// The text with each element and field on a line of its own.
    pub(super) fn pretty(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text
    }

    fn write(&self, out: &mut String, depth: usize) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            // Writing to a String cannot fail.
            Self::Number(value) => drop(write!(out, "{value}")),
            Self::Text(text) => string(out, text),
            Self::List(values) if values.is_empty() => out.push_str("[]"),
            Self::List(values) => {
                for (at, value) in values.iter().enumerate() {
                    out.push(if at == 0 { '[' } else { ',' });
                    line(out, depth + 1);
                    value.write(out, depth + 1);
                }
                line(out, depth);
                out.push(']');
            }
            Self::Object(fields) if fields.is_empty() => out.push_str("{}"),
            Self::Object(fields) => {
                for (at, (key, value)) in fields.iter().enumerate() {
                    out.push(if at == 0 { '{' } else { ',' });
                    line(out, depth + 1);
                    string(out, key);
                    out.push_str(": ");
                    value.write(out, depth + 1);
                }
                line(out, depth);
                out.push('}');
            }
        }
    }
}

/// Begins a line of this depth.
fn line(out: &mut String, depth: usize) {
    const BREAK: &str = "\n                                ";
    match BREAK.get(..=2 * depth) {
        Some(text) => out.push_str(text),
        None => out.extend(std::iter::once('\n').chain(std::iter::repeat_n(' ', 2 * depth))),
    }
}

/// Writes a string (RFC 8259, section 7).
fn string(out: &mut String, text: &str) {
    out.push('"');
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push_str("\\n");
        }
        // Few lines need another escape, and one check of all bytes is faster than one for each.
        if line.bytes().fold(true, |all, byte| all & (byte >= 0x20) & (byte != b'"') & (byte != b'\\')) {
            out.push_str(line);
        } else {
            line.chars().for_each(|letter| escaped(out, letter));
        }
    }
    out.push('"');
}

fn escaped(out: &mut String, letter: char) {
    match letter {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\0'..='\u{1f}' => drop(write!(out, "\\u{:04x}", u32::from(letter))),
        _ => out.push(letter),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_that_of_serde_json() {
        let letters: String = ('\0'..='\u{ff}').chain(['\u{2028}', '\u{1f980}']).collect();
        let deep = |depth| (0..depth).fold(Json::Bool(false), |inner, _| Json::List(vec![inner]));
        let deep_value = |depth| (0..depth).fold(json!(false), |inner, _| json!([inner]));
        let document = object([
            ("z", [letters.as_str(), "", "two\nlines\n", "\"", "\\"].into()),
            ("a", object([("Z", Json::Number(7)), ("nothing", Json::Null), ("B", true.into())])),
            ("empty", Vec::<Json<'_>>::new().into()),
            ("no fields", object([])),
            ("nulls", [Json::Null].into()),
            ("deep", deep(40)),
        ]);
        let value = json!({
            "z": [letters, "", "two\nlines\n", "\"", "\\"],
            "a": {"Z": 7, "B": true},
            "empty": [],
            "no fields": {},
            "nulls": [null],
            "deep": deep_value(40),
        });
        assert_eq!(document.pretty(), serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn a_name_is_made_of_the_other_fields() {
        let document = |a: &str| object([("z", "\"name\": \"x-".into()), ("a", a.to_owned().into())]);
        let name = |digest: &str| format!("x-{digest}");
        let text = document("1").pretty_named("name", name);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let digest = value["name"].as_str().unwrap().strip_prefix("x-").unwrap().to_owned();
        assert_eq!((digest.len(), &value["z"]), (64, &json!("\"name\": \"x-")));
        assert_eq!(text, document("1").pretty_named("name", name));
        assert_ne!(digest, "0".repeat(64));
        let mut named = document("1");
        named.insert("name", name(&digest));
        assert_eq!(text, named.pretty());
        assert!(!document("2").pretty_named("name", name).contains(&digest));
    }

    #[test]
    fn an_added_field_is_in_its_place() {
        let mut document = object([("a", "1".into()), ("c", "3".into())]);
        document.insert("b", "2");
        assert_eq!(document.pretty(), "{\n  \"a\": \"1\",\n  \"b\": \"2\",\n  \"c\": \"3\"\n}");
    }
}
