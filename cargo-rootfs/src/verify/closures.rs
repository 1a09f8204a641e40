//! Resolves the closures of all programs in an image inside it, including symbol versions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use super::Verified;
use crate::distro::OsRelease;
use crate::error::{Error, Warning};
use crate::inspect::{Programs, View};
use crate::path::{RootfsPath, command_paths};
use crate::report::{by_library, missing_error, unversioned_warning, version_error};
use crate::resolve::{
    self, Closure, FileId, Files, Find, Missing, Priority, Resolver, Skipped, TargetLibraries, Versions,
};
use crate::script;
use crate::target::Machine;
use crate::wording::shell_word;

/// The maximum number of checked libraries without a program: an image of a whole distribution has many modules.
const MAX_LIBRARIES: usize = 20_000;

/// The number of named objects that need a missing library, and of named scripts that need a missing interpreter.
const USERS: usize = 8;

pub(super) fn check(view: &mut View<'_>, given: &TargetLibraries, verified: &mut Verified) {
    let candidates = Programs::find(view);
    let mut resolver =
        Resolver::new(Vec::new(), None).following(Priority::Required).preloading().allowing(given.clone());
    let mut versions = Versions::default();
    let mut run = Run { mapped: FxHashSet::default(), closures: Vec::new(), verdicts: Vec::new() };
    for path in &candidates.programs {
        match resolver.closure(view, path) {
            Ok(closure) => {
                run.add(view, &mut versions, closure);
                verified.programs += 1;
            }
            Err(Skipped::Bad { why, .. }) => {
                verified.errors.push(Error::failed(format!("`{path}` is not a program that can start: {why}")));
            }
            Err(Skipped::Absent(_)) => {}
        }
    }
    verified.errors.extend(run.missing());
    let system = OsRelease::find(|path| view.tree.read(path, OsRelease::LONGEST));
    let unsatisfied = resolve::distinct(run.verdicts.iter().flat_map(|verdict| &verdict.unsatisfied));
    verified.errors.extend(unsatisfied.map(|lacking| version_error(lacking, &system)));
    let unversioned = resolve::distinct(run.verdicts.iter().flat_map(|verdict| &verdict.unversioned));
    verified.warnings.extend(unversioned.map(unversioned_warning));

    // A library without a program may rely on the search paths of the programs that open it, so a missing need of it is
    // only a warning.
    let mut alone = Run { mapped: run.mapped, closures: Vec::new(), verdicts: Vec::new() };
    for (path, file) in candidates.libraries.iter().take(MAX_LIBRARIES) {
        if alone.mapped.contains(file) {
            continue;
        }
        if let Ok(closure) = resolver.closure(view, path) {
            alone.add(view, &mut versions, closure);
            verified.libraries += 1;
        }
    }
    let lacking = alone.missing();
    if let Some(first) = lacking.first() {
        let more = if lacking.len() > 1 { format!(", and {} more", lacking.len() - 1) } else { String::new() };
        let by = first.details().first().map(|by| format!(", {}", by.trim())).unwrap_or_default();
        let message = format!("libraries that no program of the image maps lack others: {}{by}{more}", first.message());
        verified.warnings.push(Warning::new(message));
    }
    verified.programs += candidates.scripts.len();
    verified.errors.extend(scripts(view, &candidates.scripts));
}

/// One error for each reason, with the scripts that would not start.
fn scripts(view: &mut View<'_>, scripts: &[RootfsPath]) -> Vec<Error> {
    let mut reasons: BTreeMap<String, Vec<&RootfsPath>> = BTreeMap::new();
    for path in scripts {
        if let Err(why) = runs(view, path) {
            reasons.entry(why).or_default().push(path);
        }
    }
    let error = |(why, scripts): (String, Vec<&RootfsPath>)| {
        let count = scripts.len();
        let what = if count == 1 { "a script".to_owned() } else { format!("{count} scripts") };
        let error = Error::failed(format!("{what} would not start: {why}"));
        let error = scripts.iter().take(USERS).fold(error, |error, path| error.detail(format!("needed by {path}")));
        if count > USERS { error.detail(format!("and by {} more", count - USERS)) } else { error }
    };
    reasons.into_iter().map(error).collect()
}

