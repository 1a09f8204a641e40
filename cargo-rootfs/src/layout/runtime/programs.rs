//! Programs that a packed file starts: those of its own package, of its dependencies, and of every system.

use std::collections::{BTreeMap, BTreeSet};

use super::super::root::Root;
use super::super::suggestions::Suggestion;
use super::super::tools;
use super::constants::{self, Named};
use super::evidence::{Weigh, Weighing, origin};
use super::subjects::{Reach, Subject};
use crate::elf::words_in;
use crate::packages::{Database, PackageId};
use crate::path::{RootfsPath, is_program_directory};
use crate::policy::is_read_module;
use crate::resolve::FileId;
use crate::script::{calls, languages};
use crate::sysroot::End;

/// The maximum size of a script; a larger one is a program with embedded data.
const LONGEST_SCRIPT: usize = 1 << 20;

/// The place where programs are named.
#[derive(Clone, Copy)]
enum In<'p> {
    /// The constants of an ELF file.
    Constants(FileId),
    /// The text of a script.
    Script(&'p RootfsPath),
    /// The data of the packages themselves.
    Data,
}

/// Returns whether a file may be a setting, by its path: no module and no picture, whose names end otherwise.
fn is_data(path: &RootfsPath) -> bool {
    let tops: [&[u8]; 3] = [b"/usr/share/", b"/usr/lib/", b"/etc/"];
    let name = path.file_name();
    let is_plain = !name.contains(&b'.') || name.ends_with(b".conf") || name.ends_with(b".cfg");
    is_plain && tops.iter().any(|top| path.as_bytes().starts_with(top))
}

/// Returns whether a text puts the name of a program together of a beginning and a variable, as in `update-default-$class`.
fn is_begun(text: &[u8], name: &[u8]) -> bool {
    /// Shorter beginnings are those of many.
    const SHORTEST: usize = 5;
    let ends = (SHORTEST..name.len()).filter(|at| b"-._".contains(&name[at - 1]));
    ends.into_iter().any(|end| {
        let variable = |at: usize| matches!(text.get(at..), Some([b'$', ..] | [b'%', b's', ..]));
        memchr::memmem::find_iter(text, &name[..end]).any(|at| variable(at + end))
    })
}

impl Weighing<'_, '_, '_, '_> {
    /// Adds programs that subjects start: from their packages and the dependencies of these. A script may also call
    /// programs of every system, which are not listed as dependencies (Debian policy, 3.8).
    pub(super) fn programs(&mut self, database: &Database, subjects: &[Subject], holders: &[Vec<PackageId>]) {
        // The modules of one package are examined together, because each query of the database takes time.
        let mut modules: BTreeMap<PackageId, (&Subject, BTreeSet<String>)> = BTreeMap::new();
        let mut own: BTreeMap<PackageId, (&Subject, BTreeSet<String>)> = BTreeMap::new();
        let named = subjects.iter().zip(holders).filter(|(subject, _)| subject.is_named);
        let scripts: BTreeSet<PackageId> = named.flat_map(|(_, holders)| holders.first().copied()).collect();
        for (subject, holders) in subjects.iter().zip(holders) {
            let Some(&owner) = holders.first() else { continue };
            let script = self.worklist.worked.scripts.iter().find(|script| script.realpath == subject.realpath);
            let calls = script.into_iter().flat_map(|script| script.calls.iter().map(ToString::to_string));
            let calls: BTreeSet<String> = calls.collect();
            let found = match (subject.reach, subject.file) {
                // Python's packages have much code that none of their programs uses, and words that equal commands by
                // chance: only programs count of which the package says that it depends on them.
                (Reach::Module, _) if !subject.is_named && subject.realpath.as_bytes().ends_with(b".py") => {
                    if scripts.contains(&owner) {
                        let calls = languages::commands(&self.text(&subject.realpath));
                        own.entry(owner).or_insert_with(|| (subject, BTreeSet::new())).1.extend(calls);
                    }
                    continue;
                }
                (Reach::Module, _) => {
                    let calls = languages::commands(&self.text(&subject.realpath));
                    if subject.is_own {
                        self.offer(&calls, subject);
                    }
                    modules.entry(owner).or_insert_with(|| (subject, BTreeSet::new())).1.extend(calls);
                    if !subject.is_named {
                        continue;
                    }
                    self.mentioned(database, subject, In::Script(&subject.realpath), &database.parts(owner))
                }
                (Reach::Package, Some(file)) => {
                    let related = self.related(database, owner);
                    let mut named = self.mentioned(database, subject, In::Constants(file), &related);
                    if subject.is_named {
                        named.extend(self.mentioned(database, subject, In::Data, &database.parts(owner)));
                    }
                    let commands = self.commands(file);
                    if subject.is_named {
                        self.offer(&commands, subject);
                    }
                    let packages = self.everywhere(database, owner);
                    [named, self.called(database, commands, &packages)].concat()
                }
                (Reach::Constants, Some(file)) => {
                    let named = self.mentioned(database, subject, In::Constants(file), &database.parts(owner));
                    let commands = self.commands(file);
                    let packages = self.everywhere(database, owner);
                    [named, self.called(database, commands, &packages)].concat()
                }
                (Reach::Package | Reach::Called, None) => {
                    let packages = match calls.is_empty() {
                        true => self.related(database, owner),
                        false => database.parts(owner),
                    };
                    let named = self.mentioned(database, subject, In::Script(&subject.realpath), &packages);
                    let packages = self.everywhere(database, owner);
                    [named, self.called(database, calls, &packages)].concat()
                }
                _ => continue,
            };
            self.start(database, subject, found);
        }
        for (owner, (subject, calls)) in modules {
            let packages = self.everywhere(database, owner);
            let found = self.called(database, calls, &packages);
            self.start(database, subject, found);
        }
        for (owner, (subject, calls)) in own {
            let found = self.called(database, calls, &database.depends_on(owner));
            self.start(database, subject, found);
        }
    }

