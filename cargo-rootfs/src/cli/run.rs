//! The order of work: metadata, plan, build, layout, output.
//!
//! Each step is another room's; here they are only called, and told of.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};

use super::enter::{self, Program};
use super::sysroots::{self, Sysroot};
use super::terminal::Terminal;
use super::{check, closures, generate, output, trace};
use crate::cargo::{self, Preparation, Toolchain};
use crate::error::{Error, Result, exit_code};
use crate::layout::{self, Artifacts, Assembly};
use crate::options::{
    BuildArgs, CheckArgs, Command, EnterArgs, Format, Options, SysrootCommand, TraceArgs, TreeArgs, WhyArgs,
};
use crate::pipeline::Epoch;
use crate::plan::{Plan, Purpose, Request, RootfsPlan, Source, Surroundings};
use crate::provision::{Lockfile, May, Network, Pinned};
use crate::target::Target;

/// Does what the options say.
pub(super) fn run(options: &Options, terminal: &Terminal) -> Result<()> {
    let job = Job { terminal, interrupted: terminal.interrupt() };
    let request = |build, content, purpose| Request { build, content, purpose, terminal: &options.terminal };
    match &options.command {
        None => job.write(&request(&options.build, &options.content, Purpose::Write(&options.output, &options.image))),
        Some(Command::Tree(args)) if !args.files.is_empty() => closures::of_files(args, terminal),
        Some(Command::Tree(args)) => job.tree(&request(&args.build, &args.content, Purpose::Report), args),
        Some(Command::Why(args)) => job.why(&request(&args.build, &args.content, Purpose::Report), args),
        Some(Command::Run(args)) => {
            let image = enter::image_args(&args.enter);
            let request = request(&args.build, &args.content, Purpose::Enter(&image));
            job.enter(&request, Program::Words(&args.words), &args.enter)
        }
        Some(Command::Shell(args)) => {
            let image = enter::image_args(&args.enter);
            job.enter(&request(&args.build, &args.content, Purpose::Enter(&image)), Program::Shell, &args.enter)
        }
        Some(Command::Check(args)) => {
            let image = enter::image_args(&args.enter);
            job.check(&request(&args.build, &args.content, Purpose::Enter(&image)), args)
        }
        Some(Command::Trace(args)) => job.trace(&request(&args.build, &args.content, Purpose::Compare), args),
        Some(Command::Sysroot { command }) => match command {
            SysrootCommand::List => sysroots::list(terminal),
            SysrootCommand::Prune { all } => sysroots::prune(*all, terminal),
            SysrootCommand::Path(args) => job.sysroot_path(&request(&args.build, &args.content, Purpose::Report)),
            SysrootCommand::Update { manifest } => job.sysroot_update(manifest),
        },
        Some(Command::Completions { shell }) => generate::completions(*shell, terminal),
        Some(Command::Man { command }) => generate::man(command.as_deref(), terminal),
    }
}

/// Root filesystems that are proved, and what each was made of.
struct Assembled {
    plan: Plan,
    assemblies: Vec<Assembly>,
    artifacts: Vec<Artifacts>,
    /// The folders that tools and libraries came from.
    sysroots: Vec<Utf8PathBuf>,
}

/// What every step is told with, and whether to go on.
struct Job<'t> {
    terminal: &'t Terminal,
    interrupted: Arc<AtomicBool>,
}

