//! The typed arguments: the definitions for parsing, `--help`, completions and the man page.
//!
//! Parsing reads no file and no environment; [`crate::plan`] applies defaults and interprets the values.

use std::ffi::OsString;

use camino::Utf8PathBuf;
use clap::builder::NonEmptyStringValueParser;
use clap::parser::ValueSource;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::inspected::{DiffArgs, ReportArgs, VerifyArgs};
use super::named::NamedOutputs;
use super::values::{
    Auditable, BindArg, BuildWith, Forge, Pair, SbomArg, parse_bind, parse_folder, parse_include, parse_pair,
    parse_sbom,
};
use crate::enter::Network;
use crate::layers::Layered;
use crate::layout::{Include, Licenses, Records, Variants};
use crate::output::Engine;
use crate::path::RootfsPath;
use crate::policy::Row;
use crate::resolve::Priority;
use crate::runtime::{Rule, Runtime};
use crate::write::compress::Compression;

/// Build a Cargo project and package it, with all it needs to run, as a minimal root filesystem
#[derive(Debug, Parser)]
#[command(
    name = "cargo-rootfs",
    bin_name = "cargo rootfs",
    version,
    styles = clap_cargo::style::CLAP_STYLING,
    subcommand_help_heading = "Other commands",
    disable_help_subcommand = true,
    override_usage = "cargo rootfs [OPTIONS]\n       cargo rootfs <COMMAND>",
    after_help = "Run `cargo rootfs --help` for details of each option, exit codes and environment, and\n\
                  `cargo rootfs help TOPIC` for the guide.",
    after_long_help = AFTER_HELP,
)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) terminal: TerminalArgs,
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
}

const AFTER_HELP: &str = "\
Configuration:
  [package.metadata.rootfs] and [workspace.metadata.rootfs] in Cargo.toml take the names of the options
  as keys; a table `target.<triple>` below either holds for that target alone. The package overrides the
  workspace; the command line extends lists and overrides values, and an output on it replaces all
  configured ones. Paths are relative to the manifest there, to the current directory here.

Exit codes:
  0    every requested output was written
  1    failed: missing libraries, unsatisfied symbol versions, input or output
  2    the command line or the configuration is wrong
  130  interrupted; nothing was written
  When the build fails, the code is cargo's own; of `run`, `shell` and `trace` it is the command's, 128 + n where
  signal n ended it, 127 where it is not in the rootfs, 126 where it cannot be executed.

Environment:
  CARGO              the cargo to run, set where cargo runs `cargo rootfs`
  CARGO_ROOTFS_SYSROOT  as --sysroot, for targets of another architecture, where nothing else names one
  CARGO_ROOTFS_CACHE    where sysroots are kept that are made of packages; ~/.cache/cargo-rootfs where it is not set
  SOURCE_DATE_EPOCH  the time of all files that are written, in seconds; 0 where it is not set
  NO_COLOR, CLICOLOR, CLICOLOR_FORCE, CARGO_TERM_COLOR  whether to colour

Guide:
  cargo rootfs help TOPIC, where TOPIC is quick-start, tools, targets, images, debugging, configuration,
  build-script, templates, pipelines, reproducible, security-updates, limits or questions

Examples:
  cargo rootfs --with bash,ls                        target/rootfs/<package>-<triple>.tar
  cargo rootfs --target aarch64-unknown-linux-gnu --with bash,ls
  docker run --rm $(cargo rootfs --docker-import myapp)
  cargo rootfs tree /usr/bin/ls                      what a program needs, and why it is found
  cargo rootfs run --with ls -- ls -l /              a command in the rootfs, without root's rights";

