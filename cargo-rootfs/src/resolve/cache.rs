//! ld.so.cache: read as the loader reads it, and written for an image that needs one.
//!
//! The formats are those of glibc's sysdeps/generic/dl-cache.h; the order of the entries and the
//! binary search over them are `_dl_cache_libcmp` and `search_cache` of elf/dl-cache.c.

use std::cmp::Ordering;

use scroll::{Endian, Pread};

use crate::elf::Bytes;
use crate::path::RootfsPath;
use crate::target::Machine;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const NEW_HEADER: usize = 48;
const NEW_ENTRY: usize = 24;

/// The longest cache that is read; a large desktop's has 200 KiB.
pub const MAX_LENGTH: usize = 64 << 20;
/// The longest string in it: no longer path can be opened (PATH_MAX), and strings may overlap.
const MAX_STRING: usize = 4096;

/// A cache, as it stands in its file.
#[derive(Debug, Clone)]
pub struct Cache {
    bytes: Vec<u8>,
    endian: Endian,
    /// Where the entries begin, how long each is and how many there are.
    entries: usize,
    entry: usize,
    count: usize,
    /// What the offsets of strings count from.
    strings: usize,
}

impl Cache {
    /// Takes a cache file's bytes for a loader of `machine`; `None` where the loader would ignore it.
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
        if end > bytes.len() {
            return None;
        }
        // The new format may follow, aligned for its 64-bit members.
        let new = end.next_multiple_of(8);
        if bytes.get(new..).is_some_and(|rest| rest.starts_with(NEW_MAGIC)) {
            return Self::new_format(bytes, new, endian);
        }
        Some(Self { bytes, endian, entries: OLD_HEADER, entry: OLD_ENTRY, count, strings: end })
    }

    fn new_format(bytes: Vec<u8>, start: usize, endian: Endian) -> Option<Self> {
        let count = bytes.pread_with::<u32>(start + 20, endian).ok()? as usize;
        // cache_file_new_flags_endian_*: 0 was written before glibc 2.33, 2 is little, 3 is big.
        let order = match bytes.get(start + 28)? & 3 {
            0 => endian,
            2 => Endian::Little,
            3 => Endian::Big,
            _ => return None,
        };
        if order != endian {
            return None;
        }
        let entries = start + NEW_HEADER;
        if count.checked_mul(NEW_ENTRY)?.checked_add(entries)? > bytes.len() {
            return None;
        }
        Some(Self { bytes, endian, entries, entry: NEW_ENTRY, count, strings: start })
    }

    /// The file that the loader of `machine` takes for `name`, on the baseline of its architecture:
    /// entries for particular hardware are passed over.
    pub fn lookup(&self, name: &[u8], machine: Machine) -> Option<RootfsPath> {
        let (mut left, mut right) = (0, self.count);
        let mut found = None;
        while left < right {
            let middle = left + (right - left) / 2;
            match compare(name, self.key_on(middle)?) {
                Ordering::Equal => {
                    found = Some(middle);
                    break;
                }
                // The entries stand in descending order.
                Ordering::Less => left = middle + 1,
                Ordering::Greater => right = middle,
            }
        }
        let mut first = found?;
        while first > 0 && self.key_on(first - 1).is_some_and(|key| compare(name, key).is_eq()) {
            first -= 1;
        }
        let mut best = None;
        for index in first..self.count {
            if !self.key_on(index).is_some_and(|key| compare(name, key).is_eq()) {
                break;
            }
            let at = self.entries + index * self.entry;
            let flags: u32 = self.bytes.pread_with(at, self.endian).ok()?;
            let hwcap =
                if self.entry == NEW_ENTRY { self.bytes.pread_with::<u64>(at + 16, self.endian).ok()? } else { 0 };
            if hwcap != 0 || !accepts(flags, machine) {
                continue;
            }
            let value = self.string(self.bytes.pread_with::<u32>(at + 8, self.endian).ok()?)?;
            if flags == flags_of(machine) {
                return RootfsPath::from_bytes(value);
            }
            best = best.or_else(|| RootfsPath::from_bytes(value));
        }
        best
    }

    /// Name and path of every entry, in the file's order; for tests and `index`.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.count).filter_map(|index| {
            let at = self.entries + index * self.entry;
            let value = self.string(self.bytes.pread_with::<u32>(at + 8, self.endian).ok()?)?;
            Some((self.key(index)?, value))
        })
    }

    fn key(&self, index: usize) -> Option<&[u8]> {
        self.string(self.bytes.pread_with(self.entries + index * self.entry + 4, self.endian).ok()?)
    }

    /// The file from an entry's name on: to compare with it, its end need not be looked for.
    fn key_on(&self, index: usize) -> Option<&[u8]> {
        self.rest(self.bytes.pread_with(self.entries + index * self.entry + 4, self.endian).ok()?)
    }

    fn rest(&self, offset: u32) -> Option<&[u8]> {
        let rest = self.bytes.get(self.strings.checked_add(offset as usize)?..)?;
        Some(&rest[..rest.len().min(MAX_STRING)])
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let rest = self.rest(offset)?;
        Some(&rest[..memchr::memchr(0, rest)?])
    }
}

