//! The sources of published crates, as cargo downloads and unpacks them.
//!
//! cargo fetches them by name and version, from the source that its configuration names.

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;
use fs_err as fs;

use super::table::Project;
use crate::e2e::lab::Lab;
use crate::host;
use crate::process::command;

/// A copy of the crate; several crates become members of a workspace.
pub(super) fn lay_out(project: &Project, lab: &Lab) -> Result<Utf8PathBuf> {
    let [(name, version)] = project.crates else {
        let folder = lab.folder(project.name)?;
        for (name, version) in project.crates {
            copy(name, version, &folder.join(name))?;
        }
        let members = project.crates.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let manifest = format!("[workspace]\nresolver = \"2\"\nmembers = [{members}]\n");
        fs::write(folder.join("Cargo.toml"), manifest)?;
        let lock = host::repo().join("xtask/src/projects").join(format!("{}.lock", project.name));
        fs::copy(&lock, folder.join("Cargo.lock"))?;
        return Ok(folder);
    };
    lay_out_crate(name, version, lab)
}

/// A copy of one crate.
pub(crate) fn lay_out_crate(name: &str, version: &str, lab: &Lab) -> Result<Utf8PathBuf> {
    let folder = lab.path(name);
    copy(name, version, &folder)?;
    Ok(folder)
}

fn copy(name: &str, version: &str, to: &Utf8PathBuf) -> Result<()> {
    // cargo downloads and unpacks the crate to print its information.
    let info = command([host::cargo()]).args(["info", "--quiet", &format!("{name}@{version}")]);
    if let Err(error) = info.run() {
        println!("  once more, for a registry can hiccup: {error:#}");
        info.run()?;
    }
    let unpacked = unpacked(&format!("{name}-{version}"))?;
    command(["cp", "-R", unpacked.as_str(), to.as_str()]).run().map(drop)
}

/// The unpacked crate in cargo's home (<https://doc.rust-lang.org/cargo/guide/cargo-home.html>).
fn unpacked(name: &str) -> Result<Utf8PathBuf> {
    let home = match std::env::var("CARGO_HOME") {
        Ok(home) if !home.is_empty() => Utf8PathBuf::from(home),
        _ => Utf8PathBuf::from(std::env::var("HOME").context("HOME is not set")?).join(".cargo"),
    };
    let sources = home.join("registry/src");
    for registry in sources.read_dir_utf8().with_context(|| format!("read {sources}"))? {
        let folder = registry.with_context(|| format!("read {sources}"))?.path().join(name);
        if folder.join("Cargo.toml").exists() {
            return Ok(folder);
        }
    }
    bail!("cargo has unpacked no {name} in {sources}")
}
