//! Builds elfpak, the closest rival, to be measured beside. It is installed into the tasks' own folder.

use anyhow::{Context, Result};

use crate::host;
use crate::process::command;

pub(super) fn make() -> Result<()> {
    let binary = host::elfpak();
    if binary.exists() {
        return Ok(());
    }
    let root = binary.ancestors().nth(2).context("elfpak is in a folder `bin`")?;
    println!("  building elfpak {} in {root}", host::ELFPAK);
    let install =
        command([host::cargo()]).args(["install", "--quiet", "--locked", "elfpak", "--version", host::ELFPAK]);
    // It declares a newer Rust than it needs.
    install.args(["--ignore-rust-version", "--root", root.as_str()]).run().map(drop)
}