/// The command to run instead of writing a rootfs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show who needs what, how it was found, and what is missing
    ///
    /// Without FILE, of the rootfs that the same options would write.
    Tree(TreeArgs),
    /// Say why a file is in the rootfs
    Why(WhyArgs),
    /// Enter the rootfs and run a command in it, without root's rights
    ///
    /// Files written inside are discarded. Without CMD, the command of an image runs: the project's binary. Its exit
    /// status becomes this program's; 128 + n if signal n ended it, 127 if it is not in the rootfs, 126 if it cannot be
    /// executed.
    Run(RunArgs),
    /// Enter the rootfs with a shell: its bash, or else its sh
    Shell(ShellArgs),
    /// Run the project's binary and each tool in the rootfs, and report what they miss
    ///
    /// Without CMD, the binary is run with `--version`; each tool does a little of what it is for, or is run with
    /// `--version`. Files that exist in the sysroot but not in the rootfs are added in memory, until the command works or
    /// asks for nothing new, and the options that add them are printed. Fails where a command failed; the project's
    /// binary fails as well where it ends with an error that is not about its use.
    Check(CheckArgs),
    /// Run a command with the whole sysroot, and print the files that it needs, as metadata for Cargo.toml
    ///
    /// The command and all its children are watched: the files of the sysroot that they open, load and execute, and
    /// that the rootfs would lack, are printed, those apart that are a machine's or a person's own. It runs here as
    /// ever, in this directory; with `--sysroot DIR` in that tree, which it does not change. Its standard output goes
    /// to standard error. Its exit status is this program's.
    Trace(TraceArgs),
    /// Join images of several platforms under one name in a registry
    ///
    /// For runners that each push the image of one platform: `cargo rootfs index ghcr.io/me/app:1.2
    /// ghcr.io/me/app:1.2-amd64 ghcr.io/me/app:1.2-arm64`. Images stay as they are; what the registry lacks of them is
    /// sent. Prints `REF@sha256:...`.
    #[cfg(feature = "push")]
    Index(IndexArgs),
    /// Write one HTML page about the rootfs that the same options would write: sizes and reasons
    ///
    /// One HTML file that loads nothing: a treemap by layer, origin and package, the biggest additions, and who needs whom.
    Report(Box<ReportArgs>),
    /// Show what changed between two outputs: packages, crates, files, the glibc and the kernel that they need
    ///
    /// Each is an image in a registry (`ghcr.io/me/app:1.2`), an OCI layout, an archive of images, a root filesystem as an
    /// archive or a directory, or a `rootfs.lock`. Images of several platforms are compared platform by platform.
    Diff(DiffArgs),
    /// Prove an existing image or root filesystem again, whoever made it
    ///
    /// An image in a registry (`ghcr.io/me/app:1.2`), an OCI layout, an archive of images, or a root filesystem as an
    /// archive or a directory. Digests, closures down to symbol versions, settings, and the rules of loaders; nothing is
    /// unpacked or executed. Fails where anything is wrong.
    Verify(VerifyArgs),
    /// Manage sysroots that are made of a distribution's packages
    Sysroot {
        #[command(subcommand)]
        command: SysrootCommand,
    },
    /// Write a starting [package.metadata.rootfs] and, with --ci, a release pipeline
    ///
    /// The table goes to the end of Cargo.toml, with comments on what the project seems to need. The pipeline releases
    /// a tag: images for two architectures, archives, checksums. Files that exist stay as they are.
    Init(InitArgs),
    /// Print a completion script for a shell
    ///
    /// For bash: `cargo rootfs completions bash > ~/.local/share/bash-completion/completions/cargo-rootfs`.
    /// It completes `cargo-rootfs`; zsh's own completion of cargo then completes `cargo rootfs` as well.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or that of a command or of a page of the guide
    ///
    /// For example: `cargo rootfs man > ~/.local/share/man/man1/cargo-rootfs.1`.
    Man {
        /// A command, such as `tree`, or a topic, such as `quick-start`
        #[arg(value_name = "COMMAND|TOPIC")]
        command: Option<String>,
    },
    /// Print this message, the help of a command, or a page of the guide
    ///
    /// Topics: quick-start, tools, targets, images, debugging, configuration, build-script, templates, pipelines,
    /// reproducible, security-updates, limits, questions.
    Help {
        /// A command, such as `tree`, or a topic, such as `quick-start`
        #[arg(value_name = "COMMAND|TOPIC")]
        words: Vec<String>,
    },
}

/// `sysroot`
#[derive(Debug, Subcommand)]
pub(crate) enum SysrootCommand {
    /// List those that are in the cache: directory, suite, architecture, packages, size, days since they were used
    List,
    /// Remove those that no run has used for 30 days, and packages that none is made of
    Prune {
        /// Remove all that no run is using now
        #[arg(long)]
        all: bool,
    },
    /// Print the directory of the sysroot that the same options would use; it is made where it is not there
    Path(Box<PathArgs>),
    /// Choose the newest versions of all packages in rootfs.lock
    Update {
        #[command(flatten, next_help_heading = "Manifest options")]
        manifest: clap_cargo::Manifest,
    },
}

/// `sysroot path`
#[derive(Debug, Args)]
pub(crate) struct PathArgs {
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
}

/// `tree`
#[derive(Debug, Args)]
pub(crate) struct TreeArgs {
    /// ELF files to look at, in the sysroot; needs no project
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<OsString>,
    /// Show what a library needs each time it is met
    #[arg(long)]
    pub(crate) no_dedupe: bool,
    /// Show libraries that FILE may open at run time without a note: their names stand in it. Of what is to be packed
    /// they are shown always
    #[arg(long, requires = "files")]
    pub(crate) may_open: bool,
    /// Show what each thing that was asked for costs, alone and with all that it brings
    #[arg(long, conflicts_with_all = ["files", "no_dedupe"])]
    pub(crate) sizes: bool,
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
}

