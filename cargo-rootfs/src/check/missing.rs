//! Finds failed requests of a command for files that the sysroot has, and the option that adds each.
//!
//! It does not judge the command: [`Weight`] says which of them deserve a warning if the command succeeded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::findings::{Execution, There, Trees, is_in_library_folder, is_in_path, is_library};
use crate::path::RootfsPath;
use crate::policy::is_rarely_opened;
use crate::watch::{Access, Event, Outcome};
use crate::wording::shell_word;

/// A file of the sysroot that the rootfs lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The requested path, or its directory.
    pub(crate) path: RootfsPath,
    /// The programs that requested it.
    pub(crate) by: BTreeSet<RootfsPath>,
    pub(crate) weight: Weight,
    pub(crate) add: Add,
    /// The requested files, if a package is added for them.
    pub(crate) files: BTreeSet<RootfsPath>,
}

/// The importance for a command that ended with status 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// None that is visible: the program only looked for it, or it is configuration.
    Optional,
    /// The program tried to execute, load or read it.
    Needed,
}

/// The option that adds the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Add {
    /// `--with`
    Tool(String),
    /// `--with-lib`
    Library(String),
    /// `--with-package`
    Package(String),
    /// `--include`, at the same path.
    Include(RootfsPath),
}

/// Finds the failed requests among `events` whose file the sysroot has. `said` is the command's output: a shell that
/// reports a command as missing needed it.
pub(super) fn missing(events: &[Event], said: &str, trees: &mut dyn Trees) -> Vec<Missing> {
    let found = Found::of(events);
    let mut all: BTreeMap<RootfsPath, Missing> = BTreeMap::new();
    for event in events.iter().filter(|event| event.outcome == Outcome::Absent && event.access != Access::Write) {
        let Some(one) = judge(event, &found, said, trees) else { continue };
        let known = all.entry(one.path.clone()).or_insert_with(|| Missing { weight: Weight::Optional, ..one.clone() });
        known.weight = known.weight.max(one.weight);
        known.by.extend(one.by);
    }
    let all = in_packages(all.into_values().collect(), trees);
    once_each(in_folders(all, trees))
}

fn judge(event: &Event, found: &Found<'_>, said: &str, trees: &mut dyn Trees) -> Option<Missing> {
    // A packed script may lack its interpreter: execve(2) returns ENOENT for both.
    if event.access == Access::Execute && trees.is_packed(&event.path) {
        let interpreter = trees.interpreter(&event.path)?;
        let is_there = matches!(trees.sysroot(&interpreter), There::File(..)) && !trees.is_packed(&interpreter);
        let by = BTreeSet::from([event.path.clone()]);
        let files = BTreeSet::new();
        return is_there.then(|| Missing {
            by,
            weight: Weight::Needed,
            add: tool(&interpreter),
            path: interpreter,
            files,
        });
    }
    // A project may be in a home directory or in /tmp; its files count there too.
    let is_projects = trees.is_projects(&event.path);
    if !is_projects && trees.policy().is_noise(&event.path) || trees.is_packed(&event.path) {
        return None;
    }
    let there = trees.sysroot(&event.path);
    let real = match &there {
        There::Nothing => return None,
        There::Folder(real) | There::File(real, _) => real,
    };
    if !is_projects && trees.policy().is_noise(real) {
        return None;
    }
    let path = event.path.normalized();
    let is_folder = matches!(there, There::Folder(_));
    // A program that lists a directory of PATH looks for one program and does not need all of them.
    if is_folder && (is_shared(&path) || is_shared(real) || is_of_programs(&path)) {
        return None;
    }
    let (weight, add) = match there {
        // An executable beside others, such as git's subcommands, is a program too.
        There::File(_, Execution::Allowed)
            if is_in_path(&path)
                || event.access == Access::Execute
                || event.access != Access::Open && !is_library(&path) =>
        {
            if found.program(event) {
                return None;
            }
            let name = String::from_utf8_lossy(path.file_name()).into_owned();
            let is_told =
                ["not found", "command not found"].iter().any(|words| said.contains(&format!("{name}: {words}")));
            let is_needed = event.access == Access::Execute || is_told;
            (if is_needed { Weight::Needed } else { Weight::Optional }, tool(&path))
        }
        There::File(..) if is_library(&path) && event.access == Access::Open => {
            if found.library(event) {
                return None;
            }
            let is_rare = is_rarely_opened(path.file_name());
            (if is_rare { Weight::Optional } else { Weight::Needed }, library(&path))
        }
        _ => {
            if found.data(event) {
                return None;
            }
            // For a program that lists directories, a missing directory is an empty one.
            let is_file = !is_folder && event.access == Access::Open;
            let is_read = is_file && !is_configuration(&path) && !is_configuration(real);
            let absent = if is_projects { path.clone() } else { trees.first_absent(&path) };
            (if is_read { Weight::Needed } else { Weight::Optional }, Add::Include(absent))
        }
    };
    Some(Missing { path, by: event.program.iter().cloned().collect(), weight, add, files: BTreeSet::new() })
}

