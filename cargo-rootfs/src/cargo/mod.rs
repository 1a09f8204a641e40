//! Cargo, as the program that it is: what it knows of a project, what it is configured to do, what it builds.
//!
//! Nothing here decides what is packaged. No path is guessed: they come from cargo's messages.

mod advice;
mod build;
mod build_paths;
mod messages;
mod metadata;
mod toolchain;

use std::ffi::OsString;

pub(crate) use build::build;
pub(crate) use metadata::metadata;
pub(crate) use toolchain::Toolchain;

/// The cargo that called this program, else the one on PATH
/// (<https://doc.rust-lang.org/cargo/reference/environment-variables.html>).
fn program() -> OsString {
    std::env::var_os("CARGO").filter(|cargo| !cargo.is_empty()).unwrap_or_else(|| "cargo".into())
}
