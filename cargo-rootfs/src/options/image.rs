//! IMAGE: options and keys of how an image runs.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::values::{Pair, parse_folder, parse_pair};
use crate::layers::Layered;
use crate::path::RootfsPath;
use crate::write::compress::Compression;

/// IMAGE: how an image runs. The same type holds a layer of configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Image")]
pub(crate) struct ImageArgs {
    /// Command of the image; the project's binary unless given. Repeat it for each argument, or give a JSON array
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) entrypoint: Option<Vec<String>>,
    /// Default arguments of the entrypoint, in the same forms
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) cmd: Option<Vec<String>>,
    /// Environment variable of the image (repeatable) [default: PATH, with the usual directories]
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub(crate) env: Option<Vec<Pair>>,
    /// User that the image runs as
    #[arg(long, value_name = "USER[:GROUP]", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: Option<String>,
    /// Directory that the image runs in
    #[arg(long, value_name = "DIR", value_parser = parse_folder)]
    pub(crate) workdir: Option<RootfsPath>,
    /// Label of the image; `NAME=` drops one (repeatable)
    ///
    /// Without it there are those of org.opencontainers.image that Cargo.toml gives (title, version, description,
    /// licenses, source, url, documentation, authors), `revision` where git has nothing uncommitted, and `created` where
    /// SOURCE_DATE_EPOCH is set. They are annotations of the manifest and of the index as well.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub(crate) label: Option<Vec<Pair>>,
    /// Annotation of the manifest and of the index; `NAME=` drops one (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub(crate) annotation: Option<Vec<Pair>>,
    /// Ports that the image listens on; comma-separated, repeatable
    #[arg(long, value_name = "PORT[-PORT][/PROTOCOL]", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) expose: Option<Vec<String>>,
    /// Directory for data that outlives a container (repeatable)
    #[arg(long, value_name = "DIR", value_parser = parse_folder)]
    pub(crate) volume: Option<Vec<RootfsPath>>,
    /// Signal that asks the image's program to end [default: SIGTERM, by the engine]
    #[arg(long, value_name = "SIGNAL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stop_signal: Option<String>,
    /// Layers of the image: about eight by the packages that own the files, or a single one [default: split]
    ///
    /// A layer of `split` stays the same in every project and release as long as its files do, and is not sent again: the
    /// C library, large packages, small packages together, and last the project's own files. --docker-import always
    /// makes one layer.
    #[arg(long, value_name = "HOW")]
    pub(crate) layers: Option<Layered>,
    /// Compression of layers: `gzip`, `zstd` or `none` [default: gzip]
    #[arg(long, value_name = "COMPRESSION")]
    pub(crate) compression: Option<Compression>,
}