/// `index`
#[cfg(feature = "push")]
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// The name that the index gets: HOST/REPOSITORY:TAG
    #[arg(value_name = "REF", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// Images to join: names in registries, by tag or digest, and directories with an OCI image layout
    #[arg(value_name = "SOURCE", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) sources: Vec<String>,
    /// Add the platforms of the sources to those that REF has
    ///
    /// Several runners may do so at the same time: each image is tagged `TAG-<architecture>` as well, and the index is
    /// written again until it holds all of these.
    #[arg(long)]
    pub(crate) update: bool,
    /// Write the digest of the index to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) digest_file: Option<Utf8PathBuf>,
    /// Registry that may be reached by plain http, or without a valid certificate (repeatable)
    #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) insecure_registry: Vec<String>,
}

/// `why`
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A path in the rootfs, as `/usr/lib/x86_64-linux-gnu/libm.so.6`
    #[arg(value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) file: String,
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
}

/// `run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A program in the rootfs, and its arguments
    #[arg(value_name = "CMD", last = true)]
    pub(crate) words: Vec<OsString>,
    #[command(flatten)]
    pub(crate) enter: EnterArgs,
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
}

/// `shell`
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    pub(crate) enter: EnterArgs,
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
}

/// `check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A program in the rootfs to run instead of the project's binary, and its arguments
    #[arg(value_name = "CMD", last = true)]
    pub(crate) words: Vec<OsString>,
    /// Time limit for each command, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: u32,
    /// Put what is missing into Cargo.toml, whose comments and layout stay
    #[arg(long)]
    pub(crate) write: bool,
    #[command(flatten)]
    pub(crate) enter: EnterArgs,
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
}

/// `trace`
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// A program, and its arguments; the project's binary unless given
    #[arg(value_name = "CMD", last = true)]
    pub(crate) words: Vec<OsString>,
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The forge whose pipeline to write
    #[arg(long, value_name = "FORGE")]
    pub(crate) ci: Option<Forge>,
    /// Replace a pipeline that exists
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten, next_help_heading = "Manifest options")]
    pub(crate) manifest: clap_cargo::Manifest,
}

/// The environment of a command in the rootfs, besides the files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Inside")]
pub(crate) struct EnterArgs {
    /// Show a file or directory of the host inside, at the same path or at DST (repeatable)
    #[arg(long, value_name = "SRC[:DST[:ro]]", value_parser = parse_bind)]
    pub(crate) bind: Vec<BindArg>,
    /// The network: `host` is the host's, `none` has a loopback interface alone
    #[arg(long, value_name = "NETWORK", default_value = "host")]
    pub(crate) network: Network,
    /// Environment variable, beside those of the image (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub(crate) env: Option<Vec<Pair>>,
    /// User to run as, by name or number [default: the image's, or root]
    #[arg(long, value_name = "USER[:GROUP]", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: Option<String>,
    /// Directory to run in [default: the image's, or /]
    #[arg(long, value_name = "DIR", value_parser = parse_folder)]
    pub(crate) workdir: Option<RootfsPath>,
}

/// BUILD: as `cargo build` has them.
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
    /// List of crates in the binary, for scanners, by cargo-auditable: `auto` is where it is installed [default: auto]
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

