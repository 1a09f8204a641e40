//! Runs an engine's command-line client: short queries, and commands that read from a pipe.
//!
//! Callers interpret the output.

use std::fmt;
use std::fs::File;
use std::io;
use std::process::Output;

use duct::{Handle, cmd};

use crate::error::{Error, Result};
use crate::write::splice;

/// The number of shown lines of an engine's error message.
const LINES: usize = 20;

/// The engine that stores and runs images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Engine {
    /// Docker, by its client `docker`.
    #[default]
    Docker,
    /// Podman, by its client `podman`.
    Podman,
}

impl Engine {
    /// The program, searched for in PATH.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// Runs a command to its end, and returns its trimmed output.
    pub(super) fn ask(self, arguments: &[&str]) -> Result<String> {
        let output = cmd(self.program(), arguments)
            .stdin_null()
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .map_err(|error| self.not_started(error))?;
        self.said(arguments, &output)
    }

    /// Starts a command that reads from the returned pipe.
    pub(super) fn feed(self, arguments: Vec<String>) -> Result<(Running, File)> {
        let (reader, writer) =
            splice::pipe().map_err(|error| Error::failed("cannot make a pipe").with_source(error))?;
        // The end of this statement drops the expression with our copy of the reading end. With that copy, a write
        // would not fail after the engine's end.
        let handle = cmd(self.program(), &arguments)
            .stdin_file(reader)
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .start()
            .map_err(|error| self.not_started(error))?;
        Ok((Running { engine: self, arguments, handle }, File::from(writer)))
    }

    fn not_started(self, error: io::Error) -> Error {
        if error.kind() != io::ErrorKind::NotFound {
            return Error::failed(format!("cannot run `{self}`")).with_source(error);
        }
        let other = match self {
            Self::Docker => "podman",
            Self::Podman => "docker",
        };
        Error::failed(format!("`{self}` is not installed, or not in PATH"))
            .help(format!("install it, pass --engine {other}, or write an archive with --tar"))
    }

    fn said(self, arguments: &[&str], output: &Output) -> Result<String> {
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        // Two words of `docker image inspect`, but one of `docker import`.
        let words = if arguments[0] == "image" { 2 } else { 1 };
        let mut error = Error::failed(format!("`{self} {}` failed: {}", arguments[..words].join(" "), output.status));
        let complaint = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = complaint.lines().filter(|line| !line.trim().is_empty()).collect();
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            error = error.detail(*line);
        }
        Err(error)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// A command that reads from a pipe. Dropping it kills the command, so that it never sees a truncated stream end
/// normally.
pub(super) struct Running {
    engine: Engine,
    arguments: Vec<String>,
    handle: Handle,
}

impl Running {
    /// Waits for the end of the command, and returns its output. The pipe must be closed.
    pub(super) fn finish(&self) -> Result<String> {
        let output = self.handle.wait().map_err(|error| self.engine.not_started(error))?;
        self.engine.said(&self.arguments.iter().map(String::as_str).collect::<Vec<_>>(), output)
    }

    /// The error of a failed write to the command: the engine's message if it has ended, or else `error`.
    pub(super) fn broken(&self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::BrokenPipe {
            if let Err(said) = self.finish() {
                return said;
            }
        }
        Error::failed(format!("cannot write to `{} {}`", self.engine, self.arguments[0])).with_source(error)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not waited for: if the client is a script, its children still hold our pipes.
        let _ = self.handle.kill();
    }
}
