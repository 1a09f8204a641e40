//! `[[rule]]`, from TOML or a manifest's metadata to [`Rule`]s: every mistake in it is reported.
//!
//! What files there are is not looked at.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::matching::RUN_BY;
use super::{Form, NewBody, NewFile, Rule, WordsOf};
use crate::glob::{Bindings, Glob, Part, bind, unknown_variable};
use crate::wording::nearest;

/// What is wrong with a rule, and where in the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// In bytes from the start; 0 where there is no text.
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// A value of TOML or JSON, and where it begins.
struct Datum {
    at: usize,
    value: Value,
}

enum Value {
    Text(String),
    Flag(bool),
    List(Vec<Datum>),
    Table(Vec<(String, Datum)>),
    Other,
}

const KEYS: [&str; 19] = [
    "name",
    "why",
    "when",
    "calls",
    "unless",
    "before-glibc",
    "take",
    "first-of",
    "modules",
    "exclude",
    "tools",
    "called",
    "libraries",
    "suggest",
    "words-of",
    "files",
    "required",
    "packages",
    "learned-from",
];

/// The rules in the array of tables `rule` of a TOML document.
pub(crate) fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Vec<Rule>, Vec<Problem>> {
    rules(&Datum::of_toml(value))
}

/// The rules in the metadata of a manifest.
#[cfg(feature = "cli")]
pub(crate) fn from_json(value: &serde_json::Value) -> Result<Vec<Rule>, Vec<Problem>> {
    rules(&Datum::of_json(value))
}

impl Datum {
    fn of_toml(value: &Spanned<DeValue<'_>>) -> Self {
        let at = value.span().start;
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Array(items) => Value::List(items.iter().map(Self::of_toml).collect()),
            DeValue::Table(fields) => {
                let field = |(key, value): (&Spanned<_>, _)| {
                    (AsRef::<str>::as_ref(key.get_ref()).to_owned(), Self::of_toml(value))
                };
                Value::Table(fields.iter().map(field).collect())
            }
            _ => Value::Other,
        };
        Self { at, value }
    }

    #[cfg(feature = "cli")]
    fn of_json(value: &serde_json::Value) -> Self {
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

fn rules(datum: &Datum) -> Result<Vec<Rule>, Vec<Problem>> {
    let mut reader = Reader { problems: Vec::new(), name: String::new() };
    let mut rules: Vec<Rule> = Vec::new();
    match &datum.value {
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Table(_))) => {
            for item in items {
                let Some(rule) = reader.rule(item) else { continue };
                if rules.iter().any(|known| known.name == rule.name) {
                    reader.problem(item.at, format!("there is a rule `{}` already", rule.name));
                }
                rules.push(rule);
            }
        }
        _ => reader.problem_with_help(datum.at, "`rule` must be a list of tables", "begin each by `[[rule]]`"),
    }
    if reader.problems.is_empty() { Ok(rules) } else { Err(reader.problems) }
}

struct Reader {
    problems: Vec<Problem>,
    /// Of the rule at hand, for messages.
    name: String,
}

/// What a text must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A path, or a glob of paths.
    Path,
    /// The same, or a name.
    PathOrName,
    /// The same, or `#!` and a name.
    Trigger,
    /// A pattern of `exclude`.
    Ending,
    /// Any text.
    Text,
}

impl Reader {
    fn problem(&mut self, at: usize, message: impl Into<String>) {
        self.problems.push(Problem { at, message: message.into(), help: None });
    }

