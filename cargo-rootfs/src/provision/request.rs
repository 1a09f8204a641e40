//! Requests for sysroots, and reports on progress.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::suite::{Suite, base};
use super::want::Want;
use crate::error::{Result, Warning};
use crate::target::Machine;

/// A request for a sysroot.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) suite: Suite,
    pub(crate) machine: Machine,
    pub(crate) wants: BTreeSet<Want>,
    /// Optional requests: satisfied if any package has them.
    pub(crate) hopes: BTreeSet<Want>,
    pub(crate) pinned: Pinned,
    pub(crate) may: May,
    /// True with `--sysroot auto` or without `--sysroot`.
    pub(crate) is_auto: bool,
}

impl Request {
    /// The requests that must be satisfied.
    pub(super) fn all_wants(&self) -> BTreeSet<Want> {
        let base = base().into_iter().map(|name| Want::Package(name.to_owned()));
        base.chain(self.wants.iter().cloned()).collect()
    }
}

/// The place of the version record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// `rootfs.lock` in this directory.
    Project(PathBuf),
    /// In the cache, for a day: the run has no project.
    Nowhere,
}

/// The permissions that `--locked`, `--offline` and `--frozen` withdraw.
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
    /// `sysroot update`: all versions are chosen again.
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
    /// Another process makes a sysroot of the same suite.
    Waiting,
    Updating(&'s Suite, &'static str),
    /// The index of all files is searched.
    Searching(&'s Suite, &'static str),
    /// The number of packages.
    Downloading(usize),
    Extracting(usize, &'s Suite, &'static str),
    /// A program is missing that makes files, or an index is not available.
    Lacking(&'s Warning),
    /// Several packages have a tool; this sentence names the chosen one.
    Chosen(&'s str),
    /// The lock was written.
    Locking(&'s Path),
    /// A sysroot was chosen without a request of the user; with the reasons.
    Using(&'s str),
    /// A package of the suite and architecture has another version.
    Changed(&'s str, &'s Suite, &'s str),
}

/// Receives steps.
pub(crate) trait Watch {
    fn step(&mut self, step: Step<'_>);
}

/// Fails after an interruption.
pub(crate) type Stop<'s> = &'s dyn Fn() -> Result<()>;

/// The pause between checks for an interruption.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Waits for `time`, or fails after an interruption.
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
