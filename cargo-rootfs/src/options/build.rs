//! BUILD: options of `cargo build`, and the choice of executables.

use camino::Utf8PathBuf;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::layered::unconfigured;
use super::values::{Auditable, BuildWith};

/// BUILD: the options of `cargo build`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BuildArgs {
    #[command(flatten, next_help_heading = "Package selection")]
    pub(crate) workspace: clap_cargo::Workspace,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten, next_help_heading = "Feature selection")]
    pub(crate) features: clap_cargo::Features,
    #[command(flatten, next_help_heading = "Manifest options")]
    pub(crate) manifest: clap_cargo::Manifest,
    #[command(flatten)]
    pub(crate) compilation: CompilationArgs,
}

unconfigured! {
    /// The choice of executables.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
    #[command(next_help_heading = "Target selection")]
    struct SelectionArgs {
        /// Package only the specified binary (repeatable)
        #[arg(long, value_name = "NAME")]
        bin: Vec<String>;
        /// Package all binaries
        #[arg(long)]
        bins: bool;
        /// Package the specified example (repeatable)
        #[arg(long, value_name = "NAME")]
        example: Vec<String>;
        /// Package this ELF file instead of building; needs no project and reads none (repeatable)
        #[arg(long, value_name = "PATH", conflicts_with_all = BUILDING)]
        binary: Vec<Utf8PathBuf> = "binary" is "it needs no project";
        /// Package only the tools; needs no project and reads none
        #[arg(long, conflicts_with_all = BUILDING, conflicts_with = "binary")]
        tools_only: bool = "tools-only" is "it needs no project";
    }
}

/// The options without a meaning if nothing is built.
const BUILDING: [&str; 21] = [
    "package",
    "workspace",
    "all",
    "exclude",
    "bin",
    "bins",
    "example",
    "features",
    "all_features",
    "no_default_features",
    "PATH",
    "profile",
    "release",
    "target_dir",
    "locked",
    "frozen",
    "config",
    "unstable",
    "jobs",
    "build_with",
    "auditable",
];

unconfigured! {
    /// The options of the compilation.
    #[derive(Debug, Clone, Default, Args)]
    #[command(next_help_heading = "Compilation options")]
    struct CompilationArgs {
        /// Build with this profile; `release` unless given
        #[arg(long, value_name = "PROFILE-NAME", conflicts_with = "release")]
        profile: Option<String>;
        /// Build with the `release` profile (the default)
        #[arg(short, long)]
        release: bool = "release" is "it is the default; set `profile` for another";
        /// Build for this target triple (repeatable)
        #[arg(long, value_name = "TRIPLE", value_parser = NonEmptyStringValueParser::new())]
        target: Vec<String>;
        /// Build tool: `zigbuild` is cargo-zigbuild, with which a TRIPLE may end in a glibc release, as `.2.17` [default:
        /// cargo]
        #[arg(long, value_name = "TOOL")]
        build_with: Option<BuildWith>;
        /// List of crates in the binary, for scanners, by cargo-auditable: `auto` if it is installed [default: auto]
        #[arg(long, value_name = "WHEN")]
        auditable: Option<Auditable>;
        /// Directory for all generated artifacts
        #[arg(long, value_name = "DIRECTORY")]
        target_dir: Option<Utf8PathBuf> = "target-dir" is "set `build.target-dir` in .cargo/config.toml";
        /// Number of parallel jobs
        #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
        jobs: Option<String> = "jobs" is "set `build.jobs` in .cargo/config.toml";
        /// Assert that `Cargo.lock` and `rootfs.lock` will remain unchanged
        #[arg(long, help_heading = "Manifest options")]
        locked: bool = "locked" is "it is for one run";
        /// Run without accessing the network
        #[arg(long, help_heading = "Manifest options")]
        offline: bool = "offline" is "set `net.offline` in .cargo/config.toml";
        /// Equivalent to specifying both --locked and --offline
        #[arg(long, help_heading = "Manifest options")]
        frozen: bool = "frozen" is "it is for one run";
        /// Override a configuration value of cargo
        #[arg(long, value_name = "KEY=VALUE|PATH")]
        config: Vec<String>;
        /// Unstable (nightly-only) flags to cargo
        #[arg(short = 'Z', value_name = "FLAG", id = "unstable")]
        unstable: Vec<String>;
    }
}
