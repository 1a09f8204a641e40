//! All that is printed: cargo's kind of status lines and errors for people, results for programs.
//!
//! Nobody else writes to standard output or standard error, but for the archive of `--tar -`.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::progress::Progress;
use crate::error::{Error, Result, Warning};
use crate::options::{Color, Format, Options};
use crate::output::Written;
use crate::pipeline::Events;
use crate::target::Target;
use crate::write::Observer;

// The colours of cargo (cargo's src/cargo/util/style.rs).
const STATUS: Style = AnsiColor::BrightGreen.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
const HELP: Style = AnsiColor::BrightCyan.on_default().bold();

/// How to talk, as the options and the environment have it.
#[derive(Debug)]
pub(super) struct Terminal {
    quiet: bool,
    verbose: bool,
    format: Format,
    interrupted: Arc<AtomicBool>,
}

impl Terminal {
    /// Takes `--color`, or else CARGO_TERM_COLOR; NO_COLOR, CLICOLOR and whether it is a terminal count for `auto`.
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

    /// Whether status lines and progress are not wanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Set when Ctrl-C was pressed.
    pub(super) fn interrupt(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupted)
    }

    /// How results are printed.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// `     Packing target/rootfs/app.tar`
    pub(super) fn status(&self, verb: &str, what: impl Display) {
        if !self.quiet {
            self.people(&format!("{STATUS}{verb:>12}{STATUS:#} {what}\n"));
        }
    }

    /// A status line for `-v` alone.
    pub(super) fn detail(&self, verb: &str, what: impl Display) {
        if self.verbose {
            self.status(verb, what);
        }
    }

    pub(super) fn warning(&self, warning: &Warning) {
        if self.format == Format::Json {
            self.program(&line("rootfs-warning", &json!({"message": warning.message, "help": warning.help})));
        }
        // As cargo: with -q, only errors.
        if !self.quiet {
            let mut text = format!("{WARNING}warning{WARNING:#}: {}\n", warning.message);
            help(&mut text, warning.help.as_deref());
            self.people(&text);
        }
    }

    /// Each of the things that were wrong, with what to do. Nothing where cargo has said it.
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
                let _ = writeln!(text, "{ERROR}error{ERROR:#}: {}", error.message());
            }
            for line in error.details().iter().flat_map(|detail| detail.lines()) {
                let _ = writeln!(text, "  {line}");
            }
            for cause in causes(error) {
                let _ = writeln!(text, "  caused by: {}", cause.trim_end().replace('\n', "\n    "));
            }
            help(&mut text, error.help_line());
            self.people(&text);
        }
    }

    /// What was written: a path or an image's id, one line; nothing of an archive, which is the result itself.
    pub(super) fn written(&self, written: &Written) -> Result<()> {
        let line = match self.format {
            Format::Human => written.line().map(|text| format!("{text}\n")),
            Format::Json => written.json().map(|fields| line("rootfs-output", &fields)),
        };
        line.map_or(Ok(()), |line| self.result(line.as_bytes()))
    }

    /// A sysroot that would be used: its folder, one line.
    pub(super) fn sysroot(&self, folder: &camino::Utf8Path, target: &Target) -> Result<()> {
        match self.format {
            Format::Human => self.result(format!("{folder}\n").as_bytes()),
            Format::Json => {
                let fields = json!({"path": folder, "target": target.triple()});
                self.result(line("rootfs-sysroot", &fields).as_bytes())
            }
        }
    }

    /// Puts a result out as it is. A reader that has gone away, as `head`, has had enough.
    pub(super) fn result(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::failed("cannot write to standard output").with_source(error))
            }
            _ => Ok(()),
        }
    }

    /// A JSON line beside what people are told; its loss is not worth a failure of its own.
    fn program(&self, line: &str) {
        let _ = self.result(line.as_bytes());
    }

    /// Where the words of a program that is called go on to people.
    pub(super) fn relay(&self) -> impl io::Write + Send + use<> {
        io::stderr()
    }

    /// Nobody can be told that nothing can be told.
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

    fn interrupted(&self) -> &AtomicBool {
        &self.interrupted
    }
}

/// An object as a line, the reason first, as cargo's messages have it.
pub(super) fn line(reason: &str, fields: &Value) -> String {
    let fields = fields.to_string();
    format!("{{\"reason\":\"{reason}\",{}\n", fields.trim_start_matches('{'))
}

fn help(text: &mut String, help: Option<&str>) {
    if let Some(line) = help {
        let _ = writeln!(text, "  {HELP}help{HELP:#}: {line}");
    }
}

/// The chain of [`source`](std::error::Error::source)s.
fn causes(error: &Error) -> Vec<String> {
    let first = std::error::Error::source(error);
    std::iter::successors(first, |cause| cause.source()).map(ToString::to_string).collect()
}
