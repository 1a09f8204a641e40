//! Libraries that the objects of a closure may open at run time without a note: present libraries whose names are
//! constants of an object that calls dlopen(3).
//!
//! They are guesses for suggestions, and are never added to a closure.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Closure, FileId, Files, Loaded, Loader, Resolver};
use crate::elf::Bytes;
use crate::glob;
use crate::path::RootfsPath;

/// A library that may be opened.
#[derive(Debug, Clone)]
pub struct MayOpen {
    /// The object whose constants name it: an index into the closure's objects; `None` is the executable.
    pub by: Option<usize>,
    /// The library that dlopen(3) finds by the name.
    pub library: Loaded,
}

/// The objects found by the names among a file's strings, by file and loader: many closures share libraries.
pub(super) type Named = FxHashMap<(FileId, RootfsPath), Option<Arc<[Loaded]>>>;

#[doc(hidden)]
impl Resolver {
    /// Fills [`Closure::may_open`] and [`Closure::opens_unnamed`].
    pub fn find_may_open(&mut self, files: &mut dyn Files, closure: &mut Closure) {
        let Some(loader) = closure.loader.clone() else { return };
        let callers = std::iter::once((None, closure.id));
        let callers: Vec<_> =
            callers.chain(closure.objects.iter().enumerate().map(|(at, object)| (Some(at), object.file))).collect();
        let sonames: FxHashMap<FileId, Bytes> =
            callers.iter().filter_map(|(_, file)| Some((*file, files.object(*file).ok()?.soname.clone()?))).collect();
        for (by, file) in callers {
            let Some(libraries) = self.named_in(files, &loader, file) else { continue };
            // dlopen(3) does not search again for a loaded soname, wherever it was loaded from. The end of a name among
            // constants is uncertain, so the library's own soname counts too.
            let is_loaded = |name: &Bytes| {
                let is_it = |object: &Loaded| object.needed == *name || sonames.get(&object.file) == Some(name);
                closure.objects.iter().any(is_it)
            };
            let mut is_new = |library: &&Loaded| {
                let is_there = library.file == closure.id || closure.objects.iter().any(|it| it.file == library.file);
                let own = files.object(library.file).ok().and_then(|object| object.soname.clone());
                !is_there && !is_loaded(&library.needed) && !own.is_some_and(|soname| is_loaded(&soname))
            };
            let new: Vec<MayOpen> = libraries
                .iter()
                .filter(|library| is_new(library))
                .map(|library| MayOpen { by, library: library.clone() })
                .collect();
            if new.is_empty() {
                closure.opens_unnamed.push(by);
            }
            closure.may_open.extend(new);
        }
    }

    /// The libraries whose names are in `file`; `None` if it does not call dlopen(3), or has notes.
    fn named_in(&mut self, files: &mut dyn Files, loader: &Arc<Loader>, file: FileId) -> Option<Arc<[Loaded]>> {
        let key = (file, loader.path.clone());
        if let Some(known) = self.named.get(&key) {
            return known.clone();
        }
        let names = files.names_to_open(file);
        let libraries = names.map(|names| self.libraries_named(files, loader, &names));
        self.named.insert(key, libraries.clone());
        libraries
    }

    /// The libraries in a loader's search directories whose names do not begin with `lib`.
    fn plugins(&mut self, files: &mut dyn Files, loader: &Loader) -> Arc<[Bytes]> {
        let is_plugin = |name: &[u8]| {
            let is_library = name.starts_with(b"lib") || name.starts_with(b"ld-") || name.starts_with(b"ld.");
            let version = memchr::memmem::find(name, b".so").map(|at| &name[at + 3..]);
            let is_shared = version.is_some_and(|rest| rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'));
            // A shorter name is the end of too many texts.
            is_shared && !is_library && name.len() > 6
        };
        self.plugins
            .entry(loader.path.clone())
            .or_insert_with(|| {
                let names = loader.default_dirs.iter().flat_map(|directory| files.list(directory));
                let mut names: Vec<Bytes> =
                    names.filter(|name| is_plugin(name)).map(|it| Bytes::from(&it[..])).collect();
                names.sort_unstable();
                names.dedup();
                names.into()
            })
            .clone()
    }

    /// Finds the libraries without duplicates; the name of each is its soname if that is among the names.
    fn libraries_named(&mut self, files: &mut dyn Files, loader: &Loader, names: &[Bytes]) -> Arc<[Loaded]> {
        let mut libraries: Vec<Loaded> = Vec::new();
        let (named, texts): (Vec<&Bytes>, Vec<&Bytes>) = names.iter().partition(|name| name.starts_with(b"lib"));
        let plugins = if texts.is_empty() { Arc::from([]) } else { self.plugins(files, loader) };
        let plugins = plugins.iter().filter(|plugin| texts.iter().any(|text| text.ends_with(plugin))).cloned();
        let named = named.into_iter().flat_map(|name| in_directories(files, &loader.default_dirs, name));
        let named: Vec<Bytes> = named.chain(plugins).collect();
        for name in &named {
            let Ok(found) = self.library(files, loader, name) else { continue };
            match libraries.iter_mut().find(|known| known.file == found.file) {
                Some(known) => {
                    let soname = files.object(found.file).ok().and_then(|object| object.soname.clone());
                    if soname.as_ref() == Some(name) {
                        *known = found;
                    }
                }
                None => libraries.push(found),
            }
        }
        libraries.into()
    }
}

/// The name itself, or the names in `directories` that a pattern of [`Files::names_to_open`] matches.
pub(crate) fn in_directories(files: &mut dyn Files, directories: &[RootfsPath], name: &Bytes) -> Vec<Bytes> {
    if !name.contains(&b'*') {
        return vec![name.clone()];
    }
    let Ok(pattern) = glob::component(name) else { return Vec::new() };
    let names = directories.iter().flat_map(|directory| files.list(directory));
    names.filter(|name| pattern.matches(name)).map(|name| Bytes::from(&name[..])).collect()
}
