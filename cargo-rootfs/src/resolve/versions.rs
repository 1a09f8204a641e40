//! Symbol versions: checks that the library chosen for each need defines every needed version
//! (`_dl_check_map_versions`, elf/dl-version.c).

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::releases::Release;
use super::{Closure, FileId, Files, Libc, bytes};
use crate::elf::{Bytes, DependencyKind, NeededVersion, Object, VersionNeed};
use crate::path::RootfsPath;

/// The messages of ld.so about the symbol versions of a closure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Errors: ld.so does not start the program.
    pub unsatisfied: Vec<Unsatisfied>,
    /// Warnings: ld.so continues.
    pub unversioned: Vec<Unversioned>,
}

/// The reason why ld.so refuses to start a program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unsatisfied {
    /// The object at fault.
    pub needed_by: RootfsPath,
    /// The fault of the need, or of the library chosen for it.
    pub why: Lack,
    /// The glibc for which the object was linked: the newest release that it needs.
    pub linked_for: Option<Release>,
    /// The present glibc: the newest release of which it defines versions.
    pub present: Option<Release>,
}

/// A fault of a need.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lack {
    /// The library has version definitions, and lacks these.
    Versions {
        /// The missing versions, such as `GLIBC_2.38`, in the order of the needs.
        versions: Vec<Bytes>,
        /// The library that was chosen.
        library: RootfsPath,
    },
    /// Versions are needed of a library under a name that no mapped object has.
    Library {
        /// The name.
        name: Bytes,
        /// The first of the versions.
        version: Bytes,
    },
    /// Version records of a revision other than 1, the only valid one.
    Revision {
        /// The file with the records.
        file: RootfsPath,
        /// The revision.
        revision: u16,
    },
    /// Compact relative relocations (DT_RELR) without a need for the version GLIBC_ABI_DT_RELR, which makes older
    /// loaders refuse the object.
    Relr,
}

/// Versions are needed of a library without version definitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unversioned {
    /// The object that needs them.
    pub needed_by: RootfsPath,
    /// The library that was chosen.
    pub library: RootfsPath,
    /// True if the object itself has no version needs. The loader then continues only until it looks up the first of
    /// its symbols (an assertion in `check_match`, elf/dl-lookup.c).
    pub is_bare: bool,
}

/// Checks pairs of objects, each pair once for all closures.
#[derive(Debug, Default)]
pub struct Versions {
    /// The result for the need at this index of the first file, and the second file.
    checked: FxHashMap<(FileId, usize, FileId), Match>,
    defined: FxHashMap<FileId, Definitions>,
}

/// The result of checking a need against a library.
#[derive(Debug, Clone)]
enum Match {
    Satisfied,
    Unversioned,
    Lacks(Vec<Bytes>),
    Revision(u16),
}

impl Versions {
    /// Checks the versions as ld.so does. musl has no symbol versions, so nothing is checked.
    pub fn check(&mut self, files: &mut dyn Files, closure: &Closure) -> Verdict {
        let mut verdict = Verdict::default();
        if closure.loader.as_ref().is_none_or(|loader| loader.libc == Libc::Musl) {
            return verdict;
        }
        let mut names = Names::new(closure);
        for by in std::iter::once(None).chain((0..closure.objects.len()).map(Some)) {
            let file = by.map_or(closure.id, |index| closure.objects[index].file);
            let Ok(object) = files.object(file) else { continue };
            let (mut wrong, mut bare) = (Vec::new(), Vec::new());
            for (index, need) in object.version_needs.iter().enumerate() {
                // The loader checks the revision of the first record only.
                if index == 0 && need.revision != 1 {
                    wrong.push(Lack::Revision { file: closure.path(by).clone(), revision: need.revision });
                    break;
                }
                let chosen = match names.find(files, by, &need.file) {
                    Named::Object(chosen) => chosen,
                    // With a missing library the loader does not check versions; those of a library on the target are
                    // unknown.
                    Named::Missing => continue,
                    Named::Nothing => {
                        let version = need.versions.first().map_or_else(|| bytes(b""), |first| first.name.clone());
                        wrong.push(Lack::Library { name: need.file.clone(), version });
                        continue;
                    }
                };
                let library = chosen.map_or(closure.id, |index| closure.objects[index].file);
                let matched = self.checked.entry((file, index, library)).or_insert_with(|| {
                    let defined = self.defined.entry(library).or_insert_with(|| {
                        files.object(library).map_or_else(|_| Definitions::default(), |it| Definitions::new(&it))
                    });
                    defined.meet(need)
                });
                let library = || closure.path(chosen).clone();
                match matched {
                    Match::Satisfied => {}
                    Match::Unversioned if bare.contains(&chosen) => {}
                    Match::Unversioned => bare.push(chosen),
                    Match::Lacks(versions) => {
                        wrong.push(Lack::Versions { versions: versions.clone(), library: library() })
                    }
                    Match::Revision(revision) => wrong.push(Lack::Revision { file: library(), revision: *revision }),
                }
            }
            if object.has_relr && needs_relr_version(&object) && knows_relr(files, closure) {
                wrong.push(Lack::Relr);
            }
            let needed_by = closure.path(by);
            if !wrong.is_empty() {
                let linked_for = Release::needed_by(&object);
                let present = libc(files, closure).and_then(|libc| Release::defined_by(&libc));
                verdict.unsatisfied.extend(wrong.into_iter().map(|why| Unsatisfied {
                    needed_by: needed_by.clone(),
                    why,
                    linked_for,
                    present,
                }));
            }
            for chosen in bare {
                let library = chosen.map_or(closure.id, |index| closure.objects[index].file);
                let is_bare = files.object(library).is_ok_and(|object| object.version_needs.is_empty());
                let (needed_by, library) = (needed_by.clone(), closure.path(chosen).clone());
                verdict.unversioned.push(Unversioned { needed_by, library, is_bare });
            }
        }
        verdict
    }
}

