//! `report`: writes the sizes of the rootfs of the same options as a page.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use super::terminal::{self, Terminal, bytes};
use crate::error::Result;
use crate::layers::{Layered, Origins, Partition};
use crate::options::{Format, ReportArgs};
use crate::path::RootfsPath;
use crate::pipeline::{Rooted, Session};
use crate::plan::Request;
use crate::report::{self, Pictured};
use crate::write;

pub(super) fn run(request: &Request<'_>, args: &ReportArgs, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    let mut proved = Session::new(request, terminal)?.prove()?;
    proved.iter_mut().for_each(|one| one.assembly.find_owners());
    let pictured: Vec<Pictured<'_>> = proved.iter().map(picture).collect();
    let page = report::page(&pictured);
    let path = args.output.as_deref().unwrap_or("rootfs-report.html".into());
    if write::is_stdout(path.as_std_path()) {
        return terminal.result(page.as_bytes());
    }
    write::small_file(path.as_std_path(), page.as_bytes())?;
    terminal.status("Finished", format_args!("a page of {}: open it in a browser", bytes(page.len() as u64)));
    let line = match terminal.format() {
        Format::Human => format!("{path}\n"),
        Format::Json => terminal::line("rootfs-report", &json!({"path": path})),
    };
    terminal.result(line.as_bytes())
}

fn picture(one: &Rooted) -> Pictured<'_> {
    let rootfs = &one.assembly.rootfs;
    Pictured {
        name: one.plan.name.clone(),
        target: one.plan.target.triple(),
        rootfs,
        layers: layers(one),
        closures: &one.assembly.closures,
    }
}

/// The layers of the image of this rootfs.
pub(super) fn partition(one: &Rooted) -> Partition {
    let project: Vec<PathBuf> = one.artifacts.build_tree.iter().map(|path| path.as_std_path().to_owned()).collect();
    let origins = Origins { project: &project, sysroot: one.sysroot().as_std_path() };
    Partition::new(Layered::Split, &one.assembly.rootfs, origins)
}

/// Each layer's description and paths.
fn layers(one: &Rooted) -> Vec<(String, BTreeSet<RootfsPath>)> {
    let (rootfs, partition) = (&one.assembly.rootfs, partition(one));
    let mut layers: Vec<(String, BTreeSet<RootfsPath>)> =
        partition.comments().iter().map(|comment| (comment.clone(), BTreeSet::new())).collect();
    for (path, _) in rootfs.iter() {
        for layer in partition.of(path) {
            layers[layer].1.insert(path.clone());
        }
    }
    layers
}
