//! Programs with glibc linked statically: they open the same files at run time as others, but import nothing.
//!
//! The table of symbols shows whether one calls a function. In a stripped program, the function's files among the
//! constants show it.

use std::io;

use goblin::container::{Container, Ctx};
use goblin::elf::section_header::{SHN_UNDEF, SHT_SYMTAB, SectionHeader};
use goblin::elf::sym::Sym;
use memchr::memmem::Finder;
use scroll::ctx::SizeWith;
use scroll::{Endian, Pread};

use super::imports::fill;
use super::strings::{CHUNK, chunks};
use super::{EHDR_64, Object, ReadAt, elf_header};
use crate::target::Machine;

/// A constant of every program with glibc's gconv; the C library itself has it too, but needs a loader.
const MARK: &[u8] = b"/gconv/gconv-modules";

/// Files, and the functions that open them.
const OPENED: [(&[u8], &[&[u8]]); 2] = [
    (b"/etc/services\0", &[b"getservbyname", b"getservbyport", b"getservbyname_r"]),
    (b"/etc/protocols\0", &[b"getprotobyname", b"getprotobynumber"]),
];

/// Functions that every program of a project may call; a stripped one does not show it.
const USUAL: [&[u8]; 2] = [b"iconv_open", b"setlocale"];

/// The maximum size of searched constants, symbols or names.
const MOST: u64 = 64 << 20;

/// The assumption about a program without a table of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stripped {
    /// It calls the usual functions.
    Calls,
    /// It calls only functions that its constants show.
    CallsNothing,
}

#[doc(hidden)]
impl Object {
    /// Returns whether `file`, which this object was read from, is a program with glibc linked statically.
    ///
    /// # Errors
    ///
    /// I/O errors.
    pub fn is_static_glibc<F: ReadAt + ?Sized>(&self, file: &F) -> io::Result<bool> {
        Ok(!self.is_dynamic() && found(file, &[MARK])?[0])
    }

    /// Returns whether a loader maps other files with this object.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.interpreter.is_some() || !self.dependencies.is_empty()
    }

    /// The sorted indices of the elements of `functions` that the program in `file` calls, which has glibc linked
    /// statically.
    ///
    /// # Errors
    ///
    /// I/O errors. A table outside the file counts as empty.
    pub fn static_calls<F: ReadAt + ?Sized>(
        &self,
        file: &F,
        functions: &[Box<[u8]>],
        stripped: Stripped,
    ) -> io::Result<Vec<usize>> {
        let mut called = vec![false; functions.len()];
        let mut call = |name: &[u8]| {
            functions.iter().zip(&mut called).filter(|(it, _)| &***it == name).for_each(|(_, called)| *called = true);
        };
        if !defined(file, &mut call)? {
            let files: Vec<&[u8]> = OPENED.iter().map(|(path, _)| *path).collect();
            for (is_found, (_, names)) in found(file, &files)?.into_iter().zip(OPENED) {
                names.iter().filter(|_| is_found).for_each(|name| call(name));
            }
            USUAL.iter().filter(|_| stripped == Stripped::Calls).for_each(|name| call(name));
        }
        Ok((0..functions.len()).filter(|index| called[*index]).collect())
    }
}

/// Returns for each of `texts` whether it is among the constants.
fn found<F: ReadAt + ?Sized>(file: &F, texts: &[&[u8]]) -> io::Result<Vec<bool>> {
    let finders: Vec<_> = texts.iter().map(Finder::new).collect();
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or_default();
    let mut found = vec![false; texts.len()];
    chunks(file, MOST, longest, |bytes| {
        for (finder, found) in finders.iter().zip(&mut found) {
            *found |= finder.find(bytes).is_some();
        }
        found.contains(&false)
    })?;
    Ok(found)
}

/// Calls `each` with the name of each symbol that the file defines; returns `false` if it has no table of them.
fn defined<F: ReadAt + ?Sized>(file: &F, each: &mut impl FnMut(&[u8])) -> io::Result<bool> {
    let Some(sections) = Sections::read(file)? else { return Ok(false) };
    sections.symbols(file, &mut |name, _| each(name))
}

/// The headers of a file's sections.
pub(super) struct Sections {
    pub(super) machine: Machine,
    pub(super) headers: Vec<SectionHeader>,
    ctx: Ctx,
}

