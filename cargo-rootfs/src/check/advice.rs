//! Advice of `check`: tries additions in memory, each time in a new rootfs, until the command works or requests nothing
//! new.
//!
//! One run of a command shows only a part of its needs, so several runs follow. Every addition is assembled and proved
//! as from the command line; an addition that cannot be packed is reported.

use std::collections::BTreeSet;

use super::missing::{Add, Missing, Weight};
use super::{Check, Status, Subject, Tried};
use crate::enter::Command;
use crate::error::Result;
use crate::events::Events;
use crate::findings::owners;
use crate::layout::{self, Assembly, Content, Include, secrets};
use crate::path::RootfsPath;
use crate::sysroot::{Below, End, Sysroot};
use crate::watch::{Access, Event, Outcome};

/// The limit of runs until a command works.
const RUNS: usize = 16;
/// The limit of runs that try to leave additions out.
const LEAVING_OUT: usize = 12;
/// The growth of a rootfs in bytes above which a package is not taken in place of its requested files.
const MUCH: u64 = 64 << 20;
/// The limit of files counted in a directory.
const COUNTED: usize = 4096;

/// Additions to a rootfs, and the result of a command with them.
#[derive(Debug, Default)]
pub(crate) struct Advice {
    /// Without duplicates, in the order of the requests.
    pub(crate) add: Vec<Add>,
    /// True if the command works with them.
    pub(crate) works: bool,
    /// The status of the last run, in words, if the command does not work.
    pub(crate) how: String,
    /// Additions that cannot be packed, with the reason.
    pub(crate) refused: Vec<String>,
}

/// One subject, and the additions that are tried for it.
pub(super) struct Trial<'t, 'c> {
    pub(super) check: &'t Check<'c>,
    pub(super) subject: &'t Subject,
    pub(super) command: &'t Command,
    pub(super) sysroot: &'t mut Sysroot,
    pub(super) events: &'t dyn Events,
}

/// The used files of a directory.
struct Used {
    files: BTreeSet<RootfsPath>,
    /// True if the directory has no other files.
    is_all: bool,
}

/// A rootfs with additions, and a run in it.
struct Better {
    assembly: Assembly,
    tried: Tried,
}

impl Trial<'_, '_> {
    /// Finds additions for the missing files of `first`, a run without additions. `known` are the additions of other
    /// subjects.
    pub(super) fn advise(&mut self, first: &Tried, known: &[Add]) -> Result<Advice> {
        let mut advice = Advice::default();
        let mut refused: BTreeSet<Add> = BTreeSet::new();
        let mut wanted = worth(first);
        let mut optional: BTreeSet<Add> = BTreeSet::new();
        let mut last: Option<Better> = None;
        for _ in 0..RUNS {
            let mut new: Vec<Missing> = Vec::new();
            for one in wanted {
                let is_new = |add: &Add| !advice.add.contains(add) && !refused.contains(add);
                if is_new(&one.add) && self.may_be_packed(&one.add) {
                    new.push(one);
                }
            }
            if new.is_empty() {
                break;
            }
            let size = last.as_ref().map_or(self.check.rooted.assembly.rootfs.size(), |it| it.assembly.rootfs.size());
            let Some((assembly, taken)) = self.with(known, &advice.add, &new, size, &mut refused, &mut advice.refused)
            else {
                break;
            };
            let is_optional = |add: &&Add| new.iter().any(|one| one.add == **add && one.weight == Weight::Optional);
            optional.extend(taken.iter().filter(is_optional).cloned());
            advice.add.extend(taken);
            let tried = self.run(&assembly)?;
            wanted = worth(&tried);
            let is_over = tried.is_content();
            last = Some(Better { assembly, tried });
            if is_over {
                break;
            }
        }
        let Some(last) = last else { return Ok(advice) };
        advice.works = last.tried.is_content();
        if advice.works {
            self.only_used_directories(&mut advice, &last.tried, known)?;
            self.leave_out(&mut advice, &optional, known)?;
        } else {
            advice.how = last.tried.how(self.check.timeout);
        }
        Ok(advice)
    }

