//! Runtime files by the rules of [`crate::runtime`], found in the sysroot in rounds until no new file appears (a
//! fixpoint).
//!
//! [`crate::runtime`] defines the rules; the worklist computes closures of the files.

mod beside;
mod brought;
mod constants;
mod evidence;
mod firing;
mod image_file;
mod kin;
mod left_out;
mod made;
mod offers;
mod opened;
mod prefixes;
mod programs;
mod project;
mod subjects;
mod whole;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Brief;
use super::installed::Installed;
use super::root::Root;
use super::scripts::Script;
use super::suggestions::Suggestion;
use super::take::Taken;
use super::worklist::Worklist;
use crate::elf::Bytes;
use crate::error::{Error, Warning};
use crate::glob::{Bindings, Captures, Glob, bind};
use crate::path::RootfsPath;
use crate::resolve::{Closure, FileId, Libc};
use crate::rootfs::{Origin, Rootfs};
use crate::runtime::{NewBody, Rule, Rules, Triggered};
use crate::shortage::Fault;
use crate::sysroot::{End, Sysroot};
use crate::target::Machine;
use crate::template::{Template, TemplateKind};
use evidence::Evidence;
pub(super) use evidence::Weigh;
use firing::Firing;

/// The limit on rounds: files that rules take are matched again, and no chain of rules is this long.
const MAX_ROUNDS: usize = 64;

/// The rules of one rootfs.
pub(super) struct Runtime<'t> {
    rules: Rules,
    template: &'t Template,
    machine: Machine,
    triplet: &'static str,
    lib: Vec<String>,
    /// The rules that have fired, each with the texts of its stars.
    fired: BTreeSet<(usize, Captures, Option<RootfsPath>)>,
    /// Tools by their names below /usr, each with its real prefix if that is another one.
    prefixed: FxHashSet<(RootfsPath, Option<RootfsPath>)>,
    /// Files that a rule covers: no other evidence is used for them.
    covered: FxHashSet<RootfsPath>,
    /// Scripts whose modules a rule brings: evidence adds no other files of their package.
    modular: FxHashSet<RootfsPath>,
    /// The evidence for files that no rule covers.
    evidence: Option<Evidence>,
    /// The numbers of roots, others and taken files that were matched so far.
    looked: (usize, usize, usize),
    installed: &'t Installed,
    paths: FxHashSet<RootfsPath>,
    names: FxHashSet<Bytes>,
    /// The functions without an import so far, and the files that were searched for them.
    uncalled: Vec<Box<[u8]>>,
    read: FxHashSet<FileId>,
    taken: Taken,
    made: Vec<(RootfsPath, NewBody, Option<u32>, Origin)>,
    suggestions: BTreeSet<Suggestion>,
    packages: BTreeSet<String>,
    faults: Vec<Fault>,
}

/// A rule that fires, and the file for which it fires.
struct Call {
    triggered: Triggered,
    because: RootfsPath,
    /// The prefix that replaces the rule's /usr.
    prefix: Option<RootfsPath>,
    /// True if the rule is about the file itself, and not about a function or a path in it.
    covers: bool,
}

impl Call {
    /// A rule fired by the name or the path of a file.
    fn new(triggered: Triggered, because: &RootfsPath) -> Self {
        Self { triggered, because: because.clone(), prefix: None, covers: true }
    }

    /// A rule fired by something in a file.
    fn by_part(triggered: Triggered, because: &RootfsPath) -> Self {
        Self { covers: false, ..Self::new(triggered, because) }
    }
}

