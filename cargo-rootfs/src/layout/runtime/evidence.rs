//! Evidence for files without a rule: paths among the constants of packed ELF files, and the packages that own them.
//!
//! Files of the object's package, or of its dependencies, are added up to a limit; the others are suggested. Rules run
//! first, and a file that a rule covers is skipped.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use super::super::root::Root;
use super::super::take::Taking;
use super::super::worklist::Worklist;
use super::brought::Brought;
use super::constants::{self, Named};
use super::offers::Offers;
use super::prefixes::prefix_of;
use super::subjects::{Reach, Subject};
use super::{Call, Runtime};
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
    scout: Option<Sysroot>,
    /// The numbers of roots, others and taken files that were examined.
    pub(super) looked: (usize, usize, usize),
    pub(super) seen: FxHashSet<FileId>,
    pub(super) scripts: FxHashSet<RootfsPath>,
    /// Packages and paths with a decision.
    decided: BTreeSet<(PackageId, Option<RootfsPath>)>,
    /// Packages that are added completely.
    whole: BTreeSet<PackageId>,
    exclude: Vec<Glob>,
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
            decided: BTreeSet::new(),
            whole: BTreeSet::new(),
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
}

impl Evidence {
    /// Returns whether the additional needs of a file are within the limit.
    fn is_within_bound(&mut self, worklist: &mut Worklist<'_>, root: &Root) -> bool {
        let Ok(closure) = worklist.resolvers.of(root).closure(worklist.view, &root.path) else { return true };
        let known: FxHashSet<FileId> =
            worklist.worked.closures.iter().flat_map(|it| &it.objects).map(|it| it.file).collect();
        let new = closure.objects.iter().filter(|object| !known.contains(&object.file));
        let size: u64 = new.map(|object| worklist.view.info(object.file).host.size).sum();
        if size > MOST {
            self.offers.large(&root.path.to_string(), "what it needs", size);
        }
        size <= MOST
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
    fn all(&mut self, mut subjects: Vec<Subject>, calls: &mut Vec<Call>) {
        if self.evidence.scout.is_none() {
            self.evidence.scout = Sysroot::open(self.worklist.view.root()).ok();
        }
        let scripts: Vec<usize> = (0..subjects.len()).filter(|at| subjects[*at].file.is_none()).collect();
        for at in scripts {
            let modules = self.modules(&subjects[at]);
            subjects.extend(modules);
        }
        let mut named: Vec<(usize, Named)> = Vec::new();
        for (at, subject) in subjects.iter().enumerate() {
            let texts = match subject.file {
                Some(file) => self.worklist.view.path_texts(file),
                None if subject.reach == Reach::Constants => {
                    let text = self.worklist.view.read_small(&subject.realpath, LONGEST_CONFIGURATION);
                    constants::of_configuration(&text.unwrap_or_default(), &self.runtime.lib)
                }
                None => constants::of_script(&self.text(&subject.realpath)),
            };
            self.mentions(&texts, subject, calls);
            let Some(scout) = &mut self.evidence.scout else { return };
            let judge = &self.evidence.judge;
            let found = constants::there(scout, &texts, |path| judge.is_general(path));
            named.extend(found.into_iter().map(|it| (at, it)));
        }
        named.retain(|(_, it)| self.is_open(it));

        let (runtime, view) = (&mut *self.runtime, &mut *self.worklist.view);
        let opened = runtime.installed.database(view);
        let holders = opened.as_ref().map(|database| {
            let paths =
                subjects.iter().map(|it| it.realpath.clone()).chain(named.iter().map(|(_, it)| it.real.clone()));
            database.holders(view, &paths.collect::<Vec<_>>())
        });
        if let (Some(database), Some(holders)) = (&opened, &holders) {
            // Rules about a package come first: they may cover it.
            for (subject, holders) in subjects.iter_mut().zip(holders).filter(|(it, _)| it.reach == Reach::Package) {
                let mut called = Vec::new();
                for &id in holders {
                    self.runtime.rules.of_package(database.package(id).name.as_bytes(), &mut |it| called.push(it));
                }
                let rules = &mut self.runtime.rules;
                if called.iter().any(|it| rules.get(it.rule).is_some_and(|rule| !rule.partial)) {
                    subject.reach = Reach::Nothing;
                }
                calls.extend(called.into_iter().map(|triggered| Call::new(triggered, &subject.realpath)));
            }
            self.packages(database, &subjects, holders);
            self.programs(database, &subjects, holders);
            let rest = &holders[subjects.len()..];
            for ((at, named), holders_of_it) in named.iter().zip(rest) {
                if subjects[*at].reach == Reach::Nothing {
                    continue;
                }
                self.named(database, &subjects[*at], &holders[*at], named, holders_of_it);
            }
        } else {
            let tools = subjects.iter().filter(|it| it.reach == Reach::Package);
            tools.for_each(|subject| self.prefix(subject));
            for (at, named) in &named {
                self.evidence.offers.path(named, &subjects[*at].name, subjects[*at].reach == Reach::Project, None, 0);
            }
        }
    }

    /// Fires rules for paths among constants.
    fn mentions(&mut self, texts: &BTreeSet<crate::elf::PathText>, subject: &Subject, calls: &mut Vec<Call>) {
        for text in texts {
            self.runtime.rules.of_mention(&text.bytes, &mut |triggered| {
                calls.push(Call::by_part(triggered, &subject.realpath));
            });
        }
    }

    /// Returns whether a path is not packed and may be missed by a program.
    fn is_open(&self, named: &Named) -> bool {
        let policy = &self.runtime.taken.policy;
        let is_packed = |path: &RootfsPath| self.runtime.paths.contains(path);
        !(is_packed(&named.path)
            || is_packed(&named.real)
            || policy.is_noise(&named.path)
            || policy.is_noise(&named.real)
            || policy.secrets().of_path(&named.path).is_some()
            || self.worklist.view.is_hidden(&named.real)
            || policy.is_documentation("", &named.path)
            || self.evidence.judge.is_general(&named.path)
            || self.evidence.judge.is_general(&named.real))
    }

    /// Adds the rest of the packages that own subjects.
    fn packages(&mut self, database: &Database, subjects: &[Subject], holders: &[Vec<PackageId>]) {
        for (subject, holders) in subjects.iter().zip(holders).filter(|(it, _)| it.reach == Reach::Package) {
            let Some(&owner) = holders.first() else {
                if subject.file.is_some() || !self.worklist.view.is_outside(&subject.realpath) {
                    self.prefix(subject);
                }
                continue;
            };
            for id in database.parts(owner) {
                if !self.evidence.decided.insert((id, None)) {
                    continue;
                }
                let package = database.package(id);
                if self.evidence.judge.is_self_contained_package(package.name.as_bytes()) {
                    continue;
                }
                let files = database.files(self.worklist.view, id);
                let (files, count, size) = self.wanted(&package.name, files);
                if files.is_empty() {
                    continue;
                }
                let name = &*package.name;
                // Without its own files, a named tool may not start at all.
                let most = if subject.is_named { 2 * MOST } else { MOST };
                if size > most {
                    self.evidence.offers.large(name, &subject.name, size);
                    continue;
                }
                self.evidence.whole.insert(id);
                if count > 0 {
                    self.evidence.brought.package(name, &subject.name, count, size);
                }
                if self.evidence.weigh == Weigh::Take {
                    let origin = origin(name, &subject.name, "whose package it is");
                    self.taking(&origin, |taking| {
                        // `wanted` has already removed the files that are left out.
                        taking.exclude = &[];
                        taking.package(name, &files);
                    });
                }
            }
        }
    }

    /// The useful files of a package, their number and size.
    fn wanted(&mut self, name: &str, files: Vec<RootfsPath>) -> (Vec<RootfsPath>, usize, u64) {
        let Some(scout) = &mut self.evidence.scout else { return Default::default() };
        let policy = &self.runtime.taken.policy;
        let exclude = &self.evidence.exclude;
        // A list may have a file behind a symlink of a merged /usr.
        let files: Vec<_> = files.into_iter().map(|path| (scout.place(&path).path, path)).collect();
        let folders: FxHashSet<RootfsPath> =
            files.iter().flat_map(|(real, _)| std::iter::successors(real.parent(), RootfsPath::parent)).collect();
        let is_wanted = |(real, path): &(RootfsPath, RootfsPath)| {
            let mut on_the_way = std::iter::successors(Some(real.clone()), RootfsPath::parent);
            !folders.contains(real)
                && !policy.is_documentation(name, path)
                && !self.runtime.paths.contains(real)
                && !on_the_way.any(|it| exclude.iter().any(|glob| glob.matches(&it).is_some()))
        };
        let mut wanted: Vec<_> = files.into_iter().filter(is_wanted).map(|(_, path)| path).collect();
        let (mut count, mut size) = (0, 0);
        wanted.retain(|path| {
            let walk = scout.walk(path);
            let End::File(file) = walk.end else { return matches!(walk.end, End::Dir(_)) };
            let is_program = scout.info(file).mode & 0o111 != 0
                && path.parent().is_some_and(|directory| self.evidence.judge.has_programs(&directory));
            if is_program || policy.secrets().of_path(path).is_some() {
                return false;
            }
            count += 1;
            if walk.links.iter().all(|(link, _)| link.file_name() != path.file_name()) {
                size += scout.info(file).host.size;
            }
            true
        });
        (wanted, count, size)
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
        if holders.is_empty() && is_file && named.is_made_by_nobody() || holders.len() > SHARED {
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
        // Packages of every system are not listed as dependencies.
        let core = database.core();
        let is_related = |owner: PackageId, holder: PackageId| {
            owner == holder
                || database.are_of_one_source(owner, holder)
                || needs(database, owner).contains(&holder)
                || core.contains(&holder)
        };
        let related = owners.iter().find_map(|owner| holders.iter().find(|holder| is_related(*owner, **holder)));
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
                    self.taking(&origin, |taking| {
                        taking.exclude = if is_file { &[] } else { taking.exclude };
                        taking.path(&path);
                    });
                }
            }
            // Modules name paths that their language finds in any place.
            _ if count == 0 || subject.reach == Reach::Module => {}
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

    /// A tool outside of packages: adds the files beside it with its name.
    fn prefix(&mut self, subject: &Subject) {
        let Some(prefix) = prefix_of(&subject.realpath) else { return };
        let folders = ["lib", "libexec", "share", "etc"].map(|name| prefix.child(name.as_bytes()));
        let stem = subject.name.as_bytes();
        for folder in folders {
            for name in self.worklist.view.names(&folder) {
                let path = folder.child(&name);
                let rest = name.strip_prefix(stem);
                let is_its = rest.is_some_and(|rest| rest.first().is_none_or(|byte| !byte.is_ascii_alphabetic()));
                if !is_its || self.runtime.paths.contains(&path) {
                    continue;
                }
                let (count, size) = self.measure(&path);
                let text = path.to_string();
                if size > MOST {
                    self.evidence.offers.large(&text, &subject.name, size);
                } else if count > 0 {
                    self.evidence.brought.package(&text, &subject.name, count, size);
                    if self.evidence.weigh == Weigh::Take {
                        let origin = origin(&text, &subject.name, "which it lies beside");
                        self.taking(&origin, |taking| taking.path(&path));
                    }
                }
            }
        }
    }

    fn taking(&mut self, origin: &Origin, take: impl FnOnce(&mut Taking<'_>)) {
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

/// The maximum size of a configuration file; larger ones are tables.
const LONGEST_CONFIGURATION: usize = 1 << 16;

/// The dependencies of a package and its parts, and of those dependencies that are only names, such as
/// default-jre-headless.
pub(super) fn needs(database: &Database, owner: PackageId) -> Vec<PackageId> {
    let direct: Vec<PackageId> = database.parts(owner).into_iter().flat_map(|part| database.depends_on(part)).collect();
    let is_name_alone = |id: &&PackageId| database.package(**id).name.starts_with("default-");
    let behind: Vec<PackageId> = direct.iter().filter(is_name_alone).flat_map(|id| database.depends_on(*id)).collect();
    [direct, behind].concat()
}

pub(super) fn origin(package: &str, subject: &str, how: &str) -> Origin {
    Origin::Package { name: package.into(), because: format!("{subject}, {how} (--runtime auto)").into() }
}

/// Sums by package, for short lines.
pub(super) type Sums = BTreeMap<String, (BTreeSet<String>, usize, u64)>;
