//! Reads host files for the sinks; where there is much to read, ahead of them in a thread of its own.
//!
//! It hands on the bytes of all files end to end: where one ends, the plan says. It writes nothing.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::Scope;

use crate::error::{Error, Result};
use crate::rootfs::HostFile;

/// Bytes read and written at once. Measured on 700 MB of large files: from 256 KiB to 1 MiB the time
/// is the same; GNU tar's 10 KiB take half as long again, and a few MiB fall out of the L2 cache.
const BLOCK: usize = 256 << 10;

/// Blocks there are in all, which bounds memory. More save no time.
const BLOCKS: usize = 8;

/// Reading and writing at the same time saves a quarter of the time, and starting the thread and
/// waking it for each block costs as much as some MiB take to copy: bash and ls are quicker without.
const WORTH_A_THREAD: u64 = 16 << 20;

/// A buffer and how much of it holds bytes. Its pages are not touched before they are read into.
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
    /// Filled blocks come from the thread, and emptied ones go back. Dropping either end stops it.
    Thread {
        full: Receiver<Result<Block>>,
        empty: Sender<Block>,
    },
}

impl<'f> Reader<'f> {
    /// Begins to read `files` one after the other.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, files: Vec<&'f HostFile>) -> Result<Self>
    where
        'f: 'scope,
    {
        let size: u64 = files.iter().map(|file| file.size).sum();
        let files = Files { waiting: files.into_iter(), current: None };
        let source = if size < WORTH_A_THREAD { Source::Here(files) } else { read_ahead(scope, files)? };
        Ok(Self { source, block: Block::new(), at: 0 })
    }

    /// The next bytes: at least one, at most `limit`, which is what is left of the file.
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

    /// Makes sure that the last file, too, was found unchanged. Everything must have been handed on.
    pub(super) fn finish(mut self) -> Result<()> {
        self.refill()
    }

    fn refill(&mut self) -> Result<()> {
        self.at = 0;
        match &mut self.source {
            Source::Here(files) => files.fill(&mut self.block),
            Source::Thread { full, empty } => {
                let next = full.recv().map_err(|_| Error::failed("the thread that reads files stopped"))??;
                // It takes none back after its last.
                let _ = empty.send(std::mem::replace(&mut self.block, next));
                Ok(())
            }
        }
    }
}

/// Starts the thread that fills blocks from `files`, in order, until one stays empty.
fn read_ahead<'scope, 'f: 'scope>(scope: &'scope Scope<'scope, '_>, mut files: Files<'f>) -> Result<Source<'f>> {
    let (filled, full) = sync_channel(BLOCKS);
    let (empty, emptied) = channel::<Block>();
    // The reader itself holds one more, which comes back with the first exchange.
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
    /// Reads until `block` is full or nothing is left. After the last file it stays empty.
    fn fill(&mut self, block: &mut Block) -> Result<()> {
        block.filled = 0;
        while block.filled < block.bytes.len() {
            let Some(current) = &mut self.current else {
                let Some(planned) = self.waiting.next() else { break };
                self.current = Some(Open { file: planned.open()?, planned, left: planned.size });
                continue;
            };
            if current.left == 0 {
                // A longer file has another size by now.
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
