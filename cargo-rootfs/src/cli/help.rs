//! `help`: of the program, of a command, and pages of the guide.

use std::ffi::OsString;

use clap::CommandFactory;

use super::Options;
use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::guide;
use crate::wording::{did_you_mean, nearest};

/// Replaces `help` and `help COMMAND` by `--help` and `COMMAND --help`, which clap handles.
pub(super) fn of_a_command(command: &clap::Command, arguments: &mut Vec<OsString>) {
    if arguments.get(1).is_none_or(|first| first != "help") {
        return;
    }
    let is_of_clap = match arguments.get(2) {
        None => true,
        Some(word) => command.get_subcommands().any(|known| *word == *known.get_name()),
    };
    if is_of_clap {
        arguments.remove(1);
        arguments.push("--help".into());
    }
}

/// Runs `help TOPIC`.
pub(super) fn run(words: &[String], terminal: &Terminal) -> Result<()> {
    let name = words.first().map_or("", String::as_str);
    let page = guide::page(name).ok_or_else(|| unknown(name))?;
    terminal.result(guide::plain(page.text).as_bytes())
}

/// The error for a word that is neither a command nor a topic.
pub(super) fn unknown(name: &str) -> Error {
    let command = Options::command();
    let commands = command.get_subcommands().map(clap::Command::get_name);
    let topics: Vec<&str> = guide::PAGES.iter().map(|page| page.name).collect();
    let known: Vec<&str> = commands.chain(topics.iter().copied()).collect();
    let help = nearest(name, known).map_or_else(|| format!("the topics are {}", topics.join(", ")), did_you_mean);
    Error::usage(format!("`{name}` is neither a command nor a topic of cargo rootfs")).help(help)
}
