//! Parses `template.toml` into entries; reports every error with its line.
//!
//! It reads the metadata of the referenced files but not their contents, and knows no other templates.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Folder, FromSysroot, IfMissing, MANIFEST, TemplateEntry, TemplateKind};
use crate::error::{Error, Result};
use crate::host_files;
use crate::path::RootfsPath;
use crate::policy::{self, Kind};
use crate::rootfs::{Body, HostFile};
use crate::rows::Problem;
use crate::runtime::{self, Rule};
use crate::wording::near_or_all;

const TOP_KEYS: &[&str] = &["extends", "entry", "rule", "secret", "documentation", "noise"];

/// The types of an entry, and the allowed keys of each.
const TYPES: &[(&str, &[&str])] = &[
    ("dir", &["type", "path", "mode", "uid", "gid"]),
    ("file", &["type", "path", "mode", "uid", "gid", "source"]),
    ("symlink", &["type", "path", "target"]),
    ("sysroot", &["type", "path", "first-of", "also-at", "exclude", "or-join", "fallback", "required", "package"]),
];

/// A manifest in the form of its text.
pub(super) struct Manifest {
    pub(super) extends: Option<String>,
    pub(super) entries: Vec<TemplateEntry>,
    pub(super) rules: Vec<Rule>,
    pub(super) policy: Vec<policy::Row>,
}

/// Parses `text`, the manifest of `folder`. Adds the referenced files to `inputs`.
pub(super) fn read(name: &str, folder: &Folder, text: &str, inputs: &mut Vec<Utf8PathBuf>) -> Result<Manifest> {
    let mut reader =
        Reader { template: Arc::from(name), folder, file: folder.show(MANIFEST), text, inputs, problems: Vec::new() };
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Error::usage(format!("cannot parse `{}:{}`: {}", reader.file, reader.line(at), error.message()))
    })?;
    let top = Table { fields: document.get_ref(), at: 0 };

    reader.known_keys(&top, TOP_KEYS);
    let extends = reader.string(&top, "extends").map(|(extends, _)| extends.to_owned());
    let entries = reader.entries(&top);
    let rules = reader.rows(&top, "rule", runtime::from_toml);
    let policy =
        Kind::ALL.into_iter().flat_map(|kind| reader.rows(&top, kind.word(), |value| policy::from_toml(kind, value)));
    let policy = policy.collect();
    Error::all(reader.problems)?;
    Ok(Manifest { extends, entries, rules, policy })
}

/// A table of the manifest, and its position in the text.
struct Table<'t> {
    fields: &'t DeTable<'t>,
    at: usize,
}

/// A value, and its position in the text.
type At<T> = (T, usize);

