//! Names of shared libraries among the constants of an ELF file: possible arguments of dlopen(3).
//!
//! It uses the program headers, because section headers may be stripped. It does not check that a library exists, or
//! that the name is used.

use std::collections::BTreeSet;
use std::io;

use goblin::container::{Container, Ctx};
use goblin::elf::program_header::{PF_W, PF_X, PT_LOAD, ProgramHeader};
use memchr::memmem::Finder;
use scroll::{Endian, Pread};

use super::imports::fill;
use super::{Bytes, EHDR_64, Object, ReadAt, elf_header};

/// The size of a read: small enough for the nearest cache, and for few new pages.
pub(super) const CHUNK: usize = 32 << 10;
/// The maximum number of searched bytes of one file; LLVM's constants have 60 MB.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// The maximum length of a name.
const MAX_NAME: usize = 128;
/// The maximum number of names of one file; an SDL that loads everything has 40.
const MAX_NAMES: usize = 1 << 10;
/// The minimum length of the text before a conversion of printf(3): `lib%s.so` may be any library.
const MIN_BEGIN: usize = 6;

#[doc(hidden)]
impl Object {
    /// The texts of the form `libNAME.so` or `libNAME.so.N` in the mapped bytes of `file`, which this object was read
    /// from, without its code. Go and Rust do not terminate constants, so the ends of a name may be uncertain: then all
    /// possible names are returned. For a name without the prefix `lib`, the whole text is returned, which may begin
    /// too early. A name that printf(3) makes is a pattern: `libGLX_%s.so.0` is `libGLX_*.so.0`.
    ///
    /// # Errors
    ///
    /// I/O errors. A segment outside the file has no names.
    pub fn library_names<F: ReadAt + ?Sized>(&self, file: &F) -> io::Result<BTreeSet<Bytes>> {
        let mut names = BTreeSet::new();
        let mut left = MAX_BYTES;
        let mut chunk = Vec::new();
        for (offset, length) in parts(file)? {
            let length = length.min(left);
            left -= length;
            scan(file, offset, length, &mut chunk, &mut names)?;
        }
        Ok(names)
    }
}

/// Offset and length of the mapped bytes without execute permission, sorted and disjoint. Old linkers put constants
/// between the instructions: if no segment is read-only, all bytes are returned.
pub(super) fn parts<F: ReadAt + ?Sized>(file: &F) -> io::Result<Vec<(u64, u64)>> {
    let mut first = [0; EHDR_64];
    let length = fill(file, &mut first, 0)?;
    let Ok((header, head)) = elf_header(&first[..length]) else { return Ok(Vec::new()) };
    let machine = head.machine();
    let ctx = Ctx::new(
        if machine.is_64 { Container::Big } else { Container::Little },
        if machine.is_little_endian { Endian::Little } else { Endian::Big },
    );
    let size = ProgramHeader::size(ctx);
    let mut table = vec![0; usize::from(header.e_phnum) * size];
    let length = fill(file, &mut table, header.e_phoff)?;
    let segments = table[..length].chunks_exact(size).filter_map(|it| it.pread_with::<ProgramHeader>(0, ctx).ok());
    let mapped: Vec<ProgramHeader> = segments.filter(|segment| segment.p_type == PT_LOAD).collect();
    let has_constants = mapped.iter().any(|segment| segment.p_flags & (PF_W | PF_X) == 0);
    let wanted = mapped.iter().filter(|segment| !has_constants || segment.p_flags & PF_X == 0);
    let mut wanted: Vec<(u64, u64)> = wanted.map(|segment| (segment.p_offset, segment.p_filesz)).collect();
    wanted.sort_unstable();
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for (offset, length) in wanted {
        // Segments may overlap, and no byte is read twice.
        let end = parts.last().map_or(0, |(offset, length)| offset.saturating_add(*length));
        let start = offset.max(end);
        parts.push((start, offset.saturating_add(length).saturating_sub(start)));
    }
    Ok(parts)
}

