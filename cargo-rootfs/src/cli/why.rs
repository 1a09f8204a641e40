//! `why PATH`: an absolute path, or a name that entries of the rootfs have.

use serde_json::json;

use super::terminal::{self, Terminal};
use crate::error::{Error, Result};
use crate::options::Format;
use crate::pipeline::{Rooted, Session};
use crate::plan::Request;
use crate::report;
use crate::rootfs::{Origin, OwningPackage};

pub(super) fn run(request: &Request<'_>, file: &str, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    let mut proved = Session::new(request, terminal)?.prove()?;
    proved.iter_mut().try_for_each(|one| one.assembly.find_owners())?;
    Error::all(proved.iter().filter_map(|one| answer(one, file, terminal).err()).collect())
}

fn answer(one: &Rooted, file: &str, terminal: &Terminal) -> Result<()> {
    let (rootfs, closures, target) = (&one.assembly.rootfs, &one.assembly.closures, one.plan.target.triple());
    let asked = report::named(rootfs, file);
    if asked.is_empty() {
        return Err(report::absent(rootfs, closures, file, target));
    }
    for path in &asked {
        let mut text = Vec::new();
        match terminal.format() {
            Format::Human => {
                report::why(&mut text, rootfs, path)
                    .map_err(|error| Error::failed("cannot write a report").with_source(error))?;
                let file = rootfs.way(path).pop().map(|(path, _)| path);
                for note in file.iter().flat_map(|file| report::left_out_by(closures, file)) {
                    text.extend(format!("    leaves out {} ({note})\n", report::sonames(note)).into_bytes());
                }
            }
            Format::Json => {
                for (path, entry) in rootfs.way(path) {
                    let origins: Vec<String> = entry.origins.iter().map(Origin::to_string).collect();
                    let left_out: Vec<_> =
                        report::left_out_by(closures, &path).into_iter().map(report::sonames).collect();
                    let mut fields = json!({"path": path.to_string(), "origins": origins, "target": target});
                    if !left_out.is_empty() {
                        fields["left_out"] = json!(left_out);
                    }
                    if let Some(OwningPackage { name, version, architecture, source }) = entry.package.as_deref() {
                        fields["package"] =
                            json!({"name": name, "version": version, "architecture": architecture, "source": source});
                    }
                    text.extend(terminal::line("rootfs-entry", &fields).into_bytes());
                }
            }
        }
        terminal.result(&text)?;
    }
    Ok(())
}
