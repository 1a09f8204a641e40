//! The meaning of a target triple for a root filesystem: machine, libc, image platform.
//!
//! It is a table: it queries neither rustc nor cargo nor the host's files.

mod machine;
mod table;

pub use machine::Machine;
pub(crate) use table::LegacyHwcaps;

use table::{ROWS, Row};

use crate::error::{Error, Result};
use crate::wording::did_you_mean;

/// A target by its triple, such as `aarch64-unknown-linux-gnu`, or by the file stem of a target specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    triple: String,
    machine: Machine,
}

impl Target {
    /// Parses a triple; fails if its architecture is unknown, or if it is not for Linux.
    pub fn parse(triple: &str) -> Result<Self> {
        let arch = triple.split('-').next().unwrap_or_default();
        let unknown = || Error::usage(format!("target `{triple}` is not one that a rootfs can be made for"));
        if !triple.contains("linux") {
            // An architecture in the notation of Debian, Docker or uname(1); a complete triple means another system.
            let meant = (!triple.contains('-')).then(|| triple_like(triple)).flatten();
            return Err(unknown().detail("it does not name Linux").help_if(meant.map(did_you_mean)));
        }
        let found = ROWS
            .iter()
            .find(|known| known.names.contains(&arch))
            .or_else(|| ROWS.iter().find(|known| known.names.iter().any(|name| arch.starts_with(name))))
            .ok_or_else(|| unknown().detail(format!("architecture `{arch}` is not known")))?;
        Ok(Self { triple: triple.to_owned(), machine: found.machine })
    }

    /// The triple of the host with GNU libc, for work without a build.
    pub fn host() -> Self {
        let machine = Machine::host();
        Self { triple: format!("{machine}-unknown-linux-gnu"), machine }
    }

    /// The triple as given.
    pub fn triple(&self) -> &str {
        &self.triple
    }

    /// The machine of its ELF files.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Returns whether its C library is musl, by the last part of the triple: `musl`, `musleabihf`.
    pub fn is_musl(&self) -> bool {
        self.triple.rsplit('-').next().is_some_and(|abi| abi.starts_with("musl"))
    }

    /// The architecture in image platforms, for `{arch}` in output names: `arm64`.
    pub fn arch(&self) -> &'static str {
        self.machine.platform().map_or("unknown", |(arch, _)| arch)
    }

    /// The architecture in GNU tuples, as in `arm-linux-gnueabihf-gcc`.
    #[cfg(feature = "cli")]
    pub(crate) fn gnu_arch(&self) -> &'static str {
        self.machine.row().gnu
    }

    /// The ABI in GNU tuples, `eabihf` of `arm-linux-gnueabihf`; `None` for triples that rustc does not link with `cc`.
    #[cfg(feature = "cli")]
    pub(crate) fn gnu_abi(&self) -> Option<&'static str> {
        match self.triple.rsplit('-').next()? {
            "gnu" | "musl" => Some(""),
            "gnueabihf" | "musleabihf" => Some("eabihf"),
            "gnueabi" | "musleabi" => Some("eabi"),
            _ => None,
        }
    }

    /// Debian's directory of its libraries, such as `arm-linux-gnueabi` for a triple without hardware floating point.
    #[cfg(feature = "cli")]
    pub(crate) fn multiarch(&self) -> Option<String> {
        let multiarch = self.machine.multiarch();
        let arch = multiarch.split('-').next().unwrap_or_default();
        self.gnu_abi().map(|abi| format!("{arch}-linux-gnu{abi}"))
    }

    /// Debian's architecture: `armel` for ARM without hardware floating point.
    #[cfg(feature = "cli")]
    pub(crate) fn debian(&self) -> Option<&'static str> {
        match self.machine.row().debian_soft {
            Some(soft) if self.triple.ends_with("eabi") => Some(soft),
            _ => self.machine.debian(),
        }
    }

    /// Returns whether Arch Linux packages a cross compiler for it.
    #[cfg(feature = "cli")]
    pub(crate) fn is_cross_built_on_arch(&self) -> bool {
        self.machine.row().is_cross_built_on_arch
    }

    /// Arch Linux's package of Rust's standard library for it.
    #[cfg(feature = "cli")]
    pub(crate) fn std_on_arch(&self) -> Option<&'static str> {
        let [gnu, musl] = self.machine.row().std_on_arch;
        match self.triple.rsplit('-').next()? {
            "gnu" => gnu,
            "musl" => musl,
            _ => None,
        }
    }
}

/// The Linux triple for another name of its architecture, such as `arm64`, `linux/amd64` or `aarch64-linux-gnu`.
pub(crate) fn triple_like(text: &str) -> Option<String> {
    let text = text.strip_prefix("linux/").unwrap_or(text);
    let (name, rest) = text.split_at(text.find(['-', '/']).unwrap_or(text.len()));
    let is_it = |row: &&Row| row.names.contains(&name) || row.debian == name || row.platform.0 == name;
    let row = ROWS.iter().filter(|row| !row.names.is_empty()).find(is_it)?;
    let libc = if rest.contains("musl") { "musl" } else { "gnu" };
    let abi = row.multiarch.split("-linux-gnu").nth(1).unwrap_or_default();
    Some(format!("{}-unknown-linux-{libc}{abi}", row.names[0]))
}

#[cfg(test)]
mod tests {
    use goblin::elf::header;

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
