//! From one executable to its closure: breadth first, each object once, as ld.so maps them.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::dlopen::{Note, Noted, Notes, Priority};
use super::folders::{Folders, own_lists};
use super::library_path::{self, LibraryPath};
use super::loader::{Libc, Loader, Shared};
use super::may_open::{MayOpen, Named};
use super::names::{Marks, NameId, Names};
use super::queue::{Circle, Queue};
use super::releases::{Releases, RunsOn};
use super::search::{Attempt, Outcome, Progress, Scope, Search};
use super::tokens::{Tokens, expand};
use super::{BadObject, FileId, Files, Find, FoundBy, Hwcaps, bytes, hwcaps};
use crate::elf::{Bytes, DependencyKind, Malformed, Object};
use crate::path::RootfsPath;
use crate::target::Machine;

/// All that gets mapped when one executable starts.
#[derive(Debug, Clone)]
pub struct Closure {
    /// The executable, by the path it was asked for.
    pub file: RootfsPath,
    /// The same without links.
    pub realpath: RootfsPath,
    /// Its file.
    pub id: FileId,
    /// PT_INTERP as it stands, and where that leads.
    pub interpreter: Option<(RootfsPath, Option<(RootfsPath, FileId)>)>,
    /// The loader that the rules were taken from; `None` for a static executable.
    pub loader: Option<Arc<Loader>>,
    /// Shared objects in the order they are mapped, without the executable: those that the loader maps at
    /// the start, then those that dlopen notes add.
    pub objects: Vec<Loaded>,
    /// How many of `objects` are mapped at the start.
    pub at_start: usize,
    /// What the notes of the executable and of the objects say, and what came of it.
    pub notes: Vec<Noted>,
    /// What glibc-hwcaps subdirectories add on other hardware, where that was asked for.
    pub variants: Vec<Loaded>,
    /// Notes that cannot be read: whose (`None` is the executable's), and why.
    pub bad_notes: Vec<(Option<usize>, String)>,
    /// Libraries that may be opened though no note says so, where [`Resolver::find_may_open`] was asked.
    pub may_open: Vec<MayOpen>,
    /// Likewise, what calls dlopen(3) without notes and names no library that is there besides; `None` is the executable.
    pub opens_unnamed: Vec<Option<usize>>,
    /// What was not found, or was found and is no good.
    pub missing: Vec<Missing>,
    /// Candidates for another class or machine that the loader passes over, in order.
    pub passed_over: Vec<(RootfsPath, Machine)>,
    /// Names of objects besides the one they were first needed by: what was found by them is an object already.
    pub other_names: Vec<OtherName>,
    /// Who needs what: indices into `objects`; `None` is the executable.
    pub edges: Vec<(Option<usize>, usize)>,
    /// The oldest glibc and Linux that it runs on.
    pub runs_on: RunsOn,
}

impl Closure {
    /// The path by which the loader knows an object: by its index in `objects`, or the executable.
    pub fn path(&self, object: Option<usize>) -> &RootfsPath {
        object.map_or(&self.realpath, |index| &self.objects[index].path)
    }
}

/// A shared object of a [`Closure`].
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The name by which it was first needed.
    pub needed: Bytes,
    /// The path by which the loader knows it.
    pub path: RootfsPath,
    /// The same without links.
    pub realpath: RootfsPath,
    /// Its file.
    pub file: FileId,
    /// Where it was found.
    pub found_by: FoundBy,
    /// The glibc-hwcaps subdirectory that it is in: what hardware it is for.
    pub hwcaps: Option<Bytes>,
}

/// A name that led to a file which was mapped already, or which stands for one that was.
#[derive(Debug, Clone)]
pub struct OtherName {
    /// The name, and what it led to.
    pub found: Loaded,
    /// Which of [`Closure::objects`] it is.
    pub object: usize,
    /// Who needs it by that name: one of the objects, or the executable.
    pub needed_by: Option<usize>,
}