    fn start(&mut self, database: &Database, subject: &Subject, found: Vec<(RootfsPath, PackageId)>) {
        for (path, id) in found {
            let walk = self.worklist.view.walk(&path);
            // A program that runs as another user is not added without a request.
            let is_usual = match walk.end {
                End::File(file) => self.worklist.view.info(file).mode & 0o6111 == 0o111,
                _ => false,
            };
            let is_privileged = matches!(walk.end, End::File(_)) && !is_usual;
            if is_privileged && subject.is_named && !self.runtime.paths.contains(&walk.path) {
                let name = String::from_utf8_lossy(path.file_name()).into_owned();
                self.offer(&BTreeSet::from([name]), subject);
            }
            if !is_usual || walk.path == subject.realpath || self.runtime.paths.contains(&walk.path) {
                continue;
            }
            let (package, (count, size)) = (&*database.package(id).name, self.measure(&walk.path));
            self.evidence.brought.named(package, &subject.name, count, size);
            if self.evidence.weigh == Weigh::Take {
                let name = String::from_utf8_lossy(path.file_name()).into_owned();
                let origin = origin(package, &subject.name, "which runs it");
                if subject.is_named {
                    self.evidence.started.insert(path.clone());
                }
                self.roots.push(Root::tool(name, origin, path).optional());
            }
        }
    }

    /// Commands that a module of a script's own source, or the project, calls: those that stay unpacked are suggested.
    pub(super) fn offer(&mut self, calls: &BTreeSet<String>, subject: &Subject) {
        for tool in calls {
            let suggestion = Suggestion { tool: tool.clone(), by: subject.realpath.clone(), rule: None };
            self.runtime.suggestions.insert(suggestion);
        }
    }

    /// The packages that programs of one start programs of.
    fn related(&mut self, database: &Database, owner: PackageId) -> Vec<PackageId> {
        self.needs(database, owner).into_iter().chain(database.parts(owner)).collect()
    }

    /// The same, and those of every system.
    fn everywhere(&mut self, database: &Database, owner: PackageId) -> Vec<PackageId> {
        [self.related(database, owner), database.core()].concat()
    }

