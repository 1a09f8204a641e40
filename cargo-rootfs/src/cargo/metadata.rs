//! `cargo metadata`: the workspace's packages, their targets and tables; and all dependencies, where a bill of materials
//! lists them.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::Metadata;
use serde_json::Value;

use super::memory::{self, Memory};
use crate::error::{Error, Result, exit_code};
use crate::options::BuildArgs;
use crate::plan::Build;
use crate::threads::Pending;

/// The workspace of a project.
pub(crate) struct Project {
    /// Its packages.
    pub(crate) metadata: Metadata,
    /// The directory of intermediate files, if `build.build-dir` sets one.
    pub(crate) build_directory: Option<Utf8PathBuf>,
    /// Cargo's answer, from which these were read.
    pub(crate) answer: Vec<u8>,
}

/// Runs cargo for the project of the current directory or of `--manifest-path`.
pub(crate) fn metadata(build: &BuildArgs, current_dir: &Utf8Path) -> Result<Project> {
    let manifest = build.manifest.manifest_path.as_deref();
    // Cargo searches in the same way, but its message on a missing manifest helps only a user who wants to build.
    if manifest.is_none() && !current_dir.ancestors().any(|folder| folder.join("Cargo.toml").is_file()) {
        return Err(Error::usage(format!("`{current_dir}` is not in a Cargo project: there is no Cargo.toml in it or above"))
            .help("name one with `--manifest-path`, a prebuilt file with `--binary PATH`, or take only tools with `--tools-only`"));
    }
    if let Some(absent) = manifest.filter(|manifest| !manifest.is_file()) {
        return Err(Error::usage(format!("`--manifest-path {}` names no file", absent.display())));
    }
    let arguments = ["metadata", "--format-version", "1", "--no-deps"].map(str::to_owned).into_iter();
    let answer = answer(arguments.chain(options(build)).chain(manifest_path(build)).collect())?;
    let value = parsed(&answer)?;
    let build_directory = build_directory(&value);
    let metadata = serde_json::from_value(value).map_err(not_understood)?;
    Ok(Project { metadata, build_directory, answer })
}

fn manifest_path(build: &BuildArgs) -> impl Iterator<Item = String> {
    let path = build.manifest.manifest_path.as_deref().map(|path| path.display().to_string());
    path.into_iter().flat_map(|path| ["--manifest-path".to_owned(), path])
}

/// Starts cargo for the dependencies of the project for one target, with their licences, which a bill of materials lists.
/// The features apply to the package of `manifest`.
///
/// The call takes as long as an unchanged build, so that it runs beside the layout, which does not need it, and its
/// answer is remembered in `memory`. It starts after the build: before, the build could print that it waits for the lock
/// of cargo's package cache. `plain` is the answer without dependencies.
pub(crate) fn resolved(
    build: &Build,
    manifest: Option<&Utf8Path>,
    triple: &str,
    plain: &Arc<[u8]>,
    memory: Option<&Memory>,
) -> Result<Pending<Result<Value>>> {
    const FLAGS: [&str; 5] = ["--all-features", "--no-default-features", "--locked", "--offline", "--frozen"];
    const VALUES: [&str; 4] = ["--features", "--config", "-Z", "--manifest-path"];
    let mut arguments = ["metadata", "--format-version", "1", "--filter-platform", triple].map(str::to_owned).to_vec();
    let mut typed_manifest = None;
    let mut typed = build.arguments.iter();
    while let Some(argument) = typed.next() {
        if FLAGS.contains(&argument.as_str()) {
            arguments.push(argument.clone());
        } else if VALUES.contains(&argument.as_str()) {
            let value = typed.next().cloned().unwrap_or_default();
            match argument.as_str() {
                "--manifest-path" => typed_manifest = Some(value),
                _ => arguments.extend([argument.clone(), value]),
            }
        }
    }
    let manifest = manifest.map(Utf8Path::to_string).or(typed_manifest);
    arguments.extend(manifest.into_iter().flat_map(|path| ["--manifest-path".to_owned(), path]));
    let (workspace, plain, memory) = (build.workspace_root.clone(), Arc::clone(plain), memory.cloned());
    let work = move || {
        let key =
            std::env::current_dir().ok().and_then(|current| memory::key(&arguments, &plain, &workspace, &current));
        let ask = || parsed(&answer(arguments)?);
        match memory {
            Some(memory) => memory.answer(key, ask),
            None => ask(),
        }
    };
    Pending::start("metadata", work)
        .map_err(|error| Error::failed("cannot start a thread for `cargo metadata`").with_source(error))
}

fn answer(arguments: Vec<String>) -> Result<Vec<u8>> {
    let output = duct::cmd(super::program(), arguments).stdout_capture().stderr_capture().unchecked().run();
    let output = output.map_err(|error| Error::io("run", super::program(), error))?;
    if !output.status.success() {
        // The message names the cause. The warnings are dropped: the build prints them again.
        let said = String::from_utf8_lossy(&output.stderr);
        let message = said.trim().strip_prefix("error: ").unwrap_or(said.trim());
        return Err(Error::cargo(output.status.code().unwrap_or(exit_code::FAILED), message));
    }
    Ok(output.stdout)
}

fn parsed(answer: &[u8]) -> Result<Value> {
    serde_json::from_slice(answer).map_err(not_understood)
}

fn not_understood(error: serde_json::Error) -> Error {
    Error::failed("cannot understand `cargo metadata`").with_source(error)
}

/// The build directory. Cargo 1.91 and later report it; the cargo_metadata that compiles with our minimum Rust version
/// has no field for it.
fn build_directory(project: &Value) -> Option<Utf8PathBuf> {
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
