//! Worklist of roots: computes closures until no new file appears. A root has a closure, and both may bring further
//! roots with closures of their own.
//!
//! The choice of roots, and the places of files, are elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::root::Root;
use super::scripts::{self, Script};
use super::seeds::Resolvers;
use crate::error::{Error, Warning};
use crate::path::RootfsPath;
use crate::resolve::{BadObject, Closure, Files, Find, Skipped};
use crate::rootfs::Origin;
use crate::shortage::{Fault, Shortage};
use crate::sysroot::Sysroot;
use crate::target::Target;
use crate::wording::and_more;

/// The result for all roots.
#[derive(Default)]
pub(super) struct Worked {
    /// ELF files, in the order of processing.
    pub(super) roots: Vec<Root>,
    /// The closure of each.
    pub(super) closures: Vec<Closure>,
    /// The roots without a closure of their own: scripts, and further names of roots that have one.
    pub(super) others: Vec<Root>,
    /// The scripts among these.
    pub(super) scripts: Vec<Script>,
    pub(super) faults: Vec<Fault>,
    /// Things with which scripts that cannot run now could run.
    pub(super) wishes: BTreeSet<Shortage>,
    left: BTreeMap<(Left, String, String), Vec<RootfsPath>>,
}

/// The state of the worklist.
pub(super) struct Worklist<'a> {
    pub(super) view: &'a mut Sysroot,
    pub(super) resolvers: &'a mut Resolvers,
    pub(super) target: &'a Target,
    /// The result so far.
    pub(super) worked: Worked,
    seen: BTreeSet<RootfsPath>,
    /// The names of all files in the worklist.
    names: BTreeSet<Box<[u8]>>,
}

impl<'a> Worklist<'a> {
    pub(super) fn new(view: &'a mut Sysroot, resolvers: &'a mut Resolvers, target: &'a Target) -> Self {
        Self { view, resolvers, target, worked: Worked::default(), seen: BTreeSet::new(), names: BTreeSet::new() }
    }

    /// Processes roots that were requested by name, in order, and then everything that they bring. A file is a root
    /// under each of its requested names.
    pub(super) fn ask(&mut self, first: Vec<Root>) {
        let asked = first.len();
        self.work(first, asked);
    }

    /// Processes files that belong to a root; one name of each is enough. Each file is processed once, so the work ends
    /// at the latest with the last file of the sysroot.
    pub(super) fn bring(&mut self, more: Vec<Root>) {
        self.work(more, 0);
    }

    /// The requested tools as typed, each with its path.
    pub(super) fn tools(&self) -> Vec<(String, RootfsPath)> {
        let all = self.worked.roots.iter().chain(&self.worked.others);
        let asked = all.filter(|root| matches!(root.origin, Origin::Tool(_)));
        asked.map(|root| (root.name.clone(), root.path.clone())).collect()
    }

    fn work(&mut self, first: Vec<Root>, mut asked: usize) {
        self.names.extend(first.iter().map(|root| Box::from(root.path.file_name())));
        let mut queue = VecDeque::from(first);
        while let Some(root) = queue.pop_front() {
            let is_asked = asked > 0;
            asked = asked.saturating_sub(1);
            let realpath = match self.view.find(&root.path) {
                Find::File { realpath, .. } => realpath,
                _ => root.path.clone(),
            };
            if !self.seen.insert(realpath) && !is_asked {
                self.worked.others.push(root);
                continue;
            }
            queue.extend(self.one(root));
        }
    }

    /// The files that a root brings.
    fn one(&mut self, root: Root) -> Vec<Root> {
        let worked = &mut self.worked;
        match self.resolvers.of(&root).closure(self.view, &root.path) {
            Ok(closure) => {
                if let Some(error) = other_machine(self.view, &root, &closure, self.target) {
                    worked.refuse(&root, error);
                } else if root.is_optional && !closure.missing.is_empty() {
                    if closure.missing.iter().all(|it| it.bad.is_none() && self.names.contains(&*it.needed)) {
                        worked.others.push(root);
                        return loaded_before(&closure);
                    }
                    let names: BTreeSet<_> =
                        closure.missing.iter().map(|it| String::from_utf8_lossy(&it.needed)).collect();
                    let names = names.into_iter().collect::<Vec<_>>().join(", ");
                    let error = Error::failed(format!("{names} is not in the sysroot"));
                    worked.refuse(&root, error);
                } else {
                    worked.roots.push(root);
                    worked.closures.push(closure);
                }
                Vec::new()
            }
            Err(Skipped::Bad { why: BadObject::Malformed(malformed), .. }) if malformed.not_elf => {
                match self.script(&root) {
                    Ok((script, more)) => {
                        self.worked.scripts.push(script);
                        self.worked.others.push(root);
                        more
                    }
                    // The file that takes it may only read it.
                    Err(fault) if (root.is_optional || root.is_stray) && !root.is_tool => {
                        self.worked.leave(&root, &fault.error, Left::Idle);
                        self.worked.wishes.extend(fault.shortage.filter(|_| root.is_stray));
                        self.worked.others.push(root);
                        Vec::new()
                    }
                    Err(fault) => {
                        self.worked.refuse(&root, fault);
                        Vec::new()
                    }
                }
            }
            Err(skipped) => {
                worked.refuse(&root, unreadable(&root, &skipped));
                Vec::new()
            }
        }
    }
}

