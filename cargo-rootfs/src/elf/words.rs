//! Finds many words in a text in one pass, at the cost of one.

use std::ops::Range;

use rustc_hash::FxHashMap;

/// The number of bytes that are classified together, which compilers vectorize.
const BLOCK: usize = 256;

/// Words, each with its index, and the class of bytes in words.
pub(super) struct Words<'w, C> {
    places: FxHashMap<&'w [u8], usize>,
    /// The pairs of bytes with which a word begins.
    pairs: Box<[u64; 1 << 10]>,
    /// 1 if every word is longer than a byte: most runs in binary data are not.
    is_long: u8,
    is_part: C,
}

impl<'w, C: Fn(u8) -> bool + Copy> Words<'w, C> {
    /// A finder of these words. Words with bytes for which `is_part` is false are never found.
    pub(super) fn new(words: impl Iterator<Item = &'w [u8]>, is_part: C) -> Self {
        let places: FxHashMap<&[u8], usize> = words.enumerate().map(|(place, word)| (word, place)).collect();
        let is_long = u8::from(places.keys().all(|word| word.len() > 1));
        let mut words = Self { pairs: Box::new([0; 1 << 10]), is_long, is_part, places: FxHashMap::default() };
        for word in places.keys() {
            match word {
                [first, second, ..] => words.may_begin(*first, *second),
                [first] => (0..=u8::MAX).for_each(|second| words.may_begin(*first, second)),
                [] => {}
            }
        }
        Self { places, ..words }
    }

    /// Also finds words after the byte `before`.
    pub(super) fn or_behind(mut self, before: u8) -> Self {
        let firsts: Vec<u8> = self.places.keys().filter_map(|word| word.first().copied()).collect();
        firsts.into_iter().for_each(|first| self.may_begin(before, first));
        self
    }

    fn may_begin(&mut self, first: u8, second: u8) {
        self.pairs[usize::from(first) << 2 | usize::from(second >> 6)] |= 1 << (second & 63);
    }

    /// The number of words.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The index of a word.
    pub(super) fn place(&self, word: &[u8]) -> Option<usize> {
        self.places.get(word).copied()
    }

    /// Calls `each` with the runs of bytes in `text` that may be one of the words; most are none.
    pub(super) fn runs(&self, text: &[u8], mut each: impl FnMut(Range<usize>)) {
        // The byte before the block, the block, and the byte behind it.
        let mut parts = [0_u8; BLOCK + 2];
        let is_short = 1 - self.is_long;
        for (number, block) in text.chunks(BLOCK).enumerate() {
            parts[1..=BLOCK].iter_mut().zip(block).for_each(|(part, byte)| *part = u8::from((self.is_part)(*byte)));
            parts[block.len() + 1..].fill(0);
            let behind = text.get((number + 1) * BLOCK);
            parts[BLOCK + 1] = behind.map_or(0, |byte| u8::from((self.is_part)(*byte)));
            let mut begins = [0_u8; BLOCK];
            let next = begins.iter_mut().zip(&parts[..BLOCK]).zip(&parts[1..=BLOCK]).zip(&parts[2..]);
            for (((begin, before), part), behind) in next {
                *begin = part & !before & (behind | is_short);
            }
            parts[0] = parts[BLOCK];
            for (eight, begins) in begins.chunks_exact(8).enumerate() {
                let mut begins = u64::from_le_bytes(begins.try_into().unwrap_or_default());
                while begins != 0 {
                    let start = number * BLOCK + eight * 8 + (begins.trailing_zeros() / 8) as usize;
                    begins &= begins - 1;
                    let (first, second) = (text[start], text.get(start + 1).copied().unwrap_or(0));
                    let pairs = self.pairs[usize::from(first) << 2 | usize::from(second >> 6)];
                    if pairs >> (second & 63) & 1 == 1 {
                        let length = text[start..].iter().take_while(|byte| (self.is_part)(**byte)).count();
                        each(start..start + length);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_wherever_they_stand() {
        let words =
            Words::new([&b"ab"[..], b"a", b"xy-z"].into_iter(), |byte| byte.is_ascii_lowercase() || byte == b'-');
        for before in [0, 1, 7, BLOCK - 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK - 3] {
            let mut text = vec![b'.'; before];
            text.extend(b"ab.abc.a.xy-z.xy.-ab.q");
            let mut found = Vec::new();
            words.runs(&text, |run| {
                found.extend(words.place(&text[run.clone()]).map(|place| (run.start - before, place)))
            });
            assert_eq!(found, [(0, 0), (7, 1), (9, 2)], "{before}");
        }
        let behind = Words::new([&b"xy"[..]].into_iter(), |byte| byte.is_ascii_lowercase()).or_behind(b's');
        let mut runs = Vec::new();
        behind.runs(b"%sxy sa xy", |run| runs.push(run));
        assert_eq!(runs, [1..4, 8..10]);
    }
}
