//! Packs tools by their names alone, and does a real job with each in the result. Tools and jobs are data, in `rows/`;
//! two other packers can do the same rows for comparison.

mod aside;
mod packer;
mod room;
mod row;
pub(crate) mod sample;
mod servers;
mod union;

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::parallel::in_parallel;
use crate::stage::{Tier, cannot, need};
use crate::{e2e, host, made, packed, readers};
pub(crate) use packer::size;
use packer::{Packer, Sysroot};
use row::{Row, Step};
pub(crate) use servers::AUTHORITY;
use servers::Servers;

/// The packer of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Ours,
    /// Ours, from sysroots that it makes itself.
    Provisioned,
    /// Ours, without the rules that name tools.
    OursWithoutRules,
    OursAndPeers,
}

/// The Debian packages of the rows: for this machine's architecture, and for arm64.
pub(crate) fn packages() -> Result<[Vec<String>; 2]> {
    let rows = row::all()?;
    let of = |rows: &mut dyn Iterator<Item = &Row>| {
        let mut packages: Vec<String> = rows.flat_map(|row| row.packages.as_slice().to_vec()).collect();
        packages.sort();
        packages.dedup();
        packages
    };
    Ok([of(&mut rows.iter()), of(&mut rows.iter().filter(|row| row.arm64))])
}

/// The packed tools of each row: tools, sysroot, triple.
pub(crate) fn packed() -> Result<Vec<(String, Utf8PathBuf, &'static str)>> {
    let rows = row::all()?;
    let (sysroot, arm64) = (packed::open(host::sysroot_tools())?, packed::open(host::sysroot_tools_arm64())?);
    let native = rows.iter().map(|row| (row.tools.clone(), sysroot.clone(), "x86_64-unknown-linux-gnu"));
    let foreign = rows.iter().filter(|row| row.arm64);
    let foreign = foreign.map(|row| (row.tools.clone(), arm64.clone(), "aarch64-unknown-linux-gnu"));
    Ok(native.chain(foreign).collect())
}

/// A row with a packer and a sysroot.
struct Task<'r> {
    row: &'r Row,
    packer: Packer,
    sysroot: &'r Sysroot,
}

/// The result of a task.
struct Verdict {
    failed: Option<String>,
    bytes: u64,
    seconds: f64,
}

/// Runs `cargo xtask tools [--quick | --peers | --provisioned] [FILTER]`: FILTER is a part of a tool's name or kind.
/// The quick rows take this machine's tools, and talk to no peer.
pub(crate) fn run(tier: Tier, by: By, filter: &str) -> Result<()> {
    if !host::is_root() {
        return cannot("the table's roots are entered by root alone");
    }
    ["unshare", "script", "timeout"].into_iter().try_for_each(need)?;
    let rows = row::all()?;
    let chosen = rows.iter().filter(|row| row.tools.contains(filter) || row.kind.contains(filter));
    let chosen: Vec<&Row> = chosen.filter(|row| row.quick || tier == Tier::Full).collect();
    ensure!(!chosen.is_empty(), "no row has `{filter}` in its name or kind");
    let (dir, dir_arm64) = match tier {
        Tier::Quick => ("/".into(), host::sysroot_arm64()),
        Tier::Full => (packed::open(host::sysroot_tools())?, packed::open(host::sysroot_tools_arm64())?),
    };
    let native = made(Sysroot { dir, triple: "x86_64-unknown-linux-gnu" })?;
    let arm64 = made(Sysroot { dir: dir_arm64, triple: "aarch64-unknown-linux-gnu" })?;
    e2e::can_run_arm64()?;
    let packers = match by {
        By::Ours => vec![Packer::Ours],
        By::Provisioned => vec![Packer::Provisioned],
        By::OursWithoutRules => vec![Packer::OursWithoutRules],
        By::OursAndPeers if host::elfpak().exists() => vec![Packer::Ours, Packer::Elfpak, Packer::LddScript],
        By::OursAndPeers => return cannot("elfpak is not installed: run `cargo xtask setup --all`"),
    };
    let ours = made::program(tier)?;
    if by == By::OursWithoutRules {
        aside::make()?;
    }

    let servers = if tier == Tier::Full { Servers::start(&native.dir)? } else { Servers::default() };
    let with = |packer, sysroot| chosen.iter().map(move |row| Task { row, packer, sysroot });
    let mut tasks: Vec<Task<'_>> = packers.iter().flat_map(|packer| with(*packer, &native)).collect();
    tasks.extend(with(packers[0], &arm64).filter(|task| task.row.arm64));
    let verdicts = in_parallel(&tasks, |task| Ok(done(task, &ours, &servers)))?;
    if by == By::Provisioned {
        // Removes hundreds of sysroots; their packages stay.
        let _ = fs::remove_dir_all(host::packages().join("sysroots"));
    }
    tell(&tasks, &verdicts)
}

