//! `check`: each command that was tried, as a line.

use serde_json::{Value, json};

use super::enter::binds;
use super::terminal::{self, Terminal};
use crate::check::{Check, Checked, Weight};
use crate::enter::{Ended, Outcome};
use crate::error::Result;
use crate::options::{CheckArgs, Format};
use crate::path::RootfsPath;
use crate::pipeline::{Epoch, Session};
use crate::plan::Request;

pub(super) fn run(request: &Request<'_>, args: &CheckArgs, terminal: &Terminal) -> Result<()> {
    let epoch = Epoch::from_environment()?;
    let binds = binds(&args.enter)?;
    terminal.watch_signals()?;
    Session::new(request, terminal)?.prove()?.iter().try_for_each(|rooted| {
        let (words, timeout, network) = (&args.words, args.timeout, args.enter.network);
        let check = Check { rooted, words, timeout, network, binds: &binds, epoch };
        check.run(terminal, &mut |checked| {
            let line = match terminal.format() {
                Format::Human => format!("{:<6} {}\n", checked.status.as_str(), checked.subject.shown),
                Format::Json => terminal::line("rootfs-check", &json(checked, rooted.plan.target.triple())),
            };
            terminal.result(line.as_bytes())
        })
    })
}

fn json(checked: &Checked<'_>, target: &str) -> Value {
    let words: Vec<_> = checked.subject.words.iter().map(|word| word.to_string_lossy()).collect();
    let (code, signal) = match &checked.watched.outcome {
        Outcome::Ended(Ended::Exited(code)) => (Some(*code), None),
        Outcome::Ended(Ended::Killed(signal)) => (None, Some(*signal)),
        Outcome::NotStarted(_) => (None, None),
    };
    let missing = checked.options().map(|(one, option, value)| {
        let by: Vec<String> = one.by.iter().map(RootfsPath::to_string).collect();
        let needed = one.weight == Weight::Needed;
        json!({"path": one.path.to_string(), "by": by, "needed": needed, "option": option, "value": value})
    });
    json!({
        "name": checked.subject.shown, "command": words, "status": checked.status.as_str(), "exit_code": code,
        "signal": signal, "timed_out": checked.watched.timed_out, "output": checked.said,
        "missing": missing.collect::<Vec<_>>(), "target": target,
    })
}
