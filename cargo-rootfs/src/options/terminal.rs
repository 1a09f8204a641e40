//! Options of the terminal, which all commands take.

use clap::{Args, ValueEnum};

/// The options of the terminal.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TerminalArgs {
    /// Print only errors and results
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more; twice, and cargo prints everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Use of colours
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) color: Option<Color>,
    /// Format of results on standard output
    #[arg(long, global = true, value_name = "FMT", default_value = "human")]
    pub(crate) message_format: Format,
}

/// The use of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// The value for cargo.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// The format of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line each: a path, or the id of an image
    #[default]
    Human,
    /// One JSON object per line
    Json,
}
