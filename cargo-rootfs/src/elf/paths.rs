//! Absolute paths among the constants of an ELF file: files and directories that its code may open.
//!
//! It does not check that they exist in a sysroot. The loader's own strings (needed names, search paths) are included:
//! a directory of libraries is no evidence by itself.

use std::collections::BTreeSet;
use std::io;

use memchr::memchr_iter;

use super::imports::fill;
use super::strings::{CHUNK, MAX_BYTES, parts};
use super::words::Words;
use super::{Bytes, Object, ReadAt};

/// The maximum length of a path; compiled-in paths are far shorter.
const MAX_PATH: usize = 256;
/// The maximum number of paths of one file; libwireshark has 300.
const MAX_PATHS: usize = 1 << 12;

/// Top-level directories below which programs and their data are installed.
const TOPS: [&[u8]; 12] =
    [b"usr", b"etc", b"lib", b"lib64", b"lib32", b"libx32", b"opt", b"var", b"srv", b"bin", b"sbin", b"nix"];

/// A text that begins like an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathText {
    /// From the slash to the first byte that is rare in paths.
    pub bytes: Bytes,
    /// True if it ends there: at a NUL, a blank, a quote or a separator. Otherwise its last name continues, as before
    /// `%s`.
    pub is_whole: bool,
    /// True if other text may touch it: Rust and Go do not terminate constants.
    pub may_run_on: bool,
}

#[doc(hidden)]
impl Object {
    /// The texts that begin like absolute paths in the mapped bytes of `file`, which this object was read from, without
    /// its code.
    ///
    /// # Errors
    ///
    /// I/O errors. A segment outside the file has no paths.
    pub fn path_texts<F: ReadAt + ?Sized>(&self, file: &F) -> io::Result<BTreeSet<PathText>> {
        let mut texts = BTreeSet::new();
        let mut left = MAX_BYTES;
        let mut chunk = Vec::new();
        for (offset, length) in parts(file)? {
            let length = length.min(left);
            left -= length;
            scan(file, offset, length, &mut chunk, &mut texts)?;
        }
        Ok(texts)
    }
}

