//! One call of `cargo build`, and its results.
//!
//! Its progress and diagnostics go to standard error as they come: directly from cargo, or, in a build for another
//! machine, through a [relay](super::relay) that looks for missing programs and libraries.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};

use cargo_metadata::Message;

use super::advice::{self, Packages};
use super::build_paths::{self, Findings};
use super::messages::Messages;
use super::relay::{Clue, relay};
use super::{Preparation, Toolchain, cargo_home};
use crate::error::{Error, Result, Warning, exit_code};
use crate::layout::Artifacts;
use crate::plan::{Build, RootfsPlan};
use crate::target::Target;

/// The artifacts of a build, one set for each target, in their order.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) artifacts: Vec<Artifacts>,
    /// The compiled packages, as `cargo metadata` names them; those of build scripts and macros as well.
    pub(crate) packages: BTreeSet<String>,
    pub(crate) warnings: Vec<Warning>,
}

/// Returns whether cargo sets this variable for the program of `cargo run` and for build scripts (the Cargo book,
/// "Environment variables Cargo sets for crates"). A build script that reads such a variable would run again, and its
/// dependents would be compiled again.
fn is_of_one_package(name: &OsStr) -> bool {
    const NAMES: [&str; 6] = [
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_LINKS",
        "CARGO_MANIFEST_PATH",
        "OUT_DIR",
    ];
    name.to_str().is_some_and(|name| NAMES.contains(&name) || name.starts_with("CARGO_PKG_"))
}

/// Runs cargo to its end. An interrupt ends cargo too, so it is waited for.
///
/// `people` receives cargo's standard error if cargo does not write to the terminal itself.
pub(crate) fn build(
    build: &Build,
    targets: &[&RootfsPlan],
    toolchain: &Toolchain,
    preparation: &Preparation,
    people: impl Write + Send,
    packages: &Packages<'_>,
) -> Result<Built> {
    let mut command = duct::cmd(super::program(), preparation.arguments(build)).unchecked();
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_one_package(name)) {
        command = command.env_remove(name);
    }
    for (name, value) in &preparation.variables {
        command = command.env(name, value);
    }
    let each: Vec<&Target> = targets.iter().map(|plan| &plan.target).collect();
    let mut foreign = Vec::new();
    for target in &each {
        foreign.extend(toolchain.is_foreign(target.triple())?.then_some(*target));
    }
    let Ended { messages, code, clues } =
        if foreign.is_empty() { left_alone(command, build)? } else { heard(command, build, people)? };
    if code != 0 {
        return Err(advice::after_failure(code, &clues, &each, &foreign, packages));
    }

    let triples: Vec<&str> = targets.iter().map(|plan| plan.target.triple()).collect();
    let mut artifacts = messages.artifacts(build, &triples)?;
    let cargo_home = cargo_home();
    let findings = artifacts
        .iter()
        .map(|artifacts| {
            let needles = build.folders.iter().take(1).chain(&cargo_home);
            build_paths::scan(&artifacts.executables, needles)
        })
        .collect::<Result<Vec<Findings>>>()?;
    for ((artifacts, plan), findings) in artifacts.iter_mut().zip(targets).zip(&findings) {
        artifacts.build_tree.extend(build.folders.clone());
        // Only these two: its `bin` may hold requested tools.
        artifacts.build_tree.extend(cargo_home.iter().flat_map(|home| [home.join("registry"), home.join("git")]));
        // `/` would match every file of the rootfs.
        artifacts.build_tree.retain(|folder| folder.parent().is_some());
        let tree = artifacts.build_tree.clone();
        // Directories of the host system are left out: the sysroot supplies those of the target.
        artifacts.library_dirs.retain(|folder| tree.iter().any(|within| folder.starts_with(within)));
        if findings.needs_libstd {
            let target = plan.cargo_target.as_deref().unwrap_or(plan.target.triple());
            artifacts.library_dirs.extend(toolchain.library_dir(target));
        }
    }
    let warnings = build_paths::warning(&findings).into_iter().collect();
    Ok(Built { artifacts, packages: messages.packages, warnings })
}

/// Cargo's messages and exit code.
struct Ended {
    messages: Messages,
    code: i32,
    clues: Vec<Clue>,
}

/// Runs cargo with this program's own standard error.
fn left_alone(command: duct::Expression, build: &Build) -> Result<Ended> {
    let (messages, code) = messages(&command, build)?;
    Ok(Ended { messages, code, clues: Vec::new() })
}

/// Runs cargo and passes its standard error on.
fn heard(mut command: duct::Expression, build: &Build, people: impl Write + Send) -> Result<Ended> {
    let (ours, cargos) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| Error::failed("cannot make a pipe").with_source(std::io::Error::from(error)))?;
    for (name, value) in as_on_a_terminal() {
        command = command.env(name, value);
    }
    let command = command.stderr_file(cargos);
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| relay(File::from(ours), people));
        let ended = messages(&command, build);
        // The listener ends when the last copy of the pipe's writing end is closed; `command` holds one.
        drop(command);
        let clues = match listener.join() {
            Ok(clues) => clues,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let (messages, code) = ended?;
        Ok(Ended { messages, code, clues })
    })
}

/// Variables that make cargo write colours and its progress bar to a pipe as to a terminal; the bar also needs a width
/// (<https://doc.rust-lang.org/cargo/reference/config.html#termprogresswhen>).
fn as_on_a_terminal() -> Vec<(&'static str, String)> {
    let stderr = std::io::stderr();
    let size = stderr.is_terminal().then(|| rustix::termios::tcgetwinsize(&stderr).ok()).flatten();
    let Some(size) = size else { return Vec::new() };
    let mut variables = Vec::new();
    let mut set = |name, value: &str| {
        if std::env::var_os(name).is_none() {
            variables.push((name, value.to_owned()));
        }
    };
    if std::env::var_os("NO_COLOR").is_none() {
        set("CARGO_TERM_COLOR", "always");
    }
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if size.ws_col > 0 && !is_dumb && std::env::var_os("CI").is_none() {
        set("CARGO_TERM_PROGRESS_WHEN", "always");
        set("CARGO_TERM_PROGRESS_WIDTH", &size.ws_col.to_string());
    }
    variables
}

/// Reads all messages of cargo, and its exit code.
fn messages(command: &duct::Expression, build: &Build) -> Result<(Messages, i32)> {
    let mut messages = Messages::default();
    let reader = command.reader().map_err(|error| Error::io("run", super::program(), error))?;
    for message in Message::parse_stream(BufReader::new(&reader)) {
        let message = message.map_err(|error| Error::failed("cannot read cargo's messages").with_source(error))?;
        messages.take(message, build);
    }
    let output = reader.try_wait().map_err(|error| Error::io("wait for", super::program(), error))?;
    let status = output.map(|output| output.status);
    let failed = || status.and_then(|status| status.code()).unwrap_or(exit_code::FAILED);
    let code = if status.is_some_and(|status| status.success()) { 0 } else { failed() };
    Ok((messages, code))
}
