//! The table of machines: one row each, with all plain facts that the crate uses.
//!
//! Code for a machine (registers, the check of a float ABI) stays in its module; a new machine is a row here.

use goblin::elf::header::{EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};

use super::Machine;

/// EM_LOONGARCH in the gABI's registry of machine numbers; goblin has no constant for it.
const EM_LOONGARCH: u16 = 258;

/// The facts of one machine.
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "some are for building and for running programs"))]
pub(super) struct Row {
    pub(super) machine: Machine,
    /// The spellings of a triple's first component, rustc's first; empty for an ABI without a Rust target.
    pub(super) names: &'static [&'static str],
    /// The architecture in GNU tuples, as in `arm-linux-gnueabihf-gcc`.
    pub(super) gnu: &'static str,
    /// Debian's directory of libraries (<https://wiki.debian.org/Multiarch/Tuples>).
    pub(super) multiarch: &'static str,
    /// Debian's name, as in `libc6:arm64`.
    pub(super) debian: &'static str,
    /// Debian's name for the ABI without hardware floating point, of triples `*-gnueabi`.
    pub(super) debian_soft: Option<&'static str>,
    /// True if Arch Linux packages `<gnu>-linux-gnu-gcc`.
    pub(super) is_cross_built_on_arch: bool,
    /// Arch Linux's packages of Rust's standard library for another host: with glibc, with musl.
    pub(super) std_on_arch: [Option<&'static str>; 2],
    /// GOARCH and variant in the OCI image specification.
    pub(super) platform: (&'static str, Option<&'static str>),
    /// The suffix of the qemu-user program that runs it.
    pub(super) qemu: &'static str,
    /// The 32-bit machine whose programs this one's processors may also run.
    pub(super) narrow: Option<u16>,
    /// AT_PLATFORM of the baseline, the value of `$PLATFORM` (getauxval(3)); empty if the kernel has none.
    pub(super) elf_platform: &'static str,
    /// The soname of the object that the kernel maps into every process (vdso(7)).
    pub(super) vdso: &'static str,
    /// glibc's interpreter, without the leading slash (glibc's sysdeps/*/shlib-versions).
    pub(super) glibc: &'static str,
    /// The architecture in musl's names, `ld-musl-<musl>.so.1`.
    pub(super) musl: &'static str,
    /// Flags of its entries in ld.so.cache (glibc's sysdeps/*/ldconfig.h).
    pub(super) cache_flags: u32,
    /// Alignment of 64-bit members of structures, as in the header of ld.so.cache.
    pub(super) wide_alignment: usize,
    /// The end of the loader's list of glibc-hwcaps (sysdeps/*/dl-hwcaps-subdirs.c), its lowest name, and a byte of it
    /// that is rare in loaders.
    pub(super) least_hwcaps: Option<(&'static [u8], u8)>,
    /// Directories for hardware before glibc 2.37.
    pub(super) legacy: LegacyHwcaps,
    /// Bits of `e_flags` that identify the ABI, and the values that its loader accepts (`elf_machine_matches_host`).
    pub(super) abi_flags: (u32, &'static [u32]),
    /// The EI_OSABI that its loader accepts besides those of none and GNU (`VALID_ELF_OSABI`).
    pub(super) os_abi: Option<u8>,
    /// The newest version of the GNU ABI: LIBC_ABI_MAX minus one, from the table libc-abis since glibc 2.28.
    pub(super) newest_abi: u8,
    /// True if it has relocations without addends, DT_REL, besides those with addends.
    pub(super) has_rel: bool,
    /// True if the words of DT_HASH have eight bytes.
    pub(super) has_wide_hash: bool,
}

/// The hardware names for which glibc's loaders before 2.37 searched on a machine's baseline (sysdeps/*/dl-procinfo.h).
#[derive(Clone, Copy)]
pub(crate) struct LegacyHwcaps {
    /// Important bits of AT_HWCAP, by name.
    pub(crate) bits: &'static [(&'static str, u32)],
    /// The first bit for a platform, and their number.
    pub(crate) platforms: (u32, u32),
    /// The baseline's own platform among them.
    pub(crate) platform: Option<u32>,
}

