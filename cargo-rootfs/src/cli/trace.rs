//! `trace`: a command runs with the whole sysroot, and what it uses of it that the rootfs would lack becomes metadata.
//!
//! How it is watched is [`crate::watch`]'s, what of it is worth packing [`crate::findings`]'s. What the closures and
//! rules of the tools and libraries that were found bring is left out by packing them, once each.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use camino::Utf8Path;
use serde_json::json;

use super::enter::{self, Program};
use super::output;
use super::progress::Progress;
use super::terminal::{self, Terminal};
use super::trees::Real;
use crate::enter::{Access, Bind, Command, Ended, Entered, Files, Network, Outcome, Outputs, Stdin, Visit, Watching};
use crate::error::{Error, Result, Warning};
use crate::findings::{self, Group, Used};
use crate::layout::{self, Artifacts, Assembly, Content, secrets};
use crate::options::{Format, TraceArgs};
use crate::path::RootfsPath;
use crate::plan::RootfsPlan;
use crate::runtime::Runtime;
use crate::sysroot::Sysroot;
use crate::watch::Event;

/// The rootfs that it is compared with, and what that was made of.
pub(super) struct Known<'k> {
    pub(super) plan: &'k RootfsPlan,
    pub(super) assembly: &'k Assembly,
    pub(super) artifacts: &'k Artifacts,
    /// The folder that tools and libraries come from.
    pub(super) sysroot: &'k Utf8Path,
}

/// Runs it, prints what to pack, and gives its exit code as the error's where it is not 0.
pub(super) fn run(args: &TraceArgs, known: &Known<'_>, terminal: &Terminal, interrupted: &AtomicBool) -> Result<()> {
    let &Known { plan, assembly, artifacts, sysroot } = known;
    let mut sysroot = Sysroot::open(sysroot.as_std_path())?;
    let root = sysroot.root().to_owned();
    let job = Job { args, plan, assembly, artifacts, terminal, interrupted };
    let (entered, command) = if root == Path::new("/") { job.here()? } else { job.inside(&root)? };
    let word = command.words[0].clone();
    let words: Vec<_> = command.words.iter().map(|word| enter::quoted(&word.to_string_lossy())).collect();
    terminal.status("Tracing", format_args!("`{}`", words.join(" ")));
    let how = Watching { stdin: Stdin::Own, output: None, limit: None };
    let mut left = |count: usize| {
        let processes = if count == 1 { "process" } else { "processes" };
        terminal.status("Waiting", format_args!("for {count} {processes} that it left behind; Ctrl-C waits no longer"));
    };
    let watched = entered.watch(command, how, &mut left)?;
    watched.seen.notes.iter().for_each(|note| terminal.warning(&Warning::new(note.clone())));

    let mut worth = Worth::new(known);
    worth.find(&watched.seen.events, &job.own(&root), &mut sysroot, assembly)?;
    worth.warnings.iter().for_each(|warning| terminal.warning(warning));
    let metadata = worth.metadata(&root);
    let code = match &watched.outcome {
        Outcome::Ended(ended) => ended.code(),
        Outcome::NotStarted(_) => return not_started(&word, watched.outcome),
    };
    let count = worth.with.len() + worth.with_lib.len() + worth.rules.iter().map(|rule| rule.take.len()).sum::<usize>();
    match terminal.format() {
        Format::Human => terminal.result(metadata.as_bytes())?,
        Format::Json => {
            let files: Vec<_> =
                worth.rules.iter().map(|rule| json!({"program": rule.when, "paths": rule.take})).collect();
            let fields = json!({
                "exit_code": code, "with": worth.with, "with_lib": worth.with_lib, "files": files,
                "metadata": metadata, "target": plan.target.triple(),
            });
            terminal.result(terminal::line("rootfs-trace", &fields).as_bytes())?;
        }
    }
    match count {
        0 => terminal.status("Finished", "the rootfs has all that it used"),
        _ => terminal.status("Finished", format_args!("{count} to be packed, as metadata for Cargo.toml")),
    }
    match watched.outcome {
        Outcome::Ended(Ended::Exited(0)) => Ok(()),
        _ => Err(Error::command(code, "")),
    }
}

fn not_started(word: &OsString, outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::NotStarted(error) => Err(enter::not_started(word, error)),
        Outcome::Ended(_) => Ok(()),
    }
}

struct Job<'j> {
    args: &'j TraceArgs,
    plan: &'j RootfsPlan,
    assembly: &'j Assembly,
    artifacts: &'j Artifacts,
    terminal: &'j Terminal,
    interrupted: &'j AtomicBool,
}