    /// The programs of `packages` whose names stand alone in a text.
    fn mentioned(
        &mut self,
        database: &Database,
        subject: &Subject,
        text: In<'_>,
        packages: &[PackageId],
    ) -> Vec<(RootfsPath, PackageId)> {
        /// A compiler's packages depend on as many.
        const MOST_NAMES: usize = 512;
        let mut files: BTreeMap<RootfsPath, PackageId> = BTreeMap::new();
        for &id in packages {
            if !self.evidence.judge.is_self_contained_package(database.package(id).name.as_bytes()) {
                files.extend(database.files(self.worklist.view, id).into_iter().map(|path| (path, id)));
            }
        }
        let judge = &self.evidence.judge;
        let is_program = |path: &RootfsPath| {
            let shortest = if matches!(text, In::Constants(_)) { 2 } else { 3 };
            path.file_name().len() >= shortest && path.parent().is_some_and(|directory| judge.has_programs(&directory))
        };
        let mut programs: BTreeMap<Box<[u8]>, (RootfsPath, PackageId)> = BTreeMap::new();
        let data: Vec<RootfsPath> = match text {
            In::Data => {
                let policy = &self.runtime.taken.policy;
                files.keys().filter(|path| is_data(path) && !policy.is_documentation("", path)).cloned().collect()
            }
            _ => Vec::new(),
        };
        for (path, id) in files.into_iter().filter(|(path, _)| is_program(path)).take(MOST_NAMES) {
            let name: Box<[u8]> = path.file_name().into();
            let directory = path.parent();
            let is_beside = directory == subject.realpath.parent();
            // An alternative leads to it, such as /usr/bin/java.
            let found = if is_beside || directory.is_some_and(|it| is_program_directory(it.as_bytes())) {
                Some(path)
            } else {
                let view = &mut *self.worklist.view;
                let link = std::str::from_utf8(&name).ok().and_then(|name| tools::find(view, name));
                link.filter(|link| view.walk(link).path == view.walk(&path).path)
            };
            programs.extend(found.map(|path| (name, (path, id))));
        }
        let names: Vec<Box<[u8]>> = programs.keys().cloned().collect();
        let words = match text {
            _ if names.is_empty() => Vec::new(),
            In::Constants(file) => {
                let view = &mut *self.worklist.view;
                // A short name is a word of many texts; GCC's `as` has its arguments behind it.
                let short: Vec<&[u8]> = names.iter().map(|name| &**name).filter(|name| name.len() == 2).collect();
                let texts = if short.is_empty() { Vec::new() } else { view.constants_with(file, &short) };
                let runs = |name: &[u8], text: &[u8]| {
                    let is_begin = |at: usize| at == 0 || !text[at - 1].is_ascii_alphanumeric();
                    let has_argument = |at: usize| matches!(text.get(at + name.len()..), Some([b' ', b'%' | b'-', ..]));
                    text == name || memchr::memmem::find_iter(text, name).any(|at| is_begin(at) && has_argument(at))
                };
                let is_there = |at: &usize| names[*at].len() > 2 || texts.iter().any(|text| runs(&names[*at], text));
                view.words_of(file, &names).into_iter().filter(is_there).collect()
            }
            In::Script(script) => {
                let text = self.text(script);
                let begun = (0..names.len()).filter(|at| is_begun(&text, &names[*at]));
                words_in(&text, &names).into_iter().chain(begun).collect()
            }
            In::Data => self.data(&data, &names),
        };
        words.into_iter().map(|at| programs[&names[at]].clone()).collect()
    }

    /// The words in small texts of a package's data.
    fn data(&mut self, files: &[RootfsPath], names: &[Box<[u8]>]) -> Vec<usize> {
        /// Larger ones are no settings.
        const LONGEST: usize = 8 << 10;
        const MOST_FILES: usize = 256;
        let mut words = BTreeSet::new();
        for path in files.iter().take(MOST_FILES) {
            let text = self.worklist.view.read_small(path, LONGEST).unwrap_or_default();
            if !text.contains(&0) {
                words.extend(words_in(&text, names));
            }
        }
        words.into_iter().collect()
    }

