//! From the requested content and the build's artifacts to a planned [`Rootfs`] that is proved complete.
//!
//! It decides the place and the origin of every entry. It writes nothing, and reads the host only through [`Sysroot`]
//! and [`Template`].

mod accounts;
mod build_paths;
mod capability;
mod closures;
mod configuration;
mod gathered;
mod includes;
mod installed;
mod joined;
#[cfg(feature = "cli")]
mod libc;
mod libraries;
mod licenses;
mod locales;
mod opened;
mod owners;
mod packaged;
#[cfg(feature = "cli")]
mod packed;
mod place;
mod plugins;
mod project;
#[cfg(feature = "cli")]
mod recommended;
mod records;
mod refusal;
mod rights;
mod root;
mod runtime;
mod scripts;
pub(crate) mod secrets;
mod seeds;
mod skeleton;
mod suggestions;
mod surprises;
mod take;
mod tmpfiles;
pub(crate) mod tools;
mod units;
mod usr_merge;
mod variants;
mod worklist;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Result, Warning};
use crate::path::RootfsPath;
use crate::policy::{self, Policy};
use crate::proof::{self, Claim};
use crate::resolve::{Closure, Priority, TargetLibraries};
use crate::rootfs::Rootfs;
use crate::runtime::{Rule, Runtime};
use crate::shortage::Fault;
pub use crate::shortage::Shortage;
use crate::sysroot::Sysroot;
use crate::target::Target;
use crate::template::Template;
use installed::Installed;
#[cfg(feature = "cli")]
pub(crate) use libc::check_tools;
pub use licenses::Licenses;
pub use opened::may_open_warning;
#[cfg(feature = "cli")]
pub(crate) use packed::PackedPackage;
#[cfg(feature = "cli")]
pub(crate) use recommended::recommended;
pub use records::Records;
pub use refusal::{Incomplete, Refusal};
pub use scripts::Script;
use seeds::Seeds;
pub use suggestions::{Suggestion, suggestion_warning};
pub use variants::Variants;

/// The requested contents of a rootfs, besides the artifacts of cargo.
#[derive(Debug, Clone)]
pub struct Content {
    /// Tools by name or absolute path (`--with`).
    pub tools: Vec<String>,
    /// Packages of the sysroot's distribution that are taken whole, with their dependencies (`--with-package`).
    pub packages: Vec<String>,
    /// Sonames that are opened at run time (`--with-lib`).
    pub libraries: Vec<String>,
    /// Sonames, or patterns of them, that the target provides (`--allow-missing`).
    pub allow_missing: Vec<String>,
    /// The lowest priority of followed dlopen notes (`--dlopen`).
    pub dlopen: Priority,
    /// The library variants for particular hardware to pack in addition (`--hwcaps`).
    pub hwcaps: Variants,
    /// The source of files that belong with tools and libraries (`--runtime`).
    pub runtime: Runtime,
    /// Records of the files' packages, for scanners (`--records`).
    pub records: Records,
    /// Licences of these packages (`--licenses`).
    pub licenses: Licenses,
    /// Locales besides C.UTF-8, in the syntax of setlocale(3) (`--locale`).
    pub locales: Vec<String>,
    /// Additional rules besides the built-in ones and the template's.
    pub rules: Vec<Rule>,
    /// Rows of policy besides the built-in ones and the template's.
    pub policy: Vec<policy::Row>,
    /// Files and directories of the project (`--include`).
    pub includes: Vec<Include>,
    /// The skeleton: a built-in's name, or a directory (anything with a slash).
    pub template: String,
    /// Extra search directories (`--library-path`), each absolute or below the current directory.
    pub library_path: Vec<Utf8PathBuf>,
    /// The directory of the project's executables.
    pub install_dir: RootfsPath,
}

