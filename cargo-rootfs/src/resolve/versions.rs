//! Symbol versions: whether every version that an object needs is defined by the library that was
//! chosen for it (`_dl_check_map_versions`, elf/dl-version.c).

use rustc_hash::FxHashMap;

use super::{Closure, FileId, Files, Libc};
use crate::elf::Bytes;
use crate::path::RootfsPath;

/// A version that the chosen library does not define: ld.so refuses to start the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsatisfied {
    /// The version, as `GLIBC_2.38`.
    pub version: Bytes,
    /// The object that needs it.
    pub needed_by: RootfsPath,
    /// The library that was chosen.
    pub library: RootfsPath,
}

/// Checks pairs of objects, each once however many closures they are in.
#[derive(Debug, Default)]
pub struct Versions {
    /// What the need of this index of the first file finds lacking in the second.
    checked: FxHashMap<(FileId, usize, FileId), Vec<Bytes>>,
}

impl Versions {
    /// The versions that the closure lacks. musl knows no symbol versions, so has none to lack.
    pub fn unsatisfied(&mut self, files: &mut dyn Files, closure: &Closure) -> Vec<Unsatisfied> {
        let mut found = Vec::new();
        if closure.loader.as_ref().is_none_or(|loader| loader.libc == Libc::Musl) {
            return found;
        }
        let program = (closure.id, &closure.realpath);
        let loaded = closure.objects.iter().map(|loaded| (loaded.file, &loaded.path));
        let all: Vec<(FileId, &RootfsPath)> = std::iter::once(program).chain(loaded).collect();
        // An object is looked up by the names that others need it by, and by its soname (`find_needed`).
        let mut by_name: FxHashMap<Bytes, usize> = FxHashMap::default();
        for (index, (file, _)) in all.iter().enumerate() {
            let soname = files.object(*file).ok().and_then(|object| object.soname.clone());
            let needed = index.checked_sub(1).map(|index| closure.objects[index].needed.clone());
            for name in needed.into_iter().chain(soname) {
                by_name.entry(name).or_insert(index);
            }
        }
        for (name, index) in &closure.other_names {
            by_name.entry(name.clone()).or_insert(index + 1);
        }
        for &(file, path) in &all {
            let Ok(object) = files.object(file) else { continue };
            for (index, need) in object.version_needs.iter().enumerate() {
                let Some((library, library_path)) = by_name.get(&need.file).map(|index| all[*index]) else { continue };
                let lacking = self.checked.entry((file, index, library)).or_insert_with(|| {
                    let Ok(chosen) = files.object(library) else { return Vec::new() };
                    if chosen.version_definitions.is_empty() {
                        // ld.so says "no version information available" and goes on.
                        return Vec::new();
                    }
                    let lacks = |name: &Bytes| !chosen.version_definitions.contains(name);
                    let needed = need.versions.iter().filter(|version| !version.is_weak);
                    needed.map(|version| version.name.clone()).filter(lacks).collect()
                });
                found.extend(lacking.iter().map(|version| Unsatisfied {
                    version: version.clone(),
                    needed_by: path.clone(),
                    library: library_path.clone(),
                }));
            }
        }
        found
    }
}
