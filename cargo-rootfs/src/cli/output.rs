//! From plans and assemblies to sinks, and how the writing is told of.
//!
//! The bytes and the names are [`crate::write`]'s.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Terminal;
use crate::error::{Error, Result, Warning};
use crate::image::ImageConfig;
use crate::layout::Assembly;
use crate::plan::{Output, RootfsPlan, Start};
use crate::report;
use crate::rootfs::Rootfs;
use crate::target::Target;
use crate::write::{self, Observer, Sink, Written, dir, docker, tar};

/// A write that is over sooner shows no bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// The last second that the eleven octal digits of a tar header can name (tar(5)).
const LAST_SECOND: i64 = 0o77_777_777_777;

/// The time that files and images get: SOURCE_DATE_EPOCH, or 0
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub(super) fn epoch(variable: Option<&OsStr>) -> Result<i64> {
    let Some(value) = variable.filter(|value| !value.is_empty()) else { return Ok(0) };
    let text = value.to_string_lossy();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(seconds) if digits && seconds <= LAST_SECOND => Ok(seconds),
        _ => Err(Error::usage(format!("SOURCE_DATE_EPOCH is `{text}`, which is not a time in seconds since 1970"))
            .help("export SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct)")),
    }
}

/// Writes every rootfs to each of its outputs. None has its name before all of them are complete.
pub(super) fn write(
    plans: &[RootfsPlan],
    assemblies: &[Assembly],
    epoch: i64,
    terminal: &Terminal,
    interrupted: &AtomicBool,
) -> Result<Vec<(Written, Target)>> {
    // Ctrl-C ends an engine that is asked, too.
    let or_interrupted = |error| if interrupted.load(Ordering::Relaxed) { Error::interrupted() } else { error };
    let mut staged = Vec::new();
    for (plan, assembly) in plans.iter().zip(assemblies) {
        let image = image(plan, assembly, epoch);
        let mut sinks = Vec::new();
        for output in &plan.outputs {
            let (verb, name) = words(output);
            terminal.status(verb, name);
            sinks.push(sink(output, epoch, &image, &assembly.rootfs).map_err(or_interrupted)?);
        }
        let mut progress = Progress::new(assembly.rootfs.size(), terminal);
        let complete = write::stage(&assembly.rootfs, sinks, &mut progress, interrupted);
        progress.end();
        staged.extend(complete?.into_iter().map(|one| (one, plan.target.clone())));
    }
    staged.into_iter().map(|(one, target)| Ok((one.commit()?, target))).collect()
}

/// What a status line says of an output.
fn words(output: &Output) -> (&'static str, String) {
    match output {
        Output::Tar(path) => ("Packing", path.to_string()),
        Output::Stdout => ("Packing", "to standard output".to_owned()),
        Output::Dir(path, _) => ("Copying", path.to_string()),
        Output::Image { engine, name } => ("Importing", format!("{name} into {}", engine.program())),
    }
}

fn sink(output: &Output, epoch: i64, image: &ImageConfig, rootfs: &Rootfs) -> Result<Box<dyn Sink>> {
    match output {
        Output::Tar(path) => tar::TarFile::create(path, epoch),
        Output::Stdout => tar::stdout(epoch),
        Output::Dir(path, replace) => dir::Dir::create(path, epoch, *replace),
        Output::Image { engine, name } => docker::import(*engine, name, image, rootfs),
    }
}

/// The image's configuration, with the paths that the layout gave.
pub(super) fn image(plan: &RootfsPlan, assembly: &Assembly, epoch: i64) -> ImageConfig {
    let mut config = plan.image.config.clone();
    let path = |path: Option<&crate::RootfsPath>| path.map(ToString::to_string).into_iter().collect();
    match &plan.image.start {
        Start::Given(entrypoint) => config.entrypoint.clone_from(entrypoint),
        Start::Executable(index) => config.entrypoint = path(assembly.executables.get(*index)),
        Start::FirstTool => config.cmd = path(assembly.tools.first()),
        Start::Nothing => {}
    }
    config.created = epoch;
    config
}

/// A bar on a terminal, for whoever waits long enough to wonder.
pub(super) struct Progress<'t> {
    terminal: &'t Terminal,
    bar: ProgressBar,
    started: Instant,
}

impl<'t> Progress<'t> {
    pub(super) fn new(size: u64, terminal: &'t Terminal) -> Self {
        Self {
            terminal,
            bar: ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::hidden()),
            started: Instant::now(),
        }
    }

    /// As wide as cargo's.
    fn show(&self) {
        let template = "{prefix:>12.cyan.bold} [{bar:27}] {bytes}/{total_bytes} {bytes_per_sec}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_prefix("Writing");
        // indicatif draws nothing where standard error is no terminal.
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress<'_> {
    fn wrote(&mut self, bytes: u64) {
        if self.bar.is_hidden() && !self.terminal.is_quiet() && self.started.elapsed() > PATIENCE {
            self.show();
        }
        self.bar.inc(bytes);
    }

    fn warn(&mut self, warning: Warning) {
        self.bar.suspend(|| self.terminal.warning(&warning));
    }
}

/// What rules add of less is not worth a word.
const LARGE: u64 = 1 << 20;

/// How many of the largest are named.
const NAMED: usize = 3;

/// The largest of what rules added, by the name of what called for it, and how many files have set-ID bits: in
/// parentheses, or nothing.
pub(super) fn largest(assemblies: &[Assembly]) -> String {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (name, size) in assemblies.iter().flat_map(|assembly| report::additions(&assembly.rootfs)) {
        *sums.entry(name).or_default() += size;
    }
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, size)| *size >= LARGE).collect();
    sums.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
    let mut said: Vec<String> =
        sums.iter().take(NAMED).map(|(name, size)| format!("{name} +{}", bytes(*size))).collect();
    match assemblies.iter().map(|assembly| report::set_ids(&assembly.rootfs)).sum::<usize>() {
        0 => {}
        count => said.push(format!("{count} set-ID")),
    }
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

/// A size for people: `1.4 MiB`.
pub(super) fn bytes(size: u64) -> impl std::fmt::Display {
    indicatif::HumanBytes(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_is_a_number_of_seconds() {
        for (text, seconds) in
            [("", Some(0)), ("0", Some(0)), ("1700000000", Some(1_700_000_000)), ("8589934591", Some(LAST_SECOND))]
        {
            assert_eq!(epoch(Some(OsStr::new(text))).ok(), seconds, "{text}");
        }
        assert_eq!(epoch(None).unwrap(), 0);
        for text in ["x", "-1", "+1", "1.5", " 1", "8589934592", "99999999999999999999"] {
            assert_eq!(epoch(Some(OsStr::new(text))).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
