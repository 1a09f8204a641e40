//! Installs the tests' needs that this machine lacks, and prints its steps. Installed tools are left alone, so a second
//! run changes nothing.

mod binfmt;
mod crates;
mod needs;
mod packages;
mod python;
mod rust;
pub(crate) mod sysroot;

use anyhow::Result;

pub(crate) use packages::install;

use crate::host;
use crate::process::{command, until};
use crate::stage::{Tier, cannot};

/// Prepares the machine for a tier; one error lists everything that failed.
pub(crate) fn run(tier: Tier) -> Result<()> {
    // First, because the others use them.
    let mut problems: Vec<&str> =
        attempt("packages", || packages::install(&needs::missing(tier)?)).into_iter().collect();
    let parts = PARTS.iter().filter(|(_, from, _)| *from <= tier);
    std::thread::scope(|scope| {
        // They mostly wait for the network.
        let started: Vec<_> = parts.map(|(what, _, make)| scope.spawn(move || attempt(what, make))).collect();
        problems.extend(started.into_iter().filter_map(|part| part.join().unwrap_or(Some("a part that panicked"))));
    });
    if problems.is_empty() {
        println!("  ready");
        return Ok(());
    }
    cannot(format!("not ready: {}", problems.join(", ")))
}

/// A part of the set-up, its first tier, and its function.
type Part = (&'static str, Tier, fn() -> Result<()>);

const PARTS: &[Part] = &[
    ("aarch64 programs through qemu-user", Tier::Quick, binfmt::register),
    ("docker", Tier::Quick, start_docker),
    ("Debian arm64 sysroot", Tier::Quick, sysroot::make),
    ("Debian sysroots of the table of tools", Tier::Full, sysroot::make_for_tools),
    ("Debian root of a thousand packages", Tier::Full, sysroot::make_for_sample),
    ("Debian arm64 sysroot of published crates", Tier::Full, sysroot::make_for_projects),
    ("Rust of the declared minimum version, and a forge's runner", Tier::Full, rust_and_runner),
    ("cargo-zigbuild", Tier::Full, python::zigbuild),
    ("elfpak", Tier::Full, crates::elfpak),
    ("cargo-auditable and rust-audit-info", Tier::Full, crates::auditable),
    ("check-jsonschema and shellcheck", Tier::Full, python::schemas),
    ("syft, and validators of bills of materials", Tier::Full, python::scanners),
];

/// The runner's root contains the libraries of that Rust.
fn rust_and_runner() -> Result<()> {
    rust::make()?;
    sysroot::make_runner()
}

/// Runs a part. A failure is printed, and returned by name.
fn attempt(what: &str, make: impl FnOnce() -> Result<()>) -> Option<&str> {
    let error = make().err()?;
    println!("  {what}: {error:#}");
    Some(what)
}

/// Starts the daemon if none answers.
fn start_docker() -> Result<()> {
    let answers = || duct::cmd!("docker", "info").stdout_null().stderr_null().run().is_ok();
    if answers() {
        return Ok(());
    }
    if !host::is_root() {
        return cannot("docker does not answer: start its daemon, and be in the group docker");
    }
    let log = host::cache_dir().join("dockerd.log");
    println!("  starting dockerd, which logs to {log}");
    fs_err::create_dir_all(host::cache_dir())?;
    // setsid(1), and no open pipe to this process, so that the daemon outlives this task.
    command(["sh", "-c", "setsid dockerd >\"$1\" 2>&1 </dev/null &", "sh", log.as_str()]).run()?;
    if until("dockerd answers", || Ok(answers())).is_ok() {
        Ok(())
    } else {
        cannot(format!("dockerd does not answer: see {log}"))
    }
}
