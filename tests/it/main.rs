//! The program as a user sees it: the command line, the printed text, the exit code.
//!
//! These tests need no network, root, or engine; `cargo xtask e2e` has those. `SNAPSHOTS=overwrite cargo test` accepts
//! the printed text as the expected one.

#![allow(clippy::unwrap_used)]

mod build;
mod config;
mod dlopen;
mod enter;
mod hostile;
mod hwcaps;
mod images;
mod init;
mod output;
mod project;
mod rebuild;
mod select;
mod sysroot;
mod tidy;
mod usage;
mod verify;
mod watch;