/// The definitions of one library, indexed: a file may need as many as another defines.
#[derive(Debug, Default)]
struct Definitions {
    /// Hash, name, and index in the file; sorted.
    sorted: Vec<(u32, Bytes, usize)>,
    /// The first definition of another revision.
    other_revision: Option<(usize, u16)>,
}

impl Definitions {
    fn new(library: &Object) -> Self {
        let all = &library.version_definitions;
        let mut sorted: Vec<_> =
            all.iter().enumerate().map(|(index, version)| (version.hash, version.name.clone(), index)).collect();
        sorted.sort_unstable();
        let other = all.iter().enumerate().find(|(_, version)| version.revision != 1);
        Self { sorted, other_revision: other.map(|(index, version)| (index, version.revision)) }
    }

    /// Checks each version of one need (`match_symbol`).
    fn meet(&self, need: &VersionNeed) -> Match {
        if self.sorted.is_empty() {
            return Match::Unversioned;
        }
        let mut lacking = Vec::new();
        for version in &need.versions {
            match self.define(version) {
                Ok(true) => {}
                Ok(false) if version.is_weak => {}
                Ok(false) => lacking.push(version.name.clone()),
                Err(revision) => return Match::Revision(revision),
            }
        }
        if lacking.is_empty() { Match::Satisfied } else { Match::Lacks(lacking) }
    }

    /// Finds a definition with the same name and hash: the loader compares both, and computes neither. It reads the
    /// definitions in order, and ends at one of another revision.
    fn define(&self, version: &NeededVersion) -> Result<bool, u16> {
        let at = self.sorted.partition_point(|(hash, name, _)| (*hash, name) < (version.hash, &version.name));
        let found = self.sorted.get(at).filter(|(hash, name, _)| (*hash, name) == (version.hash, &version.name));
        match (found, self.other_revision) {
            (Some((_, _, index)), Some((other, revision))) if other < *index => Err(revision),
            (None, Some((_, revision))) => Err(revision),
            (found, _) => Ok(found.is_some()),
        }
    }
}

/// glibc's own library in the closure.
fn libc(files: &mut dyn Files, closure: &Closure) -> Option<Arc<Object>> {
    let libc = closure.objects.iter().find(|object| object.needed.starts_with(LIBC))?;
    files.object(libc.file).ok()
}

/// Returns whether an object with DT_RELR lacks the mandatory need for GLIBC_ABI_DT_RELR. An object that does not need
/// libc is exempt.
fn needs_relr_version(object: &Object) -> bool {
    let mut versions = object.version_needs.iter().flat_map(|need| &need.versions);
    let mut dependencies = object.dependencies.iter();
    !object.version_needs.is_empty()
        && dependencies.any(|it| it.kind == DependencyKind::Needed && it.name.starts_with(LIBC))
        && !versions.any(|version| &*version.name == RELR)
}

/// Returns whether the loader checks this: since glibc 2.36, whose libc defines the version.
fn knows_relr(files: &mut dyn Files, closure: &Closure) -> bool {
    libc(files, closure).is_some_and(|libc| libc.version_definitions.iter().any(|version| &*version.name == RELR))
}

