//! ld.so.cache: read by the rules of the loader, and written for an image that needs one.
//!
//! The formats are those of glibc's sysdeps/generic/dl-cache.h. The order of the entries and the binary search over
//! them are `_dl_cache_libcmp` and `search_cache` of elf/dl-cache.c.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use scroll::{Endian, Pread};

use crate::byte_search;
use crate::elf::Bytes;
use crate::path::RootfsPath;
use crate::target::Machine;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const NEW_HEADER: usize = 48;
const NEW_ENTRY: usize = 24;
/// The position of the extensions' offset in the new header.
const EXTENSION: usize = 32;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
/// `cache_extension_tag_glibc_hwcaps`.
const TAG_HWCAPS: u32 = 1;
/// `DL_CACHE_HWCAP_EXTENSION`, and below it the bits of an ISA level: with it, the lower half is an index.
const HWCAP_EXTENSION: u64 = 1 << 62;
const HWCAP_ISA_LEVEL: u64 = 0x3ff << 32;

/// The maximum size of a cache; that of a large desktop has 200 KiB.
pub const MAX_LENGTH: usize = 64 << 20;
/// The maximum length of a string in it: a longer path cannot be opened (PATH_MAX), and strings may overlap.
const MAX_STRING: usize = 4096;

/// A cache in the form of its file.
#[derive(Debug, Clone)]
pub struct Cache {
    bytes: Vec<u8>,
    endian: Endian,
    /// The start of the entries, the size of one, and their number.
    entries: usize,
    entry: usize,
    count: usize,
    /// The position to which the offsets of strings are relative.
    strings: usize,
    /// The positions of the names of glibc-hwcaps subdirectories, by the index in an entry.
    hwcaps: Vec<u32>,
}

/// An entry of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'c> {
    /// The soname.
    pub name: &'c [u8],
    /// The path of the library.
    pub path: &'c [u8],
    /// The glibc-hwcaps subdirectory that contains it, if any.
    pub hwcaps: Option<&'c [u8]>,
}

impl Cache {
    /// Parses a cache file for a loader of `machine`; `None` if the loader would ignore it.
    pub fn parse(bytes: Vec<u8>, machine: Machine) -> Option<Self> {
        let endian = if machine.is_little_endian { Endian::Little } else { Endian::Big };
        if bytes.starts_with(NEW_MAGIC) {
            return Self::new_format(bytes, 0, endian);
        }
        if !bytes.starts_with(OLD_MAGIC) {
            return None;
        }
        let count = bytes.pread_with::<u32>(12, endian).ok()? as usize;
        let end = count.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?;
        if end > bytes.len() || bytes.len() == OLD_HEADER {
            return None;
        }
        // The new format may follow, aligned for its 64-bit members.
        let new = end.next_multiple_of(machine.wide_alignment());
        if bytes.get(new..).is_some_and(|rest| rest.len() >= NEW_HEADER && rest.starts_with(NEW_MAGIC)) {
            return Self::new_format(bytes, new, endian);
        }
        Some(Self { bytes, endian, entries: OLD_HEADER, entry: OLD_ENTRY, count, strings: end, hwcaps: Vec::new() })
    }

    fn new_format(bytes: Vec<u8>, start: usize, endian: Endian) -> Option<Self> {
        let count = bytes.pread_with::<u32>(start + 20, endian).ok()? as usize;
        // cache_file_new_flags_endian_*: 0 was written before glibc 2.33, 2 is little, 3 is big.
        let order = match bytes.get(start + 28)? {
            0 => endian,
            flags if flags & 3 == 2 => Endian::Little,
            flags if flags & 3 == 3 => Endian::Big,
            _ => return None,
        };
        if order != endian {
            return None;
        }
        let entries = start + NEW_HEADER;
        // After the old format, the loader does not check the count, and may crash.
        let room = bytes.len().checked_sub(entries)?;
        if (start == 0 && room == 0) || count.checked_mul(NEW_ENTRY)? > room {
            return None;
        }
        let hwcaps = hwcaps_section(&bytes, start, endian).unwrap_or_default();
        Some(Self { bytes, endian, entries, entry: NEW_ENTRY, count, strings: start, hwcaps })
    }

