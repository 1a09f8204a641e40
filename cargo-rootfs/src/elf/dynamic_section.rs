//! The dynamic section and the strings that it names, found by their addresses and read to their own ends, as a
//! loader reads them: sizes in the file, DT_STRSZ among them, are nothing to it.
//!
//! What an entry means for a search is not known here.

use goblin::elf::dynamic::{self, Dyn};
use scroll::Pread;

use super::bytes::Span;
use super::segments::Run;
use super::{DependencyKind, MAX_ENTRIES, MAX_STRING, Object, Parse, ReadAt, ReadError, Symbols};
use crate::target::Machine;

/// The values of a dynamic section that matter, strings still as offsets.
#[derive(Default)]
pub(super) struct Entries {
    strtab: Option<u64>,
    strsz: u64,
    soname: Option<u64>,
    rpath: Option<u64>,
    runpath: Option<u64>,
    flags_1: u64,
    verneed: Option<u64>,
    verdef: Option<u64>,
    symtab: Option<u64>,
    hash: Option<u64>,
    gnu_hash: Option<u64>,
    /// DT_RELA, DT_REL and DT_RELR: whether they are there, and the size of their entries.
    tables: [(bool, Option<u64>); 3],
    plt_kind: Option<u64>,
}

impl Entries {
    /// What glibc's loader asserts (`elf_get_dynamic_info`, elf/get-dynamic-info.h).
    pub(super) fn refusal(&self, machine: Machine) -> Option<&'static str> {
        use goblin::elf::header::{EM_386, EM_ARM};
        let has_rel = matches!(machine.e_machine, EM_386 | EM_ARM);
        let word = if machine.is_64 { 8 } else { 4 };
        let sizes = [3 * word, 2 * word, word];
        let is_plt_known = match self.plt_kind {
            Some(dynamic::DT_REL) => has_rel,
            kind => matches!(kind, None | Some(dynamic::DT_RELA)),
        };
        let is_right = |index: usize| {
            let (is_there, size) = self.tables[index];
            !is_there || size == Some(sizes[index])
        };
        let is_fine = is_plt_known && is_right(0) && (!has_rel || is_right(1)) && is_right(2);
        (!is_fine).then_some("inconsistent dynamic section")
    }
}

/// Where the strings are.
pub(super) struct Strtab(u64);

