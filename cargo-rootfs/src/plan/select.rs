//! Selects packages and executables of a workspace by the options, with cargo's own rules.
//!
//! An ambiguous selection is an error that lists the choices.

use cargo_metadata::{Metadata, Package, TargetKind};
use serde_json::Value;

use super::Wanted;
use crate::error::{Error, Result};
use crate::layout::Executable;
use crate::options::{BuildArgs, SelectionArgs};
use crate::options::{BuildKeys, Layer, Layers, Manifest, read};
use crate::wording::{did_you_mean, nearest};

/// The executables to pack, and their configuration.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The executables that cargo builds.
    pub(super) wanted: Vec<Wanted>,
    /// The executables that exist already.
    pub(super) prebuilt: Vec<Executable>,
    /// The index of the executable that an image runs, in one of these lists.
    pub(super) main: Option<usize>,
    /// The name of the rootfs: the package's, or a common name for several.
    pub(super) name: Option<String>,
    /// The version, if known.
    pub(super) version: Option<String>,
    /// Labels of its images from Cargo.toml.
    pub(super) labels: Vec<(String, String)>,
    pub(super) workspace: Layers,
    pub(super) package: Layers,
    /// The build keys of the workspace and the package, merged.
    pub(super) keys: BuildKeys,
    /// The file with the nearest configuration.
    pub(super) manifest: Option<Manifest>,
}

impl Selection {
    /// The number of executables.
    pub(super) fn executables(&self) -> usize {
        self.wanted.len() + self.prebuilt.len()
    }
}

/// `--binary` and `--tools-only`: no project is read.
pub(super) fn without_project(build: &BuildArgs) -> Result<Selection> {
    let mut prebuilt: Vec<Executable> = Vec::new();
    for path in &build.selection.binary {
        let name = path.file_name().ok_or_else(|| Error::usage(format!("`--binary {path}` names no file")))?;
        if let Some(other) = prebuilt.iter().find(|other| other.name == name) {
            return Err(Error::usage(format!("`{}` and `{path}` would both be `{name}` in the rootfs", other.path)));
        }
        prebuilt.push(Executable { name: name.to_owned(), path: path.clone() });
    }
    let main = (prebuilt.len() == 1).then_some(0);
    Ok(Selection { prebuilt, main, ..Selection::default() })
}

/// The selection that the options make in the workspace.
pub(super) fn from_project(project: &Metadata, build: &BuildArgs, typed: &Layer) -> Result<Selection> {
    let packages = packages(project, build)?;
    let workspace = Manifest { path: project.workspace_root.join("Cargo.toml"), table: "workspace" };
    let mut errors = Vec::new();
    let mut keep = |read: Result<Layers>| read.map_err(|error| errors.push(error)).unwrap_or_default();
    let workspace = keep(read(&project.workspace_metadata, &workspace));
    let mut members = Vec::new();
    for package in packages {
        let manifest = Manifest { path: package.manifest_path.clone(), table: "package" };
        // The metadata of a package without a table is `null`.
        let layers =
            if package.metadata == Value::Null { Layers::default() } else { keep(read(&package.metadata, &manifest)) };
        members.push(Member { package, layers });
    }
    Error::all(errors)?;

    let chosen = executables(&members, &workspace, build)?;
    let wanted: Vec<Wanted> = chosen.iter().map(|chosen| chosen.wanted()).collect();
    let main = main(&chosen);

    // The configuration of packages without a selected executable is ignored.
    members.retain(|member| wanted.iter().any(|wanted| wanted.package == member.package.id));
    let main_one = main.and_then(|index| chosen.get(index));
    let (name, version) = names(project, &members, main_one);
    let labels = one(&members, main_one).map(labels).unwrap_or_default();
    let manifest = Some(match &members[..] {
        [one] => Manifest { path: one.package.manifest_path.clone(), table: "package" },
        _ => Manifest { path: project.workspace_root.join("Cargo.toml"), table: "workspace" },
    });
    let package = members.into_iter().map(|member| (member.package.name.to_string(), member.layers));
    let package = Layers::of_all(package.collect(), typed, &build.compilation)?;
    let keys = package.build.clone().over(workspace.build.clone());
    Ok(Selection { wanted, prebuilt: Vec::new(), main, name, version, labels, workspace, package, keys, manifest })
}

