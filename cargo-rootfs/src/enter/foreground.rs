//! The terminal's foreground process group, and the signals that belong to the command.
//!
//! The command starts in this program's process group, so that a pipeline stays one job. A shell makes its own group
//! and takes the terminal. Inside its PID namespace it cannot see the previous group, so it cannot give the terminal
//! back.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// Signals that another process sends on purpose, and that end a program without a handler.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];

/// Blocks signals and reads them from a file. Dropping it restores the previous mask.
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

    /// The next pending signal, with true if the terminal sent it to the whole group.
    pub(super) fn next(&self) -> Option<(i32, bool)> {
        let signal = self.waiting.read_signal().ok()??;
        // A positive code means that the kernel sent it (sigaction(2), si_code).
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

/// The controlling terminal of this process, if this process's group is in the foreground.
pub(super) struct Foreground {
    terminal: File,
    own: Pid,
}

impl Foreground {
    /// `None` without a terminal, or in a background job.
    pub(super) fn of_this_process() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let own = getpgrp();
        (tcgetpgrp(&terminal) == Ok(own)).then_some(Self { terminal, own })
    }

    /// Takes the terminal back from a group that has ended or stopped, and returns that group.
    pub(super) fn take_back(&self) -> Option<Pid> {
        let other = tcgetpgrp(&self.terminal).ok().filter(|group| *group != self.own)?;
        self.give(self.own);
        Some(other)
    }

    /// Stops this process after the shell that it started has stopped; SIGCONT continues both.
    pub(super) fn stop(&self) {
        let other = self.take_back();
        let _ = nix::sys::signal::kill(Pid::this(), Signal::SIGSTOP);
        // After `bg`, this process continues without the terminal.
        let is_ours = tcgetpgrp(&self.terminal) == Ok(self.own);
        if let Some(other) = other.filter(|_| is_ours) {
            self.give(other);
        }
    }

    /// Gives the terminal to `group`. A background process may do so only while SIGTTOU is blocked (tcsetpgrp(3)).
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
