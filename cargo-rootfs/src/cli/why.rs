//! `why PATH`: an absolute path, a file name in the rootfs, or a package.

use serde_json::json;

use super::report::partition;
use super::terminal::{self, Terminal, bytes};
use crate::error::{Error, Result};
use crate::options::Format;
use crate::path::RootfsPath;
use crate::pipeline::{Rooted, Session};
use crate::plan::Request;
use crate::report;
use crate::rootfs::{Entry, Kind, Origin, OwningPackage};
use crate::wording::lines_and_more;

pub(super) fn run(request: &Request<'_>, file: &str, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    let mut proved = Session::new(request, terminal)?.prove()?;
    proved.iter_mut().for_each(|one| one.assembly.find_owners());
    Error::all(proved.iter().filter_map(|one| answer(one, file, terminal).err()).collect())
}

/// The number of named files of a package.
const NAMED: usize = 12;

fn in_files(size: u64, count: usize) -> String {
    format!("size    {} in {count} {}", bytes(size), if count == 1 { "file" } else { "files" })
}

/// A package, its size and its largest files; empty without any.
fn package(owned: &[(&RootfsPath, &Entry)]) -> String {
    let Some(package) = owned.first().and_then(|(_, entry)| entry.package.as_ref()) else { return String::new() };
    let files: Vec<_> = owned.iter().filter(|(_, entry)| entry.is_file()).collect();
    let size = in_files(files.iter().map(|(_, entry)| entry.size()).sum(), files.len());
    let named = files.iter().map(|(path, entry)| format!("{path}  {}", bytes(entry.size())));
    let named = lines_and_more(named, NAMED).into_iter().map(|line| format!("        {line}\n"));
    format!("package {package}\n    {size}\n{}", named.collect::<String>())
}

fn answer(one: &Rooted, file: &str, terminal: &Terminal) -> Result<()> {
    let (rootfs, closures, target) = (&one.assembly.rootfs, &one.assembly.closures, one.plan.target.triple());
    let (mut asked, owned) = (report::named(rootfs, file), report::owned(rootfs, file));
    if asked.is_empty() && owned.is_empty() {
        return Err(report::absent(rootfs, closures, file, target));
    }
    match terminal.format() {
        Format::Human => terminal.result(package(&owned).as_bytes())?,
        Format::Json => asked
            .extend(owned.iter().map(|(path, _)| (*path).clone()).filter(|path| path.file_name() != file.as_bytes())),
    }
    let partition = partition(one);
    let layers = |path: &RootfsPath| -> Vec<&str> {
        partition.of(path).filter_map(|layer| Some(partition.comments().get(layer)?.as_str())).collect()
    };
    let facts = |path: &RootfsPath, entry: &Entry| {
        let (size, count) = report::sum(rootfs, path);
        let size = match &entry.kind {
            Kind::Dir => in_files(size, count),
            Kind::File(_) => format!("size    {}", bytes(size)),
            Kind::Symlink(_) | Kind::Hardlink(_) => "size    none of its own".to_owned(),
        };
        let layer = match layers(path)[..] {
            [layer] => format!("layer   {layer}"),
            ref layers => format!("layers  {} of {}", layers.len(), partition.comments().len()),
        };
        vec![size, layer]
    };
    for path in &asked {
        let mut text = Vec::new();
        match terminal.format() {
            Format::Human => {
                report::why_with(&mut text, rootfs, path, &facts)
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
                    let (size, count) = report::sum(rootfs, &path);
                    (fields["size"], fields["layers"]) = (json!(size), json!(layers(&path)));
                    if matches!(entry.kind, Kind::Dir) {
                        fields["files"] = json!(count);
                    }
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
