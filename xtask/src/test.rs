//! Everything that CI runs, in stages, cheapest first.
//! A stage that fails does not keep the later ones from running: one run tells all that is wrong.

mod install;
mod msrv;

use std::time::Duration;

use anyhow::Result;

use crate::process::{Command, command};
use crate::stage::Score;
use crate::{bench, differential, e2e, host, projects, setup, tools};

/// `cargo xtask test`.
pub(crate) fn run() -> Result<()> {
    let mut score = Score::new("");
    let mut stage =
        |name, seconds, work: &dyn Fn() -> Result<()>| score.stage(name, Duration::from_secs(seconds), work);
    stage("setup", 600, &ready);
    stage("fmt", 10, &|| cargo(["fmt", "--all", "--check"]).show());
    stage("clippy", 120, &|| clippy(&["--workspace", "--all-targets"]));
    stage("clippy of the library alone", 30, &|| clippy(&["--package", "cargo-rootfs", "--no-default-features"]));
    stage("doc", 60, &doc);
    stage("test", 240, &|| cargo(["test", "--workspace", "--locked"]).show());
    stage("msrv", 180, &msrv::check);
    stage("install", 300, &install::check);
    stage("e2e", 360, &|| e2e::run(""));
    stage("tools", 240, &|| tools::run(tools::By::Ours, ""));
    stage("tools, each from packages", 420, &|| tools::run(tools::By::Provisioned, ""));
    stage("projects", 600, &|| projects::run(""));
    stage("differential", 240, &|| differential::run(differential::Extent::Quick, ""));
    stage("bench", 150, &|| bench::run(bench::Extent::Quick));
    score.close()
}

/// CI's machine, and root's, is made ready; on anybody else's nothing is installed unasked.
fn ready() -> Result<()> {
    if host::in_ci() || host::is_root() {
        return setup::run(setup::Extent::TestsAndLargeTools);
    }
    println!("  not root: nothing is installed; `cargo xtask setup` does it, through sudo");
    Ok(())
}

/// The cargo that runs this, on the workspace, in its target directory.
fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let cargo = command([host::cargo()]).args(args).dir(host::repo());
    cargo.env("CARGO_TARGET_DIR", host::target_dir().as_str())
}

fn clippy(of: &[&str]) -> Result<()> {
    cargo(["clippy", "--locked"]).args(of.iter().copied()).args(["--", "--deny", "warnings"]).show()
}

fn doc() -> Result<()> {
    let doc = cargo(["doc", "--workspace", "--no-deps", "--locked"]);
    doc.env("RUSTDOCFLAGS", "--deny warnings").show()
}
