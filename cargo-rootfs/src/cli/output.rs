//! From plans and assemblies to outputs, and what is said of their sizes.
//!
//! Kinds of output are [`crate::output`]'s.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::terminal::Terminal;
use crate::error::Result;
use crate::image::ImageConfig;
use crate::layout::Assembly;
use crate::output::{self, Job, Written};
use crate::plan::{RootfsPlan, Start};
use crate::report;

/// Writes every rootfs to each of its outputs. None has its name before all of them are complete.
pub(super) fn write(
    plans: &[RootfsPlan],
    assemblies: &[Assembly],
    epoch: i64,
    terminal: &Terminal,
    interrupted: &AtomicBool,
) -> Result<Vec<Written>> {
    let jobs = plans.iter().zip(assemblies).map(|(plan, assembly)| Job {
        target: &plan.target,
        rootfs: &assembly.rootfs,
        image: image(plan, assembly, epoch),
        epoch,
        outputs: &plan.outputs,
    });
    output::write(&jobs.collect::<Vec<_>>(), terminal, interrupted)
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
