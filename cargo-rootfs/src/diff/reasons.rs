//! Reasons for files of an image: those in its bill of materials; without one, the programs that map them, and the
//! targets of symlinks.

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::side::Floor;
use crate::inspect::{Found, Inspected, NodeKind, Programs, View};
use crate::path::RootfsPath;
use crate::resolve::Resolver;
use crate::sbom::{Format, REASON};

/// The media types of bills of materials.
pub(crate) const BILLS: [&str; 2] = [Format::Spdx.media_type(), Format::CycloneDx.media_type()];

/// Reasons by path, and the oldest releases on which the programs run.
pub(super) struct Reasons {
    pub(super) by_path: FxHashMap<RootfsPath, String>,
    pub(super) glibc: Option<Floor>,
    pub(super) kernel: Option<Floor>,
}

/// Finds the reasons in an image.
pub(super) fn find(view: &mut View<'_>, programs: &Programs, image: &Inspected) -> Reasons {
    let of_bills = image.documents.iter().flat_map(|bill| of_bill(bill)).collect();
    let mut found = Reasons { by_path: of_bills, glibc: None, kernel: None };
    for (key, reason) in [("Entrypoint", "the image's entrypoint"), ("Cmd", "the image's command")] {
        let program = image.config["config"][key][0].as_str().and_then(|path| RootfsPath::parse(path).ok());
        program.map(|path| found.by_path.entry(path).or_insert_with(|| reason.to_owned()));
    }
    let mut resolver = Resolver::new(Vec::new(), None);
    let all = programs.programs.iter().chain(programs.libraries.iter().map(|(path, _)| path));
    for path in all {
        let Ok(closure) = resolver.closure(view, path) else { continue };
        if let Some((_, Some((interpreter, _)))) = &closure.interpreter {
            found.by_path.entry(interpreter.clone()).or_insert_with(|| format!("interpreter of {path}"));
        }
        for (parent, child) in &closure.edges {
            let by = parent.map_or(&closure.realpath, |parent| &closure.objects[parent].realpath);
            let reason = || format!("needed by {by}");
            found.by_path.entry(closure.objects[*child].realpath.clone()).or_insert_with(reason);
        }
        let object = |at: Option<usize>| at.map_or(&closure.realpath, |at| &closure.objects[at].realpath).clone();
        if let Some((release, by)) = closure.runs_on.glibc {
            let floor = Floor { version: release.to_string(), numbers: release.numbers().to_vec(), by: object(by) };
            raise(&mut found.glibc, floor);
        }
        if let Some(((major, minor, patch), by)) = closure.runs_on.kernel {
            let version = format!("{major}.{minor}.{patch}");
            raise(&mut found.kernel, Floor { version, numbers: vec![major, minor, patch], by: object(by) });
        }
    }
    for (path, node) in view.tree.iter().filter(|(_, node)| matches!(node.kind, NodeKind::Symlink(_))) {
        debug_assert!(node.content().is_none());
        if let Found::Node(real, _) = view.tree.find(path) {
            found.by_path.entry(path.clone()).or_insert_with(|| format!("leads to {real}"));
        }
    }
    found
}

/// The reasons in a bill of materials of this program, in either format.
fn of_bill(text: &[u8]) -> Vec<(RootfsPath, String)> {
    let bill: Value = serde_json::from_slice(text).unwrap_or_default();
    let all = |key: &str| bill[key].as_array().into_iter().flatten();
    // Comments of other programs are other facts.
    let creators = bill["creationInfo"]["creators"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let is_ours = creators.into_iter().any(|creator| creator.starts_with("Tool: cargo-rootfs"));
    let of_spdx = all("files")
        .filter(|_| is_ours)
        .filter_map(|file| Some((file["fileName"].as_str()?.to_owned(), file["comment"].as_str()?.to_owned())));
    // Files of packages are in their components.
    let nested = |one: &Value| one["components"].as_array().cloned().unwrap_or_default();
    let of_cyclonedx =
        all("components").flat_map(|one| nested(one).into_iter().chain([one.clone()])).filter_map(|file| {
            let properties = file["properties"].as_array()?.iter().filter(|it| it["name"] == REASON);
            let reasons: Vec<&str> = properties.filter_map(|it| it["value"].as_str()).collect();
            Some((file["name"].as_str()?.to_owned(), reasons.join("; "))).filter(|(_, reasons)| !reasons.is_empty())
        });
    let parsed = of_spdx
        .chain(of_cyclonedx)
        .map(|(path, reason)| Some((RootfsPath::parse(path.trim_start_matches('.')).ok()?, reason)));
    parsed.flatten().collect()
}

fn raise(floor: &mut Option<Floor>, other: Floor) {
    if floor.as_ref().is_none_or(|floor| floor.numbers < other.numbers) {
        *floor = Some(other);
    }
}
