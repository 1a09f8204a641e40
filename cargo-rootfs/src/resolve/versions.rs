//! Symbol versions: whether every version that an object needs is defined by the library that was
//! chosen for it (`_dl_check_map_versions`, elf/dl-version.c).

use rustc_hash::FxHashMap;

use super::releases::Release;
use super::{Closure, FileId, Files, Libc, bytes};
use crate::elf::{Bytes, NeededVersion, Object, VersionNeed};
use crate::path::RootfsPath;

/// What ld.so has to say of the symbol versions of a closure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It does not start the program.
    pub unsatisfied: Vec<Unsatisfied>,
    /// It warns, and goes on.
    pub unversioned: Vec<Unversioned>,
}

/// Why ld.so refuses to start a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsatisfied {
    /// The object at fault.
    pub needed_by: RootfsPath,
    /// What is wrong with it, or with what was chosen for it.
    pub why: Lack,
    /// The glibc that the object was linked for: the newest release that it needs.
    pub linked_for: Option<Release>,
    /// The glibc that is there: the newest release that it defines versions of.
    pub present: Option<Release>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The library has version definitions, and lacks these.
    Versions {
        /// As `GLIBC_2.38`, in the order in which they are needed.
        versions: Vec<Bytes>,
        /// The library that was chosen.
        library: RootfsPath,
    },
    /// Versions are needed of a library that nothing is mapped by the name of.
    Library {
        /// The name.
        name: Bytes,
        /// The first of the versions.
        version: Bytes,
    },
    /// Version records of another revision than 1, which is all that there is.
    Revision {
        /// The file that has them.
        file: RootfsPath,
        /// The revision.
        revision: u16,
    },
    /// Compact relative relocations (DT_RELR) without the version GLIBC_ABI_DT_RELR, by which an older
    /// loader would have refused them.
    Relr,
}

/// Versions are needed of a library that has no version definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unversioned {
    /// The object that needs them.
    pub needed_by: RootfsPath,
    /// The library that was chosen.
    pub library: RootfsPath,
}

/// Checks pairs of objects, each once however many closures they are in.
#[derive(Debug, Default)]
pub struct Versions {
    /// What the need of this index of the first file makes of the second.
    checked: FxHashMap<(FileId, usize, FileId), Match>,
}

/// How a need and a library go together.
#[derive(Debug, Clone)]
enum Match {
    Satisfied,
    Unversioned,
    Lacks(Vec<Bytes>),
    Revision(u16),
}

impl Versions {
    /// What ld.so finds. musl knows no symbol versions, so has nothing to say.
    pub fn check(&mut self, files: &mut dyn Files, closure: &Closure) -> Verdict {
        let mut verdict = Verdict::default();
        if closure.loader.as_ref().is_none_or(|loader| loader.libc == Libc::Musl) {
            return verdict;
        }
        let program = (closure.id, &closure.realpath);
        let loaded = closure.objects.iter().map(|loaded| (loaded.file, &loaded.path));
        let all: Vec<(FileId, &RootfsPath)> = std::iter::once(program).chain(loaded).collect();
        let names = Names::new(closure);
        for &(file, path) in &all {
            let Ok(object) = files.object(file) else { continue };
            let refuse = |files: &mut dyn Files, verdict: &mut Verdict, why| {
                let linked_for = Release::needed_by(&object);
                let present = present(files, closure);
                verdict.unsatisfied.push(Unsatisfied { needed_by: path.clone(), why, linked_for, present });
            };
            // Of the first record alone the revision is looked at.
            if let Some(need) = object.version_needs.first().filter(|need| need.revision != 1) {
                refuse(files, &mut verdict, Lack::Revision { file: path.clone(), revision: need.revision });
                continue;
            }
            for (index, need) in object.version_needs.iter().enumerate() {
                let (library, library_path) = match names.find(files, closure, &all, &need.file) {
                    Named::File(file, path) => (file, path),
                    // It does not come to versions where a library is missing.
                    Named::Missing => continue,
                    Named::Nothing => {
                        let version = need.versions.first().map_or_else(|| bytes(b""), |first| first.name.clone());
                        refuse(files, &mut verdict, Lack::Library { name: need.file.clone(), version });
                        continue;
                    }
                };
                let matched = self
                    .checked
                    .entry((file, index, library))
                    .or_insert_with(|| files.object(library).map_or(Match::Satisfied, |chosen| compare(need, &chosen)));
                match matched.clone() {
                    Match::Satisfied => {}
                    Match::Unversioned => {
                        let pair = Unversioned { needed_by: path.clone(), library: library_path.clone() };
                        if !verdict.unversioned.contains(&pair) {
                            verdict.unversioned.push(pair);
                        }
                    }
                    Match::Lacks(versions) => {
                        refuse(files, &mut verdict, Lack::Versions { versions, library: library_path.clone() });
                    }
                    Match::Revision(revision) => {
                        refuse(files, &mut verdict, Lack::Revision { file: library_path.clone(), revision });
                    }
                }
            }
            if object.has_relr && needs_relr_version(&object) && knows_relr(files, closure) {
                refuse(files, &mut verdict, Lack::Relr);
            }
        }
        verdict
    }
}