impl Job<'_> {
    /// In this folder, with this environment.
    fn here(&self) -> Result<(Entered, Command)> {
        let mut words = self.words(|index| self.artifacts.executables[index].path.as_os_str().to_owned())?;
        if let Some(path) = self.project_part(&words[0]) {
            words[0] = self.artifacts.executables[path].path.as_os_str().to_owned();
        }
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        if !self.artifacts.library_dirs.is_empty() {
            // As `cargo run` does.
            let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let dirs = self.artifacts.library_dirs.iter().map(|dir| dir.clone().into_std_path_buf());
            let all = std::env::join_paths(dirs.chain(std::env::split_paths(&before)));
            let all = all.map_err(|error| Error::failed("cannot set LD_LIBRARY_PATH").with_source(error))?;
            env.retain(|(name, _)| name != "LD_LIBRARY_PATH");
            env.push(("LD_LIBRARY_PATH".into(), all));
        }
        let folder = std::env::current_dir().map_err(|error| Error::io("find", "the current folder", error))?;
        let workdir = RootfsPath::from_bytes(folder.as_os_str().as_bytes()).unwrap_or_else(RootfsPath::root);
        let entered = crate::enter::stay(&outputs()?)?;
        Ok((entered, Command { words, env, workdir, user: None }))
    }

    /// In the tree at `root`, with the environment of an image.
    fn inside(&self, root: &Path) -> Result<(Entered, Command)> {
        let in_image = |index: usize| OsString::from(self.assembly.executables[index].to_string());
        let mut words = self.words(in_image)?;
        if let Some(index) = self.project_part(&words[0]) {
            words[0] = in_image(index);
        }
        let image = output::image(self.plan, self.assembly, 0);
        let command = enter::command(Program::Words(&words), &image, &self.assembly.rootfs, self.terminal)?;
        let executables = self.artifacts.executables.iter().zip(&self.assembly.executables);
        let binds = executables.map(|(executable, path)| {
            let source = executable.path.as_std_path().canonicalize();
            let source = source.map_err(|error| Error::io("find", &executable.path, error))?;
            Ok(Bind { source, destination: path.clone(), access: Access::ReadOnly })
        });
        let visit = Visit {
            files: Files::Folder(root),
            machine: self.plan.target.machine(),
            network: Network::Host,
            binds: binds.collect::<Result<_>>()?,
            epoch: 0,
            outputs: outputs()?,
        };
        let mut progress = Progress::new(0, self.terminal);
        let entered = crate::enter::enter(&visit, &mut progress, self.interrupted);
        drop(progress);
        Ok((entered?, command))
    }

    /// The command, or the project's one executable.
    fn words(&self, executable: impl Fn(usize) -> OsString) -> Result<Vec<OsString>> {
        match (&self.args.words[..], self.artifacts.executables.len()) {
            ([], 1) => Ok(vec![executable(0)]),
            ([], _) => Err(Error::usage("nothing says what to run: there are several binaries, or none")
                .help("name it: `cargo rootfs trace ... -- CMD`")),
            (words, _) => Ok(words.to_vec()),
        }
    }

    /// Which executable of the project a word names: by its name alone, or by its path in the image.
    fn project_part(&self, word: &OsString) -> Option<usize> {
        let names = self.artifacts.executables.iter().zip(&self.assembly.executables);
        let mut names = names.map(|(executable, path)| (executable.name.as_bytes(), path.as_bytes()));
        names.position(|(name, path)| word.as_bytes() == name || word.as_bytes() == path)
    }

    /// Folders whose files are the project's or the user's own.
    fn own(&self, root: &Path) -> Vec<RootfsPath> {
        if root != Path::new("/") {
            return Vec::new();
        }
        let homes =
            ["HOME", "CARGO_HOME", "RUSTUP_HOME", "TMPDIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
        let trees = self.artifacts.build_tree.iter().map(|folder| folder.clone().into_std_path_buf());
        let folders = homes.chain(trees).chain(std::env::current_dir());
        let folders = folders.filter_map(|folder| folder.canonicalize().ok());
        let folders = folders.filter_map(|folder| RootfsPath::from_bytes(folder.as_os_str().as_bytes()));
        // In `/` or in `/usr`, nobody's files are the project's.
        folders.filter(|folder| folder.components().next().is_some() && folder.as_bytes() != b"/usr").collect()
    }
}

/// Standard output is for the metadata.
fn outputs() -> Result<Outputs> {
    let stderr = std::io::stderr().as_fd().try_clone_to_owned();
    stderr.map(Outputs::To).map_err(|error| Error::failed("cannot share standard error").with_source(error))
}

