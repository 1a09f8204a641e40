//! Writes ELF files for tests: everything that a dynamic loader reads, without code.
//!
//! It checks nothing, so that it can make broken files too. One PT_LOAD contains everything, and there are no section
//! headers, as in a stripped file. Both packages include this file. It shares no code with them, so a mistake in the
//! product's reader cannot hide itself here.

const DT_NEEDED: u64 = 1;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_VERSYM: u64 = 0x6fff_fff0;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;

const ET_DYN: u16 = 3;
const EM_S390: u16 = 22;
const EM_RISCV: u16 = 243;
const EM_X86_64: u16 = 62;

const VER_FLG_WEAK: u16 = 2;
/// The type of a dlopen note (UAPI.12).
const NT_FDO_DLOPEN: u32 = 0x407c_0c0a;

/// The machine of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) e_machine: u16,
    pub(crate) is_64: bool,
    pub(crate) is_little_endian: bool,
}

/// An ELF file under construction.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    machine: Machine,
    e_type: u16,
    interpreter: Option<String>,
    is_dynamic: bool,
    /// Tags that name a string, in order.
    strings: Vec<(u64, String)>,
    flags_1: Option<u64>,
    needs: Vec<(String, Vec<(String, bool)>)>,
    defines: Vec<String>,
    /// Values that replace the right ones.
    patches: Vec<(u64, u64)>,
    /// Tags that the dynamic section lacks.
    absent: Vec<u64>,
    /// True if a second PT_LOAD, of zeros, follows the first.
    has_zeros: bool,
    /// Texts of dlopen notes.
    notes: Vec<String>,
    /// Symbols, and whether each is defined.
    symbols: Vec<(String, bool)>,
    tail: Vec<u8>,
}

/// A tag that no loader reads (DT_LOOS and above).
const DT_NOBODYS: u64 = 0x6000_0123;

/// The address of the mapped file, so that addresses differ from offsets.
pub(crate) const BASE: u64 = 0x1_0000;

