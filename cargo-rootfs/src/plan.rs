//! The meaning of the options for this project: executables, targets, sysroots and outputs.
//!
//! It is pure: cargo's metadata and the host's triple are parameters, and it reads no file.

mod content;
mod image;
mod outputs;
mod select;

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{CrateType, Metadata, Package, PackageId, TargetKind};
use serde_json::Value;

use crate::error::{Error, Result, Warning};
use crate::layout::{Content, Executable, Plugin};
use crate::options::{
    Auditable, BuildArgs, BuildWith, ContentArgs, Format, ImageArgs, Layer, Manifest, OutputArgs, ProcessArgs,
    TerminalArgs, merge,
};
use crate::output::{self, Output, Placeholders};
use crate::provision::Suite;
use crate::target::Target;
use crate::threads::Pending;
use crate::write::is_stdout;

pub(crate) use image::ImagePlan;

use select::Selection;

/// The complete plan of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The source of the project's executables.
    pub(crate) source: Source,
    /// One rootfs for each target, in the order of the targets.
    pub(crate) rootfs: Vec<RootfsPlan>,
    /// The warnings to print first.
    pub(crate) warnings: Vec<Warning>,
}

/// The source of the project's executables.
#[derive(Debug)]
pub(crate) enum Source {
    /// Cargo builds them.
    Cargo(Build),
    /// They exist (`--binary`).
    Prebuilt(Vec<Executable>),
    /// None (`--tools-only`).
    Nothing,
}

/// One call of `cargo build`.
#[derive(Debug)]
pub(crate) struct Build {
    /// The build tool.
    pub(crate) with: BuildWith,
    /// The setting for cargo-auditable.
    pub(crate) auditable: Auditable,
    /// True if an output is written, which a scanner may read.
    pub(crate) is_written: bool,
    /// All arguments, cargo's command first.
    pub(crate) arguments: Vec<String>,
    /// The executables to take, in the order of packing.
    pub(crate) wanted: Vec<Wanted>,
    /// The directory of Cargo.lock.
    pub(crate) workspace_root: Utf8PathBuf,
    /// Cargo's target directory, absolute.
    pub(crate) target_directory: Utf8PathBuf,
    /// Directories of the build; their files never belong in a rootfs.
    pub(crate) folders: Vec<Utf8PathBuf>,
    /// Shared libraries of the workspace: file names, each with its package.
    pub(crate) plugins: Vec<Plugin>,
    /// True if a target was chosen: cargo then keeps its artifacts in a directory with the target's name.
    pub(crate) chosen_target: bool,
}

impl Build {
    /// The values of `--config`, in order.
    pub(crate) fn overrides(&self) -> Vec<String> {
        let pairs = self.arguments.windows(2);
        pairs.filter(|pair| pair[0] == "--config").map(|pair| pair[1].clone()).collect()
    }
}

/// One executable that cargo builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) package: PackageId,
    pub(crate) kind: TargetKind,
    pub(crate) name: String,
}

/// The source of libraries and tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SysrootPlan {
    /// A directory of the host.
    Folder(Utf8PathBuf),
    /// The nearest existing sysroot for the target.
    Auto,
    /// A distribution's packages.
    Suite(Suite),
}

/// One root filesystem.
#[derive(Debug)]
pub(crate) struct RootfsPlan {
    /// Its name: the package's, or a common name for several.
    pub(crate) name: String,
    /// The machine it is for.
    pub(crate) target: Target,
    /// The target as cargo's argument, if given: a triple, or the path of a specification.
    pub(crate) cargo_target: Option<String>,
    /// The source of libraries and tools.
    pub(crate) sysroot: SysrootPlan,
    /// True if the user named the sysroot.
    pub(crate) is_sysroot_named: bool,
    /// The file with its configuration; `None` in a run without a project.
    pub(crate) manifest: Option<Manifest>,
    /// Packages of the sysroot that only the build needs.
    pub(crate) build_packages: Vec<String>,
    /// The contents.
    pub(crate) content: Content,
    /// The outputs; empty for a report.
    pub(crate) outputs: Vec<Output>,
    /// True if layers in the cache are reused.
    pub(crate) uses_cache: bool,
    /// The image configuration.
    pub(crate) image: ImagePlan,
    /// Other facts about the project.
    pub(crate) facts: Facts,
    /// The bill of materials for the outputs that need one.
    pub(crate) bill: Option<output::LateBill>,
}

