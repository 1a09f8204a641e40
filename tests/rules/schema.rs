//! The rules of dynamic loaders as data: `tests/rules/LIBC/TOPIC.toml`, one table per rule.
//!
//! Two runners read them. `cargo test` makes the files of a rule in memory and compares our closure with `then`. `cargo
//! xtask differential` makes them on disk and runs the loader itself, so it finds a row that does not show its rule.
//! The fields of [`Row`] and [`File`] are the keys of the tables. In any text `{triplet}`, `{platform}`,
//! `{interpreter}`, `{loader}` (its file name) and `{other}` (another machine) are replaced by the loader's own,
//! `{256*x}` by 256 times `x`, and, in a rule with `each`, `{n}` and `{n+1}` by the numbers from 0 on.

#[path = "file.rs"]
mod file;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use file::File;

/// The C library of a loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Libc {
    Glibc,
    Musl,
}

/// A loader that rules apply to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loader {
    pub(crate) libc: Libc,
    /// The machine, as in a triple.
    pub(crate) machine: &'static str,
    /// Another machine of the same class.
    other: &'static str,
    /// Its path, as programs name it.
    pub(crate) interpreter: &'static str,
    /// Debian's name for the machine in paths.
    pub(crate) triplet: &'static str,
}

pub(crate) const GLIBC: Loader = Loader {
    libc: Libc::Glibc,
    machine: "x86_64",
    other: "aarch64",
    interpreter: "/lib64/ld-linux-x86-64.so.2",
    triplet: "x86_64-linux-gnu",
};
pub(crate) const GLIBC_ARM64: Loader = Loader {
    libc: Libc::Glibc,
    machine: "aarch64",
    other: "x86_64",
    interpreter: "/lib/ld-linux-aarch64.so.1",
    triplet: "aarch64-linux-gnu",
};
pub(crate) const MUSL: Loader = Loader {
    libc: Libc::Musl,
    machine: "x86_64",
    other: "aarch64",
    interpreter: "/lib/ld-musl-x86_64.so.1",
    triplet: "x86_64-linux-musl",
};

/// A rule: files, the start of the program among them, and the loader's result.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The key of the table.
    #[serde(skip)]
    pub(crate) says: String,
    /// The authority, if it is not that of the whole file: a manual page, or a function of the loader's source.
    #[allow(dead_code)] // It is there to be read.
    by: Option<String>,
    /// The program `/r/app`, which is started without `run`.
    app: Option<File>,
    /// Libraries that need nothing and have no soname.
    #[serde(default)]
    libraries: Vec<String>,
    #[serde(default)]
    files: BTreeMap<String, File>,
    #[serde(default = "app")]
    pub(crate) run: String,
    /// LD_LIBRARY_PATH, or `--library-path`.
    pub(crate) library_path: Option<String>,
    /// The current directory: `/` by default; the runner in memory has none.
    pub(crate) current: Option<String>,
    /// The format of the cache that ldconfig(8) makes: `new`, `compat` or `old`.
    pub(crate) ldconfig: Option<String>,
    /// The remaining number of bytes of that cache.
    pub(crate) cache_length: Option<u64>,
    /// Files that are replaced after the cache is made.
    #[serde(default)]
    later: BTreeMap<String, File>,
    /// The glibc-hwcaps subdirectories of the hardware, the best one first.
    pub(crate) on: Option<Vec<String>>,
    /// The least priority of followed dlopen notes.
    pub(crate) follow: Option<String>,
    /// The number of values of `{n}`.
    #[serde(default)]
    each: usize,

    /// glibc's releases with the rule: from one on, before one.
    pub(crate) since: Option<String>,
    pub(crate) before: Option<String>,
    /// True if the loader must, false if it must not, have Debian's patches.
    pub(crate) debian: Option<bool>,
    /// The machine of the rule, if only one has it.
    machine: Option<String>,
    /// True if a processor must run the program: an emulator starts programs by its own rules.
    #[serde(default)]
    pub(crate) native: bool,
    /// The reason why one of the runners skips the rule.
    pub(crate) not_asked: Option<String>,
    pub(crate) not_in_memory: Option<String>,

    /// The mapped files in order, then the missing and the unusable ones: `NAME => PATH [WAY]`, `NAME missing for
    /// PATH`, `NAME bad at PATH for PATH`. Results of dlopen notes are last: `PATH opens NAME => PATH`.
    #[serde(default)]
    then: Vec<String>,
    /// The messages about symbol versions: `VERSION of PATH needed by PATH`, `any of PATH for PATH`.
    versions: Option<Vec<String>>,
    /// A name that the loader reports missing when it only lists, though it starts the program without it.
    pub(crate) told_missing: Option<String>,
    /// A file that the loader maps but does not list.
    pub(crate) untold: Option<String>,
}

