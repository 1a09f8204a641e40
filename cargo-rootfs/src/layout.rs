//! From what was asked for and what was built to a planned [`Rootfs`] that is proved complete.
//!
//! It decides what goes where and why. It writes nothing, and reads the host only through
//! [`Sysroot`] and [`Template`].

mod capability;
mod configuration;
mod includes;
mod opened;
mod place;
mod project;
mod skeleton;
mod tools;
mod variants;

use std::path::PathBuf;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::elf::Bytes;
use crate::error::{Error, Result, Warning};
use crate::packages;
use crate::path::RootfsPath;
use crate::proof::{self, Claim, Start};
use crate::report::{by_library, missing_error};
use crate::resolve::{Closure, Files, FoundBy, Loaded, Loader, Priority, Resolver, Skipped};
use crate::rootfs::{Origin, Rootfs};
use crate::sysroot::Sysroot;
use crate::target::{Machine, Target};
use crate::template::Template;
pub use opened::unnoted_warning;
use place::Layout;
pub use variants::Variants;

/// What goes into a rootfs, besides what cargo built.
#[derive(Debug, Clone)]
pub struct Content {
    /// Tools by name or absolute path (`--with`).
    pub tools: Vec<String>,
    /// Sonames that are opened at run time (`--with-lib`).
    pub libraries: Vec<String>,
    /// The least priority of the dlopen notes that are followed (`--dlopen`).
    pub dlopen: Priority,
    /// Which libraries for particular hardware go in besides those for all (`--hwcaps`).
    pub hwcaps: Variants,
    /// Files and folders of the project (`--include`).
    pub includes: Vec<Include>,
    /// The skeleton: a built-in's name, or a folder (anything with a slash).
    pub template: String,
    /// Extra search directories (`--library-path`), each absolute or below the current folder.
    pub library_path: Vec<Utf8PathBuf>,
    /// Where the project's executables go.
    pub install_dir: RootfsPath,
}

/// `SRC:DST[:MODE[:UID:GID]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// On the host, already joined to its base folder.
    pub source: Utf8PathBuf,
    /// In the image.
    pub destination: RootfsPath,
    /// Permission bits of the files; their own where `None`.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
}

/// What the build left: executables, and where their libraries may be.
#[derive(Debug, Clone, Default)]
pub struct Artifacts {
    /// Each goes to `<install-dir>/<name>`.
    pub executables: Vec<Executable>,
    /// Native library directories that build scripts named, and folders of `dylib` dependencies and of
    /// the toolchain's own libstd: host folders, in search order.
    pub library_dirs: Vec<Utf8PathBuf>,
    /// Folders whose paths must not become entries: workspace root and target directory.
    pub build_tree: Vec<Utf8PathBuf>,
}

/// An ELF file of the project on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// Its name in the install dir.
    pub name: String,
    /// Where cargo put it.
    pub path: Utf8PathBuf,
}

/// A rootfs that has been proved complete, and what is to be said about it.
#[derive(Debug)]
pub struct Assembly {
    /// What to write.
    pub rootfs: Rootfs,
    /// What to print, in order.
    pub warnings: Vec<Warning>,
    /// Paths of the project's executables in the image, in the order of [`Artifacts::executables`].
    pub executables: Vec<RootfsPath>,
    /// Paths of the tools in the image, in the order of [`Content::tools`].
    pub tools: Vec<RootfsPath>,
    /// The closure of each executable, tool, included ELF file and library, by the name it was asked for.
    pub closures: Vec<(String, Closure)>,
    /// Files that open libraries at run time, by dlopen(3), and have no notes that say which; without links.
    pub unnoted: Vec<RootfsPath>,
    /// Host files and links that were read: when one changes, so may the rootfs.
    pub inputs: Vec<PathBuf>,
    /// Host paths where something was looked for that was not there: when one appears, so may the rootfs.
    pub absent: Vec<PathBuf>,
}

/// One thing that was asked for and gets a closure.
struct Root {
    /// As it was asked for, for messages.
    name: String,
    origin: Origin,
    start: Start,
    /// The path whose closure it is.
    path: RootfsPath,
    /// Whether libraries of the build may serve it.
    is_project: bool,
    /// Whether it is there to be executed.
    is_tool: bool,
    /// How a library that is opened by name was found.
    opened: Option<Opened>,
}

/// How a library was found by its name alone.
struct Opened {
    by: FoundBy,
    /// The glibc-hwcaps subdirectory that it is in.
    hwcaps: Option<Bytes>,
    loader: Arc<Loader>,
}

/// Plans the rootfs of `content` and `artifacts` for `target`, with tools and libraries from the host
/// folder `sysroot`, and proves it complete.
///
/// Everything that is wrong is reported at once. Exit code 2 is for what was typed, 1 for the rest.
pub fn assemble(sysroot: &Utf8Path, target: &Target, content: &Content, artifacts: &Artifacts) -> Result<Assembly> {
    let mut planned = plan(sysroot, target, content, artifacts)?;
    let Planned { assembly, claims, follows, view } = &mut planned;
    let proof = proof::prove(&assembly.rootfs, claims, *follows, view, &content.tools);
    Error::all(proof.errors)?;
    planned.assembly.warnings.extend(proof.warnings);
    Ok(planned.assembly)
}

