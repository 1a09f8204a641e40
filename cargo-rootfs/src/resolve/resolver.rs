//! The resolver: computes closures, and reuses facts of one program for the next.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::closure::Closure;
use super::dlopen::{Notes, Priority};
use super::folders::Folders;
use super::library_path::LibraryPath;
use super::loader::{Loader, Shared};
use super::may_open::Named;
use super::names::{Marks, NameId, Names};
use super::releases::Releases;
use super::search::{Outcome, Progress, Scope};
use super::target_libraries::TargetLibraries;
use super::{FileId, Files, Hwcaps};
use crate::elf::{Bytes, Object};
use crate::path::RootfsPath;
use crate::target::Machine;

/// Computes closures, and caches what executables share.
#[derive(Debug)]
pub struct Resolver {
    pub(super) library_path: Vec<LibraryPath>,
    pub(super) current: Option<RootfsPath>,
    pub(super) preloads: bool,
    pub(super) given: TargetLibraries,
    /// The lowest priority of followed dlopen notes.
    pub(super) follows: Priority,
    pub(super) notes: Notes,
    /// The progress of the current closure.
    pub(super) progress: Progress,
    /// The directories of `library_path`, by loader, and by the program's directory if they depend on it.
    pub(super) library_folders: FxHashMap<(usize, Option<RootfsPath>), Folders>,
    /// The subdirectories that loaders search on the current hardware.
    hwcaps: Hwcaps,
    loaders: FxHashMap<(RootfsPath, Machine, Hwcaps), (usize, Shared)>,
    pub(super) names: Names,
    pub(super) scopes: FxHashMap<Scope, usize>,
    pub(super) scope_list: Vec<Scope>,
    pub(super) found: FxHashMap<(usize, usize, NameId), Hit>,
    pub(super) passed_over: FxHashMap<(usize, usize, NameId), Vec<(RootfsPath, Machine)>>,
    pub(super) no_folders: Folders,
    /// The names of each object of the current closure: needed names, path, soname.
    pub(super) known: Marks,
    pub(super) by_file: Marks,
    pub(super) releases: Releases,
    /// The objects found by the names among the strings of files that call dlopen(3).
    pub(super) named: Named,
    /// Libraries whose names do not begin with `lib`, by the loader that finds them.
    pub(super) plugins: FxHashMap<RootfsPath, Arc<[Bytes]>>,
}

/// The result of a search, with the names that the object gets.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) outcome: Outcome,
    pub(super) path_name: NameId,
    pub(super) soname: Option<NameId>,
    pub(super) object: Option<Arc<Object>>,
}

/// An object of the current closure; index 0 is the executable.
pub(super) struct Mapped {
    pub(super) path: RootfsPath,
    pub(super) object: Arc<Object>,
    /// Its file; `None` for the executable and glibc's loader, which are not found again by their files.
    pub(super) file: Option<FileId>,
    /// Its names; the later ones do not replace those of other objects.
    pub(super) names: [Option<NameId>; 3],
    /// The object that caused it to be loaded (`l_loader`).
    pub(super) loaded_by: Option<usize>,
    /// Its own RPATH with tokens replaced; empty if it has a RUNPATH.
    pub(super) rpath: Folders,
    /// Its own RUNPATH with tokens replaced.
    pub(super) runpath: Folders,
    pub(super) scope: Option<usize>,
    /// Its index in [`Closure::objects`].
    pub(super) listed: Option<usize>,
}

/// The process of the current closure.
pub(super) struct Process<'a> {
    pub(super) files: &'a mut dyn Files,
    pub(super) loader: Shared,
    pub(super) loader_id: usize,
    /// `--library-path`, for its program.
    pub(super) library_path: Folders,
    pub(super) mapped: Vec<Mapped>,
    /// Further names of objects that were known by device and inode.
    pub(super) aliases: Vec<(NameId, usize)>,
    /// The indices of opened objects in their list, by name and path: an object may be opened again while other objects
    /// are mapped.
    pub(super) opened: FxHashMap<(NameId, NameId), usize>,
    /// The work done for notes so far.
    pub(super) spent: usize,
    pub(super) closure: &'a mut Closure,
}

impl Resolver {
    /// Makes a resolver. `library_path` takes the place of LD_LIBRARY_PATH. `current` is the directory of relative
    /// paths; `None` in an image, which has none.
    pub fn new(library_path: Vec<LibraryPath>, current: Option<RootfsPath>) -> Self {
        Self {
            library_path,
            current,
            preloads: false,
            given: TargetLibraries::default(),
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
            plugins: FxHashMap::default(),
        }
    }

    /// Also maps the objects of `/etc/ld.so.preload`, for a tree in which programs are started. An image does not get
    /// that file from its sysroot.
    pub fn preloading(mut self) -> Self {
        self.preloads = true;
        self
    }

    /// Accepts that the target provides these libraries: they are neither searched for nor missing.
    pub fn allowing(mut self, given: TargetLibraries) -> Self {
        self.given = given;
        self
    }

    /// Follows dlopen notes of this priority and higher ones; the default is recommended.
    pub fn following(mut self, priority: Priority) -> Self {
        self.follows = priority;
        self
    }

    /// Resolves from now on for hardware on which loaders search these glibc-hwcaps subdirectories.
    #[doc(hidden)]
    pub fn set_hwcaps(&mut self, hwcaps: Hwcaps) {
        self.hwcaps = hwcaps;
    }

    /// Clears all results, for use after files have been added.
    #[doc(hidden)]
    pub fn forget(&mut self) {
        self.library_folders.clear();
        self.loaders.clear();
        self.found.clear();
        self.passed_over.clear();
        self.named.clear();
        self.plugins.clear();
    }

    /// The loader of `machine` at `path`, if it exists.
    pub fn loader_at(&mut self, files: &mut dyn Files, path: &RootfsPath, machine: Machine) -> Option<Arc<Loader>> {
        let loader = self.shared_loader(files, path, machine).1;
        let file = loader.file.as_ref()?.1;
        files.object(file).is_ok_and(|object| object.machine == machine).then_some(loader)
    }

    pub(super) fn shared_loader(
        &mut self,
        files: &mut dyn Files,
        path: &RootfsPath,
        machine: Machine,
    ) -> (usize, Shared) {
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

    /// Reads the files of `paths` and their likely needs before closures look them up one by one.
    #[doc(hidden)]
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
}
