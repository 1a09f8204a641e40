//! The paths of a sysroot that match a glob.

use super::{End, Sysroot};
use crate::glob::{Glob, Part};
use crate::path::RootfsPath;

/// The maximum number of paths for one pattern.
const MAX_PATHS: usize = 1 << 20;

impl Sysroot {
    /// The files and directories that match an absolute pattern, sorted, without duplicates.
    pub(crate) fn expand(&mut self, glob: &Glob) -> Vec<RootfsPath> {
        let mut found = Vec::new();
        if glob.is_absolute {
            below(self, RootfsPath::root(), &glob.parts, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn below(view: &mut Sysroot, at: RootfsPath, parts: &[Part], found: &mut Vec<RootfsPath>) {
    if found.len() >= MAX_PATHS {
        return;
    }
    let Some((part, rest)) = parts.split_first() else { return found.push(at) };
    match part {
        Part::Text(name) => {
            let next = at.child(name);
            // Of consecutive names only the last one is looked up: it exists only if the others do.
            let is_there = match rest.first() {
                Some(Part::Text(_)) => true,
                _ => match view.follow(&next, None).1 {
                    End::Dir(_) => true,
                    End::File(_) => rest.is_empty(),
                    _ => false,
                },
            };
            if is_there {
                below(view, next, rest, found);
            }
        }
        Part::Wild(_) => {
            for name in view.names(&at).into_iter().filter(|name| part.matches(name)) {
                let next = at.child(&name);
                // A listed name exists, except for a dangling symlink.
                if rest.is_empty() || matches!(view.follow(&next, None).1, End::Dir(_)) {
                    below(view, next, rest, found);
                }
            }
        }
        Part::Any => {
            below(view, at.clone(), rest, found);
            for name in view.names(&at) {
                let next = at.child(&name);
                let walk = view.walk(&next);
                match walk.end {
                    // Symlinks to directories could form cycles.
                    End::Dir(_) if walk.links.is_empty() => below(view, next, parts, found),
                    End::File(_) if rest.is_empty() => found.push(next),
                    _ => {}
                }
            }
        }
    }
}