/// True for a directory of programs, at any path.
fn is_of_programs(folder: &RootfsPath) -> bool {
    matches!(folder.file_name(), b"bin" | b"sbin" | b"games")
}

/// Replaces files by their packages. Files below /etc stay paths: they configure one machine.
fn in_packages(mut all: Vec<Missing>, trees: &mut dyn Trees) -> Vec<Missing> {
    let is_of_package = |path: &RootfsPath, trees: &dyn Trees| !is_configuration(path) && !trees.is_projects(path);
    let included: Vec<(usize, RootfsPath)> = all
        .iter()
        .enumerate()
        .filter_map(|(at, one)| match &one.add {
            Add::Include(path) if is_of_package(path, trees) => Some((at, path.clone())),
            _ => None,
        })
        .collect();
    if included.is_empty() {
        return all;
    }
    let paths: Vec<RootfsPath> = included.iter().map(|(_, path)| path.clone()).collect();
    for ((at, path), package) in included.into_iter().zip(trees.packages(&paths)) {
        // A directory may belong to many packages.
        let is_file = matches!(trees.sysroot(&path), There::File(..));
        if let Some(package) = package.filter(|_| is_file) {
            all[at].add = Add::Package(package);
            all[at].files = BTreeSet::from([path]);
        }
    }
    all
}

/// Returns whether the path is configuration: programs look for it and have defaults.
fn is_configuration(path: &RootfsPath) -> bool {
    path.components().next() == Some(b"etc")
}

fn tool(path: &RootfsPath) -> Add {
    let text = if is_in_path(path) { path.file_name() } else { path.as_bytes() };
    Add::Tool(String::from_utf8_lossy(text).into_owned())
}

fn library(path: &RootfsPath) -> Add {
    let text = if is_in_library_folder(path) { path.file_name() } else { path.as_bytes() };
    Add::Library(String::from_utf8_lossy(text).into_owned())
}

