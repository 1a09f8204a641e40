//! The rules of dynamic loaders as data: `tests/rules/LIBC/TOPIC.toml`, a table a rule.
//!
//! Two runners read them. `cargo test` makes the files of a rule in memory and compares our closure with `then`;
//! `cargo xtask differential` makes them on disk and asks the loader itself, so that a row which does not show its rule
//! is found out. The fields of [`Row`] and [`File`] are the keys of the tables. In any text `{triplet}`, `{platform}`,
//! `{interpreter}`, `{loader}` (its file name) and `{other}` (another machine) stand for the loader's own, `{256*x}` for
//! 256 times `x`, and, in a rule with `each`, `{n}` and `{n+1}` for the numbers from 0 on.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::forge::{Fixture, Machine};

/// The C library that a loader belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Libc {
    Glibc,
    Musl,
}

/// A loader that the rules are about.
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

/// A rule: files, how the program among them is started, and what the loader then does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The key of the table.
    #[serde(skip)]
    pub(crate) says: String,
    /// The authority, where it is not that of the whole file: a manual page, or a function of the loader's source.
    #[allow(dead_code)] // It is there to be read.
    by: Option<String>,
    /// The program `/r/app`, which is what is started without `run`.
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
    /// The current directory. A process without the key is in `/`; in memory there is none.
    pub(crate) current: Option<String>,
    /// ldconfig(8) makes a cache of what is there, in this format: `new`, `compat` or `old`.
    pub(crate) ldconfig: Option<String>,
    /// The number of bytes that are left of that cache.
    pub(crate) cache_length: Option<u64>,
    /// What takes the place of files once the cache is made.
    #[serde(default)]
    later: BTreeMap<String, File>,
    /// The glibc-hwcaps subdirectories that the hardware has, the best one first.
    pub(crate) on: Option<Vec<String>>,
    /// The least priority of dlopen notes that are followed.
    pub(crate) follow: Option<String>,
    /// How many numbers `{n}` stands for.
    #[serde(default)]
    each: usize,

    /// glibc's releases that have the rule: from one on, before one.
    pub(crate) since: Option<String>,
    pub(crate) before: Option<String>,
    /// Whether the loader must have Debian's patches, or must not.
    pub(crate) debian: Option<bool>,
    /// The machine that has the rule, where not all have it.
    machine: Option<String>,
    /// Whether a processor must run the program: an emulator starts programs by rules of its own.
    #[serde(default)]
    pub(crate) native: bool,
    /// The reason why one of the runners passes over the rule.
    pub(crate) not_asked: Option<String>,
    pub(crate) not_in_memory: Option<String>,

    /// What is mapped, in order, then what is missing and what is no good: `NAME => PATH [WAY]`, `NAME missing for PATH`,
    /// `NAME bad at PATH for PATH`. What came of dlopen notes goes last: `PATH opens NAME => PATH`.
    #[serde(default)]
    then: Vec<String>,
    /// What is said of symbol versions: `VERSION of PATH needed by PATH`, `any of PATH for PATH`.
    versions: Option<Vec<String>>,
    /// A name that the loader reports missing when it only tells, though it starts the program without it.
    pub(crate) told_missing: Option<String>,
    /// A file that the loader maps and, when it only tells, does not list.
    pub(crate) untold: Option<String>,
}

fn app() -> String {
    "/r/app".to_owned()
}

/// A file: an ELF file of the loader's machine, a library, unless a key of the first ones says otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    link: Option<String>,
    /// The path whose file it is a hard link to.
    same_as: Option<String>,
    text: Option<String>,
    directory: bool,
    socket: bool,
    fifo: bool,
    /// One that may not be read.
    denied: bool,
    /// A copy of the loader's own file.
    loader: bool,
    /// Nothing, in `later`.
    gone: bool,

    /// A program has an interpreter.
    program: bool,
    interpreter: Option<String>,
    /// The machine, where it is not the loader's.
    machine: Option<String>,
    soname: Option<String>,
    needs: Vec<String>,
    rpath: Option<String>,
    runpath: Option<String>,
    auxiliary: Vec<String>,
    filter: Vec<String>,
    /// Filters stand before what is needed; linkers write them after it.
    filters_first: bool,
    /// DF_1_NODEFLIB, DF_1_NOOPEN, DF_1_PIE.
    flags: Vec<String>,
    without_dynamic_section: bool,
    /// Versions that are needed, by file; weak ones begin with `?`.
    needs_versions: BTreeMap<String, Vec<String>>,
    defines_versions: Vec<String>,
    /// dlopen notes: a priority and sonames, or JSON.
    notes: Vec<String>,
    /// Text at the end of the file, as constants are.
    tail: Option<String>,

    /// Values of fields of the ELF header (elf(5)), or bytes from there on.
    header: BTreeMap<String, Field>,
    /// Values of fields of program headers: `PT_LOAD.p_align`, `last PT_LOAD.p_memsz`.
    segments: BTreeMap<String, i64>,
    /// Types of program headers that become PT_NULL.
    without_segments: Vec<String>,
    /// Values of entries of the dynamic section.
    dynamic: BTreeMap<String, i64>,
    /// Entries that it has not.
    without: Vec<String>,
    /// The number of bytes that are left of the file.
    cut: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Field {
    Number(i64),
    Bytes(Vec<u8>),
}