impl Default for Content {
    /// No content, on the template `base`. Unlike the command line's default, it has no records and licences.
    fn default() -> Self {
        Self {
            tools: Vec::new(),
            packages: Vec::new(),
            libraries: Vec::new(),
            allow_missing: Vec::new(),
            dlopen: Priority::default(),
            hwcaps: Variants::default(),
            runtime: Runtime::default(),
            records: Records::default(),
            licenses: Licenses::default(),
            locales: Vec::new(),
            rules: Vec::new(),
            policy: Vec::new(),
            includes: Vec::new(),
            template: "base".to_owned(),
            library_path: Vec::new(),
            // The place that `cargo install --root /usr/local` would use too.
            install_dir: RootfsPath::root().join(b"usr/local/bin"),
        }
    }
}

/// `SRC:DST[:MODE[:UID:GID]]` of `--include`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// The path on the host, already joined to its base directory.
    pub source: Utf8PathBuf,
    /// The path in the image.
    pub destination: RootfsPath,
    /// Permission bits of the files; `None` keeps their own.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
}

/// The artifacts of a build: executables, and directories that may hold their libraries.
#[derive(Debug, Clone, Default)]
pub struct Artifacts {
    /// Each is installed as `<install-dir>/<name>`.
    pub executables: Vec<Executable>,
    /// Native library directories from build scripts, directories of `dylib` dependencies, and that of the toolchain's
    /// own libstd: host directories, in search order.
    pub library_dirs: Vec<Utf8PathBuf>,
    /// Libraries of the workspace that its programs may open.
    pub plugins: Vec<Plugin>,
    /// Directories whose paths must not become entries: workspace root and target directory.
    pub build_tree: Vec<Utf8PathBuf>,
}

/// A shared library that a package of the workspace builds (`cdylib`, `dylib`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its file name, such as `libgreeter.so`.
    pub file: String,
    /// The package that has it.
    pub package: String,
    /// Its path in the build directory; `None` if the build did not make it.
    pub path: Option<Utf8PathBuf>,
}

/// An ELF file of the project on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// Its name in the install dir.
    pub name: String,
    /// The path of cargo's artifact.
    pub path: Utf8PathBuf,
}

/// A rootfs that was proved complete, and the reports on it.
#[derive(Debug)]
pub struct Assembly {
    /// The rootfs to write.
    pub rootfs: Rootfs,
    /// The warnings to print, in order.
    pub warnings: Vec<Warning>,
    /// Paths of the project's executables in the image, in the order of [`Artifacts::executables`].
    pub executables: Vec<RootfsPath>,
    /// Paths of the tools in the image, in the order of [`Content::tools`].
    pub tools: Vec<RootfsPath>,
    /// A readable line about files that came without a rule: their number and the reason.
    pub brought: Option<String>,
    /// A readable line about files that rules leave out of the directories that they take.
    pub left_out: Option<String>,
    /// Available tools that may be useful but were not requested.
    pub suggestions: Vec<Suggestion>,
    /// The packages in the rules that fired, also those that the sysroot lacks.
    pub recommended: BTreeSet<String>,
    /// Things that the sysroot lacks, and without which scripts of included directories cannot run.
    pub wishes: BTreeSet<Shortage>,
    /// The scripts among the programs, with their interpreters.
    pub scripts: Vec<Script>,
    /// The closure of each executable, tool, included ELF file and library, by its requested name.
    pub closures: Vec<(String, Closure)>,
    /// Host files and symlinks that were read: if one changes, the rootfs may change.
    pub inputs: Vec<PathBuf>,
    /// Missing host paths that were looked up: if one appears, the rootfs may change.
    pub absent: Vec<PathBuf>,
    /// The sysroot, for later queries.
    sysroot: Sysroot,
    installed: Installed,
    /// The rows of policy in use.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "for what a traced command did"))]
    pub(crate) policy: Arc<Policy>,
}