/// A package that may have the requested executables.
struct Member<'p> {
    package: &'p Package,
    layers: Layers,
}

/// A selected executable.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Chosen<'p> {
    package: &'p Package,
    kind: Kind,
    name: &'p str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bin,
    Example,
}

impl Kind {
    fn target_kind(self) -> TargetKind {
        match self {
            Self::Bin => TargetKind::Bin,
            Self::Example => TargetKind::Example,
        }
    }
}

impl<'p> Chosen<'p> {
    fn wanted(&self) -> Wanted {
        Wanted { package: self.package.id.clone(), kind: self.kind.target_kind(), name: self.name.to_owned() }
    }

    fn all(package: &'p Package, kind: Kind) -> impl Iterator<Item = Self> {
        let targets = package.targets.iter().filter(move |target| target.is_kind(kind.target_kind()));
        targets.map(move |target| Self { package, kind, name: &target.name })
    }
}

/// `-p`, `--workspace`, `--exclude`; else the packages that cargo builds in the current directory.
fn packages<'p>(project: &'p Metadata, build: &BuildArgs) -> Result<Vec<&'p Package>> {
    let args = &build.workspace;
    let members = project.workspace_packages();
    let all = args.workspace || args.all;
    if !args.exclude.is_empty() && !all {
        // The text of cargo's own error.
        return Err(Error::usage("`--exclude` can only be used together with `--workspace`"));
    }
    if all {
        let excluded = |package: &Package| args.exclude.iter().any(|spec| is_spec_of(spec, package));
        return Ok(members.into_iter().filter(|package| !excluded(package)).collect());
    }
    if args.package.is_empty() {
        return Ok(project.workspace_default_packages());
    }
    let unknown = |spec: &&String| !members.iter().any(|package| is_spec_of(spec, package));
    let errors = args.package.iter().filter(unknown).map(|spec| {
        let names: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
        not_there(&format!("`{spec}` is not a package of the workspace"), spec, "-p", &names)
    });
    Error::all(errors.collect())?;
    Ok(members.into_iter().filter(|package| args.package.iter().any(|spec| is_spec_of(spec, package))).collect())
}

/// Returns whether a package ID specification (`cargo help pkgid`) or a pattern matches this package.
fn is_spec_of(spec: &str, package: &Package) -> bool {
    if spec.contains("://") {
        let id = package.id.repr.as_str();
        let without_kind = id.split_once('+').map_or(id, |(_, url)| url);
        let without_version = without_kind.split('#').next();
        return [Some(id), Some(without_kind), without_version].contains(&Some(spec));
    }
    match spec.split_once(['@', ':']) {
        Some((name, version)) => name == package.name.as_str() && is_version_of(version, &package.version.to_string()),
        None => is_match(spec, &package.name),
    }
}

/// A specification may leave out the last parts of a version.
fn is_version_of(spec: &str, version: &str) -> bool {
    version.strip_prefix(spec).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']))
}

/// Matches `*` and `?` as cargo does in names of packages and targets.
fn is_match(pattern: &str, name: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| is_match(rest, &name[at..]))
        }
        Some(wanted) => {
            let mut name_chars = name.chars();
            name_chars.next().is_some_and(|first| wanted == '?' || wanted == first)
                && is_match(pattern_chars.as_str(), name_chars.as_str())
        }
    }
}