const LIBC: &[u8] = b"libc.so.";
const RELR: &[u8] = b"GLIBC_ABI_DT_RELR";

/// Finds the object with the name in a need (`find_needed`): one that was searched for by that name.
struct Names<'c> {
    closure: &'c Closure,
    by_name: FxHashMap<&'c [u8], Named>,
    /// The libraries found for each object. It matters if dlopen notes add two libraries with the same name, which
    /// never coexist.
    given: FxHashMap<(Option<usize>, &'c [u8]), usize>,
    /// Names by which no object was first found; made on demand, which is rare.
    others: Option<FxHashMap<Bytes, usize>>,
}

#[derive(Debug, Clone, Copy)]
enum Named {
    /// An index into the closure's objects, or the executable.
    Object(Option<usize>),
    Missing,
    Nothing,
}

impl<'c> Names<'c> {
    fn new(closure: &'c Closure) -> Self {
        let mut by_name: FxHashMap<&[u8], Named> = FxHashMap::default();
        let first = closure.objects.iter().enumerate().map(|(index, object)| (&object.needed, index));
        let more = closure.other_names.iter().map(|other| (&other.found.needed, other.object));
        for (name, index) in first.chain(more) {
            by_name.entry(name).or_insert(Named::Object(Some(index)));
        }
        for missing in &closure.missing {
            by_name.entry(&missing.needed).or_insert(Named::Missing);
        }
        for given in &closure.given {
            by_name.entry(&given.needed).or_insert(Named::Missing);
        }
        let mut given = FxHashMap::default();
        if closure.at_start < closure.objects.len() {
            for (parent, child) in &closure.edges {
                given.entry((*parent, &*closure.objects[*child].needed)).or_insert(*child);
            }
        }
        Self { closure, by_name, given, others: None }
    }

    fn find(&mut self, files: &mut dyn Files, by: Option<usize>, name: &Bytes) -> Named {
        if let Some(given) = self.given.get(&(by, &**name)) {
            return Named::Object(Some(*given));
        }
        if let Some(named) = self.by_name.get(&**name) {
            return *named;
        }
        let closure = self.closure;
        let others = self.others.get_or_insert_with(|| other_names(files, closure));
        // The executable has the index 0 here.
        others.get(name).map_or(Named::Nothing, |index| Named::Object(index.checked_sub(1)))
    }
}

/// Further names of objects (`_dl_name_match_p`): the path, and the soname if any object needs it, because it counts
/// from its first look-up.
fn other_names(files: &mut dyn Files, closure: &Closure) -> FxHashMap<Bytes, usize> {
    let ids = std::iter::once(closure.id).chain(closure.objects.iter().map(|object| object.file));
    let objects: Vec<_> = ids.map(|file| files.object(file).ok()).collect();
    let dependencies = objects.iter().flatten().flat_map(|object| &object.dependencies);
    // Names with tokens were looked up after replacing them.
    let looked_up: FxHashSet<&Bytes> =
        dependencies.map(|dependency| &dependency.name).filter(|name| !name.contains(&b'$')).collect();
    let mut names = FxHashMap::default();
    for (index, object) in objects.iter().enumerate() {
        // The program's link map has no name (elf/rtld.c).
        if let Some(loaded) = index.checked_sub(1).map(|index| &closure.objects[index]) {
            names.entry(bytes(loaded.path.as_bytes())).or_insert(index);
            // The loader is known by PT_INTERP and by its soname only if an object needs it by name; otherwise it is
            // removed from the list of loaded objects (`dl_main`, elf/rtld.c).
            let loader = closure
                .loader
                .as_ref()
                .filter(|loader| loader.file.as_ref().is_some_and(|(_, file)| *file == loaded.file));
            if let Some(loader) = loader {
                names.entry(bytes(loader.path.as_bytes())).or_insert(index);
                names.extend(loader.soname.iter().map(|soname| (soname.clone(), index)));
            }
        }
        let soname = object.as_ref().and_then(|object| object.soname.as_ref());
        if let Some(soname) = soname.filter(|soname| looked_up.contains(soname)) {
            names.entry(soname.clone()).or_insert(index);
        }
    }
    names
}

/// Removes duplicates of several verdicts: an object may be in many closures.
pub(crate) fn distinct<'t, T: Eq + Hash + 't>(all: impl Iterator<Item = &'t T>) -> impl Iterator<Item = &'t T> {
    let mut seen = FxHashSet::default();
    all.filter(move |one| seen.insert(*one))
}
