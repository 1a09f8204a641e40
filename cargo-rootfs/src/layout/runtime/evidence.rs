//! Evidence for files without a rule: paths among the constants of packed ELF files, and the packages that own them.
//!
//! Files of the object's package, or of its dependencies, are added up to a limit; the others are suggested. Rules run
//! first, and a file that a rule covers is skipped.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use super::super::root::Root;
use super::super::take::Taking;
use super::super::units;
use super::super::worklist::Worklist;
use super::brought::Brought;
use super::constants::{self, Named};
use super::kin::{is_own_configuration, is_own_directory, may_open, needs, of_directory, own_modules};
use super::offers::Offers;
use super::subjects::{Reach, Subject};
use super::{Call, Runtime};
use crate::elf::PathText;
use crate::error::Warning;
use crate::glob::{Bindings, Glob};
use crate::packages::{Database, PackageId};
use crate::path::RootfsPath;
use crate::policy::Judge;
use crate::resolve::FileId;
use crate::rootfs::Origin;
use crate::sysroot::{End, Sysroot};

/// The maximum size of one package or path that is added without a request.
pub(super) const MOST: u64 = 32 << 20;

/// A directory with more packages than this belongs to none of them.
const SHARED: usize = 8;

/// The effect of evidence: additional files, or only a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weigh {
    /// `--runtime auto`
    Take,
    /// `--runtime rules`
    Tell,
}

/// The state of the search for evidence.
pub(super) struct Evidence {
    pub(super) weigh: Weigh,
    pub(super) judge: Judge,
    /// A second view of the same sysroot: look-ups in it are no inputs of the rootfs.
    pub(super) scout: Option<Sysroot>,
    /// The numbers of roots, others and taken files that were examined.
    pub(super) looked: (usize, usize, usize),
    pub(super) seen: FxHashSet<FileId>,
    pub(super) scripts: FxHashSet<RootfsPath>,
    /// The number of examined modules of interpreters.
    pub(super) modules: usize,
    /// Packages and paths with a decision.
    pub(super) decided: BTreeSet<(PackageId, Option<RootfsPath>)>,
    /// The needs of packages that were looked up.
    needs: BTreeMap<PackageId, Vec<PackageId>>,
    /// Packages that are added completely.
    pub(super) whole: BTreeSet<PackageId>,
    /// Programs that a named tool starts: it may not work without them, whatever they need.
    pub(super) started: FxHashSet<RootfsPath>,
    pub(super) exclude: Vec<Glob>,
    /// The services in the packages of named tools; at the end those that start a packed program.
    pub(super) services: Vec<RootfsPath>,
    pub(super) brought: Brought,
    pub(super) offers: Offers,
}

impl Evidence {
    pub(super) fn new(weigh: Weigh, bindings: &Bindings<'_>) -> Self {
        let judge = Judge::new(bindings);
        Self {
            weigh,
            scout: None,
            looked: (0, 0, 0),
            seen: FxHashSet::default(),
            scripts: FxHashSet::default(),
            modules: 0,
            decided: BTreeSet::new(),
            needs: BTreeMap::new(),
            whole: BTreeSet::new(),
            started: FxHashSet::default(),
            services: Vec::new(),
            exclude: judge.left_out().to_vec(),
            judge,
            brought: Brought::default(),
            offers: Offers::default(),
        }
    }

    /// The additions, as a status line of the run.
    pub(super) fn line(&self) -> Option<String> {
        if self.weigh == Weigh::Take { self.brought.line() } else { None }
    }

    /// All reports.
    pub(super) fn warnings(&self, root: &std::path::Path) -> Vec<Warning> {
        let told = self.brought.warning(self.weigh);
        told.into_iter().chain(self.offers.warnings(root)).collect()
    }
}

