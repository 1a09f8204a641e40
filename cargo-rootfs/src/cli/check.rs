//! `check`: the project's binary and every tool are run in the rootfs, and what they miss there is told.
//!
//! How it is entered is [`crate::enter`]'s, how they are watched [`crate::watch`]'s, what it means
//! [`crate::findings`]'s. How a tool is tried is data: `templates/smoke.toml`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde_json::{Value, json};

use super::enter::{self, Program};
use super::output;
use super::progress::Progress;
use super::terminal::{self, Terminal};
use super::trees::Real;
use crate::enter::{Bind, Command, Ended, Files, Outcome, Output, Outputs, Stdin, Visit, Watched, Watching};
use crate::error::{Error, Result, Warning};
use crate::findings::{self, Add, Missing, Weight};
use crate::layout::Assembly;
use crate::options::{CheckArgs, Format};
use crate::path::RootfsPath;
use crate::plan::RootfsPlan;
use crate::sysroot::Sysroot;

/// What tools are tried with.
const SMOKE: &str = include_str!("../../templates/smoke.toml");

/// Something to run.
#[derive(Debug)]
struct Subject {
    /// As in `ssh -V`.
    shown: String,
    words: Vec<OsString>,
    expects: Expects,
}

/// What a subject must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// End with 0.
    Success,
    /// Start: whether it knows `--version` is not known.
    Start,
}

/// What a subject did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    /// It started, and that is all that is known.
    Starts,
    Failed,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Starts => "starts",
            Self::Failed => "failed",
        }
    }
}

/// Runs all of them, and fails where one failed.
pub(super) fn run(
    args: &CheckArgs,
    binds: &[Bind],
    (plan, assembly): (&RootfsPlan, &Assembly),
    sysroot: &Utf8Path,
    epoch: i64,
    terminal: &Terminal,
    interrupted: &AtomicBool,
) -> Result<()> {
    let started = Instant::now();
    let rootfs = &assembly.rootfs;
    let image = output::image(plan, assembly, epoch);
    let subjects = subjects(args, assembly)?;
    let first = Program::Words(&subjects[0].words);
    let around = enter::command(first, &image, rootfs, terminal)?;
    let mut sysroot = Sysroot::open(sysroot.as_std_path())?;
    let host = sysroot.root().to_owned();
    let source = |path: &RootfsPath| path.below(&host).display().to_string();
    let mut errors = Vec::new();
    for subject in &subjects {
        let words = subject.words.clone();
        let command = Command { words, ..around.clone() };
        terminal.status("Checking", format_args!("`{}`", subject.shown));
        if let Some(absent) = binds.is_empty().then(|| enter::present(&command, rootfs).err()).flatten() {
            let error = Error::failed(absent.message());
            errors.push(absent.help_line().map(str::to_owned).into_iter().fold(error, Error::help));
            continue;
        }
        let (output, pipe) = Output::pipe()?;
        let visit = Visit {
            files: Files::Rootfs(rootfs),
            machine: plan.target.machine(),
            network: args.enter.network,
            binds: binds.to_vec(),
            epoch,
            outputs: Outputs::To(pipe),
        };
        let mut progress = Progress::new(rootfs.size(), terminal);
        let entered = crate::enter::enter(&visit, &mut progress, interrupted);
        drop(progress);
        let limit = Duration::from_secs(args.timeout.into());
        let how = Watching { stdin: Stdin::Nothing, output: Some(output), limit: Some(limit) };
        let watched = entered?.watch(command, how, &mut |_| {})?;
        let said = String::from_utf8_lossy(&watched.output).into_owned();
        let missing = findings::missing(&watched.seen.events, &said, &mut Real { sysroot: &mut sysroot, rootfs });
        let status = status(subject.expects, &watched, &said, &missing);
        if terminal.format() == Format::Json {
            let fields = json(subject, status, &watched, &said, &missing, &source, plan);
            terminal.result(terminal::line("rootfs-check", &fields).as_bytes())?;
        } else {
            terminal.result(format!("{:<6} {}\n", status.as_str(), subject.shown).as_bytes())?;
        }
        match status {
            Status::Failed => errors.push(failure(subject, &watched, &said, &missing, source, args.timeout)),
            Status::Ok | Status::Starts => {
                if let Some(warning) = warning(subject, status, &missing, source) {
                    terminal.warning(&warning);
                }
            }
        }
        watched.seen.notes.iter().for_each(|note| terminal.warning(&Warning::new(note.clone())));
    }
    let (count, seconds) = (subjects.len(), started.elapsed().as_secs_f64());
    let commands = if count == 1 { "command" } else { "commands" };
    terminal.status("Finished", format_args!("{count} {commands}, {} failed, in {seconds:.2}s", errors.len()));
    Error::all(errors)
}

/// What there is to be run: the project's part, then the tools in their order.
fn subjects(args: &CheckArgs, assembly: &Assembly) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    if args.words.is_empty() {
        subjects.extend(assembly.executables.iter().map(|path| subject(path, None)));
    } else {
        let shown: Vec<_> = args.words.iter().map(|word| enter::quoted(&word.to_string_lossy())).collect();
        subjects.push(Subject { shown: shown.join(" "), words: args.words.clone(), expects: Expects::Success });
    }
    let smoke: toml::Table =
        SMOKE.parse().map_err(|error| Error::failed("cannot read smoke.toml").with_source(error))?;
    subjects.extend(assembly.tools.iter().map(|path| subject(path, smoke_test(&smoke, path))));
    if subjects.is_empty() {
        return Err(Error::usage("there is nothing to check: no binary, no tool, no command")
            .help("name a command: `cargo rootfs check ... -- CMD`"));
    }
    Ok(subjects)
}