/// Passes the first `most` bytes of a file's constants to `each`, in chunks, until it returns false. Chunks overlap by
/// `overlap` bytes: a shorter text at a boundary is whole in the next one.
pub(super) fn chunks<F: ReadAt + ?Sized>(
    file: &F,
    most: u64,
    overlap: usize,
    mut each: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let (mut chunk, mut left) = (vec![0; CHUNK], most);
    for (offset, length) in parts(file)? {
        let length = length.min(left);
        left -= length;
        let mut at = 0;
        while at < length {
            let wanted = CHUNK.min(usize::try_from(length - at).unwrap_or(CHUNK));
            let filled = fill(file, &mut chunk[..wanted], offset.saturating_add(at))?;
            if !each(&chunk[..filled]) {
                return Ok(());
            }
            if filled < CHUNK {
                break;
            }
            at += (filled - overlap) as u64;
        }
    }
    Ok(())
}

/// Searches a part of the file.
fn scan<F: ReadAt + ?Sized>(
    file: &F,
    offset: u64,
    length: u64,
    chunk: &mut Vec<u8>,
    names: &mut BTreeSet<Bytes>,
) -> io::Result<()> {
    let finder = Finder::new(b".so");
    chunk.resize(CHUNK, 0);
    let mut at = 0;
    while at < length && names.len() < MAX_NAMES {
        let wanted = CHUNK.min(usize::try_from(length - at).unwrap_or(CHUNK));
        let filled = fill(file, &mut chunk[..wanted], offset.saturating_add(at))?;
        let is_last = filled < wanted || at + filled as u64 == length;
        let text = &chunk[..filled];
        // A name at the boundary is found in the next chunk.
        let until = if is_last { filled } else { filled - 2 * MAX_NAME };
        for place in finder.find_iter(text).take_while(|place| *place < until) {
            around(text, place, names);
        }
        if is_last {
            break;
        }
        // A name that ends in the next chunk is whole in it.
        at += (until - MAX_NAME) as u64;
    }
    Ok(())
}