const fn machine(e_machine: u16, is_64: bool, is_little_endian: bool) -> Machine {
    Machine { e_machine, is_64, is_little_endian }
}

/// The facts of a machine without a row, which most rows share.
pub(super) const UNKNOWN: Row = Row {
    machine: machine(0, false, true),
    names: &[],
    gnu: "unknown",
    multiarch: "unknown-linux-gnu",
    debian: "unknown",
    debian_soft: None,
    is_cross_built_on_arch: false,
    std_on_arch: [None, None],
    platform: ("unknown", None),
    qemu: "unknown",
    narrow: None,
    elf_platform: "",
    vdso: "linux-vdso.so.1",
    glibc: "lib/ld-linux.so.2",
    musl: "unknown",
    cache_flags: 0x0003,
    wide_alignment: 8,
    least_hwcaps: None,
    legacy: LegacyHwcaps { bits: &[], platforms: (0, 0), platform: None },
    abi_flags: (0, &[0]),
    os_abi: None,
    newest_abi: 2,
    has_rel: false,
    has_wide_hash: false,
};

pub(super) const ROWS: &[Row] = &[
    Row {
        machine: machine(EM_X86_64, true, true),
        names: &["x86_64"],
        gnu: "x86_64",
        multiarch: "x86_64-linux-gnu",
        debian: "amd64",
        std_on_arch: [None, Some("rust-musl")],
        platform: ("amd64", None),
        qemu: "x86_64",
        narrow: Some(EM_386),
        elf_platform: "x86_64",
        glibc: "lib64/ld-linux-x86-64.so.2",
        musl: "x86_64",
        cache_flags: 0x0303,
        least_hwcaps: Some((b"x86-64-v2\0", b'8')),
        legacy: LegacyHwcaps { bits: &[("x86_64", 1)], platforms: (48, 4), platform: None },
        newest_abi: 3,
        ..UNKNOWN
    },
    Row {
        machine: machine(EM_AARCH64, true, true),
        names: &["aarch64", "arm64"],
        gnu: "aarch64",
        multiarch: "aarch64-linux-gnu",
        debian: "arm64",
        is_cross_built_on_arch: true,
        std_on_arch: [Some("rust-aarch64-gnu"), Some("rust-aarch64-musl")],
        platform: ("arm64", None),
        qemu: "aarch64",
        narrow: Some(EM_ARM),
        elf_platform: "aarch64",
        glibc: "lib/ld-linux-aarch64.so.1",
        musl: "aarch64",
        cache_flags: 0x0a03,
        ..UNKNOWN
    },
    Row {
        machine: machine(EM_386, false, true),
        names: &["i686", "i586", "i486", "i386"],
        gnu: "i686",
        multiarch: "i386-linux-gnu",
        debian: "i386",
        platform: ("386", None),
        qemu: "i386",
        elf_platform: "i686",
        vdso: "linux-gate.so.1",
        musl: "i386",
        wide_alignment: 4,
        legacy: LegacyHwcaps { bits: &[], platforms: (48, 2), platform: Some(1) },
        newest_abi: 3,
        has_rel: true,
        ..UNKNOWN
    },
    Row {
        machine: machine(EM_ARM, false, true),
        names: &["armv7", "thumbv7neon", "armv7a", "arm"],
        gnu: "arm",
        multiarch: "arm-linux-gnueabihf",
        debian: "armhf",
        debian_soft: Some("armel"),
        platform: ("arm", Some("v7")),
        qemu: "arm",
        elf_platform: "v7l",
        glibc: "lib/ld-linux-armhf.so.3",
        musl: "armhf",
        // The hard-float ABI; the soft-float one is 0x0b03.
        cache_flags: 0x0903,
        legacy: LegacyHwcaps { bits: &[("vfp", 6)], platforms: (0, 0), platform: None },
        // ELFOSABI_ARM_AEABI.
        os_abi: Some(64),
        has_rel: true,
        ..UNKNOWN
    },
    Row {
        machine: machine(EM_RISCV, true, true),
        names: &["riscv64gc", "riscv64"],
        gnu: "riscv64",
        multiarch: "riscv64-linux-gnu",
        debian: "riscv64",
        is_cross_built_on_arch: true,
        platform: ("riscv64", None),
        qemu: "riscv64",
        glibc: "lib/ld-linux-riscv64-lp64d.so.1",
        musl: "riscv64",
        // The double-float ABI, here and in EF_RISCV_FLOAT_ABI.
        cache_flags: 0x1003,
        abi_flags: (6, &[4]),
        newest_abi: 3,
        ..UNKNOWN
    },
    Row {
        machine: machine(EM_PPC64, true, true),
        names: &["powerpc64le"],
        gnu: "powerpc64le",
        multiarch: "powerpc64le-linux-gnu",
        debian: "ppc64el",
        platform: ("ppc64le", None),
        qemu: "ppc64le",
        elf_platform: "power8",
        glibc: "lib64/ld64.so.2",
        musl: "powerpc64le",
        // EF_PPC64_ABI: ELFv2, or unspecified.
        abi_flags: (3, &[0, 2]),
        least_hwcaps: Some((b"power9\0", b'9')),
        ..POWER
    },
    Row {
        machine: machine(EM_PPC64, true, false),
        names: &["powerpc64"],
        gnu: "powerpc64",
        multiarch: "powerpc64-linux-gnu",
        debian: "ppc64",
        platform: ("ppc64", None),
        qemu: "ppc64",
        elf_platform: "power4",
        glibc: "lib64/ld64.so.1",
        musl: "powerpc64",
        // ELFv1, or unspecified.
        abi_flags: (3, &[0, 1]),
        newest_abi: 3,
        ..POWER
    },
    Row {
        machine: machine(EM_S390, true, false),
        names: &["s390x"],
        gnu: "s390x",
        multiarch: "s390x-linux-gnu",
        debian: "s390x",
        platform: ("s390x", None),
        qemu: "s390x",
        elf_platform: "z900",
        vdso: "linux-vdso64.so.1",
        glibc: "lib/ld64.so.1",
        musl: "s390x",
        cache_flags: 0x0403,
        least_hwcaps: Some((b"z13\0", b'z')),
        legacy: LegacyHwcaps { bits: &[("zarch", 1)], platforms: (32, 11), platform: Some(1) },
        has_wide_hash: true,
        ..UNKNOWN
    },
    Row {
        machine: machine(EM_LOONGARCH, true, true),
        names: &["loongarch64"],
        gnu: "loongarch64",
        multiarch: "loongarch64-linux-gnu",
        debian: "loong64",
        platform: ("loong64", None),
        qemu: "loongarch64",
        elf_platform: "loongarch",
        glibc: "lib64/ld-linux-loongarch-lp64d.so.1",
        musl: "loongarch64",
        // The double-float ABI.
        cache_flags: 0x1203,
        ..UNKNOWN
    },
    // x32: 32-bit programs for x86_64.
    Row {
        machine: machine(EM_X86_64, false, true),
        glibc: "libx32/ld-linux-x32.so.2",
        cache_flags: 0x0803,
        legacy: LegacyHwcaps { bits: &[("x86_64", 1)], platforms: (48, 4), platform: None },
        newest_abi: 3,
        ..UNKNOWN
    },
];

/// Facts of both byte orders of POWER.
const POWER: Row = Row {
    vdso: "linux-vdso64.so.1",
    cache_flags: 0x0503,
    legacy: LegacyHwcaps { bits: &[("dfp", 10), ("altivec", 28)], platforms: (32, 16), platform: Some(13) },
    ..UNKNOWN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    #[test]
    fn no_two_rows_are_alike() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(!row.machine.name().is_empty() && row.machine.row().glibc == row.glibc);
            for name in row.names {
                let target = Target::parse(&format!("{name}-unknown-linux-gnu")).unwrap();
                assert_eq!(target.machine(), row.machine, "{name}");
            }
            for other in &ROWS[..index] {
                let shared = row.names.iter().any(|name| other.names.contains(name));
                assert!(!shared && row.machine != other.machine, "{:?}", row.names);
                let known = |row: &Row| [row.debian, row.multiarch, row.qemu, row.musl, row.platform.0];
                for (one, two) in known(row).iter().zip(known(other)) {
                    assert!(row.names.is_empty() || *one != two, "{one}");
                }
            }
        }
    }
}
