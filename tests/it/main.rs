//! The program from outside: what is typed, what is printed, what it exits with.
//!
//! Nothing here needs a network, root, or an engine; `cargo xtask e2e` has those.
//! `SNAPSHOTS=overwrite cargo test` takes what is printed for what is wanted.

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