impl Job<'_> {
    /// `cargo rootfs`
    fn write(&self, request: &Request<'_>) -> Result<()> {
        let started = Instant::now();
        let epoch = Epoch::from_environment()?.seconds();
        self.watch_signals()?;
        let (plan, assemblies) = self.assemble(request)?;
        let outputs = output::write(&plan.rootfs, &assemblies, epoch, self.terminal, &self.interrupted)?;
        let size = assemblies.iter().map(|assembly| assembly.rootfs.size()).sum();
        let entries: usize = assemblies.iter().map(|assembly| assembly.rootfs.len()).sum();
        let seconds = started.elapsed().as_secs_f64();
        let largest = output::largest(&assemblies);
        let size = output::bytes(size);
        self.terminal.status("Finished", format_args!("{entries} entries, {size}{largest}, in {seconds:.2}s"));
        outputs.iter().try_for_each(|written| self.terminal.written(written))
    }

    /// `cargo rootfs tree`
    fn tree(&self, request: &Request<'_>, args: &TreeArgs) -> Result<()> {
        self.watch_signals()?;
        let (_, assemblies) = self.assemble(request)?;
        assemblies.into_iter().try_for_each(|assembly| closures::of_rootfs(assembly, args, self.terminal))
    }

    /// `cargo rootfs why PATH`
    fn why(&self, request: &Request<'_>, args: &WhyArgs) -> Result<()> {
        self.watch_signals()?;
        let (plan, assemblies) = self.assemble(request)?;
        let each = plan.rootfs.iter().zip(&assemblies);
        let answers = each.map(|(one, assembly)| closures::why(assembly, &one.target, &args.file, self.terminal));
        Error::all(answers.filter_map(Result::err).collect())
    }

    /// `cargo rootfs run` and `shell`
    fn enter(&self, request: &Request<'_>, program: Program<'_>, args: &EnterArgs) -> Result<()> {
        if self.terminal.format() == Format::Json {
            return Err(Error::usage("the command and `--message-format json` both claim standard output"));
        }
        let epoch = Epoch::from_environment()?.seconds();
        // Before a build of minutes, not after it.
        let binds = enter::binds(args)?;
        self.watch_signals()?;
        let (plan, assemblies) = self.assemble(request)?;
        plan.rootfs.iter().zip(&assemblies).try_for_each(|one| {
            enter::run(program, args.network, binds.clone(), one, epoch, self.terminal, &self.interrupted)
        })
    }

    /// `cargo rootfs sysroot path`
    fn sysroot_path(&self, request: &Request<'_>) -> Result<()> {
        self.watch_signals()?;
        let (plan, toolchain) = plan(request)?;
        let stop = || self.stop_if_interrupted();
        let around = self.around_sysroots(request, &plan, toolchain.as_ref(), &stop);
        let preparation = match (&plan.source, &toolchain) {
            (Source::Cargo(build), Some(toolchain)) => cargo::without_build(build, &plan.rootfs, toolchain)?,
            _ => Preparation::default(),
        };
        for (one, sysroot) in plan.rootfs.iter().zip(choose(&plan, &preparation, &around)?) {
            self.terminal.sysroot(sysroot.folder(), &one.target)?;
        }
        Ok(())
    }

    /// `cargo rootfs sysroot update`
    fn sysroot_update(&self, manifest: &clap_cargo::Manifest) -> Result<()> {
        self.watch_signals()?;
        let build = BuildArgs { manifest: manifest.clone(), ..BuildArgs::default() };
        let (project, _) = cargo::metadata(&build, &current_dir()?)?;
        let stop = || self.stop_if_interrupted();
        let may = May { change_lock: Lockfile::Renewed, network: Network::Used };
        let pinned = Pinned::Project(project.workspace_root.into());
        sysroots::update(&sysroots::Surroundings { terminal: self.terminal, pinned, may, stop: &stop })
    }

    /// `cargo rootfs check`
    fn check(&self, request: &Request<'_>, args: &CheckArgs) -> Result<()> {
        let epoch = Epoch::from_environment()?.seconds();
        let binds = enter::binds(&args.enter)?;
        self.watch_signals()?;
        let Assembled { plan, assemblies, sysroots, .. } = self.assemble_all(request)?;
        plan.rootfs.iter().zip(&assemblies).zip(&sysroots).try_for_each(|(one, sysroot)| {
            check::run(args, &binds, one, sysroot, epoch, self.terminal, &self.interrupted)
        })
    }

    /// `cargo rootfs trace`
    fn trace(&self, request: &Request<'_>, args: &TraceArgs) -> Result<()> {
        self.watch_signals()?;
        let Assembled { plan, assemblies, artifacts, sysroots } = self.assemble_all(request)?;
        let each = plan.rootfs.iter().zip(&assemblies).zip(&artifacts).zip(&sysroots);
        each.into_iter().try_for_each(|(((plan, assembly), artifacts), sysroot)| {
            let known = trace::Known { plan, assembly, artifacts, sysroot };
            trace::run(args, &known, self.terminal, &self.interrupted)
        })
    }

    /// Everything up to root filesystems that are proved and not yet written.
    fn assemble(&self, request: &Request<'_>) -> Result<(Plan, Vec<Assembly>)> {
        self.assemble_all(request).map(|all| (all.plan, all.assemblies))
    }

    /// The same, and what each was made of.
    fn assemble_all(&self, request: &Request<'_>) -> Result<Assembled> {
        let (plan, toolchain) = plan(request)?;
        for warning in &plan.warnings {
            self.terminal.warning(warning);
        }
        // Before a build of minutes, not after it.
        let stop = || self.stop_if_interrupted();
        let around = self.around_sysroots(request, &plan, toolchain.as_ref(), &stop);
        let mut preparation = prepared(&plan, toolchain.as_ref())?;
        let mut sysroots = choose(&plan, &preparation, &around)?;
        if let (Source::Cargo(build), Some(toolchain)) = (&plan.source, &toolchain) {
            let each = plan.rootfs.iter().zip(&sysroots);
            let mut errors: Vec<Error> = each.clone().filter_map(|(one, it)| it.has_tools(one).err()).collect();
            errors.dedup_by_key(|error| error.to_string());
            Error::all(errors)?;
            for (one, sysroot) in each {
                preparation.add_libraries(build, &one.target, sysroot.folder(), toolchain)?;
            }
        }

        let artifacts = self.artifacts(&plan, toolchain.as_ref(), &preparation)?;
        self.stop_if_interrupted()?;
        let assemblies = self.lay_out(&plan.rootfs, &artifacts, &mut sysroots)?;
        let closures = assemblies.iter().flat_map(|assembly| &assembly.closures).map(|(_, closure)| closure);
        layout::may_open_warning(closures).iter().for_each(|warning| self.terminal.warning(warning));
        let suggestions = assemblies.iter().flat_map(|assembly| &assembly.suggestions);
        layout::suggestion_warning(suggestions).iter().for_each(|warning| self.terminal.warning(warning));
        let sysroots = sysroots.iter().map(|sysroot| sysroot.folder().to_owned()).collect();
        Ok(Assembled { plan, assemblies, artifacts, sysroots })
    }

    /// What provisioned sysroots are pinned by, and what they may do.
    fn around_sysroots<'a>(
        &'a self,
        request: &Request<'_>,
        plan: &Plan,
        toolchain: Option<&Toolchain>,
        stop: &'a dyn Fn() -> Result<()>,
    ) -> sysroots::Surroundings<'a> {
        let args = &request.build.compilation;
        let change_lock = if args.locked || args.frozen { Lockfile::Stays } else { Lockfile::Grows };
        // As cargo has it; where nothing is built there is nobody to ask but the environment.
        let configured = match toolchain {
            Some(toolchain) => toolchain.is_offline(),
            None => std::env::var_os("CARGO_NET_OFFLINE").is_some_and(|value| value == "true"),
        };
        let network = if args.offline || args.frozen || configured { Network::Unused } else { Network::Used };
        let pinned = match &plan.source {
            Source::Cargo(build) => Pinned::Project(build.workspace_root.clone().into()),
            Source::Prebuilt(_) | Source::Nothing => Pinned::Nowhere,
        };
        sysroots::Surroundings { terminal: self.terminal, pinned, may: May { change_lock, network }, stop }
    }

    /// One rootfs for each plan. Several are laid out side by side, for they share nothing but the disk, and are told
    /// of one after the other in the order of the plans, so that what is said of one stands together.
    fn lay_out(
        &self,
        plans: &[RootfsPlan],
        artifacts: &[Artifacts],
        sysroots: &mut [Sysroot<'_>],
    ) -> Result<Vec<Assembly>> {
        let assemble = |plan: &RootfsPlan, artifacts, sysroot: &Utf8Path| {
            layout::assemble(sysroot, &plan.target, &plan.content, artifacts)
        };
        let folders: Vec<Utf8PathBuf> = sysroots.iter().map(|sysroot| sysroot.folder().to_owned()).collect();
        let mut assemblies = Vec::new();
        let mut errors = Vec::new();
        std::thread::scope(|scope| {
            let each = plans.iter().zip(artifacts).zip(&folders).enumerate();
            let started: Vec<_> = each
                .map(|(index, ((plan, artifacts), folder))| {
                    // The first on this thread: for one, which is the usual number, none is started.
                    let thread = (index > 0).then(|| scope.spawn(move || assemble(plan, artifacts, folder)));
                    (plan, artifacts, folder, thread)
                })
                .collect();
            for ((plan, artifacts, folder, thread), sysroot) in started.into_iter().zip(sysroots) {
                self.terminal.status("Resolving", format_args!("{} for {}", plan.name, plan.target.triple()));
                let first = match thread.map(ScopedJoinHandle::join) {
                    None => assemble(plan, artifacts, folder),
                    Some(Ok(assembled)) => assembled,
                    Some(Err(panic)) => std::panic::resume_unwind(panic),
                };
                let laid_out = sysroot.assemble(plan, artifacts, first).and_then(|assembly| {
                    let checked = match plan.is_sysroot_named {
                        true => Ok(()),
                        false => layout::check_tools(&plan.target, &plan.content.tools, &assembly),
                    };
                    checked.map(|()| assembly)
                });
                match laid_out {
                    Ok(assembly) => {
                        assembly.warnings.iter().for_each(|warning| self.terminal.warning(warning));
                        assemblies.push(assembly);
                    }
                    Err(error) => errors.push(error),
                }
            }
        });
        // One sysroot may lack the same for each of its targets.
        errors.dedup_by_key(|error| error.to_string());
        self.stop_if_interrupted()?;
        Error::all(errors).map(|()| assemblies)
    }

    /// The project's executables for each target.
    fn artifacts(
        &self,
        plan: &Plan,
        toolchain: Option<&Toolchain>,
        preparation: &Preparation,
    ) -> Result<Vec<Artifacts>> {
        let built = match (&plan.source, toolchain) {
            (Source::Cargo(build), Some(toolchain)) => {
                preparation.notes.iter().for_each(|note| self.terminal.status("Using", note));
                self.terminal.detail("Running", format_args!("`cargo {}`", build.arguments.join(" ")));
                cargo::build(build, &plan.rootfs, toolchain, preparation, self.terminal.relay())
            }
            (Source::Prebuilt(executables), _) => {
                let artifacts = Artifacts { executables: executables.clone(), ..Artifacts::default() };
                return Ok(plan.rootfs.iter().map(|_| artifacts.clone()).collect());
            }
            _ => return Ok(plan.rootfs.iter().map(|_| Artifacts::default()).collect()),
        };
        // Ctrl-C has ended cargo as well, and is why it failed.
        self.stop_if_interrupted()?;
        let built = built?;
        built.warnings.iter().for_each(|warning| self.terminal.warning(warning));
        Ok(built.artifacts)
    }

    /// From now on Ctrl-C asks to stop, so that nothing is left half done; a second one does not ask.
    fn watch_signals(&self) -> Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        use signal_hook::flag;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the second signal finds the flag set by the first.
            flag::register_conditional_shutdown(signal, exit_code::INTERRUPTED, Arc::clone(&self.interrupted))
                .and_then(|_| flag::register(signal, Arc::clone(&self.interrupted)))
                .map_err(|error| Error::failed("cannot watch for signals").with_source(error))?;
        }
        Ok(())
    }

    fn stop_if_interrupted(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Error::interrupted()) } else { Ok(()) }
    }
}

