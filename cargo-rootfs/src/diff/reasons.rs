//! Reasons for files of an image without a record of them: the programs that map them, and the targets of symlinks.

use rustc_hash::FxHashMap;

use super::side::Floor;
use crate::inspect::{Found, NodeKind, Programs, View};
use crate::path::RootfsPath;
use crate::resolve::Resolver;

/// Reasons by path, and the oldest releases on which the programs run.
pub(super) struct Reasons {
    pub(super) by_path: FxHashMap<RootfsPath, String>,
    pub(super) glibc: Option<Floor>,
    pub(super) kernel: Option<Floor>,
}

pub(super) fn find(view: &mut View<'_>, programs: &Programs) -> Reasons {
    let mut found = Reasons { by_path: FxHashMap::default(), glibc: None, kernel: None };
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

fn raise(floor: &mut Option<Floor>, other: Floor) {
    if floor.as_ref().is_none_or(|floor| floor.numbers < other.numbers) {
        *floor = Some(other);
    }
}
