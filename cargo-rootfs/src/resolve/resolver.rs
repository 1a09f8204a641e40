//! What computes closures: what was learned of one program serves the next.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::closure::{Closure, Loaded, Missing, Skipped};
use super::dlopen::{Notes, Priority};
use super::folders::Folders;
use super::library_path::{self, LibraryPath};
use super::loader::{Loader, Shared};
use super::mapping::Process;
use super::may_open::Named;
use super::names::{Marks, NameId, Names};
use super::releases::{Releases, RunsOn};
use super::scopes::{Hit, only_for};
use super::search::{Attempt, Outcome, Progress, Scope, Search};
use super::{BadObject, Files, Find, FoundBy, Hwcaps, bytes};
use crate::elf::Malformed;
use crate::path::RootfsPath;
use crate::target::Machine;

/// How many objects a closure is expected to have; a wrong guess costs memory or time, and little of either.
const USUAL: usize = 16;

/// Computes closures, and remembers what executables have in common.
#[derive(Debug)]
pub struct Resolver {
    library_path: Vec<LibraryPath>,
    pub(super) current: Option<RootfsPath>,
    pub(super) preloads: bool,
    /// The least priority of the dlopen notes that are followed.
    pub(super) follows: Priority,
    pub(super) notes: Notes,
    /// Of the closure at hand.
    pub(super) progress: Progress,
    /// The folders of `library_path`, by loader and by the program's folder where they depend on it.
    library_folders: FxHashMap<(usize, Option<RootfsPath>), Folders>,
    /// What the loaders search on the hardware at hand.
    hwcaps: Hwcaps,
    loaders: FxHashMap<(RootfsPath, Machine, Hwcaps), (usize, Shared)>,
    pub(super) names: Names,
    pub(super) scopes: FxHashMap<Scope, usize>,
    pub(super) scope_list: Vec<Scope>,
    pub(super) found: FxHashMap<(usize, usize, NameId), Hit>,
    pub(super) passed_over: FxHashMap<(usize, usize, NameId), Vec<(RootfsPath, Machine)>>,
    pub(super) no_folders: Folders,
    /// What an object of the closure at hand is known by: the names it was needed by, its path, its soname.
    pub(super) known: Marks,
    pub(super) by_file: Marks,
    releases: Releases,
    /// What is found by the names that stand in files which call dlopen(3).
    pub(super) named: Named,
}

impl Resolver {
    /// `library_path` comes where LD_LIBRARY_PATH would; `current` is the folder that relative paths
    /// start from, `None` where there is none, as in an image.
    pub fn new(library_path: Vec<LibraryPath>, current: Option<RootfsPath>) -> Self {
        Self {
            library_path,
            current,
            preloads: false,
            follows: Priority::default(),
            notes: Notes::default(),
            progress: Progress::default(),
            library_folders: FxHashMap::default(),
            hwcaps: Hwcaps::BASELINE,
            loaders: FxHashMap::default(),
            names: Names::default(),
            scopes: FxHashMap::default(),
            scope_list: Vec::new(),
            found: FxHashMap::default(),
            passed_over: FxHashMap::default(),
            no_folders: Folders::from([]),
            known: Marks::default(),
            by_file: Marks::default(),
            releases: Releases::default(),
            named: Named::default(),
        }
    }

    /// Counts what `/etc/ld.so.preload` names as mapped too, as where the tree is the one that a program
    /// is started in. An image does not get that file from its sysroot.
    pub fn preloading(mut self) -> Self {
        self.preloads = true;
        self
    }

    /// Follows dlopen notes of this priority and of those that come before it; without it, those that are
    /// recommended and required.
    pub fn following(mut self, priority: Priority) -> Self {
        self.follows = priority;
        self
    }

    /// From now on, resolves as on hardware of which loaders search these glibc-hwcaps subdirectories.
    pub fn set_hwcaps(&mut self, hwcaps: Hwcaps) {
        self.hwcaps = hwcaps;
    }

    /// Forgets what was found; for when files have come into view since.
    pub fn forget(&mut self) {
        self.library_folders.clear();
        self.loaders.clear();
        self.found.clear();
        self.passed_over.clear();
        self.named.clear();
    }