/// The names whose `.so` is at `place`.
fn around(text: &[u8], place: usize, names: &mut BTreeSet<Bytes>) {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(byte);
    let before = text[..place].iter().rev().take(MAX_NAME).take_while(|byte| is_name(byte)).count();
    let mut ends = vec![place + 3];
    let mut at = place + 3;
    // `.1`, `.1.2`: each component and each digit may be the end.
    while text.get(at) == Some(&b'.') {
        let digits = text[at + 1..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        ends.extend((1..=digits).map(|digits| at + 1 + digits));
        at += 1 + digits;
        if digits == 0 || ends.len() > 16 {
            break;
        }
    }
    let start = place - before;
    if let Some(pattern) = pattern(text, place, &ends).filter(|_| text[..start].ends_with(b"%")) {
        names.insert(pattern);
        return;
    }
    let mut is_library = false;
    for begin in memchr::memmem::find_iter(&text[start..place], b"lib").map(|begin| start + begin) {
        // `lib.so` is no name, and of adjacent texts the last `lib` begins the name.
        if begin + 3 < place && names.len() < MAX_NAMES {
            names.extend(ends.iter().map(|end| Bytes::from(&text[begin..*end])));
            is_library = true;
        }
    }
    // The beginning of a plugin's name, such as `mod_x.so`, is uncertain: the beginning of the text is the earliest
    // one.
    let is_loader = text[start..place].starts_with(b"ld-");
    if !is_library && !is_loader && before > 2 && names.len() < MAX_NAMES {
        names.extend(ends.iter().map(|end| Bytes::from(&text[start..*end])));
    }
}

/// The name whose `.so` is at `place`, if printf(3) makes a part of it: each conversion becomes a star.
fn pattern(text: &[u8], place: usize, ends: &[usize]) -> Option<Bytes> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+-%".contains(byte);
    let start = place - text[..place].iter().rev().take(MAX_NAME).take_while(|byte| is_name(byte)).count();
    let end = match text[place + 3..] {
        [b'.', b'%', b'd' | b'i' | b'u', ..] => place + 6,
        _ => *ends.last()?,
    };
    let mut parts = text[start..end].split(|byte| *byte == b'%');
    let mut name = parts.next().filter(|begin| begin.starts_with(b"lib") && begin.len() >= MIN_BEGIN)?.to_vec();
    for part in parts {
        let [b's' | b'd' | b'i' | b'u', rest @ ..] = part else { return None };
        name.push(b'*');
        name.extend(rest);
    }
    Some(Bytes::from(name))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn of(file: &[u8]) -> Vec<String> {
        let names = Object::read(file).unwrap().library_names(file).unwrap();
        names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// A file with `text` in a segment.
    fn with(text: &[u8]) -> Vec<u8> {
        Fixture::program().tail(text).build()
    }

    #[test]
    fn names_among_constants() {
        assert_eq!(of(&with(b"\0libfoo.so.1\0")), ["libfoo.so", "libfoo.so.1"]);
        assert_eq!(
            of(&with(b"x\0libX11-xcb.so\0%s.so\0lib.so\0mylib.sox\0/usr/lib/libc++.so\0")),
            ["lib.so", "libX11-xcb.so", "libc++.so", "mylib.so"]
        );
        assert!(of(&with(b"libfoo.s\0o .so libfoo. so")).is_empty());
    }

    /// A short beginning, or none, may be that of any library.
    #[test]
    fn a_part_of_a_name_that_printf_makes_is_a_star() {
        let text =
            b"\0libGLX_%s.so.0\0%s/libsane-%s.so.%u\0libsvn_auth_%s-%d.so.%d\0lib%s.so\0libx%s.so\0liblong%x.so\0";
        assert_eq!(of(&with(text)), ["libGLX_*.so.0", "libsane-*.so.*", "libsvn_auth_*-*.so.*"]);
        assert!(of(&with(b"\0%slibfoo.so.1\0")).contains(&"libfoo.so.1".to_owned()));
    }

    /// Constants of Go and Rust, and lists with colons.
    #[test]
    fn names_one_behind_the_other() {
        let names = of(&with(b"failedlibX11.so.6libX11.so10 times"));
        for name in ["libX11.so.6", "libX11.so"] {
            assert!(names.iter().any(|it| it == name), "{name} in {names:?}");
        }
        assert!(of(&with(b"libedit.so.2:libreadline.so.8:")).contains(&"libreadline.so.8".to_owned()));
        assert!(of(&with(b"libfoo.so.123")).contains(&"libfoo.so.1".to_owned()));
    }

    #[test]
    fn names_between_two_chunks_are_found() {
        for before in CHUNK - 270..CHUNK + 10 {
            let mut text = vec![0; before];
            text.extend(b"libfoo.so.1");
            let mut names = BTreeSet::new();
            scan(&text[..], 0, text.len() as u64, &mut Vec::new(), &mut names).unwrap();
            assert_eq!(names.len(), 2, "{before}");
        }
    }

    #[test]
    fn hostile_files_are_bounded() {
        let many: Vec<u8> = (0..20_000).flat_map(|index| format!("libx{index}.so.1.2.3.4.5\0").into_bytes()).collect();
        let mut names = BTreeSet::new();
        scan(&many[..], 0, u64::MAX, &mut Vec::new(), &mut names).unwrap();
        assert!((MAX_NAMES..MAX_NAMES + 64).contains(&names.len()));
        for text in
            [b"lib.".repeat(100_000), b".so".repeat(100_000), b"liblib.so.".repeat(50_000), b"lib.so.1".repeat(50_000)]
        {
            let mut names = BTreeSet::new();
            scan(&text[..], 0, text.len() as u64, &mut Vec::new(), &mut names).unwrap();
        }
        for at in 0..200 {
            let mut file = with(b"libfoo.so.1");
            file[at] = 0xff;
            if let Ok(object) = Object::read(&file[..]) {
                let _ = object.library_names(&file[..]);
            }
        }
    }
}
