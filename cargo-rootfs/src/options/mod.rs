//! The requests of arguments and configuration tables, before they are interpreted.
//!
//! Arguments are typed (`args`), tables come with cargo's metadata (`config`); both are layers of the same options.
//! [`crate::plan`] interprets them.

mod args;
mod config;
mod inspected;
mod named;
mod reserved;
mod values;

#[cfg(feature = "push")]
pub(crate) use args::IndexArgs;
pub use args::Options;
pub(crate) use args::{
    BuildArgs, CheckArgs, Color, Command, ContentArgs, EnterArgs, Format, ImageArgs, InitArgs, OutputArgs,
    SelectionArgs, SysrootCommand, TerminalArgs, TraceArgs, TreeArgs, refuse_options_before_subcommand,
};
pub(crate) use config::{BuildKeys, Layer, Layers, Manifest, merge, read};
pub(crate) use inspected::{DiffArgs, DiffFormat, InspectArgs, ReportArgs, VerifyArgs};
pub(crate) use reserved::explain;
pub(crate) use values::{Auditable, BuildWith, Forge, Pair};
