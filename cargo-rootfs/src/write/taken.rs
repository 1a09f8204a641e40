//! Files that a sink took themselves: each is checked again after its bytes must have been read.
//!
//! A pipe of a file contains the file's own pages, which change with the file.

use std::collections::VecDeque;
use std::fs::File;

use crate::error::Result;
use crate::rootfs::HostFile;

/// The minimum of a pipe's capacity that a file's bytes use, even a single one: a page (pipe(7)).
const PAGE: u64 = 4096;

/// Taken files that may still be unread, in order.
#[derive(Default)]
pub(super) struct Taken<'f> {
    files: VecDeque<Unread<'f>>,
    /// The number of all taken bytes.
    bytes: u64,
}

struct Unread<'f> {
    planned: &'f HostFile,
    file: File,
    /// The number of all taken bytes at the end of this file.
    end: u64,
}

impl<'f> Taken<'f> {
    /// Adds a number of taken bytes.
    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Reports that all of `file` was taken. Fails if it differs from `planned`, or if an earlier file has changed that
    /// must have been read by now: the sink's reader is at most `backlog` bytes behind.
    pub(super) fn end(&mut self, planned: &'f HostFile, file: File, backlog: u64) -> Result<()> {
        planned.unchanged(&file)?;
        if planned.size == 0 || backlog == 0 {
            return Ok(());
        }
        self.files.push_back(Unread { planned, file, end: self.bytes });
        let is_read =
            |first: &Unread<'_>, count: usize| first.end + backlog <= self.bytes || count as u64 > backlog / PAGE;
        while self.files.front().is_some_and(|first| is_read(first, self.files.len())) {
            self.files.pop_front().map_or(Ok(()), Unread::look)?;
        }
        Ok(())
    }

    /// Reports that the reader has ended, so all bytes were read.
    pub(super) fn finish(self) -> Result<()> {
        self.files.into_iter().try_for_each(Unread::look)
    }
}

impl Unread<'_> {
    fn look(self) -> Result<()> {
        self.planned.unchanged(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::temp;
    use super::*;

    fn host(path: &camino::Utf8Path, bytes: &[u8]) -> HostFile {
        std::fs::write(path, bytes).unwrap();
        HostFile::new(path.into(), &path.symlink_metadata().unwrap())
    }

    /// Returns whether a change of the first of `count` files of `length` bytes each is noticed at the end of the last
    /// file, and whether it is noticed at the end of the stream.
    fn seen(count: usize, length: usize, backlog: u64) -> (bool, bool) {
        let (_folder, folder) = temp();
        let files: Vec<_> = (0..count).map(|at| host(&folder.join(at.to_string()), &vec![1; length])).collect();
        let mut taken = Taken::default();
        for (at, file) in files.iter().enumerate() {
            taken.add(file.size);
            let ended = taken.end(file, file.open().unwrap(), backlog);
            if at + 1 == count {
                return (ended.is_err(), taken.finish().is_err());
            }
            ended.unwrap();
            if at == 0 {
                std::fs::write(&file.path, b"other").unwrap();
            }
        }
        unreachable!("there are files")
    }

    #[test]
    fn a_file_is_watched_until_it_must_have_been_read() {
        assert_eq!(seen(3, 10_000, 20_001), (false, true), "its last byte may be unread");
        assert_eq!(seen(3, 10_000, 20_000), (true, false), "it was read, and is not looked at again");
        assert_eq!(seen(3, 1, 3 * PAGE), (false, true), "each of them has a page of the pipe");
        assert_eq!(seen(3, 1, 2 * PAGE), (true, false), "which has only two");
        assert_eq!(seen(9, 0, 2 * PAGE), (false, false), "there is nothing to be read");
    }
}
