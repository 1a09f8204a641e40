//! Parses an ELF file into an [`Object`]: the parts that a dynamic loader reads.
//!
//! It reads the ELF header, the program headers, the dynamic section and its strings, all through PT_DYNAMIC, so
//! section headers may be stripped. It resolves nothing. It accepts any input: the constants below limit time and
//! memory.

mod bytes;
mod carried;
mod command_lines;
mod constants;
mod dynamic_section;
#[cfg(test)]
pub(crate) mod fixture;
mod head;
mod imports;
mod paths;
mod raw;
mod reader;
#[cfg(feature = "cli")]
mod sections;
mod segments;
mod started;
mod static_libc;
mod strings;
#[cfg(test)]
mod tests;
mod versions;
mod words;

use std::io;

use goblin::container::{Container, Ctx};
use goblin::elf::header::{self, Header};
use goblin::elf::program_header::{self, ProgramHeader};
use scroll::{Endian, Pread};

use crate::target::Machine;
pub use bytes::Bytes;
use bytes::Span;
#[doc(hidden)]
pub use carried::{Carrier, ENDS};
#[doc(hidden)]
pub use head::Head;
pub(crate) use imports::Imports;
#[doc(hidden)]
pub use imports::Symbols;
#[doc(hidden)]
pub use paths::PathText;
pub(crate) use paths::words_in;
use raw::Raw;
#[doc(hidden)]
pub use reader::Buffers;
pub use reader::ReadAt;
use reader::{MAX_PART, Reader};
#[cfg(feature = "cli")]
pub(crate) use sections::section;
use segments::PAGE;
#[doc(hidden)]
pub use static_libc::Stripped;

/// The maximum number of entries of a dynamic section, of version needs, and of version definitions.
const MAX_ENTRIES: usize = 1 << 16;
/// The maximum total size of the strings of one file.
const MAX_STRINGS: usize = 1 << 22;
/// The maximum size of one string. The longest ones are search paths, which have no limit of their own.
const MAX_STRING: usize = 1 << 17;

/// The parts of an ELF file that a dynamic loader reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Machine, class and byte order.
    pub machine: Machine,
    /// The ELF header, in which a loader checks further fields.
    #[doc(hidden)]
    pub head: Head,
    /// ET_EXEC, ET_DYN, or another type that no loader accepts.
    pub e_type: u16,
    /// PT_INTERP verbatim; the first one, as in the kernel.
    pub interpreter: Option<Bytes>,
    /// The reason why the kernel does not start it as a program (execve(2): ENOEXEC). Loaders of libraries ignore it.
    pub unstartable: Option<&'static str>,
    /// The reason why glibc's loader accepts the file as a library and then fails to map it.
    pub unmappable: Option<&'static str>,
    /// True if there is a PT_DYNAMIC. A file without one is static, or not for a loader.
    pub is_dynamic: bool,
    /// DT_SONAME.
    pub soname: Option<Bytes>,
    /// DT_NEEDED, DT_AUXILIARY and DT_FILTER, in order.
    pub dependencies: Vec<Dependency>,
    /// DT_RPATH verbatim, also beside DT_RUNPATH.
    pub rpath: Option<Bytes>,
    /// DT_RUNPATH.
    pub runpath: Option<Bytes>,
    /// DT_FLAGS_1.
    pub flags_1: u64,
    /// Symbol versions that it needs, by file (DT_VERNEED).
    pub version_needs: Vec<VersionNeed>,
    /// Symbol versions that it defines (DT_VERDEF), including the base version, which is its own name.
    pub version_definitions: Vec<VersionDefinition>,
    /// True if relative relocations are in the compact form (DT_RELR).
    pub has_relr: bool,
    /// The oldest Linux kernel on which it runs (`.note.ABI-tag`; LSB core specification, 10.3).
    pub kernel: Option<(u32, u32, u32)>,
    /// Offset and length of the last segment without write and execute permission, where linkers put constants.
    #[doc(hidden)]
    pub constants: Option<(u64, u64)>,
    /// The JSON texts of its dlopen notes (the UAPI group's ELF dlopen metadata), verbatim.
    pub dlopen_notes: Vec<Bytes>,
    /// The position of its dynamic symbols, which are read only on request.
    #[doc(hidden)]
    pub symbols: Option<Symbols>,
}

