//! Texts among the constants of an ELF file that contain one of several words.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

#[cfg(test)]
use super::strings::CHUNK;
use super::strings::chunks;
use super::words::Words;
use super::{Bytes, Object, ReadAt};

/// The maximum number of searched bytes of one file.
const MOST: u64 = 64 << 20;
/// The maximum number of bytes of a text before and after the word.
const AROUND: usize = 128;
/// The maximum number of texts of one file.
const MANY: usize = 1 << 10;

#[doc(hidden)]
impl Object {
    /// The texts in `file`, which this object was read from, that contain one of `words` as a whole word. Each extends
    /// from the NUL before the word to the one after it, as far as it is printable.
    ///
    /// # Errors
    ///
    /// I/O errors.
    pub fn constants_with<F: ReadAt + ?Sized>(&self, file: &F, words: &[&[u8]]) -> io::Result<BTreeSet<Bytes>> {
        let words = Words::new(words.iter().copied(), is_part);
        let mut texts = BTreeSet::new();
        chunks(file, MOST, 4 * AROUND, |bytes| {
            words.runs(bytes, |run| {
                if words.place(&bytes[run.clone()]).is_some() && texts.len() <= MANY {
                    texts.insert(Bytes::from(around(bytes, run)));
                }
            });
            texts.len() <= MANY
        })?;
        Ok(texts)
    }
}

/// Returns whether a byte is part of a word.
fn is_part(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    letter | (byte.wrapping_sub(b'0') < 10) | (byte == b'_') | (byte == b'-')
}

/// The printable text around a word.
fn around(text: &[u8], word: Range<usize>) -> &[u8] {
    let is_text = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\t');
    let before = text[..word.start].iter().rev().take(AROUND).take_while(is_text).count();
    let behind = text[word.end..].iter().take(AROUND).take_while(is_text).count();
    &text[word.start - before..word.end + behind]
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn words_are_found_whole_with_the_text_around_them() {
        for before in [0, CHUNK - 40, CHUNK - 500, CHUNK] {
            let mut constants = vec![0; before];
            constants.extend(b"\0proxy\0run as user proxy\0proxyless\0my-proxy\0");
            let file = Fixture::program().tail(&constants).build();
            let texts = Object::read(&file[..]).unwrap().constants_with(&file[..], &[b"proxy"]).unwrap();
            let texts: Vec<_> = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            assert_eq!(texts, ["proxy", "run as user proxy"], "{before}");
        }
    }
}
