//! Runs contenders in turn, and takes the median and the best of the wall clock. The table judges the figures.

use std::process::{self, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;

use crate::process::{Done, SET_BY_CARGO, command};

/// One side of a comparison.
pub(super) struct Contender {
    pub(super) name: String,
    argv: Vec<String>,
    leaves: Leaves,
}

/// The output of a run, which is removed outside the measured time.
#[derive(Clone, Debug)]
pub(super) enum Leaves {
    /// Nothing: the answer is on standard output. It may report a missing file, so each exit code is accepted.
    Nothing,
    File(Utf8PathBuf),
    Directory(Utf8PathBuf),
    /// An image in Docker.
    Image(String),
}

/// The seconds of several runs of one side, or its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) median: f64,
    /// The run with the least disturbance by other processes.
    pub(super) best: f64,
}

impl Measured {
    /// A value that every run has.
    pub(super) fn exactly(value: f64) -> Measured {
        Measured { median: value, best: value }
    }

    fn of(mut times: Vec<f64>) -> Measured {
        times.sort_by(f64::total_cmp);
        Measured { median: times[times.len() / 2], best: times[0] }
    }
}

/// The number of runs of each side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    pub(super) warm: usize,
    pub(super) timed: usize,
    /// The time after which no further round begins, once each side has a result.
    pub(super) budget: Duration,
}

impl Contender {
    pub(super) fn new<I: IntoIterator<Item: Into<String>>>(name: &str, leaves: Leaves, argv: I) -> Contender {
        Contender { name: name.to_owned(), argv: argv.into_iter().map(Into::into).collect(), leaves }
    }

    /// The same with more words.
    pub(super) fn with<I: IntoIterator<Item: Into<String>>>(mut self, words: I) -> Contender {
        self.argv.extend(words.into_iter().map(Into::into));
        self
    }

    /// Runs it once and keeps its outputs, so that the error of a failure has them. Its files stay.
    pub(super) fn check(&self) -> Result<Done> {
        let done = command(&self.argv).finish()?;
        ensure!(self.is_result(done.code), "{}", done.report("expected success"));
        Ok(done)
    }

    fn is_result(&self, code: Option<i32>) -> bool {
        if matches!(self.leaves, Leaves::Nothing) { code.is_some() } else { code == Some(0) }
    }

    /// Removes the files of a run and writes dirty pages back, so that the next run does neither.
    pub(super) fn clear(&self) -> Result<()> {
        match &self.leaves {
            Leaves::Nothing => return Ok(()),
            Leaves::File(path) if path.exists() => {
                fs_err::remove_file(path)?;
            }
            Leaves::Directory(path) if path.exists() => {
                fs_err::remove_dir_all(path)?;
            }
            Leaves::File(_) | Leaves::Directory(_) => return Ok(()),
            Leaves::Image(name) => {
                duct::cmd!("docker", "image", "rm", "--force", name)
                    .stdout_null()
                    .stderr_null()
                    .unchecked()
                    .run()
                    .context("run docker")?;
            }
        }
        sync()
    }

    /// Seconds of one run, its start included.
    fn time(&self) -> Result<f64> {
        // Not through duct, whose own work is noticeable for a process of one millisecond.
        let mut process = process::Command::new(&self.argv[0]);
        process.args(&self.argv[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        for name in SET_BY_CARGO {
            process.env_remove(name);
        }
        let started = Instant::now();
        let status = process.status().with_context(|| format!("start {}", self.name))?;
        let took = started.elapsed();
        ensure!(self.is_result(status.code()), "{} ended with {status}", self.name);
        self.clear()?;
        Ok(took.as_secs_f64())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // Only a failed run has left anything, and its own error is reported.
        let _ = self.clear();
    }
}

/// Writes dirty pages of earlier runs and prepared files to disk.
fn sync() -> Result<()> {
    duct::cmd!("sync").run().context("run sync").map(drop)
}

/// The seconds of each contender, which run in turn.
pub(super) fn interleaved<const N: usize>(contenders: [&Contender; N], rounds: Rounds) -> Result<[Measured; N]> {
    for contender in contenders {
        contender.clear()?;
    }
    sync()?;
    let mut times = [const { Vec::new() }; N];
    let started = Instant::now();
    for round in 0..rounds.warm + rounds.timed {
        if round > rounds.warm && started.elapsed() > rounds.budget {
            break;
        }
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
    let done = command(["/usr/bin/time", "--quiet", "--format=%M"]).args(&contender.argv).finish()?;
    ensure!(contender.is_result(done.code), "{}", done.report("expected success"));
    contender.clear()?;
    let last = done.stderr.lines().last().unwrap_or_default();
    let kib: f64 = last.trim().parse().with_context(|| done.report("no peak memory in time's output"))?;
    Ok(Measured::exactly(kib * 1024.0))
}

#[cfg(test)]
mod tests {
    use super::{Contender, Leaves, Measured};

    #[test]
    fn the_median_is_not_moved_by_one_slow_run() {
        let measured = Measured::of(vec![4.0, 900.0, 3.0]);
        assert_eq!((measured.median, measured.best), (4.0, 3.0));
    }

    fn shell(script: &str, leaves: Leaves) -> Contender {
        Contender::new("sh", leaves, ["sh", "-c", script])
    }

    #[test]
    fn an_exit_code_is_an_answer_only_where_nothing_is_left() {
        assert!(shell("exit 1", Leaves::Nothing).time().is_ok());
        assert!(shell("kill -9 $$", Leaves::Nothing).time().is_err());
        assert!(shell("exit 1", Leaves::File("/nowhere/x".into())).time().is_err());
    }

    #[test]
    fn nothing_that_cargo_sets_reaches_a_contender() {
        let unset = shell("test -z \"${CARGO_MANIFEST_DIR+set}\" || kill -9 $$", Leaves::Nothing);
        assert!(unset.time().is_ok() && unset.check().is_ok());
    }
}
