//! Runs named pieces of work one after another, and keeps the score.
//! What a piece does, and whether a missing tool lets it be skipped, is not decided here.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, bail};

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

/// What failed of a score, and why.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed:{}", self.0)
    }
}

impl std::error::Error for Failed {}

/// Lines of the beginning, and of the end, of a failure that are told once more when a run closes.
const LINES: usize = 20;

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
    /// What failed, and why.
    failed: Vec<(String, Error)>,
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
                // A score told its failures as they came.
                if !error.is::<Failed>() {
                    println!("{error:#}");
                }
                self.failed.push((name.to_owned(), error));
                println!("<== {name}: FAILED, {time}\n");
            }
        }
    }

    /// Tells the score, as its last line, and fails where anything failed. The error tells why once more: the end of
    /// a long run is what is kept of it.
    pub(crate) fn close(self) -> Result<()> {
        println!("total {:.0} s", self.started.elapsed().as_secs_f64());
        for skipped in &self.skipped {
            println!("skipped {skipped}");
        }
        for (name, _) in &self.failed {
            println!("failed  {name}");
        }
        let (passed, failed, skipped) = (self.passed, self.failed.len(), self.skipped.len());
        println!("{}{passed} passed, {failed} failed, {skipped} skipped", self.prefix);
        if failed > 0 {
            let told = self.failed.iter().map(|(name, why)| format!("\n{name}: {}", shortened(why)));
            return Err(Failed(told.collect::<String>().replace('\n', "\n  ")).into());
        }
        Ok(())
    }
}

/// `why` in full where it is a score's own; else without its middle where it is long.
fn shortened(why: &Error) -> String {
    let text = format!("{why:#}").trim_end().to_owned();
    let lines: Vec<&str> = text.lines().collect();
    if why.is::<Failed>() || lines.len() <= 2 * LINES {
        return text;
    }
    let left_out = format!("... {} lines more", lines.len() - 2 * LINES);
    [&lines[..LINES], &[left_out.as_str()], &lines[lines.len() - LINES..]].concat().join("\n")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn of<const N: usize>(stages: [(&str, Result<()>); N]) -> Error {
        let mut score = Score::new("");
        for (name, ended) in stages {
            score.stage(name, Duration::from_secs(1), || ended);
        }
        score.close().expect_err("something failed")
    }

    #[test]
    fn a_failure_is_told_with_its_reason_through_two_scores() {
        let long: String = (1..=100).map(|line| format!("line {line}\n")).collect();
        let inner = of([("one", Err(anyhow!("short"))), ("two", Err(anyhow!(long)))]);
        let told = of([("inner", Err(inner)), ("fine", Ok(()))]).to_string();
        assert!(told.starts_with("failed:\n  inner: failed:\n    one: short\n    two: line 1\n    line 2\n"), "{told}");
        assert!(told.contains("    line 20\n    ... 60 lines more\n    line 81\n"), "{told}");
        assert!(told.ends_with("    line 100"), "{told}");
    }
}
