//! The command line: from arguments to a run, and all printed text.
//!
//! It decides nothing about the contents of a rootfs: `plan` interprets the options.
//!
//! # Standard error and standard output
//! Standard error is for people, and the same in both message formats: cargo's status lines, warnings and errors.
//! Standard output is for programs, and has only results. With `--message-format json` these are objects, one per line,
//! with cargo's `"reason"` convention:
//!
//! | reason | when | fields |
//! | --- | --- | --- |
//! | `rootfs-output` | for each output | `digest` of an image outside of an engine; `kind` (`tar`, `dir`, `oci-archive`: `path`; `image`: `id`, `name`; `push`: `name`, `digest`, `sent` in bytes), `target` |
//! | `rootfs-output` | `index` | `kind` (`index`), `name`, `digest`, `platforms` (a list), `sent` in bytes |
//! | `rootfs-plan` | for each target of `--dry-run` | `target`, `entries`, `bytes`, `outputs` (a list of `kind`, `name`), `files` (a list of `path`, `type`, `mode`, `uid`, `gid`, `size`, and of links `target`); of images `platform`, `config`, `compression`, `layers` (a list of `comment`, `entries`, `bytes` before compression) |
//! | `rootfs-warning` | beside each warning | `message`, `help` (or null) |
//! | `rootfs-error` | beside each error | `message`, `details`, `help` (or null), `causes` |
//! | `closure` | for each file of `tree` | `file`, `interpreter`, `objects`, `missing`, `error` if it cannot be read, and those of `report::closure_json` |
//! | `rootfs-sysroot` | `sysroot list` | `path`, `suite`, `architecture`, `packages` (null if it is damaged), `bytes`, `used` (seconds) |
//! | `rootfs-sysroot` | `sysroot path` | `path`, `target` |
//! | `rootfs-removed` | `sysroot prune` | `path` |
//! | `rootfs-check` | for each command of `check` | `name`, `command` (a list), `status` (`ok`, `starts`, `failed`), `exit_code`, `signal` (or null), `timed_out`, `output`, `missing` (a list of `path`, `by`, `needed`, `option`, `value`), `target` |
//! | `rootfs-trace` | `trace` | `exit_code`, `with`, `with_lib`, `files` (a list of `program`, `paths`), `metadata` (TOML), `target` |
//! | `rootfs-entry` | `why` | `path`, `origins` (a list of strings), `package` (`name`, `version`, `architecture`, `source` or null; if a package owns it), `target` |
//!
//! Fields may be added, never changed. Errors in arguments are printed on standard error only.

mod check;
mod diff;
mod dry_run;
mod enter;
mod forge;
mod generate;
mod help;
#[cfg(feature = "push")]
mod index;
mod init;
mod progress;
mod report;
mod scripts;
mod sysroot;
mod terminal;
mod trace;
mod tree;
mod verify;
mod why;
mod write;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::enter::Program;
use crate::error::{Error, exit_code};
pub use crate::options::Options;
use crate::options::{Command, RootfsArgs, SysrootCommand, explain, refuse_options_before_subcommand};
use crate::plan::{Purpose, Request};
use crate::rebuild::{self, Sources};
use terminal::Terminal;

/// The text for arguments that start no run: help, the version, or errors.
#[derive(Debug)]
pub struct Answer(Box<clap::Error>);

impl Answer {
    /// Prints it: help to standard output, errors to standard error.
    pub fn print(&self) -> ExitCode {
        // A closed pipe, as with `head`, is no failure.
        let _ = self.0.print();
        process_code(self.0.exit_code())
    }
}

/// Runs the work of a process inside a rootfs, if the program's name identifies one.
pub fn inside(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    crate::enter::inside(&arguments.next()?)
}

