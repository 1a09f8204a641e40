//! Large tools into Docker, against `docker import` of a finished tar. Each image is removed before the next one is
//! made.

use anyhow::Result;

use super::measure::{self, Contender, Leaves};
use super::table::{Row, Table, Unit};
use super::{Bench, large_tools};
use crate::e2e;

pub(super) fn large(bench: &Bench, table: &mut Table) -> Result<()> {
    e2e::ready("docker")?;
    let tools = large_tools()?;
    let finished = bench.tar(&tools);
    finished.check()?;
    let (tar, _) = bench.file("ours.tar");

    let name = |side: &str| format!("cargo-rootfs-bench-{}:{side}", std::process::id());
    let (ours, theirs) = (name("ours"), name("theirs"));
    let import = Contender::new(
        "docker import of a finished tar",
        Leaves::Image(theirs.clone()),
        ["docker", "import", &tar, &theirs],
    );
    let ours = bench.tools(&tools, ["--docker-import", &ours], Leaves::Image(ours.clone()));
    let [a, b] = measure::interleaved([&ours, &import], bench.rounds(2, 7))?;
    table.push(Row::new(&format!("{} large tools into Docker", tools.len()), &import.name, a, b, Unit::Time, 1.05));
    Ok(())
}
