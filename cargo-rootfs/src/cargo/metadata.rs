//! `cargo metadata`: the workspace's packages, their targets and tables; and all dependencies, where a bill of materials
//! lists them.

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::Metadata;
use serde_json::Value;

use crate::error::{Error, Result, exit_code};
use crate::options::BuildArgs;
use crate::plan::Build;
use crate::threads::Pending;

/// The answer of one call of `cargo metadata`.
pub(crate) struct Project {
    /// The packages of the workspace.
    pub(crate) metadata: Metadata,
    /// The directory of intermediate files, if `build.build-dir` sets one.
    pub(crate) build_directory: Option<Utf8PathBuf>,
    /// The answer with all dependencies, if it was requested and possible.
    pub(crate) resolved: Option<Resolved>,
}

/// The answer of `cargo metadata` with the dependencies for one target.
pub(crate) struct Resolved {
    /// The arguments that change it.
    arguments: Vec<String>,
    value: Value,
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
    let value = answer(arguments.chain(options(build)).chain(manifest_path(build)).collect())?;
    let build_directory = build_directory(&value);
    Ok(Project { metadata: parsed(value)?, build_directory, resolved: None })
}

/// The same, with the dependencies for the target `triple`. That one call takes little longer, but works only if
/// Cargo.lock is complete and every package is there, so that cargo changes and downloads nothing; else the dependencies
/// are left out.
pub(crate) fn metadata_with_dependencies(build: &BuildArgs, current_dir: &Utf8Path, triple: &str) -> Result<Project> {
    let arguments: Vec<String> = with_dependencies(triple).chain(without_lock(options(build))).collect();
    let still = ["--locked", "--offline"].map(str::to_owned);
    let called = arguments.iter().cloned().chain(still).chain(manifest_path(build)).collect();
    // The other call reports the cause of a failure, or succeeds.
    let Ok(value) = answer(called) else { return metadata(build, current_dir) };
    let build_directory = build_directory(&value);
    let metadata = parsed(without_dependencies(&value))?;
    Ok(Project { metadata, build_directory, resolved: Some(Resolved { arguments, value }) })
}

fn with_dependencies(triple: &str) -> impl Iterator<Item = String> {
    ["metadata", "--format-version", "1", "--filter-platform", triple].map(str::to_owned).into_iter()
}

fn manifest_path(build: &BuildArgs) -> impl Iterator<Item = String> {
    let path = build.manifest.manifest_path.as_deref().map(|path| path.display().to_string());
    path.into_iter().flat_map(|path| ["--manifest-path".to_owned(), path])
}

/// The arguments without those that only limit changes.
fn without_lock(arguments: Vec<String>) -> impl Iterator<Item = String> {
    arguments.into_iter().filter(|argument| !["--locked", "--offline", "--frozen"].contains(&&**argument))
}

/// The answer that cargo gives with `--no-deps`.
fn without_dependencies(value: &Value) -> Value {
    let packages: Vec<&Value> = value["packages"].as_array().into_iter().flatten().collect();
    let members = value["workspace_members"].as_array().into_iter().flatten();
    let own = members.filter_map(|id| packages.iter().find(|package| package["id"] == *id).copied().cloned());
    let others = value.as_object().into_iter().flatten().filter(|(key, _)| *key != "packages" && *key != "resolve");
    let mut own =
        serde_json::Map::from_iter([("packages".to_owned(), own.collect()), ("resolve".to_owned(), Value::Null)]);
    own.extend(others.map(|(key, value)| (key.clone(), value.clone())));
    own.into()
}

fn parsed(value: Value) -> Result<Metadata> {
    serde_json::from_value(value)
        .map_err(|error| Error::failed("cannot understand `cargo metadata`").with_source(error))
}

/// Starts cargo for the dependencies of the project for one target, with their licences, which a bill of materials lists.
/// The features apply to the package of `manifest`.
///
/// `known` is returned if it has the same arguments. Else the call takes as long as an unchanged build, and runs beside
/// the layout, which does not need it. It starts after the build: before, the build could print that it waits for the lock
/// of cargo's package cache.
pub(crate) fn resolved(
    build: &Build,
    manifest: Option<&Utf8Path>,
    triple: &str,
    known: &mut Option<Resolved>,
) -> Result<Pending<Result<Value>>> {
    const FLAGS: [&str; 5] = ["--all-features", "--no-default-features", "--locked", "--offline", "--frozen"];
    const VALUES: [&str; 4] = ["--features", "--config", "-Z", "--manifest-path"];
    let mut arguments: Vec<String> = with_dependencies(triple).collect();
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
    // Without features, the answer is the same for each package of the workspace.
    let is_known = |known: &mut Resolved| without_lock(arguments.clone()).eq(known.arguments.iter().cloned());
    if let Some(known) = known.take_if(is_known) {
        return Ok(Pending::Done(Ok(known.value)));
    }
    let manifest = manifest.map(Utf8Path::to_string).or(typed_manifest);
    arguments.extend(manifest.into_iter().flat_map(|path| ["--manifest-path".to_owned(), path]));
    Pending::start("metadata", move || answer(arguments))
        .map_err(|error| Error::failed("cannot start a thread for `cargo metadata`").with_source(error))
}

fn answer(arguments: Vec<String>) -> Result<Value> {
    let output = duct::cmd(super::program(), arguments).stdout_capture().stderr_capture().unchecked().run();
    let output = output.map_err(|error| Error::io("run", super::program(), error))?;
    if !output.status.success() {
        // The message names the cause. The warnings are dropped: the build prints them again.
        let said = String::from_utf8_lossy(&output.stderr);
        let message = said.trim().strip_prefix("error: ").unwrap_or(said.trim());
        return Err(Error::cargo(output.status.code().unwrap_or(exit_code::FAILED), message));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::failed("cannot understand `cargo metadata`").with_source(error))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn this_package() -> BuildArgs {
        let mut build = BuildArgs::default();
        build.manifest.manifest_path = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into());
        build
    }

    /// The packages for this machine were fetched to compile this test.
    #[test]
    fn the_answer_with_dependencies_has_all_of_the_one_without() {
        let (build, triple) = (this_package(), crate::target::Target::host().triple().to_owned());
        let project = metadata_with_dependencies(&build, Utf8Path::new("/"), &triple).unwrap();
        let resolved = project.resolved.unwrap().value;
        assert!(resolved["resolve"]["nodes"].as_array().is_some_and(|nodes| nodes.len() > 20));
        let arguments = ["metadata", "--format-version", "1", "--no-deps"].map(str::to_owned).into_iter();
        let plain = answer(arguments.chain(manifest_path(&build)).collect()).unwrap();
        assert_eq!(without_dependencies(&resolved), plain);
    }

    #[test]
    fn a_call_that_cannot_have_dependencies_is_replaced() {
        let project = metadata_with_dependencies(&this_package(), Utf8Path::new("/"), "no-such-triple").unwrap();
        assert!(project.resolved.is_none());
        assert!(project.metadata.packages.iter().any(|package| package.name.as_str() == "cargo-rootfs"));
    }
}
