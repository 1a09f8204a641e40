//! Speed and memory of `cargo rootfs`, as ratios to other programs that do the same work.
//! The sides of a ratio run in turn (A B A B), warm, onto the same disk; nothing is compared across runs.

mod archive;
mod growth;
mod image;
pub(crate) mod large_tools;
mod layouts;
mod measure;
mod releases;
mod table;
mod tree;

use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::host;
use crate::stage::{Skip, Tier, cannot};
use measure::{Contender, Leaves, Rounds};
use table::Table;

/// The time for the rounds of one row; a quick run has a tenth.
const BUDGET: Duration = Duration::from_secs(600);

/// The use of the verdict on figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is printed only: the speed and load of a machine say nothing about the program.
    Printed,
    /// A figure far from its aim fails the run.
    Strict,
}

/// Rows of the table with the same requirements.
type Part = (&'static str, fn(&Bench, &mut Table) -> Result<()>);

const PARTS: &[Part] = &[
    ("trees of bash and ls, and of /usr/bin", tree::of_the_system),
    ("tree of the large tools", tree::of_large_tools),
    ("tar of bash and ls", archive::small),
    ("records, licences and SBOM", archive::told),
    ("tar of the large tools", archive::large),
    ("tar of the large tools against elfpak", archive::large_by_elfpak),
    ("push of a project", layouts::of_a_project),
    ("first push of the large tools", layouts::first),
    ("layout of the large tools, uncompressed", |bench, table| layouts::of_large_tools(bench, table, "none")),
    ("layout of the large tools, zstd", |bench, table| layouts::of_large_tools(bench, table, "zstd")),
    ("layout of the large tools, gzip", |bench, table| layouts::of_large_tools(bench, table, "gzip")),
    ("image of the large tools", image::large),
    ("ten releases", releases::ten),
    ("growth", growth::twice_the_files),
];

/// Runs `cargo xtask bench [--quick] [--strict] [FILTER]`: `tier` sets the number of rounds, [`Tier::Full`] enough of
/// them to quote a figure. Only parts whose name contains `filter` run.
pub(crate) fn run(tier: Tier, verdict: Verdict, filter: &str) -> Result<()> {
    let ours = crate::made::program(Tier::Full)?;
    let dir = host::cache_dir().join("bench");
    fs_err::create_dir_all(&dir)?;
    let bench = Bench { ours, dir, tier };

    let mut table = Table::default();
    let mut skipped = Vec::new();
    for (name, part) in PARTS.iter().filter(|(name, _)| name.contains(filter)) {
        match rows(&bench, name, *part) {
            Err(error) if error.is::<Skip>() => skipped.push(format!("skipped {name}: {error}")),
            ended => table.append(ended.with_context(|| (*name).to_owned())?),
        }
    }
    fs_err::remove_dir_all(&bench.dir)?;
    println!("\n{table}");
    for line in skipped {
        println!("{line}");
    }
    match (table.judge(), verdict) {
        (Err(far), Verdict::Printed) => println!("{far} (`cargo xtask bench --strict` fails for it)"),
        (judged, _) => judged?,
    }
    Ok(())
}

/// The rows of a part. A figure far from its aim is measured again: a regression repeats, a disturbance by another
/// process does not.
fn rows(bench: &Bench, name: &str, part: fn(&Bench, &mut Table) -> Result<()>) -> Result<Table> {
    let mut first = Table::default();
    part(bench, &mut first)?;
    let Err(far) = first.judge() else { return Ok(first) };
    println!("{name}: {far}: once more");
    let mut second = Table::default();
    part(bench, &mut second)?;
    Ok(second)
}

struct Bench {
    ours: Utf8PathBuf,
    /// The directory of the contenders' outputs.
    dir: Utf8PathBuf,
    tier: Tier,
}

impl Bench {
    /// `quick` rounds, or `full` for figures to be quoted, after a few that are discarded.
    fn rounds(&self, quick: usize, full: usize) -> Rounds {
        let timed = if self.tier == Tier::Full { full } else { quick };
        let budget = if self.tier == Tier::Full { BUDGET } else { BUDGET / 10 };
        Rounds { warm: timed / 10 + 1, timed, budget }
    }

    /// `cargo rootfs tree ARGS`, with the answer on standard output.
    fn tree(&self, name: &str, args: &[&str]) -> Contender {
        let argv = [self.ours.as_str(), "rootfs", "tree"].into_iter().chain(args.iter().copied());
        Contender::new(name, Leaves::Nothing, argv)
    }

    /// `cargo rootfs` with `tools` alone: the peers pack no skeleton and have no rules either.
    fn tools(&self, tools: &[&str], output: [&str; 2], leaves: Leaves) -> Contender {
        let nothing_more =
            ["--tools-only", "--template", "none", "--runtime", "none", "--records", "none", "--licenses", "none"];
        let argv = [self.ours.as_str(), "rootfs", "--quiet"].into_iter().chain(nothing_more);
        let with = tools.iter().flat_map(|tool| ["--with", tool]);
        Contender::new("cargo rootfs", leaves, argv.chain(with).chain(output))
    }

    /// The same to a tar.
    fn tar(&self, tools: &[&str]) -> Contender {
        let (out, leaves) = self.file("ours.tar");
        self.tools(tools, ["--tar", &out], leaves)
    }

    /// A file for a contender to write.
    fn file(&self, name: &str) -> (String, Leaves) {
        let path = self.dir.join(name);
        (path.to_string(), Leaves::File(path))
    }

    /// A directory for a contender to write.
    fn directory(&self, name: &str) -> (String, Leaves) {
        let path = self.dir.join(name);
        (path.to_string(), Leaves::Directory(path))
    }
}

/// The large tools' paths, if all exist.
fn large_tools() -> Result<Vec<&'static str>> {
    let missing = large_tools::missing_packages()?;
    if missing.is_empty() {
        return large_tools::paths();
    }
    cannot(format!("{} are not installed: run `cargo xtask setup --all`", missing.join(", ")))
}
