//! The two tiers of tests, in stages, the cheapest first. Later stages run even if one fails, so that one run reports
//! everything.

mod install;
mod msrv;

use anyhow::Result;

use crate::made::cargo;
use crate::stage::{self, Tier};
use crate::{differential, e2e, host, libraries, projects, setup, tools};

/// `cargo xtask test`: the tests that a change must pass before review.
pub(crate) fn run() -> Result<()> {
    let stages: Vec<(&str, &dyn Fn() -> Result<()>)> = vec![
        ("setup", &|| ready(Tier::Quick)),
        ("fmt", &|| cargo(["fmt", "--all", "--check"]).show()),
        ("clippy", &|| clippy(&["--workspace", "--all-targets"])),
        ("clippy of the library alone", &|| clippy(&["--package", "cargo-rootfs", "--no-default-features"])),
        ("doc", &doc),
        ("cargo test", &|| cargo(["test", "--workspace", "--locked"]).show()),
        ("e2e", &|| e2e::run(Tier::Quick, "")),
        ("tools", &|| tools::run(Tier::Quick, tools::By::Ours, "")),
        ("differential", &|| differential::run(Tier::Quick, "")),
    ];
    stage::run("test", stages)
}

/// `cargo xtask acceptance`: everything that `test` leaves out or does in part.
pub(crate) fn accept() -> Result<()> {
    let stages: Vec<(&str, &dyn Fn() -> Result<()>)> = vec![
        ("setup", &|| ready(Tier::Full)),
        ("minimum Rust", &msrv::check),
        ("install", &install::check),
        ("e2e", &|| e2e::run(Tier::Full, "")),
        ("tools", &|| tools::run(Tier::Full, tools::By::Ours, "")),
        ("tools, each from packages", &|| tools::run(Tier::Full, tools::By::Provisioned, "")),
        ("a sample of tools", &|| tools::sample::run(&tools::sample::Choice::of_acceptance())),
        ("libraries", &|| libraries::run(Tier::Quick, "")),
        ("projects", &|| projects::run("")),
        ("differential", &|| differential::run(Tier::Full, "")),
    ];
    stage::run("acceptance", stages)
}

/// Prepares CI's machine, or root's; on another one nothing is installed without a request.
fn ready(tier: Tier) -> Result<()> {
    if host::in_ci() || host::is_root() {
        return setup::run(tier);
    }
    println!("  not root: nothing is installed; `cargo xtask setup` does it, through sudo");
    Ok(())
}

fn clippy(of: &[&str]) -> Result<()> {
    cargo(["clippy", "--locked"]).args(of.iter().copied()).args(["--", "--deny", "warnings"]).show()
}

fn doc() -> Result<()> {
    let doc = cargo(["doc", "--workspace", "--no-deps", "--locked"]);
    doc.env("RUSTDOCFLAGS", "--deny warnings").show()
}
