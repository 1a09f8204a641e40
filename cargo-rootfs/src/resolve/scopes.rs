//! The search places for a needed name, by the object that needs it; results are cached for the next program.

use std::sync::Arc;

use super::closure::{Loaded, Missing};
use super::folders::Folders;
use super::library_path;
use super::loader::{Libc, Loader};
use super::names::NameId;
use super::resolver::{Hit, Mapped, Process, Resolver};
use super::search::{Attempt, Outcome, Progress, Scope, Search};
use super::tokens::{Tokens, expand};
use super::{Files, Find, FoundBy, bytes, hwcaps};
use crate::elf::Bytes;
use crate::path::RootfsPath;
use crate::target::Machine;

impl Resolver {
    /// Searches for a library by name only, as dlopen(3) from a program without search paths would.
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

    /// The search lists for the needs of `mapped[at]`.
    pub(super) fn scope(&mut self, process: &mut Process<'_>, at: usize) -> usize {
        let Process { loader, library_path, mapped, .. } = process;
        if let Some(scope) = mapped[at].scope {
            return scope;
        }
        let object = &mapped[at].object;
        let no_default = Scope::refuses_defaults(object);
        let (library_path, runpath) = (Arc::clone(library_path), Arc::clone(&self.no_folders));
        let mut scope = Scope { rpath: Vec::new(), library_path, runpath, no_default };
        if loader.libc == Libc::Glibc && object.runpath.is_some() {
            // RUNPATH applies only to the object's own needs, and disables every RPATH (ld.so(8)).
            scope.runpath = Arc::clone(&mapped[at].runpath);
        } else {
            // RPATH is inherited from the loading objects, up to the program. (In musl, all paths are.)
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

    pub(super) fn search(
        &mut self,
        files: &mut dyn Files,
        loader: &Loader,
        loader_id: usize,
        scope: usize,
        name: NameId,
    ) -> Hit {
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
        // A search that ended at the limit of places is not cached: the next program has its own limit.
        if self.progress.places_left > 0 && !self.progress.met_root {
            self.found.insert((loader_id, scope, name), hit.clone());
        }
        hit
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

    /// Every place in which `name` was searched for; called only for names that were not found.
    pub(super) fn explain(
        &mut self,
        files: &mut dyn Files,
        loader: &Loader,
        scope: usize,
        name: NameId,
    ) -> Vec<Attempt> {
        let mut tried = Vec::new();
        let before = self.progress;
        self.look(files, loader, scope, name, Some(&mut tried));
        let places_left = self.progress.places_left;
        self.progress = before;
        self.progress.places_left = places_left;
        tried
    }

    /// The name of a dependency with its tokens replaced; `None` if a token is unknown.
    pub(super) fn expanded(&mut self, loader: &Loader, object: &Mapped, name: &Bytes) -> Option<NameId> {
        if loader.libc == Libc::Musl {
            return Some(self.names.id(name));
        }
        let origin = object.path.parent().unwrap_or_else(RootfsPath::root);
        let tokens = Tokens { origin: Some(origin.as_bytes()), ..loader.tokens() };
        expand(name, &tokens).map(|name| self.names.id(&name))
    }

    /// The text to search for if `name` is needed. Tokens in a path are replaced again, since the name of a directory
    /// may contain one (`_dl_map_object`: "The path may contain dynamic string tokens").
    pub(super) fn place(&mut self, loader: &Loader, object: &Mapped, name: NameId) -> Option<NameId> {
        let text = self.names.text(name);
        if text.contains(&b'$') && text.contains(&b'/') {
            let text = text.clone();
            return self.expanded(loader, object, &text);
        }
        Some(name)
    }
}

/// The glibc-hwcaps subdirectory with the missing library, of those that are not searched.
pub(super) fn only_for(files: &mut dyn Files, loader: &Loader, tried: &[Attempt], name: &[u8]) -> Option<Box<Bytes>> {
    let is_folder = |attempt: &&Attempt| !matches!(attempt.by, FoundBy::Absolute | FoundBy::Cache);
    let folders = tried.iter().filter(is_folder).filter_map(|attempt| attempt.place.as_ref());
    // A hostile file has many names, so the number of its directories is limited.
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