fn app() -> String {
    "/r/app".to_owned()
}

/// The file at a path.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    Link(String),
    HardLink(String),
    Directory,
    Socket,
    Fifo,
    Denied,
    Loader,
    Gone,
}

/// The rules of a libc, in the order of their files' names and of their places in these files.
pub(crate) fn rows(dir: &Path) -> Result<Vec<Row>, String> {
    let read = |error: std::io::Error| format!("cannot read {}: {error}", dir.display());
    let mut files: Vec<_> = std::fs::read_dir(dir).and_then(Iterator::collect).map_err(read)?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut all: Vec<Row> = Vec::new();
    for file in files {
        let path = file.path();
        let text =
            std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let table: BTreeMap<Spanned<String>, Row> =
            toml::from_str(&text).map_err(|error| format!("cannot parse {}: {error}", path.display()))?;
        let mut rows: Vec<_> = table.into_iter().collect();
        rows.sort_by_key(|(says, _)| says.span().start);
        all.extend(rows.into_iter().map(|(says, row)| Row { says: says.into_inner(), ..row }));
    }
    let mut names: Vec<&str> = all.iter().map(|row| row.says.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two rules are called `{}`", pair[0])),
        None => Ok(all),
    }
}

impl Row {
    /// Returns whether the rule applies to loaders of a machine.
    pub(crate) fn is_for(&self, loader: &Loader) -> bool {
        self.machine.as_ref().is_none_or(|machine| machine == loader.machine)
    }

    /// The file at each path at first; hard links come after their files.
    pub(crate) fn files(&self, loader: &Loader) -> Result<Vec<(String, Body)>, String> {
        let program = self.app.iter().map(|app| ("/r/app", app.program()));
        let libraries = self.libraries.iter().map(|path| (path.as_str(), File::default()));
        let files = self.files.iter().map(|(path, file)| (path.as_str(), file.clone()));
        let mut made = self.bodies(program.chain(libraries).chain(files), loader)?;
        made.sort_by_key(|(_, body)| matches!(body, Body::HardLink(_)));
        Ok(made)
    }

    /// The files after ldconfig(8) has run.
    pub(crate) fn later(&self, loader: &Loader) -> Result<Vec<(String, Body)>, String> {
        self.bodies(self.later.iter().map(|(path, file)| (path.as_str(), file.clone())), loader)
    }

    fn bodies<'r>(
        &'r self,
        files: impl Iterator<Item = (&'r str, File)>,
        loader: &Loader,
    ) -> Result<Vec<(String, Body)>, String> {
        let mut made = BTreeMap::new();
        for (path, file) in files {
            // A path without a number replaces one with a number.
            for n in self.numbers(path) {
                let text = Text { loader, each: self.each, n };
                let at = text.of(path);
                let body = file.body(&text).map_err(|why| format!("{at} of `{}`: {why}", self.says))?;
                if n.is_none() || !made.contains_key(&at) {
                    made.insert(at, body);
                }
            }
        }
        Ok(made.into_iter().collect())
    }

    fn numbers(&self, text: &str) -> Vec<Option<usize>> {
        if text.contains("{n") { (0..self.each).map(Some).collect() } else { vec![None] }
    }

    /// The lines of `then`.
    pub(crate) fn then(&self, loader: &Loader) -> Vec<String> {
        let lines = Text { loader, each: self.each, n: None }.list(&self.then);
        lines.iter().flat_map(|lines| lines.lines()).map(str::to_owned).collect()
    }

