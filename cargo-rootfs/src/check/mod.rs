//! `check`: runs the project's binary and every tool in the rootfs, and reports the files that they miss.
//!
//! [`crate::enter`] enters the rootfs, and [`crate::watch`] watches the commands. The smoke tests of tools are data:
//! `templates/smoke.toml`.

mod advice;
mod manifest;
mod missing;
mod subjects;

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use crate::enter::{
    self, Bind, Command, Ended, Files, Network, Outcome, Output, Outputs, Program, Stdin, Visit, Watched, Watching,
};
use crate::error::{Error, Result, Warning};
use crate::events::Events;
use crate::findings::Real;
use crate::layout::Assembly;
use crate::packages::{self, Database};
use crate::path::RootfsPath;
use crate::pipeline::{Epoch, Rooted};
use crate::rootfs::Rootfs;
use crate::rows::{self, Fields};
use crate::sysroot::Sysroot;
use crate::wording::lines_and_more;

pub(crate) use advice::Advice;
pub(crate) use manifest::{Addition, with_additions};
pub(crate) use missing::{Missing, Weight};
pub(crate) use subjects::Subject;

use advice::Trial;
use missing::{Add, paste};
use subjects::{Expects, subjects};

/// The checked rootfs, and the options of the check.
pub(crate) struct Check<'c> {
    pub(crate) rooted: &'c Rooted,
    /// A command in place of the project's binary.
    pub(crate) words: &'c [OsString],
    /// The time limit of each command, in seconds.
    pub(crate) timeout: u32,
    pub(crate) network: Network,
    pub(crate) binds: &'c [Bind],
    pub(crate) epoch: Epoch,
    /// The database of the sysroot's packages, read on demand.
    pub(crate) database: OnceCell<Option<Database>>,
}

/// The result of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    /// It started; more is not known.
    Starts,
    Failed,
}

impl Status {
    /// The word for it, also in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Starts => "starts",
            Self::Failed => "failed",
        }
    }
}

/// A subject after its run, and the additions that it needs.
pub(crate) struct Checked<'c> {
    pub(crate) subject: &'c Subject,
    /// Its run without additions.
    pub(crate) tried: Tried,
    pub(crate) advice: Advice,
    check: &'c Check<'c>,
    /// The root of the sysroot on the host.
    host: &'c Path,
}

/// One run of a subject, and the findings about its rootfs.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) status: Status,
    pub(crate) watched: Watched,
    /// Standard output and standard error together.
    pub(crate) said: String,
    pub(crate) missing: Vec<Missing>,
}

/// The results of all subjects.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// One error for each failed subject.
    pub(crate) errors: Vec<Error>,
    /// Additions for all subjects, as keys of Cargo.toml.
    pub(crate) additions: Vec<Addition>,
    /// True if every subject works with the additions.
    pub(crate) is_remedied: bool,
}