impl Loaded {
    /// Whether the loader's configuration alone led to it: not its default folders, and nothing in an ELF file.
    pub fn is_searched(&self, loader: &Loader) -> bool {
        let folder = match &self.hwcaps {
            // There it is found by the name that it is needed by, and by no other.
            Some(_) if self.path.file_name() == &*self.needed => hwcaps::above(&self.path),
            _ => self.path.parent(),
        };
        matches!(self.found_by, FoundBy::Cache | FoundBy::Conf | FoundBy::LibraryPath)
            && folder.is_some_and(|folder| !loader.default_dirs.contains(&folder))
    }
}

/// A name for which there is no library.
#[derive(Debug, Clone)]
pub struct Missing {
    /// The name, as in DT_NEEDED with its tokens replaced.
    pub needed: Bytes,
    /// The object that needs it.
    pub needed_by: RootfsPath,
    /// Every place tried, in order.
    pub tried: Vec<Attempt>,
    /// The file that the loader takes and gives up on, and why.
    pub bad: Option<(RootfsPath, String)>,
    /// The dlopen note by which it is opened, where it is not needed at the start.
    pub opened: Option<Arc<Note>>,
    /// The glibc-hwcaps subdirectory that has it, and that not all hardware uses.
    pub only_for: Option<Box<Bytes>>,
}

/// A file that has no closure: not ELF, or not readable.
#[derive(Debug, Clone)]
pub enum Skipped {
    /// Nothing is at the path, or not a regular file.
    Absent(Find),
    /// It is no ELF file that can be read.
    Bad {
        /// Where it is.
        realpath: RootfsPath,
        /// Which file.
        id: FileId,
        /// Why.
        why: BadObject,
    },
}

/// How many objects a closure is expected to have; a wrong guess costs memory or time, and little of either.
const USUAL: usize = 16;

/// Computes closures, and remembers what executables have in common.
#[derive(Debug)]
pub struct Resolver {
    library_path: Vec<LibraryPath>,
    current: Option<RootfsPath>,
    preloads: bool,
    /// The least priority of the dlopen notes that are followed.
    pub(super) follows: Priority,
    pub(super) notes: Notes,
    /// Of the closure at hand.
    progress: Progress,
    /// The folders of `library_path`, by loader and by the program's folder where they depend on it.
    library_folders: FxHashMap<(usize, Option<RootfsPath>), Folders>,
    /// What the loaders search on the hardware at hand.
    hwcaps: Hwcaps,
    loaders: FxHashMap<(RootfsPath, Machine, Hwcaps), (usize, Shared)>,
    pub(super) names: Names,
    scopes: FxHashMap<Scope, usize>,
    scope_list: Vec<Scope>,
    found: FxHashMap<(usize, usize, NameId), Hit>,
    passed_over: FxHashMap<(usize, usize, NameId), Vec<(RootfsPath, Machine)>>,
    no_folders: Folders,
    /// What an object of the closure at hand is known by: the names it was needed by, its path, its soname.
    pub(super) known: Marks,
    pub(super) by_file: Marks,
    releases: Releases,
    /// What is found by the names that stand in files which call dlopen(3).
    pub(super) named: Named,
}

/// What a search came to, with the names that the object is then known by.
#[derive(Debug, Clone)]
struct Hit {
    outcome: Outcome,
    path_name: NameId,
    soname: Option<NameId>,
    object: Option<Arc<Object>>,
}

/// An object of the closure that is being computed; index 0 is the executable.
pub(super) struct Mapped {
    pub(super) path: RootfsPath,
    pub(super) object: Arc<Object>,
    /// Its file; the executable's and glibc's loader's are not known by it.
    pub(super) file: Option<FileId>,
    /// What it is known by; what comes later gives way to others.
    pub(super) names: [Option<NameId>; 3],
    /// Who caused it to be loaded (`l_loader`).
    loaded_by: Option<usize>,
    /// Its own RPATH, tokens replaced; empty beside a RUNPATH.
    rpath: Folders,
    /// Its own RUNPATH, likewise.
    runpath: Folders,
    scope: Option<usize>,
    /// Its place in [`Closure::objects`].
    pub(super) listed: Option<usize>,
}