impl Runtime<'_> {
    /// Examines files that were packed since the last call. Returns the rules that their packages and constants fire,
    /// and the roots that get a closure.
    pub(super) fn weigh(&mut self, worklist: &mut Worklist<'_>) -> (Vec<Call>, Vec<Root>) {
        let Some(mut evidence) = self.evidence.take() else { return Default::default() };
        let subjects = evidence.subjects(self, worklist);
        let mut found = (Vec::new(), Vec::new());
        if !subjects.is_empty() {
            Weighing { evidence: &mut evidence, runtime: self, worklist, roots: &mut found.1 }
                .all(subjects, &mut found.0);
        }
        found.1.retain(|root| evidence.is_within_bound(worklist, root));
        self.evidence = Some(evidence);
        found
    }

    /// Chooses the services that start a packed program.
    pub(super) fn start(&mut self, worklist: &mut Worklist<'_>) {
        let Some(evidence) = &mut self.evidence else { return };
        let (view, worked) = (&mut *worklist.view, &worklist.worked);
        evidence.services.retain(|path| {
            let text = view.read_small(path, LONGEST_CONFIGURATION).and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.unwrap_or_default();
            units::programs(&text).any(|program| {
                let real = view.walk(&program).path;
                worked.closures.iter().any(|it| it.realpath == real)
                    || worked.scripts.iter().any(|it| it.realpath == real)
            })
        });
    }
}

impl Evidence {
    /// Returns whether the additional needs of a file are within the limit.
    fn is_within_bound(&mut self, worklist: &mut Worklist<'_>, root: &Root) -> bool {
        let Ok(closure) = worklist.resolvers.of(root).closure(worklist.view, &root.path) else { return true };
        let known: FxHashSet<FileId> =
            worklist.worked.closures.iter().flat_map(|it| &it.objects).map(|it| it.file).collect();
        let new = closure.objects.iter().filter(|object| !known.contains(&object.file));
        let size: u64 = new.map(|object| worklist.view.info(object.file).host.size).sum();
        let most = if self.started.contains(&root.path) { 2 * MOST } else { MOST };
        if size > most {
            self.offers.large_closure(&root.path, size);
        }
        size <= most
    }
}

/// One examination of new subjects.
pub(super) struct Weighing<'w, 'r, 't, 'l> {
    pub(super) evidence: &'w mut Evidence,
    pub(super) runtime: &'r mut Runtime<'t>,
    pub(super) worklist: &'w mut Worklist<'l>,
    pub(super) roots: &'w mut Vec<Root>,
}

impl Weighing<'_, '_, '_, '_> {
    /// The packages that a package and its parts depend on.
    pub(super) fn needs(&mut self, database: &Database, owner: PackageId) -> Vec<PackageId> {
        let (view, policy) = (&*self.worklist.view, &self.runtime.taken.policy);
        self.evidence.needs.entry(owner).or_insert_with(|| needs(database, view, policy, owner)).clone()
    }

