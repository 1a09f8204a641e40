//! `check`: runs the project's binary and every tool in the rootfs, and reports what they miss there.
//!
//! [`crate::enter`] enters it, and [`crate::watch`] watches the commands. The smoke tests of tools are data:
//! `templates/smoke.toml`.

mod missing;
mod subjects;

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::enter::{
    self, Bind, Command, Ended, Files, Network, Outcome, Output, Outputs, Program, Stdin, Visit, Watched, Watching,
};
use crate::error::{Error, Result, Warning};
use crate::events::Events;
use crate::findings::Real;
use crate::path::RootfsPath;
use crate::pipeline::{Epoch, Rooted};
use crate::sysroot::Sysroot;

pub(crate) use missing::{Missing, Weight};
pub(crate) use subjects::Subject;

use missing::paste;
use subjects::{Expects, subjects};

/// The rootfs that is checked, and how.
pub(crate) struct Check<'c> {
    pub(crate) rooted: &'c Rooted,
    /// A command in the place of the project's binary.
    pub(crate) words: &'c [OsString],
    /// The time that each command may take, in seconds.
    pub(crate) timeout: u32,
    pub(crate) network: Network,
    pub(crate) binds: &'c [Bind],
    pub(crate) epoch: Epoch,
}

/// The result of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    /// It started, and that is all that is known.
    Starts,
    Failed,
}

impl Status {
    /// The word for it, in JSON as well.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Starts => "starts",
            Self::Failed => "failed",
        }
    }
}

/// A subject that was run.
pub(crate) struct Checked<'c> {
    pub(crate) subject: &'c Subject,
    pub(crate) status: Status,
    pub(crate) watched: Watched,
    /// Its output, standard output and standard error together.
    pub(crate) said: String,
    pub(crate) missing: Vec<Missing>,
    /// The root of the sysroot on the host.
    host: &'c Path,
    timeout: u32,
}

impl Check<'_> {
    /// Runs all subjects and hands on what became of each; fails where one failed.
    pub(crate) fn run(&self, events: &dyn Events, each: &mut dyn FnMut(&Checked<'_>) -> Result<()>) -> Result<()> {
        let started = Instant::now();
        let assembly = &self.rooted.assembly;
        let rootfs = &assembly.rootfs;
        let subjects = subjects(self.words, assembly)?;
        let image = self.rooted.image(self.epoch);
        let around = enter::command(Program::Words(&subjects[0].words), &image, rootfs, events)?;
        let mut sysroot = Sysroot::open(self.rooted.sysroot().as_std_path())?;
        let host = sysroot.root().to_owned();
        let mut errors = Vec::new();
        for subject in &subjects {
            let command = Command { words: subject.words.clone(), ..around.clone() };
            events.status("Checking", &format_args!("`{}`", subject.shown));
            if let Some(absent) = self.binds.is_empty().then(|| enter::present(&command, rootfs).err()).flatten() {
                let error = Error::failed(absent.message());
                errors.push(absent.help_line().map(str::to_owned).into_iter().fold(error, Error::help));
                continue;
            }
            let watched = self.watch(command, events)?;
            let said = String::from_utf8_lossy(&watched.output).into_owned();
            let missing = missing::missing(
                &watched.seen.events,
                &said,
                &mut Real { sysroot: &mut sysroot, rootfs, policy: &assembly.policy },
            );
            let status = status(subject.expects, &watched, &said, &missing);
            let checked = Checked { subject, status, watched, said, missing, host: &host, timeout: self.timeout };
            each(&checked)?;
            match status {
                Status::Failed => errors.push(checked.failure()),
                Status::Ok | Status::Starts => checked.warning().iter().for_each(|warning| events.warning(warning)),
            }
            checked.watched.seen.notes.iter().for_each(|note| events.warning(&Warning::new(note.clone())));
        }
        let (count, seconds) = (subjects.len(), started.elapsed().as_secs_f64());
        let commands = if count == 1 { "command" } else { "commands" };
        events.status("Finished", &format_args!("{count} {commands}, {} failed, in {seconds:.2}s", errors.len()));
        Error::all(errors)
    }

    /// Runs one command in a rootfs of its own.
    fn watch(&self, command: Command, events: &dyn Events) -> Result<Watched> {
        let (output, pipe) = Output::pipe()?;
        let visit = Visit {
            files: Files::Rootfs(&self.rooted.assembly.rootfs),
            machine: self.rooted.plan.target.machine(),
            network: self.network,
            binds: self.binds.to_vec(),
            epoch: self.epoch.seconds(),
            outputs: Outputs::To(pipe),
        };
        let limit = Duration::from_secs(self.timeout.into());
        let how = Watching { stdin: Stdin::Nothing, output: Some(output), limit: Some(limit) };
        enter::enter(&visit, events)?.watch(command, how, &mut |_| {})
    }
}

