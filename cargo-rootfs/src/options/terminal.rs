//! Options of the terminal, which all commands take.

use clap::{Args, ValueEnum};

use super::layered::unconfigured;

unconfigured! {
    /// The options of the terminal.
    #[derive(Debug, Clone, Default, Args)]
    struct TerminalArgs {
        /// Print only errors and results
        #[arg(short, long, global = true, conflicts_with = "verbose")]
        quiet: bool = "quiet" is "cargo's `term.quiet` is read by cargo alone";
        /// Print more; twice, and cargo prints everything
        #[arg(short, long, global = true, action = clap::ArgAction::Count)]
        verbose: u8 = "verbose" is "it is for one run";
        /// Use of colours
        #[arg(long, global = true, value_name = "WHEN")]
        color: Option<Color> = "color" is "set `term.color` in .cargo/config.toml or CARGO_TERM_COLOR";
        /// Format of results on standard output
        #[arg(long, global = true, value_name = "FMT", default_value = "human")]
        message_format: Format = "message-format" is "it is for one run";
    }
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
