//! From the bytes of an ELF file to an [`Object`]: what a dynamic loader would look at, and no more.
//!
//! It reads the ELF header, the program headers, the dynamic section and the strings that it names,
//! through PT_DYNAMIC, so section headers may be stripped. It resolves nothing, and accepts any input:
//! time and memory are bounded by the constants below, whatever the file claims.

mod bytes;
#[cfg(test)]
pub(crate) mod fixture;
mod imports;
mod raw;
mod reader;
#[cfg(test)]
mod tests;
mod versions;

use std::io;

use goblin::container::{Container, Ctx};
use goblin::elf::dynamic::{self, Dyn};
use goblin::elf::header::{self, Header};
use goblin::elf::program_header::{self, ProgramHeader};
use scroll::{Endian, Pread};

use crate::target::Machine;
pub use bytes::Bytes;
use bytes::Span;
pub use imports::Symbols;
use raw::{Raw, Segment};
pub use reader::{Buffers, ReadAt};
use reader::{MAX_PART, Reader};

/// The most entries of a dynamic section, version needs or version definitions that are read.
const MAX_ENTRIES: usize = 1 << 16;
/// The most bytes that all strings of one file may have together.
const MAX_STRINGS: usize = 1 << 22;
/// The most bytes of one string (a search path, the longest there is, is bounded by no rule).
const MAX_STRING: usize = 1 << 17;

/// What an ELF file says to a dynamic loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Machine, class and byte order.
    pub machine: Machine,
    /// ET_EXEC, ET_DYN, or another type that no loader takes.
    pub e_type: u16,
    /// PT_INTERP, byte for byte.
    pub interpreter: Option<Bytes>,
    /// Whether there is a PT_DYNAMIC; without one a file is static, or not for a loader.
    pub is_dynamic: bool,
    /// DT_SONAME.
    pub soname: Option<Bytes>,
    /// DT_NEEDED, DT_AUXILIARY and DT_FILTER, in order.
    pub dependencies: Vec<Dependency>,
    /// DT_RPATH, as it stands: also where DT_RUNPATH is there too.
    pub rpath: Option<Bytes>,
    /// DT_RUNPATH.
    pub runpath: Option<Bytes>,
    /// DT_FLAGS_1.
    pub flags_1: u64,
    /// Symbol versions that it needs, by file (DT_VERNEED).
    pub version_needs: Vec<VersionNeed>,
    /// Symbol versions that it defines (DT_VERDEF), the base version, its own name, among them.
    pub version_definitions: Vec<VersionDefinition>,
    /// Whether it has relative relocations in the compact form (DT_RELR).
    pub has_relr: bool,
    /// The oldest Linux kernel that it runs on (`.note.ABI-tag`; LSB core specification, 10.3).
    pub kernel: Option<(u32, u32, u32)>,
    /// Offset and length of the last segment that is neither written nor executed, where a linker puts constants.
    pub constants: Option<(u64, u64)>,
    /// The JSON texts of its dlopen notes (the UAPI group's ELF dlopen metadata), as they stand.
    pub dlopen_notes: Vec<Bytes>,
    /// Where its dynamic symbols are, which are not read unless they are asked for.
    pub symbols: Option<Symbols>,
}

/// One entry of the dynamic section that names another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// What kind of entry.
    pub kind: DependencyKind,
    /// The name, as it stands: tokens are not replaced.
    pub name: Bytes,
}

/// The kind of a [`Dependency`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependencyKind {
    /// DT_NEEDED.
    Needed,
    /// DT_AUXILIARY: may be missing.
    Auxiliary,
    /// DT_FILTER.
    Filter,
}

/// The versions that are needed of one file (`Elf64_Verneed`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionNeed {
    /// The soname, as in DT_NEEDED.
    pub file: Bytes,
    /// `vn_version`: 1 is all that there is.
    pub revision: u16,
    /// The versions, as `GLIBC_2.34`.
    pub versions: Vec<NeededVersion>,
}