    fn all(&mut self, mut subjects: Vec<Subject>, calls: &mut Vec<Call>) {
        self.evidence.scout.get_or_insert_with(|| self.worklist.view.afresh());
        let scripts: Vec<usize> = (0..subjects.len()).filter(|at| subjects[*at].file.is_none()).collect();
        for at in scripts {
            let modules = self.modules(&subjects[at]);
            subjects.extend(modules);
        }
        let mut named: Vec<(usize, Named)> = Vec::new();
        for (at, subject) in subjects.iter().enumerate() {
            let texts = match subject.file {
                Some(file) if subject.reach == Reach::Project => self.texts_of_project(subject, file),
                Some(file) => self.worklist.view.path_texts(file),
                None if subject.is_configuration() => {
                    let text = self.worklist.view.read_small(&subject.realpath, LONGEST_CONFIGURATION);
                    let directory = subject.realpath.parent();
                    constants::of_configuration(&text.unwrap_or_default(), &self.runtime.lib, directory.as_ref())
                }
                None if subject.reach == Reach::Imports => BTreeSet::new(),
                None if subject.reach == Reach::Directories => {
                    constants::of_configuration(&self.text(&subject.realpath), &[], None)
                }
                None => constants::of_script(&self.text(&subject.realpath)),
            };
            let directories_alone = subject.reach == Reach::Directories;
            if !directories_alone {
                self.mentions(&texts, subject, calls);
            }
            let starts = self.starts(subject, &texts);
            let Some(scout) = &mut self.evidence.scout else { return };
            let judge = &self.evidence.judge;
            let is_general = |path: &RootfsPath| judge.is_general(path) && !may_open(subject, path);
            let found = constants::there(scout, &texts, |path| is_general(path) || !starts && judge.is_started(path));
            let found = found.into_iter().filter(|it| !directories_alone || matches!(it.end, End::Dir(_)));
            named.extend(found.map(|it| (at, it)));
            if subject.is_named && matches!(subject.reach, Reach::Module | Reach::Imports) {
                named.extend(self.imported(subject).into_iter().map(|it| (at, it)));
            }
        }
        named.extend(self.elsewhere(&subjects));
        self.states(&subjects, &named);
        named.retain(|(at, it)| self.is_open(&subjects[*at], it));

        let (runtime, view) = (&mut *self.runtime, &mut *self.worklist.view);
        let opened = runtime.installed.database(view);
        let holders = opened.as_ref().map(|database| {
            let paths =
                subjects.iter().map(|it| it.realpath.clone()).chain(named.iter().map(|(_, it)| it.real.clone()));
            let mut holders = database.holders(view, &paths.collect::<Vec<_>>());
            let settings = subjects.iter().zip(&mut holders).filter(|(it, _)| it.is_configuration());
            for (subject, holders) in settings.filter(|(_, holders)| holders.is_empty()) {
                *holders = of_directory(database, view, &subject.realpath);
            }
            holders
        });
        if let (Some(database), Some(holders)) = (&opened, &holders) {
            // Rules about a package come first: they may cover it.
            for (subject, holders) in subjects.iter_mut().zip(holders).filter(|(it, _)| it.reach == Reach::Package) {
                let file = subject.file.filter(|_| subject.is_named && self.is_of_libc(database, holders));
                if let Some(file) = file {
                    self.runtime.meet_own_imports(self.worklist.view, file, &subject.realpath, calls);
                }
                let mut called = Vec::new();
                for &id in holders {
                    self.runtime.rules.of_package(database.package(id).name.as_bytes(), &mut |it| called.push(it));
                }
                let rules = &mut self.runtime.rules;
                if called.iter().any(|it| rules.get(it.rule).is_some_and(|rule| !rule.partial)) {
                    subject.reach = Reach::Constants;
                }
                calls.extend(called.into_iter().map(|triggered| Call::new(triggered, &subject.realpath)));
            }
            own_modules(database, &mut subjects, holders);
            self.packages(database, &subjects, holders);
            self.programs(database, &subjects, holders);
            self.questions(database, &subjects, holders);
            self.alternatives(&subjects);
            self.opened(database, &subjects, holders);
            let rest = &holders[subjects.len()..];
            for ((at, named), holders_of_it) in named.iter().zip(rest) {
                self.named(database, &subjects[*at], &holders[*at], named, holders_of_it);
            }
        } else {
            let tools = subjects.iter().filter(|it| it.has_prefix());
            tools.for_each(|subject| self.prefix(subject));
            for (at, named) in &named {
                // Every system has a shell.
                if self.evidence.judge.is_started(&named.path) && subjects[*at].reach != Reach::Project {
                    let because = format!("{}, which runs it (--runtime auto)", subjects[*at].name);
                    let origin = Origin::Package { name: "sh".into(), because: because.into() };
                    self.taking(&origin, |taking| taking.path(&named.path));
                    continue;
                }
                let is_directory = matches!(named.end, End::Dir(_));
                if subjects[*at].reach == Reach::Directories {
                    continue;
                }
                if is_directory && is_own_directory(&subjects[*at], &named.path) {
                    self.beside(&subjects[*at], &named.path);
                    continue;
                }
                self.evidence.offers.path(named, &subjects[*at].name, subjects[*at].reach == Reach::Project, None, 0);
            }
        }
    }

    /// Returns whether packages have the source of the C library, as that of iconv(1): their tools are made to use it.
    fn is_of_libc(&mut self, database: &Database, packages: &[PackageId]) -> bool {
        let mut objects = self.worklist.worked.closures.iter().flat_map(|closure| &closure.objects);
        let Some(libc) = objects.find(|object| &*object.needed == b"libc.so.6").map(|it| it.realpath.clone()) else {
            return false;
        };
        let owner = database.holders(self.worklist.view, &[libc]).concat();
        packages.iter().any(|id| owner.iter().any(|owner| database.are_of_one_source(*id, *owner)))
    }