/// Parses the arguments, which begin with the program's name. `rootfs` may follow it, as cargo passes it.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, Answer> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // `cargo rootfs tree` runs `cargo-rootfs rootfs tree`.
    if arguments.get(1).is_some_and(|first| first == "rootfs") {
        arguments.remove(1);
    }
    let mut command = Options::command();
    help::of_a_command(&command, &mut arguments);
    let parsed = command.try_get_matches_from_mut(arguments).and_then(|matches| {
        refuse_options_before_subcommand(&mut command, &matches)?;
        Options::from_arg_matches(&matches)
    });
    parsed.map_err(|error| Answer(Box::new(explain(&mut command, error))))
}

fn request<'o>(options: &'o Options, rootfs: &'o RootfsArgs, purpose: Purpose<'o>) -> Request<'o> {
    Request { build: &rootfs.build, content: &rootfs.content, purpose, terminal: &options.terminal }
}

/// Runs one subcommand: calls other modules and prints their result.
pub fn run(options: &Options) -> crate::Result<()> {
    let terminal = &Terminal::new(options);
    let request = |rootfs, purpose| request(options, rootfs, purpose);
    match &options.command {
        None => {
            if options.output.check_reproducible {
                twice(options, terminal)?;
            }
            let purpose = Purpose::Write(&options.output, &options.image, &options.process);
            let (build, content) = (&options.build, &options.content);
            let request = Request { build, content, purpose, terminal: &options.terminal };
            write::run(&request, &options.output, terminal)
        }
        Some(Command::Tree(args)) if !args.files.is_empty() => tree::of_files(args, terminal),
        Some(Command::Tree(args)) => tree::run(&request(&args.rootfs, Purpose::Report), args, terminal),
        Some(Command::Why(args)) => why::run(&request(&args.rootfs, Purpose::Report), &args.file, terminal),
        Some(Command::Run(args)) => {
            let request = request(&args.rootfs, Purpose::Enter(&args.enter.process));
            enter::run(&request, Program::Words(&args.words), &args.enter, terminal)
        }
        Some(Command::Shell(args)) => {
            let request = request(&args.rootfs, Purpose::Enter(&args.enter.process));
            enter::run(&request, Program::Shell, &args.enter, terminal)
        }
        Some(Command::Check(args)) => {
            check::run(&request(&args.rootfs, Purpose::Enter(&args.enter.process)), args, terminal)
        }
        Some(Command::Trace(args)) => trace::run(&request(&args.rootfs, Purpose::Compare), args, terminal),
        #[cfg(feature = "push")]
        Some(Command::Index(args)) => index::run(args, terminal),
        Some(Command::Report(args)) => report::run(&request(&args.rootfs, Purpose::Report), args, terminal),
        Some(Command::Diff(args)) => diff::run(args, terminal),
        Some(Command::Verify(args)) => verify::run(args, terminal),
        Some(Command::Sysroot { command }) => match command {
            SysrootCommand::List => sysroot::list(terminal),
            SysrootCommand::Prune { all } => sysroot::prune(*all, terminal),
            SysrootCommand::Path(args) => sysroot::path(&request(args, Purpose::Report), terminal),
            SysrootCommand::Update { manifest } => sysroot::update(manifest, terminal),
        },
        Some(Command::Init(args)) => init::run(args, terminal),
        Some(Command::Completions { shell }) => generate::completions(*shell, terminal),
        Some(Command::Man { command }) => generate::man(command.as_deref(), terminal),
        Some(Command::Help { words }) => help::run(words, terminal),
    }
}

/// Runs `--check-reproducible`.
fn twice(options: &Options, terminal: &Terminal) -> crate::Result<()> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let sources = if options.output.other_directory { Sources::Copied } else { Sources::Same };
    terminal.watch_signals()?;
    rebuild::check(&words, &options.build, sources, terminal)
}

/// Prints an error of [`run`], and returns the exit code.
pub fn fail(options: &Options, error: &Error) -> ExitCode {
    Terminal::new(options).error(error);
    process_code(error.exit_code())
}

/// A process's exit status has eight bits (exit(3)).
fn process_code(code: i32) -> ExitCode {
    u8::try_from(code)
        .map_or_else(|_| ExitCode::from(u8::try_from(exit_code::FAILED).unwrap_or(u8::MAX)), ExitCode::from)
}