/// Facts of a project for a bill of materials.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) version: Option<String>,
    pub(crate) licence: Option<String>,
    pub(crate) authors: Vec<String>,
    /// The manifest of the package that names the rootfs.
    pub(crate) manifest: Option<Utf8PathBuf>,
    /// The package of each executable, as `cargo metadata` names it.
    pub(crate) roots: Vec<String>,
    /// The packages that the build compiled, in the same notation.
    pub(crate) compiled: BTreeSet<String>,
    /// `cargo metadata` with all dependencies, if it was queried.
    pub(crate) metadata: Option<Pending<Result<Value>>>,
}

impl Facts {
    fn new(selection: &Selection, project: Option<&Metadata>) -> Self {
        let is_named = |package: &&Package| selection.name.as_deref().is_some_and(|name| *package.name == *name);
        let package = project.and_then(|project| project.packages.iter().find(is_named));
        Self {
            version: selection.version.clone(),
            licence: package.and_then(|package| package.license.clone()),
            authors: package.map(|package| package.authors.clone()).unwrap_or_default(),
            manifest: package.map(|package| package.manifest_path.clone()),
            roots: selection.wanted.iter().map(|wanted| wanted.package.repr.clone()).collect(),
            compiled: BTreeSet::new(),
            metadata: None,
        }
    }
}

/// The typed arguments.
#[derive(Debug)]
pub(crate) struct Request<'o> {
    pub(crate) build: &'o BuildArgs,
    pub(crate) content: &'o ContentArgs,
    pub(crate) purpose: Purpose<'o>,
    pub(crate) terminal: &'o TerminalArgs,
}

impl Request<'_> {
    /// The options that write to standard output, besides outputs.
    fn printed(&self) -> impl Iterator<Item = String> {
        let texts = match self.purpose {
            Purpose::Write(OutputArgs { checksums, digest_file, .. }, ..) => {
                vec![("--checksums", checksums), ("--digest-file", digest_file)]
            }
            _ => Vec::new(),
        };
        let texts = texts.into_iter().filter_map(|(option, path)| Some((option, path.as_ref()?)));
        let texts = texts.filter(|(_, path)| is_stdout(path.as_std_path()));
        let format = (self.terminal.message_format == Format::Json).then(|| "--message-format json".to_owned());
        texts.map(|(option, path)| format!("{option} {path}")).chain(format)
    }
}

/// The purpose of the rootfs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'o> {
    /// To be written.
    Write(&'o OutputArgs, &'o ImageArgs, &'o ProcessArgs),
    /// To be entered, as an image would be.
    Enter(&'o ProcessArgs),
    /// To be compared with the files that a command uses of the sysroot; it may be empty.
    Compare,
    /// To be reported on.
    Report,
}

impl Purpose<'_> {
    /// The typed options of outputs and images.
    fn typed(self) -> (OutputArgs, ImageArgs, ProcessArgs) {
        match self {
            Self::Write(output, image, process) => (output.clone(), image.clone(), process.clone()),
            Self::Enter(process) => (OutputArgs::default(), ImageArgs::default(), process.clone()),
            Self::Compare | Self::Report => Default::default(),
        }
    }
}

