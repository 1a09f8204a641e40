//! OUTPUT: options and keys of outputs.

use camino::Utf8PathBuf;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::named::NamedOutputs;
use super::values::{SbomArg, parse_sbom};
use crate::output::Engine;

/// OUTPUT: where it goes. The same type holds a layer of configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    #[command(flatten)]
    pub(crate) named: NamedOutputs,
    /// The container engine [default: docker]
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<Engine>,
    /// Registry that may be reached by plain http, or without a valid certificate (repeatable)
    #[cfg(feature = "push")]
    #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) insecure_registry: Option<Vec<String>>,
    /// Write SHA-256 checksums of all archives to this file, as sha256sum(1) reads them
    ///
    /// Names are relative to the file's directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) checksums: Option<Utf8PathBuf>,
    /// A bill of materials, `spdx` (2.3) or `cyclonedx` (1.6), in JSON: beside the first output, or in FILE (repeatable)
    ///
    /// It lists packages with their versions, sources, licences and the files that are there of each, all files with
    /// digests and the reason why they are there, and the crates of the binary. Images in registries have it as a
    /// referrer, image layouts among their blobs.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = parse_sbom)]
    pub(crate) sbom: Option<Vec<SbomArg>>,
    /// Build and pack twice first, and fail if the results differ
    ///
    /// The second build has another time, umask and number of jobs, in a directory of the same path. The error names the
    /// first file that differs, and the usual cause.
    #[arg(long)]
    pub(crate) check_reproducible: bool,
    /// With --check-reproducible: the second build has its sources in another directory
    #[arg(long, requires = "check_reproducible")]
    pub(crate) other_directory: bool,
    /// Write the digest of the image, or of the index of several platforms, to this file
    ///
    /// Of outputs that are images outside of an engine; several digests are a line each.
    #[arg(long, value_name = "FILE")]
    pub(crate) digest_file: Option<Utf8PathBuf>,
    /// Print the plan, and write nothing: entries, layers, sizes and settings; as JSON by --message-format json
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Make every layer anew: neither read nor write the records of layers
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Let --dir and --oci replace a directory that holds something else
    #[arg(long)]
    pub(crate) force: bool,
}
