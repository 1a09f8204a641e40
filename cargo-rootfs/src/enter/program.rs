//! The command to run in a rootfs, and its end as an error with this program's exit code.
//!
//! The command is looked up in the plan, before anything is made.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;

use super::{Command, Ended, Entered, Files, Outcome, Visit, outside};
use crate::error::{Error, Result, Warning, exit_code};
use crate::events::Events;
use crate::image::ImageConfig;
use crate::path::RootfsPath;
use crate::rootfs::Rootfs;
use crate::settings::{Found, account, look_up};

/// The program to run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program<'a> {
    /// These words; if empty, the program that an image would start.
    Words(&'a [OsString]),
    /// The shell.
    Shell,
}

/// Shells, the preferred one first.
const SHELLS: [&str; 2] = ["bash", "sh"];

/// Makes `visit` ready for a command. `events` receives the number of copied bytes and the notes.
///
/// # Errors
///
/// No emulator for the machine; forbidden namespaces, with the name of the setting; changed files; no space.
pub(crate) fn enter(visit: &Visit<'_>, events: &dyn Events) -> Result<Entered> {
    let size = match visit.files {
        Files::Rootfs(rootfs) => rootfs.size(),
        Files::Folder(_) => 0,
    };
    outside::enter(visit, &mut *events.progress(size), events.interrupted())
}

/// Runs the command. A status other than 0 becomes an error with that exit code.
pub(crate) fn run(command: Command, visit: &Visit<'_>, events: &dyn Events) -> Result<()> {
    let entered = enter(visit, events)?;
    let words: Vec<_> = command.words.iter().map(|word| word.to_string_lossy()).collect();
    events.status("Running", &format_args!("`{}`", words.join(" ")));
    let word = command.words[0].clone();
    match entered.run(command)? {
        Outcome::Ended(Ended::Exited(0)) => Ok(()),
        Outcome::Ended(ended) => Err(Error::command(ended.code(), "")),
        Outcome::NotStarted(error) => Err(not_started(&word, error)),
    }
}

/// The command with the environment, user and directory that an engine would set.
pub(crate) fn command(
    program: Program<'_>,
    image: &ImageConfig,
    rootfs: &Rootfs,
    events: &dyn Events,
) -> Result<Command> {
    let path = image.env.get("PATH").map_or("", String::as_str);
    let workdir = image.workdir.as_deref().map_or_else(|| Ok(RootfsPath::root()), RootfsPath::parse)?;
    let words = match program {
        Program::Words([]) => [&image.entrypoint[..], &image.cmd].concat().into_iter().map(OsString::from).collect(),
        Program::Words(words) => words.to_vec(),
        Program::Shell => vec![shell(rootfs, path, &workdir)?.into()],
    };
    if words.is_empty() {
        return Err(nothing_to_run(rootfs));
    }
    let account = account(image.user.as_deref(), rootfs)?;
    let mut user = (account.user != 0 || account.group != 0).then_some((account.user, account.group));
    if user.is_some() && !rustix::process::geteuid().is_root() {
        let name = image.user.as_deref().unwrap_or_default();
        let message =
            format!("it runs as root of its namespace, not as `{name}`: there is one user without root's rights");
        events.warning(&Warning::new(message));
        user = None;
    }
    let mut env = image.env.clone();
    env.entry("HOME".to_owned()).or_insert(account.home);
    let has_terminal = std::io::stdin().is_terminal() || std::io::stdout().is_terminal();
    if let Some(term) = std::env::var("TERM").ok().filter(|_| has_terminal) {
        env.entry("TERM".to_owned()).or_insert(term);
    }
    let env = env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    Ok(Command { words, env, workdir, user })
}

fn nothing_to_run(rootfs: &Rootfs) -> Error {
    let error = Error::usage("no program to run is chosen: there are several binaries, or none");
    let is_programs = |folder: &RootfsPath| matches!(folder.file_name(), b"bin" | b"sbin");
    let programs = rootfs.iter().filter(|(path, _)| path.parent().as_ref().is_some_and(is_programs));
    let first = programs.map(|(path, _)| path).next();
    error.help_if(first.map(|path| format!("name it: `cargo rootfs run ... -- {path}`")))
}

fn shell(rootfs: &Rootfs, path: &str, workdir: &RootfsPath) -> Result<&'static str> {
    let is_there = |name: &&str| matches!(look_up(OsStr::new(name), path, workdir, rootfs), Found::Executable(_));
    SHELLS.into_iter().find(is_there).ok_or_else(|| {
        Error::command(exit_code::NOT_FOUND, "the rootfs has no shell, neither `bash` nor `sh`")
            .help("add one: --with bash")
    })
}

/// Fails if the rootfs lacks the command, before anything is made.
pub(crate) fn present(command: &Command, rootfs: &Rootfs) -> Result<()> {
    let path = command.env.iter().find(|(name, _)| name == "PATH").and_then(|(_, value)| value.to_str());
    let word = &command.words[0];
    let shown = word.to_string_lossy();
    match look_up(word, path.unwrap_or_default(), &command.workdir, rootfs) {
        Found::Executable(_) => Ok(()),
        Found::Plain => Err(Error::command(exit_code::NOT_EXECUTABLE, format!("`{shown}` is not executable"))),
        Found::Absent => {
            let error = Error::command(exit_code::NOT_FOUND, format!("`{shown}` is not in the rootfs"));
            Err(match shown.starts_with('-') {
                true => error.help("the command comes first: `cargo rootfs run -- COMMAND ARGUMENTS`"),
                false => error.help(format!("add it: --with {shown}")),
            })
        }
    }
}

/// The error of a command that did not start, with the exit codes of shells (POSIX, Shell Command Language, 2.8.2).
pub(crate) fn not_started(word: &OsStr, error: std::io::Error) -> Error {
    let shown = word.to_string_lossy();
    let message = format!("cannot run `{shown}`");
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT) => Error::command(exit_code::NOT_FOUND, message)
            .detail("it is not in the rootfs, or the interpreter that it names is not"),
        _ => Error::command(exit_code::NOT_EXECUTABLE, message).with_source(error),
    }
}