/// The environment in which the options are interpreted.
pub(crate) struct Surroundings<'w> {
    /// `None` if nothing is built.
    pub(crate) project: Option<&'w Metadata>,
    /// The directory of cargo's intermediate files, if it is not the target directory.
    pub(crate) build_directory: Option<Utf8PathBuf>,
    /// The targets of cargo's configuration, for a run without `--target`.
    pub(crate) configured_targets: Vec<String>,
    /// The host's triple from the compiler. It is slow, so it is called only if no target is named.
    pub(crate) host: &'w dyn Fn() -> Result<String>,
    /// CARGO_ROOTFS_SYSROOT: the default sysroot for other machines than the host.
    pub(crate) foreign_sysroot: Option<String>,
    pub(crate) current_dir: &'w Utf8Path,
}

impl Plan {
    /// Interprets the request. Reports all errors of a stage together.
    pub(crate) fn new(request: &Request<'_>, around: &Surroundings<'_>) -> Result<Self> {
        let (output, image, process) = request.purpose.typed();
        let typed = Layer { content: request.content.clone(), output, image, process };
        let selection = match around.project {
            Some(project) => select::from_project(project, request.build, &typed)?,
            None => select::without_project(request.build)?,
        };
        let with = request.build.compilation.build_with.or(selection.keys.build_with).unwrap_or_default();
        let targets = targets(request.build, with, around)?;
        if let (Purpose::Enter(_) | Purpose::Compare, [(first, _), _, ..]) = (request.purpose, &targets[..]) {
            let triples: Vec<_> = targets.iter().map(|(target, _)| target.triple()).collect();
            return Err(Error::usage("one rootfs is entered at a time")
                .detail(format!("the targets are {}", triples.join(", ")))
                .help(format!("choose one with `--target {}`", first.triple())));
        }

        let mut rootfs = Vec::new();
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        for (target, cargo_target) in targets {
            let layer = merge(&selection.workspace, &selection.package, typed.clone(), target.triple());
            match one(layer, target, &selection, request, around, &mut warnings) {
                Ok(one) => rootfs.push(RootfsPlan { cargo_target, ..one }),
                Err(error) => errors.push(error),
            }
        }
        Error::all(errors)?;
        let outputs = rootfs.iter().flat_map(|one| one.outputs.iter().map(|output| (&one.target, output)));
        output::check(outputs, around.current_dir, request.printed())?;
        let asked = request.content;
        let may_be_empty = matches!(request.purpose, Purpose::Compare);
        let names_nothing =
            asked.with.is_none() && asked.with_lib.is_none() && asked.with_package.is_none() && asked.include.is_none();
        if around.project.is_none()
            && selection.prebuilt.is_empty()
            && names_nothing
            && asked.template.is_none()
            && !may_be_empty
        {
            return Err(Error::usage("there is nothing to package: no tool, no library, no file, no template")
                .help("name tools: --tools-only --with bash,ls"));
        }
        if around.project.is_none() && rootfs.iter().any(|one| !one.build_packages.is_empty()) {
            return Err(Error::usage("--build-package serves a build, and nothing is built")
                .help("packages for the rootfs: --with-package LIST"));
        }
        warnings.dedup();

        let source = match around.project {
            Some(project) => Source::Cargo(build(project, request, selection, with, around)),
            None if selection.prebuilt.is_empty() => Source::Nothing,
            None => Source::Prebuilt(selection.prebuilt),
        };
        Ok(Self { source, rootfs, warnings })
    }
}

