//! A run of the command: the plan, sysroots, the build and the proof, for every target.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use super::prove::{Job, Order, Proved, prove};
use super::provisioned::Provisioning;
use super::revision::Revision;
use super::{Epoch, Events, bill};
use crate::cargo::{self, Memory, Preparation, Project, Sought, Toolchain};
use crate::error::{Error, Result, Warning};
use crate::image::ImageConfig;
use crate::layers::{Layered, Origins};
use crate::layout::{self, Artifacts, Assembly, Content, Executable, Incomplete, Refusal};
use crate::options::BuildArgs;
use crate::output::{self, Output, Written};
use crate::packages::Database;
use crate::plan::{Build, Plan, Request, RootfsPlan, Source, Surroundings};
use crate::provision::{self, Cache, Lockfile, May, Network, Pinned};
use crate::rootfs::KnownFiles;
use crate::settings;
use crate::shortage::Shortage;
use crate::sysroot::Sysroot;
use crate::target::{Machine, Target};
use crate::write::Observer;
use crate::write::compress::Compression;
use crate::write::digest_cache::DigestCache;
use crate::write::layer_cache::LayerCache;

/// A planned run.
pub(crate) struct Session<'e> {
    executables: Executables,
    plans: Vec<RootfsPlan>,
    warnings: Vec<Warning>,
    provisioning: Provisioning,
    /// The answer of `cargo metadata` about the workspace; empty without a build.
    workspace: Arc<[u8]>,
    events: &'e dyn Events,
}

/// The source of the project's executables.
enum Executables {
    /// A call of cargo.
    Built(Build, Box<Toolchain>),
    /// Existing executables.
    Prebuilt(Vec<Executable>),
}

/// The rootfs of one target of a session.
pub(crate) type Rooted = Proved<RootfsPlan>;

impl Order for RootfsPlan {
    fn name(&self) -> &str {
        &self.name
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn content(&self) -> &Content {
        &self.content
    }

    fn accept(&self, assembly: &Assembly) -> Result<Vec<Warning>> {
        if !self.is_sysroot_named {
            layout::check_tools(&self.target, &self.content.tools, assembly)?;
        }
        // The settings of an image matter only if an image is written.
        if !self.outputs.iter().any(|output| output.kind.is_image) {
            return Ok(Vec::new());
        }
        let image = self.image.config(assembly, 0, None);
        Error::all(settings::prove(&image, &assembly.rootfs, &assembly.closures))?;
        Ok(settings::doubts(&image, &assembly.rootfs, &assembly.closures))
    }

    /// Names the packages with the tools that the host lacks.
    fn advise(
        &self,
        shortages: &BTreeSet<Shortage>,
        sysroot: &Utf8Path,
        reported: &mut BTreeSet<Shortage>,
        events: &dyn Events,
    ) {
        let is_host = sysroot == "/";
        let new = shortages.iter().filter(|it| is_host && reported.insert((*it).clone()));
        let named = new.filter_map(|shortage| match shortage {
            Shortage::Tool(tool) if self.content.tools.contains(tool) && !tool.contains('/') => Some(tool.clone()),
            _ => None,
        });
        for (tool, package) in provision::packages_of_tools(&named.collect::<Vec<_>>(), &|| events.stop()) {
            let message = format!("`{tool}` is in the package {package}, which this machine does not have");
            events.warning(&Warning::new(message).help(format!("apt-get install {package}")));
        }
    }
}

impl Rooted {
    /// The configuration of its images.
    pub(crate) fn image(&self, epoch: Epoch) -> ImageConfig {
        let revision = self.revision.as_ref().and_then(|revision| revision.commit());
        self.plan.image.config(&self.assembly, epoch.seconds(), revision)
    }
}

impl<'e> Session<'e> {
    /// Queries cargo if a build is needed, and makes the plan.
    pub(crate) fn new(request: &Request<'_>, events: &'e dyn Events) -> Result<Self> {
        let (Plan { source, rootfs: plans, warnings }, toolchain, workspace) = plan(request)?;
        let args = &request.build.compilation;
        let change_lock = if args.locked || args.frozen { Lockfile::Stays } else { Lockfile::Grows };
        // Cargo's setting; without a build, only the environment is read.
        let configured = match &toolchain {
            Some(toolchain) => toolchain.is_offline(),
            None => std::env::var_os("CARGO_NET_OFFLINE").is_some_and(|value| value == "true"),
        };
        let network = if args.offline || args.frozen || configured { Network::Unused } else { Network::Used };
        let (executables, pinned) = match (source, toolchain) {
            (Source::Cargo(build), Some(toolchain)) => {
                let pinned = Pinned::Project(build.workspace_root.clone().into());
                (Executables::Built(build, Box::new(toolchain)), pinned)
            }
            (Source::Prebuilt(executables), _) => (Executables::Prebuilt(executables), Pinned::Nowhere),
            _ => (Executables::Prebuilt(Vec::new()), Pinned::Nowhere),
        };
        let provisioning = Provisioning { pinned, may: May { change_lock, network } };
        Ok(Self { executables, plans, warnings, provisioning, workspace, events })
    }

