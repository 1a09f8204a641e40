//! `cargo rootfs tree` against libtree, and its JSON against its text. Both sides write to /dev/null.

use std::path::Path;

use anyhow::{Result, ensure};

use super::measure::{self, Contender, Leaves, Measured};
use super::table::{Row, Table, Unit};
use super::{Bench, large_tools};
use crate::differential::header;
use crate::stage::need;

/// All paths, and the objects that libtree leaves out by default, with their own needs: our tree always shows them.
const LIBTREE: [&str; 2] = ["libtree", "-pvv"];

/// The ratio to libtree's time that fails the run. Our side reads ahead on a second core, which is half a core on some
/// machines, and which other processes may use.
const GUARD: f64 = 0.75;

pub(super) fn of_the_system(bench: &Bench, table: &mut Table) -> Result<()> {
    need("libtree")?;
    need("time")?;
    let files = ["/usr/bin/bash", "/usr/bin/ls"];
    let [ours, libtree] = contenders(bench, &files)?;
    let [a, b] = measure::interleaved([&ours, &libtree], bench.rounds(51, 301))?;
    // The start of a dynamic executable and the definition of options take 1 ms of 2.4.
    table.push(Row::new("tree of bash and ls", &libtree.name, a, b, Unit::Time, 2.0));

    let files = programs()?;
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let work = format!("tree of all of /usr/bin and /usr/sbin, {} files", files.len());
    let [ours, libtree] = contenders(bench, &files)?;
    let json = bench.tree("cargo rootfs", &[&["--message-format", "json"], &files[..]].concat());
    let lines = json.check()?.stdout.lines().filter(|line| line.starts_with("{\"reason\":\"closure\"")).count();
    ensure!(lines == files.len(), "{lines} lines of JSON for {} files", files.len());
    let [a, b, c] = measure::interleaved([&ours, &libtree, &json], bench.rounds(9, 41))?;
    table.push(Row::new(&work, &libtree.name, a, b, Unit::Time, 0.2).guarded(GUARD));
    table.push(Row::new(&format!("{work}, as JSON"), "itself as text", c, a, Unit::Time, 1.2));
    let peak = measure::peak_memory(&ours)?;
    table.push(Row::new(&work, "32 MiB", peak, Measured::exactly(32.0 * 1024.0 * 1024.0), Unit::Memory, 1.0));
    Ok(())
}

pub(super) fn of_large_tools(bench: &Bench, table: &mut Table) -> Result<()> {
    need("libtree")?;
    let tools = large_tools()?;
    let [ours, libtree] = contenders(bench, &tools)?;
    let [a, b] = measure::interleaved([&ours, &libtree], bench.rounds(15, 61))?;
    let work = format!("tree of {} large tools", tools.len());
    table.push(Row::new(&work, &libtree.name, a, b, Unit::Time, 0.2).guarded(GUARD));
    Ok(())
}

/// Both sides of a tree. Each answers for every file.
fn contenders(bench: &Bench, files: &[&str]) -> Result<[Contender; 2]> {
    let argv = LIBTREE.into_iter().chain(files.iter().copied());
    let libtree = Contender::new(&LIBTREE.join(" "), Leaves::Nothing, argv);
    let both = [bench.tree("cargo rootfs", files), libtree];
    for contender in &both {
        let said = contender.check()?.stdout;
        for file in files {
            ensure!(said.lines().any(|line| line.trim_end() == *file), "{} does not answer for {file}", contender.name);
        }
    }
    Ok(both)
}

/// The dynamic ELF files of the program directories, without links to them.
fn programs() -> Result<Vec<String>> {
    let folders = ["/usr/bin", "/usr/sbin"];
    let files: Vec<_> = folders.iter().flat_map(|folder| header::walk(Path::new(folder), &|_| true)).collect();
    let files = header::dynamic(&files)?;
    Ok(files.into_iter().filter_map(|file| Some(file.path.to_str()?.to_owned())).collect())
}