struct Reader<'r> {
    template: Arc<str>,
    folder: &'r Folder,
    file: String,
    text: &'r str,
    inputs: &'r mut Vec<Utf8PathBuf>,
    problems: Vec<Error>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn problem(&mut self, at: usize, what: impl std::fmt::Display) {
        self.problems.push(Error::usage(format!("{what}, in `{}:{}`", self.file, self.line(at))));
    }

    fn problem_with_help(&mut self, at: usize, what: impl std::fmt::Display, help: impl Into<String>) {
        self.problems.push(Error::usage(format!("{what}, in `{}:{}`", self.file, self.line(at))).help(help));
    }

    fn rows<T>(
        &mut self,
        top: &Table<'_>,
        key: &str,
        read: impl Fn(&Spanned<DeValue<'_>>) -> std::result::Result<Vec<T>, Vec<Problem>>,
    ) -> Vec<T> {
        match top.fields.get(key).map(read) {
            None => Vec::new(),
            Some(Ok(rows)) => rows,
            Some(Err(problems)) => {
                for Problem { at, message, help } in problems {
                    match help {
                        Some(help) => self.problem_with_help(at, message, help),
                        None => self.problem(at, message),
                    }
                }
                Vec::new()
            }
        }
    }

    fn entries(&mut self, top: &Table<'_>) -> Vec<TemplateEntry> {
        let Some(value) = top.fields.get("entry") else { return Vec::new() };
        let tables = value.get_ref().as_array().map(|array| array.iter().collect::<Vec<_>>()).unwrap_or_default();
        if tables.is_empty() || tables.iter().any(|value| !value.get_ref().is_table()) {
            self.problem_with_help(value.span().start, "`entry` must be a list of tables", "begin each by `[[entry]]`");
            return Vec::new();
        }
        let mut lines: BTreeMap<RootfsPath, usize> = BTreeMap::new();
        let mut entries = Vec::new();
        for value in tables {
            let Some(fields) = value.get_ref().as_table() else { continue };
            let at = value.span().start;
            let Some(entry) = self.entry(&Table { fields, at }) else { continue };
            if let Some(line) = lines.insert(entry.path.clone(), self.line(at)) {
                self.problem(at, format_args!("`{}` has an entry in line {line} already", entry.path));
            }
            entries.push(entry);
        }
        entries
    }

    /// Parses an entry; `None` if it has an error, which is added to the problems.
    fn entry(&mut self, table: &Table<'_>) -> Option<TemplateEntry> {
        let (name, at) = self.required(table, "type", Self::string)?;
        let Some((name, keys)) = TYPES.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = TYPES.iter().map(|(known, _)| *known).collect();
            let help = near_or_all(name, &known, "choose one of");
            self.problem_with_help(at, format_args!("unknown type `{name}`"), help);
            return None;
        };
        let before = self.problems.len();
        self.known_keys(table, keys);
        let path = match *name {
            "sysroot" => None,
            _ => self.required(table, "path", Self::path),
        };
        if let Some((path, at)) = path.as_ref().filter(|(path, _)| path.parent().is_none() && *name != "dir") {
            self.problem(*at, format_args!("`{path}` can only be a dir"));
        }
        let (path, kind, default_mode) = match *name {
            "dir" => (path.map(|(path, _)| path), Some(TemplateKind::Dir), 0o755),
            "file" => {
                let body = path.as_ref().and_then(|(path, at)| self.file_body(table, path, *at));
                (path.map(|(path, _)| path), body.map(TemplateKind::File), 0o644)
            }
            "symlink" => (path.map(|(path, _)| path), self.symlink(table), 0o777),
            _ => {
                let kind = self.sysroot_entry(table);
                (kind.as_ref().map(|kind| kind.candidates[0].clone()), kind.map(TemplateKind::FromSysroot), 0o644)
            }
        };
        let mode = self.mode(table).unwrap_or(default_mode);
        let uid = self.id(table, "uid").unwrap_or(0);
        let gid = self.id(table, "gid").unwrap_or(0);
        if self.problems.len() > before {
            return None;
        }
        Some(TemplateEntry { path: path?, kind: kind?, mode, uid, gid, template: Arc::clone(&self.template) })
    }

    fn symlink(&mut self, table: &Table<'_>) -> Option<TemplateKind> {
        let (target, at) = self.required(table, "target", Self::string)?;
        if target.is_empty() || target.contains('\0') {
            self.problem(at, "`target` is no link target");
            return None;
        }
        Some(TemplateKind::Symlink(Arc::from(target.as_bytes())))
    }

    fn sysroot_entry(&mut self, table: &Table<'_>) -> Option<FromSysroot> {
        let path = self.path(table, "path");
        let first_of = self.paths(table, "first-of");
        let candidates = match (path, first_of) {
            (Some((path, _)), None) => vec![path],
            (None, Some((paths, _))) if !paths.is_empty() => paths,
            (None, Some((_, at))) => {
                self.problem(at, "`first-of` must name a path");
                return None;
            }
            (Some(_), Some((_, at))) => {
                self.problem(at, "`path` and `first-of` exclude each other");
                return None;
            }
            (None, None) => {
                if !table.fields.contains_key("path") && !table.fields.contains_key("first-of") {
                    self.problem(table.at, "an entry of type `sysroot` needs `path` or `first-of`");
                }
                return None;
            }
        };
        if let Some(path) = candidates.iter().find(|path| path.parent().is_none()) {
            self.problem(table.at, format_args!("`{path}` would be the whole sysroot"));
        }
        let also_at = self.paths(table, "also-at").map_or(Vec::new(), |(paths, _)| paths);
        let or_join = self.paths(table, "or-join").map_or(Vec::new(), |(paths, _)| paths);
        let exclude = self.excluded(table);
        let package = self.string(table, "package").map(|(package, _)| package.to_owned());
        let required = self.boolean(table, "required");
        let missing = match (self.string(table, "fallback"), required) {
            (Some(_), Some((_, at))) => {
                self.problem(at, "`required` and `fallback` exclude each other");
                return None;
            }
            (Some((fallback, at)), None) => IfMissing::Fallback(self.body(fallback, at)?),
            (None, Some((true, _))) => IfMissing::Fail,
            (None, _) => IfMissing::Warn,
        };
        Some(FromSysroot { candidates, also_at, exclude, or_join, missing, package })
    }

    fn excluded(&mut self, table: &Table<'_>) -> Vec<String> {
        let mut excluded = Vec::new();
        for (text, at) in self.strings(table, "exclude").map_or(Vec::new(), |(list, _)| list) {
            match inside(text) {
                Some(text) => excluded.push(text),
                None => self.problem(at, format_args!("`{text}` in `exclude` must be a path inside the directory")),
            }
        }
        excluded
    }

    /// The contents of a file: `source`, or the file at the entry's own path in the template's directory.
    fn file_body(&mut self, table: &Table<'_>, path: &RootfsPath, at: usize) -> Option<Body> {
        match self.string(table, "source") {
            Some((source, at)) => self.body(source, at),
            None if table.fields.contains_key("source") => None,
            None => {
                let own = path.to_text();
                self.body(own.trim_start_matches('/'), at)
            }
        }
    }

    fn body(&mut self, source: &str, at: usize) -> Option<Body> {
        let Some(source) = inside(source) else {
            self.problem(at, format_args!("body `{source}` must be a path inside the template's directory"));
            return None;
        };
        let shown = self.folder.show(&source);
        match self.folder {
            Folder::BuiltIn(template) => {
                let found = template.files.iter().find(|(known, _)| *known == source);
                if found.is_none() {
                    self.problem(at, format_args!("there is no body `{shown}`"));
                }
                found.map(|(_, bytes)| Body::Bytes(Arc::from(*bytes)))
            }
            Folder::Host(folder) => match host_file(&folder.join(&source)) {
                Ok(Some(file)) => {
                    self.inputs.push(folder.join(&source));
                    Some(Body::Host(Arc::new(file)))
                }
                Ok(None) => {
                    self.problem(at, format_args!("body `{shown}` is not a regular file"));
                    None
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.problem(at, format_args!("there is no body `{shown}`"));
                    None
                }
                Err(error) => {
                    self.problems.push(Error::io("read", &shown, error));
                    None
                }
            },
        }
    }

    /// A mode is a string of octal digits, as in chmod(1): TOML would parse 755 as a decimal number.
    fn mode(&mut self, table: &Table<'_>) -> Option<u32> {
        let value = table.fields.get("mode")?;
        let at = value.span().start;
        let digits = value.get_ref().as_str().unwrap_or_default();
        let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        if !octal {
            self.problem_with_help(
                at,
                "`mode` must be three or four octal digits in quotes",
                "write `mode = \"0755\"`",
            );
            return None;
        }
        u32::from_str_radix(digits, 8).ok()
    }

    fn id(&mut self, table: &Table<'_>, key: &str) -> Option<u32> {
        let (value, at) =
            self.typed(table, key, "an integer", |value| value.as_integer().map(|i| (i.as_str(), i.radix())))?;
        // The highest id means "no change" in chown(2).
        let id = u32::from_str_radix(value.0, value.1).ok().filter(|id| *id != u32::MAX);
        if id.is_none() {
            self.problem(at, format_args!("`{key}` must be from 0 to {}", u32::MAX - 1));
        }
        id
    }

    fn path(&mut self, table: &Table<'_>, key: &str) -> Option<At<RootfsPath>> {
        let (text, at) = self.string(table, key)?;
        self.rootfs_path(key, text, at).map(|path| (path, at))
    }

    fn paths(&mut self, table: &Table<'_>, key: &str) -> Option<At<Vec<RootfsPath>>> {
        let (list, at) = self.strings(table, key)?;
        let paths: Option<Vec<RootfsPath>> =
            list.into_iter().map(|(text, at)| self.rootfs_path(key, text, at)).collect();
        Some((paths?, at))
    }

    fn rootfs_path(&mut self, key: &str, text: &str, at: usize) -> Option<RootfsPath> {
        let path = RootfsPath::from_bytes(text.as_bytes());
        let path = path.filter(|path| path.components().all(|part| part != b".."));
        if path.is_none() {
            self.problem(at, format_args!("`{text}` in `{key}` must be an absolute path without `..`"));
        }
        path
    }

    fn strings<'t>(&mut self, table: &Table<'t>, key: &str) -> Option<At<Vec<At<&'t str>>>> {
        self.typed(table, key, "a list of strings", |value| {
            value.as_array()?.iter().map(|item| Some((item.get_ref().as_str()?, item.span().start))).collect()
        })
    }

    fn string<'t>(&mut self, table: &Table<'t>, key: &str) -> Option<At<&'t str>> {
        self.typed(table, key, "a string", DeValue::as_str)
    }

    fn boolean(&mut self, table: &Table<'_>, key: &str) -> Option<At<bool>> {
        self.typed(table, key, "true or false", DeValue::as_bool)
    }

    fn typed<'t, T>(
        &mut self,
        table: &Table<'t>,
        key: &str,
        expected: &str,
        get: impl Fn(&'t DeValue<'t>) -> Option<T>,
    ) -> Option<At<T>> {
        let value: &Spanned<DeValue<'_>> = table.fields.get(key)?;
        let at = value.span().start;
        let got = get(value.get_ref());
        if got.is_none() {
            self.problem(at, format_args!("`{key}` must be {expected}"));
        }
        got.map(|got| (got, at))
    }

    /// The value of `key` by `get`; a missing key is a problem.
    fn required<'t, T>(
        &mut self,
        table: &Table<'t>,
        key: &str,
        get: impl Fn(&mut Self, &Table<'t>, &str) -> Option<T>,
    ) -> Option<T> {
        if !table.fields.contains_key(key) {
            self.problem(table.at, format_args!("an entry has no `{key}`"));
            return None;
        }
        get(self, table, key)
    }

    fn known_keys(&mut self, table: &Table<'_>, known: &[&str]) {
        for key in table.fields.keys() {
            let (word, at) = (key.get_ref().as_ref(), key.span().start);
            if known.contains(&word) {
                continue;
            }
            if TYPES.iter().any(|(_, keys)| keys.contains(&word)) {
                self.problem(at, format_args!("`{word}` has no meaning here"));
                continue;
            }
            let help = near_or_all(word, known, "known here:");
            self.problem_with_help(at, format_args!("unknown key `{word}`"), help);
        }
    }
}

/// The regular file at `path`, with symlinks followed; `None` for any other file.
fn host_file(path: &Utf8Path) -> io::Result<Option<HostFile>> {
    // HostFile::open does not follow symlinks.
    let path = host_files::real(path).result()?;
    let metadata = host_files::metadata(&path).result()?;
    Ok(metadata.is_file().then(|| HostFile::new(path, &metadata)))
}

/// `text` without empty and `.` components; `None` if it leads out of its directory.
fn inside(text: &str) -> Option<String> {
    let mut inside = Utf8PathBuf::new();
    for part in Utf8Path::new(text).components() {
        match part {
            Utf8Component::Normal(part) => inside.push(part),
            Utf8Component::CurDir => {}
            _ => return None,
        }
    }
    (!inside.as_str().is_empty() && !text.contains('\0')).then(|| inside.into_string())
}
