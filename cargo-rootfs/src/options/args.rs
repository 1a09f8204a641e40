//! The typed arguments: the definitions for parsing, `--help`, completions and the man page.
//!
//! Parsing reads no file and no environment; [`crate::plan`] applies defaults and interprets the values.

use std::ffi::OsString;

use camino::Utf8PathBuf;
use clap::builder::NonEmptyStringValueParser;
use clap::parser::ValueSource;
use clap::{Args, Parser, Subcommand};

use super::build::BuildArgs;
use super::content::ContentArgs;
use super::image::{ImageArgs, ProcessArgs};
use super::inspected::{DiffArgs, ReportArgs, VerifyArgs};
use super::later::Later;
use super::layered::unconfigured;
use super::output::OutputArgs;
use super::terminal::TerminalArgs;
use super::values::{BindArg, Forge, parse_bind};
use crate::enter::Network;

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
    #[command(flatten, next_help_heading = "Image")]
    pub(crate) process: ProcessArgs,
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
    /// Show the libraries that files need, how each is found, and missing ones
    ///
    /// Without FILE, it shows the rootfs that the same options would write.
    Tree(Later<TreeArgs>),
    /// Say why a file is in the rootfs
    Why(Later<WhyArgs>),
    /// Enter the rootfs and run a command in it, without root's rights
    ///
    /// Files written inside are discarded. Without CMD, the command of an image runs: the project's binary. Its exit
    /// status becomes this program's; 128 + n if signal n ended it, 127 if it is not in the rootfs, 126 if it cannot be
    /// executed.
    Run(Later<RunArgs>),
    /// Enter the rootfs with a shell: its bash, or else its sh
    Shell(Later<ShellArgs>),
    /// Run the project's binary and each tool in the rootfs, and report missing files
    ///
    /// Without CMD, the binary is run with `--version`; each tool does a small part of its job, or is run with
    /// `--version`. Files that exist in the sysroot but not in the rootfs are added in memory, until the command works
    /// or opens nothing new, and the options that add them are printed. It fails if a command failed; the project's
    /// binary also fails if it ends with an error other than a usage error.
    Check(Later<CheckArgs>),
    /// Run a command with the whole sysroot, and print the files that it needs, as metadata for Cargo.toml
    ///
    /// The command and all its children are watched: the files of the sysroot that they open, load and execute, and
    /// that the rootfs would lack, are printed, except files of one machine or one person. The command runs as usual,
    /// in this directory; with `--sysroot DIR` in that tree, which does not change. Its standard output goes to
    /// standard error. Its exit status becomes this program's.
    Trace(Later<TraceArgs>),
    /// Join images of several platforms under one name in a registry
    ///
    /// For runners that each push the image of one platform: `cargo rootfs index ghcr.io/me/app:1.2
    /// ghcr.io/me/app:1.2-amd64 ghcr.io/me/app:1.2-arm64`. Images do not change; blobs that the registry lacks are
    /// sent. It prints `REF@sha256:...`.
    #[cfg(feature = "push")]
    Index(Later<IndexArgs>),
    /// Write one HTML page about the rootfs that the same options would write: sizes and reasons
    ///
    /// One HTML file that loads nothing: a treemap by layer, origin and package, the biggest additions, and the files
    /// that need each file.
    Report(Later<ReportArgs>),
    /// Show what changed between two outputs: packages, crates, files, the glibc and the kernel that they need
    ///
    /// Each is an image in a registry (`ghcr.io/me/app:1.2`), an OCI layout, an archive of images, a root filesystem as an
    /// archive or a directory, or a `rootfs.lock`. Images of several platforms are compared platform by platform.
    Diff(Later<DiffArgs>),
    /// Prove an existing image or root filesystem of any builder
    ///
    /// It is an image in a registry (`ghcr.io/me/app:1.2`), an OCI layout, an archive of images, or a root filesystem
    /// as an archive or a directory. Digests, closures down to symbol versions, settings, and the rules of loaders are
    /// checked; nothing is unpacked or executed. Any fault is an error.
    Verify(Later<VerifyArgs>),
    /// Manage sysroots that are made of a distribution's packages
    Sysroot {
        #[command(subcommand)]
        command: SysrootCommand,
    },
    /// Write a starting [package.metadata.rootfs] and, with --ci, a release pipeline
    ///
    /// The table is added at the end of Cargo.toml, with comments on likely needs of the project. The pipeline releases
    /// a tag: images for two architectures, archives, checksums. Existing files do not change.
    Init(Later<InitArgs>),
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
    /// List cached sysroots: directory, suite, architecture, packages, size, days since their last use
    List,
    /// Remove sysroots that no run has used for 30 days, and packages that no sysroot uses
    Prune {
        /// Remove all sysroots that no run is using now
        #[arg(long)]
        all: bool,
    },
    /// Print the directory of the sysroot that the same options would use, which is made if it is missing
    Path(Box<RootfsArgs>),
    /// Choose the newest versions of all packages in rootfs.lock
    Update {
        #[command(flatten, next_help_heading = "Manifest options")]
        manifest: clap_cargo::Manifest,
    },
}