/// CONTENT: what goes in besides the project. The same type holds a layer of configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Content")]
pub(crate) struct ContentArgs {
    /// Tools, by name (looked up in the sysroot's PATH) or absolute path; comma-separated, repeatable
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) with: Option<Vec<String>>,
    /// Shared objects, by soname, that are opened at run time; comma-separated, repeatable
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) with_lib: Option<Vec<String>>,
    /// Libraries that the target provides, by soname or pattern, as `libcuda.so.1` or `libnvidia-*`: they are neither
    /// packed nor missing; comma-separated, repeatable
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) allow_missing: Option<Vec<String>>,
    /// Packages of the sysroot's distribution, whole, with their dependencies; comma-separated, repeatable
    ///
    /// By the database of dpkg, apk or pacman. Documentation, translations and secrets are left out, and what is only
    /// recommended.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) with_package: Option<Vec<String>>,
    /// Packages of the sysroot's distribution for the build alone, such as `libssl-dev`; comma-separated, repeatable
    ///
    /// They are put into a sysroot that is made of packages, for headers and libraries to link with. They do not go into
    /// the rootfs.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new(), help_heading = "Compilation options")]
    pub(crate) build_package: Option<Vec<String>>,
    /// Least priority of the dlopen notes that are followed [default: recommended]
    ///
    /// Their dlopen notes say how much depends on a library. `tree` shows what the notes add and leave out.
    #[arg(long, value_name = "PRIORITY")]
    pub(crate) dlopen: Option<Priority>,
    /// Variants of libraries for particular hardware (glibc-hwcaps): all, or none [default: none]
    #[arg(long, value_name = "VARIANTS")]
    pub(crate) hwcaps: Option<Variants>,
    /// Source of files that tools need beyond their closures: `auto`, `rules`, `packages` or `none` [default: auto]
    ///
    /// Rules say what belongs with a tool or a library: its plugins, data and helpers. `why` names the rule. With
    /// `packages` each tool comes with the other files of its own package as well, but for documentation.
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime: Option<Runtime>,
    /// Records of the files' packages, for scanners: `auto` (where the sysroot has a database of packages) or `none`
    /// [default: auto]
    ///
    /// Debian's and Ubuntu's lie in /var/lib/dpkg/status.d, each cut to the files that are there.
    #[arg(long, value_name = "RECORDS")]
    pub(crate) records: Option<Records>,
    /// Licences of these packages, and the common licences that they name: `auto` or `none` [default: auto]
    #[arg(long, value_name = "LICENSES")]
    pub(crate) licenses: Option<Licenses>,
    /// Locales besides C.UTF-8, as `de_DE.UTF-8`; comma-separated, repeatable
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) locale: Option<Vec<String>>,
    /// Rules of the configuration; the command line has none.
    #[arg(skip)]
    pub(crate) rules: Option<Vec<Rule>>,
    /// Rows of policy of the configuration; the command line has none.
    #[arg(skip)]
    pub(crate) policy: Vec<Row>,
    /// File or directory to pack, with the needs of its ELF files (repeatable)
    ///
    /// MODE is octal; directories get the execute bit of who may read them. Without it files become 0644, or 0755
    /// where they can be executed, and directories 0755, whatever the umask was; secrets that are 0600 stay so. UID and
    /// GID are numbers. A DST that ends in a slash is a directory that SRC is put into.
    #[arg(long, value_name = "SRC:DST[:MODE[:UID:GID]]", value_parser = parse_include)]
    pub(crate) include: Option<Vec<Include>>,
    /// The skeleton: `none`, `base` (the default), `web`, or a directory of your own (a value with a slash)
    #[arg(long, value_name = "NAME|DIR", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) template: Option<String>,
    /// Source of libraries and tools: a directory (a value with a slash), a distribution's packages (`debian:trixie`),
    /// or `auto`: `/` for the host's architecture, else the best one found for the target
    #[arg(long, value_name = "DIR|auto|DISTRO:SUITE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) sysroot: Option<String>,
    /// Extra directories to search for libraries, as in LD_LIBRARY_PATH (which is never read); repeatable
    #[arg(long, value_name = "DIRS")]
    pub(crate) library_path: Option<Vec<String>>,
    /// Directory of the project's binaries [default: /usr/local/bin]
    #[arg(long, value_name = "DIR", value_parser = parse_folder)]
    pub(crate) install_dir: Option<RootfsPath>,
}

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

/// The options of the terminal.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TerminalArgs {
    /// Print only errors and results
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more; twice, and cargo prints everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Use of colours
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) color: Option<Color>,
    /// Format of results on standard output
    #[arg(long, global = true, value_name = "FMT", default_value = "human")]
    pub(crate) message_format: Format,
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
    /// One JSON object a line
    Json,
}

/// Options of the default command must come after a subcommand; before it, they would be ignored.
pub(crate) fn refuse_options_before_subcommand(
    command: &mut clap::Command,
    matches: &clap::ArgMatches,
) -> Result<(), clap::Error> {
    let Some(subcommand) = matches.subcommand_name() else { return Ok(()) };
    let typed = |id: &clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    let misplaced = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && typed(argument.get_id()))
        .find_map(|argument| argument.get_long());
    let Some(long) = misplaced else { return Ok(()) };
    let has_it = command
        .find_subcommand(subcommand)
        .is_some_and(|subcommand| subcommand.get_arguments().any(|argument| argument.get_long() == Some(long)));
    let message = if has_it {
        format!("`--{long}` must come after `{subcommand}`")
    } else {
        format!("`--{long}` means nothing to `{subcommand}`")
    };
    Err(command.error(clap::error::ErrorKind::ArgumentConflict, message))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_hold_together() {
        Options::command().debug_assert();
    }
}
