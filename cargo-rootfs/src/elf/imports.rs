//! Imports of an ELF file, such as dlopen(3), from its dynamic symbols. The search for libraries does not need them, so
//! they are read only on request.
//!
//! Versions of symbols, and the objects that define them, are ignored.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use scroll::{Endian, Pread};

use super::{Object, ReadAt};

/// The position of a file's dynamic symbols, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbols {
    /// DT_SYMTAB.
    pub table: u64,
    /// DT_HASH.
    pub hash: Option<u64>,
    /// DT_GNU_HASH.
    pub gnu_hash: Option<u64>,
    /// DT_STRTAB.
    pub names: u64,
    /// DT_STRSZ.
    pub names_size: u64,
}

/// The size of a read, as small as in `strings`.
const CHUNK: usize = 32 << 10;
/// The maximum number of symbols; LLVM imports a thousand.
const MAX_SYMBOLS: u64 = 1 << 20;
/// The maximum size of the names; LLVM's have 5 MB.
const MAX_NAMES: u64 = 64 << 20;
/// The maximum length of a name with its NUL; longer ones, which C++ has, are not found.
const MAX_NAME: usize = 4 << 10;

/// The names of the undefined dynamic symbols of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Imports {
    /// Each with its NUL.
    names: Arc<[u8]>,
}

impl Imports {
    /// The indices of the elements of `names` that are among them; unordered.
    pub(crate) fn of(&self, names: &[Box<[u8]>]) -> Vec<usize> {
        // Most symbols begin differently.
        let bit = |name: &[u8]| name.first().map_or(0, |first| 1_u64 << (first & 63));
        let firsts = names.iter().fold(0, |firsts, name| firsts | bit(name));
        let all = self.names.split(|byte| *byte == 0).filter(|name| firsts & bit(name) != 0);
        all.filter_map(|name| names.iter().position(|wanted| **wanted == *name)).collect()
    }

    /// Their size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.names.len()
    }
}

