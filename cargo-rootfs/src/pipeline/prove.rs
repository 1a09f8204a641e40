//! Layout and proof: from the plan and the build of each target to its rootfs, in parallel.

use std::collections::BTreeSet;
#[cfg(feature = "cli")]
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use camino::Utf8Path;

#[cfg(feature = "cli")]
use super::revision::Revision;
use super::{Events, SysrootSource};
use crate::error::{Error, Result, Warning};
use crate::layout::{self, Artifacts, Assembly, Content, Incomplete, Refusal};
#[cfg(feature = "cli")]
use crate::rootfs::KnownFiles;
use crate::shortage::Shortage;
use crate::target::Target;

/// The contents of one planned rootfs.
pub(crate) trait Order: Sync {
    /// Its name in status lines.
    fn name(&self) -> &str;

    /// The machine that it is for.
    fn target(&self) -> &Target;

    /// The content besides the built executables.
    fn content(&self) -> &Content;

    /// Fails if `assembly` is complete but not what the user requested; returns warnings about requests that have no effect.
    fn accept(&self, assembly: &Assembly) -> Result<Vec<Warning>> {
        let _ = assembly;
        Ok(Vec::new())
    }

    /// Reports remedies for shortages of a sysroot that stays. `reported` are the shortages of other targets.
    fn advise(&self, _: &BTreeSet<Shortage>, _sysroot: &Utf8Path, _reported: &mut BTreeSet<Shortage>, _: &dyn Events) {}
}

/// One target of a run, ready for its layout.
pub(crate) struct Job<P> {
    pub(crate) plan: P,
    /// The results of its build.
    pub(crate) artifacts: Artifacts,
    pub(crate) sysroot: Box<dyn SysrootSource>,
}

/// One target of a run, with its rootfs.
pub(crate) struct Proved<P> {
    pub(crate) plan: P,
    pub(crate) artifacts: Artifacts,
    /// Held, because the rootfs refers to files in it.
    sysroot: Box<dyn SysrootSource>,
    pub(crate) assembly: Assembly,
    /// The commit of its workspace, for the labels of an image.
    #[cfg(feature = "cli")]
    pub(super) revision: Option<Arc<Revision>>,
}

impl<P> Proved<P> {
    /// The directory of tools and libraries.
    pub(crate) fn sysroot(&self) -> &Utf8Path {
        self.sysroot.directory()
    }

    /// Adds the known digests of the files of its rootfs.
    #[cfg(feature = "cli")]
    pub(crate) fn find_known_files(&self, known: &mut KnownFiles) {
        self.sysroot.find_known_files(&self.assembly.rootfs.host_files().map(|file| file.inode).collect(), known);
    }
}

/// Lays out and proves one rootfs for each job.
///
/// Several are laid out in parallel: they share only the disk. Events come in the order of the jobs, so that those of
/// one rootfs are adjacent.
pub(crate) fn prove<P: Order>(mut jobs: Vec<Job<P>>, events: &dyn Events) -> Result<Vec<Proved<P>>> {
    let results: Vec<Result<Assembly>> = std::thread::scope(|scope| {
        let started: Vec<_> = jobs
            .iter_mut()
            .enumerate()
            .map(|(index, Job { plan, artifacts, sysroot })| {
                let (plan, artifacts, directory) = (&*plan, &*artifacts, sysroot.directory().to_owned());
                // The first job runs on this thread: a single one, the usual case, needs no other thread.
                let thread = (index > 0).then(|| scope.spawn(move || assemble(plan, artifacts, &directory)));
                (plan, artifacts, sysroot, thread)
            })
            .collect();
        let mut reported = BTreeSet::new();
        let each = started.into_iter().map(|(plan, artifacts, sysroot, thread)| {
            events.status("Resolving", &format_args!("{} for {}", plan.name(), plan.target().triple()));
            let first = match thread.map(ScopedJoinHandle::join) {
                None => assemble(plan, artifacts, sysroot.directory()),
                Some(Ok(assembled)) => assembled,
                Some(Err(panic)) => std::panic::resume_unwind(panic),
            };
            let assembly = until_complete(plan, artifacts, &mut **sysroot, first, &mut reported, events)?;
            let doubts = plan.accept(&assembly)?;
            if let Some(brought) = &assembly.brought {
                events.status("Bringing", brought);
            }
            if let Some(left_out) = &assembly.left_out {
                events.status("Leaving", left_out);
            }
            assembly.warnings.iter().chain(&doubts).for_each(|warning| events.warning(warning));
            Ok(assembly)
        });
        each.collect()
    });
    let (mut proved, mut errors) = (Vec::new(), Vec::new());
    for (Job { plan, artifacts, sysroot }, result) in jobs.into_iter().zip(results) {
        match result {
            Ok(assembly) => proved.push(Proved {
                plan,
                artifacts,
                sysroot,
                assembly,
                #[cfg(feature = "cli")]
                revision: None,
            }),
            Err(error) => errors.push(error),
        }
    }
    // A sysroot may lack the same thing for several targets.
    errors.dedup_by_key(|error| error.to_string());
    events.stop()?;
    Error::all(errors)?;
    let assemblies = || proved.iter().map(|one| &one.assembly);
    let closures = assemblies().flat_map(|assembly| &assembly.closures).map(|(_, closure)| closure);
    layout::may_open_warning(closures).iter().for_each(|warning| events.warning(warning));
    let suggestions = assemblies().flat_map(|assembly| &assembly.suggestions);
    layout::suggestion_warning(suggestions).iter().for_each(|warning| events.warning(warning));
    Ok(proved)
}

fn assemble(plan: &impl Order, artifacts: &Artifacts, sysroot: &Utf8Path) -> Result<Assembly, Refusal> {
    layout::assemble(sysroot, plan.target(), plan.content(), artifacts)
}

/// Repeats the layout while the sysroot source remedies shortages; `tried` is the result of the first sysroot.
///
/// It terminates because each source does: see [`SysrootSource::supply`].
fn until_complete(
    plan: &impl Order,
    artifacts: &Artifacts,
    sysroot: &mut dyn SysrootSource,
    mut tried: Result<Assembly, Refusal>,
    reported: &mut BTreeSet<Shortage>,
    events: &dyn Events,
) -> Result<Assembly> {
    loop {
        events.stop()?;
        let is_another = match &tried {
            Ok(assembly) => {
                sysroot.recommend(&assembly.recommended, events)? || sysroot.grant(&assembly.wishes, events)?
            }
            Err(Refusal::Incomplete(Incomplete { shortages, .. })) => sysroot.supply(shortages, events)?,
            Err(Refusal::Failed(_)) => false,
        };
        if !is_another {
            if let Err(Refusal::Incomplete(Incomplete { shortages, .. })) = &tried {
                plan.advise(shortages, sysroot.directory(), reported, events);
            }
            return Ok(tried?);
        }
        tried = assemble(plan, artifacts, sysroot.directory());
    }
}
