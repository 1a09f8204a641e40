//! glibc-hwcaps: each directory that glibc's loader searches may have subdirectories with libraries for particular
//! hardware, such as `glibc-hwcaps/x86-64-v3` (ld.so(8), since glibc 2.33).
//!
//! The hardware is unknown: an image runs on any machine of its architecture.

use super::{Closure, Files, Missing, Resolver, Skipped};
use crate::byte_search;
use crate::elf::Bytes;
use crate::path::RootfsPath;
use crate::target::Machine;

/// The subdirectory's name.
const GLIBC_HWCAPS: &[u8] = b"glibc-hwcaps";

/// The maximum number of subdirectories of a loader, which limits the number of their sets; s390x has five.
const MAX_LEVELS: usize = 6;

/// A set of a loader's subdirectories: those that the hardware supports, or that ld.so's `--glibc-hwcaps-mask` leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hwcaps(u32);

impl Hwcaps {
    /// The empty set: any hardware of the architecture.
    pub const BASELINE: Self = Self(0);

    /// All non-empty sets of `count` subdirectories.
    pub fn sets(count: usize) -> impl Iterator<Item = Self> {
        (1..1 << count.min(MAX_LEVELS)).map(Self)
    }

    /// The elements of `levels` in the set, the best one first.
    pub(super) fn of(self, levels: &[Bytes]) -> Vec<Bytes> {
        levels.iter().enumerate().filter(|(index, _)| self.0 >> index & 1 == 1).map(|(_, name)| name.clone()).collect()
    }
}

/// The subdirectory of `folder` with the libraries for `level`.
pub(super) fn below(folder: &RootfsPath, level: &[u8]) -> RootfsPath {
    folder.join(GLIBC_HWCAPS).join(level)
}

/// The searched directory above `path`, if `path` is in a subdirectory for hardware.
pub(crate) fn above(path: &RootfsPath) -> Option<RootfsPath> {
    let hwcaps = path.parent()?.parent()?;
    (hwcaps.file_name() == GLIBC_HWCAPS).then(|| hwcaps.parent())?
}

/// Returns whether `path` contains such a subdirectory.
pub(crate) fn is_in(path: &RootfsPath) -> bool {
    path.components().any(|part| part == GLIBC_HWCAPS)
}

#[doc(hidden)]
impl Resolver {
    /// The closure of the file at `path` on other hardware; afterwards the resolver uses the baseline again.
    pub fn closure_on(&mut self, files: &mut dyn Files, hwcaps: Hwcaps, path: &RootfsPath) -> Result<Closure, Skipped> {
        self.set_hwcaps(hwcaps);
        let closure = self.closure(files, path);
        self.set_hwcaps(Hwcaps::BASELINE);
        closure
    }

    /// The closures of the same file on all hardware above the baseline: one for each set of subdirectories that its
    /// loader may search.
    pub fn closures_above(&mut self, files: &mut dyn Files, baseline: &Closure) -> Vec<(Hwcaps, Closure)> {
        let levels = baseline.loader.as_ref().map_or(0, |loader| loader.levels.len());
        let above = Hwcaps::sets(levels);
        above.filter_map(|set| Some((set, self.closure_on(files, set, &baseline.file).ok()?))).collect()
    }
}

#[doc(hidden)]
impl Closure {
    /// Returns whether the same files are mapped by the same paths, and the same ones are missing.
    pub(crate) fn maps_as(&self, other: &Self) -> bool {
        let objects = |closure: &Self| -> Vec<_> {
            let others = closure.other_names.iter().map(|other| &other.found);
            closure.objects.iter().chain(others).map(|object| (object.file, object.path.clone())).collect()
        };
        let missing = |closure: &Self| -> Vec<_> {
            closure.missing.iter().map(|missing| (missing.needed.clone(), missing.needed_by.clone())).collect()
        };
        self.id == other.id && objects(self) == objects(other) && missing(self) == missing(other)
    }

    /// Adds the further objects and the further missing names of the closure on other hardware.
    pub fn add_variant(&mut self, other: &Self) {
        for object in &other.objects {
            if !self.objects.iter().chain(&self.variants).any(|known| known.path == object.path) {
                self.variants.push(object.clone());
            }
        }
        for missing in &other.missing {
            let is_it = |known: &Missing| known.needed == missing.needed && known.needed_by == missing.needed_by;
            if !self.missing.iter().any(is_it) {
                self.missing.push(missing.clone());
            }
        }
    }
}

/// The subdirectories that the loader in `image` supports, the best one first (`_dl_hwcaps_subdirs` of glibc's
/// sysdeps/*/dl-hwcaps-subdirs.c). Older loaders, and those of other architectures, have none.
pub(super) fn levels(image: &[u8], machine: Machine) -> Vec<Bytes> {
    let Some((last, rare)) = machine.least_hwcaps() else { return Vec::new() };
    let lists = byte_search::places(image, last, rare);
    let lists = lists.map(|start| &image[byte_search::begin(image, start)..start + last.len() - 1]);
    let is_name = |name: &[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let names = lists.map(|list| list.split(|byte| *byte == b':')).find(|names| names.clone().all(is_name));
    names.into_iter().flatten().take(MAX_LEVELS).map(Bytes::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::fixture::machine;

    #[test]
    fn levels_are_read_from_the_loader() {
        let names = |image: &[u8], triple: &str| -> Vec<String> {
            let names = levels(image, machine(triple));
            names.iter().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
        };
        let glibc = b"\0see /x86-64-v2\0x86-64-v4:x86-64-v3:x86-64-v2\0x";
        assert_eq!(names(glibc, "x86_64"), ["x86-64-v4", "x86-64-v3", "x86-64-v2"]);
        assert_eq!(names(b"power10:power9\0", "powerpc64le"), ["power10", "power9"]);
        assert_eq!(names(b"\0z16:z15:z14:z13\0", "s390x"), ["z16", "z15", "z14", "z13"]);
        assert_eq!(names(glibc, "aarch64"), [""; 0]);
        assert_eq!(names(b"\0/etc/ld.so.cache\0", "x86_64"), [""; 0]);
    }

    #[test]
    fn sets_of_levels() {
        let known: Vec<Bytes> = ["v4", "v3"].iter().map(|name| Bytes::from(name.as_bytes())).collect();
        let sets: Vec<Vec<Bytes>> = Hwcaps::sets(2).map(|set| set.of(&known)).collect();
        assert_eq!(sets, [vec![known[0].clone()], vec![known[1].clone()], known.clone()]);
        assert_eq!(Hwcaps::BASELINE.of(&known), []);
        assert_eq!(Hwcaps::sets(0).count(), 0);
    }

    #[test]
    fn folders_above_and_below() {
        let path = |text| RootfsPath::parse(text).unwrap();
        assert_eq!(below(&path("/usr/lib"), b"x86-64-v3"), path("/usr/lib/glibc-hwcaps/x86-64-v3"));
        assert_eq!(above(&path("/usr/lib/glibc-hwcaps/x86-64-v3/liba.so")), Some(path("/usr/lib")));
        assert_eq!(above(&path("/usr/lib/liba.so")), None);
        assert_eq!(above(&path("/liba.so")), None);
    }
}