impl Worklist<'_> {
    /// The interpreter of a script, with a check that it can run.
    fn script(&mut self, root: &Root) -> Result<(Script, Vec<Root>), Fault> {
        let (script, more) = scripts::follow(self.view, root, self.target.machine())?;
        for brought in more.iter().filter(|brought| brought.is_optional) {
            // Leaving the interpreter out later would leave the script behind.
            if let Ok(closure) = self.resolvers.of(brought).closure(self.view, &brought.path) {
                if let Some(missing) = closure.missing.first() {
                    let name = String::from_utf8_lossy(&missing.needed);
                    return Err(Error::failed(format!("`{}` lacks {name} in the sysroot", brought.path)).into());
                }
            }
        }
        Ok((script, more))
    }
}

/// The reason why an optional root was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Out,
    /// It is packed but cannot be run.
    Idle,
}

impl Worked {
    /// Records a root that cannot work: as an error, or as a root that is left out.
    fn refuse(&mut self, root: &Root, fault: impl Into<Fault>) {
        let fault = fault.into();
        if root.is_optional { self.leave(root, &fault.error, Left::Out) } else { self.faults.push(fault) }
    }

    fn leave(&mut self, root: &Root, error: &Error, left: Left) {
        let by = root.origin.to_string();
        let why = error.details().last().map_or(error.message(), String::as_str).to_owned();
        self.left.entry((left, by, why)).or_default().push(root.path.clone());
    }

    /// The warnings about optional roots that were left out, one for each reason.
    pub(super) fn warnings(&self) -> impl Iterator<Item = Warning> {
        self.left.iter().map(|((left, by, why), paths)| {
            let paths = and_more(paths.iter().map(|path| format!("`{path}`")), 1);
            Warning::new(match left {
                Left::Out => format!("left out {paths} ({by}): {why}"),
                Left::Idle => format!("{paths} ({by}) cannot be run: {why}"),
            })
        })
    }
}

/// The needs of a plugin whose libraries are packed but which no search finds. The program that opens the plugin has
/// opened these libraries by path before, and a loaded soname is not searched for again (dlopen(3)); libjvm.so comes
/// before the rest of a Java runtime in this way. The order is unknown, so the plugin has no closure, but its other
/// needs have.
fn loaded_before(closure: &Closure) -> Vec<Root> {
    let origin = Origin::NeededBy(closure.realpath.clone());
    let root = |path: &RootfsPath| Root::new(path.to_string(), origin.clone(), path.clone()).optional();
    closure.objects.iter().map(|object| root(&object.path)).collect()
}

/// The error for a tool or library of another architecture, which cannot work in the image.
fn other_machine(view: &mut Sysroot, root: &Root, closure: &Closure, target: &Target) -> Option<Error> {
    let machine = target.machine();
    let object = view.object(closure.id).ok().filter(|object| object.machine != machine)?;
    let debian = machine.debian().unwrap_or("that architecture");
    let error = Error::failed(format!("`{}` is for {}, not for {machine}", root.name, object.machine));
    Some(match root.origin {
        Origin::Binary(_) => error.help(format!("build it with --target for {machine}, or name its --target")),
        _ => error.help(format!("pass --sysroot DIR with a {machine} ({debian}) tree, or another --target")),
    })
}

fn unreadable(root: &Root, skipped: &Skipped) -> Error {
    match skipped {
        Skipped::Bad { why, realpath, .. } => {
            let executable = if root.is_tool { "" } else { " as an executable" };
            let error = Error::failed(format!("{} cannot be packed{executable}", root.what()));
            error.detail(format!("{realpath}: {why}"))
        }
        Skipped::Absent(found) => {
            Error::failed(format!("{} cannot be packed", root.what())).detail(format!("{}: {found:?}", root.path))
        }
    }
}
