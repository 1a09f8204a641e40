//! The dynamic section and its strings, found by their addresses and read to their own ends, as a loader reads them:
//! sizes in the file, such as DT_STRSZ, are ignored.
//!
//! It does not interpret entries; the search does.

use goblin::elf::dynamic::{self, Dyn};
use scroll::{Endian, Pread};

use super::bytes::Span;
use super::segments::{Run, Segments};
use super::{DependencyKind, MAX_ENTRIES, MAX_STRING, Object, Parse, ReadAt, ReadError, Symbols};
use crate::byte_search;
use crate::target::Machine;

/// The relevant values of a dynamic section, with strings as offsets.
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
    /// Presence and entry size of DT_RELA, DT_REL and DT_RELR.
    tables: [(bool, Option<u64>); 3],
    plt_kind: Option<u64>,
}

impl Entries {
    fn set(&mut self, tag: u64, value: u64) {
        match tag {
            dynamic::DT_SONAME => self.soname = Some(value),
            dynamic::DT_RPATH => self.rpath = Some(value),
            dynamic::DT_RUNPATH => self.runpath = Some(value),
            dynamic::DT_STRTAB => self.strtab = Some(value),
            dynamic::DT_FLAGS_1 => self.flags_1 = value,
            dynamic::DT_VERNEED => self.verneed = Some(value),
            dynamic::DT_VERDEF => self.verdef = Some(value),
            // The loader does not need these; counting the symbols does.
            dynamic::DT_STRSZ => self.strsz = value,
            dynamic::DT_SYMTAB => self.symtab = Some(value),
            dynamic::DT_HASH => self.hash = Some(value),
            dynamic::DT_GNU_HASH => self.gnu_hash = Some(value),
            dynamic::DT_PLTREL => self.plt_kind = Some(value),
            dynamic::DT_RELA => self.tables[0].0 = true,
            dynamic::DT_RELAENT => self.tables[0].1 = Some(value),
            dynamic::DT_REL => self.tables[1].0 = true,
            dynamic::DT_RELENT => self.tables[1].1 = Some(value),
            DT_RELR => self.tables[2].0 = true,
            DT_RELRENT => self.tables[2].1 = Some(value),
            _ => {}
        }
    }

    /// The failed assertion of glibc's loader (`elf_get_dynamic_info`, elf/get-dynamic-info.h).
    pub(super) fn refusal(&self, machine: Machine) -> Option<&'static str> {
        let has_rel = machine.has_rel();
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

/// One entry, of either class.
fn pair(entry: &[u8], endian: Endian) -> (u64, u64) {
    let word = |at: usize| match entry.len() {
        16 => entry.pread_with::<u64>(8 * at, endian).unwrap_or_default(),
        _ => entry.pread_with::<u32>(4 * at, endian).map_or(0, u64::from),
    };
    (word(0), word(1))
}

/// The position of the string table.
pub(super) struct Strtab {
    address: u64,
    /// The bytes at its start, and their number; nearly always the whole table.
    stretch: (Run, u64),
}

impl Strtab {
    /// The bytes at an offset of the table.
    fn at(&self, index: u64, segments: &Segments) -> Option<Run> {
        match self.stretch {
            (Run::File(offset, length), until) if index < until => Some(Run::File(offset + index, length - index)),
            _ => segments.at(self.address.wrapping_add(index)),
        }
    }
}

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
        // After the run, the memory is zero or not mapped.
        let (count, mut index) = (length / size, 0);
        while index < count {
            if index as usize >= MAX_ENTRIES {
                return Err(self.malformed("the dynamic section has no end"));
            }
            let at = start.checked_add(index * size);
            let record;
            let bytes = match at {
                Some(at) => self.reader.from(at, size as usize)?,
                None => &[],
            };
            let bytes = if bytes.len() >= size as usize {
                let room = (count.min(MAX_ENTRIES as u64) - index) * size;
                &bytes[..bytes.len().min(room as usize)]
            } else {
                record = self.record(at, size as usize)?;
                match &record {
                    Some(record) => &record.bytes[..size as usize],
                    None => return Err(self.malformed("the dynamic section is past the end of the file")),
                }
            };
            for entry in bytes.chunks_exact(size as usize) {
                let (tag, value) = pair(entry, self.ctx.le);
                match tag {
                    dynamic::DT_NULL => return Ok(entries),
                    dynamic::DT_NEEDED => self.raw.entries.push((DependencyKind::Needed, value)),
                    DT_AUXILIARY => self.raw.entries.push((DependencyKind::Auxiliary, value)),
                    DT_FILTER => self.raw.entries.push((DependencyKind::Filter, value)),
                    _ => entries.set(tag, value),
                }
                index += 1;
            }
        }
        Ok(entries)
    }

    pub(super) fn fill(&mut self, object: &mut Object, entries: &Entries) -> Result<(), ReadError> {
        object.flags_1 = entries.flags_1;
        object.has_relr = entries.tables[2].0;
        let stretch = |address| Some(Strtab { address, stretch: self.raw.segments.stretch(address)? });
        let strtab = match entries.strtab.and_then(stretch) {
            Some(strtab) => strtab,
            // Without a string table, no entry may refer to a string.
            None if self.raw.entries.is_empty() && entries.soname.is_none() => return Ok(()),
            None => return Err(self.malformed("no string table for the dynamic section")),
        };
        let offset = |address: Option<u64>| address.and_then(|address| self.file_offset(address));
        object.symbols = offset(entries.symtab).zip(offset(entries.strtab)).map(|(table, names)| Symbols {
            table,
            hash: offset(entries.hash),
            gnu_hash: offset(entries.gnu_hash),
            names,
            names_size: entries.strsz,
        });
        // Linkers put these names together in any order; all are read together from the first one on.
        let first = self.raw.entries.iter().map(|(_, index)| *index).chain(entries.soname).min();
        if let Some(Run::File(offset, _)) = first.and_then(|first| strtab.at(first, &self.raw.segments)) {
            self.reader.from(offset, 1)?;
        }
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

    /// The offset in the file of the byte at this virtual address.
    pub(super) fn file_offset(&self, address: u64) -> Option<u64> {
        match self.raw.segments.at(address)? {
            Run::File(offset, _) => Some(offset),
            Run::Zeros => None,
        }
    }

    pub(super) fn string(&mut self, strtab: &Strtab, index: u64) -> Result<Span, ReadError> {
        let start = self.raw.text.len();
        let (mut offset, mut left) = match strtab.at(index, &self.raw.segments) {
            Some(Run::File(offset, length)) => (offset, usize::try_from(length).unwrap_or(usize::MAX)),
            Some(Run::Zeros) => (0, 0),
            None => return Err(self.malformed("a string of the dynamic section is in no segment")),
        };
        while left > 0 {
            // The end is mostly in the bytes already read.
            let chunk = self.reader.from(offset, 1)?;
            let chunk = &chunk[..chunk.len().min(left)];
            if let Some(end) = byte_search::find(0, chunk) {
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

// goblin has no constants for these four (elf.h).
const DT_RELR: u64 = 36;
const DT_RELRENT: u64 = 37;
pub(super) const DT_AUXILIARY: u64 = 0x7fff_fffd;
pub(super) const DT_FILTER: u64 = 0x7fff_ffff;
