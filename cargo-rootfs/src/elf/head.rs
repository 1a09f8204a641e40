//! The ELF header verbatim: a loader may refuse a file for header bytes that are irrelevant to its needs.
//!
//! It does not judge the header: the kernel, glibc and musl differ in the bytes they refuse.

use goblin::elf::header::{self, header32, header64};

use crate::target::Machine;

/// The first bytes of a file with an ELF magic number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The bytes up to `e_flags` of either class.
    bytes: [u8; header32::SIZEOF_EHDR],
    /// The number of present bytes of the longer header.
    length: u8,
}

impl Head {
    /// Parses the first bytes of a file; `None` if they are not ELF, or too few to contain the machine.
    pub(super) fn of(first: &[u8]) -> Option<Self> {
        if first.len() < header32::SIZEOF_EHDR || !first.starts_with(header::ELFMAG) {
            return None;
        }
        let mut bytes = [0; header32::SIZEOF_EHDR];
        bytes.copy_from_slice(&first[..header32::SIZEOF_EHDR]);
        Some(Self { bytes, length: first.len().min(header64::SIZEOF_EHDR) as u8 })
    }

    /// Returns whether the file has the length of the ELF header of a class.
    pub fn is_whole(&self, is_64: bool) -> bool {
        usize::from(self.length) >= if is_64 { header64::SIZEOF_EHDR } else { header32::SIZEOF_EHDR }
    }

    /// `e_ident`.
    pub fn ident(&self) -> &[u8] {
        &self.bytes[..header::SIZEOF_IDENT]
    }

    /// Class, byte order and `e_machine`. An unknown class matches no machine; an unknown byte order is read as
    /// little-endian.
    pub fn machine(&self) -> Machine {
        let is_little_endian = self.bytes[header::EI_DATA] != header::ELFDATA2MSB;
        match self.bytes[header::EI_CLASS] {
            class @ (header::ELFCLASS32 | header::ELFCLASS64) => Machine {
                e_machine: self.e_machine(is_little_endian),
                is_64: class == header::ELFCLASS64,
                is_little_endian,
            },
            _ => Machine { e_machine: header::EM_NONE, is_64: false, is_little_endian },
        }
    }

    /// `e_type`, read in this byte order.
    pub fn e_type(&self, is_little_endian: bool) -> u16 {
        self.half(16, is_little_endian)
    }

    /// `e_machine`, read in this byte order.
    pub fn e_machine(&self, is_little_endian: bool) -> u16 {
        self.half(18, is_little_endian)
    }

    /// `e_version`, read in this byte order.
    pub fn e_version(&self, is_little_endian: bool) -> u32 {
        self.word(20, is_little_endian)
    }

    /// `e_flags`, as read by a loader for `machine`.
    pub fn e_flags(&self, machine: Machine) -> u32 {
        self.word(if machine.is_64 { 48 } else { 36 }, machine.is_little_endian)
    }

    fn half(&self, at: usize, is_little_endian: bool) -> u16 {
        let bytes = [self.bytes[at], self.bytes[at + 1]];
        if is_little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    fn word(&self, at: usize, is_little_endian: bool) -> u32 {
        let (first, second) = (self.half(at, is_little_endian), self.half(at + 2, is_little_endian));
        let (high, low) = if is_little_endian { (second, first) } else { (first, second) };
        u32::from(high) << 16 | u32::from(low)
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Head of {:?}", self.machine())
    }
}
