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
    checked: FxHashMap<(FileId, FileId), Vec<Bytes>>,
}

impl Versions {
    /// The versions that the closure lacks. musl knows no symbol versions, so has none to lack.
    pub fn unsatisfied(&mut self, files: &mut dyn Files, closure: &Closure) -> Vec<Unsatisfied> {
        let mut found = Vec::new();
        if closure.loader.as_ref().is_none_or(|loader| loader.libc == Libc::Musl) {
            return found;
        }
        // A library is looked up by the names that objects need it by, or by its soname.
        let mut by_name: FxHashMap<Bytes, usize> = FxHashMap::default();
        for (index, loaded) in closure.objects.iter().enumerate() {
            by_name.entry(loaded.needed.clone()).or_insert(index);
            if let Some(soname) = files.object(loaded.file).ok().and_then(|object| object.soname.clone()) {
                by_name.entry(soname).or_insert(index);
            }
        }
        let all = closure.objects.iter().map(|loaded| (loaded.file, &loaded.path));
        for (file, path) in std::iter::once((closure.id, &closure.realpath)).chain(all) {
            let Ok(object) = files.object(file) else { continue };
            for need in &object.version_needs {
                let Some(library) = by_name.get(&need.file).map(|index| &closure.objects[*index]) else { continue };
                let lacking = self.checked.entry((file, library.file)).or_insert_with(|| {
                    let Ok(chosen) = files.object(library.file) else { return Vec::new() };
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
                    library: library.path.clone(),
                }));
            }
        }
        found
    }
}
