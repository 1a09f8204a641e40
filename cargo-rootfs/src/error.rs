//! The one error type of the crate, its exit codes, and warnings.
//!
//! An error has the fault and the remedy; only `cli` prints it.

use std::fmt;
use std::io;
use std::path::Path;

/// The exit codes of `cargo rootfs`. If the build fails, it is cargo's own code; after `run` or `shell` has run a
/// command, it is the command's, or 128 + n if signal n ended it.
pub mod exit_code {
    /// Everything requested was written.
    pub const DONE: i32 = 0;
    /// Missing libraries, unsatisfied symbol versions, I/O.
    pub const FAILED: i32 = 1;
    /// The command line or the configuration is wrong.
    pub const USAGE: i32 = 2;
    /// `run`: the command is in the rootfs but cannot be executed, as in shells.
    pub const NOT_EXECUTABLE: i32 = 126;
    /// `run`: the command is not in the rootfs, as in shells.
    pub const NOT_FOUND: i32 = 127;
    /// Interrupted by SIGINT (128 + 2, as in shells).
    pub const INTERRUPTED: i32 = 130;
}

/// The kinds of [`struct@Error`], each with its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The work failed: missing libraries, unsatisfied symbol versions, I/O ([`exit_code::FAILED`]).
    Failed,
    /// The command line, the configuration or an argument is wrong ([`exit_code::USAGE`]).
    Usage,
    /// The build failed: cargo's own exit code.
    Cargo,
    /// A command in the rootfs failed or could not be run: its exit code.
    Command,
    /// The user interrupted the run ([`exit_code::INTERRUPTED`]).
    Interrupted,
}

/// A failure: a lower-case message, indented details, and at most one `help:` line.
///
/// Its [`Display`](fmt::Display) is the message with details and help, one a line, without an `error:` prefix; the
/// cause is in [`source`](std::error::Error::source) and not repeated. Several faults found together are one error;
/// [`Error::each`] returns them one by one.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    exit_code: i32,
    message: String,
    details: Vec<String>,
    help: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    others: Vec<Error>,
}

/// `Result` with this crate's [`struct@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: ErrorKind, exit_code: i32, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            exit_code,
            message: message.into(),
            details: Vec::new(),
            help: None,
            source: None,
            others: Vec::new(),
        }))
    }

    /// A failure of the work: exit code 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, exit_code::FAILED, message)
    }

    /// Wrong arguments or configuration: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, exit_code::USAGE, message)
    }

    /// A failure of cargo, which has printed its message: an empty `message` prints nothing more.
    pub fn cargo(exit_code: i32, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cargo, exit_code, message)
    }

    /// The end of the command of `run` with this code, or its failure to start: an empty `message` prints nothing.
    pub fn command(exit_code: i32, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Command, exit_code, message)
    }

    /// An interruption by Ctrl-C.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, exit_code::INTERRUPTED, "interrupted; nothing was written")
    }

    /// An I/O failure: `verb` is the failed action (`read`, `create`), as in ``cannot read `a/b` ``.
    pub fn io(verb: &str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::failed(format!("cannot {verb} `{}`", path.as_ref().display())).with_source(source)
    }

    /// Adds an indented line.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.0.details.push(line.into());
        self
    }

    /// Sets the `help:` line: one remedy, preferably one that can be pasted.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.0.help = Some(line.into());
        self
    }

    /// Sets the `help:` line if there is one.
    #[must_use]
    pub(crate) fn help_if(self, line: Option<impl Into<String>>) -> Self {
        match line {
            Some(line) => self.help(line),
            None => self,
        }
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Combines `errors` into one; `Ok` if there are none. Kind and exit code are those of the highest exit code.
    pub fn all(errors: Vec<Error>) -> Result<()> {
        let mut errors = errors.into_iter();
        let Some(mut first) = errors.next() else { return Ok(()) };
        for error in errors {
            if error.0.exit_code > first.0.exit_code {
                (first.0.kind, first.0.exit_code) = (error.0.kind, error.0.exit_code);
            }
            first.0.others.push(error);
        }
        Err(first)
    }

    /// Each of the combined errors, in order.
    pub fn each(&self) -> impl Iterator<Item = &Error> {
        let mut flat = Vec::new();
        self.flatten(&mut flat);
        flat.into_iter()
    }

    fn flatten<'e>(&'e self, flat: &mut Vec<&'e Error>) {
        flat.push(self);
        for other in &self.0.others {
            other.flatten(flat);
        }
    }

    /// Its kind, for callers that handle only some errors.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The process's exit code: one of [`exit_code`], or cargo's own.
    pub fn exit_code(&self) -> i32 {
        self.0.exit_code
    }

    /// The first line, without details and help.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The indented lines.
    pub fn details(&self) -> &[String] {
        &self.0.details
    }

    /// The `help:` line.
    pub fn help_line(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for line in &self.0.details {
            write!(f, "\n  {line}")?;
        }
        if let Some(help) = &self.0.help {
            write!(f, "\n  help: {help}")?;
        }
        for other in &self.0.others {
            write!(f, "\n{other}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// A message for the user about something that does not stop the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// One lower-case line.
    pub message: String,
    /// A remedy, if there is one.
    pub help: Option<String>,
}

impl Warning {
    /// A warning without help.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// Adds a remedy.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help = Some(line.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keeps_each_and_takes_the_highest_exit_code() {
        assert!(Error::all(Vec::new()).is_ok());
        let error = Error::all(vec![Error::failed("a").help("do b"), Error::usage("c")]).unwrap_err();
        assert_eq!(error.exit_code(), exit_code::USAGE);
        assert_eq!(error.each().map(Error::message).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(error.to_string(), "a\n  help: do b\nc");
    }
}
