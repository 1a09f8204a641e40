//! Reads a file in a few windows, because headers, dynamic section and strings are far apart.
//!
//! It does not interpret bytes.

use std::fs::File;
use std::io;

use super::raw::Raw;

/// Bytes that can be read at an offset: a file, or a slice in tests.
pub trait ReadAt {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 is the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // The C library's pread checks twice for a cancellation of the thread.
        Ok(rustix::io::pread(self, buffer, offset)?)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// Memory for reading a file, reused for the next one.
#[derive(Debug, Default)]
pub struct Buffers {
    windows: Windows,
    pub(super) raw: Raw,
}

#[derive(Debug)]
struct Windows([Window; 5]);

#[derive(Debug)]
struct Window {
    offset: u64,
    length: usize,
    /// True if the window ends at the end of the file.
    is_last: bool,
    bytes: Vec<u8>,
}

/// The maximum length of one read part.
pub(super) const MAX_PART: usize = 8 << 10;
/// The size of the first read: the headers, and of most programs also the strings.
const FIRST: usize = 4 << 10;
/// The size of other reads. At the relevant positions of real files, a larger copy takes longer than a second read.
const WINDOW: usize = 2 << 10;

impl Default for Windows {
    fn default() -> Self {
        Self([(); 5].map(|()| Window { offset: 0, length: 0, is_last: false, bytes: Vec::new() }))
    }
}

impl Window {
    /// The position of a part in the window, if the window has all bytes of it that the file has.
    fn holds(&self, offset: u64, length: usize) -> Option<usize> {
        let start = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        (start < self.length && (start + length <= self.length || self.is_last)).then_some(start)
    }

    /// Fills it from `offset` on with at least `length` bytes; fewer only at the end of the file.
    fn fill<F: ReadAt + ?Sized>(&mut self, file: &F, offset: u64, length: usize) -> io::Result<()> {
        (self.offset, self.length, self.is_last) = (offset, 0, false);
        let room = length.max(if offset == 0 { FIRST } else { WINDOW });
        self.bytes.resize(room, 0);
        while self.length < length {
            let at = offset.saturating_add(self.length as u64);
            match file.read_at(&mut self.bytes[self.length..], at) {
                Ok(0) => {
                    self.is_last = true;
                    break;
                }
                Ok(count) => self.length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A file read through a few windows, because headers, dynamic section and strings are far apart.
pub(super) struct Reader<'f, F: ReadAt + ?Sized> {
    file: &'f F,
    windows: &'f mut [Window; 5],
    /// The last used window, which mostly has the next part too.
    last: usize,
    turn: usize,
}

impl Buffers {
    /// Starts with a new file.
    pub(super) fn start<'f, F: ReadAt + ?Sized>(&'f mut self, file: &'f F) -> (Reader<'f, F>, &'f mut Raw) {
        let windows = &mut self.windows.0;
        for window in windows.iter_mut() {
            window.length = 0;
        }
        self.raw.clear();
        (Reader { file, windows, last: 0, turn: 0 }, &mut self.raw)
    }
}

impl<F: ReadAt + ?Sized> Reader<'_, F> {
    /// Up to `length` bytes at `offset`, at most [`MAX_PART`]; fewer only at the end of the file.
    pub(super) fn at(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let bytes = self.from(offset, length)?;
        Ok(&bytes[..bytes.len().min(length)])
    }

    /// The bytes at `offset` that are in memory: at least `length` of them, fewer only at the end of the file.
    #[inline]
    pub(super) fn from(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let start = match self.windows[self.last].holds(offset, length) {
            Some(start) => start,
            None => self.turn_to(offset, length)?,
        };
        let window = &self.windows[self.last];
        Ok(&window.bytes[start..window.length])
    }

    /// Selects a window with this part, and returns the position in it.
    fn turn_to(&mut self, offset: u64, length: usize) -> io::Result<usize> {
        self.last = match self.windows.iter().position(|window| window.holds(offset, length).is_some()) {
            Some(index) => index,
            None => {
                let index = self.turn;
                self.turn = (self.turn + 1) % self.windows.len();
                self.windows[index].fill(self.file, offset, length)?;
                index
            }
        };
        let window = &self.windows[self.last];
        Ok(window.holds(offset, length).unwrap_or(window.length))
    }

    /// Exactly `length` bytes, or `None` if the file is shorter.
    pub(super) fn exactly(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let bytes = self.at(offset, length)?;
        Ok((bytes.len() == length).then_some(bytes))
    }
}
