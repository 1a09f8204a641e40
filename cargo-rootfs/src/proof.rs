//! The proof that a planned rootfs is complete: every closure is resolved again inside it.
//!
//! It uses only the result of the first resolution, for comparison: no `--library-path` and no sysroot, only the
//! entries, links, cache and configuration of the rootfs itself. Headers are not parsed again.

mod view;

use self::view::View;

use crate::distro::OsRelease;
use crate::elf::Bytes;
use crate::error::{Error, Warning};
use crate::path::{RootfsPath, command_paths};
use crate::report::{missing_error, unversioned_warning, version_error};
use crate::resolve::{
    self, Closure, Files, Find, Hwcaps, Lack, Loaded, Missing, Priority, Resolver, Skipped, TargetLibraries, Verdict,
    Versions, hwcaps,
};
use crate::rootfs::Rootfs;
use crate::script;
use crate::shortage::{Fault, Shortage};
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// One closure that the proof must find in the rootfs again.
#[derive(Debug)]
pub struct Claim {
    /// The paths at which the file must be found: the requested one, and its alias of a merged /usr.
    pub names: Vec<RootfsPath>,
    /// The start of the closure: a path, or the soname of a library that is opened by name.
    pub start: Start,
    /// The machine of all its objects.
    pub machine: Machine,
    /// The glibc-hwcaps subdirectories that its loader searches.
    pub hwcaps: Hwcaps,
    /// The files mapped at the start, by device and inode, in order: the file itself, its interpreter, its objects.
    pub mapped: Vec<(u64, u64)>,
    /// The files that dlopen notes add.
    pub opened: Vec<(u64, u64)>,
    /// The loader's paths of its interpreter and its objects, which must still lead to them.
    pub paths: Vec<(RootfsPath, (u64, u64))>,
    /// Names to which only the loader's configuration led: a search by name must find them.
    pub searched: Vec<(Bytes, (u64, u64))>,
}

/// The start of a closure.
#[derive(Debug, Clone)]
pub enum Start {
    /// An executable or library at a path.
    Path(RootfsPath),
    /// A library that the loader at this path finds by name, as dlopen(3) does.
    Library(Vec<u8>, RootfsPath),
    /// A script at a path: its files are the script, its interpreter, and the program that env(1) runs, if env is the
    /// interpreter.
    Script(RootfsPath),
}

impl Claim {
    /// The claim of `closure`, whose files are in `files`.
    pub fn new(closure: &Closure, start: Start, names: Vec<RootfsPath>, machine: Machine, files: &dyn Files) -> Self {
        let interpreter = closure.interpreter.iter().filter_map(|(path, found)| Some((path, found.as_ref()?.1)));
        let found = || closure.objects.iter().chain(closure.other_names.iter().map(|other| &other.found));
        let objects = found().map(|object| (&object.path, object.file));
        let paths = interpreter.chain(objects).map(|(path, file)| (path.clone(), files.inode(file))).collect();
        let is_searched = |object: &&Loaded| closure.loader.as_ref().is_some_and(|loader| object.is_searched(loader));
        let searched = found().filter(is_searched);
        let searched = searched.map(|object| (object.needed.clone(), files.inode(object.file))).collect();
        let (mapped, opened) = (mapped(closure, files), opened(closure, files));
        Self { names, start, machine, hwcaps: Hwcaps::BASELINE, mapped, opened, paths, searched }
    }
}

fn mapped(closure: &Closure, files: &dyn Files) -> Vec<(u64, u64)> {
    let interpreter = closure.interpreter.iter().filter_map(|(_, found)| found.as_ref()).map(|(_, file)| *file);
    std::iter::once(closure.id)
        .chain(interpreter)
        .chain(closure.objects[..closure.at_start].iter().map(|object| object.file))
        .map(|file| files.inode(file))
        .collect()
}

fn opened(closure: &Closure, files: &dyn Files) -> Vec<(u64, u64)> {
    closure.objects[closure.at_start..].iter().map(|object| files.inode(object.file)).collect()
}

/// The result of a proof.
#[derive(Debug, Default)]
pub struct Proof {
    /// All faults.
    pub(crate) faults: Vec<Fault>,
    /// Symbol versions about which the loader will warn, because the library has no versions.
    pub warnings: Vec<Warning>,
}

