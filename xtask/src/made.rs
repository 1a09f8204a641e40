//! Files that one task makes and others need, or the name of the task that makes them.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::host;
use crate::packed;
use crate::process::{Command, command};
use crate::stage::{Tier, cannot};

/// The cargo that runs this, on the workspace, in its target directory.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let cargo = command([host::cargo()]).args(args).dir(host::repo());
    let cargo = cargo.env("CARGO_TARGET_DIR", host::target_dir().as_str());
    // Incremental state would take disk space and save no time for one build.
    if host::in_ci() { cargo.env("CARGO_INCREMENTAL", "0") } else { cargo }
}

/// The binary of this checkout, built now: the one that `cargo test` builds for its tests, or the release's. The
/// variable `CARGO_ROOTFS` names another one.
pub(crate) fn program(tier: Tier) -> Result<Utf8PathBuf> {
    if let Some(given) = std::env::var("CARGO_ROOTFS").ok().filter(|it| !it.is_empty()) {
        return Ok(given.into());
    }
    let (build, profile) = match tier {
        Tier::Quick => (cargo(["test", "--no-run", "--quiet", "--locked", "--workspace"]), "debug"),
        Tier::Full => (cargo(["build", "--release", "--locked", "--package", "cargo-rootfs"]), "release"),
    };
    build.show()?;
    Ok(host::target_dir().join(profile).join("cargo-rootfs"))
}

/// The Rust compiler that `setup` unpacks.
pub(crate) fn rust() -> Result<Utf8PathBuf> {
    packed::open(rust_folder()?)
}

/// Its directory, and the compiler's path in it.
pub(crate) fn rust_folder() -> Result<Utf8PathBuf> {
    Ok(host::cache_dir().join(format!("rust-{}", host::rust_version()?)))
}

pub(crate) const RUSTC: &str = "usr/bin/rustc";

/// That compiler, with aarch64's standard library beside its own.
pub(crate) fn debian_rustc() -> Result<Utf8PathBuf> {
    let rustc = rust()?.join(RUSTC);
    if rustc.exists() { Ok(rustc) } else { cannot(format!("no {rustc}: run `cargo xtask setup --all`")) }
}

/// The arm64 root with libraries for building.
pub(crate) fn development_sysroot() -> Result<Utf8PathBuf> {
    let root = packed::open(development_folder())?;
    if root.join("usr/include/git2.h").exists() {
        Ok(root)
    } else {
        cannot(format!("no {root}: run `cargo xtask setup --all`"))
    }
}

/// The Debian root with the tools of forges' runners.
pub(crate) fn runner() -> Result<Utf8PathBuf> {
    let root = host::cache_dir().join("runner");
    if root.with_extension("made-of").exists() {
        packed::open(root)
    } else {
        cannot(format!("no {root}: run `cargo xtask setup --all`"))
    }
}

/// The directory in which `setup` makes it.
pub(crate) fn development_folder() -> Utf8PathBuf {
    host::cache_dir().join("sysroot-arm64-dev")
}
