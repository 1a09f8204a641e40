//! Computes the closure of one executable: the mapped objects, in breadth-first order, each once.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::closure::{Closure, Loaded, Missing, OtherName, Skipped};
use super::folders::Folders;
use super::library_path;
use super::loader::{Libc, Loader};
use super::names::NameId;
use super::own_lists::own_lists;
use super::queue::{Circle, Queue};
use super::releases::RunsOn;
use super::resolver::{Mapped, Process, Resolver};
use super::scopes::only_for;
use super::search::{Attempt, Outcome, Progress};
use super::target_libraries::Given;
use super::{BadObject, Files, Find, FoundBy, bytes};
use crate::elf::{Bytes, Carrier, DependencyKind, ENDS, Malformed, Object};
use crate::path::RootfsPath;
use crate::target::Machine;

/// The expected number of objects in a closure; a wrong guess costs little memory or time.
const USUAL: usize = 16;

impl Process<'_> {
    /// Records that a need of the object at `turn` led to the object at `at`.
    fn add_other_name(&mut self, found: Loaded, turn: usize, at: usize) {
        if let Some(object) = self.mapped[at].listed {
            let needed_by = self.mapped[turn].listed;
            self.closure.other_names.push(OtherName { found, object, needed_by });
        }
    }

    /// The report that the loader fails on the object at `bad`, which the object at `turn` needs by `name`.
    fn refusal(&self, turn: usize, name: &Bytes, bad: usize, reason: String) -> Missing {
        let needed_by = self.mapped[turn].path.clone();
        let bad = Some((self.mapped[bad].path.clone(), reason));
        Missing { needed: name.clone(), needed_by, tried: Vec::new(), bad, opened: None, only_for: None }
    }
}

impl Resolver {
    /// The closure of the ELF file at `path`: an executable, or a shared object as if it were one.
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
            carrier: None,
            objects: Vec::with_capacity(USUAL),
            at_start: 0,
            notes: Vec::new(),
            bad_notes: Vec::new(),
            may_open: Vec::new(),
            opens_unnamed: Vec::new(),
            variants: Vec::new(),
            missing: Vec::new(),
            given: Vec::new(),
            passed_over: Vec::new(),
            other_names: Vec::new(),
            edges: Vec::with_capacity(4 * USUAL),
            runs_on: RunsOn::default(),
        };
        if interpreter_path.is_none() && object.dependencies.is_empty() && object.dlopen_notes.is_empty() {
            // Static, static-pie, or a library without needs.
            closure.carrier = Carrier::of(&files.part(id, 0, ENDS).unwrap_or_default(), &[]);
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

    /// Maps the program and all its needs.
    pub(super) fn map_all(&mut self, process: &mut Process<'_>, main: Arc<Object>) {
        let soname = main.soname.clone();
        // Neither the program nor glibc's loader is found again by device and inode: the kernel mapped them. The
        // program's $ORIGIN comes from /proc/self/exe, which has no symlinks in it.
        let realpath = process.closure.realpath.clone();
        let mut program = self.mapped(process.files, &process.loader, realpath, main, None);
        if process.loader.libc == Libc::Glibc {
            // The program's link map has an empty name, which finds it (elf/rtld.c). The kernel's own object is already
            // mapped (`setup_vdso`, elf/setup-vdso.h).
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

    /// Maps the objects of `/etc/ld.so.preload` before the program's needs, as if the program needed them; ignores
    /// missing or bad ones. Only paths have tokens (`do_preload`, elf/rtld.c).
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

    /// Makes `mapped[at]` known by its names.
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

    /// Maps the needs of the object at `opened`, which was mapped last; those of all others are already mapped.
    pub(super) fn map_needed(&mut self, process: &mut Process<'_>, opened: usize) {
        if opened < process.mapped.len() {
            self.map_queue(process, Queue::beginning_at(opened));
        }
    }

    /// Maps the needs of the objects in `queue`, and in turn their needs (`_dl_map_object_deps`, elf/dl-deps.c).
    fn map_queue(&mut self, process: &mut Process<'_>, mut queue: Queue) {
        while let Some(turn) = queue.next() {
            if let Err(refusal) = self.map_needs(process, &mut queue, turn) {
                process.closure.missing.push(refusal);
                return;
            }
        }
    }

    /// Maps the needs of one object; an error ends the whole process.
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
            // musl knows DT_NEEDED only (`load_direct_deps`, ldso/dynlink.c).
            if loader.libc == Libc::Musl && is_filtee {
                continue;
            }
            let name = match &plain {
                Some(names) => names[index],
                None => match self.expanded(&loader, &process.mapped[turn], &dependency.name) {
                    Some(name) => name,
                    // `expand_dst` of elf/dl-deps.c fails for the auxiliary one and skips the other.
                    None if is_auxiliary => {
                        let reason = "empty dynamic string token substitution".to_owned();
                        return Err(process.refusal(turn, &dependency.name, turn, reason));
                    }
                    None => continue,
                },
            };
            if self.is_given(process, turn, name) {
                continue;
            }
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
                // A missing or bad auxiliary filtee is no error.
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

    /// Returns whether the target provides the library that the object at `turn` needs, and records that.
    pub(super) fn is_given(&self, process: &mut Process<'_>, turn: usize, name: NameId) -> bool {
        let needed = self.names.text(name);
        if !self.given.has(needed) {
            return false;
        }
        let given = Given { needed: needed.clone(), needed_by: process.mapped[turn].path.clone() };
        if !process.closure.given.contains(&given) {
            process.closure.given.push(given);
        }
        true
    }

    /// Finds the object that `name` means for the object at `turn`, and maps it if it is new (`_dl_map_object`,
    /// elf/dl-load.c). `loaded_by` is its loader.
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
            // musl gives no name to an object that was opened by its path (`shortname`).
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

    /// Adds the already mapped loader itself to the closure when it is first needed.
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

    /// A further name of `mapped[at]`, whose file was found by `name`. musl names an object without a name after the
    /// file that it was opened as (`load_library`, ldso/dynlink.c).
    fn alias(&mut self, process: &Process<'_>, at: usize, name: NameId) -> Option<NameId> {
        if process.loader.libc == Libc::Glibc {
            return Some(name);
        }
        let mapped = &process.mapped[at];
        let has_name = mapped.names[0].is_some() || process.aliases.iter().any(|(_, named)| *named == at);
        let is_path = self.names.text(name).contains(&b'/');
        (!has_name && !is_path).then(|| self.names.id(&bytes(mapped.path.file_name())))
    }

    /// The report on a missing `name` of the object at `turn`.
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

    /// The directories of the library path for a program at `path`.
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

/// The reason why the kernel would not start the present interpreter (execve(2): EACCES, ELIBBAD).
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
