//! `check`: prints each command with its result as a line.

use std::cell::OnceCell;
use std::io::Write;

use camino::Utf8Path;
use serde_json::{Value, json};

use super::enter::binds;
use super::terminal::{self, Terminal};
use crate::check::{Addition, Check, Checked, Weight, with_additions};
use crate::enter::{Ended, Outcome};
use crate::error::{Error, Result};
use crate::host_files;
use crate::options::{CheckArgs, Format, Manifest};
use crate::path::RootfsPath;
use crate::pipeline::{Epoch, Session};
use crate::plan::Request;

pub(super) fn run(request: &Request<'_>, args: &CheckArgs, terminal: &Terminal) -> Result<()> {
    let epoch = Epoch::from_environment()?;
    let binds = binds(&args.enter)?;
    terminal.watch_signals()?;
    Session::new(request, terminal)?.prove()?.iter().try_for_each(|rooted| {
        let manifest = args.write.then(|| manifest(rooted.plan.manifest.as_ref())).transpose()?;
        let (words, timeout, network) = (&args.words, args.timeout, args.enter.network);
        let check = Check { rooted, words, timeout, network, binds: &binds, epoch, database: OnceCell::new() };
        let report = check.run(terminal, &mut |checked| {
            let line = match terminal.format() {
                Format::Human => format!("{:<6} {}\n", checked.tried.status.as_str(), checked.subject.shown),
                Format::Json => terminal::line("rootfs-check", &json(checked, rooted.plan.target.triple())),
            };
            terminal.result(line.as_bytes())
        })?;
        let Some(manifest) = manifest.filter(|_| !report.additions.is_empty()) else {
            return Error::all(report.errors);
        };
        write(manifest, &report.additions)?;
        terminal.status("Writing", format_args!("{}", manifest.path));
        // With the additions that were just written, they work.
        if report.is_remedied { Ok(()) } else { Error::all(report.errors) }
    })
}

/// The file that `--write` changes.
fn manifest(manifest: Option<&Manifest>) -> Result<&Manifest> {
    manifest.ok_or_else(|| {
        Error::usage("--write adds missing files to Cargo.toml, and no project is selected")
            .help("run it in a project, without --tools-only and --binary")
    })
}

/// Writes additions into a manifest, all or none.
fn write(manifest: &Manifest, additions: &[Addition]) -> Result<()> {
    let path = &manifest.path;
    let failed = |error| Error::io("write", path, error);
    let text = host_files::text(path).or_cannot("read")?;
    let Some(edited) = with_additions(&text, manifest.table, additions) else {
        let error = Error::failed(format!(
            "cannot add to `{path}`: its table `{}.metadata.rootfs` is written in an unusual way",
            manifest.table
        ));
        let line = |(key, names): &Addition| format!("{key} = {names:?}");
        return Err(additions.iter().map(line).fold(error, Error::detail).help("add these lines to it by hand"));
    };
    let folder = path.parent().unwrap_or(Utf8Path::new("."));
    let mode = host_files::metadata(path).or_cannot("write")?.permissions();
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(edited.as_bytes()).map_err(failed)?;
    file.as_file().set_permissions(mode).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn json(checked: &Checked<'_>, target: &str) -> Value {
    let words: Vec<_> = checked.subject.words.iter().map(|word| word.to_string_lossy()).collect();
    let tried = &checked.tried;
    let (code, signal) = match &tried.watched.outcome {
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
        "name": checked.subject.shown, "command": words, "status": tried.status.as_str(), "exit_code": code,
        "signal": signal, "timed_out": tried.watched.timed_out, "output": tried.said,
        "missing": missing.collect::<Vec<_>>(), "target": target,
        "advice": {"options": checked.pasted(), "works": checked.advice.works, "refused": checked.advice.refused},
    })
}