/// The plan for one target.
fn one(
    layer: Layer,
    target: Target,
    selection: &Selection,
    request: &Request<'_>,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<RootfsPlan> {
    let names = Placeholders {
        package: selection.name.as_deref(),
        version: selection.version.as_deref(),
        triple: target.triple(),
        arch: target.arch(),
    };
    let (outputs, bill) = match request.purpose {
        Purpose::Report | Purpose::Enter(_) | Purpose::Compare => (Vec::new(), None),
        Purpose::Write(..) => {
            let folder = around.project.map(|project| target_directory(project, request.build));
            let outputs = outputs::outputs(&layer.output, &names, folder.as_deref())?;
            outputs::with_sboms(outputs, &layer.output, &names, folder.as_deref())?
        }
    };
    let has_image = outputs.iter().any(|output| output.kind.is_image);
    let workspace = around.project.map(|project| project.workspace_root.as_path());
    let image = image::image(&layer, &target, selection, has_image, workspace, request, warnings)?;
    let foreign = around.foreign_sysroot.as_deref();
    let sysroot = content::sysroot(&layer.content, &target, foreign)?;
    let is_sysroot_named = content::named_sysroot(&layer.content, &target, foreign).is_some();
    Ok(RootfsPlan {
        name: selection.name.clone().unwrap_or_else(|| "tools".to_owned()),
        target,
        cargo_target: None,
        sysroot,
        is_sysroot_named,
        manifest: selection.manifest.clone(),
        build_packages: layer.content.build_package.clone().unwrap_or_default(),
        content: content::content(layer.content),
        outputs,
        uses_cache: !layer.output.no_cache,
        image,
        facts: Facts::new(selection, around.project),
        bill,
    })
}

/// The targets, each with its spelling for cargo.
fn targets(build: &BuildArgs, with: BuildWith, around: &Surroundings<'_>) -> Result<Vec<(Target, Option<String>)>> {
    let typed = &build.compilation.target;
    let chosen = if typed.is_empty() { &around.configured_targets } else { typed };
    let mut targets: Vec<(Target, Option<String>)> = Vec::new();
    let mut spelled: Vec<(&str, &str)> = Vec::new();
    let is_host_named = chosen.is_empty() || chosen.iter().any(|name| name == HOST_TUPLE);
    let host = if is_host_named { (around.host)()? } else { String::new() };
    for name in chosen {
        let triple = without_glibc(triple_of(name, &host), with)?;
        let target = Target::parse(triple)?;
        // Cargo keeps the results of one triple in one directory, for every glibc version.
        if let Some((_, other)) = spelled.iter().find(|(known, other)| *known == triple && *other != name) {
            if with == BuildWith::Zigbuild {
                return Err(Error::usage(format!(
                    "`{other}` and `{name}` are one target, and cannot be built at once"
                )));
            }
        }
        if !targets.iter().any(|(known, _)| *known == target) {
            let of_cargo = if name.ends_with(triple) || name.ends_with(".json") { name.as_str() } else { triple };
            targets.push((target, Some(of_cargo.to_owned())));
        }
        spelled.push((triple, name));
    }
    if targets.is_empty() {
        targets.push((Target::parse(&host)?, None));
    }
    Ok(targets)
}

/// Cargo's name for the host (`cargo build --help`).
const HOST_TUPLE: &str = "host-tuple";

/// The triple of a target; for a specification, the stem of its file name, as in cargo's directory names.
fn triple_of<'n>(name: &'n str, host: &'n str) -> &'n str {
    match Utf8Path::new(name) {
        _ if name == HOST_TUPLE => host,
        path if path.extension() == Some("json") => path.file_stem().unwrap_or(name),
        _ => name,
    }
}

/// The triple without the glibc version that cargo-zigbuild accepts, as in `aarch64-unknown-linux-gnu.2.17`.
fn without_glibc(name: &str, with: BuildWith) -> Result<&str> {
    match name.split_once('.') {
        Some((triple, version))
            if triple.contains("-linux-gnu") && version.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            if with == BuildWith::Zigbuild {
                return Ok(triple);
            }
            Err(Error::usage(format!("`--target {name}` ends in a glibc, which cargo does not know"))
                .help(format!("cargo-zigbuild does: --build-with zigbuild --target {name}")))
        }
        _ => Ok(name),
    }
}

fn target_directory(project: &Metadata, build: &BuildArgs) -> Utf8PathBuf {
    build.compilation.target_dir.clone().unwrap_or_else(|| project.target_directory.clone())
}

