//! What other tasks have made and later ones need, or which task it is that makes it.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::host;
use crate::process::command;
use crate::stage::cannot;

/// The release binary of this checkout, built now.
pub(crate) fn program() -> Result<Utf8PathBuf> {
    let build = command([host::cargo()]).args(["build", "--release", "--locked", "--package", "cargo-rootfs"]);
    build.dir(host::repo()).env("CARGO_TARGET_DIR", host::target_dir().as_str()).show()?;
    Ok(host::target_dir().join("release/cargo-rootfs"))
}

/// The folder of the Rust compiler that `setup` unpacks, and where the compiler is in it.
pub(crate) fn rust() -> Result<Utf8PathBuf> {
    Ok(host::cache_dir().join(format!("rust-{}", host::rust_version()?)))
}

pub(crate) const RUSTC: &str = "usr/bin/rustc";

/// That compiler, which has aarch64's standard library beside its own.
pub(crate) fn debian_rustc() -> Result<Utf8PathBuf> {
    let rustc = rust()?.join(RUSTC);
    if rustc.exists() { Ok(rustc) } else { cannot(format!("no {rustc}: run `cargo xtask setup`")) }
}

/// The arm64 root with libraries that can be built with.
pub(crate) fn development_sysroot() -> Result<Utf8PathBuf> {
    let root = development_folder();
    if root.join("usr/include/git2.h").exists() {
        Ok(root)
    } else {
        cannot(format!("no {root}: run `cargo xtask setup`"))
    }
}

/// Where `setup` makes it.
pub(crate) fn development_folder() -> Utf8PathBuf {
    host::cache_dir().join("sysroot-arm64-dev")
}