/// Closures, and the files that they map.
struct Run {
    mapped: FxHashSet<FileId>,
    closures: Vec<Closure>,
    verdicts: Vec<crate::resolve::Verdict>,
}

impl Run {
    fn add(&mut self, view: &mut View<'_>, versions: &mut Versions, closure: Closure) {
        self.mapped.insert(closure.id);
        self.mapped.extend(closure.objects.iter().map(|object| object.file));
        self.mapped.extend(closure.interpreter.iter().filter_map(|(_, found)| found.as_ref()).map(|(_, file)| *file));
        self.verdicts.push(versions.check(view, &closure));
        // There may be thousands of programs, so only closures with missing objects are kept.
        if !closure.missing.is_empty() {
            self.closures.push(closure);
        }
    }

    /// One error for each missing library and machine.
    fn missing(&self) -> Vec<Error> {
        let mut of_machines: Vec<(Option<Machine>, Vec<&Missing>)> = Vec::new();
        for closure in &self.closures {
            let machine = closure.loader.as_ref().map(|loader| loader.machine);
            let at = of_machines.iter().position(|(known, _)| *known == machine).unwrap_or_else(|| {
                of_machines.push((machine, Vec::new()));
                of_machines.len() - 1
            });
            of_machines[at].1.extend(&closure.missing);
        }
        let error = |machine: Option<Machine>, users: &[&Missing]| {
            let shown = &users[..users.len().min(USERS)];
            let error = missing_error(shown, machine, "");
            let error = match users.len() - shown.len() {
                0 => error,
                more => error.detail(format!("and by {more} more")),
            };
            let needed = shown.first().map_or(Cow::Borrowed(""), |missing| String::from_utf8_lossy(&missing.needed));
            let name = needed.rsplit('/').next().unwrap_or_default();
            let help = "add the package that has it to the image".to_owned();
            // The option takes a list of patterns, and the name comes from the image.
            error.help(match name.is_empty() || name.contains([',', '*', '?', '[', '{']) {
                true => help,
                false => format!("{help}; if the target provides it: --allow-missing {}", shell_word(name)),
            })
        };
        let libraries = |(machine, missing): (Option<Machine>, Vec<&Missing>)| {
            by_library(missing).iter().map(|users| error(machine, users)).collect::<Vec<_>>()
        };
        of_machines.into_iter().flat_map(libraries).collect()
    }
}

/// Fails with a reason if the interpreter of a script is missing or not executable. A file that is no script passes.
pub(super) fn runs(view: &mut View<'_>, path: &RootfsPath) -> Result<(), String> {
    let head = view.tree.content(path).and_then(|(_, _, content)| content.part(0, script::HEAD).ok());
    let Some(first) = script::read(&head.unwrap_or_default()) else { return Ok(()) };
    let first = first.map_err(|bad| bad.to_string())?;
    let interpreter = RootfsPath::from_bytes(&first.interpreter).ok_or("it names no interpreter")?;
    is_program(view, &interpreter)?;
    if interpreter.file_name() != b"env" {
        return Ok(());
    }
    let program = script::program_of_env(first.argument.as_deref())?;
    let mut paths = command_paths(&program.name, program.path.as_deref());
    let found = paths.any(|path| is_program(view, &path).is_ok());
    let name = String::from_utf8_lossy(&program.name);
    if found { Ok(()) } else { Err(format!("env does not find `{name}` in PATH")) }
}

/// Fails with a reason if `path` does not lead to an executable.
pub(super) fn is_program(view: &mut View<'_>, path: &RootfsPath) -> Result<(), String> {
    match view.find(path) {
        Find::File { realpath, .. } => match view.tree.get(&realpath).is_some_and(|node| node.is_executable()) {
            true => Ok(()),
            false => Err(format!("`{path}` is not executable")),
        },
        Find::Absent | Find::NotDir => Err(format!("`{path}` is not in the image")),
        Find::Loop => Err(format!("`{path}` leads through too many symlinks")),
        _ => Err(format!("`{path}` is not a regular file")),
    }
}