impl Fixture {
    /// A shared object for x86_64 without a soname and needs.
    pub(crate) fn library() -> Self {
        Self {
            machine: Machine { e_machine: EM_X86_64, is_64: true, is_little_endian: true },
            e_type: ET_DYN,
            interpreter: None,
            is_dynamic: true,
            strings: Vec::new(),
            flags_1: None,
            needs: Vec::new(),
            defines: Vec::new(),
            patches: Vec::new(),
            absent: Vec::new(),
            has_zeros: false,
            notes: Vec::new(),
            symbols: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// A position-independent executable for x86_64 and glibc.
    pub(crate) fn program() -> Self {
        Self::library().interpreter("/lib64/ld-linux-x86-64.so.2")
    }

    pub(crate) fn machine(mut self, machine: impl Into<Machine>) -> Self {
        self.machine = machine.into();
        self
    }

    pub(crate) fn e_type(mut self, e_type: u16) -> Self {
        self.e_type = e_type;
        self
    }

    pub(crate) fn interpreter(mut self, path: &str) -> Self {
        self.interpreter = Some(path.to_owned());
        self
    }

    pub(crate) fn without_dynamic_section(mut self) -> Self {
        self.is_dynamic = false;
        self
    }

    fn string(mut self, tag: u64, text: &str) -> Self {
        self.strings.push((tag, text.to_owned()));
        self
    }

    pub(crate) fn soname(self, name: &str) -> Self {
        self.string(DT_SONAME, name)
    }

    pub(crate) fn needs(self, name: &str) -> Self {
        self.string(DT_NEEDED, name)
    }

    pub(crate) fn auxiliary(self, name: &str) -> Self {
        self.string(DT_AUXILIARY, name)
    }

    pub(crate) fn filter(self, name: &str) -> Self {
        self.string(DT_FILTER, name)
    }

    pub(crate) fn rpath(self, path: &str) -> Self {
        self.string(DT_RPATH, path)
    }

    pub(crate) fn runpath(self, path: &str) -> Self {
        self.string(DT_RUNPATH, path)
    }

    pub(crate) fn flags_1(mut self, flags: u64) -> Self {
        self.flags_1 = Some(flags);
        self
    }

    /// Adds one Elf_Verneed; a version that begins with `?` is weak.
    pub(crate) fn needs_versions(mut self, file: &str, versions: &[&str]) -> Self {
        let version = |text: &&str| match text.strip_prefix('?') {
            Some(name) => (name.to_owned(), true),
            None => ((*text).to_owned(), false),
        };
        self.needs.push((file.to_owned(), versions.iter().map(version).collect()));
        self
    }

    /// Adds an Elf_Verdef for each version.
    pub(crate) fn defines_versions(mut self, versions: &[&str]) -> Self {
        self.defines.extend(versions.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Sets the value of the dynamic entries with this tag, or adds one.
    pub(crate) fn patch(mut self, tag: u64, value: u64) -> Self {
        self.patches.push((tag, value));
        self
    }

    /// Removes the entries with this tag from the dynamic section.
    pub(crate) fn without(mut self, tag: u64) -> Self {
        self.absent.push(tag);
        self
    }

    /// Adds a second PT_LOAD, as for a program's uninitialised data.
    pub(crate) fn with_zeros(mut self) -> Self {
        self.has_zeros = true;
        self
    }

    /// Adds an undefined dynamic symbol.
    pub(crate) fn imports(mut self, name: &str) -> Self {
        self.symbols.push((name.to_owned(), false));
        self
    }

    /// Adds a defined dynamic symbol.
    pub(crate) fn exports(mut self, name: &str) -> Self {
        self.symbols.push((name.to_owned(), true));
        self
    }

    /// Adds a dlopen note with this text (UAPI.12).
    pub(crate) fn note(mut self, text: &str) -> Self {
        self.notes.push(text.to_owned());
        self
    }

    /// Adds bytes at the end, such as the strings in a loader's read-only data.
    pub(crate) fn tail(mut self, bytes: &[u8]) -> Self {
        self.tail = bytes.to_vec();
        self
    }

    /// Returns the bytes of the file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut strtab = Strtab::default();
        let strings: Vec<_> = self.strings.iter().map(|(tag, text)| (*tag, strtab.add(text))).collect();
        let mut verneed = self.out();
        let mut verdef = self.out();
        self.version_needs(&mut verneed, &mut strtab);
        self.version_definitions(&mut verdef, &mut strtab);

        let mut notes = self.out();
        self.dlopen_notes(&mut notes);

        let phdrs = 1
            + 2 * u64::from(self.interpreter.is_some())
            + u64::from(self.is_dynamic)
            + u64::from(self.has_zeros)
            + u64::from(!self.notes.is_empty());
        let (ehdr_size, phdr_size, word) = if self.machine.is_64 { (64, 56, 8) } else { (52, 32, 4) };
        let interp = ehdr_size + phdrs * phdr_size;
        let interp_size = self.interpreter.as_ref().map_or(0, |path| path.len() as u64 + 1);

        let mut tags = strings;
        tags.extend(self.flags_1.map(|flags| (DT_FLAGS_1, flags)));
        let mut positions = vec![DT_STRTAB, DT_STRSZ, DT_SYMTAB, DT_HASH];
        if !self.needs.is_empty() {
            positions.extend([DT_VERNEED, DT_VERNEEDNUM]);
        }
        if !self.defines.is_empty() {
            positions.extend([DT_VERDEF, DT_VERDEFNUM]);
        }
        if !self.needs.is_empty() || !self.defines.is_empty() {
            positions.push(DT_VERSYM);
        }
        let known: Vec<u64> = tags.iter().map(|(tag, _)| *tag).chain(positions.iter().copied()).collect();
        positions.extend(self.patches.iter().map(|(tag, _)| *tag).filter(|tag| !known.contains(tag)));

        let notes_at = (interp + interp_size).next_multiple_of(8);
        let notes_size = notes.bytes.len() as u64;
        let dynamic = (notes_at + notes_size).next_multiple_of(8);
        let dynamic_size = (tags.len() + positions.len() + 1) as u64 * word * 2;
        let verneed_at = dynamic + if self.is_dynamic { dynamic_size } else { 0 };
        let verdef_at = verneed_at + verneed.bytes.len() as u64;
        // The null symbol, the symbols of the test, and a hash table that finds none: musl reads both.
        let symbol_at = verdef_at + verdef.bytes.len() as u64;
        let symbols = self.symbol_table(&mut strtab);
        let hash_at = symbol_at + symbols.bytes.len() as u64;
        let mut hash = self.out();
        for value in [1, 1 + self.symbols.len() as u32, 0] {
            hash.hash_word(value);
        }
        self.symbols.iter().chain([&(String::new(), false)]).for_each(|_| hash.hash_word(0));
        let strtab_at = hash_at + hash.bytes.len() as u64;
        for tag in positions {
            let value = match tag {
                DT_STRSZ => strtab.bytes.len() as u64,
                DT_SYMTAB => BASE + symbol_at,
                DT_HASH => BASE + hash_at,
                DT_VERNEED => BASE + verneed_at,
                DT_VERNEEDNUM => self.needs.len() as u64,
                DT_VERDEF => BASE + verdef_at,
                DT_VERDEFNUM => self.defines.len() as u64,
                // Entries that no test reads point at existing bytes.
                _ => BASE + strtab_at,
            };
            tags.push((tag, value));
        }
        for (tag, value) in &mut tags {
            if let Some((_, patch)) = self.patches.iter().find(|(patched, _)| patched == tag) {
                *value = *patch;
            }
        }
        for (tag, value) in &mut tags {
            // An unknown tag replaces it, so that all other offsets stay.
            if self.absent.contains(tag) {
                (*tag, *value) = (DT_NOBODYS, 0);
            }
        }
        tags.push((0, 0));
        let end = strtab_at + strtab.bytes.len() as u64 + self.tail.len() as u64;

        let mut out = self.out();
        self.elf_header(&mut out, ehdr_size as u16, phdr_size as u16, phdrs as u16);
        if self.interpreter.is_some() {
            // glibc's loader computes the program's load address from it (elf/rtld.c).
            out.segment(PT_PHDR, ehdr_size, phdrs * phdr_size, 8);
        }
        out.segment(PT_LOAD, 0, end, 0x1000);
        if self.has_zeros {
            out.zeros(end.next_multiple_of(0x1000), 0x1000);
        }
        if self.interpreter.is_some() {
            out.segment(PT_INTERP, interp, interp_size, 1);
        }
        if self.is_dynamic {
            out.segment(PT_DYNAMIC, dynamic, dynamic_size, 8);
        }
        if !self.notes.is_empty() {
            out.segment(PT_NOTE, notes_at, notes_size, 4);
        }
        if let Some(path) = &self.interpreter {
            out.bytes.extend_from_slice(path.as_bytes());
            out.bytes.push(0);
        }
        out.bytes.resize(notes_at as usize, 0);
        out.bytes.extend_from_slice(&notes.bytes);
        out.bytes.resize(dynamic as usize, 0);
        if self.is_dynamic {
            for (tag, value) in tags {
                out.word(tag);
                out.word(value);
            }
        }
        for part in [&verneed.bytes, &verdef.bytes, &symbols.bytes, &hash.bytes, &strtab.bytes, &self.tail] {
            out.bytes.extend_from_slice(part);
        }
        out.bytes
    }

    fn elf_header(&self, out: &mut Out, ehdr_size: u16, phdr_size: u16, phdrs: u16) {
        let class = if self.machine.is_64 { 2 } else { 1 };
        let order = if self.machine.is_little_endian { 1 } else { 2 };
        out.bytes.extend_from_slice(&[0x7f, b'E', b'L', b'F', class, order, 1]);
        out.bytes.resize(16, 0);
        out.u16(self.e_type);
        out.u16(self.machine.e_machine);
        out.u32(1);
        out.word(0);
        out.word(u64::from(ehdr_size));
        out.word(0);
        // RISC-V's double-float ABI, and compressed instructions.
        out.u32(if self.machine.e_machine == EM_RISCV { 5 } else { 0 });
        for value in [ehdr_size, phdr_size, phdrs, 0, 0, 0] {
            out.u16(value);
        }
    }

    fn version_needs(&self, out: &mut Out, strtab: &mut Strtab) {
        for (index, (file, versions)) in self.needs.iter().enumerate() {
            let is_last = index + 1 == self.needs.len();
            out.u16(1);
            out.u16(versions.len() as u16);
            out.u32(strtab.add(file) as u32);
            out.u32(16);
            out.u32(if is_last { 0 } else { 16 + 16 * versions.len() as u32 });
            for (index, (name, is_weak)) in versions.iter().enumerate() {
                out.u32(elf_hash(name));
                out.u16(if *is_weak { VER_FLG_WEAK } else { 0 });
                out.u16(2);
                out.u32(strtab.add(name) as u32);
                out.u32(if index + 1 == versions.len() { 0 } else { 16 });
            }
        }
    }

    fn version_definitions(&self, out: &mut Out, strtab: &mut Strtab) {
        for (index, name) in self.defines.iter().enumerate() {
            out.u16(1);
            out.u16(u16::from(index == 0));
            out.u16(index as u16 + 1);
            out.u16(1);
            out.u32(elf_hash(name));
            out.u32(20);
            out.u32(if index + 1 == self.defines.len() { 0 } else { 28 });
            out.u32(strtab.add(name) as u32);
            out.u32(0);
        }
    }

    /// `Elf64_Sym` and `Elf32_Sym`: the same members in another order (elf(5)).
    fn symbol_table(&self, strtab: &mut Strtab) -> Out {
        let mut out = self.out();
        let null = (String::new(), false);
        for (name, is_defined) in std::iter::once(&null).chain(&self.symbols) {
            let name = if name.is_empty() { 0 } else { strtab.add(name) };
            out.u32(name as u32);
            if !self.machine.is_64 {
                out.word(0);
                out.word(0);
            }
            // STB_GLOBAL and STT_FUNC; no section, or the first one.
            out.bytes.extend_from_slice(&[0x12, 0]);
            out.u16(u16::from(*is_defined));
            if self.machine.is_64 {
                out.word(0);
                out.word(0);
            }
        }
        out
    }

    fn dlopen_notes(&self, out: &mut Out) {
        for text in &self.notes {
            out.u32(4);
            out.u32(text.len() as u32 + 1);
            out.u32(NT_FDO_DLOPEN);
            out.bytes.extend_from_slice(b"FDO\0");
            out.bytes.extend_from_slice(text.as_bytes());
            // The zero at the end, and padding.
            let end = (out.bytes.len() + 1).next_multiple_of(4);
            out.bytes.resize(end, 0);
        }
    }

    fn out(&self) -> Out {
        Out { machine: self.machine, bytes: Vec::new() }
    }
}

/// `_dl_elf_hash` (System V gABI, chapter 5).
pub(crate) fn elf_hash(name: &str) -> u32 {
    name.bytes().fold(0u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

struct Strtab {
    bytes: Vec<u8>,
}

impl Default for Strtab {
    fn default() -> Self {
        Self { bytes: vec![0] }
    }
}

impl Strtab {
    fn add(&mut self, text: &str) -> u64 {
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        offset
    }
}

/// Numbers in the machine's order and width.
struct Out {
    machine: Machine,
    bytes: Vec<u8>,
}

impl Out {
    fn u16(&mut self, value: u16) {
        let little = self.machine.is_little_endian;
        self.bytes.extend_from_slice(&if little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    fn u32(&mut self, value: u32) {
        let little = self.machine.is_little_endian;
        self.bytes.extend_from_slice(&if little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    fn word(&mut self, value: u64) {
        if !self.machine.is_64 {
            return self.u32(value as u32);
        }
        let little = self.machine.is_little_endian;
        self.bytes.extend_from_slice(&if little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    /// A word of DT_HASH: four bytes, but eight on the 64-bit s390 (its ABI supplement).
    fn hash_word(&mut self, value: u32) {
        if self.machine.e_machine == EM_S390 && self.machine.is_64 { self.word(value.into()) } else { self.u32(value) }
    }

    fn segment(&mut self, kind: u32, offset: u64, size: u64, align: u64) {
        self.program_header(kind, [offset, BASE + offset, BASE + offset, size, size], align);
    }

    fn zeros(&mut self, offset: u64, size: u64) {
        self.program_header(PT_LOAD, [offset, BASE + offset, BASE + offset, 0, size], 0x1000);
    }

    /// `p_offset`, `p_vaddr`, `p_paddr`, `p_filesz` and `p_memsz` (elf(5)).
    fn program_header(&mut self, kind: u32, values: [u64; 5], align: u64) {
        const READ_WRITE: u32 = 6;
        self.u32(kind);
        if self.machine.is_64 {
            self.u32(READ_WRITE);
        }
        for value in values {
            self.word(value);
        }
        if !self.machine.is_64 {
            self.u32(READ_WRITE);
        }
        self.word(align);
    }
}