impl Check<'_> {
    /// Runs all subjects, and passes each result to `each`.
    pub(crate) fn run(&self, events: &dyn Events, each: &mut dyn FnMut(&Checked<'_>) -> Result<()>) -> Result<Report> {
        let started = Instant::now();
        let assembly = &self.rooted.assembly;
        let rootfs = &assembly.rootfs;
        let subjects = subjects(self.words, assembly)?;
        let image = self.rooted.image(self.epoch);
        let around = enter::command(Program::Words(&subjects[0].words), &image, rootfs, events)?;
        let mut sysroot = Sysroot::open(self.rooted.sysroot().as_std_path())?;
        let host = sysroot.root().to_owned();
        let mut report = Report { is_remedied: true, ..Report::default() };
        let mut known: Vec<Add> = Vec::new();
        for subject in &subjects {
            let command = Command { words: subject.words.clone(), ..around.clone() };
            events.status("Checking", &format_args!("`{}`", subject.shown));
            if let Some(absent) = self.binds.is_empty().then(|| enter::present(&command, rootfs).err()).flatten() {
                let error = Error::failed(absent.message());
                report.errors.push(absent.help_line().map(str::to_owned).into_iter().fold(error, Error::help));
                report.is_remedied = false;
                continue;
            }
            let tried = self.tried(subject, &command, assembly, &mut sysroot, events)?;
            let mut trial = Trial { check: self, subject, command: &command, sysroot: &mut sysroot, events };
            let advice = trial.advise(&tried, &known)?;
            for add in &advice.add {
                if !known.contains(add) {
                    known.push(add.clone());
                }
            }
            let checked = Checked { subject, tried, advice, check: self, host: &host };
            each(&checked)?;
            match checked.tried.status {
                Status::Failed => {
                    report.is_remedied &= checked.advice.works;
                    report.errors.push(checked.failure());
                }
                Status::Ok | Status::Starts => checked.warning().iter().for_each(|warning| events.warning(warning)),
            }
            checked.tried.watched.seen.notes.iter().for_each(|note| events.warning(&Warning::new(note.clone())));
        }
        let (count, seconds) = (subjects.len(), started.elapsed().as_secs_f64());
        let commands = if count == 1 { "command" } else { "commands" };
        let failed = report.errors.len();
        events.status("Finished", &format_args!("{count} {commands}, {failed} failed, in {seconds:.2}s"));
        report.additions = self.additions(&known, &host);
        Ok(report)
    }

    /// Runs a subject in `assembly` and judges the result.
    fn tried(
        &self,
        subject: &Subject,
        command: &Command,
        assembly: &Assembly,
        sysroot: &mut Sysroot,
        events: &dyn Events,
    ) -> Result<Tried> {
        let watched = self.watch(command.clone(), &assembly.rootfs, events)?;
        let said = String::from_utf8_lossy(&watched.output).into_owned();
        let project = self.project();
        let mut trees = Real {
            sysroot,
            rootfs: &assembly.rootfs,
            policy: &assembly.policy,
            project: if subject.expects == Expects::Own { &project } else { &[] },
            database: &self.database,
            machine: self.rooted.plan.target.machine(),
        };
        let missing = missing::missing(&watched.seen.events, &said, &mut trees);
        let status = status(subject.expects, &watched, &said, &missing);
        Ok(Tried { status, watched, said, missing })
    }

    /// Runs one command in a new rootfs.
    fn watch(&self, command: Command, rootfs: &Rootfs, events: &dyn Events) -> Result<Watched> {
        let (output, pipe) = Output::pipe()?;
        let visit = Visit {
            files: Files::Rootfs(rootfs),
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

    /// True if the sysroot is made of packages: its directory is in the cache.
    fn is_provisioned(&self) -> bool {
        packages::is_provisioned(self.rooted.sysroot().as_std_path())
    }

    /// The directories of the project on the host.
    fn project(&self) -> Vec<RootfsPath> {
        let folders = self.rooted.artifacts.build_tree.iter().take(1);
        folders.filter_map(|folder| RootfsPath::from_bytes(folder.as_str().as_bytes())).collect()
    }

    fn is_projects(&self, path: &RootfsPath) -> bool {
        self.project().iter().any(|project| path.is_within(project))
    }

    /// The host file of an include.
    fn source(&self, path: &RootfsPath, sysroot: &Path) -> Utf8PathBuf {
        let root = if self.is_projects(path) { Path::new("/") } else { sysroot };
        Utf8PathBuf::from(path.below(root).to_string_lossy().into_owned())
    }

    /// The value of the option for an addition.
    fn value(&self, add: &Add, sysroot: &Path) -> String {
        match add {
            Add::Include(path) if self.is_projects(path) => format!("{path}:{path}"),
            _ => add.value(sysroot),
        }
    }

    /// The additions as configuration keys with their values.
    fn additions(&self, all: &[Add], sysroot: &Path) -> Vec<Addition> {
        let keys = [Add::TOOL, Add::LIBRARY, Add::PACKAGE, Add::INCLUDE];
        let of = |flag: &'static str| {
            let values = all.iter().filter(|add| add.flag() == flag).map(|add| self.value(add, sysroot));
            (flag.trim_start_matches('-'), values.collect::<Vec<_>>())
        };
        keys.into_iter().map(of).filter(|(_, values)| !values.is_empty()).collect()
    }
}

impl Tried {
    /// The end of the command, in words.
    fn how(&self, limit: u32) -> String {
        match &self.watched.outcome {
            _ if self.watched.timed_out => format!("it did not end in {limit} seconds"),
            Outcome::Ended(Ended::Exited(code)) => format!("exit code {code}"),
            Outcome::Ended(Ended::Killed(signal)) => format!("signal {signal}"),
            Outcome::NotStarted(error) => error.to_string(),
        }
    }
}

impl Checked<'_> {
    /// Each missing file with the option that adds it and the option's value. The value is `None` for a path of a
    /// sysroot made of packages: that path does not last.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&Missing, &'static str, Option<String>)> {
        let is_provisioned = self.check.is_provisioned();
        self.tried.missing.iter().map(move |one| {
            let is_of_cache = matches!(&one.add, Add::Include(path) if is_provisioned && !self.check.is_projects(path));
            (one, one.add.flag(), (!is_of_cache).then(|| self.check.value(&one.add, self.host)))
        })
    }

    /// The options of the advice, in one line to paste.
    pub(crate) fn pasted(&self) -> Option<String> {
        paste(self.advice.add.iter().map(|add| (add, self.check.value(add, self.host))))
    }

    /// The error of a failed subject.
    fn failure(&self) -> Error {
        let Self { subject, tried, advice, .. } = self;
        let limit = self.check.timeout;
        let mut error = Error::failed(format!("`{}` failed in the rootfs: {}", subject.shown, tried.how(limit)));
        for line in last_lines(&tried.said) {
            error = error.detail(format!("| {line}"));
        }
        // If a file was needed, the optional ones are not the cause.
        let needed: Vec<&Missing> = tried.missing.iter().filter(|one| one.weight == Weight::Needed).collect();
        let why: Vec<&Missing> = if needed.is_empty() { tried.missing.iter().collect() } else { needed };
        for line in lines(&why) {
            error = error.detail(line);
        }
        for reason in &advice.refused {
            error = error.detail(reason.clone());
        }
        match self.pasted() {
            Some(options) if advice.works => error.help(format!("add the missing files: {options}")),
            Some(options) => {
                let error = error.detail(format!("with these additions it still fails: {}", advice.how));
                error.help(format!("add the missing files: {options}"))
            }
            None if tried.watched.timed_out => error.help("give it longer: --timeout SECONDS"),
            None if why.is_empty() => error.detail("each file that it did not find is missing from the sysroot too"),
            None => error,
        }
    }

    /// The warning of a subject that succeeded without a needed file.
    fn warning(&self) -> Option<Warning> {
        let Self { subject, tried, .. } = self;
        let needed: Vec<&Missing> = tried.missing.iter().filter(|one| one.weight == Weight::Needed).collect();
        let options = self.pasted()?;
        let verb = if tried.status == Status::Ok { "works" } else { "starts" };
        let mut message = format!("`{}` {verb}, and requested files that the rootfs lacks", subject.shown);
        for line in lines(&needed) {
            message.push_str("\n  ");
            message.push_str(&line);
        }
        Some(Warning::new(message).help(format!("to pack it: {options}")))
    }
}

