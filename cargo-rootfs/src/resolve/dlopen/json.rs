//! A parser for the subset of JSON (RFC 8259) that notes use: texts, lists and tables.
//!
//! The library for build scripts has no other JSON parser. The meaning of values is not known here.

/// The limit on the depth of nested lists and tables; a note needs three.
const MAX_DEPTH: usize = 16;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    Text(String),
    List(Vec<Json>),
    /// In order; a duplicate name is kept.
    Table(Vec<(String, Json)>),
    /// A number, `true`, `false` or `null`.
    Other,
}

/// Parses `text` as a single value; an error is a phrase.
pub(super) fn parse(text: &str) -> Result<Json, &'static str> {
    let mut parser = Parser { rest: text };
    let value = parser.value(0)?;
    parser.blanks();
    if parser.rest.is_empty() { Ok(value) } else { Err("something follows the JSON value") }
}

struct Parser<'t> {
    rest: &'t str,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Consumes `character` if it comes next, after blanks.
    fn take(&mut self, character: char) -> bool {
        self.blanks();
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, &'static str> {
        if depth == MAX_DEPTH {
            return Err("it is nested too deep");
        }
        if self.take('[') {
            return self.list(depth).map(Json::List);
        }
        if self.take('{') {
            return self.table(depth).map(Json::Table);
        }
        if self.take('"') {
            return self.text().map(Json::Text);
        }
        let is_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.');
        let end = self.rest.find(|character| !is_word(character)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        // Numbers are not parsed: no key of a note has one.
        let is_number = word.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if matches!(word, "true" | "false" | "null") || is_number {
            self.rest = rest;
            return Ok(Json::Other);
        }
        Err(if self.rest.is_empty() { "it ends too early" } else { "it is not JSON" })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Json>, &'static str> {
        let mut items = Vec::new();
        if self.take(']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(']') {
                return Ok(items);
            }
            self.comma()?;
        }
    }

    fn table(&mut self, depth: usize) -> Result<Vec<(String, Json)>, &'static str> {
        let mut pairs = Vec::new();
        if self.take('}') {
            return Ok(pairs);
        }
        loop {
            if !self.take('"') {
                return Err("a name is not a string");
            }
            let name = self.text()?;
            if !self.take(':') {
                return Err("a name without a value");
            }
            pairs.push((name, self.value(depth + 1)?));
            if self.take('}') {
                return Ok(pairs);
            }
            self.comma()?;
        }
    }

    fn comma(&mut self) -> Result<(), &'static str> {
        if self.take(',') {
            return Ok(());
        }
        Err(if self.rest.is_empty() { "it ends too early" } else { "a comma is missing" })
    }

    /// The string after its opening quotation mark.
    fn text(&mut self) -> Result<String, &'static str> {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        loop {
            let character = match characters.next().ok_or("a string does not end")? {
                '"' => break,
                '\\' => match characters.next().ok_or("a string does not end")? {
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let digits = characters.as_str().get(..4).ok_or("an escape does not end")?;
                        let code = u32::from_str_radix(digits, 16).map_err(|_| "an escape is not hexadecimal")?;
                        characters = characters.as_str()[4..].chars();
                        // Halves of surrogate pairs are not characters.
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                    plain @ ('"' | '\\' | '/') => plain,
                    _ => return Err("an unknown escape"),
                },
                control if control < ' ' => return Err("a control character in a string"),
                plain => plain,
            };
            text.push(character);
        }
        self.rest = characters.as_str();
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Json {
        Json::Text(text.to_owned())
    }

    #[test]
    fn values() {
        for (json, value) in [
            ("\"a\"", text("a")),
            (" [ ] ", Json::List(vec![])),
            ("{}", Json::Table(vec![])),
            ("[1, -2.5e+3, true, null]", Json::List(vec![Json::Other, Json::Other, Json::Other, Json::Other])),
            ("{\"a\": [\"b\"]\n}", Json::Table(vec![("a".to_owned(), Json::List(vec![text("b")]))])),
            (r#""\"\\\/\b\f\n\r\t\u00e9\ud83d""#, text("\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{fffd}")),
            ("\"\u{e9}\"", text("\u{e9}")),
        ] {
            assert_eq!(parse(json), Ok(value), "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for json in [
            "",
            " ",
            "[",
            "[1",
            "[1,",
            "[1 2]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{a:1}",
            "{\"a\" 1}",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12\u{e9}\"",
            "\"\\uzzzz\"",
            "\"\n\"",
            "nul",
            "]",
            "[]]",
            "1 2",
            "'a'",
            "[1,]",
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    /// The parser is recursive, and the stack is limited.
    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err("it is nested too deep"));
        assert_eq!(parse(&"[".repeat(1 << 20)), Err("it is nested too deep"));
    }
}