/// The named executables, or else the unambiguous one of each package.
fn executables<'p>(members: &[Member<'p>], workspace: &Layers, build: &BuildArgs) -> Result<Vec<Chosen<'p>>> {
    let nothing = SelectionArgs::default();
    let mut chosen = Vec::new();
    if build.selection != nothing {
        let packages: Vec<_> = members.iter().map(|member| member.package).collect();
        chosen = named(&packages, &build.selection)?;
    } else {
        // A package's own configuration overrides that of the workspace.
        let (own, shared): (Vec<_>, Vec<_>) =
            members.iter().partition(|member| member.layers.build.selection != nothing);
        for member in own {
            chosen.extend(named(&[member.package], &member.layers.build.selection)?);
        }
        let shared: Vec<_> = shared.into_iter().map(|member| member.package).collect();
        if workspace.build.selection == nothing {
            let plain = plain(&shared, build);
            // The executables of packages with their own configuration are enough, unless the user selected the others
            // too.
            let asked = build.workspace.workspace || build.workspace.all || !build.workspace.package.is_empty();
            if chosen.is_empty() || asked && shared.iter().any(|package| has_bins(package)) {
                chosen.extend(plain?);
            }
        } else if !shared.is_empty() {
            chosen.extend(named(&shared, &workspace.build.selection)?);
        }
    }
    if chosen.is_empty() {
        return Err(none(members));
    }
    for (index, one) in chosen.iter().enumerate() {
        if let Some(other) = chosen[..index].iter().find(|other| other.name == one.name) {
            let (name, one, other) = (one.name, &one.package.name, &other.package.name);
            return Err(Error::usage(format!("`{name}` is an executable of both `{other}` and `{one}`"))
                .help(format!("choose the package with `-p {other}` or `-p {one}`")));
        }
    }
    Ok(chosen)
}

/// The executables that `--bin`, `--bins` and `--example` name. Each must exist.
fn named<'p>(packages: &[&'p Package], names: &SelectionArgs) -> Result<Vec<Chosen<'p>>> {
    let mut chosen: Vec<Chosen<'p>> = Vec::new();
    let mut errors = Vec::new();
    let every = |kind| packages.iter().flat_map(move |package| Chosen::all(package, kind));
    if names.bins {
        chosen.extend(every(Kind::Bin));
    }
    for (kind, flag, patterns) in [(Kind::Bin, "--bin", &names.bin), (Kind::Example, "--example", &names.example)] {
        for pattern in patterns {
            let found: Vec<_> = every(kind).filter(|one| is_match(pattern, one.name)).collect();
            if found.is_empty() {
                let known: Vec<&str> = every(kind).map(|one| one.name).collect();
                let of = packages.iter().map(|package| format!("`{}`", package.name)).collect::<Vec<_>>().join(", ");
                let what = if kind == Kind::Bin { "a binary" } else { "an example" };
                errors.push(not_there(&format!("`{pattern}` is not {what} of {of}"), pattern, flag, &known));
            }
            chosen.extend(found.into_iter().filter(|one| !names.bins || one.kind != Kind::Bin));
        }
    }
    Error::all(errors)?;
    let mut once: Vec<Chosen<'p>> = Vec::new();
    for one in chosen {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    Ok(once)
}

/// Each package's `default-run`, or else its only binary. Fails for several packages unless the user selected them.
fn plain<'p>(packages: &[&'p Package], build: &BuildArgs) -> Result<Vec<Chosen<'p>>> {
    let with_bins: Vec<&'p Package> = packages.iter().copied().filter(|package| has_bins(package)).collect();
    let asked = build.workspace.workspace || build.workspace.all || !build.workspace.package.is_empty();
    if with_bins.len() > 1 && !asked {
        let error = Error::usage("several packages of the workspace have binaries");
        let first = &with_bins[0].name;
        return Err(with_bins
            .iter()
            .fold(error, |error, package| error.detail(listed(package)))
            .help(format!("choose one with `-p {first}`, or take all with `--workspace`")));
    }
    let mut chosen = Vec::new();
    let mut errors = Vec::new();
    for package in with_bins {
        let bins: Vec<_> = Chosen::all(package, Kind::Bin).collect();
        let default = bins.iter().find(|bin| package.default_run.as_deref() == Some(bin.name));
        match (default, bins.as_slice()) {
            (Some(only), _) | (None, [only]) => chosen.push(*only),
            _ => errors.push(
                Error::usage(format!(
                    "`{}` has several binaries, and no `default-run` in its Cargo.toml",
                    package.name
                ))
                .detail(listed(package))
                .help(format!("choose with `--bin {}` (repeatable), or take all with `--bins`", bins[0].name)),
            ),
        }
    }
    Error::all(errors)?;
    Ok(chosen)
}