    /// Fires rules for paths among constants.
    fn mentions(&mut self, texts: &BTreeSet<PathText>, subject: &Subject, calls: &mut Vec<Call>) {
        for text in texts {
            self.runtime.rules.of_mention(&text.bytes, subject.reach == Reach::Project, &mut |triggered| {
                calls.push(Call::by_part(triggered, &subject.realpath));
            });
        }
    }

    /// Returns whether a file that names a shell starts it: libraries name it for what they offer alone.
    fn starts(&mut self, subject: &Subject, texts: &BTreeSet<PathText>) -> bool {
        let judge = &self.evidence.judge;
        let is_started = |text: &crate::elf::PathText| {
            RootfsPath::from_bytes(&text.bytes).is_some_and(|path| judge.is_started(&path))
        };
        let Some(file) = subject.file.filter(|_| texts.iter().any(|text| text.is_whole && is_started(text))) else {
            return false;
        };
        !self.worklist.view.imports_of(file, judge.starters()).is_empty()
    }

    /// Adds directories of state that subjects name, such as /var/lib/mysql, without their contents, which are the machine's.
    fn states(&mut self, subjects: &[Subject], named: &[(usize, Named)]) {
        for (at, it) in named.iter().filter(|(at, it)| subjects[*at].is_own && matches!(it.end, End::Dir(_))) {
            let is_state = it.path.components().next() == Some(b"var")
                && self.runtime.taken.policy.secrets().of_path(&it.path).is_some();
            if is_state && self.evidence.weigh == Weigh::Take && !self.runtime.paths.contains(&it.path) {
                let name = &subjects[*at].name;
                self.taking(&origin(name, name, "which keeps its state there"), |taking| taking.one(&it.path));
            }
        }
    }

    /// Returns whether a path is neither packed nor one that no program misses.
    fn is_open(&mut self, subject: &Subject, named: &Named) -> bool {
        let is_file = matches!(named.end, End::File(_));
        // A package's directory may have files that its scripts made.
        let is_packed = |path: &RootfsPath| self.runtime.paths.contains(path);
        let is_packed = match &mut self.evidence.scout {
            Some(scout) if !is_file && is_packed(&named.real) => {
                scout.names(&named.real).iter().all(|name| is_packed(&named.real.child(name)))
            }
            _ => is_packed(&named.path) || is_packed(&named.real),
        };
        let policy = &self.runtime.taken.policy;
        let is_general =
            |path: &RootfsPath| self.evidence.judge.is_general(path) && !(is_file && may_open(subject, path));
        !(is_packed
            || policy.is_noise(&named.path)
            || policy.is_noise(&named.real)
            || policy.secrets().of_path(&named.path).is_some()
            || self.worklist.view.is_hidden(&named.real)
            || policy.is_documentation("", &named.path)
            || is_general(&named.path)
            || is_general(&named.real))
    }

