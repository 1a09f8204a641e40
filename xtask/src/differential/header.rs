//! The little of an ELF file that the tasks need to know: whether it is this machine's, dynamic, and for which loader.
//! It is no part of the product's reader, so that a mistake there cannot hide itself.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A dynamic ELF file of this machine: 64-bit and little-endian, as both hosts of the project are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dynamic {
    /// PT_INTERP.
    pub(super) interpreter: Option<String>,
}

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const SHT_NOBITS: u32 = 8;
const SHT_DYNAMIC: u32 = 6;

/// EM_X86_64 or EM_AARCH64.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// Reads the file; `None` where it is not a dynamic one of this machine, or the debug half of one.
pub(super) fn dynamic(path: &Path) -> io::Result<Option<Dynamic>> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(64);
    Read::take(&mut file, 64).read_to_end(&mut head)?;
    if head.len() < 64 || !head.starts_with(b"\x7fELF\x02\x01\x01") || u16_at(&head, 18) != MACHINE {
        return Ok(None);
    }
    // ET_EXEC and ET_DYN; an object file or a core has nothing for a loader.
    if !matches!(u16_at(&head, 16), 2 | 3) {
        return Ok(None);
    }
    let mut found = None;
    let mut interpreter = None;
    for segment in table(&file, u64_at(&head, 32), u16_at(&head, 54), u16_at(&head, 56))? {
        match u32_at(&segment, 0) {
            PT_DYNAMIC if u64_at(&segment, 32) > 0 => found = Some(()),
            PT_INTERP => {
                let mut text = vec![0; usize::try_from(u64_at(&segment, 32)).unwrap_or(0).min(4096)];
                file.read_exact_at(&mut text, u64_at(&segment, 8))?;
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                interpreter = Some(String::from_utf8_lossy(text).into_owned());
            }
            _ => {}
        }
    }
    // objcopy(1), --only-keep-debug: the segments are still told of, and the sections have no bytes.
    let sections = table(&file, u64_at(&head, 40), u16_at(&head, 58), u16_at(&head, 60))?;
    let type_of = |section: &Vec<u8>| u32_at(section, 4);
    let is_split_off = sections.iter().map(type_of).any(|it| it == SHT_NOBITS)
        && !sections.is_empty()
        && !sections.iter().map(type_of).any(|it| it == SHT_DYNAMIC);
    Ok(found.filter(|()| !is_split_off).map(|()| Dynamic { interpreter }))
}

/// The entries of a header table.
fn table(file: &File, offset: u64, size: u16, count: u16) -> io::Result<Vec<Vec<u8>>> {
    let size = usize::from(size);
    if size < 56 {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; size * usize::from(count)];
    match file.read_exact_at(&mut bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(()) => Ok(bytes.chunks_exact(size).map(<[u8]>::to_vec).collect()),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
