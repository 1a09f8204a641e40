//! Files and directories of the sysroot that a rule or a package takes: decides which of them are data, which get a
//! closure, and which are left out.
//!
//! [`super::place`] chooses their places in the rootfs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use goblin::elf::header::{EM_NONE, ET_DYN, ET_EXEC};
use rustc_hash::{FxHashMap, FxHashSet};

use super::place::{IfThere, Layout};
use super::root::Root;
use super::secrets::{self, Secret};
use crate::error::{Result, Warning};
use crate::glob::{Glob, any_matches};
use crate::path::RootfsPath;
use crate::policy::{Policy, is_module, is_plugin};
use crate::resolve::{FileId, Files};
use crate::rootfs::Origin;
use crate::sysroot::{Below, End, Sysroot};
use crate::target::Machine;
use crate::wording::and_more;

/// The taken data, in the order of taking.
pub(super) struct Taken {
    pub(super) policy: Arc<Policy>,
    items: Vec<(RootfsPath, Origin)>,
    /// The items of a path: one for each rule or package.
    known: FxHashMap<RootfsPath, Vec<usize>>,
    /// The files left out, by taker and reason.
    left_out: BTreeMap<(String, &'static str), Vec<RootfsPath>>,
    held_back: BTreeMap<RootfsPath, Secret>,
    /// Symlinks out of a directory to another one, with its path: they come if it does.
    links: BTreeMap<RootfsPath, (RootfsPath, Origin)>,
    /// Prefixes of tools that were named by path.
    pub(super) named: Vec<RootfsPath>,
    /// Files and directories that a rule excludes.
    pub(super) excluded: BTreeSet<RootfsPath>,
    /// The files that the current user may not read.
    unreadable: BTreeSet<RootfsPath>,
}

impl Taken {
    pub(super) fn new(policy: &Arc<Policy>) -> Self {
        Self {
            policy: Arc::clone(policy),
            items: Vec::new(),
            known: FxHashMap::default(),
            left_out: BTreeMap::new(),
            held_back: BTreeMap::new(),
            links: BTreeMap::new(),
            named: Vec::new(),
            excluded: BTreeSet::new(),
            unreadable: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &RootfsPath> {
        self.items.iter().map(|(path, _)| path)
    }

    /// Paths that rules took because of `file`, and not because of one of `others` as well.
    pub(super) fn because_of<'t>(
        &'t self,
        file: &'t RootfsPath,
        others: &'t FxHashSet<RootfsPath>,
    ) -> impl Iterator<Item = &'t RootfsPath> {
        let because = |origin: &'t Origin| match origin {
            Origin::Rule { because, .. } => Some(because),
            _ => None,
        };
        let is_others = move |index: &usize| because(&self.items[*index].1).is_some_and(|it| others.contains(it));
        let its = self.items.iter().filter(move |(_, origin)| because(origin) == Some(file)).map(|(path, _)| path);
        its.filter(move |path| !self.known[*path].iter().any(is_others))
    }

    pub(super) fn path(&self, index: usize) -> &RootfsPath {
        &self.items[index].0
    }

    pub(super) fn item(&self, index: usize) -> (&RootfsPath, &Origin) {
        let (path, origin) = &self.items[index];
        (path, origin)
    }

    fn add(&mut self, path: &RootfsPath, origin: &Origin) {
        let known = self.known.entry(path.clone()).or_default();
        if !known.iter().any(|index| self.items[*index].1 == *origin) {
            known.push(self.items.len());
            self.items.push((path.clone(), origin.clone()));
        }
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = Warning> {
        self.left_out.iter().map(|((by, why), paths)| {
            let paths = and_more(paths.iter().map(|path| format!("`{path}`")), 1);
            Warning::new(format!("left out {paths} ({by}): {why}"))
        })
    }

    pub(super) fn lay_out(&self, layout: &mut Layout<'_>) -> Result<()> {
        for (path, secret) in &self.held_back {
            layout.surprises.held_back(path.clone(), *secret);
        }
        for path in &self.unreadable {
            layout.surprises.unreadable(path.clone());
        }
        self.items.iter().try_for_each(|(path, origin)| layout.copy(path, origin, IfThere::Keep))?;
        for (link, (directory, origin)) in &self.links {
            if layout.has(directory) {
                layout.copy(link, origin, IfThere::Keep)?;
            }
        }
        Ok(())
    }
}

/// The taking of files for one rule or package.
pub(super) struct Taking<'t> {
    pub(super) view: &'t mut Sysroot,
    pub(super) taken: &'t mut Taken,
    pub(super) machine: Machine,
    pub(super) exclude: &'t [Glob],
    pub(super) origin: &'t Origin,
    pub(super) roots: &'t mut Vec<Root>,
    pub(super) count: usize,
}