    /// Decides about a path among the constants of a subject.
    fn named(
        &mut self,
        database: &Database,
        subject: &Subject,
        owners: &[PackageId],
        named: &Named,
        holders: &[PackageId],
    ) {
        let is_file = matches!(named.end, End::File(_));
        // Whoever puts something into a tool's own directory puts it there for the tool.
        let is_own = !is_file && is_own_directory(subject, &named.path);
        if holders.is_empty() && is_file && named.is_made_by_nobody() || holders.len() > SHARED && !is_own {
            return;
        }
        let is_excluded = |path: &RootfsPath| {
            let mut on_the_way = std::iter::successors(Some(path.clone()), RootfsPath::parent);
            on_the_way.any(|it| self.evidence.exclude.iter().any(|glob| glob.matches(&it).is_some()))
        };
        let has_programs = |path: &RootfsPath| self.evidence.judge.has_programs(path);
        if !is_file && (has_programs(&named.path) || has_programs(&named.real)) {
            return;
        }
        if !is_file && (is_excluded(&named.path) || is_excluded(&named.real)) {
            return;
        }
        let needed: Vec<Vec<PackageId>> = owners.iter().map(|owner| self.needs(database, *owner)).collect();
        // Packages of every system are not listed as dependencies.
        let core = database.core();
        let is_related = |owner: PackageId, needed: &[PackageId], holder: PackageId| {
            owner == holder
                || database.are_of_one_source(owner, holder)
                || needed.contains(&holder)
                || core.contains(&holder)
        };
        let related = owners
            .iter()
            .zip(&needed)
            .find_map(|(owner, needed)| holders.iter().find(|holder| is_own || is_related(*owner, needed, **holder)));
        let made = owners.first().filter(|_| holders.is_empty() && is_file);
        let made = made.filter(|owner| is_own_configuration(database, self.worklist.view, **owner, &named.path));
        let related = related.or(made);
        let first = related.or(holders.first());
        let key = first.map(|id| (*id, Some(named.path.clone())));
        if key.is_some_and(|key| !self.evidence.decided.insert(key)) {
            return;
        }
        let name = first.map(|id| &*database.package(*id).name);
        let (count, size) = self.measure(&named.real);
        match (related, name) {
            (Some(_), Some(name)) if size <= MOST && count > 0 => {
                if !first.is_some_and(|id| self.evidence.whole.contains(id)) {
                    self.evidence.brought.named(name, &subject.name, count, size);
                }
                if self.evidence.weigh == Weigh::Take {
                    let origin = origin(name, &subject.name, "which names it");
                    let path = named.path.clone();
                    if subject.is_named {
                        self.evidence.started.insert(path.clone());
                    }
                    self.taking(&origin, |taking| {
                        taking.exclude = if is_file { &[] } else { taking.exclude };
                        taking.path(&path);
                    });
                }
            }
            _ if count == 0 || !subject.is_own => {}
            _ => {
                let is_first = subject.reach == Reach::Project;
                // A package may own the directory, while one of its scripts has made the contents.
                let view = &mut *self.worklist.view;
                let is_below =
                    |path: &RootfsPath| [&named.real, &named.path].iter().any(|it| path.is_within(it) && path != *it);
                let has = |id| is_file || database.files(view, id).iter().any(is_below);
                let name = name.filter(|_| first.copied().is_some_and(has));
                self.evidence.offers.path(named, &subject.name, is_first, name, size);
            }
        }
    }

    /// The number and the size of the files at a path or below it.
    pub(super) fn measure(&mut self, path: &RootfsPath) -> (usize, u64) {
        /// Larger trees exceed every limit.
        const MOST_FILES: usize = 100_000;
        let Some(scout) = &mut self.evidence.scout else { return (0, 0) };
        let (mut count, mut size, mut left) = (0, 0, vec![path.clone()]);
        while let Some(path) = left.pop().filter(|_| count < MOST_FILES) {
            if self.evidence.exclude.iter().any(|glob| glob.matches(&path).is_some()) && !left.is_empty() {
                continue;
            }
            let walk = scout.walk(&path);
            match walk.end {
                End::File(file) => {
                    count += 1;
                    size += scout.info(file).host.size;
                }
                End::Dir(_) if walk.links.is_empty() => {
                    left.extend(scout.names(&path).iter().map(|name| path.child(name)));
                }
                _ => {}
            }
        }
        (count, size)
    }

    pub(super) fn taking(&mut self, origin: &Origin, take: impl FnOnce(&mut Taking<'_>)) {
        let mut taking = Taking {
            view: self.worklist.view,
            taken: &mut self.runtime.taken,
            machine: self.runtime.machine,
            exclude: &self.evidence.exclude,
            origin,
            roots: self.roots,
            count: 0,
        };
        take(&mut taking);
    }
}

/// Longer ones are tables.
const LONGEST_CONFIGURATION: usize = 1 << 16;

pub(super) fn origin(package: &str, subject: &str, how: &str) -> Origin {
    Origin::Package { name: package.into(), because: format!("{subject}, {how} (--runtime auto)").into() }
}

/// Sums by package, for short lines.
pub(super) type Sums = BTreeMap<String, (BTreeSet<String>, usize, u64)>;
