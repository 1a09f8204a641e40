//! One call of `cargo build`, and what it left.
//!
//! Its progress and diagnostics go to standard error as they come, by cargo itself.

use std::io::BufReader;

use camino::Utf8PathBuf;
use cargo_metadata::Message;

use super::build_paths::{self, Findings};
use super::messages::Messages;
use super::{Toolchain, advice};
use crate::error::{Error, Result, Warning, exit_code};
use crate::layout::Artifacts;
use crate::plan::{Build, RootfsPlan};

/// What a build left for each of its targets, in their order.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) artifacts: Vec<Artifacts>,
    pub(crate) warnings: Vec<Warning>,
}

/// Runs cargo, to its end even when the user interrupts: it ends by itself then.
pub(crate) fn build(build: &Build, targets: &[RootfsPlan], toolchain: &Toolchain) -> Result<Built> {
    let mut messages = Messages::default();
    let reader = duct::cmd(super::program(), &build.arguments)
        .unchecked()
        .reader()
        .map_err(|error| Error::io("run", super::program(), error))?;
    for message in Message::parse_stream(BufReader::new(&reader)) {
        let message = message.map_err(|error| Error::failed("cannot read cargo's messages").with_source(error))?;
        messages.take(message, build);
    }
    let output = reader.try_wait().map_err(|error| Error::io("wait for", super::program(), error))?;
    let status = output.map(|output| output.status);
    if !status.is_some_and(|status| status.success()) {
        let code = status.and_then(|status| status.code()).unwrap_or(exit_code::FAILED);
        let error = Error::cargo(code, "");
        return Err(match advice::after_failure(build, targets, toolchain) {
            Some(help) => error.help(help),
            None => error,
        });
    }

    let triples: Vec<&str> = targets.iter().map(|plan| plan.target.triple()).collect();
    let mut artifacts = messages.artifacts(build, &triples)?;
    let cargo_home = cargo_home();
    let findings = artifacts
        .iter()
        .map(|artifacts| {
            let needles = build.folders.iter().take(1).chain(&cargo_home);
            build_paths::scan(&artifacts.executables, needles)
        })
        .collect::<Result<Vec<Findings>>>()?;
    for ((artifacts, plan), findings) in artifacts.iter_mut().zip(targets).zip(&findings) {
        artifacts.build_tree.extend(build.folders.clone());
        // Not all of it: its `bin` may hold tools that are asked for.
        artifacts.build_tree.extend(cargo_home.iter().flat_map(|home| [home.join("registry"), home.join("git")]));
        // `/` would be all of the rootfs.
        artifacts.build_tree.retain(|folder| folder.parent().is_some());
        let tree = artifacts.build_tree.clone();
        // A folder of the system is the sysroot's to have, and here it is the host's.
        artifacts.library_dirs.retain(|folder| tree.iter().any(|within| folder.starts_with(within)));
        if findings.needs_libstd {
            let target = plan.cargo_target.as_deref().unwrap_or(plan.target.triple());
            artifacts.library_dirs.extend(toolchain.library_dir(target));
        }
    }
    Ok(Built { artifacts, warnings: build_paths::warning(&findings).into_iter().collect() })
}

/// Where cargo keeps the sources of dependencies (<https://doc.rust-lang.org/cargo/guide/cargo-home.html>).
fn cargo_home() -> Option<Utf8PathBuf> {
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(Utf8PathBuf::from);
    text("CARGO_HOME").or_else(|| text("HOME").map(|home| home.join(".cargo")))
}