/// Asks cargo what must be known, where anything is to be built, and works out the plan.
fn plan(request: &Request<'_>) -> Result<(Plan, Option<Toolchain>)> {
    let current_dir = current_dir()?;
    let foreign_sysroot = std::env::var("CARGO_ROOTFS_SYSROOT").ok().filter(|value| !value.is_empty());
    if builds_nothing(request.build) {
        let around = Surroundings {
            project: None,
            build_directory: None,
            configured_targets: Vec::new(),
            host: &|| Ok(Target::host().triple().to_owned()),
            foreign_sysroot,
            current_dir: &current_dir,
        };
        return Ok((Plan::new(request, &around)?, None));
    }
    let asked = Toolchain::ask(&request.build.compilation.target);
    let (project, build_directory) = cargo::metadata(request.build, &current_dir)?;
    let toolchain = asked.answer()?;
    let around = Surroundings {
        project: Some(&project),
        build_directory,
        configured_targets: toolchain.configured_targets(&request.build.compilation.config)?,
        host: &|| toolchain.host().map(str::to_owned),
        foreign_sysroot,
        current_dir: &current_dir,
    };
    Ok((Plan::new(request, &around)?, Some(toolchain)))
}

fn current_dir() -> Result<Utf8PathBuf> {
    let current_dir = std::env::current_dir().map_err(|error| Error::io("find", "the current folder", error))?;
    Utf8PathBuf::try_from(current_dir)
        .map_err(|error| Error::failed("the current folder's path is not UTF-8").with_source(error))
}

/// What the build needs, looked for before anything that takes long.
fn prepared(plan: &Plan, toolchain: Option<&Toolchain>) -> Result<Preparation> {
    match (&plan.source, toolchain) {
        (Source::Cargo(build), Some(toolchain)) => cargo::prepare(build, &plan.rootfs, toolchain),
        _ => Ok(Preparation::default()),
    }
}

/// A sysroot for each rootfs.
fn choose<'s>(
    plan: &'s Plan,
    preparation: &Preparation,
    around: &'s sysroots::Surroundings<'s>,
) -> Result<Vec<Sysroot<'s>>> {
    let (mut sysroots, mut errors) = (Vec::new(), Vec::new());
    for one in &plan.rootfs {
        let linker = preparation.linker(one.target.triple()).map(OsStr::to_owned);
        match Sysroot::choose(one, around, linker) {
            Ok(sysroot) => sysroots.push(sysroot),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors).map(|()| sysroots)
}

fn builds_nothing(build: &BuildArgs) -> bool {
    build.selection.tools_only || !build.selection.binary.is_empty()
}
