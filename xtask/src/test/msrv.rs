//! The product compiles with exactly the declared `rust-version`. Tests and lints run with the machine's own Rust, and
//! the tasks compile with any stable one.

use anyhow::Result;

use crate::host;
use crate::made::{self, cargo};

pub(super) fn check() -> Result<()> {
    let rustc = made::debian_rustc()?;
    let target_dir = host::cache_dir().join("msrv");
    let check = cargo(["check", "--package", "cargo-rootfs", "--all-targets", "--locked"]);
    check.env("RUSTC", rustc.as_str()).env("CARGO_TARGET_DIR", target_dir.as_str()).show()?;
    Ok(fs_err::remove_dir_all(&target_dir)?)
}
