//! glibc-hwcaps: below each folder that glibc's loader searches, libraries for particular hardware may lie in a
//! subdirectory of that name, as `glibc-hwcaps/x86-64-v3` (ld.so(8), since glibc 2.33).
//!
//! Which hardware there is, is not known here: an image runs on whatever it is started on.

use goblin::elf::header::{EM_PPC64, EM_S390, EM_X86_64};

use crate::elf::Bytes;
use crate::path::RootfsPath;
use crate::target::Machine;

/// The subdirectory's name.
const GLIBC_HWCAPS: &[u8] = b"glibc-hwcaps";

/// The most subdirectories that a loader is taken to know, so that the sets of them can be counted; s390x has five.
const MAX_LEVELS: usize = 6;

/// A set of the subdirectories that a loader knows: what hardware can do, or what `--glibc-hwcaps-mask` of ld.so
/// leaves of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hwcaps(u32);

impl Hwcaps {
    /// None of them: what any hardware of the architecture can do.
    pub const BASELINE: Self = Self(0);

    /// Every set of some of `count` subdirectories, without the empty one.
    pub fn sets(count: usize) -> impl Iterator<Item = Self> {
        (1..1 << count.min(MAX_LEVELS)).map(Self)
    }

    /// Those of `levels`, the best one first, that are in the set.
    pub(super) fn of(self, levels: &[Bytes]) -> Vec<Bytes> {
        levels.iter().enumerate().filter(|(index, _)| self.0 >> index & 1 == 1).map(|(_, name)| name.clone()).collect()
    }
}

/// Where the libraries of `folder` for `level` are.
pub(super) fn below(folder: &RootfsPath, level: &[u8]) -> RootfsPath {
    folder.join(GLIBC_HWCAPS).join(level)
}

/// The folder that `path` is searched for in, where it is in a subdirectory of it.
pub(crate) fn above(path: &RootfsPath) -> Option<RootfsPath> {
    let hwcaps = path.parent()?.parent()?;
    (hwcaps.file_name() == GLIBC_HWCAPS).then(|| hwcaps.parent())?
}

/// `_dl_hwcaps_subdirs` of glibc's sysdeps/*/dl-hwcaps-subdirs.c: what the loader of which `image` is a part knows,
/// the best one first. Older loaders, and those of other architectures, have nothing of the kind.
pub(super) fn levels(image: &[u8], machine: Machine) -> Vec<Bytes> {
    // The least of each architecture, which ends the list.
    let last: &[u8] = match (machine.e_machine, machine.is_64, machine.is_little_endian) {
        (EM_X86_64, true, _) => b"x86-64-v2\0",
        (EM_PPC64, _, true) => b"power9\0",
        (EM_S390, true, _) => b"z13\0",
        _ => return Vec::new(),
    };
    let lists = memchr::memmem::find_iter(image, last).map(|start| {
        let begin = memchr::memrchr(0, &image[..start]).map_or(0, |nul| nul + 1);
        &image[begin..start + last.len() - 1]
    });
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