impl Sections {
    /// `None` of a file that is not ELF.
    pub(super) fn read<F: ReadAt + ?Sized>(file: &F) -> io::Result<Option<Self>> {
        let mut first = [0; EHDR_64];
        let length = fill(file, &mut first, 0)?;
        let Ok((header, head)) = elf_header(&first[..length]) else { return Ok(None) };
        let machine = head.machine();
        let ctx = Ctx::new(
            if machine.is_64 { Container::Big } else { Container::Little },
            if machine.is_little_endian { Endian::Little } else { Endian::Big },
        );
        let size = SectionHeader::size_with(&ctx);
        let table = read(file, header.e_shoff, u64::from(header.e_shnum).saturating_mul(size as u64))?;
        let headers = table.chunks_exact(size).filter_map(|it| it.pread_with(0, ctx).ok()).collect();
        Ok(Some(Self { machine, headers, ctx }))
    }

    /// Calls `each` with the name of each symbol that the file defines; returns `false` if it has no table of them.
    pub(super) fn symbols<F: ReadAt + ?Sized>(&self, file: &F, each: &mut impl FnMut(&[u8], &Sym)) -> io::Result<bool> {
        let Some(symbols) = self.headers.iter().find(|section| section.sh_type == SHT_SYMTAB) else {
            return Ok(false);
        };
        let Some(names) = self.headers.get(symbols.sh_link as usize) else { return Ok(false) };
        let (symbols, names) =
            (read(file, symbols.sh_offset, symbols.sh_size)?, read(file, names.sh_offset, names.sh_size)?);
        for symbol in symbols.chunks_exact(Sym::size_with(&self.ctx)) {
            let Ok(symbol) = symbol.pread_with::<Sym>(0, self.ctx) else { continue };
            if symbol.st_shndx != SHN_UNDEF as usize {
                let name = names.get(symbol.st_name..).unwrap_or_default();
                each(name.split(|byte| *byte == 0).next().unwrap_or_default(), &symbol);
            }
        }
        Ok(!symbols.is_empty())
    }
}

/// Reads up to [`MOST`] bytes.
pub(super) fn read<F: ReadAt + ?Sized>(file: &F, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    let length = length.min(MOST);
    while (bytes.len() as u64) < length {
        let wanted = CHUNK.min(usize::try_from(length - bytes.len() as u64).unwrap_or(CHUNK));
        let filled = fill(file, &mut chunk[..wanted], offset.saturating_add(bytes.len() as u64))?;
        bytes.extend_from_slice(&chunk[..filled]);
        if filled < wanted {
            break;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn functions(names: &[&str]) -> Vec<Box<[u8]>> {
        names.iter().map(|name| Box::from(name.as_bytes())).collect()
    }

    fn program(constants: &[u8]) -> Vec<u8> {
        Fixture::library().without_dynamic_section().tail(constants).build()
    }

    #[test]
    fn a_static_program_of_glibc_is_recognised_by_its_converters() {
        let is_it = |file: &[u8]| Object::read(file).unwrap().is_static_glibc(file).unwrap();
        assert!(is_it(&program(b"\0/usr/lib/gconv/gconv-modules.cache\0")));
        assert!(!is_it(&program(b"\0/usr/lib/gconv\0")));
        // The library itself.
        let libc = Fixture::library().soname("libc.so.6").needs("ld.so").tail(b"/usr/lib/gconv/gconv-modules.cache\0");
        assert!(!is_it(&libc.build()));
    }

    #[test]
    fn a_stripped_program_is_judged_by_its_constants() {
        let calls = |constants: &[u8], stripped| {
            let file = program(constants);
            let names = ["getservbyname", "setlocale", "system", "getprotobyname"];
            Object::read(&file[..]).unwrap().static_calls(&file[..], &functions(&names), stripped).unwrap()
        };
        assert_eq!(calls(b"\0/etc/services\0", Stripped::CallsNothing), [0]);
        assert_eq!(calls(b"\0/etc/services\0/etc/protocols\0", Stripped::Calls), [0, 1, 3]);
        assert!(calls(b"\0/etc/services.d\0", Stripped::CallsNothing).is_empty());
    }

    #[test]
    fn texts_between_two_chunks_are_found() {
        for before in [CHUNK - 20, CHUNK - 5, CHUNK, 2 * CHUNK - 30] {
            let mut constants = vec![1; before];
            constants.extend(b"/gconv/gconv-modules");
            let file = program(&constants);
            assert!(Object::read(&file[..]).unwrap().is_static_glibc(&file[..]).unwrap(), "{before}");
        }
    }

    #[test]
    fn headers_that_lie_end() {
        let file = program(b"\0/etc/services\0");
        for at in 0..EHDR_64 {
            let mut file = file.clone();
            file[at] = 0xff;
            if let Ok(object) = Object::read(&file[..]) {
                let _ = object.static_calls(&file[..], &functions(&["system"]), Stripped::Calls);
                let _ = object.is_static_glibc(&file[..]);
            }
        }
    }
}
