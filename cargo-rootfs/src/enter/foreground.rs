//! The terminal's foreground process group, and the signals that are the command's and not ours.
//!
//! The command is started in our own process group, so that a pipeline stays one job. A shell makes itself a
//! group of its own and takes the terminal; inside it does not know from whom, and cannot give it back.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// Signals that end a program unless it handles them, and that others send on purpose.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];

/// While it exists, signals are read instead of delivered. Dropping it restores what was before.
pub(super) struct Signals {
    waiting: SignalFd,
    before: SigSet,
}

impl Signals {
    pub(super) fn hold() -> io::Result<Self> {
        let before = SigSet::thread_get_mask()?;
        let held: SigSet = PASSED_ON.into_iter().collect();
        held.thread_block()?;
        Ok(Self { waiting: SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?, before })
    }

    /// The next one that has come, and whether the terminal sent it to the whole group.
    pub(super) fn next(&self) -> Option<(i32, bool)> {
        let signal = self.waiting.read_signal().ok()??;
        // A positive code is the kernel's (sigaction(2), si_code).
        Some((i32::try_from(signal.ssi_signo).ok()?, signal.ssi_code > 0))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiting.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

/// The controlling terminal of this process, while this process's group is in its foreground.
pub(super) struct Foreground {
    terminal: File,
    own: Pid,
}

impl Foreground {
    /// `None` where there is no terminal, or this is a background job.
    pub(super) fn of_this_process() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let own = getpgrp();
        (tcgetpgrp(&terminal) == Ok(own)).then_some(Self { terminal, own })
    }

    /// Takes the terminal back from a group that has ended or stopped, and says which it was.
    pub(super) fn take_back(&self) -> Option<Pid> {
        let other = tcgetpgrp(&self.terminal).ok().filter(|group| *group != self.own)?;
        self.give(self.own);
        Some(other)
    }

    /// The shell that started this process has stopped; this process stops as well, and goes on when it is told to.
    pub(super) fn stop(&self) {
        let other = self.take_back();
        let _ = nix::sys::signal::kill(Pid::this(), Signal::SIGSTOP);
        // By `bg` it goes on without the terminal.
        let is_ours = tcgetpgrp(&self.terminal) == Ok(self.own);
        if let Some(other) = other.filter(|_| is_ours) {
            self.give(other);
        }
    }

    /// Gives the terminal to `group`. A background process may do that only while SIGTTOU is blocked (tcsetpgrp(3)).
    fn give(&self, group: Pid) {
        let mut stop = SigSet::empty();
        stop.add(Signal::SIGTTOU);
        let Ok(before) = SigSet::thread_get_mask() else { return };
        if stop.thread_block().is_ok() {
            let _ = tcsetpgrp(&self.terminal, group);
            let _ = before.thread_set_mask();
        }
    }
}
