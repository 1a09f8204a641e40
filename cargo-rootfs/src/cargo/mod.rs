//! Calls of cargo: the project's metadata, the configuration, the build.
//!
//! It does not choose the contents of the rootfs. Paths come from cargo's messages and are never guessed.

mod advice;
mod build;
mod build_paths;
mod driver;
mod linker;
mod machine;
mod memory;
mod messages;
mod metadata;
mod pkg_config;
mod prepare;
mod relay;
mod toolchain;

use std::ffi::OsString;

use camino::Utf8PathBuf;

pub(crate) use advice::Sought;
pub(crate) use build::build;
pub(crate) use memory::Memory;
pub(crate) use metadata::{Project, metadata, resolved};
pub(crate) use prepare::{Preparation, prepare, without_build};
pub(crate) use toolchain::Toolchain;

/// The cargo that called this program, else the cargo in PATH
/// (<https://doc.rust-lang.org/cargo/reference/environment-variables.html>).
fn program() -> OsString {
    std::env::var_os("CARGO").filter(|cargo| !cargo.is_empty()).unwrap_or_else(|| "cargo".into())
}

/// The directory of dependencies' sources (<https://doc.rust-lang.org/cargo/guide/cargo-home.html>).
fn cargo_home() -> Option<Utf8PathBuf> {
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(Utf8PathBuf::from);
    text("CARGO_HOME").or_else(|| text("HOME").map(|home| home.join(".cargo")))
}
