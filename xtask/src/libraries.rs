//! Rust programs that are each linked with a native library which opens data, plugins or helpers. Packed by its name
//! alone, each does its job in a chroot as it does here, or with the options that the run suggests.
//!
//! The programs are data, in `libraries/rows.toml`; `setup` installs their libraries.

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::Deserialize;

use crate::parallel::in_parallel;
use crate::process::command;
use crate::stage::{Tier, cannot, need};
use crate::{host, made, setup, tools};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
}

/// A program and its library.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// The Debian packages of the library, and of the files that it opens.
    packages: Vec<String>,
    /// File names of libraries, as `-l:` of ld takes them.
    link: Vec<String>,
    /// True if it runs in the long tier, not only on demand.
    #[serde(default)]
    quick: bool,
    /// True if it also runs for aarch64, in the emulator.
    #[serde(default)]
    arm64: bool,
    /// The options that the run must suggest: without them the program fails, with them it works.
    #[serde(default)]
    suggested: Vec<String>,
    source: String,
}

fn rows() -> Result<Vec<Row>> {
    Ok(toml::from_str::<Table>(include_str!("libraries/rows.toml")).context("read libraries/rows.toml")?.row)
}

/// The Debian packages that the rows of the long tier need.
pub(crate) fn packages() -> Result<Vec<String>> {
    Ok(packages_of(&rows()?.into_iter().filter(|row| row.quick).collect::<Vec<_>>()))
}

fn packages_of(rows: &[Row]) -> Vec<String> {
    let mut packages: Vec<String> = rows.iter().flat_map(|row| row.packages.iter().cloned()).collect();
    packages.sort();
    packages.dedup();
    packages
}

/// Runs `cargo xtask libraries [--quick] [FILTER]`: FILTER is a part of a row's name. Rows outside of the tiers install
/// their own needs.
pub(crate) fn run(tier: Tier, filter: &str) -> Result<()> {
    if !host::is_root() {
        return cannot("roots are entered by root alone");
    }
    let chosen = rows()?.into_iter().filter(|row| row.name.contains(filter) && (row.quick || tier == Tier::Full));
    let chosen: Vec<Row> = chosen.collect();
    ensure!(!chosen.is_empty(), "no row has `{filter}` in its name");
    if tier == Tier::Full {
        setup::install(&packages_of(&chosen))?;
    }
    report(&chosen, job)
}

