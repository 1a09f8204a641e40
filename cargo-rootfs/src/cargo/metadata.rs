//! `cargo metadata --no-deps`: the workspace's packages, their targets and tables.
//!
//! Dependencies are not requested: resolving them takes ten times as long.

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Metadata, MetadataCommand};
use serde_json::Value;

use crate::error::{Error, Result, exit_code};
use crate::options::BuildArgs;
use crate::plan::Build;
use crate::threads::Pending;

/// Runs cargo for the project of the current directory or of `--manifest-path`. The path is the directory of
/// intermediate files, if `build.build-dir` sets one.
pub(crate) fn metadata(build: &BuildArgs, current_dir: &Utf8Path) -> Result<(Metadata, Option<Utf8PathBuf>)> {
    let manifest = build.manifest.manifest_path.as_deref();
    // Cargo searches in the same way, but its message on a missing manifest helps only a user who wants to build.
    if manifest.is_none() && !current_dir.ancestors().any(|folder| folder.join("Cargo.toml").is_file()) {
        return Err(Error::usage(format!("`{current_dir}` is not in a Cargo project: there is no Cargo.toml in it or above"))
            .help("name one with `--manifest-path`, a prebuilt file with `--binary PATH`, or take only tools with `--tools-only`"));
    }
    if let Some(absent) = manifest.filter(|manifest| !manifest.is_file()) {
        return Err(Error::usage(format!("`--manifest-path {}` names no file", absent.display())));
    }

    let mut command = MetadataCommand::new();
    command.cargo_path(super::program()).no_deps().other_options(options(build));
    if let Some(manifest) = manifest {
        command.manifest_path(manifest);
    }
    let command = command.cargo_command();
    let output = duct::cmd(command.get_program(), command.get_args())
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|error| Error::io("run", super::program(), error))?;
    if !output.status.success() {
        // The message names the cause. The warnings are dropped: the build prints them again.
        let said = String::from_utf8_lossy(&output.stderr);
        let message = said.trim().strip_prefix("error: ").unwrap_or(said.trim());
        return Err(Error::cargo(output.status.code().unwrap_or(exit_code::FAILED), message));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let project = MetadataCommand::parse(&text)
        .map_err(|error| Error::failed("cannot understand `cargo metadata`").with_source(error))?;
    Ok((project, build_directory(&text)))
}

/// Starts cargo for the dependencies of the project for one target, with their licences, which a bill of materials lists.
/// The features apply to the package of `manifest`.
///
/// It takes as long as an unchanged build, and runs beside the layout, which does not need it. It starts after the build:
/// before, the build could print that it waits for the lock of cargo's package cache.
pub(crate) fn resolved(build: &Build, manifest: Option<&Utf8Path>, triple: &str) -> Result<Pending<Result<Value>>> {
    const FLAGS: [&str; 5] = ["--all-features", "--no-default-features", "--locked", "--offline", "--frozen"];
    const VALUES: [&str; 4] = ["--features", "--config", "-Z", "--manifest-path"];
    let mut arguments: Vec<String> =
        ["metadata", "--format-version", "1", "--filter-platform", triple].map(str::to_owned).into();
    let mut typed = build.arguments.iter();
    while let Some(argument) = typed.next() {
        if FLAGS.contains(&argument.as_str()) {
            arguments.push(argument.clone());
        } else if VALUES.contains(&argument.as_str()) {
            let value = typed.next().cloned().unwrap_or_default();
            let is_replaced = argument == "--manifest-path" && manifest.is_some();
            arguments.extend(if is_replaced { Vec::new() } else { vec![argument.clone(), value] });
        }
    }
    arguments.extend(manifest.iter().flat_map(|path| ["--manifest-path".to_owned(), path.to_string()]));
    Pending::start("metadata", move || answer(&arguments))
        .map_err(|error| Error::failed("cannot start a thread for `cargo metadata`").with_source(error))
}

fn answer(arguments: &[String]) -> Result<Value> {
    let output = duct::cmd(super::program(), arguments).stdout_capture().stderr_capture().unchecked().run();
    let output = output.map_err(|error| Error::io("run", super::program(), error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let message = said.trim().strip_prefix("error: ").unwrap_or(said.trim());
        return Err(Error::cargo(output.status.code().unwrap_or(exit_code::FAILED), message));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::failed("cannot understand `cargo metadata`").with_source(error))
}

/// The build directory. Cargo 1.91 and later report it; the cargo_metadata that compiles with our minimum Rust version
/// has no field for it.
fn build_directory(text: &str) -> Option<Utf8PathBuf> {
    let project: Value = serde_json::from_str(text).ok()?;
    project["build_directory"].as_str().map(Utf8PathBuf::from)
}

/// The options that change cargo's answer.
fn options(build: &BuildArgs) -> Vec<String> {
    let args = &build.compilation;
    let flags = [("--locked", args.locked), ("--offline", args.offline), ("--frozen", args.frozen)];
    let mut options: Vec<String> =
        flags.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).to_owned()).collect();
    for (flag, values) in [("--config", &args.config), ("-Z", &args.unstable)] {
        options.extend(values.iter().flat_map(|value| [flag.to_owned(), value.clone()]));
    }
    options
}