/// What is to be written.
struct Worth<'p> {
    plan: &'p RootfsPlan,
    artifacts: &'p Artifacts,
    folder: &'p Utf8Path,
    with: Vec<String>,
    with_lib: Vec<String>,
    rules: Vec<Rule>,
    warnings: Vec<Warning>,
}

/// Files that belong with a program.
struct Rule {
    name: String,
    program: String,
    /// The program's path in the image; none where there is no program in it to belong with.
    when: Option<String>,
    take: Vec<String>,
}

impl<'p> Worth<'p> {
    fn new(known: &Known<'p>) -> Self {
        let &Known { plan, artifacts, sysroot: folder, .. } = known;
        let (with, with_lib, rules, warnings) = Default::default();
        Self { plan, artifacts, folder, with, with_lib, rules, warnings }
    }

    /// Packs what was used, one after the other, until nothing is left but files.
    fn find(&mut self, events: &[Event], own: &[RootfsPath], sysroot: &mut Sysroot, assembly: &Assembly) -> Result<()> {
        let mut content = self.plan.content.clone();
        let mut packed: Option<Assembly> = None;
        let (mut tried, mut plugins) = (BTreeSet::new(), Vec::new());
        let groups = loop {
            let rootfs = &packed.as_ref().unwrap_or(assembly).rootfs;
            let Used { tools, libraries, groups, own: programs } =
                findings::used(events, own, &mut Real { sysroot, rootfs });
            let next = |names: Vec<String>| names.into_iter().find(|name| !tried.contains(name));
            let mut with = content.clone();
            let (name, is_tool) = match (next(tools), next(libraries)) {
                (Some(tool), _) => (tool, true),
                (None, Some(library)) => (library, false),
                (None, None) => {
                    let built = |path: &RootfsPath| {
                        self.artifacts.executables.iter().any(|one| one.path.as_str().as_bytes() == path.as_bytes())
                    };
                    let programs = programs.iter().filter(|path| !built(path));
                    self.warnings.extend(programs.map(|path| {
                        Warning::new(format!("left out `{path}`: it is your own, and no part of the system"))
                    }));
                    break groups;
                }
            };
            // What is packed under another path than it was used by is not asked for twice.
            tried.insert(name.clone());
            if is_tool {
                with.tools.push(name.clone())
            } else {
                with.libraries.push(name.clone())
            };
            match self.assemble(&with) {
                Ok(more) => {
                    (packed, content) = (Some(more), with);
                    match (is_tool, name.starts_with('/')) {
                        (true, _) => self.with.push(name),
                        (false, false) => self.with_lib.push(name),
                        (false, true) => plugins.push(name),
                    }
                }
                Err(error) => {
                    self.warnings.push(Warning::new(format!("left out `{name}`: {}", error.message())));
                }
            }
        };
        self.group(groups, plugins, events, sysroot, packed.as_ref().unwrap_or(assembly));
        Ok(())
    }

    fn assemble(&self, content: &Content) -> Result<Assembly> {
        Ok(layout::assemble(self.folder, &self.plan.target, content, self.artifacts)?)
    }

    /// What is neither a tool nor a library, by the programs that it belongs with.
    fn group(
        &mut self,
        mut groups: Vec<Group>,
        plugins: Vec<String>,
        events: &[Event],
        sysroot: &mut Sysroot,
        assembly: &Assembly,
    ) {
        for plugin in plugins {
            let Ok(path) = RootfsPath::parse(&plugin) else { continue };
            let program =
                events.iter().find(|event| event.path.normalized() == path).and_then(|event| event.program.clone());
            match groups.iter_mut().find(|group| group.program == program) {
                Some(group) => group.paths.push(path),
                None => groups.push(Group { program, paths: vec![path] }),
            }
        }
        for Group { program, mut paths } in groups {
            paths.sort();
            paths.retain(|path| match secrets::of(sysroot, path) {
                None => true,
                Some(secret) => {
                    self.warnings.push(Warning::new(format!("left out `{path}`: {secret}")));
                    false
                }
            });
            let take: Vec<String> = paths.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect();
            if take.is_empty() {
                continue;
            }
            let shown = program.as_ref().unwrap_or(&RootfsPath::root()).file_name().to_vec();
            let shown = String::from_utf8_lossy(&shown).into_owned();
            let when = self.in_image(program, sysroot, assembly);
            let taken = self.rules.iter().filter(|rule| rule.program == shown).count();
            let name = if taken == 0 { format!("traced-{shown}") } else { format!("traced-{shown}-{}", taken + 1) };
            self.rules.push(Rule { name, program: shown, when, take });
        }
    }

