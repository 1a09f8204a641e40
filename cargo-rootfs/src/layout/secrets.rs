//! Secrets of a sysroot: files that are taken only by their own names, and never with their directory or package.
//!
//! [`Policy`] judges by path, owner and mode, and keys by their bytes. Files that ELF files need, or that were
//! requested by path, are not judged.

use crate::path::RootfsPath;
pub(crate) use crate::policy::Secret;
use crate::policy::{LONGEST_KEY, Policy};
use crate::sysroot::{End, Sysroot};

/// The reason why the file or directory at `path` of the sysroot, or its target, is not packed.
pub(crate) fn of(view: &mut Sysroot, policy: &Policy, path: &RootfsPath) -> Option<Secret> {
    judged(view, policy, path, &[])
}

/// The same for files of tools below the prefixes `named`, which are those of tools named by path.
pub(super) fn judged(view: &mut Sysroot, policy: &Policy, path: &RootfsPath, named: &[RootfsPath]) -> Option<Secret> {
    let secrets = policy.secrets();
    if named.iter().any(|prefix| path.is_within(prefix)) {
        return below_named(view, policy, path);
    }
    if let Some(secret) = secrets.of_path(path) {
        return Some(secret);
    }
    let walk = view.walk(path);
    if let Some(secret) = Some(&walk.path).filter(|real| *real != path).and_then(|real| secrets.of_path(real)) {
        return Some(secret);
    }
    let End::File(file) = walk.end else { return None };
    // The project's files do not belong to the sysroot.
    if view.is_outside(&walk.path) {
        return None;
    }
    let root = view.owner();
    let info = view.info(file);
    let by_owner = secrets.of_owner(&walk.path, info.uid, root).or_else(|| secrets.of_mode(&walk.path, info.mode));
    by_owner.or_else(|| {
        let may_be = info.host.size <= LONGEST_KEY && secrets.may_hold_key(&walk.path);
        (may_be && secrets.is_key(&view.head(file, LONGEST_KEY))).then_some(Secret::Key)
    })
}

fn below_named(view: &mut Sysroot, policy: &Policy, path: &RootfsPath) -> Option<Secret> {
    let secrets = policy.secrets();
    let walk = view.walk(path);
    if let Some(secret) = [path, &walk.path].into_iter().find_map(|path| secrets.of_path_below_named(path)) {
        return Some(secret);
    }
    let End::File(file) = walk.end else { return None };
    let may_be = view.info(file).host.size <= LONGEST_KEY && secrets.may_hold_key(&walk.path);
    (may_be && secrets.is_key(&view.head(file, LONGEST_KEY))).then_some(Secret::Key)
}
