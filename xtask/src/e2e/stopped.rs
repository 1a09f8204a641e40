//! Interrupted making of sysroots: nothing half made stays, no process continues, and the next run makes the sysroot.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::arm64::{self, TRIPLE};
use super::lab::Lab;
use super::mirror::Fault;
use super::provisioned::Try;
use crate::process::{Command, command, until};

/// The name of the suite's lock.
const LOCK: &str = "cache/locks/debian-bookworm-arm64";

/// The receiver of the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// The process group, as a terminal does it.
    Group,
    /// The process, as kill(1) does it.
    Process,
}

/// The step at which it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Index,
    Packages,
    Extraction,
    /// Another process has the lock.
    Waiting,
}

/// Signals at each long step, each followed by a run to the end.
pub(super) fn signals(lab: &Lab) -> Result<()> {
    let stopped = Stopped { it: Try::new(lab)?, tar: lab.file("out/rootfs.tar", "earlier")? };
    let Stopped { it, tar } = &stopped;
    for (at, signal, to) in [
        (At::Index, "INT", To::Group),
        (At::Index, "TERM", To::Process),
        (At::Packages, "INT", To::Group),
        (At::Packages, "TERM", To::Process),
        (At::Packages, "KILL", To::Process),
        (At::Extraction, "INT", To::Group),
        (At::Extraction, "TERM", To::Process),
        (At::Waiting, "INT", To::Group),
    ] {
        stopped.signal(at, signal, to).with_context(|| format!("SIG{signal} to the {to:?} at {at:?}"))?;
    }
    ensure!(!it.project.join("rootfs.lock").exists(), "a stopped run wrote the lock");
    stopped.rootfs()?.run()?;
    ensure!(fs::metadata(tar).is_ok_and(|it| it.len() > 1 << 20), "{tar} was not written");

    // With a lock, and all packages to fetch again.
    let lock = it.project.join("rootfs.lock");
    let read = || fs::read(&lock);
    let before = read()?;
    fs::write(tar, "earlier")?;
    let all = it.with(lab.rootfs(&it.project, ["sysroot", "prune", "--all"]), "cache").run()?;
    ensure!(all.stdout.contains(".deb\n"), "{}", all.report("no package was pruned"));
    stopped.signal(At::Packages, "INT", To::Group)?;
    ensure!(read()? == before, "a stopped run changed the lock");
    it.path("cache", &["--with", "bash,ls"]).run()?;
    it.with(lab.rootfs(&it.project, ["sysroot", "prune", "--all"]), "cache").run()?;
    stopped.signal(At::Index, "KILL", To::Process)
}

struct Stopped<'l> {
    it: Try<'l>,
    tar: Utf8PathBuf,
}

