//! Command lines, and names of commands, among the constants of an ELF file: texts that system(3), popen(3) and
//! execvp(3) may be given.
//!
//! Only the beginning of a command line is judged. The shell's parser finds its commands, and callers look them up.

use std::collections::BTreeSet;
use std::io;

use rustc_hash::FxHashSet;

use super::strings::{CHUNK, chunks};
use super::{Bytes, Object, ReadAt};

/// The maximum number of searched bytes of one file.
const MOST: u64 = 16 << 20;
/// The maximum length of a text; the rest of a longer one is ignored.
const LONGEST: usize = 512;
/// The maximum number of texts of one file.
const MANY: usize = 256;

#[doc(hidden)]
impl Object {
    /// The texts in `file`, which this object was read from, that look like command lines, such as `uname -a` and
    /// `gzip -dc %s | sort`.
    ///
    /// # Errors
    ///
    /// I/O errors.
    pub fn command_lines<F: ReadAt + ?Sized>(&self, file: &F) -> io::Result<BTreeSet<Bytes>> {
        texts(file, is_command_line)
    }

    /// The elements of `words` that a text in `file`, which this object was read from, consists of, or ends with: linkers
    /// let `gzip` be the end of `ungzip`.
    ///
    /// # Errors
    ///
    /// I/O errors.
    pub fn whole_texts<F: ReadAt + ?Sized>(&self, file: &F, words: &FxHashSet<&[u8]>) -> io::Result<BTreeSet<Bytes>> {
        /// Shorter names end too many words.
        const SHORTEST_END: usize = 4;
        let lengths: BTreeSet<usize> = words.iter().map(|word| word.len()).collect();
        let word = |text: &[u8]| {
            let ends = lengths.iter().filter(|length| **length == text.len() || **length >= SHORTEST_END);
            let mut ends = ends.filter_map(|length| text.len().checked_sub(*length));
            ends.find_map(|at| words.get(&text[at..]).copied())
        };
        let found = texts(file, |text| word(text).is_some())?;
        Ok(found.iter().filter_map(|text| word(text)).map(Bytes::from).collect())
    }
}

/// The texts between two NULs for which `is_one` is true.
fn texts<F: ReadAt + ?Sized>(file: &F, is_one: impl Fn(&[u8]) -> bool) -> io::Result<BTreeSet<Bytes>> {
    let mut texts = BTreeSet::new();
    let mut is_cut = false;
    chunks(file, MOST, LONGEST, |bytes| {
        // A text that a boundary cuts is whole in the other chunk, or too long.
        let start = if is_cut { memchr::memchr(0, bytes).map_or(bytes.len(), |at| at + 1) } else { 0 };
        is_cut = bytes.len() == CHUNK;
        let last = memchr::memrchr(0, bytes).map_or(0, |at| at + 1);
        let end = if is_cut && bytes.len() - last < LONGEST { last } else { bytes.len() };
        let lines = bytes
            .get(start..end)
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .map(|text| &text[..text.len().min(LONGEST)]);
        texts.extend(lines.filter(|text| is_one(text)).take(MANY - texts.len()).map(Bytes::from));
        texts.len() < MANY
    })?;
    Ok(texts)
}

/// Returns whether a text begins with a name and an argument that prose does not have: an option, a path, a quote, or
/// words of the shell.
fn is_command_line(text: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_+.".contains(byte);
    let length = text.iter().take_while(|byte| is_name(byte)).count();
    if !text.first().is_some_and(u8::is_ascii_lowercase) || length < 2 || text.get(length) != Some(&b' ') {
        return false;
    }
    let rest = &text[length + 1..];
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n');
    let is_option = || rest[0] == b'-' && rest.get(1).is_some_and(u8::is_ascii_alphanumeric);
    let is_argument = || matches!(rest[0], b'/' | b'\'' | b'"' | b'$' | b'|') || is_option();
    let is_of_shell =
        || [&b" | "[..], b" > ", b" >/", b" 2>", b" -"].iter().any(|it| memchr::memmem::find(rest, it).is_some());
    let has_place = || rest.starts_with(b"%s") && (rest.len() == 2 || is_of_shell());
    !rest.is_empty() && rest.iter().all(is_text) && (is_argument() || has_place())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn command_lines_among_constants() {
        for before in [0, CHUNK - 300, CHUNK - 3, CHUNK] {
            let mut constants = vec![0; before];
            constants.extend(b"\0uname -a\0gzip -dc %s | sort\0find the file\0sort: %s\0cat %s\0file %s is none\0size > 0\0tar '%s'\0");
            let file = Fixture::program().tail(&constants).build();
            let texts = Object::read(&file[..]).unwrap().command_lines(&file[..]).unwrap();
            let texts: Vec<_> = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            assert_eq!(texts, ["cat %s", "gzip -dc %s | sort", "tar '%s'", "uname -a"], "{before}");
            constants.extend(b"\0ungzip\0\0zip\0gzips\0as sed\0");
            let file = Fixture::program().tail(&constants).build();
            let words = [&b"gzip"[..], b"sed"].into_iter().collect();
            let texts = Object::read(&file[..]).unwrap().whole_texts(&file[..], &words).unwrap();
            assert_eq!(texts.into_iter().collect::<Vec<_>>(), [Bytes::from(&b"gzip"[..])], "{before}");
        }
    }

    #[test]
    fn hostile_files_are_bounded() {
        let many: Vec<u8> = (0..20_000).flat_map(|index| format!("x{index} -a\0").into_bytes()).collect();
        let file = Fixture::program().tail(&many).build();
        assert_eq!(Object::read(&file[..]).unwrap().command_lines(&file[..]).unwrap().len(), MANY);
    }

    #[test]
    fn a_text_that_a_boundary_cuts_counts_whole() {
        let text = &b"see uname -a\0"[..];
        let place = memchr::memmem::find(&Fixture::program().tail(text).build(), text).unwrap();
        // The second chunk begins, or the first one ends, in a text.
        for before in [CHUNK - LONGEST, CHUNK].into_iter().flat_map(|end| end - place - 30..end - place) {
            let mut constants = vec![0; before];
            constants.extend([text, b"tar -x of it\0"].concat());
            constants.resize(CHUNK + LONGEST, 0);
            let file = Fixture::program().tail(&constants).build();
            let texts = Object::read(&file[..]).unwrap().command_lines(&file[..]).unwrap();
            assert_eq!(texts.into_iter().collect::<Vec<_>>(), [Bytes::from(&b"tar -x of it"[..])], "{before}");
        }
    }
}