/// One needed version (`Elf64_Vernaux`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededVersion {
    /// Its name.
    pub name: Bytes,
    /// The hash of its name, as it stands.
    pub hash: u32,
    /// VER_FLG_WEAK: it may be missing.
    pub is_weak: bool,
}

/// One defined version (`Elf64_Verdef`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionDefinition {
    /// Its name.
    pub name: Bytes,
    /// The hash of its name, as it stands.
    pub hash: u32,
    /// `vd_version`: 1 is all that there is.
    pub revision: u16,
}

/// Why a file is not an ELF file that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The machine, where the ELF header was whole.
    pub machine: Option<Machine>,
    /// A lower-case phrase: `invalid ELF header`.
    pub reason: String,
    /// Whether the file does not even begin as an ELF file does.
    pub not_elf: bool,
}

/// A failure to read, or a malformed file.
#[derive(Debug)]
pub enum ReadError {
    /// The file could not be read.
    Io(io::Error),
    /// It could, and is no good.
    Malformed(Malformed),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How many bytes of a file [`Object::read`] wants at first.
const EHDR_64: usize = header::header64::SIZEOF_EHDR;
const EHDR_32: usize = header::header32::SIZEOF_EHDR;

impl Object {
    /// Reads what a loader would. The checks are those of glibc's `open_verify` (elf/dl-load.c)
    /// that do not depend on the machine that is wanted.
    pub fn read<F: ReadAt + ?Sized>(file: &F) -> Result<Self, ReadError> {
        Self::read_in(file, &mut Buffers::default())
    }

    /// The same in buffers that may have served other files.
    pub fn read_in<F: ReadAt + ?Sized>(file: &F, buffers: &mut Buffers) -> Result<Self, ReadError> {
        let (mut reader, raw) = buffers.start(file);
        let (header, machine) = elf_header(reader.at(0, EHDR_64)?).map_err(ReadError::Malformed)?;
        let ctx = Ctx::new(
            if machine.is_64 { Container::Big } else { Container::Little },
            if machine.is_little_endian { Endian::Little } else { Endian::Big },
        );
        Parse { reader, machine, ctx, raw, notes_left: MAX_NOTES }.object(&header)
    }
}

/// Checks the ELF header alone.
fn elf_header(head: &[u8]) -> Result<(Header, Machine), Malformed> {
    let malformed = |machine, reason: &str| Malformed {
        machine,
        reason: reason.to_owned(),
        not_elf: !head.starts_with(header::ELFMAG),
    };
    if head.len() < EHDR_32 {
        return Err(malformed(None, "file too short"));
    }
    if !head.starts_with(header::ELFMAG) {
        return Err(malformed(None, "invalid ELF header"));
    }
    let is_64 = match head[header::EI_CLASS] {
        header::ELFCLASS32 => false,
        header::ELFCLASS64 => true,
        // To a loader this is another class than its own, so no machine's (`open_verify`).
        _ => {
            let none = Machine { e_machine: header::EM_NONE, is_64: false, is_little_endian: true };
            return Err(malformed(Some(none), "invalid ELF class"));
        }
    };
    let is_little_endian = match head[header::EI_DATA] {
        header::ELFDATA2LSB => true,
        header::ELFDATA2MSB => false,
        _ => return Err(malformed(None, "invalid ELF data encoding")),
    };
    let endian = if is_little_endian { Endian::Little } else { Endian::Big };
    // goblin's `Header` takes class and order from the identification bytes.
    let header: Header = head.pread_with(0, endian).map_err(|_| malformed(None, "file too short"))?;
    let machine = Machine { e_machine: header.e_machine, is_64, is_little_endian };
    if head[header::EI_VERSION] != header::EV_CURRENT {
        return Err(malformed(Some(machine), "ELF file version ident does not match current one"));
    }
    if header.e_version != u32::from(header::EV_CURRENT) {
        return Err(malformed(Some(machine), "ELF file version does not match current one"));
    }
    Ok((header, machine))
}

struct Parse<'f, F: ReadAt + ?Sized> {
    reader: Reader<'f, F>,
    machine: Machine,
    ctx: Ctx,
    raw: &'f mut Raw,
    notes_left: usize,
}

