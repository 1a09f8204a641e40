//! Puts closures into the rootfs, and lists what the proof must find there again.
//!
//! It does not search for objects again; the proof does.

use super::opened;
use super::place::{IfThere, Layout};
use super::root::Root;
use super::usr_merge::second_name;
use crate::error::Result;
use crate::path::RootfsPath;
use crate::proof::Claim;
use crate::resolve::{Closure, Files, Find, Loaded};
use crate::rootfs::{Origin, Rootfs};
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// Lays out every closure, and returns the claims for the proof.
pub(super) fn lay_out(
    layout: &mut Layout<'_>,
    roots: &[Root],
    closures: &[Closure],
    machine: Machine,
) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for (root, closure) in roots.iter().zip(closures) {
        layout.copy(&root.path, &root.origin, IfThere::Fail)?;
        if let Some((path, _)) = &closure.interpreter {
            layout.copy(path, &Origin::InterpreterOf(closure.realpath.clone()), IfThere::Fail)?;
        }
        needs(layout, closure, |by, _| Origin::NeededBy(by))?;
        claims.push(Claim::new(closure, root.start.clone(), vec![root.path.clone()], machine, layout.view));
    }
    Ok(claims)
}

/// Lays out the objects of a closure; `origin` returns the origin of each from the object that needs it.
pub(super) fn needs(
    layout: &mut Layout<'_>,
    closure: &Closure,
    origin: impl Fn(RootfsPath, &Loaded) -> Origin,
) -> Result<()> {
    let mut needed_by: Vec<Vec<&RootfsPath>> = vec![Vec::new(); closure.objects.len()];
    for (parent, child) in &closure.edges {
        needed_by[*child].push(parent.map_or(&closure.realpath, |parent| &closure.objects[parent].realpath));
    }
    for (object, parents) in closure.objects.iter().zip(needed_by) {
        for parent in parents {
            layout.copy(&object.path, &origin(parent.clone(), object), IfThere::Fail)?;
        }
    }
    for other in &closure.other_names {
        let parent = other.needed_by.map_or(&closure.realpath, |parent| &closure.objects[parent].realpath);
        layout.copy(&other.found.path, &origin(parent.clone(), &other.found), IfThere::Fail)?;
    }
    opened::lay_out(layout, closure)
}

/// Adds to each claim of a tool its second name (`/bin/sh` beside `/usr/bin/sh`), if the rootfs has it.
pub(super) fn with_names(mut claims: Vec<Claim>, roots: &[Root], rootfs: &Rootfs, view: &mut Sysroot) -> Vec<Claim> {
    for (claim, root) in claims.iter_mut().zip(roots.iter()) {
        if !root.is_tool {
            continue;
        }
        if let Some(second) = second_name(&root.path) {
            // If the sysroot has another file there, the names never meant the same tool.
            let same = match (view.find(&second), view.find(&root.path)) {
                (Find::File { file: a, .. }, Find::File { file: b, .. }) => a == b,
                (Find::Absent, _) => rootfs.get(&second).is_some(),
                _ => false,
            };
            if same {
                claim.names.push(second);
            }
        }
    }
    claims
}