    /// The commands that a file starts: those of the command lines among its constants, if it gives some to a shell, and
    /// essential ones that are constants of it.
    pub(super) fn commands(&mut self, file: FileId) -> BTreeSet<String> {
        /// A file with more essential names has a table of its own commands, as lftp has.
        const MOST: usize = 4;
        let (view, judge) = (&mut *self.worklist.view, &self.evidence.judge);
        let mut names = BTreeSet::new();
        if !view.imports_of(file, judge.runners()).is_empty() {
            names.extend(view.command_lines(file).iter().flat_map(|line| calls::commands(line).all));
        }
        if !view.imports_of(file, judge.starters()).is_empty() {
            let texts = view.whole_texts(file, &judge.essential().collect());
            let texts = if texts.len() > MOST { Default::default() } else { texts };
            names.extend(texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()));
        }
        names
    }

    /// Programs of `packages` among the commands of a script or a module.
    fn called(
        &mut self,
        database: &Database,
        mut names: BTreeSet<String>,
        packages: &[PackageId],
    ) -> Vec<(RootfsPath, PackageId)> {
        names.retain(|name| !self.evidence.judge.is_offered(name.as_bytes()));
        let view = &mut *self.worklist.view;
        let paths: Vec<RootfsPath> = names.iter().filter_map(|name| tools::find(view, name)).collect();
        let real: Vec<RootfsPath> = paths.iter().map(|path| view.walk(path).path).collect();
        let holders = database.holders(view, &real);
        let held = paths.into_iter().zip(holders);
        held.filter_map(|(path, holders)| {
            let id = holders.into_iter().find(|holder| packages.contains(holder))?;
            Some((path, id))
        })
        .collect()
    }

    /// The modules that rules took for a script, as separate subjects. Those that its interpreter needs by a rule are
    /// that rule's: the standard libraries of languages name much that no program misses.
    pub(super) fn modules(&mut self, script: &Subject) -> Vec<Subject> {
        /// Languages have one module in a file, and large programs have a thousand.
        const MOST_FILES: usize = 1000;
        let taken = self.runtime.taken.because_of(&script.realpath, &self.runtime.covered);
        let taken = taken.filter(|path| is_read_module(path.as_bytes())).take(MOST_FILES);
        let new: Vec<RootfsPath> = taken.filter(|path| !self.evidence.scripts.contains(*path)).cloned().collect();
        self.evidence.scripts.extend(new.iter().cloned());
        let module = |realpath| Subject {
            file: None,
            realpath,
            name: script.name.clone(),
            reach: Reach::Module,
            is_named: false,
            is_own: false,
        };
        new.into_iter().map(module).collect()
    }

    /// The modules that a script imports by their names, and those that packed modules of Perl on its way import: CPAN.pm
    /// uses many if they are there.
    pub(super) fn imported(&mut self, script: &Subject) -> Vec<Named> {
        /// The maximum number of modules that are read.
        const MOST_FILES: usize = 64;
        let (mut files, mut left) = (BTreeSet::new(), vec![script.realpath.clone()]);
        for _ in 0..MOST_FILES {
            let Some(path) = left.pop() else { break };
            let mut imports = languages::imports(&self.text(&path));
            imports.retain(|file| !files.contains(file));
            for end in imports.iter().filter(|file| file.ends_with(".pm")).map(|file| format!("/{file}")) {
                let packed = self.runtime.taken.paths().find(|path| path.as_bytes().ends_with(end.as_bytes()));
                left.extend(packed.cloned());
            }
            files.append(&mut imports);
        }
        let judge = &self.evidence.judge;
        let Some(scout) = &mut self.evidence.scout else { return Vec::new() };
        let paths =
            judge.modules().iter().flat_map(|directory| files.iter().map(|file| directory.join(file.as_bytes())));
        paths.filter_map(|path| constants::at(scout, path)).collect()
    }

    /// Adds the questions of a script's package that debconf asks for it: dpkg keeps them beside the list of files.
    pub(super) fn questions(&mut self, database: &Database, subjects: &[Subject], holders: &[Vec<PackageId>]) {
        for (subject, holders) in subjects.iter().zip(holders).filter(|(it, _)| it.file.is_none() && it.is_named) {
            let Some(&owner) = holders.first() else { continue };
            let stem = database.stem(self.worklist.view, owner);
            let path = stem.and_then(|stem| RootfsPath::from_bytes(&[stem.as_bytes(), b".templates"].concat()));
            let Some(path) = path.filter(|path| matches!(self.worklist.view.walk(path).end, End::File(_))) else {
                continue;
            };
            let text = self.text(&subject.realpath);
            if self.evidence.weigh == Weigh::Take && memchr::memmem::find(&text, b"ebconf").is_some() {
                let origin = origin(&database.package(owner).name, &subject.name, "which asks questions by debconf");
                self.taking(&origin, |taking| taking.path(&path));
            }
        }
    }

    /// Suggests the choices of the alternatives that a script names to update-alternatives(1), such as editors: it offers
    /// those that are there.
    pub(super) fn alternatives(&mut self, subjects: &[Subject]) {
        let directory = RootfsPath::root().join(b"var/lib/dpkg/alternatives");
        for subject in subjects.iter().filter(|it| it.file.is_none() && it.is_named) {
            let text = self.text(&subject.realpath);
            let calls = memchr::memmem::find(&text, b"update-alternatives").is_some();
            let Some(scout) = self.evidence.scout.as_mut().filter(|_| calls) else { continue };
            let groups = scout.names(&directory);
            for group in words_in(&text, &groups) {
                let database = scout.read_small(&directory.child(&groups[group]), LONGEST_SCRIPT).unwrap_or_default();
                // The first two lines are the mode, and the link itself.
                let choices = database.split(|byte| *byte == b'\n').skip(2).filter_map(RootfsPath::from_bytes);
                for choice in choices.filter_map(|path| constants::at(scout, path)).filter(|it| it.is_executable) {
                    self.evidence.offers.path(&choice, &subject.name, true, None, 0);
                }
            }
        }
    }

    /// The text of a script or a module.
    pub(super) fn text(&mut self, path: &RootfsPath) -> Vec<u8> {
        self.worklist.view.read_small(path, LONGEST_SCRIPT).unwrap_or_default()
    }
}
