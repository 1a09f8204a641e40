//! `trace`: prints the used files that the rootfs lacks, as configuration.

use serde_json::json;

use super::terminal::{self, Terminal};
use crate::error::Result;
use crate::options::{Format, TraceArgs};
use crate::pipeline::Session;
use crate::plan::Request;
use crate::trace::Trace;

pub(super) fn run(request: &Request<'_>, args: &TraceArgs, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    Session::new(request, terminal)?.prove()?.iter().try_for_each(|rooted| {
        let traced = Trace { words: &args.words, rooted }.run(terminal)?;
        match terminal.format() {
            Format::Human => terminal.result(traced.metadata.as_bytes())?,
            Format::Json => {
                let files = traced.rules.iter().map(|rule| {
                    let links: Vec<_> =
                        rule.links.iter().map(|(path, to)| json!({"path": path, "target": to})).collect();
                    json!({"program": rule.when, "paths": rule.take, "links": links, "directories": rule.folders})
                });
                let fields = json!({
                    "exit_code": traced.code, "with": traced.with, "with_lib": traced.with_lib,
                    "files": files.collect::<Vec<_>>(), "metadata": traced.metadata,
                    "target": rooted.plan.target.triple(),
                });
                terminal.result(terminal::line("rootfs-trace", &fields).as_bytes())?;
            }
        }
        traced.end(terminal)
    })
}
