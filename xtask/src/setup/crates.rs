//! Installs programs from crates.io into directories of the tasks.

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::host;
use crate::process::command;

/// elfpak, the closest other tool, for comparison. It declares a newer Rust than it needs.
pub(super) fn elfpak() -> Result<()> {
    install(&host::elfpak(), host::ELFPAK, &["--ignore-rust-version"])
}

/// cargo-auditable, and its authors' reader of the data that it adds to executables.
pub(super) fn auditable() -> Result<()> {
    install(&host::auditable().join("cargo-auditable"), "0.7.7", &[])?;
    install(&host::auditable().join("rust-audit-info"), "0.5.4", &[])
}

/// Builds the crate with the name of `binary`, a path in a directory `bin`.
fn install(binary: &Utf8Path, version: &str, options: &[&str]) -> Result<()> {
    if binary.exists() {
        return Ok(());
    }
    let name = binary.file_name().context("a binary has a name")?;
    let root = binary.ancestors().nth(2).context("a binary is in a folder `bin`")?;
    println!("  building {name} {version} in {root}");
    let install = command([host::cargo()]).args(["install", "--quiet", "--locked", name, "--version", version]);
    install.args(options.iter().copied()).args(["--root", root.as_str()]).run().map(drop)
}
