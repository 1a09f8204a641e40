//! Runs contenders in turn and takes the median and the best of the wall clock.
//! It judges nothing: that is the table's.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::process::command;

/// One side of a comparison.
pub(super) struct Contender {
    pub(super) name: String,
    argv: Vec<String>,
    /// The file it writes.
    output: String,
}

/// What several runs of one side took, in seconds, or held, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) median: f64,
    /// The run that the rest of the machine disturbed least.
    pub(super) best: f64,
}

impl Measured {
    /// What is the same at every run.
    pub(super) fn exactly(value: f64) -> Measured {
        Measured { median: value, best: value }
    }

    fn of(mut times: Vec<f64>) -> Measured {
        times.sort_by(f64::total_cmp);
        Measured { median: times[times.len() / 2], best: times[0] }
    }
}

/// How often each side runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    pub(super) warm: usize,
    pub(super) timed: usize,
}

impl Contender {
    pub(super) fn new<I: IntoIterator<Item: Into<String>>>(name: &str, output: String, argv: I) -> Contender {
        Contender { name: name.to_owned(), argv: argv.into_iter().map(Into::into).collect(), output }
    }

    /// Runs it once with its outputs kept, so that a failure tells why.
    pub(super) fn check(&self) -> Result<()> {
        command(&self.argv).run().map(drop)
    }

    /// Seconds of one run, its start included.
    fn time(&self) -> Result<f64> {
        // Neither freeing the last output, nor writing back what the last run left dirty, is this run's work.
        if Path::new(&self.output).exists() {
            std::fs::remove_file(&self.output).with_context(|| format!("remove {}", self.output))?;
        }
        duct::cmd!("sync").run().context("run sync")?;
        let expression = duct::cmd(&self.argv[0], &self.argv[1..]).stdin_null().stdout_null().stderr_null().unchecked();
        let started = Instant::now();
        let output = expression.run().with_context(|| format!("start {}", self.name))?;
        let took = started.elapsed();
        ensure!(output.status.success(), "{} ended with {}", self.name, output.status);
        Ok(took.as_secs_f64())
    }
}

/// The seconds of each contender.
pub(super) fn interleaved<const N: usize>(contenders: [&Contender; N], rounds: Rounds) -> Result<[Measured; N]> {
    let mut times = [const { Vec::new() }; N];
    for round in 0..rounds.warm + rounds.timed {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let time = contender.time()?;
            if round >= rounds.warm {
                times.push(time);
            }
        }
    }
    Ok(times.map(Measured::of))
}

/// Peak resident bytes, as wait4(2) has them in `ru_maxrss`: GNU time's %M, in KiB.
pub(super) fn peak_memory(contender: &Contender) -> Result<Measured> {
    let done = command(["/usr/bin/time", "--quiet", "--format=%M"]).args(&contender.argv).run()?;
    let last = done.stderr.lines().last().unwrap_or_default();
    let kib: f64 = last.trim().parse().with_context(|| done.report("no peak memory in time's output"))?;
    Ok(Measured::exactly(kib * 1024.0))
}

#[cfg(test)]
mod tests {
    use super::Measured;

    #[test]
    fn the_median_is_not_moved_by_one_slow_run() {
        let measured = Measured::of(vec![4.0, 900.0, 3.0]);
        assert_eq!((measured.median, measured.best), (4.0, 3.0));
    }
}
