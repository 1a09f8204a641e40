//! The workspace must compile with exactly the `rust-version` it declares.
//! Only that is checked: tests and lints run with the machine's own Rust.

use anyhow::Result;

use super::cargo;
use crate::{host, made};

pub(super) fn check() -> Result<()> {
    let rustc = made::debian_rustc()?;
    let target_dir = host::cache_dir().join("msrv");
    let check = cargo(["check", "--workspace", "--all-targets", "--locked"]);
    check.env("RUSTC", rustc.as_str()).env("CARGO_TARGET_DIR", target_dir.as_str()).show()
}