fn build(
    project: &Metadata,
    request: &Request<'_>,
    selection: Selection,
    with: BuildWith,
    around: &Surroundings<'_>,
) -> Build {
    let chosen = !request.build.compilation.target.is_empty() || !around.configured_targets.is_empty();
    let target_directory = around.current_dir.join(target_directory(project, request.build));
    let mut folders = vec![project.workspace_root.clone(), target_directory.clone()];
    folders.extend(around.build_directory.clone());
    Build {
        with,
        auditable: request.build.compilation.auditable.or(selection.keys.auditable).unwrap_or_default(),
        is_written: matches!(request.purpose, Purpose::Write(..)),
        arguments: cargo_arguments(request, &selection, with),
        wanted: selection.wanted,
        workspace_root: project.workspace_root.clone(),
        target_directory,
        folders,
        plugins: plugins(project),
        chosen_target: chosen,
    }
}

/// The shared libraries that packages of the workspace build.
fn plugins(project: &Metadata) -> Vec<Plugin> {
    let is_shared = |kind: &CrateType| matches!(kind, CrateType::CDyLib | CrateType::DyLib);
    let targets = project.workspace_packages().into_iter().flat_map(|package| {
        let shared = package.targets.iter().filter(|target| target.crate_types.iter().any(is_shared));
        shared.map(|target| Plugin {
            file: format!("lib{}.so", target.name.replace('-', "_")),
            package: package.name.to_string(),
            path: None,
        })
    });
    targets.collect()
}

/// The arguments of cargo: the user's own, unchanged, then the selection of executables.
fn cargo_arguments(request: &Request<'_>, selection: &Selection, with: BuildWith) -> Vec<String> {
    let BuildArgs { workspace, features, manifest, compilation, .. } = request.build;
    let mut arguments = Arguments(vec![with.command().to_owned()]);
    arguments.value("--message-format", Some("json-render-diagnostics"));
    arguments.flag("--quiet", request.terminal.quiet);
    for _ in 0..request.terminal.verbose {
        arguments.flag("--verbose", true);
    }
    arguments.value("--color", request.terminal.color.map(|color| color.as_str()));

    arguments.values("--package", &workspace.package);
    arguments.flag("--workspace", workspace.workspace || workspace.all);
    arguments.values("--exclude", &workspace.exclude);
    for wanted in &selection.wanted {
        let flag = if wanted.kind == TargetKind::Example { "--example" } else { "--bin" };
        arguments.value(flag, Some(&wanted.name));
    }
    arguments.values("--features", &selection.keys.features);
    arguments.values("--features", &features.features);
    arguments.flag("--all-features", features.all_features || selection.keys.all_features);
    arguments.flag("--no-default-features", features.no_default_features || selection.keys.no_default_features);
    arguments.value("--manifest-path", manifest.manifest_path.as_ref().and_then(|path| path.to_str()));

    let profile = compilation.profile.as_deref().or(selection.keys.profile.as_deref().filter(|_| !compilation.release));
    arguments.value("--profile", Some(profile.unwrap_or("release")));
    arguments.values("--target", &compilation.target);
    arguments.value("--target-dir", compilation.target_dir.as_ref().map(|folder| folder.as_str()));
    arguments.value("--jobs", compilation.jobs.as_deref());
    arguments.flag("--locked", compilation.locked);
    arguments.flag("--offline", compilation.offline);
    arguments.flag("--frozen", compilation.frozen);
    arguments.values("--config", &compilation.config);
    arguments.values("-Z", &compilation.unstable);
    arguments.0
}

struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, name: &str, given: bool) {
        if given {
            self.0.push(name.to_owned());
        }
    }

    fn value(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.extend([name.to_owned(), value.to_owned()]);
        }
    }

    fn values(&mut self, name: &str, values: &[String]) {
        for value in values {
            self.value(name, Some(value));
        }
    }
}

#[cfg(test)]
mod tests;