/// One entry of the dynamic section that names another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The kind of this entry.
    pub kind: DependencyKind,
    /// The name verbatim: tokens are not replaced.
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

/// The needed versions of one file (`Elf64_Verneed`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionNeed {
    /// The soname, as in DT_NEEDED.
    pub file: Bytes,
    /// `vn_version`; 1 is the only valid revision.
    pub revision: u16,
    /// The versions, such as `GLIBC_2.34`.
    pub versions: Vec<NeededVersion>,
}

/// One needed version (`Elf64_Vernaux`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededVersion {
    /// Its name.
    pub name: Bytes,
    /// The hash of its name, verbatim.
    pub hash: u32,
    /// VER_FLG_WEAK: it may be missing.
    pub is_weak: bool,
}

/// One defined version (`Elf64_Verdef`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionDefinition {
    /// Its name.
    pub name: Bytes,
    /// The hash of its name, verbatim.
    pub hash: u32,
    /// `vd_version`; 1 is the only valid revision.
    pub revision: u16,
}

/// The reason why a file cannot be read as an ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The ELF header, if present.
    pub head: Option<Head>,
    /// A lower-case phrase: `invalid ELF header`.
    pub reason: String,
    /// True if the file has no ELF magic number.
    pub not_elf: bool,
}

/// A failure to read, or a malformed file.
#[derive(Debug)]
pub enum ReadError {
    /// The file could not be read.
    Io(io::Error),
    /// The file was read but is malformed.
    Malformed(Malformed),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The number of bytes that [`Object::read`] reads of a file first.
const EHDR_64: usize = header::header64::SIZEOF_EHDR;
const EHDR_32: usize = header::header32::SIZEOF_EHDR;

impl Object {
    /// Reads the parts that a loader reads. Fails for a file that no loader accepts; faults that only one loader
    /// refuses are recorded.
    pub fn read<F: ReadAt + ?Sized>(file: &F) -> Result<Self, ReadError> {
        Self::read_in(file, &mut Buffers::default())
    }

    /// The same with reused buffers.
    #[doc(hidden)]
    pub fn read_in<F: ReadAt + ?Sized>(file: &F, buffers: &mut Buffers) -> Result<Self, ReadError> {
        let (mut reader, raw) = buffers.start(file);
        let (header, head) = elf_header(reader.at(0, EHDR_64)?).map_err(ReadError::Malformed)?;
        let machine = head.machine();
        let ctx = Ctx::new(
            if machine.is_64 { Container::Big } else { Container::Little },
            if machine.is_little_endian { Endian::Little } else { Endian::Big },
        );
        Parse { reader, head, machine, ctx, raw, notes_left: MAX_NOTES }.object(&header)
    }
}

/// Checks only the ELF header.
fn elf_header(first: &[u8]) -> Result<(Header, Head), Malformed> {
    let head = Head::of(first);
    let malformed =
        |reason: &str| Malformed { head, reason: reason.to_owned(), not_elf: !first.starts_with(header::ELFMAG) };
    let Some(head) = head else {
        let is_short = first.len() < EHDR_32;
        return Err(malformed(if is_short { "file too short" } else { "invalid ELF header" }));
    };
    let is_64 = match head.ident()[header::EI_CLASS] {
        header::ELFCLASS32 => false,
        header::ELFCLASS64 => true,
        _ => return Err(malformed("invalid ELF class")),
    };
    let endian = match head.ident()[header::EI_DATA] {
        header::ELFDATA2LSB => Endian::Little,
        header::ELFDATA2MSB => Endian::Big,
        _ => return Err(malformed("invalid ELF data encoding")),
    };
    if !head.is_whole(is_64) {
        return Err(malformed("file too short"));
    }
    // goblin's `Header` takes class and order from the identification bytes.
    let header: Header = first.pread_with(0, endian).map_err(|_| malformed("file too short"))?;
    Ok((header, head))
}

struct Parse<'f, F: ReadAt + ?Sized> {
    reader: Reader<'f, F>,
    head: Head,
    machine: Machine,
    ctx: Ctx,
    raw: &'f mut Raw,
    notes_left: usize,
}