impl Stopped<'_> {
    fn rootfs(&self) -> Result<Command> {
        let words = ["--target", TRIPLE, "--sysroot", "debian:bookworm", "--with", "bash,ls", "--tar"];
        let rootfs = self.it.lab.rootfs(&self.it.project, words).arg(self.tar.as_str());
        Ok(self.it.with(arm64::with_compilers(rootfs)?, "cache"))
    }

    /// The apt of a killed run holds the lock of the index until it ends; the next run waits.
    fn waits_for(&self, killed: &str) -> Result<()> {
        let it = &self.it;
        ensure!(running(killed, "apt-get")? > 0, "apt has ended with the run");
        let next = it.path("cache", &["--with", "bash,ls"]).by(["setsid"]).start()?;
        let session = next.pids().first().copied().context("no process")?.to_string();
        let held = it.lab.path(LOCK);
        until("it opens the lock", || Ok(has_open(&session, &held)))?;
        // A second apt is refused at once.
        std::thread::sleep(Duration::from_secs(1));
        it.mirror.set(Fault::None);
        let output = next.wait()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "it ended with {}, and said: {said}", output.status);
        Ok(())
    }

    /// Starts it, signals it at that step, and checks its end and its files.
    fn signal(&self, at: At, signal: &str, to: To) -> Result<()> {
        let Stopped { it, tar } = self;
        let held = it.lab.path(LOCK);
        let other = match at {
            At::Waiting => Some(command(["flock", "--no-fork", held.as_str(), "sleep", "600"]).start()?),
            _ => None,
        };
        it.mirror.set(match at {
            At::Index => Fault::Stall("/Packages"),
            At::Packages => Fault::Stall(".deb"),
            At::Extraction | At::Waiting => Fault::None,
        });
        // Its process id is also the session's and the group's: cargo replaces itself by the product.
        let handle = self.rootfs()?.by(["setsid"]).start()?;
        let session = handle.pids().first().copied().context("no process")?.to_string();
        match at {
            At::Index | At::Packages => it.mirror.wait_for_stall()?,
            At::Extraction => until("it extracts", || Ok(!hidden(&it.lab.path("cache/unpacked")).is_empty()))?,
            At::Waiting => until("it opens the lock", || Ok(has_open(&session, &held)))?,
        }
        let apt = if matches!(at, At::Index | At::Packages) { running(&session, "apt-get")? } else { 0 };
        ensure!(apt > 0 || !matches!(at, At::Index | At::Packages), "apt does not run");
        let whom = if to == To::Group { format!("-{session}") } else { session.clone() };
        command(["kill", "-s", signal, "--", &whom]).run()?;
        // The mirror stalls during the test: a run that did not stop would run for ever.
        until("it stops", || Ok(handle.try_wait()?.is_some()))?;
        let output = handle.wait()?;
        if let Some(other) = other {
            ensure!(other.try_wait()?.is_none(), "who had the lock ended first");
            other.kill()?;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if signal == "KILL" && at == At::Index {
            self.waits_for(&session)?;
        }
        it.mirror.set(Fault::None);
        if signal == "KILL" {
            // Nothing cleans up after SIGKILL; the rest must only not disturb the next run.
            until("apt ends", || Ok(running(&session, "")? == 0))?;
            return Ok(());
        }
        ensure!(output.status.code() == Some(130), "it ended with {}, and said: {said}", output.status);
        ensure!(said.contains("interrupted"), "it does not say that it was interrupted: {said}");
        until("all its processes end", || Ok(running(&session, "")? == 0))?;
        for place in ["cache/sysroots", "cache/debs", "cache/unpacked"] {
            let left: Vec<_> = hidden(&it.lab.path(place));
            ensure!(left.is_empty(), "it left {left:?} in {place}");
        }
        let left: Vec<_> = hidden(&it.project).into_iter().filter(|name| name.contains("lock")).collect();
        ensure!(left.is_empty(), "it left {left:?} beside the lock");
        command(["flock", "--nonblock", held.as_str(), "true"]).run()?;
        ensure!(fs::read_to_string(tar).is_ok_and(|text| text == "earlier"), "{tar} is not the earlier one");
        let beside = it.lab.path("out").read_dir_utf8().context("read the output's folder")?.count();
        ensure!(beside == 1, "it left something beside {tar}");
        Ok(())
    }
}

/// Names that begin with a dot.
fn hidden(folder: &Utf8Path) -> Vec<String> {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_owned()).filter(|name| name.starts_with('.')).collect()
}

/// The number of the session's processes whose name contains `name`.
fn running(session: &str, name: &str) -> Result<usize> {
    let processes = fs::read_dir("/proc")?.flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    let is_one = |stat: &str| {
        // `pid (name) state ppid pgrp session ...` (proc(5)); a name may contain any character.
        let (head, rest) = stat.rsplit_once(')')?;
        let mut words = rest.split_whitespace();
        let (state, of) = (words.next()?, words.nth(2)?);
        // A zombie does nothing.
        Some(of == session && state != "Z" && head.contains(name))
    };
    Ok(stats.filter(|stat| is_one(stat) == Some(true)).count())
}

/// Returns whether the process has the file open.
fn has_open(process: &str, file: &Utf8Path) -> bool {
    let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|to| to == file.as_std_path())
}
