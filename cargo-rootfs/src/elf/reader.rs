//! A file read in a few windows, because what a loader looks at lies apart: headers, dynamic section,
//! strings.
//!
//! What the bytes mean is not known here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that can be read at an offset; a file, or a slice in tests.
pub trait ReadAt {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 is the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
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

/// The room that reading a file takes, to be used again for the next one.
#[derive(Debug)]
pub struct Buffers([Window; 3]);

#[derive(Debug)]
struct Window {
    offset: u64,
    length: usize,
    bytes: Box<[u8]>,
}

/// The length of a window: in most files the header, the strings and the versions lie in the first one.
pub(super) const WINDOW: usize = 8 << 10;

impl Default for Buffers {
    fn default() -> Self {
        Self([(); 3].map(|()| Window { offset: 0, length: 0, bytes: vec![0; WINDOW].into_boxed_slice() }))
    }
}

/// A file read through a few windows, because headers, dynamic section and strings lie apart.
pub(super) struct Reader<'f, F: ReadAt + ?Sized> {
    file: &'f F,
    windows: &'f mut [Window; 3],
    turn: usize,
}

impl<'f, F: ReadAt + ?Sized> Reader<'f, F> {
    /// Reads nothing yet.
    pub(super) fn new(file: &'f F, buffers: &'f mut Buffers) -> Self {
        for window in &mut buffers.0 {
            window.length = 0;
        }
        Self { file, windows: &mut buffers.0, turn: 0 }
    }

    /// Up to `length` bytes at `offset`, at most [`WINDOW`]; fewer only where the file ends.
    pub(super) fn at(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let inside = |window: &Window| {
            let start = usize::try_from(offset.checked_sub(window.offset)?).ok()?;
            // A window that is not full ends where the file does.
            (start < window.length && (start + length <= window.length || window.length < WINDOW)).then_some(start)
        };
        let index = match self.windows.iter().position(|window| inside(window).is_some()) {
            Some(index) => index,
            None => {
                let index = self.turn;
                self.turn = (self.turn + 1) % self.windows.len();
                let window = &mut self.windows[index];
                window.offset = offset;
                window.length = 0;
                while window.length < WINDOW {
                    let at = offset.saturating_add(window.length as u64);
                    match self.file.read_at(&mut window.bytes[window.length..], at) {
                        Ok(0) => break,
                        Ok(count) => window.length += count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                index
            }
        };
        let window = &self.windows[index];
        let start = inside(window).unwrap_or(window.length);
        Ok(&window.bytes[start..window.length.min(start + length)])
    }

    /// Exactly `length` bytes, or `None` where the file is shorter.
    pub(super) fn exactly(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let bytes = self.at(offset, length)?;
        Ok((bytes.len() == length).then_some(bytes))
    }
}
