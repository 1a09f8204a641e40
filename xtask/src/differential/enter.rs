//! A task for the tasks: starts one program in another root.
//! It is called where mounts are private already, and for nothing but the words it was given.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// `cargo xtask in-root ROOT FOLDER NAME=VALUE... -- PROGRAM WORD...`; it returns only where it failed.
///
/// The variables are the program's whole environment: those for a loader must not reach the programs before it.
pub(crate) fn enter(root: &str, folder: &str, rest: &[&str]) -> Result<()> {
    let Some(at) = rest.iter().position(|word| *word == "--") else { bail!("no `--` before the program") };
    let [program, words @ ..] = &rest[at + 1..] else { bail!("no program after `--`") };
    let mut command = Command::new(program);
    command.args(words).env_clear().envs(rest[..at].iter().filter_map(|word| word.split_once('=')));
    std::os::unix::fs::chroot(root).with_context(|| format!("enter {root}"))?;
    std::env::set_current_dir(folder).with_context(|| format!("enter {folder} in {root}"))?;
    Err(command.exec()).with_context(|| format!("start {program} in {root}"))
}
