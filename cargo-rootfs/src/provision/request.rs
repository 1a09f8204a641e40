//! Requests to this room, and its reports on progress.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::suite::{Suite, base};
use super::want::Want;
use crate::error::{Result, Warning};
use crate::target::Machine;

/// A sysroot that is to be had.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) suite: Suite,
    pub(crate) machine: Machine,
    pub(crate) wants: BTreeSet<Want>,
    /// The requests that are satisfied if any package has them.
    pub(crate) hopes: BTreeSet<Want>,
    pub(crate) pinned: Pinned,
    pub(crate) may: May,
    /// True if `--sysroot auto`, or no `--sysroot`, was given.
    pub(crate) is_auto: bool,
}

impl Request {
    /// The requests that must be satisfied.
    pub(super) fn all_wants(&self) -> BTreeSet<Want> {
        let base = base().into_iter().map(|name| Want::Package(name.to_owned()));
        base.chain(self.wants.iter().cloned()).collect()
    }
}

/// The place where versions are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// In `rootfs.lock` of this directory.
    Project(PathBuf),
    /// In the cache, for a day: there is no project.
    Nowhere,
}

/// The permissions that `--locked`, `--offline` and `--frozen` take away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct May {
    pub(crate) change_lock: Lockfile,
    pub(crate) network: Network,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lockfile {
    #[default]
    Grows,
    /// `--locked`
    Stays,
    /// `sysroot update`: all versions are chosen anew.
    Renewed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Network {
    #[default]
    Used,
    /// `--offline`
    Unused,
}

/// A step of the work.
#[derive(Debug)]
pub(crate) enum Step<'s> {
    /// Another process makes one of the same suite.
    Waiting,
    Updating(&'s Suite, &'static str),
    /// In the index of all files.
    Searching(&'s Suite, &'static str),
    /// So many packages.
    Downloading(usize),
    Extracting(usize, &'s Suite, &'static str),
    /// Files that this machine has no program to make, or an index that cannot be had.
    Lacking(&'s Warning),
    /// Several packages have a tool, and one was taken: in words.
    Chosen(&'s str),
    /// The lock was written.
    Locking(&'s Path),
    /// A sysroot was chosen where nobody has named one; with the reasons.
    Using(&'s str),
    /// A package of the suite and architecture has another version.
    Changed(&'s str, &'s Suite, &'s str),
}

/// Tells of steps.
pub(crate) trait Watch {
    fn step(&mut self, step: Step<'_>);
}

/// Fails where it was asked to stop.
pub(crate) type Stop<'s> = &'s dyn Fn() -> Result<()>;

/// The pause between checks for an interruption.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Waits, as long as nobody asks to stop.
pub(super) fn pause(time: Duration, stop: Stop<'_>) -> Result<()> {
    let until = Instant::now() + time;
    loop {
        stop()?;
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return Ok(()),
            left => std::thread::sleep(left.min(TICK)),
        }
    }
}
