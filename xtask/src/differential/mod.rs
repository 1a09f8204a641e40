//! Compares our closures with the dynamic loader's: for every ELF file of the machine, for programs that exercise one
//! rule each, and for packages of other architectures. The loader is the judge; no other program is run.

mod answer;
mod architectures;
mod enter;
pub(crate) mod header;
mod machine;
mod rules;

use anyhow::{Result, ensure};
use camino::Utf8Path;

use crate::made;
use crate::stage::{self, Tier};

pub(crate) use architectures::ldconfig_arm64;
pub(crate) use enter::{enter, real};

/// A comparison's name, its first tier, and the comparison.
type Comparison = (&'static str, Tier, fn(&Utf8Path, Tier) -> Result<()>);

const COMPARISONS: &[Comparison] = &[
    ("every ELF file of the machine", Tier::Quick, machine::compare),
    ("packages of other architectures", Tier::Full, |ours, _| architectures::compare(ours)),
    ("rules: x86_64, glibc", Tier::Quick, |ours, _| rules::glibc(ours)),
    ("rules: aarch64, glibc", Tier::Full, |ours, _| rules::glibc_arm64(ours)),
    ("rules: x86_64, musl", Tier::Quick, |ours, _| rules::musl(ours)),
];

/// `cargo xtask differential [--quick] [FILTER]`.
pub(crate) fn run(tier: Tier, filter: &str) -> Result<()> {
    let chosen = COMPARISONS.iter().filter(|(name, from, _)| name.contains(filter) && *from <= tier);
    let chosen: Vec<_> = chosen.collect();
    ensure!(!chosen.is_empty(), "no comparison's name has `{filter}` in it");
    let ours = made::program(tier)?;
    let ours = &ours;
    let works = chosen.into_iter().map(|(name, _, compare)| (*name, move || compare(ours, tier)));
    stage::run("differential", works.collect())
}