    /// The file that the loader of `machine` finds for `name` on the baseline of its architecture: entries for
    /// particular hardware are skipped.
    pub fn lookup(&self, name: &[u8], machine: Machine) -> Option<RootfsPath> {
        self.lookup_on(name, machine, &[], |hwcap| hwcap == 0).map(|(path, _)| path)
    }

    /// The same with the glibc-hwcaps subdirectories `active`, the best one first; `accepts_hwcap` decides on entries
    /// for other hardware. Also returns the subdirectory of the file (`search_cache`).
    pub fn lookup_on(
        &self,
        name: &[u8],
        machine: Machine,
        active: &[Bytes],
        accepts_hwcap: impl Fn(u64) -> bool,
    ) -> Option<(RootfsPath, Option<Bytes>)> {
        let is_equal = |index: usize| self.key_on(index).is_some_and(|key| compare(name, key).is_eq());
        let (mut left, mut right) = (0, self.count.checked_sub(1)?);
        let middle = loop {
            let middle = (left + right) / 2;
            match compare(name, self.key_on(middle)?) {
                Ordering::Equal => break middle,
                // The entries are in descending order.
                Ordering::Less if middle < right => left = middle + 1,
                Ordering::Greater if middle > left => right = middle - 1,
                _ => return None,
            }
        };
        let first = (0..middle).rev().take_while(|index| is_equal(*index)).last().unwrap_or(middle);
        // The file, and the rank of its subdirectory among the active ones.
        let mut best: Option<(&[u8], Option<usize>)> = None;
        for index in (first..=right).take_while(|index| is_equal(*index)) {
            let at = self.entries + index * self.entry;
            let flags: u32 = self.bytes.pread_with(at, self.endian).ok()?;
            let Some(value) = self.value(index).filter(|_| accepts(flags, machine)) else { continue };
            let hwcap = self.hwcap(index);
            if let Some(subdirectory) = self.subdirectory(hwcap) {
                let rank = active.iter().position(|name| subdirectory == Some(&**name));
                let is_better = |rank: &usize| match best {
                    None => true,
                    Some((_, known)) => known.is_some_and(|known| *rank < known),
                };
                if let Some(rank) = rank.filter(is_better) {
                    best = Some((value, Some(rank)));
                }
                continue;
            }
            // Entries for subdirectories come first, and each of them is better than the others.
            if best.is_some() && self.entry == NEW_ENTRY {
                break;
            }
            if !accepts_hwcap(hwcap) {
                continue;
            }
            best = Some((value, None));
            if flags == default_id(machine) {
                break;
            }
        }
        let (value, rank) = best?;
        Some((RootfsPath::from_bytes(value)?, rank.map(|rank| active[rank].clone())))
    }