#[doc(hidden)]
impl Object {
    /// Returns whether `file`, which this object was read from, has an undefined dynamic symbol `dlopen` or `dlmopen`.
    ///
    /// # Errors
    ///
    /// I/O errors. A table outside the file counts as empty.
    pub fn imports_dlopen<F: ReadAt + ?Sized>(&self, file: &F) -> io::Result<bool> {
        let Some(symbols) = &self.symbols else { return Ok(false) };
        // Few files contain the name, and searching for it is faster than reading the symbols.
        let places = places(file, symbols)?;
        if places.is_empty() {
            return Ok(false);
        }
        let mut is_found = false;
        self.undefined(file, symbols, |name| {
            is_found = places.contains(&name);
            if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(is_found)
    }

    /// The indices of the elements of `names` that are undefined dynamic symbols of `file`, which this object was read
    /// from; unordered.
    ///
    /// # Errors
    ///
    /// I/O errors. A table outside the file counts as empty.
    pub fn imports_of<F: ReadAt + ?Sized>(&self, file: &F, names: &[Box<[u8]>]) -> io::Result<Vec<usize>> {
        Ok(self.imports(file)?.of(names))
    }

    /// All undefined dynamic symbols of `file`, which this object was read from.
    ///
    /// # Errors
    ///
    /// I/O errors. A table outside the file counts as empty.
    pub(crate) fn imports<F: ReadAt + ?Sized>(&self, file: &F) -> io::Result<Imports> {
        let Some(symbols) = &self.symbols else { return Ok(Imports::default()) };
        let mut places = Vec::new();
        self.undefined(file, symbols, |at| {
            places.extend((at < symbols.names_size.min(MAX_NAMES)).then_some(at));
            ControlFlow::Continue(())
        })?;
        // Only the part of the table that has these names, and the end of the last one.
        places.sort_unstable();
        places.dedup();
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(Imports::default()) };
        let end = (last + MAX_NAME as u64).min(symbols.names_size);
        let mut table = vec![0; usize::try_from(end - first).unwrap_or_default()];
        let length = fill(file, &mut table, symbols.names.saturating_add(*first))?;
        let mut names = Vec::new();
        for at in &places {
            let rest = usize::try_from(at - first).ok().and_then(|at| table[..length].get(at..)).unwrap_or_default();
            let rest = &rest[..rest.len().min(MAX_NAME)];
            // A name without an end is in a damaged table, or longer than any that is searched for.
            names.extend_from_slice(memchr::memchr(0, rest).map_or(&[], |end| &rest[..=end]));
            if names.len() as u64 > MAX_NAMES {
                break;
            }
        }
        Ok(Imports { names: names.into() })
    }

    /// Calls `each` with the position of every undefined symbol's name until it breaks.
    fn undefined<F: ReadAt + ?Sized>(
        &self,
        file: &F,
        symbols: &Symbols,
        mut each: impl FnMut(u64) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let endian = if self.machine.is_little_endian { Endian::Little } else { Endian::Big };
        // st_shndx of `Elf64_Sym` and of `Elf32_Sym` (elf(5)).
        let (size, section_at) = if self.machine.is_64 { (24, 6) } else { (16, 14) };
        let mut left = self.symbol_count(file, symbols, size, endian)?.min(MAX_SYMBOLS);
        let size_of_all = usize::try_from(left.saturating_mul(size)).unwrap_or(usize::MAX);
        let (mut chunk, mut at) = (vec![0; (CHUNK / 24 * 24).min(size_of_all)], symbols.table);
        while left > 0 {
            let wanted = chunk.len().min(usize::try_from(left.saturating_mul(size)).unwrap_or(usize::MAX));
            let length = fill(file, &mut chunk[..wanted], at)?;
            for symbol in chunk[..length].chunks_exact(size as usize) {
                let name: u32 = symbol.pread_with(0, endian).unwrap_or_default();
                let section: u16 = symbol.pread_with(section_at, endian).unwrap_or_default();
                if section == 0 && each(u64::from(name)).is_break() {
                    return Ok(());
                }
            }
            left -= (length as u64 / size).min(left);
            if length < wanted {
                break;
            }
            at = at.saturating_add(length as u64);
        }
        Ok(())
    }

    /// A lower bound of the number of symbols, which has all undefined ones.
    fn symbol_count<F: ReadAt + ?Sized>(
        &self,
        file: &F,
        symbols: &Symbols,
        size: u64,
        endian: Endian,
    ) -> io::Result<u64> {
        let mut header = [0; 16];
        if let Some(gnu_hash) = symbols.gnu_hash {
            // Its second word is the index of the first symbol in the table; undefined ones come before.
            let length = fill(file, &mut header, gnu_hash)?;
            let first = header[..length].pread_with::<u32>(4, endian).map_or(0, u64::from);
            // GNU ld writes 1 into the table of a file that exports nothing (bfd/elflink.c), wherever its symbols end.
            if first != 1 {
                // In a program, an undefined function whose address is taken has the address of its PLT entry, for all
                // objects (gABI, function addresses); so the table has it (bfd/elfxx-x86.c, elf_hash_symbol).
                let has_functions = self.interpreter.is_some();
                return if has_functions {
                    self.hashed_end(file, gnu_hash, &header[..length], endian)
                } else {
                    Ok(first)
                };
            }
        }
        if let Some(hash) = symbols.hash {
            // nchain, the second word, is the number of symbols (gABI, hash table). Words have eight bytes on 64-bit
            // s390 (its ABI supplement).
            let length = fill(file, &mut header, hash)?;
            let words = &header[..length];
            return Ok(if self.machine.has_wide_hash() {
                words.pread_with::<u64>(8, endian).unwrap_or(0)
            } else {
                words.pread_with::<u32>(4, endian).map_or(0, u64::from)
            });
        }
        // Every linker puts the names after the symbols.
        Ok(symbols.names.saturating_sub(symbols.table) / size)
    }

    /// The index after the last symbol in the table of DT_GNU_HASH: the end of the chain that begins last.
    fn hashed_end<F: ReadAt + ?Sized>(&self, file: &F, table: u64, header: &[u8], endian: Endian) -> io::Result<u64> {
        let word = |index: usize| header.pread_with::<u32>(4 * index, endian).map_or(0, u64::from);
        let (buckets, first, filter) = (word(0).min(MAX_SYMBOLS), word(1), word(2));
        let buckets_at = table.saturating_add(16 + filter * if self.machine.is_64 { 8 } else { 4 });
        let mut last = 0;
        each_word(file, buckets_at, buckets, endian, |start| {
            last = last.max(u64::from(start));
            ControlFlow::Continue(())
        })?;
        if last < first {
            return Ok(first);
        }
        let chain_at = buckets_at.saturating_add(4 * (buckets + last - first));
        each_word(file, chain_at, MAX_SYMBOLS, endian, |hash| {
            last += 1;
            if hash & 1 == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(last)
    }
}

/// Calls `each` with `count` words from `at` on, until it breaks or the file ends.
fn each_word<F: ReadAt + ?Sized>(
    file: &F,
    mut at: u64,
    mut count: u64,
    endian: Endian,
    mut each: impl FnMut(u32) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut chunk = [0; 1 << 10];
    while count > 0 {
        let wanted = chunk.len().min(usize::try_from(count * 4).unwrap_or(usize::MAX));
        let length = fill(file, &mut chunk[..wanted], at)?;
        for word in chunk[..length].chunks_exact(4) {
            if each(word.pread_with(0, endian).unwrap_or_default()).is_break() {
                return Ok(());
            }
        }
        if length < wanted {
            break;
        }
        (at, count) = (at.saturating_add(length as u64), count - length as u64 / 4);
    }
    Ok(())
}

/// The offsets in the string table at which `dlopen` or `dlmopen` begins, also as the end of a longer name: linkers
/// keep one string for both.
fn places<F: ReadAt + ?Sized>(file: &F, symbols: &Symbols) -> io::Result<Vec<u64>> {
    const OVERLAP: usize = b"dlmopen\0".len() - 1;
    let finder = memchr::memmem::Finder::new(b"open\0");
    let size = symbols.names_size.min(MAX_NAMES);
    let mut places = Vec::new();
    let mut chunk = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK))];
    let mut at = 0;
    while at < size {
        let wanted = chunk.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
        let length = fill(file, &mut chunk[..wanted], symbols.names.saturating_add(at))?;
        for end in finder.find_iter(&chunk[..length]) {
            let before = [&b"dl"[..], b"dlm"].into_iter().find(|start| chunk[..end].ends_with(start));
            places.extend(before.map(|start| at + (end - start.len()) as u64));
        }
        // More than any real string table has.
        if length <= OVERLAP || length < wanted || at + length as u64 == size || places.len() > 128 {
            break;
        }
        at += (length - OVERLAP) as u64;
    }
    Ok(places)
}

