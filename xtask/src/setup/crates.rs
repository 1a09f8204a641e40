//! Installs programs from crates.io into folders of the tasks' own.

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::host;
use crate::process::command;

/// The closest rival, to be measured beside. It declares a newer Rust than it needs.
pub(super) fn elfpak() -> Result<()> {
    install(&host::elfpak(), host::ELFPAK, &["--ignore-rust-version"])
}

/// cargo-auditable, and the reader of what it leaves in executables that is its own authors'.
pub(super) fn auditable() -> Result<()> {
    install(&host::auditable().join("cargo-auditable"), "0.7.7", &[])?;
    install(&host::auditable().join("rust-audit-info"), "0.5.4", &[])
}

/// Builds the crate that `binary`, a path in a folder `bin`, is named for.
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