impl Checked<'_> {
    /// Each thing that is missing, with the option that adds it and the option's value.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&Missing, &'static str, String)> {
        self.missing.iter().map(|one| (one, one.add.flag(), one.add.value(self.host)))
    }

    /// The error of a subject that failed.
    fn failure(&self) -> Error {
        let Self { subject, watched, said, missing, timeout: limit, .. } = self;
        let how = match &watched.outcome {
            _ if watched.timed_out => format!("it did not end in {limit} seconds"),
            Outcome::Ended(Ended::Exited(code)) => format!("exit code {code}"),
            Outcome::Ended(Ended::Killed(signal)) => format!("signal {signal}"),
            Outcome::NotStarted(error) => error.to_string(),
        };
        let mut error = Error::failed(format!("`{}` failed in the rootfs: {how}", subject.shown));
        for line in last_lines(said) {
            error = error.detail(format!("| {line}"));
        }
        // Where something was needed, what was only looked for is not why it failed.
        let needed: Vec<&Missing> = missing.iter().filter(|one| one.weight == Weight::Needed).collect();
        let why: Vec<&Missing> = if needed.is_empty() { missing.iter().collect() } else { needed };
        for line in lines(&why) {
            error = error.detail(line);
        }
        match paste(why, self.host) {
            Some(options) => error.help(format!("add what is missing: {options}")),
            None if watched.timed_out => error.help("give it longer: --timeout SECONDS"),
            None => error.detail("it asked for nothing in vain that the sysroot has"),
        }
    }

    /// The warning of a subject that did its job without something that it needed.
    fn warning(&self) -> Option<Warning> {
        let Self { subject, status, missing, .. } = self;
        let needed: Vec<&Missing> = missing.iter().filter(|one| one.weight == Weight::Needed).collect();
        let options = paste(needed.iter().copied(), self.host)?;
        let verb = if *status == Status::Ok { "works" } else { "starts" };
        let mut message = format!("`{}` {verb}, and asked for what the rootfs lacks", subject.shown);
        for line in lines(&needed) {
            message.push_str("\n  ");
            message.push_str(&line);
        }
        Some(Warning::new(message).help(format!("where it is wanted: {options}")))
    }
}

fn status(expects: Expects, watched: &Watched, said: &str, missing: &[Missing]) -> Status {
    if watched.is_success() {
        return Status::Ok;
    }
    if expects == Expects::Success {
        return Status::Failed;
    }
    if watched.timed_out {
        return Status::Starts;
    }
    match &watched.outcome {
        // What a shell has for a command that is not there, or cannot be executed; and ld.so for a library.
        Outcome::Ended(Ended::Exited(126 | 127)) | Outcome::Ended(Ended::Killed(_)) | Outcome::NotStarted(_) => {
            Status::Failed
        }
        // musl's loader ends with 127 as well; what it and glibc's say may come from a child.
        Outcome::Ended(Ended::Exited(_)) if LOADERS.iter().any(|words| said.contains(words)) => Status::Failed,
        Outcome::Ended(Ended::Exited(_)) if missing.iter().any(|one| one.weight == Weight::Needed) => Status::Failed,
        Outcome::Ended(Ended::Exited(_)) => Status::Starts,
    }
}

/// Messages of loaders about a missing library or symbol (elf/dl-error.c of glibc, ldso/dynlink.c of musl).
const LOADERS: [&str; 4] =
    ["error while loading shared libraries", "symbol lookup error", "Error loading shared library", "Error relocating"];

/// The number of missing files that are named; the rest are counted.
const NAMED: usize = 12;

fn lines(missing: &[&Missing]) -> Vec<String> {
    let one = |missing: &&Missing| {
        let by: Vec<_> = missing.by.iter().map(RootfsPath::to_string).collect();
        let by = if by.is_empty() { String::new() } else { format!(" (by {})", by.join(", ")) };
        format!("missing at run time: {}{by}", missing.path)
    };
    let mut lines: Vec<String> = missing.iter().take(NAMED).map(one).collect();
    if missing.len() > NAMED {
        lines.push(format!("and {} more", missing.len() - NAMED));
    }
    lines
}

/// The number of last lines of a command's output that are shown.
const SHOWN: usize = 6;

fn last_lines(said: &str) -> Vec<&str> {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_takes_to_fail() {
        let ended = |outcome| Watched { outcome, timed_out: false, output: Vec::new(), seen: Default::default() };
        let exited = |code| ended(Outcome::Ended(Ended::Exited(code)));
        let killed = ended(Outcome::Ended(Ended::Killed(11)));
        let slow = Watched { timed_out: true, ..ended(Outcome::Ended(Ended::Killed(9))) };
        for (watched, said, success, start) in [
            (exited(0), "", Status::Ok, Status::Ok),
            (exited(1), "", Status::Failed, Status::Starts),
            (exited(2), "usage", Status::Failed, Status::Starts),
            (exited(127), "", Status::Failed, Status::Failed),
            (exited(1), "x: error while loading shared libraries: y", Status::Failed, Status::Failed),
            (killed, "", Status::Failed, Status::Failed),
            (slow, "", Status::Failed, Status::Starts),
        ] {
            assert_eq!(status(Expects::Success, &watched, said, &[]), success, "{watched:?}");
            assert_eq!(status(Expects::Start, &watched, said, &[]), start, "{watched:?}");
        }
    }
}
