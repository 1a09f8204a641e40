//! Runs named pieces of work one after another, and counts the results. A piece decides itself whether a missing tool
//! skips it. Durations are printed and never judged, because a machine can be busy.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use anyhow::{Error, Result, bail};

use crate::host;

/// The amount of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// `cargo xtask test`: each capability once, ten minutes on two idle cores including the set-up.
    Quick,
    /// `cargo xtask acceptance`: everything.
    Full,
}

/// A reason why this machine cannot do a piece of work.
#[derive(Debug)]
pub(crate) struct Skip(String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// The failures of a run, with their reasons.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed:{}", self.0)
    }
}

impl std::error::Error for Failed {}

/// Lines at the start, and at the end, of a failure that are printed again at the end of a run.
const LINES: usize = 20;

/// Ends a piece of work that this machine cannot do: a skip on a laptop, a failure in CI.
pub(crate) fn cannot<T>(why: impl Into<String>) -> Result<T> {
    let why = why.into();
    if host::in_ci() { bail!("{why} (in CI nothing is skipped)") } else { Err(Skip(why).into()) }
}

/// The reason why a piece of work was skipped, if that is its error.
pub(crate) fn skipped(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Skip>().map(|Skip(why)| why.as_str())
}

/// Ends a piece of work if `tool` is missing.
pub(crate) fn need(tool: &str) -> Result<()> {
    if host::has(tool) { Ok(()) } else { cannot(format!("{tool} is not installed: run `cargo xtask setup --all`")) }
}

/// Runs each of `works`, prints the results, and fails if any failed, so that one run reports everything. `title` names
/// the run in its lines.
pub(crate) fn run<W: FnOnce() -> Result<()>>(title: &str, works: Vec<(&str, W)>) -> Result<()> {
    let started = Instant::now();
    let count = works.len();
    let mut passed = 0;
    let (mut skipped, mut failed) = (Vec::new(), Vec::new());
    for (index, (name, work)) in works.into_iter().enumerate() {
        let key = format!("{title}: {name}");
        let last = durations().get(&key).map_or(String::new(), |seconds| format!(" (last time {seconds:.1} s)"));
        println!("==> {title}, {} of {count}: {name}{last}", index + 1);
        let begun = Instant::now();
        let ended = work();
        let seconds = begun.elapsed().as_secs_f64();
        match ended {
            Ok(()) => {
                passed += 1;
                remember(key, seconds);
                println!("<== {name}: passed, {seconds:.1} s\n");
            }
            Err(error) if error.is::<Skip>() => {
                skipped.push(format!("{name}: {error:#}"));
                println!("<== {name}: SKIPPED, {error:#}\n");
            }
            Err(error) => {
                // A nested run has already printed its failures.
                if !error.is::<Failed>() {
                    println!("{error:#}");
                }
                failed.push((name, error));
                println!("<== {name}: FAILED, {seconds:.1} s\n");
            }
        }
    }
    for skipped in &skipped {
        println!("skipped {skipped}");
    }
    for (name, _) in &failed {
        println!("failed  {name}");
    }
    let (not, left) = (failed.len(), skipped.len());
    println!("{title}: {passed} passed, {not} failed, {left} skipped, {:.0} s", started.elapsed().as_secs_f64());
    if failed.is_empty() {
        return Ok(());
    }
    // With all reasons again, because logs often keep only the end of a long run.
    let told = failed.iter().map(|(name, why)| format!("\n{name}: {}", shortened(why)));
    Err(Failed(told.collect::<String>().replace('\n', "\n  ")).into())
}

/// Seconds of the last run of each piece of work, by its run and name.
fn durations() -> BTreeMap<String, f64> {
    let text = std::fs::read(host::cache_dir().join(DURATIONS)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

const DURATIONS: &str = "durations.json";

fn remember(key: String, seconds: f64) {
    let mut all = durations();
    all.insert(key, seconds);
    let dir = host::cache_dir();
    // The durations are only a hint, so an error is ignored.
    let _ = std::fs::create_dir_all(&dir);
    let _ = serde_json::to_vec_pretty(&all).map(|text| std::fs::write(dir.join(DURATIONS), text));
}

/// The whole of `why` if it is a list of failures; otherwise without the middle of a long text.
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

    fn of<const N: usize>(works: [(&str, Result<()>); N]) -> Error {
        let works = works.into_iter().map(|(name, ended)| (name, || ended)).collect();
        run("test of itself", works).expect_err("something failed")
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
