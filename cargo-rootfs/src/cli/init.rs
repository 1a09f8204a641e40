//! `init`: starting files for a project.

use super::terminal::Terminal;
use crate::error::Result;
use crate::init::init;
use crate::options::{BuildArgs, InitArgs};

pub(super) fn run(args: &InitArgs, terminal: &Terminal) -> Result<()> {
    let build = BuildArgs { manifest: args.manifest.clone(), ..BuildArgs::default() };
    let paths = init(&build, args.ci, args.force, terminal)?;
    paths.iter().try_for_each(|path| terminal.result(format!("{path}\n").as_bytes()))
}