/// What is at a path.
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

/// The rules of a libc, in the order of their files' names and of their places there.
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
    /// Whether loaders of a machine have the rule.
    pub(crate) fn is_for(&self, loader: &Loader) -> bool {
        self.machine.as_ref().is_none_or(|machine| machine == loader.machine)
    }

    /// What is at each path at first; hard links come after their files.
    pub(crate) fn files(&self, loader: &Loader) -> Result<Vec<(String, Body)>, String> {
        let program = self.app.iter().map(|app| ("/r/app", File { program: true, ..app.clone() }));
        let libraries = self.libraries.iter().map(|path| (path.as_str(), File::default()));
        let files = self.files.iter().map(|(path, file)| (path.as_str(), file.clone()));
        let mut made = self.bodies(program.chain(libraries).chain(files), loader)?;
        made.sort_by_key(|(_, body)| matches!(body, Body::HardLink(_)));
        Ok(made)
    }

    /// What is there once ldconfig(8) has been there.
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
            // A path without a number takes the place of one that has it.
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

    /// `then`, a line each.
    pub(crate) fn then(&self, loader: &Loader) -> Vec<String> {
        let lines = Text { loader, each: self.each, n: None }.list(&self.then);
        lines.iter().flat_map(|lines| lines.lines()).map(str::to_owned).collect()
    }

    pub(crate) fn versions(&self, loader: &Loader) -> Option<Vec<String>> {
        self.versions.as_ref().map(|lines| Text { loader, each: 0, n: None }.list(lines))
    }

    /// A text of the row as the loader has it.
    pub(crate) fn text(&self, text: &str, loader: &Loader) -> String {
        Text { loader, each: self.each, n: None }.of(text)
    }

    /// What ldconfig(8) puts into its cache: sonames, subdirectories of glibc-hwcaps, and paths. Directories of
    /// ld.so.conf come first, then the default ones; the first library of a soname counts.
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

/// The texts of a row, with what their placeholders stand for.
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

    /// Those with a number once for each.
    fn list(&self, texts: &[String]) -> Vec<String> {
        let each = |text: &String| match self.n {
            None if text.contains("{n") => {
                (0..self.each).map(|n| Text { loader: self.loader, each: 0, n: Some(n) }.of(text)).collect()
            }
            _ => vec![self.of(text)],
        };
        texts.iter().flat_map(each).collect()
    }

    /// The same of the elements of a search path.
    fn path(&self, text: &str) -> String {
        let elements: Vec<String> = text.split(':').map(str::to_owned).collect();
        self.list(&elements).join(":")
    }
}

/// With each `{256*x}` written out.
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

impl File {
    fn body(&self, text: &Text<'_>) -> Result<Body, String> {
        Ok(match self {
            File { link: Some(target), .. } => Body::Link(text.of(target)),
            File { same_as: Some(path), .. } => Body::HardLink(text.of(path)),
            File { text: Some(bytes), .. } => Body::Bytes(text.of(bytes).into_bytes()),
            File { directory: true, .. } => Body::Directory,
            File { socket: true, .. } => Body::Socket,
            File { fifo: true, .. } => Body::Fifo,
            File { denied: true, .. } => Body::Denied,
            File { loader: true, .. } => Body::Loader,
            File { gone: true, .. } => Body::Gone,
            _ => Body::Bytes(self.elf(text)?),
        })
    }