    fn problem_with_help(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem { at, message: message.into(), help: Some(help.into()) });
    }

    fn rule(&mut self, datum: &Datum) -> Option<Rule> {
        let Value::Table(fields) = &datum.value else { return None };
        let before = self.problems.len();
        self.name = match fields.iter().find(|(key, _)| key == "name") {
            Some((_, Datum { value: Value::Text(name), .. })) if !name.is_empty() => name.clone(),
            _ => {
                self.problem(datum.at, "a rule has no `name`");
                return None;
            }
        };
        let mut rule = Rule { name: Arc::from(self.name.as_str()), ..Rule::default() };
        for (key, value) in fields {
            match key.as_str() {
                "name" => {}
                "why" => rule.why = Arc::from(self.text(key, value)),
                "when" => rule.when = self.texts(key, value, Kind::Trigger),
                "calls" => rule.calls = self.texts(key, value, Kind::Text),
                "unless" => rule.unless = self.texts(key, value, Kind::PathOrName),
                "before-glibc" => rule.before_glibc = self.release(key, value),
                "take" => rule.take = self.texts(key, value, Kind::Path),
                "first-of" => rule.first_of = self.lists(key, value),
                "modules" => rule.modules = self.texts(key, value, Kind::Path),
                "exclude" => rule.exclude = self.texts(key, value, Kind::Ending),
                "tools" => rule.tools = self.texts(key, value, Kind::Text),
                "called" => rule.called = self.texts(key, value, Kind::Text),
                "libraries" => rule.libraries = self.texts(key, value, Kind::Text),
                "suggest" => rule.suggest = self.texts(key, value, Kind::Text),
                "words-of" => rule.words_of = self.each(key, value, Self::words_of),
                "files" => rule.files = self.each(key, value, Self::file),
                "required" => rule.required = self.flag(key, value),
                "packages" => rule.packages = self.texts(key, value, Kind::Text),
                "learned-from" => rule.learned_from = self.texts(key, value, Kind::Text),
                _ => self.unknown(key, value, &KEYS),
            }
        }
        if rule.why.is_empty() {
            self.problem(datum.at, format!("rule `{}` has no `why`", self.name));
        }
        if rule.when.is_empty() && rule.calls.is_empty() && self.problems.len() == before {
            self.problem(datum.at, format!("rule `{}` has neither `when` nor `calls`", self.name));
        }
        (self.problems.len() == before).then_some(rule)
    }

    fn words_of(&mut self, datum: &Datum) -> Option<WordsOf> {
        let Value::Table(fields) = &datum.value else { return None };
        let mut words = WordsOf::default();
        for (key, value) in fields {
            match key.as_str() {
                "file" => {
                    words.file = self.text(key, value);
                    self.check(key, value.at, &words.file, Kind::Path);
                }
                "form" => match Form::parse(&self.text(key, value)) {
                    Some(form) => words.form = form,
                    None => self.problem_with_help(
                        value.at,
                        format!("rule `{}` has an unknown `form`", self.name),
                        "choose one of lines, nsswitch, pam",
                    ),
                },
                "except" => words.except = self.texts(key, value, Kind::Text),
                "libraries" => words.libraries = self.texts(key, value, Kind::Text),
                "tools" => words.tools = self.texts(key, value, Kind::Text),
                "take" => words.take = self.texts(key, value, Kind::Path),
                _ => self.unknown(key, value, &["file", "form", "except", "libraries", "tools", "take"]),
            }
        }
        if words.file.is_empty() {
            self.problem(datum.at, format!("`words-of` of rule `{}` has no `file`", self.name));
        }
        Some(words)
    }

    fn file(&mut self, datum: &Datum) -> Option<NewFile> {
        let Value::Table(fields) = &datum.value else { return None };
        let (mut path, mut body) = (String::new(), None);
        for (key, value) in fields {
            match key.as_str() {
                "path" => {
                    path = self.text(key, value);
                    self.check(key, value.at, &path, Kind::Path);
                }
                "text" => body = Some(NewBody::Text(self.text(key, value))),
                "line" => body = Some(NewBody::Line(self.text(key, value))),
                "join" => body = Some(NewBody::Join(self.texts(key, value, Kind::Path))),
                "dir" => body = self.flag(key, value).then_some(NewBody::Dir),
                "link" => body = Some(NewBody::Link(self.text(key, value))),
                _ => self.unknown(key, value, &["path", "text", "link", "line", "join", "dir"]),
            }
        }
        match body {
            Some(body) if !path.is_empty() && fields.len() == 2 => Some(NewFile { path, body }),
            _ => {
                let message = format!(
                    "`files` of rule `{}` needs a `path`, and one of `text`, `link`, `line`, `join` and `dir`",
                    self.name
                );
                self.problem(datum.at, message);
                None
            }
        }
    }

    /// Tables, or one of them.
    fn each<T>(&mut self, key: &str, datum: &Datum, one: impl Fn(&mut Self, &Datum) -> Option<T>) -> Vec<T> {
        let items = match &datum.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(datum),
        };
        if items.iter().any(|item| !matches!(item.value, Value::Table(_))) {
            self.wrong(key, datum, "a list of tables");
            return Vec::new();
        }
        items.iter().filter_map(|item| one(self, item)).collect()
    }

    fn lists(&mut self, key: &str, datum: &Datum) -> Vec<Vec<String>> {
        let Value::List(items) = &datum.value else {
            self.wrong(key, datum, "a list of lists of strings");
            return Vec::new();
        };
        items.iter().map(|item| self.texts(key, item, Kind::Path)).collect()
    }

    fn texts(&mut self, key: &str, datum: &Datum, kind: Kind) -> Vec<String> {
        let Value::List(items) = &datum.value else {
            self.wrong(key, datum, "a list of strings");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) => {
                    self.check(key, item.at, text, kind);
                    texts.push(text.clone());
                }
                _ => self.wrong(key, item, "a list of strings"),
            }
        }
        texts
    }

    fn text(&mut self, key: &str, datum: &Datum) -> String {
        match &datum.value {
            Value::Text(text) => text.clone(),
            _ => {
                self.wrong(key, datum, "a string");
                String::new()
            }
        }
    }

    fn flag(&mut self, key: &str, datum: &Datum) -> bool {
        match datum.value {
            Value::Flag(flag) => flag,
            _ => {
                self.wrong(key, datum, "true or false");
                false
            }
        }
    }

    fn release(&mut self, key: &str, datum: &Datum) -> Option<(u32, u32)> {
        let text = self.text(key, datum);
        let release = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        if release.is_none() {
            self.wrong(key, datum, "a release of glibc, as \"2.34\"");
        }
        release
    }

    fn wrong(&mut self, key: &str, datum: &Datum, expected: &str) {
        self.problem(datum.at, format!("`{key}` of rule `{}` must be {expected}", self.name));
    }

    fn unknown(&mut self, key: &str, datum: &Datum, known: &[&str]) {
        let help = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.problem_with_help(datum.at, format!("unknown key `{key}` of rule `{}`", self.name), help);
    }

    /// Whether a text will be a pattern whatever its variables stand for.
    fn check(&mut self, key: &str, at: usize, text: &str, kind: Kind) {
        let (is_script, pattern) = match text.strip_prefix(RUN_BY) {
            Some(name) if kind == Kind::Trigger => (true, name),
            _ => (false, text),
        };
        if kind == Kind::Text {
            return;
        }
        let say = |why: &str, name: &str| format!("`{text}` in `{key}` of rule `{name}`: {why}");
        if let Some(name) = unknown_variable(text) {
            let message = say(&format!("there is no variable `{{{name}}}`"), &self.name);
            return self.problem_with_help(
                at,
                message,
                "the variables are {triplet}, {lib}, {dir}, {exec}, {1} to {9}, {}",
            );
        }
        let lib = ["/lib".to_owned()];
        let captures = vec!["x".to_owned(); 9];
        let execs = ["x".into()];
        let bindings = Bindings {
            triplet: "x",
            lib: &lib,
            dir: Some("/dir"),
            captures: &captures,
            execs: &execs,
            word: Some("x"),
        };
        for text in bind(pattern, &bindings) {
            let why = match Glob::parse(&text) {
                Err(why) => why,
                Ok(globs) if kind == Kind::Path && globs.iter().any(|glob| !glob.is_absolute) => {
                    "it must begin with a slash"
                }
                Ok(globs) if is_script && !globs.iter().all(Glob::is_name) => "`#!` needs a name, without a slash",
                Ok(_) if kind == Kind::PathOrName && text.starts_with(RUN_BY) => "`#!` is for `when` alone",
                Ok(globs)
                    if matches!(kind, Kind::PathOrName | Kind::Trigger)
                        && !globs.iter().all(|it| it.is_absolute || it.is_name() || it.parts[0] == Part::Any) =>
                {
                    "it must begin with a slash, or be a name without one"
                }
                Ok(_) => continue,
            };
            let message = say(why, &self.name);
            return self.problem(at, message);
        }
    }
}