impl<F: ReadAt + ?Sized> Parse<'_, F> {
    /// The entries up to DT_NULL.
    pub(super) fn entries(&mut self, address: u64) -> Result<Entries, ReadError> {
        let size = Dyn::size(self.ctx.container) as u64;
        let (start, length) = match self.raw.segments.at(address) {
            Some(Run::File(offset, length)) => (offset, length),
            Some(Run::Zeros) => return Ok(Entries::default()),
            None => return Err(self.malformed("the dynamic section is in no segment")),
        };
        let mut entries = Entries::default();
        // What comes after the run is zero, or not there.
        for index in 0..length / size {
            if index as usize >= MAX_ENTRIES {
                return Err(self.malformed("the dynamic section has no end"));
            }
            let ctx = self.ctx;
            let record = self.record(start.checked_add(index * size), size as usize)?;
            let Some(entry) = record.and_then(|record| record.bytes.pread_with::<Dyn>(0, ctx).ok()) else {
                return Err(self.malformed("the dynamic section is past the end of the file"));
            };
            let value = entry.d_val;
            match entry.d_tag {
                dynamic::DT_NULL => break,
                dynamic::DT_NEEDED => self.raw.entries.push((DependencyKind::Needed, value)),
                DT_AUXILIARY => self.raw.entries.push((DependencyKind::Auxiliary, value)),
                DT_FILTER => self.raw.entries.push((DependencyKind::Filter, value)),
                dynamic::DT_SONAME => entries.soname = Some(value),
                dynamic::DT_RPATH => entries.rpath = Some(value),
                dynamic::DT_RUNPATH => entries.runpath = Some(value),
                dynamic::DT_STRTAB => entries.strtab = Some(value),
                dynamic::DT_FLAGS_1 => entries.flags_1 = value,
                dynamic::DT_VERNEED => entries.verneed = Some(value),
                dynamic::DT_VERDEF => entries.verdef = Some(value),
                // What the loader does without, and who counts symbols does not.
                dynamic::DT_STRSZ => entries.strsz = value,
                dynamic::DT_SYMTAB => entries.symtab = Some(value),
                dynamic::DT_HASH => entries.hash = Some(value),
                dynamic::DT_GNU_HASH => entries.gnu_hash = Some(value),
                dynamic::DT_PLTREL => entries.plt_kind = Some(value),
                dynamic::DT_RELA => entries.tables[0].0 = true,
                dynamic::DT_RELAENT => entries.tables[0].1 = Some(value),
                dynamic::DT_REL => entries.tables[1].0 = true,
                dynamic::DT_RELENT => entries.tables[1].1 = Some(value),
                DT_RELR => entries.tables[2].0 = true,
                DT_RELRENT => entries.tables[2].1 = Some(value),
                _ => {}
            }
        }
        Ok(entries)
    }

    pub(super) fn fill(&mut self, object: &mut Object, entries: &Entries) -> Result<(), ReadError> {
        object.flags_1 = entries.flags_1;
        object.has_relr = entries.tables[2].0;
        let strtab = match entries.strtab {
            Some(address) if self.raw.segments.at(address).is_some() => Strtab(address),
            // Without strings there must be nothing that names one.
            _ if self.raw.entries.is_empty() && entries.soname.is_none() => return Ok(()),
            _ => return Err(self.malformed("no string table for the dynamic section")),
        };
        let offset = |address: Option<u64>| address.and_then(|address| self.file_offset(address));
        object.symbols = offset(entries.symtab).zip(offset(entries.strtab)).map(|(table, names)| Symbols {
            table,
            hash: offset(entries.hash),
            gnu_hash: offset(entries.gnu_hash),
            names,
            names_size: entries.strsz,
        });
        let optional = |parse: &mut Self, offset: Option<u64>| match offset {
            Some(offset) => parse.string(&strtab, offset).map(Some),
            None => Ok(None),
        };
        self.raw.soname = optional(self, entries.soname)?;
        self.raw.rpath = optional(self, entries.rpath)?;
        self.raw.runpath = optional(self, entries.runpath)?;
        for index in 0..self.raw.entries.len() {
            let (kind, offset) = self.raw.entries[index];
            let name = self.string(&strtab, offset)?;
            self.raw.dependencies.push((kind, name));
        }
        if let Some(address) = entries.verneed {
            self.version_needs(&strtab, address)?;
        }
        if let Some(address) = entries.verdef {
            self.version_definitions(&strtab, address)?;
        }
        Ok(())
    }

    /// Where in the file the byte of this virtual address is.
    pub(super) fn file_offset(&self, address: u64) -> Option<u64> {
        match self.raw.segments.at(address)? {
            Run::File(offset, _) => Some(offset),
            Run::Zeros => None,
        }
    }

    pub(super) fn string(&mut self, strtab: &Strtab, index: u64) -> Result<Span, ReadError> {
        let start = self.raw.text.len();
        let (mut offset, mut left) = match self.raw.segments.at(strtab.0.wrapping_add(index)) {
            Some(Run::File(offset, length)) => (offset, usize::try_from(length).unwrap_or(usize::MAX)),
            Some(Run::Zeros) => (0, 0),
            None => return Err(self.malformed("a string of the dynamic section is in no segment")),
        };
        while left > 0 {
            let chunk = self.reader.at(offset, left.min(256))?;
            if let Some(end) = chunk.iter().position(|byte| *byte == 0) {
                self.raw.text.extend_from_slice(&chunk[..end]);
                break;
            }
            let length = chunk.len();
            self.raw.text.extend_from_slice(chunk);
            left -= length;
            offset = offset.saturating_add(length as u64);
            if length == 0 && self.is_padded(offset, 1)? {
                break;
            }
            if length == 0 || self.raw.text.len() - start > MAX_STRING {
                return Err(self.malformed("a string of the dynamic section does not end"));
            }
        }
        self.since(start)
    }
}

// goblin has no names for these four (elf.h).
const DT_RELR: u64 = 36;
const DT_RELRENT: u64 = 37;
pub(super) const DT_AUXILIARY: u64 = 0x7fff_fffd;
pub(super) const DT_FILTER: u64 = 0x7fff_ffff;