/// Reads until `buffer` is full or the file ends.
pub(super) fn fill<F: ReadAt + ?Sized>(file: &F, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], offset.saturating_add(length as u64)) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use goblin::elf::dynamic::{DT_GNU_HASH, DT_HASH, DT_STRSZ, DT_STRTAB, DT_SYMTAB};

    use super::super::fixture::{BASE, Fixture, machine};
    use super::*;

    fn imports(file: &[u8]) -> bool {
        Object::read(file).unwrap().imports_dlopen(file).unwrap()
    }

    #[test]
    fn functions_that_are_asked_for() {
        let names = ["system", "popen", "tem"].map(|name| Box::from(name.as_bytes()));
        let of = |file: &[u8]| Object::read(file).unwrap().imports_of(file, &names).unwrap();
        for name in MACHINES {
            let file = || Fixture::program().needs("libc.so.6").machine(machine(name));
            assert_eq!(of(&file().imports("write").imports("popen").build()), [1], "{name}");
            assert_eq!(of(&file().imports("system").exports("popen").imports("is_tem").build()), [0], "{name}");
            assert_eq!(of(&file().imports("system_x").build()), [0; 0], "{name}");
        }
    }

    const MACHINES: [&str; 5] = ["x86_64", "i686", "aarch64", "s390x", "powerpc64le"];

    #[test]
    fn only_undefined_symbols_are_imports() {
        for name in MACHINES {
            let file = || Fixture::program().needs("libc.so.6").machine(machine(name));
            assert!(!imports(&file().build()), "{name}");
            assert!(imports(&file().imports("write").imports("dlopen").build()), "{name}");
            assert!(imports(&file().exports("write").imports("dlmopen").build()), "{name}");
            assert!(!imports(&file().exports("dlopen").imports("write").build()), "{name}");
            assert!(!imports(&file().imports("dlopen_it").imports("my_dlopen").build()), "{name}");
        }
    }

    /// Linkers may store a name as the end of a longer one.
    #[test]
    fn a_name_may_be_the_end_of_another() {
        let file = Fixture::program().imports("my_dlopen").build();
        let place = memchr::memmem::find(&file, b"my_dlopen").unwrap();
        let object = Object::read(&file[..]).unwrap();
        let symbols = object.symbols.unwrap();
        let mut shared = file.clone();
        let name = (place as u64 + 3 - symbols.names) as u32;
        let at = symbols.table as usize + 24;
        shared[at..at + 4].copy_from_slice(&name.to_le_bytes());
        assert!(imports(&shared) && !imports(&file));
    }

    /// Hundreds of thousands of names and symbols are read in pieces; the boundaries do not matter.
    #[test]
    fn names_between_two_pieces_are_found() {
        for length in CHUNK - 10..CHUNK + 3 {
            let file = Fixture::program().imports(&"x".repeat(length)).imports("dlopen").build();
            assert!(imports(&file), "{length}");
        }
        let many = (0..9_000).fold(Fixture::program(), |file, index| file.imports(&format!("f{index}")));
        assert!(!imports(&many.build()) && imports(&many.imports("dlopen").build()));
    }

    /// With DT_GNU_HASH only, the default of linkers, and without any hash table.
    #[test]
    fn the_number_of_symbols_comes_from_whichever_table_there_is() {
        let file = Fixture::program().imports("a").imports("dlopen");
        let build = |symbols: u32| {
            let mut header: Vec<u8> = Vec::new();
            header.extend([1u32, symbols, 1, 0].iter().flat_map(|word| word.to_le_bytes()));
            let with = |at: usize| file.clone().tail(&header).patch(DT_HASH, 0).patch(DT_GNU_HASH, BASE + at as u64);
            with(with(0).build().len() - header.len()).build()
        };
        assert!(imports(&build(3)));
        assert!(!imports(&build(2)), "the third symbol is one that the table finds, so is defined");
        assert!(imports(&build(1)), "an empty table of GNU ld tells no number");
        assert!(imports(&file.patch(DT_HASH, 0).build()));
    }

    /// GNU ld puts a called function whose address is taken into the table of a program, although it is undefined.
    #[test]
    fn undefined_symbols_in_the_hash_table_are_imports() {
        let hashed = |file: Fixture, words: &[u32]| {
            // Two buckets, symbols from the second on, one word of the filter; the first chain ends the table.
            let header: Vec<u8> = [2, 2, 1, 0, 0, 0].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
            let with = |at: usize| file.clone().tail(&header).patch(DT_HASH, 0).patch(DT_GNU_HASH, BASE + at as u64);
            with(with(0).build().len() - header.len()).build()
        };
        let program = Fixture::program().imports("write").imports("read").imports("dlopen");
        assert!(imports(&hashed(program.clone(), &[2, 0, 2, 5])), "the second of the chain");
        assert!(imports(&hashed(program.clone(), &[2, 3, 3, 5])), "the last chain");
        assert!(!imports(&hashed(program.clone(), &[2, 0, 3, 5])), "the chain ends before");
        assert!(!imports(&hashed(program.clone(), &[0, 0, 3, 5])), "no chain");
        for lie in [&[u32::MAX, 0, 3, 5][..], &[2, 0, 2], &[2]] {
            let _ = imports(&hashed(program.clone(), lie));
        }
        let library = Fixture::library().imports("write").imports("read").imports("dlopen");
        assert!(!imports(&hashed(library, &[2, 0, 2, 5])), "libraries have no such functions");
    }

    #[test]
    fn tables_that_lie_get_an_answer() {
        let file = Fixture::program().imports("dlopen");
        for tag in [DT_SYMTAB, DT_STRSZ, DT_HASH] {
            for value in [0, 1, BASE, BASE + 64, u64::MAX / 2, u64::MAX] {
                let _ = imports(&file.clone().patch(tag, value).build());
            }
        }
        assert!(!imports(&file.clone().without_dynamic_section().build()));
        let lost = file.patch(DT_STRTAB, 0).build();
        assert!(!imports(&lost));
    }

    /// The host's own files, if it is Debian 12.
    #[test]
    fn real_files() {
        for (path, expected) in [("/bin/bash", true), ("/bin/true", false), ("/lib/x86_64-linux-gnu/libc.so.6", false)]
        {
            let debian = std::fs::read_to_string("/etc/os-release").is_ok_and(|text| text.contains("bookworm"));
            if let (true, Ok(bytes)) = (debian, std::fs::read(path)) {
                assert_eq!(imports(&bytes), expected, "{path}");
            }
        }
    }
}
