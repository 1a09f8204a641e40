//! The directories for particular hardware that glibc's loaders searched before 2.37: `tls`, `x86_64` and similar
//! names, below each directory of a list and before it (`_dl_important_hwcaps`, elf/dl-hwcaps.c, and `search_cache`,
//! elf/dl-cache.c, of those releases).
//!
//! An image must run on the baseline of its architecture, so only the baseline's names count, as for `$PLATFORM`; files
//! that a better processor would find first are not taken. glibc-hwcaps is another mechanism.

use super::{Files, Find};
use crate::path::RootfsPath;
use crate::target::{LegacyHwcaps, Machine};

/// The hardware names of a machine's baseline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Legacy {
    /// Relative paths below a directory, in the order of the search.
    subfolders: Vec<Vec<u8>>,
    /// The bits of a cache entry that the baseline supports.
    known: u64,
    /// The bits for platforms: an entry has none of them, or that of the platform.
    platforms: u64,
    platform: u64,
}

/// The bit of an entry below a directory `tls`.
const TLS: u64 = 1 << 63;

impl Legacy {
    /// The names of a machine.
    pub(super) fn of(machine: Machine) -> Self {
        let LegacyHwcaps { bits: hwcaps, platforms, platform } = machine.legacy_hwcaps();
        let name = Some(machine.elf_platform()).filter(|name| !name.is_empty());
        let names: Vec<&str> = hwcaps.iter().map(|(name, _)| *name).chain(name).chain(["tls"]).collect();
        // All subsets of the names. The last name has the highest weight, in the order and in the path.
        let subset = |members: usize| {
            let chosen = (0..names.len()).rev().filter(|index| members & (1 << index) != 0);
            chosen.map(|index| names[index]).collect::<Vec<_>>().join("/").into_bytes()
        };
        Self {
            subfolders: (1..1 << names.len()).rev().map(subset).collect(),
            known: hwcaps.iter().fold(TLS, |known, (_, bit)| known | 1 << bit),
            platforms: ((1 << platforms.1) - 1) << platforms.0,
            platform: platform.map_or(0, |index: u32| 1 << (platforms.0 + index)),
        }
    }

    /// The existing directories that are searched before `folder`.
    pub(super) fn below(&self, files: &mut dyn Files, folder: &RootfsPath) -> Vec<RootfsPath> {
        let mut is_dir = |name: &[u8]| {
            let path = folder.join(name);
            (files.find(&path) == Find::Dir).then_some(path)
        };
        let is_one_name = |path: &&Vec<u8>| !path.contains(&b'/');
        if !self.subfolders.iter().filter(is_one_name).any(|name| is_dir(name).is_some()) {
            return Vec::new();
        }
        self.subfolders.iter().filter_map(|name| is_dir(name)).collect()
    }

    /// Returns whether an entry of ld.so.cache with this `hwcap` counts. Releases before 2.33 skip entries with the bit
    /// of glibc-hwcaps, which they do not know.
    pub(super) fn accepts(&self, hwcap: u64) -> bool {
        let of_platforms = hwcap & self.platforms;
        hwcap & !(self.known | self.platforms) == 0 && (of_platforms == 0 || of_platforms == self.platform)
    }
}

#[cfg(test)]
mod tests {
    use super::Legacy;
    use crate::elf::fixture::machine;

    fn subfolders(name: &str) -> String {
        let legacy = Legacy::of(machine(name));
        let texts = legacy.subfolders.iter().map(|path| String::from_utf8_lossy(path).into_owned());
        texts.collect::<Vec<_>>().join(" ")
    }

    /// From LD_DEBUG=libs of Debian 12's loaders, on the baseline (x86-64) and in qemu-user (the others; qemu has no
    /// platform for POWER and z).
    #[test]
    fn subfolders_in_the_loaders_order() {
        assert_eq!(subfolders("x86_64"), "tls/x86_64/x86_64 tls/x86_64 tls/x86_64 tls x86_64/x86_64 x86_64 x86_64");
        assert_eq!(subfolders("aarch64"), "tls/aarch64 tls aarch64");
        assert_eq!(subfolders("i686"), "tls/i686 tls i686");
        assert_eq!(subfolders("armv7"), "tls/v7l/vfp tls/v7l tls/vfp tls v7l/vfp v7l vfp");
        assert_eq!(subfolders("riscv64gc"), "tls");
        assert!(subfolders("powerpc64le").starts_with("tls/power8/altivec/dfp tls/power8/altivec tls/power8/dfp"));
    }

    /// `(hwcap & hwcap_exclude)`, and the comparison with the platform.
    #[test]
    fn entries_of_a_cache() {
        let accepted = |name: &str, hwcap: u64| Legacy::of(machine(name)).accepts(hwcap);
        for hwcap in [0, 2, 1 << 63, 1 << 63 | 2] {
            assert!(accepted("x86_64", hwcap), "{hwcap:#x}");
        }
        // sse2, avx512_1, haswell, glibc-hwcaps.
        for hwcap in [1, 4, 1 << 50, 1 << 50 | 2, 1 << 62] {
            assert!(!accepted("x86_64", hwcap), "{hwcap:#x}");
        }
        assert!(accepted("i686", 1 << 49) && !accepted("i686", 1 << 48) && !accepted("i686", 1));
        assert!(accepted("aarch64", 1 << 63) && !accepted("aarch64", 1 << 8));
        assert!(accepted("armv7", 1 << 6) && !accepted("armv7", 1 << 12));
        assert!(accepted("powerpc64le", 1 << 45 | 1 << 10) && !accepted("powerpc64le", 1 << 46));
        assert!(accepted("s390x", 1 << 33 | 2) && !accepted("s390x", 1 << 34));
    }
}
