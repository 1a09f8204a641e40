//! Installs what the tests need and this machine lacks, and says what it does.
//! What is there already is left alone, so a second run only looks.

mod binfmt;
mod elfpak;
mod needs;
mod packages;
mod rust;
mod sysroot;
mod zigbuild;

use anyhow::{Context, Result};

use crate::process::command;
use crate::stage::cannot;
use crate::{bench, host};

/// How much is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What the tests and the end-to-end scenarios use.
    Tests,
    /// Those, the large tools that the bench packages, and elfpak, which it compares with.
    TestsAndLargeTools,
}

/// Makes the machine ready; what could not be had is an error that lists all of it.
pub(crate) fn run(extent: Extent) -> Result<()> {
    let mut wanted = needs::missing();
    if extent == Extent::TestsAndLargeTools {
        wanted.extend(bench::large_tools::missing_packages()?);
    }
    let mut problems = Vec::new();
    let mut attempt = |what: &str, done: Result<()>| {
        if let Err(error) = done {
            println!("  {what}: {error:#}");
            problems.push(what.to_owned());
        }
    };
    attempt("packages", packages::install(&wanted));
    attempt("aarch64 programs through qemu-user", binfmt::register());
    attempt("docker", start_docker());
    attempt("Debian arm64 sysroot", sysroot::make());
    attempt("Debian sysroots of the table of tools", sysroot::make_for_tools());
    attempt("Rust of the declared minimum version", rust::make());
    attempt("cargo-zigbuild", zigbuild::make());
    if extent == Extent::TestsAndLargeTools {
        attempt("elfpak", elfpak::make());
    }
    if problems.is_empty() {
        println!("  ready");
        return Ok(());
    }
    cannot(format!("not ready: {}", problems.join(", ")))
}

/// Starts the daemon where none answers.
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
    std::fs::create_dir_all(host::cache_dir()).with_context(|| format!("make {}", host::cache_dir()))?;
    // setsid(1), and no pipe of ours held open: the daemon outlives this task.
    command(["sh", "-c", "setsid dockerd >\"$1\" 2>&1 </dev/null &", "sh", log.as_str()]).run()?;
    for _ in 0..60 {
        if answers() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    cannot(format!("dockerd did not answer within 30 s: see {log}"))
}
