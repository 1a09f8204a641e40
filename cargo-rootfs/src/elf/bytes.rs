//! [`Bytes`]: shared text of an ELF file.
//!
//! It does not interpret the text.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Bytes of an ELF file: a soname, a search path, a version. Not necessarily UTF-8.
///
/// All strings of one file share one allocation: a file has dozens, and a machine thousands of files. Cloning is cheap;
/// two values are equal if their bytes are.
#[derive(Clone)]
pub struct Bytes {
    text: Arc<[u8]>,
    start: u32,
    end: u32,
}

impl Bytes {
    /// A part of a text of less than 4 GiB.
    pub(super) fn part(text: &Arc<[u8]>, (start, end): Span) -> Self {
        Self { text: Arc::clone(text), start, end }
    }
}

/// The start and the end of a part.
pub(super) type Span = (u32, u32);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text[self.start as usize..self.end as usize]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Bytes {
    fn from(text: &[u8]) -> Self {
        // Names in ELF files are limited far below this; see `MAX_STRINGS`.
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self { text: Arc::from(&text[..end as usize]), start: 0, end }
    }
}

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(text: &[u8; N]) -> Self {
        Self::from(&text[..])
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(text: Vec<u8>) -> Self {
        Self::from(&text[..])
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self), f)
    }
}