    /// The path of a program in the image; of the project's, or the first tool, where it is not there.
    fn in_image(&self, program: Option<RootfsPath>, sysroot: &mut Sysroot, assembly: &Assembly) -> Option<String> {
        let program = program.and_then(|program| {
            let built = self.artifacts.executables.iter().zip(&assembly.executables);
            let mut built = built.filter(|(executable, _)| executable.path.as_str().as_bytes() == program.as_bytes());
            if let Some((_, path)) = built.next() {
                return Some(path.clone());
            }
            let is_packed = !crate::report::way(&assembly.rootfs, &program).is_empty();
            // By its real name it is one rule, by whatever name it was executed.
            is_packed.then(|| sysroot.walk(&program).path)
        });
        let first = || assembly.executables.first().or(assembly.tools.first()).cloned();
        program.or_else(first)?.as_str().map(str::to_owned)
    }

    /// TOML for Cargo.toml; empty where there is nothing to say.
    fn metadata(&self, root: &Path) -> String {
        let mut text = String::new();
        let uses_rules = self.plan.content.runtime != Runtime::None;
        let is_rule = |rule: &&Rule| uses_rules && rule.when.is_some();
        let included = self.rules.iter().filter(|rule| !is_rule(rule)).flat_map(|rule| &rule.take);
        let include: Vec<String> = included
            .map(|path| format!("{}:{path}", root.join(path.trim_start_matches('/')).display()))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if !(self.with.is_empty() && self.with_lib.is_empty() && include.is_empty()) {
            text.push_str("[package.metadata.rootfs]\n");
            list(&mut text, "with", &self.with);
            list(&mut text, "with-lib", &self.with_lib);
            list(&mut text, "include", &include);
        }
        let triplet = self.plan.target.machine().multiarch();
        for rule in self.rules.iter().filter(is_rule) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str("[[package.metadata.rootfs.rule]]\n");
            text.push_str(&format!("name = {}\n", string(&rule.name)));
            let why = format!("{} opened them under `cargo rootfs trace`", rule.program);
            text.push_str(&format!("why = {}\n", string(&why)));
            list(&mut text, "when", &[pattern(rule.when.as_deref().unwrap_or_default(), &triplet)]);
            list(&mut text, "take", &rule.take.iter().map(|path| pattern(path, &triplet)).collect::<Vec<_>>());
        }
        text
    }
}

/// A path as a glob that means it alone, on every machine that Debian has a triplet for.
fn pattern(path: &str, triplet: &str) -> String {
    let mut text = String::new();
    for part in path.split_inclusive('/') {
        if part.strip_suffix('/') == Some(triplet) {
            text.push_str("{triplet}/");
            continue;
        }
        for c in part.chars() {
            if "*?{}\\".contains(c) {
                text.push('\\');
            }
            text.push(c);
        }
    }
    text
}

/// A line as wide as the rest of a manifest, or one for each.
const WIDTH: usize = 100;

fn list(text: &mut String, key: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let items: Vec<String> = items.iter().map(|item| string(item)).collect();
    let line = format!("{key} = [{}]\n", items.join(", "));
    if line.len() <= WIDTH {
        text.push_str(&line);
    } else {
        let lines: String = items.iter().map(|item| format!("    {item},\n")).collect();
        text.push_str(&format!("{key} = [\n{lines}]\n"));
    }
}

/// A basic string (TOML 1.0).
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_glob_of_itself() {
        let debian = "x86_64-linux-gnu";
        assert_eq!(pattern("/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", debian), "/usr/lib/{triplet}/gconv/UTF-16.so");
        assert_eq!(pattern("/usr/share/a*b/{c}?", debian), "/usr/share/a\\*b/\\{c\\}\\?");
        assert_eq!(pattern("/usr/lib/x86_64-linux-gnu", debian), "/usr/lib/x86_64-linux-gnu");
    }

    #[test]
    fn lists_are_toml() {
        let mut text = String::new();
        let long: Vec<String> = (0..9).map(|number| format!("/usr/share/a \"folder\"/{number}")).collect();
        list(&mut text, "take", &long);
        list(&mut text, "with", &["a\\b".to_owned(), "c\n".to_owned()]);
        list(&mut text, "include", &[]);
        let table: toml::Table = text.parse().unwrap();
        let words = |key: &str| {
            table[key].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(words("take"), long);
        assert_eq!(words("with"), ["a\\b", "c\n"]);
        assert!(!table.contains_key("include"));
    }
}