/// Checks every claim. Dlopen notes of the priority `follows` and above must be satisfied; the target provides the
/// libraries in `given`.
///
/// `sysroot` supplies parsed headers by inode, and its release for help lines.
pub fn prove(
    rootfs: &Rootfs,
    claims: &[Claim],
    follows: Priority,
    given: &TargetLibraries,
    sysroot: &mut Sysroot,
) -> Proof {
    let mut prover = Prover {
        view: View::new(rootfs, sysroot),
        resolver: Resolver::new(Vec::new(), None).following(follows).allowing(given.clone()),
        versions: Versions::default(),
        verdicts: Vec::new(),
        faults: Vec::new(),
    };
    for claim in claims {
        prover.resolver.set_hwcaps(claim.hwcaps);
        if let Err(error) = prover.check(claim) {
            prover.faults.push(error.into());
        }
        prover.resolver.set_hwcaps(Hwcaps::BASELINE);
    }
    // Variants without a claim, such as from an include, have no counterpart in the sysroot to compare with.
    let is_claimed = claims.iter().any(|claim| claim.hwcaps != Hwcaps::BASELINE);
    if prover.faults.is_empty() && !is_claimed && rootfs.iter().any(|(path, _)| hwcaps::is_in(path)) {
        claims.iter().for_each(|claim| prover.check_above(claim));
    }
    prover.finish()
}

/// A proof in progress.
struct Prover<'a> {
    view: View<'a>,
    resolver: Resolver,
    versions: Versions,
    verdicts: Vec<Verdict>,
    faults: Vec<Fault>,
}

impl Prover<'_> {
    /// Checks one claim.
    fn check(&mut self, claim: &Claim) -> Result<(), Error> {
        for name in &claim.names {
            match self.view.find(name) {
                Find::File { file, .. } if Some(&self.view.inode(file)) == claim.mapped.first() => {}
                Find::File { .. } => {
                    return Err(Error::failed(format!(
                        "`{name}` would be another file in the rootfs than the requested one"
                    )));
                }
                _ => return Err(not_found(name)),
            }
        }
        if let Start::Script(path) = &claim.start {
            return script(&mut self.view, path, claim);
        }
        let path = self.start(claim)?;
        let closure = self.resolver.closure(&mut self.view, &path).map_err(|skipped| match skipped {
            Skipped::Absent(_) => not_found(&path),
            Skipped::Bad { why, .. } => Error::failed(format!("`{path}`: {why}")),
        })?;
        if !self.is_complete(&closure, &path) {
            return Ok(());
        }
        let Self { view, resolver, .. } = self;
        let mut now = mapped(&closure, view);
        let is_same = now == claim.mapped;
        now.extend(opened(&closure, view));
        // More objects may be opened than in the sysroot: a library of another closure may be reachable now.
        if !is_same || claim.opened.iter().any(|inode| !now.contains(inode)) {
            return Err(differs(view, &closure, claim, &now));
        }
        for (path, inode) in &claim.paths {
            if !matches!(view.find(path), Find::File { file, .. } if view.inode(file) == *inode) {
                return Err(not_found(path).detail(format!("by which `{}` has it in the sysroot", closure.file)));
            }
        }
        for (name, inode) in &claim.searched {
            let Some(loader) = &closure.loader else { continue };
            let found = resolver.library(view, loader, name);
            if !found.is_ok_and(|found| view.inode(found.file) == *inode) {
                return Err(not_found_by_name(name).detail(format!("needed by {}", closure.file)));
            }
        }
        Ok(())
    }

    /// Checks that no library is missing on better hardware.
    fn check_above(&mut self, claim: &Claim) {
        if matches!(claim.start, Start::Script(_)) {
            return;
        }
        let Ok(path) = self.start(claim) else { return };
        let Ok(baseline) = self.resolver.closure(&mut self.view, &path) else { return };
        for (_, closure) in self.resolver.closures_above(&mut self.view, &baseline) {
            if !self.is_complete(&closure, &path) {
                return;
            }
        }
    }

    /// The file that starts the closure, in the rootfs.
    fn start(&mut self, claim: &Claim) -> Result<RootfsPath, Error> {
        let Self { view, resolver, .. } = self;
        match &claim.start {
            Start::Path(path) | Start::Script(path) => Ok(path.clone()),
            Start::Library(name, loader) => {
                let Some(loader) = resolver.loader_at(view, loader, claim.machine) else {
                    return Err(Error::failed(format!("the loader `{loader}` would not be found in the rootfs")));
                };
                resolver.library(view, &loader, name).map(|found| found.path).map_err(|_| not_found_by_name(name))
            }
        }
    }

    /// Records the missing libraries and the symbol versions of a closure that starts at `path`. True if none is missing.
    fn is_complete(&mut self, closure: &Closure, path: &RootfsPath) -> bool {
        let machine = closure.loader.as_ref().map(|loader| loader.machine);
        self.faults.extend(closure.missing.iter().map(|missing| missing_here(missing, machine, path)));
        self.verdicts.push(self.versions.check(&mut self.view, closure));
        closure.missing.is_empty()
    }

    fn finish(self) -> Proof {
        let Self { view, verdicts, mut faults, .. } = self;
        let unsatisfied: Vec<_> = resolve::distinct(verdicts.iter().flat_map(|verdict| &verdict.unsatisfied)).collect();
        // Its release is for help lines, and no part of the proof.
        let system = match unsatisfied.is_empty() {
            true => OsRelease::default(),
            false => OsRelease::find(|path| view.sysroot.peek(path, OsRelease::LONGEST)),
        };
        faults.extend(unsatisfied.into_iter().map(|lacking| {
            let shortage = matches!(lacking.why, Lack::Versions { .. }).then_some(Shortage::Versions);
            Fault::short(version_error(lacking, &system), shortage)
        }));
        let unversioned = resolve::distinct(verdicts.iter().flat_map(|verdict| &verdict.unversioned));
        Proof { faults, warnings: unversioned.map(unversioned_warning).collect() }
    }
}

