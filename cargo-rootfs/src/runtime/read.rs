//! Parses `[[rule]]` from TOML or a manifest's metadata into [`Rule`]s; reports every error.
//!
//! It reads no files.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::matching::{PACKAGE, PROJECT, RUN_BY};
use super::{Form, NewBody, NewFile, Rule, WordsOf};
use crate::glob::{Bindings, Glob, Part, bind, unknown_variable};
use crate::rows::{self, Datum, Fields, Problem, Reader, Value};

const KEYS: [&str; 21] = [
    "name",
    "why",
    "when",
    "calls",
    "mentions",
    "partial",
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

const FORMS: [(&str, Form); 4] =
    [("lines", Form::Lines), ("nsswitch", Form::Nsswitch), ("pam", Form::Pam), ("libraries", Form::Libraries)];

/// Parses the array of tables `rule` of a TOML document.
pub(crate) fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Vec<Rule>, Vec<Problem>> {
    rules(&Datum::of_toml(value))
}

/// Parses the rules in the metadata of a manifest.
#[cfg(feature = "cli")]
pub(crate) fn from_json(value: &serde_json::Value) -> Result<Vec<Rule>, Vec<Problem>> {
    rules(&Datum::of_json(value))
}

fn rules(datum: &Datum) -> Result<Vec<Rule>, Vec<Problem>> {
    rows::named("rule", datum, rule)
}

/// The required form of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A path, or a glob of paths.
    Path,
    /// The same, or a name.
    PathOrName,
    /// The same, or `#!` and a name.
    Trigger,
    /// A path, or `project:` and a path.
    Mention,
    /// A pattern of `exclude`.
    Ending,
}

fn rule(reader: &mut Reader, name: &str, fields: &Fields, at: usize) -> Option<Rule> {
    let before = reader.problems.len();
    let mut rule = Rule { name: Arc::from(name), ..Rule::default() };
    for (key, value) in fields {
        match key.as_str() {
            "name" => {}
            "why" => rule.why = Arc::from(reader.text(key, value)),
            "when" => rule.when = texts(reader, key, value, Kind::Trigger),
            "calls" => rule.calls = reader.texts(key, value),
            "mentions" => rule.mentions = texts(reader, key, value, Kind::Mention),
            "partial" => rule.partial = reader.flag(key, value),
            "unless" => rule.unless = texts(reader, key, value, Kind::PathOrName),
            "before-glibc" => rule.before_glibc = release(reader, key, value),
            "take" => rule.take = texts(reader, key, value, Kind::Path),
            "first-of" => rule.first_of = lists(reader, key, value),
            "modules" => rule.modules = texts(reader, key, value, Kind::Path),
            "exclude" => rule.exclude = texts(reader, key, value, Kind::Ending),
            "tools" => rule.tools = reader.texts(key, value),
            "called" => rule.called = reader.texts(key, value),
            "libraries" => rule.libraries = reader.texts(key, value),
            "suggest" => rule.suggest = reader.texts(key, value),
            "words-of" => rule.words_of = reader.each(key, value, words_of),
            "files" => rule.files = reader.each(key, value, file),
            "required" => rule.required = reader.flag(key, value),
            "packages" => rule.packages = reader.texts(key, value),
            "learned-from" => rule.learned_from = reader.texts(key, value),
            _ => reader.unknown(key, value, &KEYS),
        }
    }
    if rule.why.is_empty() {
        reader.problem(at, format!("rule `{name}` has no `why`"));
    }
    if rule.when.is_empty() && rule.calls.is_empty() && rule.mentions.is_empty() && reader.problems.len() == before {
        reader.problem(at, format!("rule `{name}` has neither `when`, `calls` nor `mentions`"));
    }
    Some(rule)
}

fn words_of(reader: &mut Reader, fields: &Fields, at: usize) -> Option<WordsOf> {
    let mut words = WordsOf::default();
    for (key, value) in fields {
        match key.as_str() {
            "file" => {
                words.file = reader.text(key, value);
                check(reader, key, value.at, &words.file, Kind::Path);
            }
            "form" => words.form = reader.word(key, value, &FORMS).unwrap_or_default(),
            "except" => words.except = reader.texts(key, value),
            "libraries" => words.libraries = reader.texts(key, value),
            "tools" => words.tools = reader.texts(key, value),
            "take" => words.take = texts(reader, key, value, Kind::Path),
            _ => reader.unknown(key, value, &["file", "form", "except", "libraries", "tools", "take"]),
        }
    }
    if words.file.is_empty() {
        let message = format!("`words-of` of {} has no `file`", reader.row);
        reader.problem(at, message);
    }
    Some(words)
}

