//! Arguments of the commands that read outputs: `verify`, `diff` and `report`.

use camino::Utf8PathBuf;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

use super::args::RootfsArgs;
use crate::diff::{Forbidden, parse_forbidden};

/// `report`
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The file to write; `-` is standard output [default: rootfs-report.html]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<Utf8PathBuf>,
    #[command(flatten)]
    pub(crate) rootfs: RootfsArgs,
}

/// `diff`
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The older output
    #[arg(value_name = "A", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) old: String,
    /// The newer output
    #[arg(value_name = "B", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) new: String,
    /// Format of the output; `markdown` is for comments on pull requests
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: DiffFormat,
    /// Fail on these changes: grow:5%, grow:10MiB, setuid (or capabilities), package, crate (a new one), glibc, kernel
    /// (a newer one is required); comma-separated, repeatable
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_forbidden)]
    pub(crate) fail_on: Vec<Forbidden>,
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
}

/// The format of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    Text,
    Markdown,
}

/// `verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A reference, or the path of a layout, archive or directory
    #[arg(value_name = "REF|LAYOUT|ARCHIVE|DIR", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) outputs: Vec<String>,
    /// Libraries that the target provides, by soname or pattern, as the image was made with
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) allow_missing: Vec<String>,
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
}

/// The settings for reading outputs.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Read only the image for this platform, such as `linux/arm64` [default: all]
    #[arg(long, value_name = "OS/ARCH", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "target")]
    pub(crate) platform: Option<String>,
    /// Read only the image for this target triple
    #[arg(long, value_name = "TRIPLE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) target: Option<String>,
    /// Registry that may be reached by plain http, or without a valid certificate (repeatable)
    #[cfg(feature = "push")]
    #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) insecure_registry: Vec<String>,
}