    /// The sysroot directory of each target, without a build.
    pub(crate) fn sysroots(self) -> Result<Vec<(Target, Utf8PathBuf)>> {
        let preparation = match &self.executables {
            Executables::Built(build, toolchain) => cargo::without_build(build, &self.plans, toolchain)?,
            Executables::Prebuilt(_) => Preparation::default(),
        };
        let jobs = choose(self.plans, &self.provisioning, &preparation, &[], self.events)?;
        Ok(jobs.into_iter().map(|job| (job.plan.target, job.sysroot.directory().to_owned())).collect())
    }

    /// The rootfs of each target, proved but not written.
    pub(crate) fn prove(self) -> Result<Vec<Rooted>> {
        let Self { executables, plans, warnings, provisioning, workspace, events } = self;
        warnings.iter().for_each(|warning| events.warning(warning));
        let jobs = match executables {
            Executables::Built(build, toolchain) => {
                // Checked before the build, which takes minutes.
                let mut preparation = cargo::prepare(&build, &plans, &toolchain)?;
                let mut jobs = choose(plans, &provisioning, &preparation, &[], events)?;
                look_before_build(&jobs, events)?;
                for Job { plan, sysroot, .. } in &jobs {
                    preparation.add_libraries(&build, &plan.target, sysroot.directory(), &toolchain)?;
                }
                make(&mut jobs, &build, &toolchain, &preparation, &workspace, events)?;
                jobs
            }
            Executables::Prebuilt(executables) => {
                let mut jobs = choose(plans, &provisioning, &Preparation::default(), &executables, events)?;
                jobs.iter_mut().for_each(|job| job.artifacts.executables.clone_from(&executables));
                jobs
            }
        };
        events.stop()?;
        // A build can change a workspace. The targets of a run have the same one.
        let revision = jobs.iter().find_map(|job| job.plan.image.workspace.as_deref()).map(Revision::ask);
        let mut proved = prove(jobs, events)?;
        let images = proved.iter_mut().filter(|one| one.plan.image.workspace.is_some());
        images.for_each(|one| one.revision.clone_from(&revision));
        Ok(proved)
    }
}

/// Writes every rootfs to each of its outputs. No output gets its name before all are complete.
pub(crate) fn release(proved: &mut [Rooted], epoch: Epoch, events: &dyn Events) -> Result<Vec<Written>> {
    let (compression, uses_cache) = (compression(proved)?, proved.iter().all(|one| one.plan.uses_cache));
    find_owners(proved);
    // Without a cache directory, the run continues without a cache.
    let cache = if uses_cache { Cache::locate().ok() } else { None };
    let mut known = KnownFiles::default();
    for one in proved.iter_mut() {
        let late = one.plan.bill.clone();
        if uses_cache && (late.is_some() || one.plan.outputs.iter().any(Output::has_layers)) {
            one.find_known_files(&mut known);
        }
        if let Some(late) = late {
            let mut draft = bill::gather(one, epoch, &mut |warning| events.warning(&warning))?;
            draft.known.clone_from(&known);
            draft.cache = cache.as_ref().map(|cache| DigestCache::new(cache.root()));
            // Nothing else uses the bill yet.
            *late.lock().unwrap_or_else(PoisonError::into_inner) = draft;
        }
    }
    let run = output::Run {
        listener: &events,
        interrupted: events.interrupted(),
        compression,
        cache: cache.as_ref().map(|cache| LayerCache::new(cache.root()).knowing(known)),
        sent_to: cache.as_ref().map_or_else(Default::default, |cache| output::SentTo::in_cache(cache.root())),
    };
    with_jobs(proved, epoch, |jobs| output::write(jobs, &run))
}

/// The plan of each target, as JSON (`rootfs-plan`). Nothing is written.
pub(crate) fn preview(proved: &mut [Rooted], epoch: Epoch) -> Result<Vec<serde_json::Value>> {
    let compression = compression(proved)?;
    find_owners(proved);
    with_jobs(proved, epoch, |jobs| jobs.iter().map(|job| output::preview(job, compression)).collect())
}

/// The compression of all layers: the platforms of an index share it.
fn compression(proved: &[Rooted]) -> Result<Compression> {
    let mut all = proved.iter().map(|one| one.plan.image.compression);
    let first = all.next().unwrap_or_default();
    match all.find(|other| *other != first) {
        None => Ok(first),
        Some(other) => Err(Error::usage(format!(
            "`compression` differs between targets: {} and {}",
            first.as_str(),
            other.as_str()
        ))),
    }
}

/// Finds the packages that own the files: layers depend on them.
fn find_owners(proved: &mut [Rooted]) {
    for one in proved.iter_mut() {
        let has_layers = one.plan.outputs.iter().any(Output::has_layers);
        if has_layers && one.plan.image.layered == Layered::Split {
            one.assembly.find_owners();
        }
    }
}

fn with_jobs<T>(proved: &[Rooted], epoch: Epoch, work: impl FnOnce(&[output::Job<'_>]) -> Result<T>) -> Result<T> {
    let projects = proved.iter().map(|one| one.artifacts.build_tree.iter().map(|path| path.as_std_path().to_owned()));
    let projects: Vec<Vec<PathBuf>> = projects.map(Iterator::collect).collect();
    let jobs = proved.iter().zip(&projects).map(|(one, project)| output::Job {
        target: &one.plan.target,
        rootfs: &one.assembly.rootfs,
        image: one.image(epoch),
        layered: one.plan.image.layered,
        origins: Origins { project, sysroot: one.sysroot().as_std_path() },
        epoch: epoch.seconds(),
        outputs: &one.plan.outputs,
    });
    work(&jobs.collect::<Vec<_>>())
}

impl output::Listener for &dyn Events {
    fn begins(&self, verb: &str, place: &dyn Display) {
        self.status(verb, place);
    }

    fn progress(&self, size: u64) -> Box<dyn Observer + '_> {
        Events::progress(*self, size)
    }
}

/// Chooses the packages of a project's sysroots again; `manifest` names the project.
pub(crate) fn update_sysroots(manifest: &clap_cargo::Manifest, events: &dyn Events) -> Result<()> {
    let build = BuildArgs { manifest: manifest.clone(), ..BuildArgs::default() };
    let project = cargo::metadata(&build, &current_dir()?)?.metadata;
    let may = May { change_lock: Lockfile::Renewed, network: Network::Used };
    Provisioning { pinned: Pinned::Project(project.workspace_root.into()), may }.update(events)
}

/// Queries cargo if a build is needed, and makes the plan.
fn plan(request: &Request<'_>) -> Result<(Plan, Option<Toolchain>, Arc<[u8]>)> {
    let current_dir = current_dir()?;
    let foreign_sysroot = std::env::var("CARGO_ROOTFS_SYSROOT").ok().filter(|value| !value.is_empty());
    let selection = &request.build.selection;
    if selection.tools_only || !selection.binary.is_empty() {
        let around = Surroundings {
            project: None,
            build_directory: None,
            configured_targets: Vec::new(),
            host: &|| Ok(Target::host().triple().to_owned()),
            foreign_sysroot,
            current_dir: &current_dir,
        };
        return Ok((Plan::new(request, &around)?, None, Arc::default()));
    }
    let asked = Toolchain::ask(&request.build.compilation.target);
    let Project { metadata, build_directory, answer } = cargo::metadata(request.build, &current_dir)?;
    let toolchain = asked.answer()?;
    let around = Surroundings {
        project: Some(&metadata),
        build_directory,
        configured_targets: toolchain.configured_targets(&request.build.compilation.config)?,
        host: &|| toolchain.host().map(str::to_owned),
        foreign_sysroot,
        current_dir: &current_dir,
    };
    Ok((Plan::new(request, &around)?, Some(toolchain), answer.into()))
}

fn current_dir() -> Result<Utf8PathBuf> {
    let current_dir = std::env::current_dir().map_err(|error| Error::io("find", "the current directory", error))?;
    Utf8PathBuf::try_from(current_dir)
        .map_err(|error| Error::failed("the current directory's path is not UTF-8").with_source(error))
}

/// A job for each plan, with its first sysroot; nothing is built yet.
fn choose(
    plans: Vec<RootfsPlan>,
    provisioning: &Provisioning,
    preparation: &Preparation,
    executables: &[Executable],
    events: &dyn Events,
) -> Result<Vec<Job<RootfsPlan>>> {
    let (mut jobs, mut errors) = (Vec::new(), Vec::new());
    for plan in plans {
        match provisioning.choose(&plan, preparation.linker(plan.target.triple()), executables, events) {
            Ok(sysroot) => jobs.push(Job { plan, artifacts: Artifacts::default(), sysroot }),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors).map(|()| jobs)
}

/// Fails if a final sysroot lacks a tool, or a package for the build.
///
/// The layout looks up the tools again, in a view of its own: a build takes minutes and may change the sysroot, and a
/// view keeps what it has seen.
fn look_before_build(jobs: &[Job<RootfsPlan>], events: &dyn Events) -> Result<()> {
    let (mut errors, mut reported) = (Vec::new(), BTreeSet::new());
    for Job { plan, sysroot, .. } in jobs.iter().filter(|job| job.sysroot.is_final()) {
        let mut view = Sysroot::open(sysroot.directory().as_std_path())?;
        if let Err(refusal) = layout::find_tools(&mut view, &plan.target, &plan.content.tools) {
            if let Refusal::Incomplete(Incomplete { shortages, .. }) = &refusal {
                plan.advise(shortages, sysroot.directory(), &mut reported, events);
            }
            errors.push(refusal.into());
        }
        errors.extend(find_build_packages(plan, sysroot.directory(), &mut view).err());
    }
    errors.dedup_by_key(|error: &mut Error| error.to_string());
    Error::all(errors)
}

/// Fails if a sysroot lacks a package for the build: it cannot be extended.
fn find_build_packages(plan: &RootfsPlan, sysroot: &Utf8Path, view: &mut Sysroot) -> Result<()> {
    if plan.build_packages.is_empty() {
        return Ok(());
    }
    let machine = plan.target.machine();
    let Some(database) = Database::open(view, machine) else {
        return Err(Error::failed(format!("no package database for --build-package in the sysroot `{sysroot}`"))
            .help("choose a distribution's packages: --sysroot debian:bookworm"));
    };
    let absent: Vec<&String> = plan.build_packages.iter().filter(|name| database.find(name).is_none()).collect();
    let error = |name: &&String| {
        let error = Error::failed(format!("package `{name}` of --build-package is not in the sysroot `{sysroot}`"));
        match sysroot == "/" && plan.target.machine() == Machine::host() {
            true => error.help(format!("programs for this machine are built with what it has: install {name}")),
            false => error.help(format!("install {name} in the sysroot, or choose --sysroot debian:bookworm")),
        }
    };
    Error::all(absent.iter().map(error).collect())
}

/// Builds the project's executables for each job.
fn make(
    jobs: &mut [Job<RootfsPlan>],
    build: &Build,
    toolchain: &Toolchain,
    preparation: &Preparation,
    workspace: &Arc<[u8]>,
    events: &dyn Events,
) -> Result<()> {
    preparation.notes.iter().for_each(|note| events.status("Using", note));
    preparation.hint.iter().for_each(|hint| events.status("Hint", hint));
    events.detail("Running", &format_args!("`cargo {}`", preparation.arguments(build).join(" ")));
    let plans: Vec<&RootfsPlan> = jobs.iter().map(|job| &job.plan).collect();
    let packages = |target: &Target, sought: Sought<'_>| {
        let job = jobs.iter().find(|job| job.plan.target == *target)?;
        job.sysroot.builds_with(sought, events)
    };
    let built = cargo::build(build, &plans, toolchain, preparation, events.relay(), &packages);
    // Ctrl-C also ends cargo, so it is the cause of the failure.
    events.stop()?;
    let built = built?;
    built.warnings.iter().for_each(|warning| events.warning(warning));
    jobs.iter_mut().zip(built.artifacts).for_each(|(job, artifacts)| job.artifacts = artifacts);
    for Job { plan, .. } in jobs.iter_mut().filter(|job| job.plan.bill.is_some()) {
        let manifest = plan.facts.manifest.as_deref();
        let memory = plan.uses_cache.then(|| Cache::locate().ok()).flatten().map(|cache| Memory::new(cache.root()));
        let asked = cargo::resolved(build, manifest, plan.target.triple(), workspace, memory.as_ref())?;
        plan.facts.metadata = Some(asked);
        plan.facts.compiled.clone_from(&built.packages);
    }
    Ok(())
}