fn has_bins(package: &Package) -> bool {
    Chosen::all(package, Kind::Bin).next().is_some()
}

/// A package with its executables: `app: server, admin`.
fn listed(package: &Package) -> String {
    let bins: Vec<&str> = Chosen::all(package, Kind::Bin).map(|bin| bin.name).collect();
    format!("{}: {}", package.name, bins.join(", "))
}

fn none(members: &[Member<'_>]) -> Error {
    let names: Vec<String> = members.iter().map(|member| format!("`{}`", member.package.name)).collect();
    let error = match names.as_slice() {
        [] => return Error::usage("no package of the workspace is selected"),
        [one] => Error::usage(format!("{one} has no binary to package")),
        several => Error::usage(format!("none of {} has a binary to package", several.join(", "))),
    };
    let mut examples = members.iter().flat_map(|member| Chosen::all(member.package, Kind::Example));
    match examples.next() {
        Some(example) => error.help(format!("package an example with `--example {}`", example.name)),
        None => error.help("package a prebuilt file with `--binary PATH`, or only tools with `--tools-only`"),
    }
}

fn not_there(message: &str, typed: &str, flag: &str, known: &[&str]) -> Error {
    let error = Error::usage(message);
    let error = if known.is_empty() { error } else { error.detail(format!("there are {}", known.join(", "))) };
    let near = nearest(typed, known.iter().copied());
    error.help_if(near.map(|near| did_you_mean(format_args!("{flag} {near}"))))
}

/// The only executable; of several, the only one that is its package's `default-run`.
fn main(chosen: &[Chosen<'_>]) -> Option<usize> {
    if chosen.len() == 1 {
        return Some(0);
    }
    let is_default = |one: &Chosen<'_>| one.kind == Kind::Bin && one.package.default_run.as_deref() == Some(one.name);
    let mut defaults = chosen.iter().enumerate().filter(|(_, one)| is_default(one)).map(|(index, _)| index);
    match (defaults.next(), defaults.next()) {
        (Some(index), None) => Some(index),
        _ => None,
    }
}

/// The values of `{package}` and `{version}`: of the only package, else of the package whose binary is run, else the
/// name of the workspace's directory and the common version.
fn names(project: &Metadata, members: &[Member<'_>], main: Option<&Chosen<'_>>) -> (Option<String>, Option<String>) {
    if let Some(package) = one(members, main) {
        return (Some(package.name.to_string()), Some(package.version.to_string()));
    }
    let mut versions: Vec<String> = members.iter().map(|member| member.package.version.to_string()).collect();
    versions.dedup();
    let version = if versions.len() == 1 { versions.pop() } else { None };
    (project.workspace_root.file_name().map(str::to_owned), version)
}

/// The only package, else the package whose binary is run.
fn one<'p>(members: &[Member<'p>], main: Option<&Chosen<'p>>) -> Option<&'p Package> {
    match members {
        [only] => Some(only.package),
        _ => main.map(|main| main.package),
    }
}

/// The prefix of standard labels and annotations (annotations.md of image-spec).
pub(super) const STANDARD: &str = "org.opencontainers.image.";

/// The image labels from a package's manifest.
fn labels(package: &Package) -> Vec<(String, String)> {
    let authors = (!package.authors.is_empty()).then(|| package.authors.join(", "));
    let fields = [
        ("authors", authors),
        ("description", package.description.clone()),
        ("documentation", package.documentation.clone()),
        // Before SPDX expressions, Cargo wrote "or" as a slash.
        ("licenses", package.license.as_ref().map(|license| license.replace('/', " OR "))),
        ("source", package.repository.clone()),
        ("title", Some(package.name.to_string())),
        ("url", package.homepage.clone()),
        ("version", Some(package.version.to_string())),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    given.map(|(name, value)| (format!("{STANDARD}{name}"), value)).collect()
}