/// The files that each process found: a search through several directories ends at the first success.
struct Found<'e> {
    programs: BTreeSet<(u32, &'e [u8])>,
    libraries: BTreeSet<(u32, &'e [u8])>,
    /// By the last two components: many directories have files with the same name.
    data: BTreeSet<(u32, &'e [u8])>,
}

impl<'e> Found<'e> {
    fn of(events: &'e [Event]) -> Self {
        let mut found = Self { programs: BTreeSet::new(), libraries: BTreeSet::new(), data: BTreeSet::new() };
        for event in events.iter().filter(|event| event.outcome == Outcome::Found) {
            let (process, name) = (event.process, event.path.file_name());
            if event.access == Access::Execute
                || (matches!(event.access, Access::Look | Access::Follow) && is_in_path(&event.path))
            {
                found.programs.insert((process, name));
            }
            if event.access == Access::Open {
                if is_library(&event.path) {
                    found.libraries.insert((process, name));
                }
                found.data.extend(last_two(&event.path).map(|names| (process, names)));
            }
        }
        found
    }

    fn program(&self, event: &Event) -> bool {
        self.programs.contains(&(event.process, event.path.file_name()))
    }

    fn library(&self, event: &Event) -> bool {
        self.libraries.contains(&(event.process, event.path.file_name()))
    }

    fn data(&self, event: &Event) -> bool {
        last_two(&event.path).is_some_and(|names| self.data.contains(&(event.process, names)))
    }
}

/// The last two components, with the slash between them.
fn last_two(path: &RootfsPath) -> Option<&[u8]> {
    let bytes = path.as_bytes();
    let last = bytes.iter().rposition(|byte| *byte == b'/')?;
    let start = bytes[..last].iter().rposition(|byte| *byte == b'/')?;
    Some(&bytes[start..])
}

/// Replaces several files of one missing directory by the directory.
fn in_folders(all: Vec<Missing>, trees: &mut dyn Trees) -> Vec<Missing> {
    let mut tops: BTreeMap<RootfsPath, usize> = BTreeMap::new();
    let top_of = |one: &Missing, trees: &mut dyn Trees| match one.add {
        // The project's files stay paths: they are few, and their directory is the whole project.
        Add::Include(ref path) if trees.is_projects(path) => None,
        Add::Include(ref path) => top(path, trees),
        // An option for a directory covers a library in it.
        Add::Library(ref name) if name.starts_with('/') => top(&one.path, trees),
        Add::Tool(_) | Add::Library(_) | Add::Package(_) => None,
    };
    for one in &all {
        if let Some(top) = top_of(one, trees) {
            *tops.entry(top).or_default() += 1;
        }
    }
    let mut folders: BTreeMap<RootfsPath, Missing> = BTreeMap::new();
    let mut kept = Vec::new();
    for one in all {
        let top = top_of(&one, trees).filter(|top| tops.get(top).is_some_and(|count| *count > 1));
        match top {
            Some(top) => {
                let known = folders.entry(top.clone()).or_insert_with(|| Missing {
                    path: top.clone(),
                    by: BTreeSet::new(),
                    weight: Weight::Optional,
                    add: Add::Include(top),
                    files: BTreeSet::new(),
                });
                known.by.extend(one.by);
                known.weight = known.weight.max(one.weight);
            }
            None => kept.push(one),
        }
    }
    // An option for a directory covers everything below it.
    kept.retain(|one| !folders.keys().any(|folder| matches!(&one.add, Add::Include(path) if path.is_within(folder))));
    kept.extend(folders.into_values());
    kept
}

/// The highest directory above `path` that is not packed and belongs to one program, or `path` itself. Shared
/// directories such as `/usr/share` and `/usr/lib/x86_64-linux-gnu` do not count.
fn top(path: &RootfsPath, trees: &mut dyn Trees) -> Option<RootfsPath> {
    let mut top = match trees.sysroot(path) {
        There::Folder(_) => Some(path.clone()),
        _ => None,
    };
    let mut at = path.parent();
    while let Some(folder) = at {
        if trees.is_packed(&folder) || is_shared(&folder) {
            break;
        }
        at = folder.parent();
        top = Some(folder);
    }
    top.filter(|top| !is_shared(top))
}

/// True for a directory with files of many programs.
fn is_shared(folder: &RootfsPath) -> bool {
    let parts: Vec<&[u8]> = folder.components().collect();
    match parts[..] {
        [] | [_] => true,
        [b"usr", b"lib", triplet] => triplet.iter().filter(|byte| **byte == b'-').count() == 2,
        [b"lib", triplet] => triplet.iter().filter(|byte| **byte == b'-').count() == 2,
        [b"usr", b"local", _] => true,
        [b"usr" | b"var", _] => true,
        // Many packages have one file each in these.
        [b"usr", b"share", name] => matches!(name, b"misc" | b"mime" | b"icons" | b"fonts" | b"man" | b"doc"),
        _ => false,
    }
}

/// Merges findings with the same option.
fn once_each(all: Vec<Missing>) -> Vec<Missing> {
    let mut kept: Vec<Missing> = Vec::new();
    for one in all {
        match kept.iter_mut().find(|known| known.add == one.add) {
            Some(known) => {
                known.by.extend(one.by);
                known.files.extend(one.files);
                known.weight = known.weight.max(one.weight);
            }
            None => kept.push(one),
        }
    }
    // Needed ones first, then by path.
    kept.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.path.cmp(&b.path)));
    kept
}

impl Add {
    pub(super) const TOOL: &'static str = "--with";
    pub(super) const LIBRARY: &'static str = "--with-lib";
    pub(super) const PACKAGE: &'static str = "--with-package";
    pub(super) const INCLUDE: &'static str = "--include";

    /// The option that adds it.
    pub(crate) fn flag(&self) -> &'static str {
        match self {
            Self::Tool(_) => Self::TOOL,
            Self::Library(_) => Self::LIBRARY,
            Self::Package(_) => Self::PACKAGE,
            Self::Include(_) => Self::INCLUDE,
        }
    }

    /// The value of the option; `host` is the root of the sysroot on the host.
    pub(crate) fn value(&self, host: &Path) -> String {
        match self {
            Self::Tool(name) | Self::Library(name) | Self::Package(name) => name.clone(),
            Self::Include(path) => format!("{}:{path}", path.below(host).display()),
        }
    }
}

/// One line to paste with all options, packages before paths; the second of each pair is the option's value.
pub(super) fn paste<'m>(all: impl IntoIterator<Item = (&'m Add, String)>) -> Option<String> {
    let (mut tools, mut libraries, mut packages, mut includes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (add, value) in all {
        match add {
            Add::Tool(_) => tools.push(value),
            Add::Library(_) => libraries.push(value),
            Add::Package(_) => packages.push(value),
            Add::Include(_) => includes.push(format!("--include {}", shell_word(&value))),
        }
    }
    let list = |flag: &str, names: Vec<String>| (!names.is_empty()).then(|| format!("{flag} {}", names.join(",")));
    let lists = [list("--with", tools), list("--with-lib", libraries), list("--with-package", packages)];
    let options: Vec<String> = lists.into_iter().flatten().chain(includes).collect();
    (!options.is_empty()).then(|| options.join(" "))
}

#[cfg(test)]
mod tests;