/// The options that determine a rootfs.
#[derive(Debug, Args)]
pub(crate) struct RootfsArgs {
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
}

/// `tree`
#[derive(Debug, Args)]
pub(crate) struct TreeArgs {
    /// ELF files of the sysroot to show; needs no project
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<OsString>,
    /// Show the needs of a library each time it occurs
    #[arg(long)]
    pub(crate) no_dedupe: bool,
    /// Show libraries that FILE may open at run time without a note: it contains their names. For files to be packed
    /// they are always shown
    #[arg(long, requires = "files")]
    pub(crate) may_open: bool,
    /// Show the size of each requested tool, package and file, alone and with everything that it needs
    #[arg(long, conflicts_with_all = ["files", "no_dedupe"])]
    pub(crate) sizes: bool,
    #[command(flatten)]
    pub(crate) rootfs: RootfsArgs,
}

/// `index`
#[cfg(feature = "push")]
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// The name of the index: HOST/REPOSITORY:TAG
    #[arg(value_name = "REF", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// Images to join: names in registries, by tag or digest, and directories with an OCI image layout
    #[arg(value_name = "SOURCE", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) sources: Vec<String>,
    /// Add the platforms of the sources to those that REF has
    ///
    /// Several runners may do so at the same time: each image is also tagged `TAG-<architecture>`, and the index is
    /// rewritten until it has all of these.
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
    pub(crate) rootfs: RootfsArgs,
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
    pub(crate) rootfs: RootfsArgs,
}

/// `shell`
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    pub(crate) enter: EnterArgs,
    #[command(flatten)]
    pub(crate) rootfs: RootfsArgs,
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
    /// Add the missing files to Cargo.toml, and keep its comments and layout
    #[arg(long)]
    pub(crate) write: bool,
    #[command(flatten)]
    pub(crate) enter: EnterArgs,
    #[command(flatten)]
    pub(crate) rootfs: RootfsArgs,
}

/// `trace`
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// A program and its arguments; by default the project's binary
    #[arg(value_name = "CMD", last = true)]
    pub(crate) words: Vec<OsString>,
    #[command(flatten)]
    pub(crate) rootfs: RootfsArgs,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The forge whose pipeline to write
    #[arg(long, value_name = "FORGE")]
    pub(crate) ci: Option<Forge>,
    /// Replace an existing pipeline
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten, next_help_heading = "Manifest options")]
    pub(crate) manifest: clap_cargo::Manifest,
}

unconfigured! {
    /// The environment of a command in the rootfs, besides the files.
    #[derive(Debug, Args)]
    #[command(next_help_heading = "Inside")]
    struct EnterArgs {
        /// Show a file or directory of the host inside, at the same path or at DST (repeatable)
        #[arg(long, value_name = "SRC[:DST[:ro]]", value_parser = parse_bind)]
        bind: Vec<BindArg> = "bind" is "it is for one run";
        /// The network: `host` is the host's, `none` has a loopback interface alone
        #[arg(long, value_name = "NETWORK", default_value = "host")]
        network: Network = "network" is "it is for one run";
        #[command(flatten, next_help_heading = "Inside")]
        process: ProcessArgs;
    }
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

    #[test]
    fn a_command_keeps_its_description_when_its_options_are_defined() {
        let described = |command: &clap::Command| {
            let about =
                |it: &clap::Command| (it.get_name().to_owned(), it.get_about().cloned(), it.get_long_about().cloned());
            command.get_subcommands().map(about).collect::<Vec<_>>()
        };
        let (before, mut built) = (Options::command(), Options::command());
        assert!(before.find_subcommand("tree").unwrap().get_arguments().next().is_none());
        built.build();
        assert!(built.find_subcommand("tree").unwrap().get_arguments().any(|it| it.get_long() == Some("with")));
        assert_eq!(described(&before), described(&built));
        assert!(described(&built).iter().all(|(_, about, _)| about.is_some()));
    }
}
