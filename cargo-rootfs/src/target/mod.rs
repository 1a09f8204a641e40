//! What a target triple means for a root filesystem: machine, libc, image platform.
//!
//! A table, not a probe: nothing here asks rustc, cargo or the host's files.

use std::fmt;

use goblin::elf::header;

use crate::error::{Error, Result};

/// An ELF machine: what the loader compares before it accepts a file (`e_machine`, EI_CLASS, EI_DATA).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    /// `e_machine`, as `EM_AARCH64`.
    pub e_machine: u16,
    /// Whether EI_CLASS is ELFCLASS64.
    pub is_64: bool,
    /// Whether EI_DATA is ELFDATA2LSB.
    pub is_little_endian: bool,
}

/// One architecture that is known by name.
struct Arch {
    /// The first component of a triple, up to which it must match whole, or one of its other spellings.
    names: &'static [&'static str],
    machine: Machine,
    /// `GOARCH` and variant, as the OCI image specification has them.
    platform: (&'static str, Option<&'static str>),
    /// Debian's name, as in `libc6:arm64`.
    debian: &'static str,
    /// What `$PLATFORM` becomes (AT_PLATFORM of the baseline machine, getauxval(3)).
    elf_platform: &'static str,
    /// How uname(2) calls it; `qemu-<name>` runs it, with a few exceptions.
    qemu: &'static str,
}

const fn machine(e_machine: u16, is_64: bool, is_little_endian: bool) -> Machine {
    Machine { e_machine, is_64, is_little_endian }
}

#[rustfmt::skip]
const ARCHS: &[Arch] = &[
    Arch { names: &["x86_64"], machine: machine(header::EM_X86_64, true, true), platform: ("amd64", None), debian: "amd64", elf_platform: "x86_64", qemu: "x86_64" },
    Arch { names: &["aarch64", "arm64"], machine: machine(header::EM_AARCH64, true, true), platform: ("arm64", None), debian: "arm64", elf_platform: "aarch64", qemu: "aarch64" },
    Arch { names: &["i686", "i586", "i486", "i386"], machine: machine(header::EM_386, false, true), platform: ("386", None), debian: "i386", elf_platform: "i686", qemu: "i386" },
    Arch { names: &["armv7", "thumbv7neon", "armv7a", "arm"], machine: machine(header::EM_ARM, false, true), platform: ("arm", Some("v7")), debian: "armhf", elf_platform: "v7l", qemu: "arm" },
    Arch { names: &["riscv64gc", "riscv64"], machine: machine(header::EM_RISCV, true, true), platform: ("riscv64", None), debian: "riscv64", elf_platform: "", qemu: "riscv64" },
    Arch { names: &["powerpc64le"], machine: machine(header::EM_PPC64, true, true), platform: ("ppc64le", None), debian: "ppc64el", elf_platform: "power8", qemu: "ppc64le" },
    Arch { names: &["powerpc64"], machine: machine(header::EM_PPC64, true, false), platform: ("ppc64", None), debian: "ppc64", elf_platform: "power4", qemu: "ppc64" },
    Arch { names: &["s390x"], machine: machine(header::EM_S390, true, false), platform: ("s390x", None), debian: "s390x", elf_platform: "z900", qemu: "s390x" },
    // EM_LOONGARCH is 258 (the gABI's registry of machine numbers); goblin has no name for it.
    Arch { names: &["loongarch64"], machine: machine(258, true, true), platform: ("loong64", None), debian: "loong64", elf_platform: "loongarch", qemu: "loongarch64" },
];

