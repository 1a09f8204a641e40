//! Searches the contents of files for a byte or a string.
//!
//! Callers interpret the results.
//!
//! memchr's own searchers would be faster, but first query the processor's features. On a virtual machine, each of
//! these eight queries (CPUID) takes 8 us, and together as long as reading that many files.

use memchr::arch::all::memchr::One;

/// The first position of `byte`.
pub(crate) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    One::new(byte).find(text)
}

/// The positions of `text` in `image`; `rare` is a byte of `text` that few other texts have, which is searched for
/// first.
pub(crate) fn places<'i>(image: &'i [u8], text: &'i [u8], rare: u8) -> impl Iterator<Item = usize> + 'i {
    let before = find(rare, text).unwrap_or(0);
    let rare = One::new(rare);
    let mut next = 0;
    std::iter::from_fn(move || {
        loop {
            let at = next + rare.find(image.get(next..)?)?;
            next = at + 1;
            let start = at.checked_sub(before).filter(|start| image[*start..].starts_with(text));
            if start.is_some() {
                return start;
            }
        }
    })
}

/// The start of the zero-terminated string around `at`.
pub(crate) fn begin(image: &[u8], at: usize) -> usize {
    image[..at].iter().rposition(|byte| *byte == 0).map_or(0, |nul| nul + 1)
}

#[cfg(test)]
mod tests {
    use super::{begin, places};

    #[test]
    fn every_place_is_found_and_its_string_too() {
        let image = b"a/lib/\0/usr/lib/\0/lib/x";
        let found: Vec<usize> = places(image, b"/\0", b'/').collect();
        assert_eq!(found, [5, 15]);
        assert_eq!(found.iter().map(|at| begin(image, *at)).collect::<Vec<_>>(), [0, 7]);
        assert_eq!(places(image, b"/lib/", b'b').count(), 3);
        assert_eq!(places(b"", b"/lib/", b'b').chain(places(image, b"nowhere", b'n')).count(), 0);
        assert_eq!(places(b"aaa", b"aa", b'a').collect::<Vec<_>>(), [0, 1]);
        assert_eq!(places(b"bbab", b"ab", b'b').collect::<Vec<_>>(), [2]);
    }
}
