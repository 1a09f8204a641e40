//! An ELF machine, and queries on its row.

use std::fmt;

use super::table::{LegacyHwcaps, ROWS, Row, UNKNOWN};

/// An ELF machine: the header fields that the loader compares before it accepts a file (`e_machine`, EI_CLASS,
/// EI_DATA).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    /// `e_machine`, such as `EM_AARCH64`.
    pub e_machine: u16,
    /// True if EI_CLASS is ELFCLASS64.
    pub is_64: bool,
    /// True if EI_DATA is ELFDATA2LSB.
    pub is_little_endian: bool,
}

impl Machine {
    pub(super) fn row(self) -> &'static Row {
        const NO_ROW: &Row = &UNKNOWN;
        ROWS.iter().find(|row| row.machine == self).unwrap_or(NO_ROW)
    }

    /// The row of a machine that a triple can name.
    fn named(self) -> Option<&'static Row> {
        Some(self.row()).filter(|row| !row.names.is_empty())
    }

    /// The machine that this program was compiled for.
    pub fn host() -> Self {
        let arch = if std::env::consts::ARCH == "x86" { "i686" } else { std::env::consts::ARCH };
        ROWS.iter().find(|row| row.names.contains(&arch)).map_or(
            Self {
                e_machine: 0,
                is_64: cfg!(target_pointer_width = "64"),
                is_little_endian: cfg!(target_endian = "little"),
            },
            |row| row.machine,
        )
    }

    /// Returns whether its processors may also run programs of `other`: 64-bit x86 and ARM run 32-bit programs.
    #[cfg(feature = "cli")]
    pub(crate) fn also_runs(self, other: Self) -> bool {
        other.named().is_some() && self.row().narrow == Some(other.e_machine)
    }

    /// Returns whether one processor may run programs of both.
    #[cfg(feature = "cli")]
    pub(crate) fn is_kin(self, other: Self) -> bool {
        self.e_machine == other.e_machine || self.also_runs(other) || other.also_runs(self)
    }

    /// Its name in a triple, such as `aarch64`.
    pub fn name(self) -> String {
        self.named().map_or_else(|| format!("ELF machine {}", self.e_machine), |row| row.names[0].to_owned())
    }

    /// The image platforms of all machines that a triple can name: GOARCH and variant.
    #[cfg(feature = "push")]
    pub(crate) fn image_platforms() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        let mut platforms: Vec<_> = ROWS.iter().filter(|row| !row.names.is_empty()).map(|row| row.platform).collect();
        platforms.sort_unstable();
        platforms.dedup();
        platforms.into_iter()
    }

    /// Its directory of libraries below `/usr/lib` on multiarch systems, such as `x86_64-linux-gnu`.
    pub(crate) fn multiarch(self) -> &'static str {
        self.row().multiarch
    }

    /// Debian's name of it, as in `libssl3:arm64`.
    pub fn debian(self) -> Option<&'static str> {
        self.named().map(|row| row.debian)
    }

    /// The machine with this name in Debian.
    pub fn of_debian(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| !row.names.is_empty() && row.debian == name).map(|row| row.machine)
    }

    /// The value of `$PLATFORM` on its baseline (ld.so(8)); empty if the kernel has none.
    pub fn elf_platform(self) -> &'static str {
        self.row().elf_platform
    }

    /// The soname of the object that the kernel maps into every process (vdso(7)).
    pub(crate) fn vdso(self) -> &'static str {
        self.row().vdso
    }

    /// Architecture and variant in the OCI image specification (GOARCH): `("arm", Some("v7"))`.
    pub fn platform(self) -> Option<(&'static str, Option<&'static str>)> {
        self.named().map(|row| row.platform)
    }

    /// The suffix of the qemu-user program that runs it: `aarch64` for `qemu-aarch64-static`.
    pub fn qemu(self) -> Option<&'static str> {
        self.named().map(|row| row.qemu)
    }

    /// The usual paths of glibc's and musl's interpreters, without the leading slash.
    pub(crate) fn interpreters(self) -> [String; 2] {
        let row = self.row();
        [row.glibc.to_owned(), format!("lib/ld-musl-{}.so.1", row.musl)]
    }

    /// The flags of its entries in ld.so.cache.
    pub(crate) fn cache_flags(self) -> u32 {
        self.row().cache_flags
    }

    /// The alignment of 64-bit members of structures.
    pub(crate) fn wide_alignment(self) -> usize {
        self.row().wide_alignment
    }

    /// The lowest glibc-hwcaps subdirectory of its loaders with a final zero, such as `x86-64-v2`, and a rare byte in
    /// it.
    pub(crate) fn least_hwcaps(self) -> Option<(&'static [u8], u8)> {
        self.row().least_hwcaps
    }

    /// The hardware names for which its loaders searched before glibc 2.37.
    pub(crate) fn legacy_hwcaps(self) -> LegacyHwcaps {
        self.row().legacy
    }

    /// Returns whether its loader accepts files with these `e_flags`.
    pub(crate) fn takes_flags(self, e_flags: u32) -> bool {
        let (mask, values) = self.row().abi_flags;
        values.contains(&(e_flags & mask))
    }

    /// The EI_OSABI that its loader accepts besides those of none and GNU.
    pub(crate) fn os_abi(self) -> Option<u8> {
        self.row().os_abi
    }

    /// The newest version of the GNU ABI that its loader accepts.
    pub(crate) fn newest_abi(self) -> u8 {
        self.row().newest_abi
    }

    /// Returns whether it has relocations without addends.
    pub(crate) fn has_rel(self) -> bool {
        self.row().has_rel
    }

    /// Returns whether the words of its DT_HASH have eight bytes.
    pub(crate) fn has_wide_hash(self) -> bool {
        self.row().has_wide_hash
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
