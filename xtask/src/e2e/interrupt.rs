//! An interrupted write: the earlier output stays, and no other file is left beside it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::lab::Lab;
use super::tarball;
use crate::host;
use crate::process::{Command, command, until};
use crate::stage::cannot;

/// Bytes written before the signal: past any header, far from the end.
const MIDDLE: u64 = 64 << 20;

/// SIGINT and SIGKILL, for a tar and for a directory.
pub(super) fn signals(lab: &Lab) -> Result<()> {
    let out = lab.folder("out")?;
    let big = big_file(lab)?;
    let (tar, dir) = (out.join("rootfs.tar"), out.join("rootfs"));
    lab.tools(["--with", "ls", "--tar", tar.as_str(), "--dir", dir.as_str()]).run()?;
    let include = format!("{big}:/big");
    for output in [["--tar", tar.as_str()], ["--dir", dir.as_str()]] {
        for signal in ["INT", "TERM", "KILL"] {
            let tools = lab.tools(["--with", "ls", "--include", &include]).args(output);
            killed(&tools, signal, &out).with_context(|| format!("SIG{signal} while {} is written", output[0]))?;
        }
    }
    ensure!(tarball::list(&tar)?.iter().all(|entry| entry.path != "/big"), "{tar} is not the earlier one");
    ensure!(!dir.join("big").exists() && dir.join("usr/bin/ls").exists(), "{dir} is not the earlier one");
    Ok(())
}

/// Starts it, signals it in the middle of its write, and checks the files in `out`.
fn killed(tools: &Command, signal: &str, out: &Utf8Path) -> Result<()> {
    let before = names(out)?;
    let (handle, pid) = started(tools)?;
    command(["kill", "-s", signal, &pid]).run()?;
    let status = handle.wait()?.status;
    ensure!(!status.success(), "it ended with {status}");
    let after = names(out)?;
    if signal == "KILL" {
        // Nothing cleans up after SIGKILL: at most one file is left, without an output's name.
        let left: Vec<_> = after.difference(&before).collect();
        ensure!(left.len() <= 1, "it left {left:?}");
        for name in left {
            let path = out.join(name);
            command(["rm", "-rf", path.as_str()]).run()?;
        }
        return Ok(());
    }
    ensure!(after == before, "it left {:?}", after.difference(&before).collect::<Vec<_>>());
    Ok(())
}

/// Starts it, and returns in the middle of its write with its process id.
fn started(tools: &Command) -> Result<(duct::Handle, String)> {
    let handle = tools.start()?;
    let pid = handle.pids().first().copied().context("no process")?.to_string();
    until("it is in the middle of its write", || {
        let ended = handle.try_wait()?;
        let said = ended.map(|output| (output.status, String::from_utf8_lossy(&output.stderr).into_owned()));
        ensure!(said.is_none(), "it ended early: {said:?}");
        Ok(written(&pid) >= MIDDLE)
    })?;
    Ok((handle, pid))
}

/// An input that gets shorter or longer while it is read fails the run.
pub(super) fn changed_input(lab: &Lab) -> Result<()> {
    let tar = lab.file("out/rootfs.tar", "earlier")?;
    let before = names(&lab.path("out"))?;
    for size in [900 << 20, 1200 << 20] {
        let big = big_file(lab)?;
        let tools = lab.tools(["--with", "ls", "--include", &format!("{big}:/big"), "--tar", tar.as_str()]);
        let (handle, _) = started(&tools)?;
        fs::File::options().write(true).open(&big).and_then(|file| file.set_len(size)).context("change the file")?;
        let output = handle.wait()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "it ended with {}, and said: {said}", output.status);
        ensure!(said.contains("changed") && said.contains(big.as_str()), "it does not say what changed: {said}");
        ensure!(fs::read_to_string(&tar).is_ok_and(|text| text == "earlier"), "the earlier {tar} is gone");
        ensure!(names(&lab.path("out"))? == before, "it left {:?}", names(&lab.path("out"))?);
    }
    Ok(())
}

/// A sparse file: read as 1 GiB of zeros, it takes long to write and no disk space.
fn big_file(lab: &Lab) -> Result<Utf8PathBuf> {
    let big = lab.file("big", "")?;
    fs::File::options().write(true).open(&big).and_then(|file| file.set_len(1 << 30)).context("make a big file")?;
    Ok(big)
}

/// `--tar -` into a pipe whose reader exits: exit 1 with a message, and no panic.
pub(super) fn closed_pipe(lab: &Lab) -> Result<()> {
    let tools = format!("{} rootfs --tools-only --with bash --tar -", lab.path("bin/cargo-rootfs"));
    let script = format!("set -o pipefail; {tools} | head -c 100 >/dev/null");
    let done = command(["bash", "-c", &script]).fail(&[1])?;
    ensure!(!done.stderr.contains("panicked"), "{}", done.report("it panicked"));
    done.says(&["standard output"])
}

/// Bytes that the process wrote, from proc(5): the count of write(2), or the furthest offset of its files. `wchar` does
/// not count splice(2).
fn written(pid: &str) -> u64 {
    let proc = Utf8PathBuf::from("/proc").join(pid);
    let count = |text: &str, name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let given = fs::read_to_string(proc.join("io")).ok().and_then(|io| count(&io, "wchar:"));
    let files = proc.join("fdinfo").read_dir_utf8().into_iter().flatten().flatten();
    let places = files.filter_map(|file| count(&fs::read_to_string(file.path()).ok()?, "pos:"));
    places.chain(given).max().unwrap_or(0)
}

fn names(dir: &Utf8Path) -> Result<BTreeSet<String>> {
    let entries = dir.read_dir_utf8().with_context(|| format!("read {dir}"))?;
    entries.map(|entry| Ok(entry?.file_name().to_owned())).collect()
}

/// A full file system: an error that says so, and the earlier output unchanged.
pub(super) fn full_disk(lab: &Lab) -> Result<()> {
    if !host::is_root() {
        return cannot("only root can mount a small file system");
    }
    let disk = lab.folder("disk")?;
    command(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk.as_str()]).run()?;
    let done = on_full_disk(lab, &disk);
    command(["umount", disk.as_str()]).run()?;
    done
}

fn on_full_disk(lab: &Lab, disk: &Utf8Path) -> Result<()> {
    let (tar, dir) = (disk.join("rootfs.tar"), disk.join("rootfs"));
    fs::write(&tar, "earlier")?;
    let before = names(disk)?;
    for output in [["--tar", tar.as_str()], ["--dir", dir.as_str()]] {
        lab.tools(["--with", "bash,ls"]).args(output).fail(&[1])?.says(&["no space left", output[1]])?;
        ensure!(names(disk)? == before, "it left {:?}", names(disk)?);
        ensure!(fs::read_to_string(&tar).is_ok_and(|text| text == "earlier"), "the earlier {tar} is gone");
    }
    // Of two outputs one fails: neither appears.
    let good = lab.path("good.tar");
    lab.tools(["--with", "bash,ls", "--tar", good.as_str(), "--dir", dir.as_str()]).fail(&[1])?;
    ensure!(!good.exists(), "{good} was put under its name though {dir} failed");
    Ok(())
}
