//! Threads: the useful number, their file descriptors, and their signals.

use std::io;
use std::thread::JoinHandle;

/// The number of cores available to this process.
pub(crate) fn cores() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |cores| cores.count() as usize)
}

/// Gives this thread a separate table of file descriptors. In a shared table, opening and closing are serialized, and
/// each read counts a reference. A failure has no other effect.
#[cfg(feature = "cli")]
pub(crate) fn take_own_descriptors() {
    let _ = nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES);
}

#[cfg(not(feature = "cli"))]
pub(crate) fn take_own_descriptors() {}

/// Work on a thread in the background, and its result.
#[derive(Debug)]
pub(crate) struct Pending<T>(JoinHandle<T>);

impl<T: Send + 'static> Pending<T> {
    /// Starts the work on a thread of this name.
    pub(crate) fn start(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        start_in_background(name, work).map(Self)
    }

    /// Waits for the result. A panic there becomes one here.
    pub(crate) fn result(self) -> T {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Starts a thread that may outlive its caller, with all signals blocked.
///
/// A signal to the process is delivered to any one thread that does not block it (signal(7)). Code that blocks signals to
/// read them, as `run` does to pass them on, would lose those that such a thread takes.
pub(crate) fn start_in_background<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    with_signals_blocked(|| std::thread::Builder::new().name(name.to_owned()).spawn(work))
}

/// Threads inherit the mask of the thread that starts them (pthread_create(3)).
#[cfg(feature = "cli")]
fn with_signals_blocked<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    use nix::sys::signal::SigSet;

    let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK)?;
    let started = start();
    before.thread_set_mask()?;
    started
}

/// Without the command, no code reads signals.
#[cfg(not(feature = "cli"))]
fn with_signals_blocked<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    start()
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use nix::sys::signal::{SigSet, Signal};

    use super::*;

    #[test]
    fn a_thread_in_the_background_takes_no_signal_from_others() {
        let before = SigSet::thread_get_mask().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        start_in_background("test", move || sender.send(SigSet::thread_get_mask().unwrap()).unwrap()).unwrap();
        let there = receiver.recv().unwrap();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1] {
            assert!(there.contains(signal), "{signal}");
        }
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
