//! A watched command: its file accesses, its time limit, and the end of its output.
//!
//! [`crate::watch`] records the calls; `check` and `trace` interpret them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};

use super::foreground::Foreground;
use super::message::ToInside;
use super::outside::lost;
use super::{Command, Ended, Entered, Outcome, Watched};
use crate::error::{Error, Result};
use crate::watch::{self, Watch};

/// The limits and streams of an observation.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) stdin: Stdin,
    /// The reader of the command's outputs.
    pub(crate) output: Option<Output>,
    /// The time limit of the command.
    pub(crate) limit: Option<Duration>,
}

/// The command's standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdin {
    Own,
    /// /dev/null
    Nothing,
}

/// The reading end of a pipe for a command's outputs; it keeps the last bytes.
#[derive(Debug)]
pub(crate) struct Output {
    pipe: File,
    kept: VecDeque<u8>,
}

/// The number of bytes that are kept.
const KEPT: usize = 16 << 10;

impl Output {
    /// Both ends of a pipe.
    pub(crate) fn pipe() -> Result<(Self, OwnedFd)> {
        let failed = |error: rustix::io::Errno| Error::failed("cannot make a pipe").with_source(io::Error::from(error));
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed)?;
        rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK).map_err(failed)?;
        Ok((Self { pipe: File::from(read), kept: VecDeque::new() }, write))
    }

    /// Reads the available bytes.
    fn read(&mut self) {
        let mut part = [0; 4096];
        // The limit keeps an endless printer from blocking this loop.
        for _ in 0..64 {
            match self.pipe.read(&mut part) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    self.kept.extend(&part[..count]);
                    self.kept.drain(..self.kept.len().saturating_sub(KEPT));
                }
            }
        }
    }
}

/// The interval between checks for remaining processes.
const STEP: Duration = Duration::from_millis(50);

impl Entered {
    /// Runs `command` and watches it and all its children. In a rootfs, the children end with the command. On the host,
    /// this waits for the remaining ones until they end or a signal arrives; `left` is called once with their number.
    ///
    /// # Errors
    ///
    /// A machine that forbids ptrace(2), with the name of the setting.
    pub(crate) fn watch(self, command: Command, how: Watching, left: &mut dyn FnMut(usize)) -> Result<Watched> {
        let init = self.inside.init.map_or(0, |init| init.as_raw_nonzero().get());
        let watch = Watch::children_of(init).map_err(watch::explain)?;
        let nothing = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| Error::io("open", "/dev/null", error.into()))?;
        let stdin = io::stdin();
        let stdin = if how.stdin == Stdin::Own { stdin.as_fd() } else { nothing.as_fd() };
        let foreground = Foreground::of_this_process();
        self.inside.tell(&ToInside::Start(command), Some(stdin))?;
        let started = Instant::now();
        let Watching { mut output, limit, .. } = how;
        let mut timed_out = false;
        let ended = loop {
            let deadline = limit.filter(|_| !timed_out).map(|limit| limit.saturating_sub(started.elapsed()));
            let mut ready =
                vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.inside.channel, PollFlags::IN)];
            ready.extend(output.as_ref().map(|output| PollFd::new(&output.pipe, PollFlags::IN)));
            let timeout = deadline.and_then(|deadline| Timespec::try_from(deadline).ok());
            match rustix::event::poll(&mut ready, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(lost(error.into())),
            }
            let told = !ready[1].revents().is_empty();
            if let Some(output) = &mut output {
                output.read();
            }
            if self.pass_signals() && limit.is_some() {
                // A time limit means that the caller waits for an answer and not for the command.
                return Err(Error::interrupted());
            }
            if deadline.is_some_and(|deadline| deadline.is_zero()) {
                timed_out = true;
                let kill = rustix::process::Signal::KILL.as_raw();
                let _ = self.inside.tell(&ToInside::Signal { number: kill, by_terminal: false }, None);
            }
            if let Some(outcome) = told.then(|| self.listen(foreground.as_ref())).transpose()?.flatten() {
                break outcome;
            }
        };
        if let Some(output) = &mut output {
            output.read();
        }
        foreground.and_then(|foreground| foreground.take_back());
        let output = output.map(|output| output.kept.into()).unwrap_or_default();
        let seen = if limit.is_some() {
            // In a rootfs no process outlives it.
            drop(self);
            watch.finish()
        } else {
            self.outlived(watch, left)
        };
        Ok(Watched { outcome: ended, timed_out, output, seen })
    }

    /// Waits for the processes that an ended command has left behind.
    fn outlived(self, watch: Watch, left: &mut dyn FnMut(usize)) -> watch::Seen {
        // Processes that end together with the command need a moment.
        std::thread::sleep(Duration::from_millis(2));
        if watch.watched() > 0 {
            std::thread::sleep(STEP);
        }
        let mut told = false;
        while watch.watched() > 0 {
            if !std::mem::replace(&mut told, true) {
                left(watch.watched());
            }
            let step = Timespec::try_from(STEP).ok();
            let mut ready = [PollFd::new(&self.signals, PollFlags::IN)];
            let _ = rustix::event::poll(&mut ready, step.as_ref());
            if self.signals.next().is_some() {
                return watch.stop();
            }
        }
        watch.stop()
    }
}

impl Watched {
    /// Returns whether it ended with status 0, within its time limit.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.outcome, Outcome::Ended(Ended::Exited(0))) && !self.timed_out
    }
}
