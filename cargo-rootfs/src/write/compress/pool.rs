//! Threads that compress blocks, one set of them for all streams of a run.
//!
//! Blocks that wait for a thread are bounded in number, and so in bytes. No thread outlives the pool.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use super::{Codec, Compression};

/// More threads than these do not help: one thread reads, digests and writes for all of them.
const MOST_THREADS: usize = 8;

/// The pool of this process, while a stream uses it.
static SHARED: Mutex<Weak<Pool>> = Mutex::new(Weak::new());

/// Threads, and the queue that they take blocks from.
pub(super) struct Pool {
    /// None only while the pool is dropped.
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    /// Buffers of blocks that were compressed.
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Job {
    block: Vec<u8>,
    compression: Compression,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// The result of one block, which may not be there yet.
pub(super) struct Compressed(Receiver<io::Result<Vec<u8>>>);

impl Compressed {
    /// The compressed block, once it is there.
    pub(super) fn wait(self) -> io::Result<Vec<u8>> {
        self.0.recv().map_err(|_| io::Error::other("a thread that compresses has stopped"))?
    }
}

impl Pool {
    /// The pool that all streams use: a thread for each core.
    pub(super) fn shared() -> io::Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = shared.upgrade() {
            return Ok(pool);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = Arc::new(Self::start(cores.min(MOST_THREADS))?);
        *shared = Arc::downgrade(&pool);
        Ok(pool)
    }

    pub(super) fn start(count: usize) -> io::Result<Self> {
        let (queue, jobs) = sync_channel::<Job>(count);
        let (jobs, spare) = (Arc::new(Mutex::new(jobs)), Arc::new(Mutex::new(Vec::new())));
        // Made first, so that threads that did start end with it where another does not.
        let mut pool = Self { queue: Some(queue), threads: Vec::new(), spare };
        for _ in 0..count {
            let (jobs, spare) = (Arc::clone(&jobs), Arc::clone(&pool.spare));
            let thread = std::thread::Builder::new().name("compress".to_owned()).spawn(move || work(&jobs, &spare))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Takes the bytes of `block`, which is then empty; waits for a free place in the queue.
    pub(super) fn compress(&self, block: &mut Vec<u8>, compression: Compression) -> io::Result<Compressed> {
        let empty = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let (done, compressed) = sync_channel(1);
        let job = Job { block: std::mem::replace(block, empty), compression, done };
        let queue = self.queue.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        queue.send(job).map_err(|_| io::Error::other("all threads that compress have stopped"))?;
        Ok(Compressed(compressed))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            // Its panic was printed, and whoever waited for it has failed.
            let _ = thread.join();
        }
    }
}

/// Compresses blocks until there are no more.
fn work(jobs: &Mutex<Receiver<Job>>, spare: &Mutex<Vec<Vec<u8>>>) {
    let mut codec: Option<(Compression, Codec)> = None;
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { mut block, compression, done }) = next else { return };
        let result = compressed(&mut codec, compression, &block);
        block.clear();
        spare.lock().unwrap_or_else(PoisonError::into_inner).push(block);
        // Whoever asked for it may have failed meanwhile.
        let _ = done.send(result);
    }
}

fn compressed(codec: &mut Option<(Compression, Codec)>, compression: Compression, block: &[u8]) -> io::Result<Vec<u8>> {
    if codec.as_ref().is_none_or(|(of, _)| *of != compression) {
        *codec = Some((compression, Codec::new(compression)?));
    }
    let mut out = Vec::new();
    if let Some((_, codec)) = codec {
        codec.compress(block, &mut out)?;
    }
    // It waits for its turn at the length that it has.
    out.shrink_to_fit();
    Ok(out)
}