    /// Every entry, in the file's order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.count).filter_map(|index| {
            let hwcaps = self.subdirectory(self.hwcap(index)).flatten();
            Some(Entry { name: self.key(index)?, path: self.value(index)?, hwcaps })
        })
    }

    fn value(&self, index: usize) -> Option<&[u8]> {
        self.string(self.bytes.pread_with(self.entries + index * self.entry + 8, self.endian).ok()?)
    }

    fn hwcap(&self, index: usize) -> u64 {
        let at = self.entries + index * self.entry + 16;
        if self.entry == NEW_ENTRY { self.bytes.pread_with(at, self.endian).unwrap_or(0) } else { 0 }
    }

    /// The subdirectory of an entry with this hwcap, if it is for one; `Some(None)` if the subdirectory has no name
    /// (`dl_cache_hwcap_extension`).
    fn subdirectory(&self, hwcap: u64) -> Option<Option<&[u8]>> {
        let high = hwcap & !HWCAP_ISA_LEVEL & !u64::from(u32::MAX);
        let index = (hwcap & u64::from(u32::MAX)) as usize;
        (high == HWCAP_EXTENSION).then(|| self.string_at(*self.hwcaps.get(index)? as usize))
    }

    fn key(&self, index: usize) -> Option<&[u8]> {
        self.string(self.bytes.pread_with(self.entries + index * self.entry + 4, self.endian).ok()?)
    }

    /// The file's bytes from an entry's name on: a comparison needs no search for the end of the name.
    fn key_on(&self, index: usize) -> Option<&[u8]> {
        let offset: u32 = self.bytes.pread_with(self.entries + index * self.entry + 4, self.endian).ok()?;
        self.rest_at(self.strings.checked_add(offset as usize)?)
    }

    fn rest_at(&self, at: usize) -> Option<&[u8]> {
        let rest = self.bytes.get(at..)?;
        Some(&rest[..rest.len().min(MAX_STRING)])
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        self.string_at(self.strings.checked_add(offset as usize)?)
    }

    fn string_at(&self, at: usize) -> Option<&[u8]> {
        let rest = self.rest_at(at)?;
        Some(&rest[..byte_search::find(0, rest)?])
    }
}

/// Returns whether the loader of this machine accepts an entry with these flags (`_dl_cache_check_flags`,
/// sysdeps/*/dl-cache.h). On ARM, a library without a floating-point ABI is accepted by both.
fn accepts(flags: u32, machine: Machine) -> bool {
    let own = machine.cache_flags();
    flags == own
        || match own {
            0x0003 => flags == 1,
            0x0903 => flags == 0x0003,
            _ => false,
        }
}

/// The preferred flags (`_DL_CACHE_DEFAULT_ID`).
fn default_id(machine: Machine) -> u32 {
    match machine.cache_flags() {
        0x0903 => 0x0003,
        own => own,
    }
}

/// Compares names (`_dl_cache_libcmp`): runs of digits compare as numbers, so that `libfoo.so.10` follows
/// `libfoo.so.9`. Each name ends at its first zero, if any.
fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let same = left.iter().zip(right).take_while(|(one, two)| one == two && **one != 0).count();
    // Numbers with a common beginning are compared completely.
    let digits = left[..same].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (mut one, mut two) = (&left[same - digits..], &right[same - digits..]);
    loop {
        let (first, second) = (one.first().copied().unwrap_or(0), two.first().copied().unwrap_or(0));
        match (first.is_ascii_digit(), second.is_ascii_digit()) {
            _ if first == 0 => return 0.cmp(&second),
            (true, true) => {
                let (a, b) = (number(&mut one), number(&mut two));
                if a != b {
                    return a.cmp(&b);
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) if first != second => return first.cmp(&second),
            (false, false) => {
                one = &one[1..];
                two = &two[1..];
            }
        }
    }
}

fn number(text: &mut &[u8]) -> i32 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (run, rest) = text.split_at(digits);
    *text = rest;
    // The loader's int overflows in the same way.
    run.iter().fold(0i32, |value, digit| value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')))
}

/// The positions of the names in the glibc-hwcaps section of the header at `start` (`cache_extension_load`). All
/// offsets here are relative to the file's beginning.
fn hwcaps_section(bytes: &[u8], start: usize, endian: Endian) -> Option<Vec<u32>> {
    let word = |at: usize| bytes.pread_with::<u32>(at, endian).ok().map(|value| value as usize);
    let extension = word(start + EXTENSION)?;
    if extension == 0 || extension % 4 != 0 || word(extension)? != EXTENSION_MAGIC as usize {
        return None;
    }
    let mut names = None;
    for section in 0..word(extension + 4)? {
        let at = section.checked_mul(16)?.checked_add(extension + 8)?;
        let (tag, offset, size) = (word(at)?, word(at + 8)?, word(at + 12)?);
        // A section past the end invalidates all sections.
        let array = bytes.get(offset..offset.checked_add(size)?)?;
        if tag == TAG_HWCAPS as usize && size > 0 && size % 4 == 0 && offset % 4 == 0 {
            names = Some((0..size).step_by(4).filter_map(|at| array.pread_with(at, endian).ok()).collect());
        }
    }
    names
}