impl Machine {
    fn arch(self) -> Option<&'static Arch> {
        ARCHS.iter().find(|arch| arch.machine == self)
    }

    /// The machine that this program was compiled for.
    pub fn host() -> Self {
        ARCHS
            .iter()
            .find(|arch| arch.names.contains(&std::env::consts::ARCH))
            .or_else(|| ARCHS.iter().find(|arch| std::env::consts::ARCH == "x86" && arch.names.contains(&"i686")))
            .map_or(machine(0, cfg!(target_pointer_width = "64"), cfg!(target_endian = "little")), |arch| arch.machine)
    }

    /// Whether one processor may run programs of both, as those of x86 and ARM with 64 bits run programs of 32.
    #[cfg(feature = "cli")]
    pub(crate) fn is_kin(self, other: Self) -> bool {
        let family = |machine: Self| match machine.e_machine {
            header::EM_386 => header::EM_X86_64,
            header::EM_ARM => header::EM_AARCH64,
            e_machine => e_machine,
        };
        family(self) == family(other)
    }

    /// Its name as in a triple: `aarch64`.
    pub fn name(self) -> String {
        self.arch().map_or_else(|| format!("ELF machine {}", self.e_machine), |arch| arch.names[0].to_owned())
    }

    /// The folder of its libraries below `/usr/lib` where there is one for each architecture, as `x86_64-linux-gnu`
    /// (<https://wiki.debian.org/Multiarch/Tuples>).
    pub(crate) fn multiarch(self) -> String {
        match self.e_machine {
            header::EM_386 => "i386-linux-gnu".to_owned(),
            header::EM_ARM => "arm-linux-gnueabihf".to_owned(),
            _ => format!("{}-linux-gnu", self.name().replace("riscv64gc", "riscv64")),
        }
    }

    /// Debian's name for it, as in `libssl3:arm64`.
    pub fn debian(self) -> Option<&'static str> {
        self.arch().map(|arch| arch.debian)
    }

    /// The machine that Debian calls so.
    pub fn of_debian(name: &str) -> Option<Self> {
        ARCHS.iter().find(|arch| arch.debian == name).map(|arch| arch.machine)
    }

    /// What `$PLATFORM` stands for on its baseline (ld.so(8)); empty where the kernel gives none.
    pub fn elf_platform(self) -> &'static str {
        self.arch().map_or("", |arch| arch.elf_platform)
    }

    /// The soname of the object that the kernel maps into every process (vdso(7)).
    pub(crate) fn vdso(self) -> &'static str {
        match self.e_machine {
            header::EM_386 => "linux-gate.so.1",
            header::EM_PPC64 | header::EM_S390 => "linux-vdso64.so.1",
            _ => "linux-vdso.so.1",
        }
    }

    /// Architecture and variant, as the OCI image specification names them (GOARCH): `("arm", Some("v7"))`.
    pub fn platform(self) -> Option<(&'static str, Option<&'static str>)> {
        self.arch().map(|arch| arch.platform)
    }

    /// The suffix of the qemu-user program that runs it: `aarch64` for `qemu-aarch64-static`.
    pub fn qemu(self) -> Option<&'static str> {
        self.arch().map(|arch| arch.qemu)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bits, order) = (if self.is_64 { 64 } else { 32 }, if self.is_little_endian { "little" } else { "big" });
        write!(f, "{} ({bits}-bit, {order}-endian)", self.name())
    }
}

/// A target by its triple, `aarch64-unknown-linux-gnu`, or by the file stem of a target specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    triple: String,
    machine: Machine,
}

impl Target {
    /// Fails for a triple whose architecture is not known, or that is not for Linux.
    pub fn parse(triple: &str) -> Result<Self> {
        let arch = triple.split('-').next().unwrap_or_default();
        let unknown = || Error::usage(format!("target `{triple}` is not one that a rootfs can be made for"));
        if !triple.contains("linux") {
            let error = unknown().detail("it does not name Linux");
            // As Debian, Docker or uname(1) name an architecture; a whole triple means another system.
            let meant = (!triple.contains('-')).then(|| triple_like(triple)).flatten();
            return Err(match meant {
                Some(meant) => error.help(format!("did you mean `{meant}`?")),
                None => error,
            });
        }
        let found = ARCHS
            .iter()
            .find(|known| known.names.contains(&arch))
            .or_else(|| ARCHS.iter().find(|known| known.names.iter().any(|name| arch.starts_with(name))))
            .ok_or_else(|| unknown().detail(format!("architecture `{arch}` is not known")))?;
        Ok(Self { triple: triple.to_owned(), machine: found.machine })
    }