/// `match_symbol`, for each version of one need.
fn compare(need: &VersionNeed, library: &Object) -> Match {
    if library.version_definitions.is_empty() {
        return Match::Unversioned;
    }
    let mut lacking = Vec::new();
    for version in &need.versions {
        match defines(library, version) {
            Ok(true) => {}
            Ok(false) if version.is_weak => {}
            Ok(false) => lacking.push(version.name.clone()),
            Err(revision) => return Match::Revision(revision),
        }
    }
    if lacking.is_empty() { Match::Satisfied } else { Match::Lacks(lacking) }
}

/// Name and hash must be the same: the loader compares both, and computes neither. The definitions are
/// gone through in order, and one of another revision ends that.
fn defines(library: &Object, version: &NeededVersion) -> Result<bool, u16> {
    for definition in &library.version_definitions {
        if definition.revision != 1 {
            return Err(definition.revision);
        }
        if definition.hash == version.hash && definition.name == version.name {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The release of the glibc in the closure.
fn present(files: &mut dyn Files, closure: &Closure) -> Option<Release> {
    let libc = closure.objects.iter().find(|object| object.needed.starts_with(b"libc.so."))?;
    Release::defined_by(&*files.object(libc.file).ok()?)
}

/// Whether an object with DT_RELR must name GLIBC_ABI_DT_RELR, and does not: only one that needs libc is asked to.
fn needs_relr_version(object: &Object) -> bool {
    let mut versions = object.version_needs.iter().flat_map(|need| &need.versions);
    let mut names = object.dependencies.iter().map(|dependency| &dependency.name);
    !object.version_needs.is_empty()
        && names.any(|name| name.starts_with(b"libc.so."))
        && !versions.any(|version| &*version.name == RELR)
}

/// Whether the loader looks at that: since glibc 2.36, whose libc defines the version.
fn knows_relr(files: &mut dyn Files, closure: &Closure) -> bool {
    let libc = closure.objects.iter().find(|object| object.needed.starts_with(b"libc.so."));
    let libc = libc.and_then(|libc| files.object(libc.file).ok());
    libc.is_some_and(|libc| libc.version_definitions.iter().any(|version| &*version.name == RELR))
}

const RELR: &[u8] = b"GLIBC_ABI_DT_RELR";

/// Which object a name of a need stands for (`find_needed`): one that was looked up by that name.
struct Names<'c> {
    /// Indices into the closure's objects, the executable at 0.
    by_name: FxHashMap<&'c [u8], usize>,
}

enum Named<'c> {
    File(FileId, &'c RootfsPath),
    Missing,
    Nothing,
}

impl<'c> Names<'c> {
    fn new(closure: &'c Closure) -> Self {
        let mut by_name: FxHashMap<&[u8], usize> = FxHashMap::default();
        for (index, object) in closure.objects.iter().enumerate() {
            by_name.entry(&object.needed).or_insert(index + 1);
        }
        for (name, index) in &closure.other_names {
            by_name.entry(name).or_insert(index + 1);
        }
        Self { by_name }
    }

    fn find(
        &self,
        files: &mut dyn Files,
        closure: &'c Closure,
        all: &[(FileId, &'c RootfsPath)],
        name: &Bytes,
    ) -> Named<'c> {
        if let Some(&index) = self.by_name.get(&**name) {
            return Named::File(all[index].0, all[index].1);
        }
        if closure.missing.iter().any(|missing| missing.needed == *name) {
            return Named::Missing;
        }
        // A library's own soname counts where it was once needed by it; its path always does.
        let is_needed = |files: &mut dyn Files| {
            // What has tokens was looked up without them.
            !name.contains(&b'$')
                && all.iter().any(|(file, _)| {
                    let object = files.object(*file).ok();
                    object.is_some_and(|object| object.dependencies.iter().any(|it| it.name == *name))
                })
        };
        let has_soname =
            |files: &mut dyn Files, file| files.object(file).is_ok_and(|object| object.soname.as_ref() == Some(name));
        let found = all.iter().enumerate().find(|(index, (file, path))| {
            (*index > 0 && path.as_bytes() == &**name) || has_soname(files, *file) && is_needed(files)
        });
        if let Some((_, (file, path))) = found {
            return Named::File(*file, path);
        }
        // The loader has two names; nobody finds it by either where no object needs it by name, for it is taken
        // out of the list of what is loaded (`dl_main`, elf/rtld.c).
        let loader = closure.loader.as_ref().and_then(|loader| Some((loader, loader.file.as_ref()?.1)));
        let is_loader =
            loader.filter(|(loader, _)| loader.soname.as_ref() == Some(name) || loader.path.as_bytes() == &**name);
        let listed = is_loader.and_then(|(_, file)| all.iter().skip(1).find(|(id, _)| *id == file));
        listed.map_or(Named::Nothing, |(file, path)| Named::File(*file, path))
    }
}
