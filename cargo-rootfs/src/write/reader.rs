//! Reads host files for the sinks; a thread reads ahead if there is much to read.
//!
//! It returns the bytes of all files without separators: the plan has their lengths. It writes nothing.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::Scope;

use crate::error::{Error, Result};
use crate::rootfs::HostFile;

/// The size of a read and a write. Measured on 700 MB of large files: from 256 KiB to 1 MiB the time is the same; GNU
/// tar's 10 KiB take 1.5 times as long, and a few MiB do not fit the L2 cache.
const BLOCK: usize = 256 << 10;

/// The number of blocks, which limits the memory. More save no time.
const BLOCKS: usize = 8;

/// The minimum size for a thread. Parallel reading and writing saves a quarter of the time, but starting and waking the
/// thread costs as much as copying some MiB: bash and ls are faster without it.
const WORTH_A_THREAD: u64 = 16 << 20;

/// A buffer and the number of its valid bytes. Its pages are first touched by the read.
struct Block {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Block {
    fn new() -> Self {
        Self { bytes: vec![0; BLOCK].into_boxed_slice(), filled: 0 }
    }
}

/// The source of the sinks' bytes.
pub(super) struct Reader<'f> {
    source: Source<'f>,
    block: Block,
    /// The number of bytes of `block` that were passed on.
    at: usize,
}

enum Source<'f> {
    Here(Files<'f>),
    /// The thread sends filled blocks and gets empty ones back. Dropping either end stops it.
    Thread {
        full: Receiver<Result<Block>>,
        empty: Sender<Block>,
    },
}

impl<'f> Reader<'f> {
    /// Starts to read `files` one after the other.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, files: Vec<&'f HostFile>) -> Result<Self>
    where
        'f: 'scope,
    {
        let size: u64 = files.iter().map(|file| file.size).sum();
        let files = Files { waiting: files.into_iter(), current: None };
        let source = if size < WORTH_A_THREAD { Source::Here(files) } else { read_ahead(scope, files)? };
        Ok(Self { source, block: Block::new(), at: 0 })
    }

    /// The next bytes: at least one, at most `limit`, which is the rest of the file.
    pub(super) fn next(&mut self, limit: u64) -> Result<&[u8]> {
        if self.at == self.block.filled {
            self.refill()?;
        }
        if self.block.filled == 0 {
            return Err(Error::failed("less was read than was planned"));
        }
        let length = usize::try_from(limit).unwrap_or(usize::MAX).min(self.block.filled - self.at);
        let bytes = &self.block.bytes[self.at..self.at + length];
        self.at += length;
        Ok(bytes)
    }

    /// Checks that the last file, too, is unchanged. All bytes must have been passed on.
    pub(super) fn finish(mut self) -> Result<()> {
        self.refill()
    }

    fn refill(&mut self) -> Result<()> {
        self.at = 0;
        match &mut self.source {
            Source::Here(files) => files.fill(&mut self.block),
            Source::Thread { full, empty } => {
                let next = full.recv().map_err(|_| Error::failed("the thread that reads files stopped"))??;
                // After its last block, the thread receives none.
                let _ = empty.send(std::mem::replace(&mut self.block, next));
                Ok(())
            }
        }
    }
}

/// Starts the thread that fills blocks from `files`, in order; an empty block is the last one.
fn read_ahead<'scope, 'f: 'scope>(scope: &'scope Scope<'scope, '_>, mut files: Files<'f>) -> Result<Source<'f>> {
    let (filled, full) = sync_channel(BLOCKS);
    let (empty, emptied) = channel::<Block>();
    // The reader itself holds one more block, which the first exchange returns.
    for _ in 1..BLOCKS {
        empty.send(Block::new()).expect("its receiver is in this function");
    }
    let read = move || {
        while let Ok(mut block) = emptied.recv() {
            let result = files.fill(&mut block);
            let last = result.is_err() || block.filled == 0;
            if filled.send(result.map(|()| block)).is_err() || last {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("read".to_owned())
        .spawn_scoped(scope, read)
        .map_err(|error| Error::failed("cannot start a thread to read files").with_source(error))?;
    Ok(Source::Thread { full, empty })
}

/// Files that are still to be read.
struct Files<'f> {
    waiting: std::vec::IntoIter<&'f HostFile>,
    current: Option<Open<'f>>,
}

struct Open<'f> {
    file: File,
    planned: &'f HostFile,
    left: u64,
}

impl<'f> Files<'f> {
    /// Reads until `block` is full or no file is left; after the last file it stays empty.
    fn fill(&mut self, block: &mut Block) -> Result<()> {
        block.filled = 0;
        while block.filled < block.bytes.len() {
            let Some(current) = &mut self.current else {
                let Some(planned) = self.waiting.next() else { break };
                self.current = Some(Open { file: planned.open()?, planned, left: planned.size });
                continue;
            };
            if current.left == 0 {
                // A file that grew has another size now.
                current.planned.unchanged(&current.file)?;
                self.current = None;
                continue;
            }
            block.filled += current.read(&mut block.bytes[block.filled..])?;
        }
        Ok(())
    }
}

impl Open<'_> {
    fn read(&mut self, room: &mut [u8]) -> Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(room.len());
        match self.file.read(&mut room[..limit]) {
            Ok(0) => Err(self.planned.shorter(&self.file)),
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(Error::io("read", &self.planned.path, error)),
        }
    }
}
