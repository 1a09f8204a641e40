//! Searches the contents of files for a byte or a string.
//!
//! The meaning of what is found is the caller's.
//!
//! memchr's own searchers would be faster, and ask the processor first what it can do. Where that is a virtual one,
//! each such question (CPUID) stops it for 8 us, and there are eight: as long as to read as many files.

use memchr::arch::all::memchr::One;

/// The first place of `byte`.
pub(crate) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    One::new(byte).find(text)
}

/// The places of `text` in `image`; `rare` is a byte of it that few texts have, and is searched for.
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

/// The start of the zero-terminated string that `at` is in.
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
