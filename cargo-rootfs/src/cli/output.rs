//! From plans and assemblies to sinks, and how the writing is told of.
//!
//! The bytes and the names are [`crate::write`]'s.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::layout::Assembly;
use crate::pipeline::Events as _;
use crate::plan::{Output, RootfsPlan, Start};
use crate::report;
use crate::rootfs::Rootfs;
use crate::target::Target;
use crate::write::{self, Sink, Written, dir, docker, tar};

/// Writes every rootfs to each of its outputs. None has its name before all of them are complete.
pub(super) fn write(
    plans: &[RootfsPlan],
    assemblies: &[Assembly],
    epoch: i64,
    terminal: &Terminal,
    interrupted: &AtomicBool,
) -> Result<Vec<(Written, Target)>> {
    // Ctrl-C ends an engine that is asked, too.
    let or_interrupted = |error| if interrupted.load(Ordering::Relaxed) { Error::interrupted() } else { error };
    let mut staged = Vec::new();
    for (plan, assembly) in plans.iter().zip(assemblies) {
        let image = image(plan, assembly, epoch);
        let mut sinks = Vec::new();
        for output in &plan.outputs {
            let (verb, name) = words(output);
            terminal.status(verb, name);
            sinks.push(sink(output, epoch, &image, &assembly.rootfs).map_err(or_interrupted)?);
        }
        let mut progress = terminal.progress(assembly.rootfs.size());
        let complete = write::stage(&assembly.rootfs, sinks, &mut *progress, interrupted);
        drop(progress);
        staged.extend(complete?.into_iter().map(|one| (one, plan.target.clone())));
    }
    staged.into_iter().map(|(one, target)| Ok((one.commit()?, target))).collect()
}

/// What a status line says of an output.
fn words(output: &Output) -> (&'static str, String) {
    match output {
        Output::Tar(path) => ("Packing", path.to_string()),
        Output::Stdout => ("Packing", "to standard output".to_owned()),
        Output::Dir(path, _) => ("Copying", path.to_string()),
        Output::Image { engine, name } => ("Importing", format!("{name} into {}", engine.program())),
    }
}

fn sink(output: &Output, epoch: i64, image: &ImageConfig, rootfs: &Rootfs) -> Result<Box<dyn Sink>> {
    match output {
        Output::Tar(path) => tar::TarFile::create(path, epoch),
        Output::Stdout => tar::stdout(epoch),
        Output::Dir(path, replace) => dir::Dir::create(path, epoch, *replace),
        Output::Image { engine, name } => docker::import(*engine, name, image, rootfs),
    }
}

/// The image's configuration, with the paths that the layout gave.
pub(super) fn image(plan: &RootfsPlan, assembly: &Assembly, epoch: i64) -> ImageConfig {
    let mut config = plan.image.config.clone();
    let path = |path: Option<&crate::RootfsPath>| path.map(ToString::to_string).into_iter().collect();
    match &plan.image.start {
        Start::Given(entrypoint) => config.entrypoint.clone_from(entrypoint),
        Start::Executable(index) => config.entrypoint = path(assembly.executables.get(*index)),
        Start::FirstTool => config.cmd = path(assembly.tools.first()),
        Start::Nothing => {}
    }
    config.created = epoch;
    config
}

/// What rules add of less is not worth a word.
const LARGE: u64 = 1 << 20;

/// How many of the largest are named.
const NAMED: usize = 3;

/// The largest of what rules added, by the name of what called for it, and how many files have set-ID bits: in
/// parentheses, or nothing.
pub(super) fn largest(assemblies: &[Assembly]) -> String {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (name, size) in assemblies.iter().flat_map(|assembly| report::additions(&assembly.rootfs)) {
        *sums.entry(name).or_default() += size;
    }
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, size)| *size >= LARGE).collect();
    sums.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
    let mut said: Vec<String> =
        sums.iter().take(NAMED).map(|(name, size)| format!("{name} +{}", bytes(*size))).collect();
    match assemblies.iter().map(|assembly| report::set_ids(&assembly.rootfs)).sum::<usize>() {
        0 => {}
        count => said.push(format!("{count} set-ID")),
    }
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

/// A size for people: `1.4 MiB`.
pub(super) fn bytes(size: u64) -> impl std::fmt::Display {
    indicatif::HumanBytes(size)
}