/// Checks that the interpreter in the script's first line exists in the rootfs, and the program that env runs. Their
/// closures are separate claims.
fn script(view: &mut View<'_>, path: &RootfsPath, claim: &Claim) -> Result<(), Error> {
    let head = match view.find(path) {
        Find::File { file, .. } => view.part(file, 0, script::HEAD).unwrap_or_default(),
        _ => return Err(not_found(path)),
    };
    let fails = |why: String| Error::failed(format!("the script `{path}` would not run in the rootfs")).detail(why);
    let first = script::read(&head).ok_or_else(|| fails("it has no first line that says what runs it".to_owned()))?;
    let first = first.map_err(|bad| fails(bad.to_string()))?;
    let interpreter = RootfsPath::from_bytes(&first.interpreter).ok_or_else(|| fails("no interpreter".to_owned()))?;
    let mut programs = vec![interpreter.clone()];
    if interpreter.file_name() == b"env" {
        let program = script::program_of_env(first.argument.as_deref()).map_err(&fails)?;
        let mut paths = command_paths(&program.name, program.path.as_deref());
        let found = paths.find(|path| program.name.starts_with(b"/") || view.is_executable(path));
        let name = String::from_utf8_lossy(&program.name).into_owned();
        programs.push(found.ok_or_else(|| fails(format!("`{name}` would not be found in PATH")))?);
    }
    for (program, inode) in programs.iter().zip(&claim.mapped[1..]) {
        match view.find(program) {
            Find::File { file, .. } if view.inode(file) != *inode => {
                return Err(fails(format!("`{program}` would be another file than in the sysroot")));
            }
            Find::File { .. } if view.is_executable(program) => {}
            Find::File { .. } => return Err(fails(format!("`{program}` would not be executable"))),
            _ => return Err(fails(format!("`{program}` would not be found"))),
        }
    }
    if programs.len() + 1 != claim.mapped.len() {
        return Err(fails("it would be run by something else than in the sysroot".to_owned()));
    }
    Ok(())
}

fn not_found(path: &RootfsPath) -> Error {
    Error::failed(format!("`{path}` would not be found in the rootfs"))
}

fn not_found_by_name(name: &[u8]) -> Error {
    Error::failed(format!("`{}` would not be found in the rootfs by its name", String::from_utf8_lossy(name)))
}

fn missing_here(missing: &Missing, machine: Option<Machine>, path: &RootfsPath) -> Fault {
    let error = missing_error(&[missing], machine, "add its package to the sysroot");
    Fault::short(error.detail(format!("in the planned rootfs, of {path}")), missing.shortage())
}

/// The error if the loader would map other files in the image than in the sysroot.
fn differs(view: &View<'_>, closure: &Closure, claim: &Claim, now: &[(u64, u64)]) -> Error {
    let mut error = Error::failed(format!("`{}` would be given other libraries in the rootfs", closure.file));
    for object in &closure.objects {
        if !claim.mapped.contains(&view.inode(object.file)) && !claim.opened.contains(&view.inode(object.file)) {
            let name = String::from_utf8_lossy(&object.needed);
            error = error.detail(format!("{name} would be {} [{}]", object.path, object.found_by));
        }
    }
    for inode in claim.mapped.iter().chain(&claim.opened).filter(|inode| !now.contains(inode)) {
        if let Some(file) = view.sysroot.by_inode(*inode) {
            error = error.detail(format!("instead of {}", view.sysroot.info(file).host.path.display()));
        }
    }
    error.help("two libraries of one soname cannot be told apart; package the executables separately")
}