impl Assembly {
    /// Finds the package that owns each file of the rootfs ([`Entry::package`](crate::rootfs::Entry)).
    ///
    /// It reads the lists of all packages installed in the sysroot, so only a consumer of owners calls it.
    pub fn find_owners(&mut self) {
        let Self { rootfs, sysroot, installed, .. } = self;
        let has_owners = rootfs.iter().any(|(_, entry)| entry.package.is_some());
        if let Some(database) = if has_owners { None } else { installed.database(sysroot) } {
            owners::Owners::default().find(rootfs, sysroot, &database);
        }
    }
}

#[cfg(feature = "cli")]
impl Assembly {
    /// The packages that own files of the rootfs, after the owners were found; and ID, VERSION_ID and PRETTY_NAME of
    /// their distribution.
    #[allow(clippy::type_complexity)]
    pub(crate) fn packed_packages(&mut self) -> (Vec<PackedPackage>, Option<(String, Option<String>, Option<String>)>) {
        packed::find(&self.rootfs, &mut self.sysroot, &self.installed)
    }
}

/// Plans the rootfs of `content` and `artifacts` for `target`, with tools and libraries from the host directory
/// `sysroot`, and proves it complete.
///
/// All errors are reported together. Exit code 2 is for wrong arguments, 1 for all other errors.
pub fn assemble(
    sysroot: &Utf8Path,
    target: &Target,
    content: &Content,
    artifacts: &Artifacts,
) -> Result<Assembly, Refusal> {
    let mut planned = plan(sysroot, target, content, artifacts)?;
    let Planned { assembly, claims, follows, given, view } = &mut planned;
    let proof = proof::prove(&assembly.rootfs, claims, *follows, given, view);
    Refusal::all(proof.faults)?;
    planned.assembly.warnings.extend(proof.warnings);
    Ok(planned.assembly)
}

/// Fails if `view` lacks a tool that is given by name. It runs before a build, which may still make tools that are given
/// by path.
#[cfg(feature = "cli")]
pub(crate) fn find_tools(view: &mut Sysroot, target: &Target, tools: &[String]) -> Result<(), Refusal> {
    let named: Vec<String> = tools.iter().filter(|tool| !tool.contains('/')).cloned().collect();
    let mut faults = Vec::new();
    tools::roots(view, &named, target, &mut Vec::new(), &mut faults);
    Refusal::all(faults)
}

/// A rootfs before its proof.
struct Planned {
    assembly: Assembly,
    claims: Vec<Claim>,
    /// The dlopen notes that must be satisfied in it.
    follows: Priority,
    /// The libraries that the target provides.
    given: TargetLibraries,
    view: Sysroot,
}

fn plan(sysroot: &Utf8Path, target: &Target, content: &Content, artifacts: &Artifacts) -> Result<Planned, Refusal> {
    let mut view = Sysroot::open(sysroot.as_std_path())?;
    for folder in &artifacts.build_tree {
        view.hide(folder.as_std_path());
    }
    let template = Template::load(&content.template, Utf8Path::new("."))?;
    let policy = Arc::new(Policy::new(template.policy.iter().chain(&content.policy).cloned().collect()));
    let mut notices = Notices { warnings: template.warnings.clone(), faults: Vec::new() };
    let installed = Installed::begin(&view, target.machine(), content);
    let brief = Brief { target, content, template: &template, policy: &policy, installed: &installed };
    let seeds = Seeds::find(&mut view, brief, artifacts, &mut notices)?;
    let gathered = seeds.gather(&mut view, brief, &mut notices)?;
    gathered.lay_out(view, brief, notices)
}

/// The request for one rootfs, and the data to interpret it.
#[derive(Clone, Copy)]
struct Brief<'b> {
    target: &'b Target,
    content: &'b Content,
    template: &'b Template,
    policy: &'b Arc<Policy>,
    installed: &'b Installed,
}

/// Reports from all stages, so that one run reports all of them.
struct Notices {
    warnings: Vec<Warning>,
    /// Reasons against writing the rootfs.
    faults: Vec<Fault>,
}

#[cfg(test)]
mod tests;
