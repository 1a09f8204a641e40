//! `run` and `shell`: from a rootfs that is proved to a command in it, and to this program's exit code.
//!
//! How it is entered is [`crate::enter`]'s; what is there to be run is looked up in the plan of the rootfs.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::sync::atomic::AtomicBool;

use camino::Utf8Path;

use super::output;
use super::progress::Progress;
use super::terminal::Terminal;
use crate::enter::{self, Bind, Command, Ended, Files, Found, Network, Outcome, Outputs, Visit, look_up};
use crate::error::{Error, Result, Warning, exit_code};
use crate::image::ImageConfig;
use crate::layout::Assembly;
use crate::options::{BindArg, EnterArgs, ImageArgs};
use crate::path::RootfsPath;
use crate::plan::RootfsPlan;
use crate::rootfs::Rootfs;

/// What is to run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Program<'a> {
    /// These words; where there are none, what an image would start.
    Words(&'a [OsString]),
    /// The shell.
    Shell,
}

/// As `SHELL` of images without one, the better one first.
const SHELLS: [&str; 2] = ["bash", "sh"];

/// What of the options an image has as well: it is merged with the configuration as for one.
pub(super) fn image_args(args: &EnterArgs) -> ImageArgs {
    ImageArgs { env: args.env.clone(), user: args.user.clone(), workdir: args.workdir.clone(), ..ImageArgs::default() }
}

/// Runs it, and gives its exit code as the error's where it is not 0.
pub(super) fn run(
    program: Program<'_>,
    network: Network,
    binds: Vec<Bind>,
    (plan, assembly): (&RootfsPlan, &Assembly),
    epoch: i64,
    terminal: &Terminal,
    interrupted: &AtomicBool,
) -> Result<()> {
    let rootfs = &assembly.rootfs;
    let image = output::image(plan, assembly, epoch);
    let command = command(program, &image, rootfs, terminal)?;
    // What is bound may bring it.
    if binds.is_empty() {
        present(&command, rootfs)?;
    }
    let machine = plan.target.machine();
    let visit = Visit { files: Files::Rootfs(rootfs), machine, network, binds, epoch, outputs: Outputs::Own };
    let mut progress = Progress::new(rootfs.size(), terminal);
    let entered = enter::enter(&visit, &mut progress, interrupted);
    drop(progress);
    let entered = entered?;
    let words: Vec<_> = command.words.iter().map(|word| word.to_string_lossy()).collect();
    terminal.status("Running", format_args!("`{}`", words.join(" ")));
    let word = command.words[0].clone();
    match entered.run(command)? {
        Outcome::Ended(Ended::Exited(0)) => Ok(()),
        Outcome::Ended(ended) => Err(Error::command(ended.code(), "")),
        Outcome::NotStarted(error) => Err(not_started(&word, error)),
    }
}

/// What is to be seen of the host. Everything that is not there is told at once.
pub(super) fn binds(args: &EnterArgs) -> Result<Vec<Bind>> {
    let (found, wrong): (Vec<_>, Vec<_>) = args.bind.iter().map(bind).partition(Result::is_ok);
    Error::all(wrong.into_iter().filter_map(Result::err).collect())?;
    found.into_iter().collect()
}

fn bind(typed: &BindArg) -> Result<Bind> {
    let source = typed.source.as_std_path().canonicalize();
    let source = source.map_err(|error| Error::io("find", &typed.source, error))?;
    let destination = match &typed.destination {
        Some(destination) => destination.clone(),
        None => at_its_own_path(&typed.source)?,
    };
    Ok(Bind { source, destination, access: typed.access })
}

fn at_its_own_path(source: &Utf8Path) -> Result<RootfsPath> {
    let absolute = camino::absolute_utf8(source).map_err(|error| Error::io("find", source, error))?;
    let path = RootfsPath::parse(absolute.as_str())?.normalized();
    match path.parent() {
        Some(_) => Ok(path),
        None => Err(Error::usage(format!("`{source}` would hide the whole rootfs")).help("--bind /:/host")),
    }
}

/// The command with all that an engine would give it.
pub(super) fn command(
    program: Program<'_>,
    image: &ImageConfig,
    rootfs: &Rootfs,
    terminal: &Terminal,
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
    let account = enter::account(image.user.as_deref(), rootfs)?;
    let mut user = (account.user != 0 || account.group != 0).then_some((account.user, account.group));
    if user.is_some() && !rustix::process::geteuid().is_root() {
        let name = image.user.as_deref().unwrap_or_default();
        let message =
            format!("it runs as root of its namespace, not as `{name}`: there is one user without root's rights");
        terminal.warning(&Warning::new(message));
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

/// As it would be typed.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn nothing_to_run(rootfs: &Rootfs) -> Error {
    let error = Error::usage("nothing says what to run: there are several binaries, or none");
    let is_programs = |folder: &RootfsPath| matches!(folder.file_name(), b"bin" | b"sbin");
    let programs = rootfs.iter().filter(|(path, _)| path.parent().as_ref().is_some_and(is_programs));
    match programs.map(|(path, _)| path).next() {
        Some(path) => error.help(format!("name it: `cargo rootfs run ... -- {path}`")),
        None => error,
    }
}

fn shell(rootfs: &Rootfs, path: &str, workdir: &RootfsPath) -> Result<&'static str> {
    let is_there = |name: &&str| matches!(look_up(OsStr::new(name), path, workdir, rootfs), Found::Executable);
    SHELLS.into_iter().find(is_there).ok_or_else(|| {
        Error::command(exit_code::NOT_FOUND, "the rootfs has no shell, neither `bash` nor `sh`")
            .help("add one: --with bash")
    })
}

/// Fails where the command is not in the rootfs, before anything is made.
pub(super) fn present(command: &Command, rootfs: &Rootfs) -> Result<()> {
    let path = command.env.iter().find(|(name, _)| name == "PATH").and_then(|(_, value)| value.to_str());
    let word = &command.words[0];
    let shown = word.to_string_lossy();
    match look_up(word, path.unwrap_or_default(), &command.workdir, rootfs) {
        Found::Executable => Ok(()),
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

/// With the exit codes of shells (POSIX, Shell Command Language, 2.8.2).
pub(super) fn not_started(word: &OsStr, error: std::io::Error) -> Error {
    let shown = word.to_string_lossy();
    let message = format!("cannot run `{shown}`");
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT) => Error::command(exit_code::NOT_FOUND, message)
            .detail("it is not in the rootfs, or the interpreter that it names is not"),
        _ => Error::command(exit_code::NOT_EXECUTABLE, message).with_source(error),
    }
}
