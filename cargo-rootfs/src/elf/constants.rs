//! Texts among the constants of an ELF file that hold one of several words.

use std::collections::BTreeSet;
use std::io;

use memchr::memmem::Finder;

use super::imports::fill;
use super::strings::parts;
use super::{Bytes, Object, ReadAt};

const CHUNK: usize = 64 << 10;
/// The most bytes of one file that are looked through.
const MOST: u64 = 64 << 20;
/// The most bytes of a text before and behind the word.
const AROUND: usize = 128;
/// The most texts of one file.
const MANY: usize = 1 << 10;

impl Object {
    /// The texts in `file`, of which this was read, that hold one of `words` whole: each from the NUL before it to the one
    /// behind, as far as it is printable.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn constants_with<F: ReadAt + ?Sized>(&self, file: &F, words: &[&[u8]]) -> io::Result<BTreeSet<Bytes>> {
        let finders: Vec<_> = words.iter().map(Finder::new).collect();
        let mut texts = BTreeSet::new();
        let (mut chunk, mut left) = (vec![0; CHUNK], MOST);
        for (offset, length) in parts(file)? {
            let length = length.min(left);
            left -= length;
            let mut at = 0;
            while at < length {
                let wanted = CHUNK.min(usize::try_from(length - at).unwrap_or(CHUNK));
                let filled = fill(file, &mut chunk[..wanted], offset.saturating_add(at))?;
                let bytes = &chunk[..filled];
                for (finder, word) in finders.iter().zip(words) {
                    let places = finder.find_iter(bytes).filter(|place| is_whole(bytes, *place, word.len()));
                    texts.extend(places.take(MANY).map(|place| Bytes::from(around(bytes, place, word.len()))));
                }
                if filled < CHUNK || texts.len() > MANY {
                    break;
                }
                at += (filled - 4 * AROUND) as u64;
            }
        }
        Ok(texts)
    }
}

fn is_whole(text: &[u8], at: usize, length: usize) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    !before.is_some_and(is_word) && !text.get(at + length).is_some_and(is_word)
}

/// The printable text around a word.
fn around(text: &[u8], at: usize, length: usize) -> &[u8] {
    let is_text = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\t');
    let before = text[..at].iter().rev().take(AROUND).take_while(is_text).count();
    let behind = text[at + length..].iter().take(AROUND).take_while(is_text).count();
    &text[at - before..at + length + behind]
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