/// A rootfs that is not proved yet.
struct Planned {
    assembly: Assembly,
    claims: Vec<Claim>,
    /// The dlopen notes that must hold in it.
    follows: Priority,
    view: Sysroot,
}

fn plan(sysroot: &Utf8Path, target: &Target, content: &Content, artifacts: &Artifacts) -> Result<Planned> {
    let mut view = Sysroot::open(sysroot.as_std_path())?;
    for folder in &artifacts.build_tree {
        view.hide(folder.as_std_path());
    }
    let template = Template::load(&content.template, Utf8Path::new("."))?;
    let mut errors = Vec::new();
    let mut warnings = template.warnings.clone();

    let mut project = project::Project::plant(&mut view, content, artifacts)?;
    let includes = includes::read(&content.includes)?;

    let mut roots = Vec::new();
    project.roots(&mut roots);
    // Tools first: an include in the place of one is a mistake to be told, not the tool.
    let tools = tools::roots(&mut view, &content.tools, target, &mut roots, &mut errors);
    includes::plant(&mut view, &includes, &roots, &mut errors)?;
    includes::roots(&mut view, &includes, target.machine(), &mut roots, &mut warnings);

    let library_path = project.library_path(content, &mut view, &mut warnings);
    let mut resolvers = Resolvers {
        project: Resolver::new([project.folders(), library_path.clone()].concat(), None).following(content.dlopen),
        tools: Resolver::new(library_path, None).following(content.dlopen),
    };
    let machine = target.machine();
    project.graft_origins(&mut view, &mut resolvers.project, &roots);
    let libraries = libraries(&mut view, &mut resolvers.project, content, machine, &mut errors);
    roots.extend(libraries);

    let mut closures = Vec::new();
    for root in &roots {
        let resolver = if root.is_project { &mut resolvers.project } else { &mut resolvers.tools };
        match resolver.closure(&mut view, &root.path) {
            Ok(closure) => {
                check_machine(&mut view, root, &closure, machine, &mut errors);
                closures.push(closure);
            }
            Err(skipped) => errors.push(not_elf(&mut view, root, &skipped)),
        }
    }
    let variants = match content.hwcaps {
        Variants::All if errors.is_empty() => variants::find(&mut view, &mut resolvers, &roots, &closures, machine),
        _ => Vec::new(),
    };
    for variant in &variants {
        closures[variant.root].add_variant(&variant.closure);
    }
    for users in by_library(closures.iter().flat_map(|closure| &closure.missing)) {
        let package = packages::of_library(view.root(), &users[0].needed, machine);
        errors.push(missing_error(&users, Some(machine), package.as_deref()));
    }
    Error::all(errors)?;

    let passed_over: std::collections::BTreeSet<_> =
        closures.iter().flat_map(|closure| &closure.passed_over).map(|(path, it)| (path, it.name())).collect();
    warnings.extend(
        passed_over
            .into_iter()
            .map(|(path, it)| Warning::new(format!("passed over `{path}`: it is for {it}, not for {machine}"))),
    );

    warnings.extend(opened::warnings(&view, &closures, machine));

    let mut layout = Layout::new(&mut view);
    // Includes first: a mode or an owner that was asked for holds for the file wherever else it is needed.
    includes::lay_out(&mut layout, &includes)?;
    let mut claims = lay_out(&mut layout, &roots, &closures, machine)?;
    claims.extend(variants::lay_out(&mut layout, &roots, &variants, machine)?);
    configuration::lay_out(&mut layout, &roots, &closures, &variants)?;
    for entry in &template.entries {
        skeleton::put(&mut layout, entry, &mut warnings)?;
    }
    layout.top_links();
    layout.twins(&tools);
    warnings.append(&mut layout.warnings);
    let rootfs = layout.finish()?;

    let claims = with_names(claims, &roots, &rootfs, &mut view);
    let unnoted = opened::unnoted(&mut view, &closures);
    let (mut inputs, absent) = view.inputs();
    inputs.extend(template.inputs.iter().map(|path| path.clone().into_std_path_buf()));
    inputs.extend(includes.iter().map(|include| include.host.clone()));
    inputs.sort_unstable();
    inputs.dedup();
    let assembly = Assembly {
        rootfs,
        warnings,
        executables: project.paths(),
        tools,
        unnoted,
        closures: roots.into_iter().map(|root| root.name).zip(closures).collect(),
        inputs,
        absent,
    };
    Ok(Planned { assembly, claims, follows: content.dlopen, view })
}

struct Resolvers {
    project: Resolver,
    tools: Resolver,
}