/// Does the jobs of rows, and prints a line for each.
fn report(chosen: &[Row], job: impl Fn(&Row, &Utf8Path, &Utf8Path) -> Result<u64> + Sync) -> Result<()> {
    let ours = made::program(Tier::Full)?;
    let folder = host::cache_dir().join(format!("libraries-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = in_parallel(chosen, |row| Ok(job(row, &ours, &folder)))?;
    fs::remove_dir_all(&folder)?;
    let mut failed = Vec::new();
    for (row, done) in chosen.iter().zip(done) {
        match done {
            Ok(bytes) => println!("ok    {:<14} {:>7.1} MB", row.name, bytes as f64 / 1e6),
            Err(error) => {
                println!("FAIL  {:<14} {error:#}", row.name);
                failed.push(row.name.as_str());
            }
        }
    }
    println!("{} of {} programs do their jobs", chosen.len() - failed.len(), chosen.len());
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// Runs `cargo xtask libraries --aarch64 [FILTER]`: the same for aarch64, cross-compiled and with a sysroot that is made of
/// Debian's packages. The programs print the same as on this machine.
pub(crate) fn run_arm64(filter: &str) -> Result<()> {
    if !host::is_root() {
        return cannot("roots are entered by root alone");
    }
    need("aarch64-linux-gnu-gcc")?;
    need("qemu-aarch64-static")?;
    let chosen: Vec<Row> = rows()?.into_iter().filter(|row| row.name.contains(filter) && row.arm64).collect();
    ensure!(!chosen.is_empty(), "no row for aarch64 has `{filter}` in its name");
    setup::install(&packages_of(&chosen))?;
    report(&chosen, job_arm64)
}

/// Compiles a row's program, packs it, and compares its output in the rootfs with its output here. Returns the size of
/// the rootfs.
fn job(row: &Row, ours: &Utf8Path, folder: &Utf8Path) -> Result<u64> {
    let program = compile(row, folder.join(&row.name), "rustc", &[])?;
    let here = command([program.as_str()]).run().context("run it here")?.stdout;
    compare(row, &here, &program, &[], ours, folder)
}

fn job_arm64(row: &Row, ours: &Utf8Path, folder: &Utf8Path) -> Result<u64> {
    let native = compile(row, folder.join(format!("{}-here", row.name)), "rustc", &[])?;
    let here = command([native.as_str()]).run().context("run it here")?.stdout;
    let given = ["--sysroot", "debian:bookworm", "--target", "aarch64-unknown-linux-gnu"];
    let packages = row.packages.join(",");
    let path = command([ours.as_str(), "rootfs", "sysroot", "path", "--tools-only"]).args(given);
    let sysroot = path.args(["--with-package", &packages]).run()?.stdout;
    let libraries = format!("{}/usr/lib/aarch64-linux-gnu", sysroot.trim());
    let options = [
        "--target=aarch64-unknown-linux-gnu",
        "-Clinker=aarch64-linux-gnu-gcc",
        &format!("-Clink-arg=-L{libraries}"),
        &format!("-Clink-arg=-Wl,-rpath-link,{libraries}"),
    ];
    let program = compile(row, folder.join(&row.name), made::debian_rustc()?.as_str(), &options)?;
    compare(row, &here, &program, &given, ours, folder)
}

/// Compiles a row's program, linked with its libraries.
fn compile(row: &Row, program: Utf8PathBuf, rustc: &str, options: &[&str]) -> Result<Utf8PathBuf> {
    let source = program.with_extension("rs");
    fs::write(&source, &row.source)?;
    let link = row.link.iter().map(|name| format!("-Clink-arg=-l:{name}"));
    let rustc = command([rustc, "--edition", "2021", "--cap-lints", "allow", "-o", program.as_str(), source.as_str()]);
    let rustc = rustc.args(options.iter().copied()).args(link);
    rustc.run().with_context(|| format!("compile it; {} may be missing", row.packages.join(", ")))?;
    Ok(program)
}

/// Packs a program, and compares its output in the rootfs with `here`.
fn compare(
    row: &Row,
    here: &str,
    program: &Utf8Path,
    options: &[&str],
    ours: &Utf8Path,
    folder: &Utf8Path,
) -> Result<u64> {
    ensure!(!here.trim().is_empty(), "it says nothing here");
    let root = folder.join(format!("{}-root", row.name));
    let pack = command([ours.as_str(), "rootfs", "--binary", program.as_str(), "--dir", root.as_str()]);
    let pack = pack.args(options.iter().copied());
    let mut packed = pack.run()?;
    if !row.suggested.is_empty() {
        for suggested in &row.suggested {
            ensure!(packed.stderr.contains(suggested), "`{suggested}` is not suggested\n{}", packed.stderr.trim());
        }
        packed = pack.args(row.suggested.iter().flat_map(|suggested| suggested.split(' '))).run()?;
    }
    let script = "mount -t proc proc \"$1/proc\" && mkdir -p \"$1/dev\" \"$1/sys\" && mount --rbind /dev \"$1/dev\" && mount --rbind /sys \"$1/sys\" && exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm chroot \"$@\"";
    let inside = format!("/usr/local/bin/{}", row.name);
    let unshare = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh", root.as_str(), inside.as_str()];
    let there = command(unshare).finish()?;
    ensure!(
        there.code == Some(0) && there.stdout == here,
        "here it says {here:?}, in the rootfs {:?}\n{}\n{}",
        there.stdout,
        there.stderr.trim(),
        packed.stderr.trim()
    );
    tools::size(&root)
}
