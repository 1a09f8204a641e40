//! Speed and memory of `cargo rootfs --tools-only`, as ratios to GNU tar and to a careful shell script.
//! Both sides of a ratio run in turn (A B A B), warm, onto the same disk; nothing is compared across runs.

pub(crate) mod large_tools;
mod measure;
mod table;

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;

use crate::host;
use crate::process::command;
use crate::stage::{cannot, need};
use measure::{Contender, Measured, Rounds};
use table::{Row, Table, Unit};

/// What a careful person writes by hand.
const CAREFUL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/careful.sh");

/// How long it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Enough rounds for a figure to be quoted.
    Full,
    /// Enough to see that a budget is missed by a wide margin: what CI runs.
    Quick,
}

/// `cargo xtask bench`.
pub(crate) fn run(extent: Extent) -> Result<()> {
    need("time")?;
    need("tar")?;
    let missing = large_tools::missing_packages()?;
    if !missing.is_empty() {
        return cannot(format!("{} are not installed: run `cargo xtask setup --bench`", missing.join(", ")));
    }
    let ours = crate::e2e::built()?;
    let dir = host::cache_dir().join("bench");
    std::fs::create_dir_all(&dir).with_context(|| format!("make {dir}"))?;
    let bench = Bench { ours, dir };
    let (few, many) = match extent {
        Extent::Full => (Rounds { warm: 1, timed: 9 }, Rounds { warm: 5, timed: 101 }),
        Extent::Quick => (Rounds { warm: 1, timed: 5 }, Rounds { warm: 3, timed: 31 }),
    };

    let mut table = Table::default();
    bench.small(many, &mut table)?;
    bench.large(few, &mut table)?;
    std::fs::remove_dir_all(&bench.dir).with_context(|| format!("remove {}", bench.dir))?;
    println!("\n{table}");
    table.judge()
}

struct Bench {
    ours: Utf8PathBuf,
    dir: Utf8PathBuf,
}

impl Bench {
    fn small(&self, rounds: Rounds, table: &mut Table) -> Result<()> {
        let work = "bash and ls to a tar";
        let tools = ["/usr/bin/bash", "/usr/bin/ls"];
        let (ours, files) = self.ours(&tools)?;
        let tar = self.tar(&["-chf"], &files);
        let script = Contender::new(
            "careful shell script",
            self.out("script"),
            ["sh", CAREFUL, &self.out("script"), "bash", "ls"],
        );
        let [a, b, c] = measure::interleaved([&ours, &tar, &script], rounds)?;
        table.push(Row::new(work, &tar.name, a, b, Unit::Time, 1.0));
        table.push(Row::new(work, &script.name, a, c, Unit::Time, 0.25));
        Ok(())
    }

    fn large(&self, rounds: Rounds, table: &mut Table) -> Result<()> {
        let tools = large_tools::paths()?;
        let (ours, files) = self.ours(&tools)?;
        let size: u64 =
            files.iter().filter_map(|file| std::fs::metadata(format!("/{file}")).ok()).map(|m| m.len()).sum();
        let work = format!("{} large tools, {} files, {} MB", tools.len(), files.len(), size / 1_000_000);
        let default = self.tar(&["-cf"], &files);
        let blocked = self.tar(&["-b", "2048", "-cf"], &files);
        let [a, b, c] = measure::interleaved([&ours, &default, &blocked], rounds)?;
        table.push(Row::new(&work, &default.name, a, b, Unit::Time, 0.6));
        table.push(Row::new(&work, &blocked.name, a, c, Unit::Time, 1.2));
        let peak = measure::peak_memory(&ours)?;
        table.push(Row::new(&work, "16 MiB", peak, Measured::exactly(16.0 * 1024.0 * 1024.0), Unit::Memory, 1.0));
        Ok(())
    }

    fn out(&self, name: &str) -> String {
        self.dir.join(format!("{name}.tar")).into_string()
    }

    /// Our command for `tools`, and the regular files that it packs: the list that the peers are spared to find.
    fn ours(&self, tools: &[&str]) -> Result<(Contender, Vec<String>)> {
        let out = self.out("ours");
        let with = tools.join(",");
        // A peer packs the closure and nothing more, and so do we.
        let argv = [
            self.ours.as_str(),
            "rootfs",
            "--quiet",
            "--tools-only",
            "--template",
            "none",
            "--with",
            &with,
            "--tar",
            &out,
        ];
        let ours = Contender::new("cargo rootfs", out.clone(), argv);
        ours.check()?;
        let listing = command(["tar", "-tvf", &out]).run()?.stdout;
        let files = regular_files(&listing);
        ensure!(files.len() > tools.len(), "{out} holds {} files for {} tools", files.len(), tools.len());
        Ok((ours, files))
    }

    fn tar(&self, flags: &[&str], files: &[String]) -> Contender {
        let name = format!("tar {}", flags.join(" "));
        let out = self.out("tar");
        let argv = ["tar"].into_iter().chain(flags.iter().copied()).chain([out.as_str(), "-C", "/"]);
        Contender::new(&name, out.clone(), argv.chain(files.iter().map(String::as_str)))
    }
}

/// The names of regular files in `tar -tv`'s listing, without a leading slash.
fn regular_files(listing: &str) -> Vec<String> {
    let files = listing.lines().filter(|line| line.starts_with('-'));
    let names = files.filter_map(|line| {
        // mode, owner, size, date, time, and then the name
        let mut rest = line;
        for _ in 0..5 {
            rest = rest.split_once(' ')?.1.trim_start();
        }
        Some(rest.trim_start_matches("./").trim_start_matches('/'))
    });
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::regular_files;

    #[test]
    fn only_regular_files_are_listed() {
        let listing = "drwxr-xr-x 0/0               0 1970-01-01 00:00 ./usr/\n\
                       -rwxr-xr-x 0/0         1265648 1970-01-01 00:00 ./usr/bin/a b\n\
                       lrwxrwxrwx 0/0               0 1970-01-01 00:00 bin -> usr/bin\n";
        assert_eq!(regular_files(listing), ["usr/bin/a b"]);
    }
}