    /// The rootfs with `known`, `added` and each of `new` that can be packed; also returns the latter.
    fn with(
        &mut self,
        known: &[Add],
        added: &[Add],
        new: &[Missing],
        size: u64,
        refused: &mut BTreeSet<Add>,
        reasons: &mut Vec<String>,
    ) -> Option<(Assembly, Vec<Add>)> {
        let before: Vec<&Add> = known.iter().chain(added).collect();
        let all: Vec<&Add> = before.iter().copied().chain(new.iter().map(|one| &one.add)).collect();
        if let Ok(assembly) = self.assemble(&all) {
            if assembly.rootfs.size() <= size + MUCH {
                return Some((assembly, new.iter().map(|one| one.add.clone()).collect()));
            }
        }
        // One by one, because one of them cannot be packed or adds too much.
        let (mut taken, mut best): (Vec<Add>, Option<Assembly>) = (Vec::new(), None);
        for one in new {
            let so_far = best.as_ref().map_or(size, |it| it.rootfs.size());
            let in_its_place = match &one.add {
                Add::Package(_) if !self.check.is_provisioned() => {
                    one.files.iter().cloned().map(Add::Include).collect()
                }
                _ => Vec::new(),
            };
            for (candidate, is_last) in [(vec![one.add.clone()], in_its_place.is_empty()), (in_its_place, true)] {
                if candidate.is_empty() {
                    continue;
                }
                let all: Vec<&Add> = before.iter().copied().chain(&taken).chain(&candidate).collect();
                match self.assemble(&all) {
                    Ok(assembly) if is_last || assembly.rootfs.size() <= so_far + MUCH => {
                        taken.extend(candidate);
                        best = Some(assembly);
                        break;
                    }
                    Ok(_) => refused.extend(candidate),
                    Err(reason) => {
                        let what = candidate.iter().map(|add| add.value(self.sysroot.root())).collect::<Vec<_>>();
                        reasons.push(format!("cannot be added: {}: {reason}", what.join(", ")));
                        refused.extend(candidate);
                    }
                }
            }
        }
        best.map(|assembly| (assembly, taken))
    }

    /// Replaces directories: by the packages of their used files, or by the used files themselves if the directory has
    /// others.
    fn only_used_directories(&mut self, advice: &mut Advice, tried: &Tried, known: &[Add]) -> Result<()> {
        let events = &tried.watched.seen.events;
        let used: Vec<(Add, Option<Used>)> = advice
            .add
            .iter()
            .map(|add| match add {
                Add::Include(path) => (add.clone(), self.used_below(path, events)),
                _ => (add.clone(), None),
            })
            .collect();
        if used.iter().all(|(_, used)| used.is_none()) {
            return Ok(());
        }
        let machine = self.check.rooted.plan.target.machine();
        let (mut packaged, mut single) = (Vec::new(), Vec::new());
        let push = |list: &mut Vec<Add>, add: Add| {
            if !list.contains(&add) {
                list.push(add);
            }
        };
        for (add, used) in used {
            let Some(Used { files, is_all }) = used else {
                push(&mut packaged, add.clone());
                push(&mut single, add);
                continue;
            };
            let paths: Vec<RootfsPath> = files.iter().cloned().collect();
            let rootfs = &self.check.rooted.assembly.rootfs;
            let owners = owners(self.sysroot, &self.check.database, machine, rootfs, &paths);
            for (path, owner) in paths.into_iter().zip(owners) {
                push(&mut packaged, owner.map_or(Add::Include(path), Add::Package));
            }
            match is_all {
                true => push(&mut single, add),
                false => files.into_iter().for_each(|path| push(&mut single, Add::Include(path))),
            }
        }
        for fewer in [packaged, single] {
            if fewer != advice.add && self.is_bounded(&fewer, known) && self.works_with(&fewer, known)? {
                advice.add = fewer;
                break;
            }
        }
        Ok(())
    }

    /// True if the additions stay within the limits.
    fn is_bounded(&self, add: &[Add], known: &[Add]) -> bool {
        let all: Vec<&Add> = known.iter().chain(add).collect();
        let base = self.check.rooted.assembly.rootfs.size();
        let packages = add.iter().filter(|add| matches!(add, Add::Package(_))).count() as u64;
        let with_tools: Vec<&Add> = all.iter().copied().filter(|add| !matches!(add, Add::Package(_))).collect();
        let without = self.assemble(&with_tools).map_or(base, |assembly| assembly.rootfs.size());
        packages == 0 || self.assemble(&all).is_ok_and(|assembly| assembly.rootfs.size() <= without + MUCH)
    }

