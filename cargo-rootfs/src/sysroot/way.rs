//! The remaining components of a path during its resolution, including those of symlinks.

use std::sync::Arc;

use crate::byte_search;

/// The components that are still to be followed: of the path, and of symlinks on it.
pub(super) struct Way<'p> {
    now: Text<'p>,
    at: usize,
    /// The rest of earlier texts, the last one first, each with the position up to which it was read.
    rest: Vec<(Text<'p>, usize)>,
}

#[derive(Clone)]
enum Text<'p> {
    Path(&'p [u8]),
    Link(Arc<[u8]>),
}

impl std::ops::Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Path(text) => text,
            Self::Link(text) => text,
        }
    }
}

impl<'p> Way<'p> {
    pub(super) fn new(path: &'p [u8]) -> Self {
        Self { now: Text::Path(path), at: 0, rest: Vec::new() }
    }

    /// Continues with a symlink's target, and then with the rest.
    pub(super) fn turn(&mut self, target: Arc<[u8]>) {
        let before = std::mem::replace(&mut self.now, Text::Link(target));
        let at = std::mem::take(&mut self.at);
        if at < before.len() {
            self.rest.push((before, at));
        }
    }

    /// The position of the next component, for [`Way::part`].
    pub(super) fn next(&mut self) -> Option<std::ops::Range<usize>> {
        loop {
            let left = &self.now[self.at..];
            let skip = left.iter().take_while(|byte| **byte == b'/').count();
            let length = byte_search::find(b'/', &left[skip..]).unwrap_or(left.len() - skip);
            let start = self.at + skip;
            if length > 0 {
                self.at = start + length;
                if &self.now[start..self.at] != b"." {
                    return Some(start..self.at);
                }
            } else {
                (self.now, self.at) = self.rest.pop()?;
            }
        }
    }

    /// Returns whether no component follows.
    pub(super) fn is_at_end(&self) -> bool {
        let is_end = |text: &[u8]| text.split(|byte| *byte == b'/').all(|part| part.is_empty() || part == b".");
        is_end(&self.now[self.at..]) && self.rest.iter().all(|(text, at)| is_end(&text[*at..]))
    }

    pub(super) fn part(&self, part: std::ops::Range<usize>) -> &[u8] {
        &self.now[part]
    }
}