    /// The triple of this program's own machine with GNU libc, for work that builds nothing.
    pub fn host() -> Self {
        let machine = Machine::host();
        Self { triple: format!("{machine}-unknown-linux-gnu"), machine }
    }

    /// As given.
    pub fn triple(&self) -> &str {
        &self.triple
    }

    /// The machine of its ELF files.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Whether its C library is musl, by the last part of the triple: `musl`, `musleabihf`.
    pub fn is_musl(&self) -> bool {
        self.triple.rsplit('-').next().is_some_and(|abi| abi.starts_with("musl"))
    }

    /// The architecture as images name it, for `{arch}` in output names: `arm64`.
    pub fn arch(&self) -> &'static str {
        self.machine.platform().map_or("unknown", |(arch, _)| arch)
    }
}

/// The triple for Linux that somebody means who writes another name of its architecture: `arm64`, `linux/amd64`,
/// `aarch64-linux-gnu`.
pub(crate) fn triple_like(text: &str) -> Option<String> {
    let text = text.strip_prefix("linux/").unwrap_or(text);
    let (name, rest) = text.split_at(text.find(['-', '/']).unwrap_or(text.len()));
    let is_it = |arch: &&Arch| arch.names.contains(&name) || arch.debian == name || arch.platform.0 == name;
    let arch = ARCHS.iter().find(is_it)?;
    let libc = if rest.contains("musl") { "musl" } else { "gnu" };
    let abi = if arch.machine.e_machine == header::EM_ARM { "eabihf" } else { "" };
    Some(format!("{}-unknown-linux-{libc}{abi}", arch.names[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_triple_is_meant_by() {
        for (text, expected) in [
            ("arm64", "aarch64-unknown-linux-gnu"),
            ("amd64", "x86_64-unknown-linux-gnu"),
            ("linux/arm64", "aarch64-unknown-linux-gnu"),
            ("linux/arm/v7", "armv7-unknown-linux-gnueabihf"),
            ("armhf", "armv7-unknown-linux-gnueabihf"),
            ("riscv64", "riscv64gc-unknown-linux-gnu"),
            ("ppc64el", "powerpc64le-unknown-linux-gnu"),
            ("aarch64-linux-gnu", "aarch64-unknown-linux-gnu"),
            ("aarch64-linux-musl", "aarch64-unknown-linux-musl"),
        ] {
            assert_eq!(triple_like(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(triple_like("vax"), None);
        let help = |text| Target::parse(text).unwrap_err().to_string();
        assert!(help("arm64").ends_with("did you mean `aarch64-unknown-linux-gnu`?"), "{}", help("arm64"));
        assert!(!help("aarch64-apple-darwin").contains("mean"), "{}", help("aarch64-apple-darwin"));
    }

    #[test]
    fn triples_name_machines_and_platforms() {
        for (triple, e_machine, arch) in [
            ("x86_64-unknown-linux-gnu", header::EM_X86_64, "amd64"),
            ("aarch64-unknown-linux-musl", header::EM_AARCH64, "arm64"),
            ("armv7-unknown-linux-gnueabihf", header::EM_ARM, "arm"),
            ("riscv64gc-unknown-linux-gnu", header::EM_RISCV, "riscv64"),
            ("powerpc64le-unknown-linux-gnu", header::EM_PPC64, "ppc64le"),
            ("i686-unknown-linux-gnu", header::EM_386, "386"),
            ("s390x-unknown-linux-gnu", header::EM_S390, "s390x"),
            ("loongarch64-unknown-linux-gnu", 258, "loong64"),
        ] {
            let target = Target::parse(triple).unwrap();
            assert_eq!((target.machine().e_machine, target.arch()), (e_machine, arch), "{triple}");
        }
        assert!(!Target::parse("powerpc64-unknown-linux-gnu").unwrap().machine().is_little_endian);
    }

    #[test]
    fn other_systems_are_refused() {
        for triple in ["x86_64-pc-windows-msvc", "aarch64-apple-darwin", "vax-unknown-linux-gnu", ""] {
            assert_eq!(Target::parse(triple).unwrap_err().exit_code(), 2, "{triple}");
        }
    }
}
