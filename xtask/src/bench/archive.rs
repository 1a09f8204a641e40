//! A tar of tools, against GNU tar with a given list of files, a shell script, and elfpak. Each side writes a new file
//! on the same disk.

use anyhow::{Result, ensure};

use super::measure::{self, Contender, Measured};
use super::table::{Row, Table, Unit};
use super::{Bench, large_tools};
use crate::host;
use crate::process::command;
use crate::stage::{cannot, need};

/// A shell script as a careful person writes it.
const CAREFUL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/careful.sh");

pub(super) fn small(bench: &Bench, table: &mut Table) -> Result<()> {
    need("tar")?;
    let work = "bash and ls to a tar";
    let ours = bench.tar(&["/usr/bin/bash", "/usr/bin/ls"]);
    let tar = gnu_tar(bench, &["-chf"], &regular_files(bench, &ours)?);
    let (out, leaves) = bench.file("script.tar");
    let script = Contender::new("careful shell script", leaves, ["sh", CAREFUL, &out, "bash", "ls"]);
    let [a, b] = measure::interleaved([&ours, &tar], bench.rounds(31, 101))?;
    table.push(Row::new(work, &tar.name, a, b, Unit::Time, 0.8));
    let [a, b] = measure::interleaved([&ours, &script], bench.rounds(5, 21))?;
    table.push(Row::new(work, &script.name, a, b, Unit::Time, 0.25));
    Ok(())
}

pub(super) fn large(bench: &Bench, table: &mut Table) -> Result<()> {
    need("tar")?;
    need("time")?;
    let tools = large_tools()?;
    let ours = bench.tar(&tools);
    let files = regular_files(bench, &ours)?;
    let size: u64 = files.iter().filter_map(|file| std::fs::metadata(format!("/{file}")).ok()).map(|m| m.len()).sum();
    let work = format!("{} large tools to a tar, {} files, {} MB", tools.len(), files.len(), size / 1_000_000);
    let default = gnu_tar(bench, &["-cf"], &files);
    let blocked = gnu_tar(bench, &["-b", "2048", "-cf"], &files);
    let [a, b, c] = measure::interleaved([&ours, &default, &blocked], bench.rounds(5, 9))?;
    table.push(Row::new(&work, &default.name, a, b, Unit::Time, 0.6));
    table.push(Row::new(&work, &blocked.name, a, c, Unit::Time, 1.05));
    let peak = measure::peak_memory(&ours)?;
    table.push(Row::new(&work, "16 MiB", peak, Measured::exactly(16.0 * 1024.0 * 1024.0), Unit::Memory, 1.0));
    Ok(())
}

pub(super) fn large_by_elfpak(bench: &Bench, table: &mut Table) -> Result<()> {
    let elfpak = host::elfpak();
    if !elfpak.exists() {
        return cannot(format!("no {elfpak}: run `cargo xtask setup --all`"));
    }
    let tools = large_tools()?;
    let (archive, leaves) = bench.file("ours.oci.tar");
    let archive = bench.tools(&tools, ["--oci-archive", &archive], leaves).with(["--compression", "none"]);
    // elfpak requires an entrypoint for an image of several programs.
    let entrypoint: &[&str] = &["--entrypoint", "/bash"];
    for (work, ours, flag, more, reach) in [
        ("a tar", bench.tar(&tools), "--tar", &[][..], 0.15),
        ("an archive of a layout, none", archive, "--oci-archive", entrypoint, 0.3),
    ] {
        let (out, leaves) = bench.file("elfpak.tar");
        // Without elfpak's manifest: our side writes none either.
        let argv = [elfpak.as_str(), "bundle", "--quiet", "--no-config", "--no-manifest", flag, &out];
        let name = format!("elfpak bundle {flag}");
        let elfpak = Contender::new(&name, leaves, argv.into_iter().chain(more.iter().chain(&tools).copied()));
        elfpak.check()?;
        let [a, b] = measure::interleaved([&ours, &elfpak], bench.rounds(2, 5))?;
        let work = format!("{} large tools to {work}", tools.len());
        table.push(Row::new(&work, &elfpak.name, a, b, Unit::Time, reach));
    }
    Ok(())
}

/// The cost of records, licences and `--runtime auto`: bash and ls with the defaults, and without them.
pub(super) fn told(bench: &Bench, table: &mut Table) -> Result<()> {
    let (out, leaves) = bench.file("ours.tar");
    let bill = bench.dir.join("ours.spdx.json");
    let argv = [bench.ours.as_str(), "rootfs", "--quiet", "--tools-only", "--with", "bash,ls", "--tar", &out];
    let with =
        |words: &[&str]| Contender::new("cargo rootfs", leaves.clone(), argv.into_iter().chain(words.iter().copied()));
    let none = with(&["--records", "none", "--licenses", "none"]);
    let (default, all) = (with(&[]), with(&["--sbom", &format!("spdx={bill}")]));
    let [a, b, c] = measure::interleaved([&default, &all, &none], bench.rounds(31, 101))?;
    let peer = "itself without both";
    table.push(Row::new("bash and ls, with records and licences", peer, a, c, Unit::Time, 1.05));
    table.push(Row::new("bash and ls, with records, licences and SBOM", peer, b, c, Unit::Time, 1.05));
    let _ = std::fs::remove_file(bill);
    Ok(())
}

/// GNU tar of `files`.
fn gnu_tar(bench: &Bench, flags: &[&str], files: &[String]) -> Contender {
    let (out, leaves) = bench.file("tar.tar");
    let argv = ["tar"].into_iter().chain(flags.iter().copied()).chain([out.as_str(), "-C", "/"]);
    let name = format!("`tar {}` of the known list", flags.join(" "));
    Contender::new(&name, leaves, argv.chain(files.iter().map(String::as_str)))
}

/// The regular files that `ours` packs: the list that peers are given.
fn regular_files(bench: &Bench, ours: &Contender) -> Result<Vec<String>> {
    ours.check()?;
    let (out, _) = bench.file("ours.tar");
    let listing = command(["tar", "-tvf", &out]).run()?.stdout;
    ours.clear()?;
    let files = listed(&listing);
    ensure!(files.len() > 2, "{out} holds {} files", files.len());
    Ok(files)
}

/// The names of regular files in `tar -tv`'s listing, without a leading slash.
fn listed(listing: &str) -> Vec<String> {
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
    use super::listed;

    #[test]
    fn only_regular_files_are_listed() {
        let listing = "drwxr-xr-x 0/0               0 1970-01-01 00:00 ./usr/\n\
                       -rwxr-xr-x 0/0         1265648 1970-01-01 00:00 ./usr/bin/a b\n\
                       lrwxrwxrwx 0/0               0 1970-01-01 00:00 bin -> usr/bin\n";
        assert_eq!(listed(listing), ["usr/bin/a b"]);
    }
}