    /// The loader of `machine` at `path`, where there is one.
    pub fn loader_at(&mut self, files: &mut dyn Files, path: &RootfsPath, machine: Machine) -> Option<Arc<Loader>> {
        let loader = self.shared_loader(files, path, machine).1;
        let file = loader.file.as_ref()?.1;
        files.object(file).is_ok_and(|object| object.machine == machine).then_some(loader)
    }

    fn shared_loader(&mut self, files: &mut dyn Files, path: &RootfsPath, machine: Machine) -> (usize, Shared) {
        let key = (path.clone(), machine, self.hwcaps);
        if let Some(known) = self.loaders.get(&key) {
            return known.clone();
        }
        let loader = match self.loaders.get(&(path.clone(), machine, Hwcaps::BASELINE)) {
            Some((_, baseline)) => baseline.on(files, self.hwcaps),
            None => Loader::new(files, path.clone(), machine, self.current.as_ref()).on(files, self.hwcaps),
        };
        let shared = (self.loaders.len(), Arc::new(loader));
        self.loaders.insert(key, shared.clone());
        shared
    }

    /// Has the files of `paths`, and what they are likely to need, read before closures ask for them one by one.
    pub fn read_ahead(&mut self, files: &mut dyn Files, paths: &[RootfsPath]) {
        let mut loaders: Vec<(Machine, Shared)> = Vec::new();
        let mut seen: FxHashSet<(Machine, NameId)> = FxHashSet::default();
        files.read_ahead(paths, &mut |files, object| {
            let machine = object.machine;
            let known = loaders.iter().position(|(of, _)| *of == machine);
            let index = match (known, &object.interpreter) {
                (Some(index), _) => index,
                (None, Some(path)) => {
                    let Some(path) = RootfsPath::from_bytes(path) else { return Vec::new() };
                    loaders.push((machine, self.shared_loader(files, &path, machine).1));
                    loaders.len() - 1
                }
                (None, None) => return Vec::new(),
            };
            let loader = &loaders[index].1;
            let names = object.dependencies.iter().map(|dependency| &dependency.name);
            let plain = names.filter(|name| !name.iter().any(|byte| matches!(byte, b'/' | b'$')));
            plain
                .filter(|name| seen.insert((machine, self.names.id(name))))
                .filter_map(|name| loader.first_guess(name))
                .collect()
        });
    }

    /// Looks for a library by name alone, as dlopen(3) from a program without search paths would.
    pub fn library(&mut self, files: &mut dyn Files, loader: &Loader, name: &[u8]) -> Result<Loaded, Missing> {
        let library_path = library_path::folders(files, &self.library_path, loader, None, self.current.as_ref());
        let scope = Scope { rpath: Vec::new(), library_path, runpath: Folders::from([]), no_default: false };
        let mut tried = Vec::new();
        let mut progress = Progress::default();
        let outcome = Search {
            files,
            loader,
            current: self.current.as_ref(),
            trail: Some(&mut tried),
            progress: &mut progress,
            passed_over: Vec::new(),
        }
        .run(&scope, name);
        let only_for = match outcome {
            Outcome::Missing => only_for(files, loader, &tried, name),
            _ => None,
        };
        let (needed, needed_by) = (bytes(name), RootfsPath::root());
        let missing = |bad| Missing { needed, needed_by, tried, bad, opened: None, only_for };
        match outcome {
            Outcome::Found { path, realpath, file, by, hwcaps } => {
                Ok(Loaded { needed: bytes(name), path, realpath, file, found_by: by, hwcaps })
            }
            Outcome::Missing => Err(missing(None)),
            Outcome::Bad { path, reason } => Err(missing(Some((path, reason)))),
        }
    }