    /// The used files below a directory; `None` for a file, and for a directory of the project.
    fn used_below(&mut self, directory: &RootfsPath, events: &[Event]) -> Option<Used> {
        if self.check.is_projects(directory) {
            return None;
        }
        let walk = self.sysroot.walk(directory);
        if !matches!(walk.end, End::Dir(_)) {
            return None;
        }
        let mut files = 0;
        let mut below = Below::of(walk.path.clone());
        while let Some(path) = below.next(self.sysroot).filter(|_| files <= COUNTED) {
            match self.sysroot.place(&path).end {
                End::Dir(_) => below.enter(path),
                _ => files += 1,
            }
        }
        let is_use =
            |event: &&Event| event.outcome == Outcome::Found && matches!(event.access, Access::Open | Access::Execute);
        let mut used = BTreeSet::new();
        for event in events.iter().filter(is_use) {
            let path = event.path.normalized();
            let is_file = path.is_within(directory) && matches!(self.sysroot.walk(&path).end, End::File(_));
            used.extend(is_file.then_some(path));
        }
        Some(Used { is_all: used.len() >= files, files: used })
    }

    /// Leaves out optional additions without which the command works.
    fn leave_out(&mut self, advice: &mut Advice, optional: &BTreeSet<Add>, known: &[Add]) -> Result<()> {
        let candidates: Vec<Add> = advice.add.iter().filter(|add| optional.contains(add)).cloned().collect();
        for candidate in candidates.into_iter().take(LEAVING_OUT) {
            let fewer: Vec<Add> = advice.add.iter().filter(|add| **add != candidate).cloned().collect();
            if self.works_with(&fewer, known)? {
                advice.add = fewer;
            }
        }
        Ok(())
    }

    fn works_with(&mut self, add: &[Add], known: &[Add]) -> Result<bool> {
        let all: Vec<&Add> = known.iter().chain(add).collect();
        match self.assemble(&all) {
            Ok(assembly) => Ok(self.run(&assembly)?.is_content()),
            Err(_) => Ok(false),
        }
    }

    fn run(&mut self, assembly: &Assembly) -> Result<Tried> {
        self.events.stop()?;
        self.check.tried(self.subject, self.command, assembly, self.sysroot, self.events)
    }

    /// Rejects secrets, and paths of a sysroot made of packages: such a path is in the cache and does not last.
    fn may_be_packed(&mut self, add: &Add) -> bool {
        let Add::Include(path) = add else { return true };
        if self.check.is_projects(path) {
            return true;
        }
        let policy = &self.check.rooted.assembly.policy;
        !self.check.is_provisioned() && secrets::of(self.sysroot, policy, path).is_none()
    }

    /// The rootfs with additions, or one line with the reason for the failure.
    fn assemble(&self, add: &[&Add]) -> Result<Assembly, String> {
        let rooted = self.check.rooted;
        let mut content: Content = rooted.plan.content.clone();
        for add in add {
            match add {
                Add::Tool(name) => content.tools.push(name.clone()),
                Add::Library(name) => content.libraries.push(name.clone()),
                Add::Package(name) => content.packages.push(name.clone()),
                Add::Include(path) => content.includes.push(Include {
                    source: self.check.source(path, self.sysroot.root()),
                    destination: path.clone(),
                    mode: None,
                    owner: None,
                }),
            }
        }
        let assembled = layout::assemble(rooted.sysroot(), &rooted.plan.target, &content, &rooted.artifacts);
        assembled.map_err(|refusal| crate::error::Error::from(refusal).message().to_owned())
    }
}

/// The missing files that are worth a trial: the needed ones, or, if a command fails without any, all.
fn worth(tried: &Tried) -> Vec<Missing> {
    let needed: Vec<Missing> = tried.missing.iter().filter(|one| one.weight == Weight::Needed).cloned().collect();
    match needed.is_empty() && tried.status == Status::Failed {
        true => tried.missing.clone(),
        false => needed,
    }
}

impl Tried {
    /// True if the command succeeded without needing a missing file.
    fn is_content(&self) -> bool {
        self.status != Status::Failed && !self.missing.iter().any(|one| one.weight == Weight::Needed)
    }
}
