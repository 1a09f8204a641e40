//! Threads that compress blocks, shared by all streams of a run.
//!
//! The number of waiting blocks is limited, and so is the memory. No thread outlives the pool.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use super::{Codec, Compression};

/// The maximum number of threads: one thread reads, digests and writes for all of them, so more do not help.
const MOST_THREADS: usize = 8;

/// The pool of this process, alive while a stream uses it.
static SHARED: Mutex<Weak<Pool>> = Mutex::new(Weak::new());

/// The threads, and the queue from which they take blocks.
pub(super) struct Pool {
    /// None only while the pool is dropped.
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    /// Buffers for reuse.
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Job {
    block: Vec<u8>,
    compression: Compression,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// The future result of one block.
pub(super) struct Compressed(Receiver<io::Result<Vec<u8>>>);

impl Compressed {
    /// Waits for the compressed block.
    pub(super) fn wait(self) -> io::Result<Vec<u8>> {
        self.0.recv().map_err(|_| io::Error::other("a thread that compresses has stopped"))?
    }
}

impl Pool {
    /// The pool of all streams, with one thread for each core.
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
        // Made first: if a later thread cannot be started, dropping it ends the earlier ones.
        let mut pool = Self { queue: Some(queue), threads: Vec::new(), spare };
        for _ in 0..count {
            let (jobs, spare) = (Arc::clone(&jobs), Arc::clone(&pool.spare));
            let thread = std::thread::Builder::new().name("compress".to_owned()).spawn(move || work(&jobs, &spare))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Takes the bytes of `block`, which is empty afterwards. Waits while the queue is full.
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
            // A panic was already printed, and the waiting stream has failed.
            let _ = thread.join();
        }
    }
}

/// Compresses blocks until the queue is closed.
fn work(jobs: &Mutex<Receiver<Job>>, spare: &Mutex<Vec<Vec<u8>>>) {
    let (mut codec, mut scratch) = (None, Vec::new());
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { mut block, compression, done }) = next else { return };
        let result = compressed(&mut codec, compression, &block, &mut scratch);
        block.clear();
        spare.lock().unwrap_or_else(PoisonError::into_inner).push(block);
        // The stream may have failed meanwhile, and no longer wait.
        let _ = done.send(result);
    }
}

fn compressed(
    codec: &mut Option<(Compression, Codec)>,
    compression: Compression,
    block: &[u8],
    scratch: &mut Vec<u8>,
) -> io::Result<Vec<u8>> {
    if codec.as_ref().is_none_or(|(of, _)| *of != compression) {
        *codec = Some((compression, Codec::new(compression)?));
    }
    match codec {
        Some((_, codec)) => codec.compress(block, scratch).map(<[u8]>::to_vec),
        None => Ok(Vec::new()),
    }
}
