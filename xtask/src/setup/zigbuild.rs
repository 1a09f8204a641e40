//! Installs cargo-zigbuild and zig into a Python environment of the tasks' own.

use anyhow::{Context, Result};

use crate::host;
use crate::process::command;
use crate::stage::need;

/// Known to work together.
const PACKAGES: [&str; 2] = ["cargo-zigbuild==0.24.1", "ziglang==0.17.1"];

pub(super) fn make() -> Result<()> {
    let ready = host::zigbuild();
    if ready.join("bin/cargo-zigbuild").exists() {
        return Ok(());
    }
    need("python3")?;
    println!("  installing {} in {ready}", PACKAGES.join(" and "));
    if ready.exists() {
        std::fs::remove_dir_all(&ready).with_context(|| format!("remove {ready}"))?;
    }
    command(["/usr/bin/python3", "-m", "venv", ready.as_str()]).run()?;
    let pip = ready.join("bin/pip");
    command([pip.as_str(), "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES).run().map(drop)
}
