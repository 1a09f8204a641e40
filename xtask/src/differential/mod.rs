//! Whether our closures are the dynamic loader's own: on every ELF file of the machine, on programs built to exercise
//! one rule each, and on the packages of other architectures. The loader is the judge; nothing else is run of them.

mod answer;
mod header;
mod machine;

use std::time::Duration;

use anyhow::Result;

use crate::e2e;
use crate::stage::Score;

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Full,
    /// What CI has the time for.
    Quick,
}

/// `cargo xtask differential`.
pub(crate) fn run(extent: Extent) -> Result<()> {
    let ours = e2e::built()?;
    let step = if extent == Extent::Quick { 4 } else { 1 };
    let mut score = Score::new("differential: ");
    let mut stage =
        |name, seconds, work: &dyn Fn() -> Result<()>| score.stage(name, Duration::from_secs(seconds), work);
    stage("every ELF file of the machine", 120, &|| machine::compare(&ours, step));
    score.close()
}