#[doc(hidden)]
impl Object {
    /// The indices of the elements of `words` that are whole words in the mapped bytes of `file`, which this object was
    /// read from, without its code. A word may follow `%s`, as in `%sxkbcomp`.
    ///
    /// # Errors
    ///
    /// I/O errors.
    pub fn words_of<F: ReadAt + ?Sized>(&self, file: &F, words: &[Box<[u8]>]) -> io::Result<Vec<usize>> {
        /// Larger files are interpreters and compilers with embedded libraries.
        const MOST: u64 = 16 << 20;
        let words = programs(words);
        let mut found = BTreeSet::new();
        let mut chunk = vec![0; CHUNK];
        for (offset, length) in parts(file)? {
            let (length, mut at) = (length.min(MOST), 0);
            while at < length && found.len() < words.len() {
                let wanted = CHUNK.min(usize::try_from(length - at).unwrap_or(CHUNK));
                let filled = fill(file, &mut chunk[..wanted], offset.saturating_add(at))?;
                let is_last = filled < wanted || at + filled as u64 == length;
                find(&words, &chunk[..filled], at == 0, is_last, &mut found);
                if is_last {
                    break;
                }
                // A word at the boundary is found in the next chunk.
                at += (filled - 2 * MAX_PATH) as u64;
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// The indices of the elements of `words` that are whole words in a text.
pub(crate) fn words_in(text: &[u8], words: &[Box<[u8]>]) -> Vec<usize> {
    let mut found = BTreeSet::new();
    find(&programs(words), text, true, true, &mut found);
    found.into_iter().collect()
}

/// Names of programs as words; hardly any name has bytes other than those of [`is_part`].
fn programs<'w>(words: &'w [Box<[u8]>]) -> Words<'w, impl Fn(u8) -> bool + Copy> {
    Words::new(words.iter().map(|word| &**word), is_part).or_behind(b's')
}

/// Returns whether a byte is part of a program's name.
fn is_part(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    letter | (byte.wrapping_sub(b'0') < 10) | (byte == b'_') | (byte == b'-') | (byte == b'.') | (byte == b'+')
}

/// Adds the whole words in a part of a text to `found`; the part may be the first or the last one.
fn find(
    words: &Words<'_, impl Fn(u8) -> bool + Copy>,
    text: &[u8],
    is_first: bool,
    is_last: bool,
    found: &mut BTreeSet<usize>,
) {
    words.runs(text, |run| {
        if (run.start == 0 && !is_first) || (run.end == text.len() && !is_last) {
            return;
        }
        let (before, word) = (&text[..run.start], &text[run]);
        found.extend(words.place(word));
        if before.last() == Some(&b'%') {
            found.extend(word.strip_prefix(b"s").and_then(|word| words.place(word)));
        }
    });
}

/// Searches a part of the file.
fn scan<F: ReadAt + ?Sized>(
    file: &F,
    offset: u64,
    length: u64,
    chunk: &mut Vec<u8>,
    texts: &mut BTreeSet<PathText>,
) -> io::Result<()> {
    chunk.resize(CHUNK, 0);
    let mut at = 0;
    while at < length && texts.len() < MAX_PATHS {
        let wanted = CHUNK.min(usize::try_from(length - at).unwrap_or(CHUNK));
        let filled = fill(file, &mut chunk[..wanted], offset.saturating_add(at))?;
        let is_last = filled < wanted || at + filled as u64 == length;
        let text = &chunk[..filled];
        // A path at the boundary is found in the next chunk.
        let until = if is_last { filled } else { filled - 2 * MAX_PATH };
        for place in memchr_iter(b'/', text).take_while(|place| *place < until) {
            if begins(&text[place + 1..]) && texts.len() < MAX_PATHS {
                texts.insert(path_at(text, place));
            }
        }
        if is_last {
            break;
        }
        // The byte before the next path shows whether other text touches it.
        at += (until - 1) as u64;
    }
    Ok(())
}

/// Returns whether one of the top directories, and a slash, follow a slash.
fn begins(text: &[u8]) -> bool {
    // Most slashes are in URLs, media types and relative paths.
    let Some(first) = text.first() else { return false };
    b"uelovsbn".contains(first)
        && TOPS.iter().any(|top| text.strip_prefix(*top).is_some_and(|rest| rest.first() == Some(&b'/')))
}

fn path_at(text: &[u8], start: usize) -> PathText {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-@".contains(byte);
    let length = text[start..].iter().take(MAX_PATH).take_while(|byte| is_part(byte)).count();
    let after = text.get(start + length).copied().unwrap_or(0);
    let before = if start == 0 { 0 } else { text[start - 1] };
    PathText {
        bytes: Bytes::from(&text[start..start + length]),
        is_whole: after == 0 || after.is_ascii_whitespace() || b"\"':;,)]>|&".contains(&after),
        may_run_on: after != 0 || before != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn of(file: &[u8]) -> Vec<String> {
        let texts = Object::read(file).unwrap().path_texts(file).unwrap();
        texts.iter().map(|text| String::from_utf8_lossy(&text.bytes).into_owned()).collect()
    }

    #[test]
    fn paths_among_constants() {
        let file = Fixture::library().tail(b"\0/usr/share/x/data\0see http://host/usr/a, N/A\0/proc/self\0").build();
        assert_eq!(of(&file), ["/usr/a", "/usr/share/x/data"]);
    }

    #[test]
    fn the_end_of_a_path_tells_whether_it_is_whole() {
        for (text, path, is_whole, may_run_on) in [
            (&b"\0/usr/share/x\0"[..], "/usr/share/x", true, false),
            (b"\0/usr/share/x/%s.conf\0", "/usr/share/x/", false, true),
            (b"\0/usr/share/x:/opt\0", "/usr/share/x", true, true),
            (b"failed/usr/share/zoneinfoFailed\0", "/usr/share/zoneinfoFailed", true, true),
        ] {
            let place = memchr::memchr(b'/', text).unwrap();
            let expected = PathText { bytes: Bytes::from(path.as_bytes()), is_whole, may_run_on };
            assert_eq!(path_at(text, place), expected, "{path}");
        }
    }

    #[test]
    fn words_that_stand_alone() {
        let file = Fixture::library().tail(b"\0run %sxkbcomp -w\0mysed\0sedan\0awk\0").build();
        let words: Vec<Box<[u8]>> = [&b"awk"[..], b"sed", b"xkbcomp"].map(Box::from).into();
        assert_eq!(Object::read(&file[..]).unwrap().words_of(&file[..], &words).unwrap(), [0, 2]);
    }

    #[test]
    fn paths_between_two_chunks_are_found() {
        for before in CHUNK - 2 * MAX_PATH - 20..CHUNK + 10 {
            let mut text = vec![0; before];
            text.extend(b"/usr/share/x/data\0");
            let mut texts = BTreeSet::new();
            scan(&text[..], 0, text.len() as u64, &mut Vec::new(), &mut texts).unwrap();
            assert_eq!(texts.iter().map(|text| text.may_run_on).collect::<Vec<_>>(), [false], "{before}");
        }
    }

    #[test]
    fn hostile_files_are_bounded() {
        let many: Vec<u8> = (0..20_000).flat_map(|index| format!("/usr/{index}\0").into_bytes()).collect();
        let mut texts = BTreeSet::new();
        scan(&many[..], 0, u64::MAX, &mut Vec::new(), &mut texts).unwrap();
        assert_eq!(texts.len(), MAX_PATHS);
        for text in [b"/usr".repeat(100_000), b"/".repeat(100_000), b"/usr/".repeat(50_000)] {
            let mut texts = BTreeSet::new();
            scan(&text[..], 0, text.len() as u64, &mut Vec::new(), &mut texts).unwrap();
        }
    }
}