/// The values of a dynamic section that matter, strings still as offsets.
#[derive(Default)]
struct Entries {
    strtab: Option<u64>,
    strsz: u64,
    soname: Option<u64>,
    rpath: Option<u64>,
    runpath: Option<u64>,
    flags_1: u64,
    verneed: Option<u64>,
    verdef: Option<u64>,
    has_relr: bool,
    symtab: Option<u64>,
    hash: Option<u64>,
    gnu_hash: Option<u64>,
}

impl<F: ReadAt + ?Sized> Parse<'_, F> {
    fn malformed(&self, reason: &str) -> ReadError {
        ReadError::Malformed(Malformed { machine: Some(self.machine), reason: reason.to_owned(), not_elf: false })
    }

    fn object(&mut self, header: &Header) -> Result<Object, ReadError> {
        let mut object = Object {
            machine: self.machine,
            e_type: header.e_type,
            interpreter: None,
            is_dynamic: false,
            soname: None,
            dependencies: Vec::new(),
            rpath: None,
            runpath: None,
            flags_1: 0,
            version_needs: Vec::new(),
            version_definitions: Vec::new(),
            has_relr: false,
            kernel: None,
            constants: None,
            dlopen_notes: Vec::new(),
            symbols: None,
        };
        let size = ProgramHeader::size(self.ctx);
        if header.e_phnum > 0 && usize::from(header.e_phentsize) != size {
            return Err(self.malformed("ELF file's phentsize not the expected size"));
        }
        let mut dynamic = None;
        for index in 0..u64::from(header.e_phnum) {
            let ctx = self.ctx;
            let offset = header.e_phoff.checked_add(index * size as u64);
            let bytes = match offset {
                Some(offset) => self.reader.exactly(offset, size)?,
                None => None,
            };
            let Some(segment) = bytes.and_then(|bytes| bytes.pread_with::<ProgramHeader>(0, ctx).ok()) else {
                return Err(self.malformed("program headers past the end of the file"));
            };
            match segment.p_type {
                program_header::PT_LOAD => {
                    if segment.p_flags & (program_header::PF_W | program_header::PF_X) == 0 && segment.p_offset > 0 {
                        object.constants = Some((segment.p_offset, segment.p_filesz));
                    }
                    self.raw.segments.push(Segment {
                        vaddr: segment.p_vaddr,
                        offset: segment.p_offset,
                        filesz: segment.p_filesz,
                    });
                }
                program_header::PT_INTERP => {
                    let length = usize::try_from(segment.p_filesz).unwrap_or(usize::MAX).min(4096);
                    self.raw.text.clear();
                    let text = self.reader.at(segment.p_offset, length)?;
                    let Some(end) = text.iter().position(|byte| *byte == 0) else {
                        return Err(self.malformed("the program interpreter's path does not end"));
                    };
                    self.raw.text.extend_from_slice(&text[..end]);
                    self.raw.interpreter = Some(self.since(0)?);
                }
                // An empty one is that of a debug file that was split off, and counts for nothing
                // (`_dl_map_object_from_fd`).
                program_header::PT_DYNAMIC if segment.p_filesz > 0 => {
                    dynamic = Some((segment.p_offset, segment.p_filesz))
                }
                program_header::PT_NOTE => {
                    self.raw.note_segments.push((segment.p_offset, segment.p_filesz, segment.p_align));
                }
                _ => {}
            }
        }
        for index in 0..self.raw.note_segments.len() {
            let (offset, length, align) = self.raw.note_segments[index];
            self.notes(&mut object, offset, length, align)?;
        }
        if let Some((offset, length)) = dynamic {
            object.is_dynamic = true;
            let entries = self.entries(offset, length)?;
            self.fill(&mut object, &entries)?;
        }
        self.raw.settle(&mut object);
        Ok(object)
    }

    /// The string that was put to the others of the file last.
    fn since(&self, start: usize) -> Result<Span, ReadError> {
        self.raw.since(start).ok_or_else(|| self.malformed("its strings are too long"))
    }

    /// The notes of one PT_NOTE segment (elf(5)). A note that does not fit ends them: what they say is
    /// advice, and no loader refuses a file for it.
    fn notes(&mut self, object: &mut Object, offset: u64, length: u64, align: u64) -> Result<(), ReadError> {
        let align = if align == 8 { 8 } else { 4 };
        let end = offset.saturating_add(length);
        let mut at = offset;
        // Segments may overlap, so the file's notes are counted, and not each segment's.
        while self.notes_left > 0 {
            self.notes_left -= 1;
            let Some(head) = self.record(Some(at), 12)? else { return Ok(()) };
            let (name_length, length, kind) = (u64::from(head.u32(0)), u64::from(head.u32(4)), head.u32(8));
            let name_at = at.saturating_add(12);
            let text_at = at.saturating_add((12 + name_length).next_multiple_of(align));
            let next = text_at.saturating_add(length.next_multiple_of(align));
            if text_at.saturating_add(length) > end || next <= at {
                return Ok(());
            }
            let Some(name) = self.reader.exactly(name_at, 4)? else { return Ok(()) };
            match (name_length, name, kind) {
                (4, b"GNU\0", NT_GNU_ABI_TAG) if length >= 16 => {
                    if let Some(tag) = self.record(Some(text_at), 16)?.filter(|tag| tag.u32(0) == ELF_NOTE_OS_LINUX) {
                        object.kernel = Some((tag.u32(4), tag.u32(8), tag.u32(12)));
                    }
                }
                (4, b"FDO\0", NT_FDO_DLOPEN) => {
                    let note = self.note_text(text_at, length)?;
                    self.raw.notes.push(note);
                }
                _ => {}
            }
            at = next;
        }
        Ok(())
    }

    /// A note's text up to its zero, or as much of it as is read: what then does not end is told as such.
    fn note_text(&mut self, at: u64, length: u64) -> Result<Span, ReadError> {
        let start = self.raw.text.len();
        let room = MAX_NOTE_TEXT.saturating_sub(start);
        let mut left = usize::try_from(length).unwrap_or(usize::MAX).min(room);
        let mut at = at;
        while left > 0 {
            let chunk = self.reader.at(at, left.min(MAX_PART))?;
            let end = memchr::memchr(0, chunk);
            self.raw.text.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
            if end.is_some() || chunk.is_empty() {
                break;
            }
            left -= chunk.len();
            at = at.saturating_add(chunk.len() as u64);
        }
        self.since(start)
    }

    fn entries(&mut self, offset: u64, length: u64) -> Result<Entries, ReadError> {
        let size = Dyn::size(self.ctx.container);
        let mut entries = Entries::default();
        for index in 0..(length / size as u64) {
            if index as usize >= MAX_ENTRIES {
                return Err(self.malformed("the dynamic section has no end"));
            }
            let ctx = self.ctx;
            let bytes = match offset.checked_add(index * size as u64) {
                Some(offset) => self.reader.exactly(offset, size)?,
                None => None,
            };
            let Some(entry) = bytes.and_then(|bytes| bytes.pread_with::<Dyn>(0, ctx).ok()) else {
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
                dynamic::DT_STRSZ => entries.strsz = value,
                dynamic::DT_FLAGS_1 => entries.flags_1 = value,
                dynamic::DT_VERNEED => entries.verneed = Some(value),
                dynamic::DT_VERDEF => entries.verdef = Some(value),
                DT_RELR => entries.has_relr = true,
                dynamic::DT_SYMTAB => entries.symtab = Some(value),
                dynamic::DT_HASH => entries.hash = Some(value),
                dynamic::DT_GNU_HASH => entries.gnu_hash = Some(value),
                _ => {}
            }
        }
        Ok(entries)
    }

    fn fill(&mut self, object: &mut Object, entries: &Entries) -> Result<(), ReadError> {
        object.flags_1 = entries.flags_1;
        object.has_relr = entries.has_relr;
        let strtab = match entries.strtab.map(|address| (address, self.file_offset(address))) {
            Some((_, Some(offset))) => Strtab { offset, size: entries.strsz },
            // Without strings there must be nothing that names one.
            _ if self.raw.entries.is_empty() && entries.soname.is_none() => return Ok(()),
            _ => return Err(self.malformed("no string table for the dynamic section")),
        };
        let offset = |address: Option<u64>| address.and_then(|address| self.file_offset(address));
        object.symbols = offset(entries.symtab).map(|table| Symbols {
            table,
            hash: offset(entries.hash),
            gnu_hash: offset(entries.gnu_hash),
            names: strtab.offset,
            names_size: strtab.size,
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

    /// Where in the file the byte of this virtual address is, by the PT_LOAD segments.
    fn file_offset(&self, address: u64) -> Option<u64> {
        self.raw.segments.iter().find_map(|segment| {
            let inside = address.checked_sub(segment.vaddr)?;
            (inside < segment.filesz).then(|| segment.offset.checked_add(inside))?
        })
    }

    fn string(&mut self, strtab: &Strtab, index: u64) -> Result<Span, ReadError> {
        if index >= strtab.size {
            return Err(self.malformed("a string lies outside the string table"));
        }
        let start = self.raw.text.len();
        let mut offset = strtab.offset.saturating_add(index);
        let mut left = usize::try_from(strtab.size - index).unwrap_or(usize::MAX);
        loop {
            let chunk = self.reader.at(offset, left.min(256))?;
            if let Some(end) = memchr::memchr(0, chunk) {
                self.raw.text.extend_from_slice(&chunk[..end]);
                break;
            }
            let length = chunk.len();
            self.raw.text.extend_from_slice(chunk);
            left -= length;
            offset = offset.saturating_add(length as u64);
            if length == 0 || left == 0 || self.raw.text.len() - start > MAX_STRING {
                return Err(self.malformed("a string of the dynamic section does not end"));
            }
        }
        self.since(start)
    }

    fn record(&mut self, offset: Option<u64>, length: usize) -> Result<Option<Record>, ReadError> {
        let Some(offset) = offset else { return Ok(None) };
        let endian = self.ctx.le;
        Ok(self.reader.exactly(offset, length)?.map(|bytes| {
            let mut record = Record { bytes: [0; 20], endian };
            record.bytes[..length].copy_from_slice(bytes);
            record
        }))
    }
}

struct Strtab {
    offset: u64,
    size: u64,
}

/// A fixed-size record of the version sections.
struct Record {
    bytes: [u8; 20],
    endian: Endian,
}

impl Record {
    fn u16(&self, offset: usize) -> u16 {
        self.bytes.pread_with(offset, self.endian).unwrap_or_default()
    }

    fn u32(&self, offset: usize) -> u32 {
        self.bytes.pread_with(offset, self.endian).unwrap_or_default()
    }
}

fn offset_by(at: Option<u64>, by: u32) -> Option<u64> {
    at?.checked_add(u64::from(by))
}

/// The most notes of a file that are looked at; systemd has some 50.
const MAX_NOTES: usize = 4096;
/// The most bytes that the texts of a file's notes have together.
const MAX_NOTE_TEXT: usize = 1 << 20;
const NT_GNU_ABI_TAG: u32 = 1;
const ELF_NOTE_OS_LINUX: u32 = 0;
const NT_FDO_DLOPEN: u32 = 0x407c_0c0a;
// goblin has no names for these three (elf.h).
const DT_RELR: u64 = 36;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;
/// DT_FLAGS_1: ignore the default directories (elf.h).
pub const DF_1_NODEFLIB: u64 = 0x800;
/// DT_FLAGS_1: dlopen(3) refuses it (elf.h).
pub const DF_1_NOOPEN: u64 = 0x40;
/// DT_FLAGS_1: a position-independent executable (elf.h).
pub const DF_1_PIE: u64 = 0x0800_0000;