/// The flags that ldconfig gives a library of this machine (sysdeps/*/ldconfig.h).
pub fn flags_of(machine: Machine) -> u32 {
    use goblin::elf::header::{EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};
    match (machine.e_machine, machine.is_64) {
        (EM_X86_64, true) => 0x0303,
        (EM_X86_64, false) => 0x0803,
        (EM_AARCH64, _) => 0x0a03,
        // The hard-float ABI; the soft-float one is 0x0b03.
        (EM_ARM, _) => 0x0903,
        (EM_PPC64, _) => 0x0503,
        (EM_S390, true) => 0x0403,
        // The double-float ABIs of both.
        (EM_RISCV, true) => 0x1003,
        (258, _) => 0x1203,
        _ => 0x0003,
    }
}

/// `_dl_cache_check_flags`: which entries the loader of this machine considers.
fn accepts(flags: u32, machine: Machine) -> bool {
    let own = flags_of(machine);
    flags == own || (own == 0x0003 && flags == 1)
}

/// `_dl_cache_libcmp`: runs of digits compare as numbers, so that `libfoo.so.10` follows `libfoo.so.9`.
/// Both end at their first zero, where they have one.
fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let same = left.iter().zip(right).take_while(|(one, two)| one == two && **one != 0).count();
    // A number that only begins the same is compared whole.
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
    // The loader's int overflows likewise.
    run.iter().fold(0i32, |value, digit| value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')))
}

/// A cache of the new format alone, which every glibc since 2.2 reads.
pub fn write(machine: Machine, libraries: &[(Bytes, RootfsPath)]) -> Vec<u8> {
    let mut sorted: Vec<_> = libraries.iter().collect();
    sorted.sort_by(|a, b| compare(&b.0, &a.0).then_with(|| a.1.cmp(&b.1)));
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
    for (name, path) in &sorted {
        for value in [flags_of(machine), intern(name), intern(path.as_bytes()), 0, 0, 0] {
            entries.extend_from_slice(&word(value));
        }
    }
    let mut bytes = NEW_MAGIC.to_vec();
    bytes.extend_from_slice(&word(sorted.len() as u32));
    bytes.extend_from_slice(&word(strings.len() as u32));
    bytes.extend_from_slice(&[if machine.is_little_endian { 2 } else { 3 }, 0, 0, 0]);
    bytes.resize(NEW_HEADER, 0);
    bytes.extend_from_slice(&entries);
    bytes.extend_from_slice(&strings);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn library(name: &str, path: &str) -> (Bytes, RootfsPath) {
        (Bytes::from(name.as_bytes()), RootfsPath::parse(path).unwrap())
    }

    #[test]
    fn what_is_written_is_found_in_both_byte_orders() {
        let libraries = [
            library("libfoo.so.9", "/opt/libfoo.so.9"),
            library("libfoo.so.10", "/opt/libfoo.so.10"),
            library("liba.so", "/opt/a/liba.so"),
            library("libz.so.1", "/opt/z/libz.so.1"),
        ];
        for triple in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "s390x-unknown-linux-gnu"] {
            let machine = Target::parse(triple).unwrap().machine();
            let cache = Cache::parse(write(machine, &libraries), machine).unwrap();
            for (name, path) in &libraries {
                assert_eq!(cache.lookup(name, machine).as_ref(), Some(path));
            }
            assert_eq!(cache.lookup(b"libfoo.so.1", machine), None);
        }
    }

    #[test]
    fn a_cache_of_the_other_byte_order_is_ignored() {
        let machine = |triple| Target::parse(triple).unwrap().machine();
        let big = machine("s390x-unknown-linux-gnu");
        let bytes = write(big, &[library("liba.so", "/a/liba.so")]);
        assert!(Cache::parse(bytes, machine("x86_64-unknown-linux-gnu")).is_none());
    }

    #[test]
    fn digits_compare_as_numbers() {
        for (one, two, order) in [
            ("libc.so.6", "libc.so.6", Ordering::Equal),
            ("lib.so.10", "lib.so.9", Ordering::Greater),
            ("lib1", "liba", Ordering::Greater),
            ("lib", "liba", Ordering::Less),
            ("lib.so.1", "lib.so", Ordering::Greater),
        ] {
            assert_eq!(compare(one.as_bytes(), two.as_bytes()), order, "{one} {two}");
            assert_eq!(compare(two.as_bytes(), one.as_bytes()), order.reverse(), "{two} {one}");
        }
    }

    #[test]
    fn entries_of_another_architecture_are_passed_over() {
        let machine = |triple| Target::parse(triple).unwrap().machine();
        let bytes = write(machine("aarch64-unknown-linux-gnu"), &[library("liba.so", "/a/liba.so")]);
        let x86 = machine("x86_64-unknown-linux-gnu");
        assert_eq!(Cache::parse(bytes, x86).unwrap().lookup(b"liba.so", x86), None);
    }

    #[test]
    fn damaged_caches_get_an_answer() {
        let machine = Machine::host();
        let whole = write(machine, &[library("liba.so.1", "/a/liba.so.1"), library("libb.so.2", "/b/libb.so.2")]);
        for at in 0..whole.len() {
            let _ = Cache::parse(whole[..at].to_vec(), machine).map(|cache| cache.lookup(b"liba.so.1", machine));
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Some(cache) = Cache::parse(changed, machine) {
                    let _ = cache.lookup(b"liba.so.1", machine);
                    let _ = cache.entries().count();
                }
            }
        }
    }
}
