//! The part of an ELF header that the tasks need: the machine, whether the file is dynamic, and its loader. It shares
//! no code with the product's reader, so a mistake there cannot hide itself.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::parallel::in_parallel;

/// A file with a PT_DYNAMIC that a loader can load.
#[derive(Debug)]
pub(crate) struct Dynamic {
    pub(crate) path: PathBuf,
    pub(super) machine: Machine,
    /// PT_INTERP.
    pub(super) interpreter: Option<String>,
}

/// Class, byte order and `e_machine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    is_64: bool,
    is_big: bool,
    number: u16,
}

impl Machine {
    /// The machine of this program: both hosts of the project are 64-bit and little-endian. EM_X86_64, EM_AARCH64.
    pub(super) const HOST: Machine =
        Machine { is_64: true, is_big: false, number: if cfg!(target_arch = "aarch64") { 183 } else { 62 } };
}

/// The regular files in and below a directory, on one file system, except in directories that `leave_out` rejects.
/// Unreadable directories are skipped: this user could not load their files.
pub(crate) fn walk(folder: &Path, leave_out: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(meta) = fs::symlink_metadata(folder) {
        walk_below(folder, meta.dev(), leave_out, &mut found);
    }
    found.sort();
    found
}

fn walk_below(folder: &Path, device: u64, leave_out: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder).map(Iterator::flatten) else { return };
    for entry in entries {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_file() => found.push(path),
            Ok(kind) if kind.is_dir() && !leave_out(&path) && is_on(device, &path) => {
                walk_below(&path, device, leave_out, found);
            }
            _ => {}
        }
    }
}

fn is_on(device: u64, folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|meta| meta.dev() == device)
}

/// The dynamic ELF files among `files`, in their order.
pub(crate) fn dynamic(files: &[PathBuf]) -> Result<Vec<Dynamic>> {
    let read = in_parallel(files, |path| Ok(read(path).ok().flatten()))?;
    Ok(read.into_iter().flatten().collect())
}

const ET_EXEC: u64 = 2;
const ET_DYN: u64 = 3;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const SHT_DYNAMIC: u64 = 6;

/// Reads the file; `None` if it is not dynamic, or is the debug half of one.
fn read(path: &Path) -> io::Result<Option<Dynamic>> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(64);
    Read::take(&mut file, 64).read_to_end(&mut head)?;
    if head.len() < 52 || !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    head.resize(64, 0);
    let (is_64, is_big) = (head[4] == 2, head[5] == 2);
    let head = Fields { bytes: &head, is_big };
    // Offset and width of a field, in a 32-bit file and in a 64-bit one (elf(5)).
    let of = |narrow: (usize, usize), wide: (usize, usize)| head.get(if is_64 { wide } else { narrow });
    if !matches!(head.get((16, 2)), ET_EXEC | ET_DYN) {
        return Ok(None);
    }
    let (segments_at, sections_at) = (of((28, 4), (32, 8)), of((32, 4), (40, 8)));
    let [segment_size, segments, section_size, sections] =
        [(42, 54), (44, 56), (46, 58), (48, 60)].map(|(narrow, wide)| of((narrow, 2), (wide, 2)));
    let (mut is_dynamic, mut interpreter) = (false, None);
    for segment in table(&file, segments_at, segment_size, segments)? {
        let segment = Fields { bytes: &segment, is_big };
        let of = |narrow: (usize, usize), wide: (usize, usize)| segment.get(if is_64 { wide } else { narrow });
        let (offset, size) = (of((4, 4), (8, 8)), of((16, 4), (32, 8)));
        match segment.get((0, 4)) {
            PT_DYNAMIC if size > 0 => is_dynamic = true,
            PT_INTERP => {
                let mut text = vec![0; usize::try_from(size).unwrap_or(0).min(4096)];
                file.read_exact_at(&mut text, offset)?;
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                interpreter = Some(String::from_utf8_lossy(text).into_owned());
            }
            _ => {}
        }
    }
    // objcopy(1), --only-keep-debug: the segments are still listed, but SHT_DYNAMIC has become SHT_NOBITS.
    let sections = table(&file, sections_at, section_size, sections)?;
    let type_of = |section: &Vec<u8>| Fields { bytes: section, is_big }.get((4, 4));
    let is_split_off = !sections.is_empty() && !sections.iter().any(|section| type_of(section) == SHT_DYNAMIC);
    let machine = Machine { is_64, is_big, number: u16::try_from(head.get((18, 2))).unwrap_or(0) };
    let found = Dynamic { path: path.to_owned(), machine, interpreter };
    Ok((is_dynamic && !is_split_off).then_some(found))
}

/// The entries of a header table; none if the file ends before its end.
fn table(file: &File, offset: u64, size: u64, count: u64) -> io::Result<Vec<Vec<u8>>> {
    let (size, count) = (usize::try_from(size).unwrap_or(0), usize::try_from(count).unwrap_or(0));
    let mut bytes = vec![0; size * count];
    match file.read_exact_at(&mut bytes, offset) {
        // The shortest entry of any table has 32 bytes.
        Ok(()) if size >= 32 => Ok(bytes.chunks_exact(size).map(<[u8]>::to_vec).collect()),
        Ok(()) => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Numbers in a header.
struct Fields<'b> {
    bytes: &'b [u8],
    is_big: bool,
}

impl Fields<'_> {
    /// The number of `width` bytes at `at`; 0 beyond the end.
    fn get(&self, (at, width): (usize, usize)) -> u64 {
        let bytes = self.bytes.get(at..at + width).unwrap_or_default();
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.is_big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }
}
