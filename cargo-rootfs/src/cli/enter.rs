//! `run` and `shell`: a command in the rootfs, without root's rights.

use super::terminal::Terminal;
use crate::enter::{self, Bind, Files, Outputs, Program, Visit};
use crate::error::{Error, Result};
use crate::options::{EnterArgs, Format};
use crate::pipeline::{Epoch, Session};
use crate::plan::Request;

pub(super) fn run(request: &Request<'_>, program: Program<'_>, args: &EnterArgs, terminal: &Terminal) -> Result<()> {
    if terminal.format() == Format::Json {
        return Err(Error::usage("the command and `--message-format json` both claim standard output"));
    }
    let epoch = Epoch::from_environment()?;
    // Checked before the build, which takes minutes.
    let binds = binds(args)?;
    terminal.watch_signals()?;
    Session::new(request, terminal)?.prove()?.iter().try_for_each(|one| {
        let rootfs = &one.assembly.rootfs;
        let command = enter::command(program, &one.image(epoch), rootfs, terminal)?;
        // A bind may contain the command.
        if binds.is_empty() {
            enter::present(&command, rootfs)?;
        }
        let visit = Visit {
            files: Files::Rootfs(rootfs),
            machine: one.plan.target.machine(),
            network: args.network,
            binds: binds.clone(),
            epoch: epoch.seconds(),
            outputs: Outputs::Own,
        };
        enter::run(command, &visit, terminal)
    })
}

/// Host files that are mounted into the rootfs. All missing ones are reported together.
pub(super) fn binds(args: &EnterArgs) -> Result<Vec<Bind>> {
    let found = args.bind.iter().map(|typed| Bind::find(&typed.source, typed.destination.as_ref(), typed.access));
    let (found, wrong): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
    Error::all(wrong.into_iter().filter_map(Result::err).collect())?;
    found.into_iter().collect()
}
