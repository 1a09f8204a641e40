//! Runs apt's programs until they end, an interruption arrives, or a mirror sends nothing for too long.

use std::cell::Cell;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::super::request::{Stop, TICK};
use crate::error::{Error, Result};

/// A directory that is filled from a mirror. apt has a time limit for each request only: with many packages, and a
/// mirror that accepts requests but sends nothing, it would run for hours.
pub(super) struct Growth<'f> {
    folder: &'f Path,
    limit: Duration,
    /// The number of bytes, and the time of their last change.
    last: Cell<(u64, Instant)>,
}

impl<'f> Growth<'f> {
    pub(super) fn of(folder: &'f Path, limit: Duration) -> Self {
        Self { folder, limit, last: Cell::new((0, Instant::now())) }
    }

    /// Fails if no byte has arrived within the limit.
    pub(super) fn goes_on(&self) -> Result<()> {
        let files = fs::read_dir(self.folder).into_iter().flatten().flatten();
        let bytes = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
        let (before, since) = self.last.get();
        if bytes != before {
            self.last.set((bytes, Instant::now()));
        } else if since.elapsed() > self.limit {
            let seconds = self.limit.as_secs();
            return Err(Error::failed(format!("the mirror has sent nothing for {seconds} seconds"))
                .help("run it again: complete downloads are kept"));
        }
        Ok(())
    }
}

/// Runs the command until it ends or an interruption arrives.
pub(super) fn run(command: duct::Expression, program: &str, stop: Stop<'_>) -> Result<Output> {
    let failed = |error| Error::io("run", program, error);
    // A separate process group: apt's methods wait for a mirror and do not end together with apt.
    let command = command.before_spawn(|command| {
        command.process_group(0);
        Ok(())
    });
    let running = command.stdout_capture().stderr_capture().unchecked().start().map_err(failed)?;
    loop {
        if let Some(output) = running.wait_timeout(TICK).map_err(failed)? {
            return Ok(output.clone());
        }
        if let Err(stopped) = stop() {
            let leaders = running.pids().into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            for leader in leaders {
                let _ = rustix::process::kill_process_group(leader, Signal::TERM);
            }
            running.wait().map_err(failed)?;
            return Err(stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_that_sends_nothing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let growth = Growth::of(folder.path(), Duration::ZERO);
        for text in ["a", "ab", "abc"] {
            fs::write(folder.path().join("x.deb"), text).unwrap();
            growth.goes_on().unwrap();
        }
        assert!(growth.goes_on().unwrap_err().message().contains("has sent nothing"));
    }

    #[test]
    fn what_is_stopped_ends_with_all_that_it_started() {
        let asked = std::cell::Cell::new(0);
        let stop = || match asked.replace(asked.get() + 1) {
            0 => Ok(()),
            _ => Err(Error::interrupted()),
        };
        // Waiting for the command includes waiting for the last process that holds its outputs.
        let folder = tempfile::tempdir().unwrap();
        let script = duct::cmd("sh", ["-c", "(sleep 60; echo >ended) & wait"]).dir(folder.path());
        let stopped = run(script, "sh", &stop).unwrap_err();
        assert_eq!(stopped.exit_code(), crate::error::exit_code::INTERRUPTED);
        assert!(!folder.path().join("ended").exists());
        let output = run(duct::cmd("sh", ["-c", "echo said; exit 3"]), "sh", &|| Ok(())).unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(3), &b"said\n"[..]));
    }
}