/// Finds what `--with-lib` names: by soname as dlopen(3) would, or by absolute path.
fn libraries(
    view: &mut Sysroot,
    resolver: &mut Resolver,
    content: &Content,
    machine: Machine,
    errors: &mut Vec<Error>,
) -> Vec<Root> {
    let mut roots = Vec::new();
    for name in &content.libraries {
        let origin = Origin::Library(name.clone());
        if let Some(path) = RootfsPath::from_bytes(name.as_bytes()) {
            let start = Start::Path(path.clone());
            roots.push(Root {
                name: name.clone(),
                origin,
                start,
                path,
                is_project: true,
                is_tool: false,
                opened: None,
            });
            continue;
        }
        // Whichever loader of this machine the tree has; glibc's first.
        let candidates = Loader::usual_paths(machine);
        let found = candidates.iter().find_map(|path| resolver.loader_at(view, path, machine));
        let Some(loader) = found else {
            errors.push(
                Error::failed(format!("no dynamic loader for {machine} in the sysroot to find `{name}` with"))
                    .help("add its libc to the sysroot (libc6 on Debian), or choose another --sysroot"),
            );
            continue;
        };
        match resolver.library(view, &loader, name.as_bytes()) {
            Ok(found) => roots.push(Root {
                name: name.clone(),
                origin,
                start: Start::Library(name.clone().into_bytes(), loader.path.clone()),
                path: found.path,
                is_project: true,
                is_tool: false,
                opened: Some(Opened { by: found.found_by, hwcaps: found.hwcaps, loader }),
            }),
            Err(missing) => {
                let package = packages::of_library(view.root(), name.as_bytes(), machine);
                errors.push(missing_error(&[&missing], Some(machine), package.as_deref()));
            }
        }
    }
    roots
}

/// A tool or library of another architecture cannot work in the image.
fn check_machine(view: &mut Sysroot, root: &Root, closure: &Closure, machine: Machine, errors: &mut Vec<Error>) {
    let Ok(object) = view.object(closure.id) else { return };
    if object.machine == machine {
        return;
    }
    let debian = machine.debian().unwrap_or("that architecture");
    let error = Error::failed(format!("`{}` is for {}, not for {machine}", root.name, object.machine));
    errors.push(match root.origin {
        Origin::Binary(_) => error.help(format!("build it with --target for {machine}, or name its --target")),
        _ => error.help(format!("pass --sysroot DIR with a {machine} ({debian}) tree, or another --target")),
    });
}

fn not_elf(view: &mut Sysroot, root: &Root, skipped: &Skipped) -> Error {
    match skipped {
        Skipped::Bad { why, .. } => tools::script(view, &format!("`{}`", root.name), &root.path).unwrap_or_else(|| {
            Error::failed(format!("`{}` cannot be packed as an executable", root.name))
                .detail(format!("{}: {why}", root.path))
        }),
        Skipped::Absent(found) => {
            Error::failed(format!("`{}` cannot be packed", root.name)).detail(format!("{}: {found:?}", root.path))
        }
    }
}

/// Lays out every closure, and says what must be found again in the result.
fn lay_out(layout: &mut Layout<'_>, roots: &[Root], closures: &[Closure], machine: Machine) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for (root, closure) in roots.iter().zip(closures) {
        layout.path(&root.path, &root.origin)?;
        if let Some((path, _)) = &closure.interpreter {
            layout.path(path, &Origin::InterpreterOf(closure.realpath.clone()))?;
        }
        needs(layout, closure, |by, _| Origin::NeededBy(by))?;
        claims.push(Claim::new(closure, root.start.clone(), vec![root.path.clone()], machine, layout.files()));
    }
    Ok(claims)
}

/// Lays out the objects of a closure, each with the origins that `origin` gives it by who needs it.
fn needs(layout: &mut Layout<'_>, closure: &Closure, origin: impl Fn(RootfsPath, &Loaded) -> Origin) -> Result<()> {
    let mut needed_by: Vec<Vec<&RootfsPath>> = vec![Vec::new(); closure.objects.len()];
    for (parent, child) in &closure.edges {
        needed_by[*child].push(parent.map_or(&closure.realpath, |parent| &closure.objects[parent].realpath));
    }
    for (object, parents) in closure.objects.iter().zip(needed_by) {
        for parent in parents {
            layout.path(&object.path, &origin(parent.clone(), object))?;
        }
    }
    for other in &closure.other_names {
        let parent = other.needed_by.map_or(&closure.realpath, |parent| &closure.objects[parent].realpath);
        layout.path(&other.found.path, &origin(parent.clone(), &other.found))?;
    }
    opened::lay_out(layout, closure)
}

/// Adds to each claim the twin of a tool's path (`/bin/sh` beside `/usr/bin/sh`) that the rootfs gives it.
fn with_names(mut claims: Vec<Claim>, roots: &[Root], rootfs: &Rootfs, view: &mut Sysroot) -> Vec<Claim> {
    for (claim, root) in claims.iter_mut().zip(roots.iter()) {
        if !root.is_tool {
            continue;
        }
        if let Some(twin) = place::twin(&root.path) {
            // Where the sysroot has another file there, both names were never one tool.
            let same = match (view.find(&twin), view.find(&root.path)) {
                (crate::resolve::Find::File { file: a, .. }, crate::resolve::Find::File { file: b, .. }) => a == b,
                (crate::resolve::Find::Absent, _) => rootfs.get(&twin).is_some(),
                _ => false,
            };
            if same {
                claim.names.push(twin);
            }
        }
    }
    claims
}

#[cfg(test)]
mod tests;