fn status(expects: Expects, watched: &Watched, said: &str, missing: &[Missing]) -> Status {
    if watched.is_success() {
        return Status::Ok;
    }
    if expects == Expects::Success {
        return Status::Failed;
    }
    // A program that waits for work has started.
    if watched.timed_out {
        return Status::Starts;
    }
    match &watched.outcome {
        // Shells use these for a command that is missing or not executable, and ld.so uses 127 for a missing library.
        Outcome::Ended(Ended::Exited(126 | 127)) | Outcome::Ended(Ended::Killed(_)) | Outcome::NotStarted(_) => {
            Status::Failed
        }
        // musl's loader ends with 127 too. A message of glibc's or musl's loader may come from a child process.
        Outcome::Ended(Ended::Exited(_)) if rows::list(&WORDS, "loaders").any(|words| said.contains(words)) => {
            Status::Failed
        }
        Outcome::Ended(Ended::Exited(PANICKED)) => Status::Failed,
        Outcome::Ended(Ended::Exited(_)) if missing.iter().any(|one| one.weight == Weight::Needed) => Status::Failed,
        Outcome::Ended(Ended::Exited(code)) if expects == Expects::Own && !is_usage_error(*code, said) => {
            Status::Failed
        }
        Outcome::Ended(Ended::Exited(_)) => Status::Starts,
    }
}

/// The exit code of a Rust program whose main thread panicked.
const PANICKED: i32 = 101;

/// Exit codes for usage errors: of clap, getopt and bash, and of sysexits.h.
const USAGE: [i32; 2] = [2, 64];

static WORDS: LazyLock<Fields> = LazyLock::new(|| rows::embedded(include_str!("../../templates/policy/outcomes.toml")));

/// True if the program rejected `--version`, which it need not support.
fn is_usage_error(code: i32, said: &str) -> bool {
    let said = said.to_lowercase();
    USAGE.contains(&code) || rows::list(&WORDS, "refusals").any(|words| said.contains(words))
}

/// The number of missing files that are named; the others are counted.
const NAMED: usize = 12;

fn lines(missing: &[&Missing]) -> Vec<String> {
    let one = |missing: &&Missing| {
        let by: Vec<_> = missing.by.iter().map(RootfsPath::to_string).collect();
        let by = if by.is_empty() { String::new() } else { format!(" (by {})", by.join(", ")) };
        format!("missing at run time: {}{by}", missing.path)
    };
    lines_and_more(missing.iter().map(one), NAMED)
}

/// The number of shown last lines of a command's output.
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
        let panicked = exited(101);
        assert_eq!(status(Expects::Start, &panicked, "", &[]), Status::Failed);
        for (code, said, own) in [
            (0, "", Status::Ok),
            (101, "usage", Status::Failed),
            (1, "Error: Os { code: 2, kind: NotFound }", Status::Failed),
            (1, "Usage: app FILE", Status::Starts),
            (1, "unknown flag: --version", Status::Starts),
            (2, "", Status::Starts),
            (64, "", Status::Starts),
        ] {
            assert_eq!(status(Expects::Own, &exited(code), said, &[]), own, "{code} {said}");
        }
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