fn made(sysroot: Sysroot) -> Result<Sysroot> {
    if sysroot.dir.join("usr/bin").exists() {
        return Ok(sysroot);
    }
    cannot(format!("no {}: run `cargo xtask setup --all`", sysroot.dir))
}

/// Packs a row's tools, and does its job.
fn done(task: &Task<'_>, ours: &Utf8Path, servers: &Servers) -> Verdict {
    let started = Instant::now();
    let mut bytes = 0;
    let failed = job(task, ours, servers, &mut bytes).err().map(|error| format!("{error:#}"));
    let verdict = Verdict { failed, bytes, seconds: started.elapsed().as_secs_f64() };
    let (name, seconds) = (title(task), verdict.seconds);
    let size = format!("{:.1} MB", bytes as f64 / 1e6);
    match &verdict.failed {
        None => println!("  works   {name} ({size}, {seconds:.1} s)"),
        Some(why) if task.packer.is_ours() => println!("  FAILED  {name} ({size}, {seconds:.1} s): {why}"),
        Some(why) => println!("  fails   {name} ({size}): {}", why.lines().next().unwrap_or_default()),
    }
    verdict
}

fn job(task: &Task<'_>, ours: &Utf8Path, servers: &Servers, bytes: &mut u64) -> Result<()> {
    let temp = camino_tempfile::Builder::new().prefix("cargo-rootfs-tools.").tempdir()?;
    let folder = temp.path();
    // Users of the root must be able to enter.
    open_up(folder, 0o755)?;
    let root = folder.join("root");
    let said = task.packer.pack(ours, task.row, task.sysroot, &root)?;
    *bytes = size(&root)?;
    if task.packer == Packer::Ours {
        readers::packages(&root, &task.sysroot.dir).context("the records of packages")?;
        let layout = root.with_extension("layout");
        union::check(&layout, &root).context("the layers of its image")?;
        fs::remove_dir_all(&layout)?;
    }
    room::prepare(&root)?;
    if task.packer == Packer::Provisioned {
        servers.trust(&root)?;
    }
    for (path, text) in &task.row.files {
        put(&root, path, &servers.named(text))?;
    }
    for step in &task.row.steps {
        let step = named(step, servers);
        let ended = room::run(&root, &step)?;
        if let Some(why) = judged(&step, &ended) {
            bail!("{why}{}", report(&step, &ended, &said));
        }
    }
    Ok(())
}

/// Writes a file of the user's: a script is executable, and a file in a home belongs to that user.
fn put(root: &Utf8Path, path: &str, text: &str) -> Result<()> {
    let file = root.join(path.trim_start_matches('/'));
    let folder = file.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(&file, text)?;
    let mode = match (text.starts_with("#!"), path.starts_with("/root/")) {
        (true, _) => 0o755,
        (false, true) => 0o600,
        (false, false) => 0o644,
    };
    open_up(&file, mode)
}

fn open_up(path: &Utf8Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

/// The step with the peers' ports.
fn named(step: &Step, servers: &Servers) -> Step {
    let run = step.run.iter().map(|word| servers.named(word)).collect();
    let env = step.env.iter().map(|(name, value)| (name.clone(), servers.named(value))).collect();
    let says = step.says.iter().map(|word| servers.named(word)).collect();
    Step { run, env, says, stdin: servers.named(&step.stdin), ..step.clone() }
}

/// The fault of a step's end, if any.
fn judged(step: &Step, ended: &Output) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&ended.stdout), text(&ended.stderr));
    let lacks = |what: &str, said: &str, words: &[String]| {
        words.iter().find(|word| !said.contains(word.as_str())).map(|word| format!("`{word}` is not on {what}"))
    };
    if ended.status.code() != Some(step.status) {
        return Some(format!("ended with {}, expected {}", ended.status, step.status));
    }
    match &step.is {
        Some(expected) if stdout.trim() != expected.trim() => Some(format!("stdout is not `{}`", expected.trim())),
        _ => lacks("stdout", &stdout, &step.says).or_else(|| lacks("stderr", &stderr, &step.tells)),
    }
}