/// The process whose closure is being computed.
pub(super) struct Process<'a> {
    pub(super) files: &'a mut dyn Files,
    pub(super) loader: Shared,
    loader_id: usize,
    /// `--library-path`, for its program.
    library_path: Folders,
    pub(super) mapped: Vec<Mapped>,
    /// Further names of objects: device and inode were known under another one.
    pub(super) aliases: Vec<(NameId, usize)>,
    /// Where what is opened is listed, by its name and its path: it may be opened again when other objects are there.
    pub(super) opened: FxHashMap<(NameId, NameId), usize>,
    /// How much was done for the notes.
    pub(super) spent: usize,
    pub(super) closure: &'a mut Closure,
}

impl Process<'_> {
    /// That what the object at `turn` needs led to the one at `at`.
    fn add_other_name(&mut self, found: Loaded, turn: usize, at: usize) {
        if let Some(object) = self.mapped[at].listed {
            let needed_by = self.mapped[turn].listed;
            self.closure.other_names.push(OtherName { found, object, needed_by });
        }
    }

    /// That the loader gives up on the object at `bad`, which the one at `turn` needs by `name`.
    fn refusal(&self, turn: usize, name: &Bytes, bad: usize, reason: String) -> Missing {
        let needed_by = self.mapped[turn].path.clone();
        let bad = Some((self.mapped[bad].path.clone(), reason));
        Missing { needed: name.clone(), needed_by, tried: Vec::new(), bad, opened: None, only_for: None }
    }
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

    /// The program, and all that it needs.
    fn map_all(&mut self, process: &mut Process<'_>, main: Arc<Object>) {
        let soname = main.soname.clone();
        // Neither the program nor glibc's loader is known by device and inode: the kernel mapped them.
        // The program's $ORIGIN comes from /proc/self/exe, which has no links in it.
        let realpath = process.closure.realpath.clone();
        let mut program = self.mapped(process.files, &process.loader, realpath, main, None);
        if process.loader.libc == Libc::Glibc {
            // The name of the program's link map is empty, and so names it (elf/rtld.c). No more is mapped for the
            // kernel's own object, which is there already (`setup_vdso`, elf/setup-vdso.h).
            let vdso = process.loader.machine.vdso();
            let names = [&b""[..], vdso.as_bytes()].map(|name| Some(self.names.id(&bytes(name))));
            program.names = [names[0], soname.map(|soname| self.names.id(&soname)), names[1]];
        }
        process.mapped.push(program);
        self.known.clear();
        self.by_file.clear();
        self.make_known(process, 0);

        let mut queue = Queue::default();
        queue.append(0);
        if self.preloads {
            self.preload(process, &mut queue);
        }
        self.map_queue(process, queue);
    }

    /// What `/etc/ld.so.preload` names is mapped before what the program needs, as if the program needed it, and
    /// ignored where it is missing or bad. Only in paths are tokens replaced (`do_preload`, elf/rtld.c).
    fn preload(&mut self, process: &mut Process<'_>, queue: &mut Queue) {
        let loader = Arc::clone(&process.loader);
        for name in &loader.preload {
            let name = self.names.id(name);
            let before = process.closure.objects.len();
            let Ok(at) = self.map_object(process, 0, 0, name) else { continue };
            queue.append(at);
            if let Some(listed) = process.mapped[at].listed {
                process.closure.edges.push((None, listed));
            }
            let new = process.closure.objects[before..].iter_mut();
            new.filter(|object| object.found_by != FoundBy::Loaded)
                .for_each(|object| object.found_by = FoundBy::Preload);
        }
    }

    /// From now on `mapped[at]` answers to its names.
    pub(super) fn make_known(&mut self, process: &Process<'_>, at: usize) {
        let mapped = &process.mapped[at];
        let mut names = mapped.names.iter().flatten();
        if let Some(name) = names.next() {
            self.known.set(*name, at);
        }
        names.for_each(|name| self.known.set_if_free(*name, at));
        if let Some(file) = mapped.file {
            self.by_file.set(file.0, at);
        }
    }

    /// What the object at `opened` needs, the last one mapped, where all before it have what they need.
    pub(super) fn map_needed(&mut self, process: &mut Process<'_>, opened: usize) {
        if opened < process.mapped.len() {
            self.map_queue(process, Queue::beginning_at(opened));
        }
    }

    /// What the objects in `queue` need, and what these need: `_dl_map_object_deps` of elf/dl-deps.c.
    fn map_queue(&mut self, process: &mut Process<'_>, mut queue: Queue) {
        while let Some(turn) = queue.next() {
            if let Err(refusal) = self.map_needs(process, &mut queue, turn) {
                process.closure.missing.push(refusal);
                return;
            }
        }
    }

    /// Maps what one object needs; an error is what ends all.
    fn map_needs(&mut self, process: &mut Process<'_>, queue: &mut Queue, turn: usize) -> Result<(), Missing> {
        let loader = Arc::clone(&process.loader);
        let object = Arc::clone(&process.mapped[turn].object);
        let listed = process.mapped[turn].listed;
        let file = listed.map_or(process.closure.id, |listed| process.closure.objects[listed].file);
        let plain = self.names.needed(file, &object);
        let mut missing_seen: FxHashSet<NameId> = FxHashSet::default();
        for (index, dependency) in object.dependencies.iter().enumerate() {
            let is_filtee = dependency.kind != DependencyKind::Needed;
            let is_auxiliary = dependency.kind == DependencyKind::Auxiliary;
            // musl knows DT_NEEDED alone (`load_direct_deps`, ldso/dynlink.c).
            if loader.libc == Libc::Musl && is_filtee {
                continue;
            }
            let name = match &plain {
                Some(names) => names[index],
                None => match self.expanded(&loader, &process.mapped[turn], &dependency.name) {
                    Some(name) => name,
                    // `expand_dst` of elf/dl-deps.c has it this way round.
                    None if is_auxiliary => {
                        let reason = "empty dynamic string token substitution".to_owned();
                        return Err(process.refusal(turn, &dependency.name, turn, reason));
                    }
                    None => continue,
                },
            };
            match self.map_object(process, turn, turn, name) {
                Ok(at) => {
                    if let Some(child) = process.mapped[at].listed {
                        process.closure.edges.push((listed, child));
                    }
                    if !is_filtee {
                        queue.append(at);
                    } else if let Err(Circle) = queue.put_ahead(at) {
                        let reason = "it is a filter of its own filter".to_owned();
                        return Err(process.refusal(turn, self.names.text(name), at, reason));
                    }
                }
                // A missing auxiliary filtee is no error, and neither is a bad one.
                Err(_) if is_auxiliary => {}
                Err(_) if !missing_seen.insert(name) => {}
                Err(outcome) => {
                    let missing = self.missing(process, turn, name, outcome);
                    process.closure.missing.push(missing);
                }
            }
        }
        Ok(())
    }

    /// What `name` is for the object at `turn`, mapped where it was not: `_dl_map_object` of elf/dl-load.c.
    /// It is loaded by `loaded_by`.
    pub(super) fn map_object(
        &mut self,
        process: &mut Process<'_>,
        turn: usize,
        loaded_by: usize,
        name: NameId,
    ) -> Result<usize, Outcome> {
        if let Some(at) = self.known.get(name) {
            return Ok(at);
        }
        let loader = Arc::clone(&process.loader);
        let at = process.mapped.len();
        if loader.is_named(self.names.text(name)) {
            return self.map_interpreter(process, loaded_by, name);
        }
        let Some(place) = self.place(&loader, &process.mapped[turn], name) else { return Err(Outcome::Missing) };
        let scope = self.scope(process, turn);
        let hit = self.search(process.files, &loader, process.loader_id, scope, place);
        for passed in self.passed_over.get(&(process.loader_id, scope, place)).into_iter().flatten() {
            if !process.closure.passed_over.contains(passed) {
                process.closure.passed_over.push(passed.clone());
            }
        }
        let Outcome::Found { path, realpath, file, by, hwcaps } = hit.outcome else { return Err(hit.outcome) };
        let needed = self.names.text(name).clone();
        // The same file under another name is the same object (device and inode).
        if let Some(at) = self.by_file.get(file.0) {
            if let Some(alias) = self.alias(process, at, name) {
                self.known.set(alias, at);
                process.aliases.push((alias, at));
            }
            let found = Loaded { needed, path, realpath, file, found_by: by, hwcaps };
            process.add_other_name(found, turn, at);
            return Ok(at);
        }
        let Some(object) = hit.object else { return Err(Outcome::Missing) };
        if loader.libc == Libc::Musl && loader.takes_for_itself(process.files, file, &object) {
            let at = self.map_interpreter(process, loaded_by, name)?;
            let found = Loaded { needed, path, realpath, file, found_by: by, hwcaps };
            process.add_other_name(found, turn, at);
            return Ok(at);
        }
        let is_path = needed.contains(&b'/');
        let mut mapping = self.mapped(process.files, &loader, path.clone(), object, Some(loaded_by));
        mapping.file = Some(file);
        mapping.names = match loader.libc {
            Libc::Glibc => [Some(name), Some(hit.path_name), hit.soname],
            // What was opened by its path has no name yet (`shortname`).
            Libc::Musl => [Some(name).filter(|_| !is_path), None, None],
        };
        let objects = &mut process.closure.objects;
        let listed = process.opened.get(&(name, hit.path_name)).copied().unwrap_or(objects.len());
        if listed == objects.len() {
            objects.push(Loaded { needed, path, realpath, file, found_by: by, hwcaps });
        }
        mapping.listed = Some(listed);
        process.mapped.push(mapping);
        self.make_known(process, at);
        Ok(at)
    }

    /// What is said of a `name` that the object at `turn` does not get.
    pub(super) fn missing(
        &mut self,
        process: &mut Process<'_>,
        turn: usize,
        name: NameId,
        outcome: Outcome,
    ) -> Missing {
        let bad = match outcome {
            Outcome::Bad { path, reason } => Some((path, reason)),
            _ => None,
        };
        let loader = Arc::clone(&process.loader);
        let scope = self.scope(process, turn);
        let place = self.place(&loader, &process.mapped[turn], name);
        let tried = place.map_or_else(Vec::new, |place| self.explain(process.files, &loader, scope, place));
        let needed = self.names.text(name).clone();
        let only_for = match bad {
            None => only_for(process.files, &loader, &tried, &needed),
            Some(_) => None,
        };
        let needed_by = process.mapped[turn].path.clone();
        Missing { needed, needed_by, tried, bad, opened: None, only_for }
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

    fn mapped(
        &self,
        files: &mut dyn Files,
        loader: &Loader,
        path: RootfsPath,
        object: Arc<Object>,
        loaded_by: Option<usize>,
    ) -> Mapped {
        let (rpath, runpath) = if object.rpath.is_some() || object.runpath.is_some() {
            let origin = path.parent().unwrap_or_else(RootfsPath::root);
            own_lists(files, loader, &object, &origin, self.current.as_ref())
        } else {
            (Arc::clone(&self.no_folders), Arc::clone(&self.no_folders))
        };
        Mapped { path, object, file: None, names: [None; 3], loaded_by, rpath, runpath, scope: None, listed: None }
    }

    /// The loader itself, which is mapped already: put into the closure when it is first needed.
    fn map_interpreter(&mut self, process: &mut Process<'_>, by: usize, name: NameId) -> Result<usize, Outcome> {
        let loader = Arc::clone(&process.loader);
        let Some((realpath, file)) = &loader.file else { return Err(Outcome::Missing) };
        let Ok(object) = process.files.object(*file) else { return Err(Outcome::Missing) };
        let objects = &mut process.closure.objects;
        let listed = objects.iter().position(|object| object.file == *file).unwrap_or_else(|| {
            objects.push(Loaded {
                needed: self.names.text(name).clone(),
                path: loader.path.clone(),
                realpath: realpath.clone(),
                file: *file,
                found_by: FoundBy::Loaded,
                hwcaps: None,
            });
            objects.len() - 1
        });
        let at = process.mapped.len();
        let mut mapping = self.mapped(process.files, &loader, loader.path.clone(), object, Some(by));
        mapping.listed = Some(listed);
        mapping.names[0] = Some(name);
        mapping.file = (loader.libc == Libc::Musl).then_some(*file);
        process.mapped.push(mapping);
        self.make_known(process, at);
        Ok(at)
    }

    /// The name that `mapped[at]` is also known by, its file having been found by `name`. (musl gives it the name of
    /// the file that it was opened as, if it has none yet: `load_library`, ldso/dynlink.c.)
    fn alias(&mut self, process: &Process<'_>, at: usize, name: NameId) -> Option<NameId> {
        if process.loader.libc == Libc::Glibc {
            return Some(name);
        }
        let mapped = &process.mapped[at];
        let has_name = mapped.names[0].is_some() || process.aliases.iter().any(|(_, named)| *named == at);
        let is_path = self.names.text(name).contains(&b'/');
        (!has_name && !is_path).then(|| self.names.id(&bytes(mapped.path.file_name())))
    }

    /// The search lists of what `mapped[at]` needs.
    fn scope(&mut self, process: &mut Process<'_>, at: usize) -> usize {
        let Process { loader, library_path, mapped, .. } = process;
        if let Some(scope) = mapped[at].scope {
            return scope;
        }
        let object = &mapped[at].object;
        let no_default = Scope::refuses_defaults(object);
        let (library_path, runpath) = (Arc::clone(library_path), Arc::clone(&self.no_folders));
        let mut scope = Scope { rpath: Vec::new(), library_path, runpath, no_default };
        if loader.libc == Libc::Glibc && object.runpath.is_some() {
            // RUNPATH holds for the object's own needs alone, and shuts out every RPATH (ld.so(8)).
            scope.runpath = Arc::clone(&mapped[at].runpath);
        } else {
            // RPATH is inherited from whoever loaded the object, up to the program. (musl: all paths are.)
            let mut next = Some(at);
            while let Some(index) = next {
                let folders = &mapped[index].rpath;
                if !folders.is_empty() && !scope.rpath.contains(folders) {
                    scope.rpath.push(Arc::clone(folders));
                }
                next = mapped[index].loaded_by;
            }
        }
        let id = match self.scopes.get(&scope) {
            Some(&id) => id,
            None => {
                self.scope_list.push(scope.clone());
                self.scopes.insert(scope, self.scope_list.len() - 1);
                self.scope_list.len() - 1
            }
        };
        mapped[at].scope = Some(id);
        id
    }

    fn search(&mut self, files: &mut dyn Files, loader: &Loader, loader_id: usize, scope: usize, name: NameId) -> Hit {
        if let Some(hit) = self.found.get(&(loader_id, scope, name)) {
            return hit.clone();
        }
        self.progress.met_root = false;
        let (outcome, passed_over) = self.look(files, loader, scope, name, None);
        if !passed_over.is_empty() {
            self.passed_over.insert((loader_id, scope, name), passed_over);
        }
        let found = match &outcome {
            Outcome::Found { path, file, .. } => Some((path, files.object(*file).ok())),
            _ => None,
        };
        let (path_name, object) = match found {
            Some((path, object)) => (self.names.id(&bytes(path.as_bytes())), object),
            None => (name, None),
        };
        let soname = object.as_ref().and_then(|object| object.soname.as_ref()).map(|soname| self.names.id(soname));
        let hit = Hit { outcome, path_name, soname, object };
        // What was given up for want of places is nothing to remember: the next program has places left.
        if self.progress.places_left > 0 && !self.progress.met_root {
            self.found.insert((loader_id, scope, name), hit.clone());
        }
        hit
    }

    /// The name of a dependency with its tokens replaced; `None` where one of them is not known.
    fn expanded(&mut self, loader: &Loader, object: &Mapped, name: &Bytes) -> Option<NameId> {
        if loader.libc == Libc::Musl {
            return Some(self.names.id(name));
        }
        let origin = object.path.parent().unwrap_or_else(RootfsPath::root);
        let tokens = Tokens { origin: Some(origin.as_bytes()), ..Tokens::of(loader) };
        expand(name, &tokens).map(|name| self.names.id(&name))
    }

    /// What is searched for where `name` is needed. In a path tokens are replaced once more, which a folder's own
    /// name may hold (`_dl_map_object`: "The path may contain dynamic string tokens").
    fn place(&mut self, loader: &Loader, object: &Mapped, name: NameId) -> Option<NameId> {
        let text = self.names.text(name);
        if text.contains(&b'$') && text.contains(&b'/') {
            let text = text.clone();
            return self.expanded(loader, object, &text);
        }
        Some(name)
    }

    /// Every place where `name` was looked for; only worth its time where it was not found.
    fn explain(&mut self, files: &mut dyn Files, loader: &Loader, scope: usize, name: NameId) -> Vec<Attempt> {
        let mut tried = Vec::new();
        let before = self.progress;
        self.look(files, loader, scope, name, Some(&mut tried));
        let places_left = self.progress.places_left;
        self.progress = before;
        self.progress.places_left = places_left;
        tried
    }

    fn look(
        &mut self,
        files: &mut dyn Files,
        loader: &Loader,
        scope: usize,
        name: NameId,
        trail: Option<&mut Vec<Attempt>>,
    ) -> (Outcome, Vec<(RootfsPath, Machine)>) {
        let (current, progress) = (self.current.as_ref(), &mut self.progress);
        let mut search = Search { files, loader, current, trail, progress, passed_over: Vec::new() };
        let outcome = search.run(&self.scope_list[scope], self.names.text(name));
        (outcome, search.passed_over)
    }
}

/// The glibc-hwcaps subdirectory, of those that are not searched, that has what was not found.
fn only_for(files: &mut dyn Files, loader: &Loader, tried: &[Attempt], name: &[u8]) -> Option<Box<Bytes>> {
    let is_folder = |attempt: &&Attempt| !matches!(attempt.by, FoundBy::Absolute | FoundBy::Cache);
    let folders = tried.iter().filter(is_folder).filter_map(|attempt| attempt.place.as_ref());
    // Those that are asked of a hostile file are bounded as the names that it misses are.
    let folders: Vec<_> = folders.take(16).collect();
    let mut levels = loader.levels.iter().filter(|level| !loader.active.contains(level));
    let found = levels.find(|level| {
        let mut has =
            |folder: &&RootfsPath| matches!(files.find(&hwcaps::below(folder, level).join(name)), Find::File { .. });
        let level = std::slice::from_ref(*level);
        let cached = loader.cached(name, level).and_then(|(_, level)| level);
        folders.iter().any(&mut has) || cached.is_some()
    });
    found.cloned().map(Box::new)
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