fn subject(path: &RootfsPath, arguments: Option<Vec<String>>) -> Subject {
    let expects = if arguments.is_some() { Expects::Success } else { Expects::Start };
    let arguments = arguments.unwrap_or_else(|| vec!["--version".to_owned()]);
    let name = String::from_utf8_lossy(path.file_name()).into_owned();
    let shown =
        std::iter::once(name).chain(arguments.iter().map(|word| enter::quoted(word))).collect::<Vec<_>>().join(" ");
    let words =
        std::iter::once(OsString::from_vec(path.as_bytes().to_vec())).chain(arguments.into_iter().map(Into::into));
    Subject { shown, words: words.collect(), expects }
}

/// The arguments that a tool of this name is tried with.
fn smoke_test(smoke: &toml::Table, path: &RootfsPath) -> Option<Vec<String>> {
    let name = std::str::from_utf8(path.file_name()).ok()?;
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let arguments = smoke.get(name).or_else(|| smoke.get(plain))?.as_array()?;
    arguments.iter().map(|word| word.as_str().map(str::to_owned)).collect()
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

/// What loaders say of a library or a symbol that is not there (elf/dl-error.c of glibc, ldso/dynlink.c of musl).
const LOADERS: [&str; 4] =
    ["error while loading shared libraries", "symbol lookup error", "Error loading shared library", "Error relocating"];

fn failure(
    subject: &Subject,
    watched: &Watched,
    said: &str,
    missing: &[Missing],
    source: impl Fn(&RootfsPath) -> String,
    limit: u32,
) -> Error {
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
    match findings::paste(why, source) {
        Some(options) => error.help(format!("add what is missing: {options}")),
        None if watched.timed_out => error.help("give it longer: --timeout SECONDS"),
        None => error.detail("it asked for nothing in vain that the sysroot has"),
    }
}

fn warning(
    subject: &Subject,
    status: Status,
    missing: &[Missing],
    source: impl Fn(&RootfsPath) -> String,
) -> Option<Warning> {
    let needed: Vec<&Missing> = missing.iter().filter(|one| one.weight == Weight::Needed).collect();
    let options = findings::paste(needed.iter().copied(), source)?;
    let verb = if status == Status::Ok { "works" } else { "starts" };
    let mut message = format!("`{}` {verb}, and asked for what the rootfs lacks", subject.shown);
    for line in lines(&needed) {
        message.push_str("\n  ");
        message.push_str(&line);
    }
    Some(Warning::new(message).help(format!("where it is wanted: {options}")))
}

/// How many of the missing are named before the rest are counted.
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

/// How much of what a command printed is shown.
const SHOWN: usize = 6;

fn last_lines(said: &str) -> Vec<&str> {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN)..].to_vec()
}

fn json(
    subject: &Subject,
    status: Status,
    watched: &Watched,
    said: &str,
    missing: &[Missing],
    source: &impl Fn(&RootfsPath) -> String,
    plan: &RootfsPlan,
) -> Value {
    let words: Vec<_> = subject.words.iter().map(|word| word.to_string_lossy()).collect();
    let (code, signal) = match &watched.outcome {
        Outcome::Ended(Ended::Exited(code)) => (Some(*code), None),
        Outcome::Ended(Ended::Killed(signal)) => (None, Some(*signal)),
        Outcome::NotStarted(_) => (None, None),
    };
    let missing: Vec<Value> = missing
        .iter()
        .map(|one| {
            let by: Vec<String> = one.by.iter().map(RootfsPath::to_string).collect();
            let (option, value) = match &one.add {
                Add::Tool(name) => ("--with", name.clone()),
                Add::Library(name) => ("--with-lib", name.clone()),
                Add::Include(path) => ("--include", format!("{}:{path}", source(path))),
            };
            let needed = one.weight == Weight::Needed;
            json!({"path": one.path.to_string(), "by": by, "needed": needed, "option": option, "value": value})
        })
        .collect();
    json!({
        "name": subject.shown, "command": words, "status": status.as_str(), "exit_code": code, "signal": signal,
        "timed_out": watched.timed_out, "output": said, "missing": missing, "target": plan.target.triple(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoke_tests_are_lists_of_words() {
        let smoke: toml::Table = SMOKE.parse().unwrap();
        assert!(smoke.len() > 30);
        for (name, _) in &smoke {
            let path = RootfsPath::root().join(name.as_bytes());
            assert!(smoke_test(&smoke, &path).is_some(), "{name}");
        }
    }

    #[test]
    fn a_version_in_a_name_is_passed_over() {
        let smoke: toml::Table = "python = ['-c']\nlua = []".parse().unwrap();
        let test = |name: &str| smoke_test(&smoke, &RootfsPath::root().join(name.as_bytes()));
        for name in ["python", "python3", "python3.11"] {
            assert_eq!(test(name).unwrap(), ["-c"], "{name}");
        }
        assert_eq!(test("lua5.4").unwrap(), Vec::<String>::new());
        assert_eq!(test("pythonic"), None);
    }

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