fn file(reader: &mut Reader, fields: &Fields, at: usize) -> Option<NewFile> {
    let (mut path, mut body, mut mode) = (String::new(), None, None);
    for (key, value) in fields {
        match key.as_str() {
            "path" => {
                path = reader.text(key, value);
                check(reader, key, value.at, &path, Kind::Path);
            }
            "mode" => {
                let text = reader.text(key, value);
                mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777);
                if mode.is_none() {
                    reader.wrong(key, value, "an octal mode, as \"0440\"");
                }
            }
            "text" => body = Some(NewBody::Text(reader.text(key, value))),
            "line" => body = Some(NewBody::Line(reader.text(key, value))),
            "join" => body = Some(NewBody::Join(texts(reader, key, value, Kind::Path))),
            "dir" => body = reader.flag(key, value).then_some(NewBody::Dir),
            "dir-of" => body = Some(NewBody::DirOf(reader.text(key, value))),
            "link" => body = Some(NewBody::Link(reader.text(key, value))),
            _ => reader.unknown(key, value, &["path", "text", "link", "line", "join", "dir", "dir-of", "mode"]),
        }
    }
    match body {
        Some(body) if !path.is_empty() && fields.len() == 2 + usize::from(mode.is_some()) => {
            Some(NewFile { path, body, mode })
        }
        _ => {
            let message = format!(
                "`files` of {} needs a `path`, and one of `text`, `link`, `line`, `join`, `dir` and `dir-of`",
                reader.row
            );
            reader.problem(at, message);
            None
        }
    }
}

fn lists(reader: &mut Reader, key: &str, datum: &Datum) -> Vec<Vec<String>> {
    let Value::List(items) = &datum.value else {
        reader.wrong(key, datum, "a list of lists of strings");
        return Vec::new();
    };
    items.iter().map(|item| texts(reader, key, item, Kind::Path)).collect()
}

fn texts(reader: &mut Reader, key: &str, datum: &Datum, kind: Kind) -> Vec<String> {
    let texts = reader.texts_at(key, datum);
    texts.iter().for_each(|(text, at)| check(reader, key, *at, text, kind));
    texts.into_iter().map(|(text, _)| text.to_owned()).collect()
}

fn release(reader: &mut Reader, key: &str, datum: &Datum) -> Option<(u32, u32)> {
    let text = reader.text(key, datum);
    let release = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    if release.is_none() {
        reader.wrong(key, datum, "a release of glibc, as \"2.34\"");
    }
    release
}

/// Reports a text that is no valid pattern with any values of its placeholders.
fn check(reader: &mut Reader, key: &str, at: usize, text: &str, kind: Kind) {
    let (is_script, pattern) = match text.strip_prefix(RUN_BY) {
        Some(name) if kind == Kind::Trigger => (true, name),
        _ => (false, text),
    };
    let (is_package, pattern) = match pattern.strip_prefix(PACKAGE) {
        Some(name) if kind == Kind::Trigger => (true, name),
        _ => (false, pattern),
    };
    let pattern = match pattern.strip_prefix(PROJECT) {
        Some(path) if kind == Kind::Mention => path,
        _ => pattern,
    };
    let say = |why: &str, row: &str| format!("`{text}` in `{key}` of {row}: {why}");
    if let Some(name) = unknown_variable(text) {
        let message = say(&format!("there is no variable `{{{name}}}`"), &reader.row);
        let known = "the variables are {triplet}, {lib}, {prefix}, {dir}, {exec}, {1} to {9}, {}";
        return reader.problem_with_help(at, message, known);
    }
    let lib = ["/lib".to_owned()];
    let captures = vec!["x".to_owned(); 9];
    let execs = ["x".into()];
    let bindings = Bindings {
        triplet: "x",
        lib: &lib,
        prefix: None,
        dir: Some("/dir"),
        captures: &captures,
        execs: &execs,
        word: Some("x"),
    };
    for text in bind(pattern, &bindings) {
        let is_path_or_name = |glob: &Glob| glob.is_absolute || glob.is_name() || glob.parts[0] == Part::Any;
        let why = match Glob::parse(&text) {
            Err(why) => why,
            Ok(globs) if matches!(kind, Kind::Path | Kind::Mention) && globs.iter().any(|glob| !glob.is_absolute) => {
                "it must begin with a slash"
            }
            Ok(globs) if is_script && !globs.iter().all(Glob::is_name) => "`#!` needs a name, without a slash",
            Ok(globs) if is_package && !globs.iter().all(Glob::is_name) => "`package:` needs a name, without a slash",
            Ok(_) if kind == Kind::PathOrName && text.starts_with(RUN_BY) => "`#!` is for `when` alone",
            Ok(globs) if matches!(kind, Kind::PathOrName | Kind::Trigger) && !globs.iter().all(is_path_or_name) => {
                "it must begin with a slash, or be a name without one"
            }
            Ok(_) => continue,
        };
        let message = say(why, &reader.row);
        return reader.problem(at, message);
    }
}
