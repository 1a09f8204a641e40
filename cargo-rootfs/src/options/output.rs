//! OUTPUT: options and keys of outputs.

use camino::Utf8PathBuf;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::config::{Reader, parse_engine, word};
use super::layered::layered;
use super::named::NamedOutputs;
use super::values::{SbomArg, parse_sbom};
use crate::output::Engine;

layered! {
    /// OUTPUT: the outputs. The same type holds a layer of configuration.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
    #[command(next_help_heading = "Output")]
    struct OutputArgs {
        #[command(flatten)]
        named: NamedOutputs = outputs();
        /// The container engine [default: docker]
        #[arg(long, value_name = "ENGINE")]
        engine: Option<Engine> = value("engine", word(parse_engine));
        /// Registry that may be reached by plain http, or without a valid certificate (repeatable)
        #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
        insecure_registry [feature = "push"]: Option<Vec<String>> = choice("insecure-registry", Reader::lines);
        /// Write SHA-256 checksums of all archives to this file, as sha256sum(1) reads them
        ///
        /// Names are relative to the file's directory.
        #[arg(long, value_name = "FILE")]
        checksums: Option<Utf8PathBuf> = choice("checksums" is "one file is written for all targets of a run");
        /// A bill of materials, `spdx` (2.3) or `cyclonedx` (1.6), in JSON: beside the first output, or in FILE (repeatable)
        ///
        /// It lists packages with their versions, sources, licences and packed files, all files with digests and
        /// reasons, and the crates of the binary. Images in registries have it as a referrer, image layouts among their
        /// blobs.
        #[arg(long, value_name = "FORMAT[=FILE]", value_parser = parse_sbom)]
        sbom: Option<Vec<SbomArg>> = choice("sbom", Reader::sboms);
        /// Build and pack twice first, and fail if the results differ
        ///
        /// The second build runs later, with another umask and number of jobs, in a directory of the same path. The
        /// error names the first file that differs, and the usual cause.
        #[arg(long)]
        check_reproducible: bool = switch("check-reproducible" is "it is for one run");
        /// With --check-reproducible: the second build has its sources in another directory
        #[arg(long, requires = "check_reproducible")]
        other_directory: bool = switch("other-directory" is "it is for one run");
        /// Write the digest of the image, or of the index of several platforms, to this file
        ///
        /// For images outside of an engine; several digests have one line each.
        #[arg(long, value_name = "FILE")]
        digest_file: Option<Utf8PathBuf> = choice("digest-file" is "it is for one run");
        /// Print the plan, and write nothing: entries, layers, sizes and settings; as JSON by --message-format json
        #[arg(long)]
        dry_run: bool = switch("dry-run" is "it is for one run");
        /// Make every layer anew: neither read nor write records
        #[arg(long)]
        no_cache: bool = switch("no-cache" is "it is for one run");
        /// Let --dir and --oci replace a directory that holds something else
        #[arg(long)]
        force: bool = switch("force" is "what may be replaced is decided at each run");
    }
}