fn report(step: &Step, ended: &Output, said: &str) -> String {
    let mut report = format!("\n      $ {}", step.run.join(" "));
    for (name, bytes) in [("stdout", &ended.stdout[..]), ("stderr", &ended.stderr), ("packing", said.as_bytes())] {
        for line in String::from_utf8_lossy(bytes).lines().take(20) {
            // Writing to a string does not fail.
            let _ = write!(report, "\n      {name} | {line}");
        }
    }
    report
}

fn title(task: &Task<'_>) -> String {
    let arm64 = if task.sysroot.triple.starts_with("aarch64") { ", arm64" } else { "" };
    format!("{} by {}{arm64}", task.row.tools, task.packer.name())
}

/// Prints the number of each kind that works, and fails if one of ours does not.
fn tell(tasks: &[Task<'_>], verdicts: &[Verdict]) -> Result<()> {
    let all: Vec<(&Task<'_>, &Verdict)> = tasks.iter().zip(verdicts).collect();
    let columns = [
        ("cargo rootfs", Packer::Ours, "x86_64"),
        ("the same, arm64", Packer::Ours, "aarch64"),
        ("rules put aside", Packer::OursWithoutRules, "x86_64"),
        ("provisioned", Packer::Provisioned, "x86_64"),
        ("the same, arm64", Packer::Provisioned, "aarch64"),
        ("elfpak", Packer::Elfpak, "x86_64"),
        ("ldd script", Packer::LddScript, "x86_64"),
    ];
    let score = |(_, packer, machine): &(&str, Packer, &str), kind: Option<&str>| {
        let of = all.iter().filter(|(task, _)| {
            let is_kind = kind.is_none_or(|kind| task.row.kind == kind);
            is_kind && task.packer == *packer && task.sysroot.triple.starts_with(machine)
        });
        let works: Vec<bool> = of.map(|(_, verdict)| verdict.failed.is_none()).collect();
        match works.len() {
            0 => String::new(),
            rows => format!("{} of {rows}", works.iter().filter(|works| **works).count()),
        }
    };
    let mut kinds: Vec<&str> = tasks.iter().map(|task| task.row.kind).collect();
    kinds.dedup();
    let known: Vec<&str> = std::mem::take(&mut kinds).into_iter().fold(Vec::new(), |mut known, kind| {
        if !known.contains(&kind) {
            known.push(kind);
        }
        known
    });
    println!("\n| tools | {} |", columns.map(|column| column.0).join(" | "));
    println!("| --- |{}", " ---: |".repeat(columns.len()));
    for kind in known {
        println!("| {kind} | {} |", columns.each_ref().map(|column| score(column, Some(kind))).join(" | "));
    }
    println!("| together | {} |", columns.each_ref().map(|column| score(column, None)).join(" | "));
    let megabytes: f64 = all.iter().map(|(_, verdict)| verdict.bytes as f64 / 1e6).sum();
    let slowest = all.iter().map(|(_, verdict)| verdict.seconds).fold(0.0, f64::max);
    println!("\n  {megabytes:.0} MB were packed in all; the slowest row took {slowest:.1} s");

    let failed = all.iter().filter(|(task, verdict)| task.packer.is_ours() && verdict.failed.is_some());
    let failed: Vec<String> = failed.map(|(task, _)| title(task)).collect();
    if tasks.iter().any(|task| task.packer == Packer::OursWithoutRules) {
        // Up to a tenth may fail: rules exist for these.
        ensure!(
            failed.len() * 10 <= tasks.len(),
            "{} of {} rows fail: {}",
            failed.len(),
            tasks.len(),
            failed.join("; ")
        );
        return Ok(());
    }
    ensure!(failed.is_empty(), "{} of our rows failed: {}", failed.len(), failed.join("; "));
    Ok(())
}
