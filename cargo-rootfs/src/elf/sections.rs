//! One section of a file, by name. Loaders ignore sections, and stripped files keep those with data.
//!
//! It reads the section header table, the table of names, and the section, each up to a limit.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::Head;

/// The maximum number of section headers; files with more are ignored.
const MAX_SECTIONS: u64 = 4096;
/// The maximum size of the table of names.
const MAX_NAMES: u64 = 1 << 20;

/// The bytes of the section `name`; `None` if it is missing or has more than `limit` bytes, or if the file is not ELF.
pub(crate) fn section(file: &File, name: &[u8], limit: u64) -> Option<Vec<u8>> {
    let length = file.metadata().ok()?.len();
    let read = |offset: u64, size: u64| {
        let is_inside = offset.checked_add(size).is_some_and(|end| end <= length);
        let mut bytes = vec![0; usize::try_from(size).ok().filter(|_| is_inside)?];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    };
    let first = read(0, length.min(64))?;
    let machine = Head::of(&first)?.machine();
    let number = |bytes: &[u8], at: usize, size: usize| -> Option<u64> {
        let bytes = bytes.get(at..at + size)?;
        let mut value = [0; 8];
        if machine.is_little_endian {
            value[..size].copy_from_slice(bytes);
            return Some(u64::from_le_bytes(value));
        }
        value[8 - size..].copy_from_slice(bytes);
        Some(u64::from_be_bytes(value))
    };
    // e_shoff, e_shentsize, e_shnum, e_shstrndx; then sh_offset and sh_size (elf(5)).
    let (word, shoff, shentsize, offset_at) = if machine.is_64 { (8, 40, 58, 24) } else { (4, 32, 46, 16) };
    let at = number(&first, shoff, word)?;
    let (size, count) = (number(&first, shentsize, 2)?, number(&first, shentsize + 2, 2)?);
    let names_index = number(&first, shentsize + 4, 2)?;
    if at == 0 || count == 0 || count > MAX_SECTIONS {
        return None;
    }
    let table = read(at, size.checked_mul(count)?)?;
    let header = |index: u64| {
        let start = usize::try_from(index.checked_mul(size)?).ok()?;
        table.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    };
    let place = |header: &[u8]| Some((number(header, offset_at, word)?, number(header, offset_at + word, word)?));
    let (names_at, names_size) = place(header(names_index)?)?;
    let names = read(names_at, Some(names_size).filter(|size| *size <= MAX_NAMES)?)?;
    let found = (0..count).filter_map(header).find(|header| {
        let start = number(header, 0, 4).and_then(|start| usize::try_from(start).ok()).unwrap_or(usize::MAX);
        let text = names.get(start..).and_then(|rest| rest.split(|byte| *byte == 0).next());
        text == Some(name)
    })?;
    let (offset, size) = place(found)?;
    read(offset, Some(size).filter(|size| *size <= limit)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_this_program() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let comment = section(&file, b".comment", 1 << 16).expect("compilers leave one");
        assert!(memchr::memmem::find(&comment, b"rustc").is_some());
        assert!(section(&file, b".comment", 3).is_none(), "it is longer");
        assert!(section(&file, b".no-such", 1 << 16).is_none());
        let text = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        assert!(section(&text, b".comment", 1 << 16).is_none());
    }

    #[test]
    fn a_table_that_lies_outside_is_none() {
        let mut head = vec![0_u8; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = 62;
        for (at, value) in [(40, 60_u8), (47, 255), (58, 64), (60, 9), (62, 200)] {
            head[at] = value;
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &head).unwrap();
            assert_eq!(section(&file, b".dep-v0", 1 << 20), None);
        }
    }
}