impl<'t> Runtime<'t> {
    pub(super) fn new(view: &mut Sysroot, brief: Brief<'t>, weigh: Option<Weigh>) -> Self {
        let Brief { target, content, template, policy, installed } = brief;
        let machine = target.machine();
        let triplet = machine.multiarch();
        let lib = library_folders(view, triplet);
        let own = template.rules.iter().chain(&content.rules).cloned().collect();
        let bindings = Bindings { triplet, lib: &lib, ..Bindings::default() };
        let rules = Rules::new(own, &bindings);
        let evidence = weigh.map(|weigh| Evidence::new(weigh, &bindings));
        Self {
            uncalled: rules.calls(),
            read: FxHashSet::default(),
            rules,
            prefixed: FxHashSet::default(),
            covered: FxHashSet::default(),
            modular: FxHashSet::default(),
            evidence,
            template,
            machine,
            triplet,
            lib,
            fired: BTreeSet::new(),
            looked: (0, 0, 0),
            installed,
            paths: FxHashSet::default(),
            names: FxHashSet::default(),
            taken: Taken::new(policy),
            made: Vec::new(),
            suggestions: BTreeSet::new(),
            packages: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    /// Applies the rules to the results of the worklist, and adds their files to the worklist.
    pub(super) fn run(&mut self, worklist: &mut Worklist<'_>, includes: &[RootfsPath]) {
        let mut calls = Vec::new();
        for (typed, path) in worklist.tools().iter().filter(|(typed, _)| typed.starts_with('/')) {
            let real = worklist.view.walk(path).path;
            let prefixes = [prefixes::prefix_of(path), prefixes::prefix_of(&real)].into_iter().flatten();
            for prefix in prefixes.filter(|_| !typed.starts_with("/usr/bin")) {
                let python = prefixes::python_of(worklist.view, &prefix);
                self.taken
                    .named
                    .extend([Some(prefix), python].into_iter().flatten().filter(|it| it.as_bytes() != b"/usr"));
            }
        }
        for path in includes.iter().chain(self.template.entries.iter().flat_map(template_paths)) {
            self.meet_path(path, path, &mut calls);
        }
        for round in 0.. {
            self.meet(worklist, &mut calls);
            let mut roots = Vec::new();
            for call in std::mem::take(&mut calls) {
                roots.extend(self.fire(worklist, &call));
            }
            let is_done = roots.is_empty() && self.looked.2 == self.taken.len();
            worklist.bring(roots);
            if is_done {
                // At this point all files that rules bring and cover are known.
                let (called, roots) = self.weigh(worklist);
                let is_done = called.is_empty() && roots.is_empty() && self.looked.2 == self.taken.len();
                calls = called;
                worklist.bring(roots);
                if is_done {
                    return self.start(worklist);
                }
            }
            if round == MAX_ROUNDS {
                let message = format!("runtime rules did not settle after {round} rounds");
                return self.faults.push(Error::failed(message).into());
            }
        }
    }

    /// Matches new files.
    fn meet(&mut self, worklist: &mut Worklist<'_>, calls: &mut Vec<Call>) {
        let (roots, others, taken) = self.looked;
        for index in roots..worklist.worked.roots.len() {
            let (path, closure) = (&worklist.worked.roots[index].path.clone(), &worklist.worked.closures[index]);
            self.meet_closure(worklist.view, closure, calls);
            if worklist.worked.roots[index].is_project {
                self.meet_own_imports(worklist.view, closure.id, &closure.realpath, calls);
            }
            let realpath = closure.realpath.clone();
            // An opened library is known by its soname, which is the name of a symlink.
            self.meet_name(path.file_name(), &realpath, calls);
            self.meet_names(worklist.view, path, &realpath, calls);
        }
        for index in others..worklist.worked.others.len() {
            let path = worklist.worked.others[index].path.clone();
            let realpath = worklist.view.walk(&path).path;
            self.meet_names(worklist.view, &path, &realpath, calls);
            // A script that a rule takes may never be run.
            if worklist.worked.others[index].is_tool || !worklist.worked.others[index].is_optional {
                let script = worklist.worked.scripts.iter().find(|script| script.path == path);
                script.into_iter().for_each(|script| self.meet_script(worklist.view, script, calls));
            }
        }
        for index in taken..self.taken.len() {
            let path = self.taken.path(index).clone();
            self.meet_path(&path, &path, calls);
        }
        self.looked = (worklist.worked.roots.len(), worklist.worked.others.len(), self.taken.len());
    }

    fn meet_closure(&mut self, view: &mut Sysroot, closure: &Closure, calls: &mut Vec<Call>) {
        self.meet_name(closure.realpath.file_name(), &closure.realpath, calls);
        self.meet_imports(view, closure.id, &closure.realpath, calls);
        // The program contains the C library, and opens the same files.
        if closure.loader.is_none() && view.is_static_glibc(closure.id) {
            self.meet_name(b"libc.so.6", &closure.realpath, calls);
        }
        for object in &closure.objects {
            self.meet_imports(view, object.file, &object.realpath, calls);
        }
        let others = closure.other_names.iter().map(|other| &other.found);
        for object in closure.objects.iter().chain(others) {
            for name in [&*object.needed, object.path.file_name(), object.realpath.file_name()] {
                self.meet_name(name, &object.realpath, calls);
            }
            if !self.paths.contains(&object.path) {
                self.meet_names(view, &object.path, &object.realpath, calls);
            }
        }
    }

    /// Matches the functions that a program of the project, or a tool of the C library's source, imports by itself.
    fn meet_own_imports(&self, view: &mut Sysroot, file: FileId, path: &RootfsPath, calls: &mut Vec<Call>) {
        let (functions, rules) = self.rules.project_calls();
        for at in view.imports_of(file, &functions) {
            let triggered = rules[at].iter().map(|rule| Triggered { rule: *rule, captures: Captures::new() });
            calls.extend(triggered.map(|triggered| Call::by_part(triggered, path)));
        }
    }

    /// Matches the functions that a file imports; each function counts once, for the first file.
    fn meet_imports(&mut self, view: &mut Sysroot, file: FileId, path: &RootfsPath, calls: &mut Vec<Call>) {
        if self.uncalled.is_empty() || !self.read.insert(file) {
            return;
        }
        let mut imported = view.imports_of(file, &self.uncalled);
        imported.sort_unstable();
        imported.dedup();
        for at in imported.into_iter().rev() {
            let function = self.uncalled.remove(at);
            let mut triggered = Vec::new();
            self.rules.of_call(&function, &mut triggered);
            calls.extend(triggered.into_iter().map(|triggered| Call::by_part(triggered, path)));
        }
    }

    /// Matches a file by all its names.
    fn meet_names(&mut self, view: &mut Sysroot, path: &RootfsPath, realpath: &RootfsPath, calls: &mut Vec<Call>) {
        self.meet_path(path, realpath, calls);
        for (link, _) in view.walk(path).links {
            self.meet_path(&link, realpath, calls);
        }
        self.meet_path(realpath, realpath, calls);
        self.meet_prefixed(view, path, realpath, calls);
    }

    /// Matches a path, and the same path in a merged /usr.
    fn meet_path(&mut self, path: &RootfsPath, realpath: &RootfsPath, calls: &mut Vec<Call>) {
        if !self.paths.contains(path) && is_mergeable(path) {
            self.meet_path(&RootfsPath::root().join(b"usr").join(path.as_bytes()), realpath, calls);
        }
        if self.paths.insert(path.clone()) {
            let mut triggered = Vec::new();
            self.rules.of_path(path, &mut triggered);
            calls.extend(triggered.into_iter().map(|triggered| Call::new(triggered, realpath)));
        }
    }

    /// Matches a requested script, or one that is a tool, by the names of its interpreters.
    fn meet_script(&self, view: &mut Sysroot, script: &Script, calls: &mut Vec<Call>) {
        let program = script.program.as_ref().unwrap_or(&script.interpreter);
        let mut triggered = Vec::new();
        for path in [program, &view.walk(program).path] {
            self.rules.of_interpreter(path.file_name(), &mut triggered);
        }
        calls.extend(triggered.into_iter().map(|triggered| Call::new(triggered, &script.realpath)));
    }

    fn meet_name(&mut self, name: &[u8], realpath: &RootfsPath, calls: &mut Vec<Call>) {
        if !self.names.contains(name) {
            self.names.insert(Bytes::from(name));
            let mut triggered = Vec::new();
            self.rules.of_name(name, &mut triggered);
            calls.extend(triggered.into_iter().map(|triggered| Call::new(triggered, realpath)));
        }
    }

    /// Applies a rule once for each set of texts that its stars matched; returns the files that get a closure.
    fn fire(&mut self, worklist: &mut Worklist<'_>, call: &Call) -> Vec<Root> {
        let Some(rule) = self.rules.get(call.triggered.rule) else { return Vec::new() };
        let folder = call.because.parent().filter(|_| rule.uses(&["{dir}"]));
        let uses_captures = rule.uses(&["{1}", "{2}", "{3}", "{4}", "{5}", "{6}", "{7}", "{8}", "{9}"]);
        let captures = if uses_captures { call.triggered.captures.clone() } else { Captures::new() };
        // Modules depend on the file's package, and the programs in `exec` on the script.
        let is_of_file = !rule.modules.is_empty() || !rule.called.is_empty() || rule.uses(&["{exec}"]);
        let of = if is_of_file { Some(call.because.clone()) } else { folder.clone() };
        let of = call.prefix.clone().or(of);
        let key = (call.triggered.rule, captures, of);
        let is_fired = self.fired.contains(&key);
        if !self.holds(&rule, worklist) {
            return Vec::new();
        }
        if call.covers && !rule.partial {
            let known = if rule.modules.is_empty() { &mut self.covered } else { &mut self.modular };
            known.insert(call.because.clone());
        }
        if is_fired {
            return Vec::new();
        }
        self.fired.insert(key);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let Some(captures) = call.triggered.captures.iter().map(|it| text(it)).collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let folder = folder.as_ref().and_then(RootfsPath::as_str);
        let triplet = self.triplet;
        let prefix = call.prefix.as_ref().and_then(RootfsPath::as_str);
        let lib = match prefix {
            Some(prefix) => vec![format!("{prefix}/lib/{triplet}"), format!("{prefix}/lib64"), format!("{prefix}/lib")],
            None => self.lib.clone(),
        };
        let mut scripts = worklist.worked.scripts.iter().filter(|_| is_of_file);
        let script = scripts.find(|script| script.realpath == call.because);
        let (calls, execs) = script.map(|it| (it.calls.clone(), it.execs.clone())).unwrap_or_default();
        let bindings =
            Bindings { triplet, lib: &lib, prefix, dir: folder, captures: &captures, execs: &execs, word: None };
        let origin = Origin::Rule { name: rule.name.clone(), why: rule.why.clone(), because: call.because.clone() };
        let because = &call.because;
        let mut firing = Firing { runtime: self, worklist, rule: &rule, because, origin, bindings, roots: Vec::new() };
        firing.files();
        firing.modules();
        firing.tools(&rule.tools, &bindings);
        let called = |name: &Arc<str>| rule.called.iter().any(|known| **known == **name);
        firing.named(calls.iter().filter(|name| called(name)).map(ToString::to_string));
        firing.libraries(&rule.libraries, &bindings);
        rule.words_of.iter().for_each(|words| firing.words(words));
        let roots = firing.roots;
        self.packages.extend(rule.packages.iter().cloned());
        for tool in &rule.suggest {
            let (by, rule) = (call.because.clone(), Some(rule.name.clone()));
            self.suggestions.insert(Suggestion { tool: tool.clone(), by, rule });
        }
        roots
    }

    /// Returns whether the conditions of a rule other than `when` are met.
    fn holds(&self, rule: &Rule, worklist: &Worklist<'_>) -> bool {
        let bindings = Bindings { triplet: self.triplet, lib: &self.lib, ..Bindings::default() };
        let unless = rule.unless.iter().flat_map(|text| bind(text, &bindings));
        let is_there = |glob: &Glob| match glob.is_name() {
            true => self.names.iter().any(|name| glob.matches_name(name).is_some()),
            false => self.paths.iter().any(|path| glob.matches(path).is_some()),
        };
        let mut unless = unless.flat_map(|text| Glob::parse(&text).unwrap_or_default());
        let is_older = |(major, minor)| {
            let loaders = worklist.worked.closures.iter().filter_map(|closure| closure.loader.as_ref());
            let mut glibc = loaders.filter(|loader| loader.libc == Libc::Glibc);
            glibc.next().is_some_and(|loader| !loader.is_since(major, minor))
        };
        rule.before_glibc.is_none_or(is_older) && !unless.any(|glob| is_there(&glob))
    }

    /// The files that rules took.
    pub(super) fn taken(&self) -> impl Iterator<Item = &RootfsPath> {
        self.taken.paths()
    }

    /// Adds the faults and warnings.
    pub(super) fn say(&mut self, faults: &mut Vec<Fault>, warnings: &mut Vec<Warning>) {
        faults.append(&mut self.faults);
        warnings.extend(self.taken.warnings());
    }

    /// A line about files that were added without a rule.
    pub(super) fn brought(&self) -> Option<String> {
        self.evidence.as_ref()?.line()
    }

    /// The files that evidence took.
    pub(super) fn brought_files(&self) -> impl Iterator<Item = &RootfsPath> {
        let items = (0..self.taken.len()).map(|index| self.taken.item(index));
        items.filter(|(_, origin)| matches!(origin, Origin::Package { .. })).map(|(path, _)| path)
    }

    /// The services of packed daemons.
    pub(super) fn services(&self) -> &[RootfsPath] {
        self.evidence.as_ref().map(|evidence| &evidence.services[..]).unwrap_or_default()
    }

    /// A line about files that rules exclude from directories.
    pub(super) fn left_out(&self, view: &Sysroot, rootfs: &Rootfs) -> Option<String> {
        let lacking = self.taken.excluded.iter().filter(|path| left_out::is_lacking(rootfs, path));
        left_out::line(view, lacking)
    }

    /// Suggests files that the constants and packages of packed files name, and that `rootfs` lacks.
    pub(super) fn offers(&mut self, view: &mut Sysroot, rootfs: &Rootfs) -> Vec<Warning> {
        let Some(evidence) = &mut self.evidence else { return Vec::new() };
        evidence.offers.retain(|path| {
            let real = view.walk(path).path;
            left_out::is_lacking(rootfs, &real)
        });
        evidence.warnings(view.root())
    }

    /// The suggestions of the rules, available or not, and the packages with the files that they name.
    pub(super) fn advice(self) -> (BTreeSet<Suggestion>, BTreeSet<String>) {
        (self.suggestions, self.packages)
    }
}

impl Rule {
    /// Returns whether the rule contains any of these variables, so that its meaning depends on them.
    fn uses(&self, variables: &[&str]) -> bool {
        let lists = [&self.take, &self.modules, &self.exclude, &self.tools, &self.libraries].into_iter().flatten();
        let words = self.words_of.iter();
        let words = words.flat_map(|it| it.take.iter().chain(&it.tools).chain(&it.libraries).chain([&it.file]));
        let files = self.files.iter().map(|file| &file.path);
        let mut texts = lists.chain(self.first_of.iter().flatten()).chain(words).chain(files);
        texts.any(|text| variables.iter().any(|variable| text.contains(variable)))
    }
}

/// Returns whether a path is in a directory that a merged /usr replaces by a symlink into /usr (file-hierarchy(7)).
fn is_mergeable(path: &RootfsPath) -> bool {
    let mut components = path.components();
    let top = components.next().unwrap_or_default();
    components.next().is_some() && (matches!(top, b"bin" | b"sbin") || top.starts_with(b"lib"))
}

/// The directories of libraries, without duplicates.
fn library_folders(view: &mut Sysroot, triplet: &str) -> Vec<String> {
    let mut real = Vec::new();
    let mut folders = Vec::new();
    for top in ["/usr/lib", "/lib"] {
        for folder in [format!("{top}/{triplet}"), format!("{top}64"), top.to_owned()] {
            let Some(path) = RootfsPath::from_bytes(folder.as_bytes()) else { continue };
            let walk = view.walk(&path);
            if matches!(walk.end, End::Dir(_)) && !real.contains(&walk.path) {
                real.push(walk.path);
                folders.push(folder);
            }
        }
    }
    folders
}

/// The paths at which a template's entry may be found.
fn template_paths(entry: &crate::template::TemplateEntry) -> Vec<&RootfsPath> {
    match &entry.kind {
        TemplateKind::File(_) => vec![&entry.path],
        TemplateKind::FromSysroot(wanted) => wanted.candidates.iter().collect(),
        TemplateKind::Dir | TemplateKind::Symlink(_) => Vec::new(),
    }
}