    /// The closure of the ELF file at `path`: an executable, or a shared object as if one were made of it.
    pub fn closure(&mut self, files: &mut dyn Files, path: &RootfsPath) -> Result<Closure, Skipped> {
        self.progress = Progress::default();
        let (realpath, id) = match files.find(path) {
            Find::File { realpath, file } => (realpath, file),
            other => return Err(Skipped::Absent(other)),
        };
        let object = match files.object(id) {
            Ok(object) => object,
            Err(why) => return Err(Skipped::Bad { realpath, id, why }),
        };
        if let Some(reason) = object.unstartable {
            let malformed = Malformed { head: Some(object.head), reason: reason.to_owned(), not_elf: false };
            return Err(Skipped::Bad { realpath, id, why: BadObject::Malformed(malformed) });
        }
        let interpreter_path = object.interpreter.as_deref().and_then(RootfsPath::from_bytes);
        let mut closure = Closure {
            file: path.clone(),
            realpath: realpath.clone(),
            id,
            interpreter: None,
            loader: None,
            objects: Vec::with_capacity(USUAL),
            at_start: 0,
            notes: Vec::new(),
            bad_notes: Vec::new(),
            may_open: Vec::new(),
            opens_unnamed: Vec::new(),
            variants: Vec::new(),
            missing: Vec::new(),
            passed_over: Vec::new(),
            other_names: Vec::new(),
            edges: Vec::with_capacity(4 * USUAL),
            runs_on: RunsOn::default(),
        };
        if interpreter_path.is_none() && object.dependencies.is_empty() && object.dlopen_notes.is_empty() {
            // Static, static-pie, or a library that needs nothing.
            closure.runs_on = self.releases.runs_on(files, &closure);
            return Ok(closure);
        }
        let loader_path = interpreter_path.clone().unwrap_or_else(|| Loader::usual_path(&object));
        let (loader_id, loader) = self.shared_loader(files, &loader_path, object.machine);
        if let Some(path) = interpreter_path {
            let bad = unusable_interpreter(files, &loader, object.machine);
            if loader.file.is_none() || bad.is_some() {
                closure.missing.push(Missing {
                    needed: bytes(path.as_bytes()),
                    needed_by: realpath.clone(),
                    tried: vec![Attempt { by: FoundBy::Absolute, place: Some(path.clone()), why_not: bad.clone() }],
                    bad: bad.map(|why| (path.clone(), why)),
                    opened: None,
                    only_for: None,
                });
            }
            closure.interpreter = Some((path, loader.file.clone()));
        }
        closure.loader = Some(Arc::clone(&loader));
        let library_path = self.library_folders(files, &loader, loader_id, &closure.realpath);
        let mut process = Process {
            files,
            loader,
            loader_id,
            library_path,
            mapped: Vec::with_capacity(USUAL),
            aliases: Vec::new(),
            opened: FxHashMap::default(),
            spent: 0,
            closure: &mut closure,
        };
        self.map_all(&mut process, object);
        process.closure.at_start = process.closure.objects.len();
        if process.mapped.iter().any(|mapped| !mapped.object.dlopen_notes.is_empty()) {
            self.open_noted(&mut process);
        }
        closure.runs_on = self.releases.runs_on(files, &closure);
        Ok(closure)
    }

    /// The folders of the library path for a program at `path`.
    fn library_folders(
        &mut self,
        files: &mut dyn Files,
        loader: &Loader,
        loader_id: usize,
        path: &RootfsPath,
    ) -> Folders {
        let origin = if library_path::depends_on_origin(&self.library_path) { path.parent() } else { None };
        let Self { library_folders, library_path, current, .. } = self;
        let key = (loader_id, origin);
        if let Some(folders) = library_folders.get(&key) {
            return Arc::clone(folders);
        }
        let folders = library_path::folders(files, library_path, loader, key.1.as_ref(), current.as_ref());
        library_folders.insert(key, Arc::clone(&folders));
        folders
    }
}

/// Why the kernel would not start the interpreter that is there (execve(2): EACCES, ELIBBAD).
fn unusable_interpreter(files: &mut dyn Files, loader: &Loader, machine: Machine) -> Option<String> {
    let Some((_, file)) = &loader.file else {
        return match files.find(&loader.path) {
            Find::Dir => Some("it is a directory".to_owned()),
            Find::Special(word) => Some(format!("it is a {word}")),
            Find::Loop => Some("too many levels of symbolic links".to_owned()),
            Find::Failed(why) => Some(why),
            Find::Absent | Find::NotDir | Find::File { .. } => None,
        };
    };
    match files.object(*file) {
        Ok(object) if object.machine == machine => None,
        Ok(object) => Some(format!("it is for {:?}", object.machine)),
        Err(why) => Some(why.to_string()),
    }
}
