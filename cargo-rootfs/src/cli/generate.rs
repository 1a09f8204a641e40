//! Completion scripts and manual pages, from the definitions of the options.
//!
//! They are made on demand, so they always belong to the installed program.

use clap::CommandFactory;

use super::terminal::Terminal;
use super::{Options, help};
use crate::error::{Error, Result};
use crate::guide;

/// The source that a manual page names.
const SOURCE: &str = concat!("cargo-rootfs ", env!("CARGO_PKG_VERSION"));

/// Runs `completions SHELL`.
pub(super) fn completions(shell: clap_complete::Shell, terminal: &Terminal) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Options::command(), "cargo-rootfs", &mut script);
    terminal.result(&script)
}

/// Runs `man [COMMAND|TOPIC]`.
pub(super) fn man(subcommand: Option<&str>, terminal: &Terminal) -> Result<()> {
    if let Some(page) = subcommand.and_then(guide::page) {
        return terminal.result(guide::manual(page.name, page.about, page.text, SOURCE).as_bytes());
    }
    let mut command = Options::command();
    command.build();
    let (command, title) = match subcommand {
        None => (command, "cargo-rootfs".to_owned()),
        Some(name) => {
            let found = command.find_subcommand(name).cloned();
            let found = found.ok_or_else(|| help::unknown(name))?;
            (found, format!("cargo-rootfs-{name}"))
        }
    };
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command).title(title.to_uppercase()).manual("Cargo").source(SOURCE);
    man.render(&mut page).map_err(|error| Error::io("make", "the manual page", error))?;
    terminal.result(&page)
}
