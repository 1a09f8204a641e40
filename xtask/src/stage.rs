//! Runs named pieces of work one after another, and keeps the score.
//! What a piece does, and whether a missing tool lets it be skipped, is not decided here.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::host;

/// Why a piece of work could not be done on this machine.
#[derive(Debug)]
pub(crate) struct Skip(String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Ends a piece of work that this machine cannot do: a skip on a laptop, a failure in CI.
pub(crate) fn cannot<T>(why: impl Into<String>) -> Result<T> {
    let why = why.into();
    if host::in_ci() { bail!("{why} (in CI nothing is skipped)") } else { Err(Skip(why).into()) }
}

/// Ends a piece of work where `tool` is missing.
pub(crate) fn need(tool: &str) -> Result<()> {
    if host::has(tool) { Ok(()) } else { cannot(format!("{tool} is not installed: run `cargo xtask setup`")) }
}

/// The score of a run.
#[derive(Debug)]
pub(crate) struct Score {
    prefix: &'static str,
    started: Instant,
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Score {
    /// A score whose closing line starts with `prefix`.
    pub(crate) fn new(prefix: &'static str) -> Score {
        Score { prefix, started: Instant::now(), passed: 0, failed: Vec::new(), skipped: Vec::new() }
    }

    /// Runs one piece of work, and tells its name, how it ended and how long it took, against what it may take.
    pub(crate) fn stage(&mut self, name: &str, budget: Duration, work: impl FnOnce() -> Result<()>) {
        println!("==> {name} (budget {} s)", budget.as_secs());
        let started = Instant::now();
        let ended = work();
        let took = started.elapsed();
        let over = if took > budget { ", OVER BUDGET" } else { "" };
        let time = format!("{:.1} s of {} s{over}", took.as_secs_f64(), budget.as_secs());
        match ended {
            Ok(()) => {
                self.passed += 1;
                println!("<== {name}: passed, {time}\n");
            }
            Err(error) if error.is::<Skip>() => {
                self.skipped.push(format!("{name}: {error:#}"));
                println!("<== {name}: SKIPPED, {error:#}\n");
            }
            Err(error) => {
                self.failed.push(name.to_owned());
                println!("{error:#}");
                println!("<== {name}: FAILED, {time}\n");
            }
        }
    }

    /// Tells the score, as its last line, and fails where anything failed.
    pub(crate) fn close(self) -> Result<()> {
        println!("total {:.0} s", self.started.elapsed().as_secs_f64());
        for skipped in &self.skipped {
            println!("skipped {skipped}");
        }
        for failed in &self.failed {
            println!("failed  {failed}");
        }
        let (passed, failed, skipped) = (self.passed, self.failed.len(), self.skipped.len());
        println!("{}{passed} passed, {failed} failed, {skipped} skipped", self.prefix);
        if failed > 0 {
            bail!("failed: {}", self.failed.join(", "));
        }
        Ok(())
    }
}
