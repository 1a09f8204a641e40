//! IMAGE: options and keys of an image's settings.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::config::{Reader, parse_compression, parse_layers, word};
use super::layered::layered;
use super::values::{Pair, parse_folder, parse_pair};
use crate::layers::Layered;
use crate::path::RootfsPath;
use crate::write::compress::Compression;

layered! {
    /// The process of a container, and of `run`, `shell` and `check`.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
    struct ProcessArgs {
        /// Environment variable, beside PATH with the usual directories (repeatable)
        #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
        env: Option<Vec<Pair>> = pairs("env", Reader::pairs);
        /// User, by name or number [default: root]
        #[arg(long, value_name = "USER[:GROUP]", value_parser = NonEmptyStringValueParser::new())]
        user: Option<String> = value("user", Reader::text);
        /// Working directory [default: /]
        #[arg(long, value_name = "DIR", value_parser = parse_folder)]
        workdir: Option<RootfsPath> = value("workdir", word(parse_folder));
    }
}

layered! {
    /// IMAGE: an image's settings. The same type holds a layer of configuration.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
    #[command(next_help_heading = "Image")]
    struct ImageArgs {
        /// Command of the image; the project's binary unless given. Repeat it for each argument, or give a JSON array
        #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
        entrypoint: Option<Vec<String>> = value("entrypoint", Reader::lines);
        /// Default arguments of the entrypoint, in the same forms
        #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
        cmd: Option<Vec<String>> = value("cmd", Reader::lines);
        /// Label of the image; `NAME=` drops one (repeatable)
        ///
        /// By default labels of org.opencontainers.image come from Cargo.toml (title, version, description, licenses,
        /// source, url, documentation, authors), with `revision` if git has nothing uncommitted, and `created` if
        /// SOURCE_DATE_EPOCH is set. They are also annotations of the manifest and of the index.
        #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
        label: Option<Vec<Pair>> = pairs("label", Reader::pairs);
        /// Annotation of the manifest and of the index; `NAME=` drops one (repeatable)
        #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
        annotation: Option<Vec<Pair>> = pairs("annotation", Reader::pairs);
        /// Ports that the image listens on; comma-separated, repeatable
        #[arg(long, value_name = "PORT[-PORT][/PROTOCOL]", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
        expose: Option<Vec<String>> = list("expose", Reader::ports);
        /// Directory for data that outlives a container (repeatable)
        #[arg(long, value_name = "DIR", value_parser = parse_folder)]
        volume: Option<Vec<RootfsPath>> = list("volume", Reader::folders);
        /// Signal that asks the image's program to end [default: SIGTERM, by the engine]
        #[arg(long, value_name = "SIGNAL", value_parser = NonEmptyStringValueParser::new())]
        stop_signal: Option<String> = value("stop-signal", Reader::text);
        /// Layers of the image: about eight by the packages that own the files, or a single one [default: split]
        ///
        /// With `split` a layer of unchanged files is the same in every project and release, and is not sent again: the
        /// C library, large packages, small packages together, and last the project's own files. --docker-import always
        /// makes one layer.
        #[arg(long, value_name = "HOW")]
        layers: Option<Layered> = value("layers", word(parse_layers));
        /// Compression of layers: `gzip`, `zstd` or `none` [default: gzip]
        #[arg(long, value_name = "COMPRESSION")]
        compression: Option<Compression> = value("compression", word(parse_compression));
    }
}
