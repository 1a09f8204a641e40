//! Prints everything: status lines and errors in cargo's style for users, results for programs.
//!
//! No other module writes to standard output or standard error, except for the archive of `--tar -`.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anstyle::{AnsiColor, Style};
use camino::Utf8Path;
use serde_json::{Value, json};

use super::forge;
use super::progress::Progress;
use crate::error::{Error, Result, Warning, exit_code};
use crate::events::Events;
use crate::options::{Color, Format, Options};
use crate::output::Written;
use crate::wording::printable;
use crate::write::Observer;

// The colours of cargo (cargo's src/cargo/util/style.rs).
const STATUS: Style = AnsiColor::BrightGreen.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
const HELP: Style = AnsiColor::BrightCyan.on_default().bold();

/// The terminal, as the options and the environment configure it.
#[derive(Debug)]
pub(super) struct Terminal {
    quiet: bool,
    verbose: bool,
    format: Format,
    interrupted: Arc<AtomicBool>,
}

impl Terminal {
    /// Uses `--color`, or else CARGO_TERM_COLOR; for `auto`, NO_COLOR, CLICOLOR and the type of the output count.
    pub(super) fn new(options: &Options) -> Self {
        let configured = std::env::var("CARGO_TERM_COLOR").ok();
        let color = options.terminal.color.or(match configured.as_deref() {
            Some("always") => Some(Color::Always),
            Some("never") => Some(Color::Never),
            _ => None,
        });
        match color {
            Some(Color::Always) => anstream::ColorChoice::Always,
            Some(Color::Never) => anstream::ColorChoice::Never,
            Some(Color::Auto) | None => anstream::ColorChoice::Auto,
        }
        .write_global();
        let terminal = &options.terminal;
        let (quiet, verbose, format) = (terminal.quiet, terminal.verbose > 0, terminal.message_format);
        Self { quiet, verbose, format, interrupted: Arc::default() }
    }

    /// True if status lines and progress are suppressed.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// From now on, the first Ctrl-C requests a clean stop, and a second one ends the process at once.
    pub(super) fn watch_signals(&self) -> Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        use signal_hook::flag;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the second signal finds the flag set by the first.
            flag::register_conditional_shutdown(signal, exit_code::INTERRUPTED, Arc::clone(&self.interrupted))
                .and_then(|_| flag::register(signal, Arc::clone(&self.interrupted)))
                .map_err(|error| Error::failed("cannot watch for signals").with_source(error))?;
        }
        Ok(())
    }

    /// The format of results.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Prints a status line, such as `     Packing target/rootfs/app.tar`.
    pub(super) fn status(&self, verb: &str, what: impl Display) {
        if !self.quiet {
            self.people(&format!("{STATUS}{verb:>12}{STATUS:#} {}\n", printable(&what.to_string())));
        }
    }

    /// Prints a status line only with `-v`.
    pub(super) fn detail(&self, verb: &str, what: impl Display) {
        if self.verbose {
            self.status(verb, what);
        }
    }

    pub(super) fn warning(&self, warning: &Warning) {
        if self.format == Format::Json {
            self.program(&line("rootfs-warning", &json!({"message": warning.message, "help": warning.help})));
        }
        // As in cargo, -q leaves only errors.
        if !self.quiet {
            let mut text = format!("{WARNING}warning{WARNING:#}: {}\n", printable(&warning.message));
            help(&mut text, warning.help.as_deref());
            self.people(&text);
        }
    }

    /// Prints each of the errors with its help. Nothing is printed if cargo has already printed the error.
    pub(super) fn error(&self, error: &Error) {
        for error in error.each() {
            if self.format == Format::Json && !error.message().is_empty() {
                let (details, help) = (error.details(), error.help_line());
                let fields =
                    json!({"message": error.message(), "details": details, "help": help, "causes": causes(error)});
                self.program(&line("rootfs-error", &fields));
            }
            let mut text = String::new();
            if !error.message().is_empty() {
                let _ = writeln!(text, "{ERROR}error{ERROR:#}: {}", printable(error.message()));
            }
            for line in error.details().iter().flat_map(|detail| detail.lines()) {
                let _ = writeln!(text, "  {}", printable(line));
            }
            for cause in causes(error) {
                let _ = writeln!(text, "  caused by: {}", printable(&cause.trim_end().replace('\n', "\n    ")));
            }
            help(&mut text, error.help_line());
            self.people(&text);
            if let Some(line) = forge::annotation(error).filter(|_| !error.message().is_empty()) {
                self.people(&printable(&line));
            }
        }
    }

    /// Prints an output as one line: a path or an image's id. An archive on standard output has no line.
    pub(super) fn written(&self, written: &Written) -> Result<()> {
        let line = match self.format {
            Format::Human => written.line().map(|text| format!("{text}\n")),
            Format::Json => written.json().map(|fields| line("rootfs-output", &fields)),
        };
        line.map_or(Ok(()), |line| self.result(line.as_bytes()))
    }

    /// Prints the path of a file that describes the outputs.
    pub(super) fn path(&self, kind: &str, path: &Utf8Path) -> Result<()> {
        let line = match self.format {
            Format::Human => format!("{path}\n"),
            Format::Json => line("rootfs-output", &json!({"kind": kind, "path": path})),
        };
        self.result(line.as_bytes())
    }

    /// Writes a result verbatim. A closed pipe, as with `head`, is no error.
    pub(super) fn result(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::failed("cannot write to standard output").with_source(error))
            }
            _ => Ok(()),
        }
    }

    /// Prints a JSON line beside a text for the user; a failure is ignored.
    fn program(&self, line: &str) {
        let _ = self.result(line.as_bytes());
    }

    /// Prints a text for the user. A failure cannot be reported.
    fn people(&self, text: &str) {
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    }
}

impl Events for Terminal {
    fn status(&self, verb: &str, what: &dyn Display) {
        Self::status(self, verb, what);
    }

    fn detail(&self, verb: &str, what: &dyn Display) {
        Self::detail(self, verb, what);
    }

    fn warning(&self, warning: &Warning) {
        Self::warning(self, warning);
    }

    fn progress(&self, size: u64) -> Box<dyn Observer + '_> {
        Box::new(Progress::new(size, self))
    }

    fn relay(&self) -> Box<dyn io::Write + Send> {
        Box::new(io::stderr())
    }

    fn interrupted(&self) -> &AtomicBool {
        &self.interrupted
    }
}

/// A readable size: `1.4 MiB`.
pub(super) fn bytes(size: u64) -> impl Display {
    indicatif::HumanBytes(size)
}

/// An object as a line, with the reason first, as in cargo's messages.
pub(super) fn line(reason: &str, fields: &Value) -> String {
    let fields = fields.to_string();
    format!("{{\"reason\":\"{reason}\",{}\n", fields.trim_start_matches('{'))
}

fn help(text: &mut String, help: Option<&str>) {
    if let Some(line) = help {
        let _ = writeln!(text, "  {HELP}help{HELP:#}: {}", printable(line));
    }
}

/// The chain of [`source`](std::error::Error::source)s.
fn causes(error: &Error) -> Vec<String> {
    let first = std::error::Error::source(error);
    std::iter::successors(first, |cause| cause.source()).map(ToString::to_string).collect()
}