impl Taking<'_> {
    /// Takes a file, or a directory with everything below it.
    pub(super) fn path(&mut self, path: &RootfsPath) {
        let walk = self.view.walk(path);
        if self.is_excluded(path) || self.is_excluded(&walk.path) {
            return;
        }
        if self.is_secret(path) {
            // It is there: nothing is taken in its place.
            self.count += 1;
            return;
        }
        match walk.end {
            End::File(file) => self.file(path, file),
            End::Dir(_) => {
                self.count += 1;
                self.taken.add(path, self.origin);
                self.folder(&walk.path);
            }
            _ => {}
        }
    }

    /// Takes a file, or a directory without its contents.
    pub(super) fn one(&mut self, path: &RootfsPath) {
        match self.view.walk(path).end {
            End::Dir(_) => self.taken.add(path, self.origin),
            End::File(file) if !self.is_secret(path) => self.file(path, file),
            _ => {}
        }
    }

    /// Takes the files that a package of this name lists and the sysroot has, without documentation; returns their real
    /// paths.
    pub(super) fn package(&mut self, name: &str, files: &[RootfsPath]) -> Vec<RootfsPath> {
        // A directory with listed contents comes with them; only empty ones must be taken themselves.
        let folders: FxHashSet<RootfsPath> = files.iter().filter_map(RootfsPath::parent).collect();
        let mut excluded = FxHashMap::default();
        let mut real = Vec::new();
        for path in files {
            if self.taken.policy.is_documentation(name, path) {
                continue;
            }
            let walk = self.view.walk(path);
            let is_there = matches!(walk.end, End::File(_) | End::Dir(_));
            if !is_there || self.is_below_excluded(path, &mut excluded) {
                continue;
            }
            match walk.end {
                End::Dir(_) if folders.contains(path) => continue,
                End::File(_) => real.push(walk.path),
                _ => {}
            }
            self.one(path);
        }
        real
    }

    /// Returns whether it or a parent directory is excluded; each directory is checked once.
    fn is_below_excluded(&self, path: &RootfsPath, known: &mut FxHashMap<RootfsPath, bool>) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        let (mut asked, mut is_excluded) = (Vec::new(), false);
        let mut next = Some(path.clone());
        while let Some(folder) = next.filter(|_| !is_excluded) {
            if let Some(known) = known.get(&folder) {
                is_excluded = *known;
                break;
            }
            is_excluded = self.is_excluded(&folder);
            next = folder.parent();
            asked.push(folder);
        }
        known.extend(asked.into_iter().map(|folder| (folder, is_excluded)));
        is_excluded
    }

    fn folder(&mut self, top: &RootfsPath) {
        let mut below = Below::of(top.clone());
        while let Some(child) = below.next(self.view) {
            if self.is_excluded(&child) {
                self.taken.excluded.insert(child);
                continue;
            }
            if self.is_secret(&child) {
                continue;
            }
            let walk = self.view.walk(&child);
            match walk.end {
                End::Dir(_) if walk.links.is_empty() => {
                    self.taken.add(&child, self.origin);
                    below.enter(child);
                }
                // A symlink to a directory of the same tree: the directory itself is taken too.
                End::Dir(_) if walk.path.is_within(top) => self.taken.add(&child, self.origin),
                End::Dir(_) => drop(self.taken.links.insert(child, (walk.path, self.origin.clone()))),
                End::File(file) => self.file(&child, file),
                _ => {}
            }
        }
    }

    fn file(&mut self, path: &RootfsPath, file: FileId) {
        let info = self.view.info(file);
        let (mode, host) = (info.mode, info.host.path.clone());
        // Nearly all files are readable for everyone; for the others the kernel is queried.
        if mode & 0o004 == 0 && rustix::fs::access(&host, rustix::fs::Access::READ_OK).is_err() {
            self.taken.unreadable.insert(path.clone());
            return;
        }
        self.count += 1;
        let is_executable = mode & 0o111 != 0;
        if !is_executable && !is_plugin(path.file_name()) {
            return self.taken.add(path, self.origin);
        }
        let head = self.view.head(file, 4);
        if head.starts_with(b"\x7fELF") {
            match self.view.object(file) {
                // An ELF file for no processor is data, such as Guile's compiled modules.
                Ok(object) if !matches!(object.e_type, ET_DYN | ET_EXEC) || object.machine.e_machine == EM_NONE => {}
                Ok(object) if object.machine != self.machine => {
                    return self.leave_out(path, "it is for another architecture");
                }
                Ok(_) => {
                    let name = path.to_string();
                    return self.roots.push(Root::new(name, self.origin.clone(), path.clone()).optional());
                }
                Err(_) => {}
            }
        }
        if head.starts_with(b"#!") && is_executable && !is_module(path.file_name()) {
            self.roots.push(Root::new(path.to_string(), self.origin.clone(), path.clone()).optional());
            return;
        }
        self.taken.add(path, self.origin);
    }

    fn leave_out(&mut self, path: &RootfsPath, why: &'static str) {
        let by = match self.origin {
            Origin::Rule { name, .. } => format!("rule {name}"),
            Origin::Package { name, .. } => format!("package {name}"),
            other => other.to_string(),
        };
        self.taken.left_out.entry((by, why)).or_default().push(path.clone());
    }

    /// Returns whether a file is a secret or belongs to one machine. Neither a rule nor a package may take it, even by
    /// name: they do not speak for the user.
    fn is_secret(&mut self, path: &RootfsPath) -> bool {
        let secret = secrets::judged(self.view, &self.taken.policy, path, &self.taken.named);
        if let Some(secret) = secret {
            self.taken.held_back.insert(path.clone(), secret);
        }
        secret.is_some()
    }

    fn is_excluded(&self, path: &RootfsPath) -> bool {
        any_matches(self.exclude, path)
    }
}