impl<F: ReadAt + ?Sized> Parse<'_, F> {
    fn malformed(&self, reason: &str) -> ReadError {
        ReadError::Malformed(Malformed { head: Some(self.head), reason: reason.to_owned(), not_elf: false })
    }

    fn object(&mut self, header: &Header) -> Result<Object, ReadError> {
        let mut object = Object {
            machine: self.machine,
            head: self.head,
            e_type: header.e_type,
            interpreter: None,
            unstartable: None,
            unmappable: None,
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
        let (mut dynamic, mut has_interpreter, mut has_empty_dynamic) = (None, false, false);
        for index in 0..u64::from(header.e_phnum) {
            let ctx = self.ctx;
            let offset = header.e_phoff.checked_add(index * size as u64);
            let bytes = match offset {
                Some(offset) => self.reader.exactly(offset, size)?,
                None => None,
            };
            // The type is the first word in both classes.
            let (Some(bytes), Some(Ok(kind))) = (bytes, bytes.map(|bytes| bytes.pread_with::<u32>(0, ctx.le))) else {
                return Err(self.malformed("program headers past the end of the file"));
            };
            if !LOOKED_AT.contains(&kind) {
                continue;
            }
            let Ok(segment) = bytes.pread_with::<ProgramHeader>(0, ctx) else {
                return Err(self.malformed("program headers past the end of the file"));
            };
            match segment.p_type {
                program_header::PT_LOAD => {
                    if segment.p_flags & (program_header::PF_W | program_header::PF_X) == 0 && segment.p_offset > 0 {
                        object.constants = Some((segment.p_offset, segment.p_filesz));
                    }
                    self.raw.segments.push(&segment);
                }
                program_header::PT_INTERP if !has_interpreter => {
                    has_interpreter = true;
                    if !self.interpreter(&segment)? {
                        object.unstartable = Some("the program interpreter's path does not end");
                    }
                }
                // A separate debug file has an empty one (`_dl_map_object_from_fd`).
                program_header::PT_DYNAMIC if segment.p_filesz == 0 => has_empty_dynamic = true,
                program_header::PT_DYNAMIC => dynamic = Some(segment.p_vaddr),
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
        object.unmappable = self.raw.segments.refusal(self.machine);
        if has_empty_dynamic {
            object.unmappable = object.unmappable.or(Some("object file has no dynamic section"));
        }
        if let Some(address) = dynamic {
            object.is_dynamic = true;
            let entries = self.entries(address)?;
            object.unmappable = object.unmappable.or(entries.refusal(self.machine));
            self.fill(&mut object, &entries)?;
        }
        self.raw.settle(&mut object);
        Ok(object)
    }

    /// Reads the text of a PT_INTERP; returns whether the kernel would accept it (`load_elf_binary`, fs/binfmt_elf.c).
    fn interpreter(&mut self, segment: &ProgramHeader) -> Result<bool, ReadError> {
        const PATH_MAX: u64 = 4096;
        if !(2..=PATH_MAX).contains(&segment.p_filesz) {
            return Ok(false);
        }
        let text = self.reader.exactly(segment.p_offset, segment.p_filesz as usize)?;
        let Some(text) = text.filter(|text| text.last() == Some(&0)) else { return Ok(false) };
        let end = crate::byte_search::find(0, text).unwrap_or(text.len());
        let start = self.raw.text.len();
        self.raw.text.extend_from_slice(&text[..end]);
        self.raw.interpreter = Some(self.since(start)?);
        Ok(true)
    }

    /// The span of the string that was added last.
    fn since(&self, start: usize) -> Result<Span, ReadError> {
        self.raw.since(start).ok_or_else(|| self.malformed("its strings are too long"))
    }

    /// Reads the notes of one PT_NOTE segment (elf(5)). A note that does not fit ends them: they are hints, and no
    /// loader refuses a file because of them.
    fn notes(&mut self, object: &mut Object, offset: u64, length: u64, align: u64) -> Result<(), ReadError> {
        let align = if align == 8 { 8 } else { 4 };
        let end = offset.saturating_add(length);
        let mut at = offset;
        // Segments may overlap, so the limit counts the notes of the file, and not of each segment.
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

    /// A note's text up to its zero, or up to the limit; a text without an end is reported elsewhere.
    fn note_text(&mut self, at: u64, length: u64) -> Result<Span, ReadError> {
        let start = self.raw.text.len();
        let room = MAX_NOTE_TEXT.saturating_sub(start);
        let mut left = usize::try_from(length).unwrap_or(usize::MAX).min(room);
        let mut at = at;
        while left > 0 {
            let chunk = self.reader.at(at, left.min(MAX_PART))?;
            let end = crate::byte_search::find(0, chunk);
            self.raw.text.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
            if end.is_some() || chunk.is_empty() {
                break;
            }
            left -= chunk.len();
            at = at.saturating_add(chunk.len() as u64);
        }
        self.since(start)
    }

    /// A fixed-size record as a process sees it: zeros fill the last page of a file (mmap(2)).
    fn record(&mut self, offset: Option<u64>, length: usize) -> Result<Option<Record>, ReadError> {
        let Some(offset) = offset else { return Ok(None) };
        let mut record = Record { bytes: [0; 20], endian: self.ctx.le };
        let bytes = self.reader.from(offset, length)?;
        if let Some(whole) = bytes.first_chunk() {
            // Copying more bytes than needed is faster than counting them.
            record.bytes = *whole;
            return Ok(Some(record));
        }
        let count = bytes.len().min(length);
        let bytes = &bytes[..count];
        record.bytes[..count].copy_from_slice(bytes);
        let is_there = count == length || self.is_padded(offset.saturating_add(count as u64), length - count)?;
        Ok(is_there.then_some(record))
    }

    /// Returns whether the last page covers `length` bytes from `offset` on, which is past the end of the file.
    fn is_padded(&mut self, offset: u64, length: usize) -> Result<bool, ReadError> {
        let inside = offset % PAGE;
        Ok(PAGE - inside >= length as u64 && !self.reader.at(offset - inside, 1)?.is_empty())
    }
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

/// The relevant types of segments.
const LOOKED_AT: [u32; 4] =
    [program_header::PT_LOAD, program_header::PT_DYNAMIC, program_header::PT_INTERP, program_header::PT_NOTE];
/// The maximum number of notes of a file; systemd has about 50.
const MAX_NOTES: usize = 4096;
/// The maximum total size of the texts of a file's notes.
const MAX_NOTE_TEXT: usize = 1 << 20;
const NT_GNU_ABI_TAG: u32 = 1;
const ELF_NOTE_OS_LINUX: u32 = 0;
const NT_FDO_DLOPEN: u32 = 0x407c_0c0a;
/// DT_FLAGS_1: ignore the default directories (elf.h).
pub const DF_1_NODEFLIB: u64 = 0x800;
/// DT_FLAGS_1: dlopen(3) refuses it (elf.h).
pub const DF_1_NOOPEN: u64 = 0x40;
/// DT_FLAGS_1: a position-independent executable (elf.h).
pub const DF_1_PIE: u64 = 0x0800_0000;