/// Writes a cache in the new format only, which every glibc since 2.2 reads.
pub fn write(machine: Machine, libraries: &[(Bytes, RootfsPath)]) -> Vec<u8> {
    let entry = |(name, path): &(Bytes, RootfsPath)| (name.clone(), None, path.clone());
    write_with_hwcaps(machine, &libraries.iter().map(entry).collect::<Vec<_>>())
}

/// The same for libraries that may belong to a glibc-hwcaps subdirectory, such as `x86-64-v3`. glibc reads those
/// entries since 2.33; older releases skip them.
pub fn write_with_hwcaps(machine: Machine, libraries: &[(Bytes, Option<Bytes>, RootfsPath)]) -> Vec<u8> {
    let mut sorted: Vec<_> = libraries.iter().collect();
    // For one name, entries for subdirectories come first, ordered by subdirectory (`compare` in elf/cache.c).
    sorted.sort_by(|a, b| {
        let by_hwcaps = || (a.1.is_none(), &a.1).cmp(&(b.1.is_none(), &b.1));
        compare(&b.0, &a.0).then_with(by_hwcaps).then_with(|| a.2.cmp(&b.2))
    });
    let hwcaps: BTreeSet<&Bytes> = libraries.iter().filter_map(|library| library.1.as_ref()).collect();
    let mut strings: Vec<u8> = Vec::new();
    let strings_start = NEW_HEADER + sorted.len() * NEW_ENTRY;
    let mut intern = |text: &[u8]| {
        let offset = strings_start + strings.len();
        strings.extend_from_slice(text);
        strings.push(0);
        u32::try_from(offset).unwrap_or(u32::MAX)
    };
    let mut entries: Vec<u8> = Vec::new();
    let word = |value: u32| if machine.is_little_endian { value.to_le_bytes() } else { value.to_be_bytes() };
    let wide = |value: u64| if machine.is_little_endian { value.to_le_bytes() } else { value.to_be_bytes() };
    for (name, subdirectory, path) in &sorted {
        for value in [machine.cache_flags(), intern(name), intern(path.as_bytes()), 0] {
            entries.extend_from_slice(&word(value));
        }
        let index = subdirectory.as_ref().and_then(|name| hwcaps.iter().position(|known| *known == name));
        entries.extend_from_slice(&wide(index.map_or(0, |index| HWCAP_EXTENSION | index as u64)));
    }
    let names: Vec<u32> = hwcaps.iter().map(|name| intern(name)).collect();
    let strings_end = strings_start + strings.len();
    let extension = if names.is_empty() { 0 } else { strings_end.next_multiple_of(4) };
    let mut bytes = NEW_MAGIC.to_vec();
    bytes.extend_from_slice(&word(sorted.len() as u32));
    bytes.extend_from_slice(&word(strings.len() as u32));
    bytes.extend_from_slice(&[if machine.is_little_endian { 2 } else { 3 }, 0, 0, 0]);
    bytes.extend_from_slice(&word(extension as u32));
    bytes.resize(NEW_HEADER, 0);
    bytes.extend_from_slice(&entries);
    bytes.extend_from_slice(&strings);
    if !names.is_empty() {
        bytes.resize(extension, 0);
        let array = extension as u32 + 8 + 16;
        for value in [EXTENSION_MAGIC, 1, TAG_HWCAPS, 0, array, 4 * names.len() as u32].into_iter().chain(names) {
            bytes.extend_from_slice(&word(value));
        }
    }
    bytes
}
