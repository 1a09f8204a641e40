//! Whether our closures are the dynamic loader's own: on every ELF file of the machine, on programs built to exercise
//! one rule each, and on the packages of other architectures. The loader is the judge; nothing else is run of them.

mod answer;
mod architectures;
mod enter;
pub(crate) mod header;
mod machine;
mod rules;

use std::time::Duration;

use anyhow::{Result, ensure};
use camino::Utf8Path;

use crate::made;
use crate::stage::Score;

pub(crate) use architectures::ldconfig_arm64;
pub(crate) use enter::{enter, real};

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Full,
    /// What CI has the time for.
    Quick,
}

/// What is compared, the seconds it may take, and how.
type Comparison = (&'static str, u64, fn(&Utf8Path, Extent) -> Result<()>);

const COMPARISONS: &[Comparison] = &[
    ("every ELF file of the machine", 120, machine::compare),
    ("packages of other architectures", 60, architectures::compare),
    ("rules: x86_64, glibc", 80, |ours, _| rules::glibc(ours)),
    ("rules: aarch64, glibc", 80, |ours, _| rules::glibc_arm64(ours)),
    ("rules: x86_64, musl", 20, |ours, _| rules::musl(ours)),
];

/// `cargo xtask differential [--quick] [FILTER]`.
pub(crate) fn run(extent: Extent, filter: &str) -> Result<()> {
    let chosen: Vec<_> = COMPARISONS.iter().filter(|(name, ..)| name.contains(filter)).collect();
    ensure!(!chosen.is_empty(), "no comparison's name has `{filter}` in it");
    let ours = made::program()?;
    let mut score = Score::new("differential: ");
    for (name, seconds, compare) in chosen {
        score.stage(name, Duration::from_secs(*seconds), || compare(&ours, extent));
    }
    score.close()
}