    fn elf(&self, text: &Text<'_>) -> Result<Vec<u8>, String> {
        let name = self.machine.as_ref().map_or(text.loader.machine.to_owned(), |machine| text.of(machine));
        let machine = number(MACHINES, &name)?;
        let mut file = Fixture::library().machine(machine);
        if let Some(path) = &self.interpreter {
            file = file.interpreter(&text.of(path));
        } else if self.program {
            file = file.interpreter(text.loader.interpreter);
        }
        let filters = |file: Fixture| {
            let file = text.list(&self.auxiliary).iter().fold(file, |file, name| file.auxiliary(name));
            text.list(&self.filter).iter().fold(file, |file, name| file.filter(name))
        };
        if self.filters_first {
            file = filters(file);
        }
        file = text.list(&self.needs).iter().fold(file, |file, name| file.needs(name));
        if let Some(name) = &self.soname {
            file = file.soname(&text.of(name));
        }
        if let Some(path) = &self.rpath {
            file = file.rpath(&text.path(path));
        }
        if let Some(path) = &self.runpath {
            file = file.runpath(&text.path(path));
        }
        if !self.filters_first {
            file = filters(file);
        }
        if !self.flags.is_empty() {
            let bits = self.flags.iter().map(|flag| number(FLAGS_1, flag)).collect::<Result<Vec<_>, _>>()?;
            file = file.flags_1(bits.iter().fold(0, |all, bit| all | bit));
        }
        for (of, versions) in &self.needs_versions {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            file = file.needs_versions(&text.of(of), &versions);
        }
        let defined = text.list(&self.defines_versions);
        file = file.defines_versions(&defined.iter().map(String::as_str).collect::<Vec<_>>());
        for note in &self.notes {
            file = file.note(&dlopen_note(&text.of(note)));
        }
        if let Some(tail) = &self.tail {
            file = file.tail(text.of(tail).as_bytes());
        }
        for (tag, value) in &self.dynamic {
            file = file.patch(number(TAGS, tag)?, *value as u64);
        }
        for tag in &self.without {
            file = file.without(number(TAGS, tag)?);
        }
        if self.without_dynamic_section {
            file = file.without_dynamic_section();
        }
        if !self.segments.is_empty() {
            file = file.with_zeros();
        }
        let mut bytes = file.build();
        for (field, value) in &self.header {
            let (at, width) = number(HEADER, field)?;
            match value {
                Field::Number(value) => write(&mut bytes, at, &value.to_le_bytes()[..width])?,
                Field::Bytes(values) => write(&mut bytes, at, values)?,
            }
        }
        for (field, value) in &self.segments {
            let (kind, field) = field.rsplit_once('.').ok_or("no field of a segment")?;
            let (kind, is_last) = kind.strip_prefix("last ").map_or((kind, false), |kind| (kind, true));
            let of_kind = segments(&bytes, number(SEGMENTS, kind)?);
            let start = if is_last { of_kind.last() } else { of_kind.first() };
            write(&mut bytes, start.ok_or("no such segment")? + number(SEGMENT, field)?, &value.to_le_bytes())?;
        }
        for kind in &self.without_segments {
            for start in segments(&bytes, number(SEGMENTS, kind)?) {
                write(&mut bytes, start, &[0; 4])?;
            }
        }
        bytes.truncate(self.cut.unwrap_or(usize::MAX));
        Ok(bytes)
    }
}

/// `required libb.so.2 libb.so` as UAPI.12 has it.
fn dlopen_note(text: &str) -> String {
    match text.split_once(' ') {
        Some((priority, names)) if !text.starts_with('[') => {
            let names: Vec<_> = names.split(' ').map(|name| format!("\"{name}\"")).collect();
            format!("[{{\"soname\":[{}],\"priority\":\"{priority}\"}}]", names.join(","))
        }
        _ => text.to_owned(),
    }
}

fn number<T: Copy>(table: &[(&str, T)], name: &str) -> Result<T, String> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number).ok_or_else(|| format!("`{name}` is not known"))
}

fn write(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), String> {
    bytes.get_mut(at..at + value.len()).ok_or("nothing to write over")?.copy_from_slice(value);
    Ok(())
}

/// Where the program headers of a type stand in a 64-bit little-endian file.
fn segments(bytes: &[u8], kind: u32) -> Vec<usize> {
    let number =
        |at: usize, width: usize| bytes[at..at + width].iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte));
    let starts = (0..number(56, 2)).map(|index| number(32, 8) + index * 56);
    starts.filter(|start| number(*start, 4) == kind as usize).collect()
}

const fn machine(e_machine: u16, is_64: bool, is_little_endian: bool) -> Machine {
    Machine { e_machine, is_64, is_little_endian }
}

const MACHINES: &[(&str, Machine)] = &[
    ("x86_64", machine(62, true, true)),
    ("aarch64", machine(183, true, true)),
    ("i686", machine(3, false, true)),
    ("s390x", machine(22, true, false)),
];

const FLAGS_1: &[(&str, u64)] = &[("DF_1_NOOPEN", 0x40), ("DF_1_NODEFLIB", 0x800), ("DF_1_PIE", 0x0800_0000)];

const TAGS: &[(&str, u64)] = &[
    ("DT_STRTAB", 5),
    ("DT_RELA", 7),
    ("DT_STRSZ", 10),
    ("DT_PLTREL", 20),
    ("DT_RELRSZ", 35),
    ("DT_RELR", 36),
    ("DT_RELRENT", 37),
    ("of nobody", 0x6000_0124),
];

/// Offsets and widths, in the header of a 64-bit file; those of a 32-bit one are the same up to `e_version`.
const HEADER: &[(&str, (usize, usize))] = &[
    ("EI_MAG0", (0, 1)),
    ("EI_CLASS", (4, 1)),
    ("EI_DATA", (5, 1)),
    ("EI_VERSION", (6, 1)),
    ("EI_OSABI", (7, 1)),
    ("EI_ABIVERSION", (8, 1)),
    ("EI_PAD", (9, 1)),
    ("e_type", (16, 2)),
    ("e_machine", (18, 2)),
    ("e_version", (20, 4)),
    ("e_entry", (24, 8)),
    ("e_phoff", (32, 8)),
    ("e_shoff", (40, 8)),
    ("e_phentsize", (54, 2)),
    ("e_phnum", (56, 2)),
];

const SEGMENTS: &[(&str, u32)] = &[("PT_LOAD", 1), ("PT_DYNAMIC", 2)];
const SEGMENT: &[(&str, usize)] =
    &[("p_offset", 8), ("p_vaddr", 16), ("p_filesz", 32), ("p_memsz", 40), ("p_align", 48)];