    pub(crate) fn versions(&self, loader: &Loader) -> Option<Vec<String>> {
        self.versions.as_ref().map(|lines| Text { loader, each: 0, n: None }.list(lines))
    }

    /// A text of the row for a loader.
    pub(crate) fn text(&self, text: &str, loader: &Loader) -> String {
        Text { loader, each: self.each, n: None }.of(text)
    }

    /// The entries that ldconfig(8) writes to its cache: sonames, subdirectories of glibc-hwcaps, and paths.
    /// Directories of ld.so.conf come first, then the default ones; the first library of a soname counts.
    pub(crate) fn cached(&self, loader: &Loader) -> Vec<(String, Option<String>, String)> {
        let conf = self.files.get("/etc/ld.so.conf").and_then(|file| file.text.as_deref()).unwrap_or_default();
        let defaults = [format!("/lib/{0}\n/usr/lib/{0}\n/lib\n/usr/lib", loader.triplet)];
        let mut found: Vec<(String, Option<String>, String)> = Vec::new();
        for folder in conf.lines().chain(defaults[0].lines()) {
            let plain = File::default();
            let libraries = self.libraries.iter().map(|path| (path, &plain));
            for (path, file) in libraries.chain(&self.files) {
                let path = self.text(path, loader);
                let Some(below) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else { continue };
                let (hwcaps, name) = match below.strip_prefix("glibc-hwcaps/").and_then(|rest| rest.split_once('/')) {
                    Some((hwcaps, name)) => (Some(hwcaps.to_owned()), name),
                    None => (None, below),
                };
                let is_library = name.starts_with("lib") && name.contains(".so") && !name.contains('/');
                let soname = file.soname.clone().unwrap_or_else(|| name.to_owned());
                if is_library && !found.iter().any(|(known, its, _)| (known, its) == (&soname, &hwcaps)) {
                    found.push((soname, hwcaps, path));
                }
            }
        }
        found
    }
}

/// The texts of a row, with the values of their placeholders.
struct Text<'l> {
    loader: &'l Loader,
    each: usize,
    n: Option<usize>,
}

impl Text<'_> {
    fn of(&self, text: &str) -> String {
        let loader = self.loader;
        let name = loader.interpreter.rsplit('/').next().unwrap_or_default();
        let mut text = text.to_owned();
        for (placeholder, stands_for) in [
            ("{triplet}", loader.triplet),
            ("{platform}", loader.machine),
            ("{interpreter}", loader.interpreter),
            ("{loader}", name),
            ("{other}", loader.other),
        ] {
            text = text.replace(placeholder, stands_for);
        }
        if let Some(n) = self.n {
            text = text.replace("{n}", &n.to_string()).replace("{n+1}", &(n + 1).to_string());
        }
        repeated(&text)
    }

    /// Each text, repeated for each number if it has one.
    fn list(&self, texts: &[String]) -> Vec<String> {
        let each = |text: &String| match self.n {
            None if text.contains("{n") => {
                (0..self.each).map(|n| Text { loader: self.loader, each: 0, n: Some(n) }.of(text)).collect()
            }
            _ => vec![self.of(text)],
        };
        texts.iter().flat_map(each).collect()
    }

    /// The elements of a search path, treated alike.
    fn path(&self, text: &str) -> String {
        let elements: Vec<String> = text.split(':').map(str::to_owned).collect();
        self.list(&elements).join(":")
    }
}

/// `text` with each `{256*x}` expanded.
fn repeated(text: &str) -> String {
    let parse = |start: usize| {
        let (inside, _) = text[start + 1..].split_once('}')?;
        let (count, what) = inside.split_once('*')?;
        Some((start + 1 + inside.len() + 1, what.repeat(count.parse().ok()?)))
    };
    let found = text.match_indices('{').find_map(|(start, _)| Some((start, parse(start)?)));
    match found {
        Some((start, (end, written))) => format!("{}{written}{}", &text[..start], repeated(&text[end..])),
        None => text.to_owned(),
    }
}
