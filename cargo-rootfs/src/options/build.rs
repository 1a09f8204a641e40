//! BUILD: options of `cargo build`, and the choice of executables.

use camino::Utf8PathBuf;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

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

/// The choice of executables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Target selection")]
pub(crate) struct SelectionArgs {
    /// Package only the specified binary (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Vec<String>,
    /// Package all binaries
    #[arg(long)]
    pub(crate) bins: bool,
    /// Package the specified example (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) example: Vec<String>,
    /// Package this ELF file instead of building; needs no project and reads none (repeatable)
    #[arg(long, value_name = "PATH", conflicts_with_all = BUILDING)]
    pub(crate) binary: Vec<Utf8PathBuf>,
    /// Package only the tools; needs no project and reads none
    #[arg(long, conflicts_with_all = BUILDING, conflicts_with = "binary")]
    pub(crate) tools_only: bool,
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

/// The options of the compilation.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Compilation options")]
pub(crate) struct CompilationArgs {
    /// Build with this profile; `release` unless given
    #[arg(long, value_name = "PROFILE-NAME", conflicts_with = "release")]
    pub(crate) profile: Option<String>,
    /// Build with the `release` profile (the default)
    #[arg(short, long)]
    pub(crate) release: bool,
    /// Build for this target triple (repeatable)
    #[arg(long, value_name = "TRIPLE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) target: Vec<String>,
    /// Build tool: `zigbuild` is cargo-zigbuild, with which a TRIPLE may end in a glibc release, as `.2.17` [default:
    /// cargo]
    #[arg(long, value_name = "TOOL")]
    pub(crate) build_with: Option<BuildWith>,
    /// List of crates in the binary, for scanners, by cargo-auditable: `auto` if it is installed [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub(crate) auditable: Option<Auditable>,
    /// Directory for all generated artifacts
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) target_dir: Option<Utf8PathBuf>,
    /// Number of parallel jobs
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) jobs: Option<String>,
    /// Assert that `Cargo.lock` and `rootfs.lock` will remain unchanged
    #[arg(long, help_heading = "Manifest options")]
    pub(crate) locked: bool,
    /// Run without accessing the network
    #[arg(long, help_heading = "Manifest options")]
    pub(crate) offline: bool,
    /// Equivalent to specifying both --locked and --offline
    #[arg(long, help_heading = "Manifest options")]
    pub(crate) frozen: bool,
    /// Override a configuration value of cargo
    #[arg(long, value_name = "KEY=VALUE|PATH")]
    pub(crate) config: Vec<String>,
    /// Unstable (nightly-only) flags to cargo
    #[arg(short = 'Z', value_name = "FLAG", id = "unstable")]
    pub(crate) unstable: Vec<String>,
}
