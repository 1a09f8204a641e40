//! The requests of arguments and configuration tables, before they are interpreted.
//!
//! Arguments are typed (`args`), tables come with cargo's metadata (`config`); both are layers of the same options.
//! [`crate::plan`] interprets them.

mod args;
mod build;
mod config;
mod content;
mod image;
mod inspected;
mod later;
mod layered;
mod named;
mod output;
mod reserved;
mod terminal;
mod values;

#[cfg(feature = "push")]
pub(crate) use args::IndexArgs;
pub use args::Options;
pub(crate) use args::{
    CheckArgs, Command, EnterArgs, InitArgs, RootfsArgs, SysrootCommand, TraceArgs, TreeArgs,
    refuse_options_before_subcommand,
};
pub(crate) use build::{BuildArgs, SelectionArgs};
pub(crate) use config::{BuildKeys, Layer, Layers, Manifest, merge, read};
pub(crate) use content::ContentArgs;
pub(crate) use image::{ImageArgs, ProcessArgs};
pub(crate) use inspected::{DiffArgs, DiffFormat, InspectArgs, ReportArgs, VerifyArgs};
pub(crate) use output::OutputArgs;
pub(crate) use reserved::explain;
pub(crate) use terminal::{Color, Format, TerminalArgs};
pub(crate) use values::{Auditable, BuildWith, Forge, Pair};
