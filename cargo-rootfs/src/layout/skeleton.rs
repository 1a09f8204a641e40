//! The requests of a template: its own entries, and files from the sysroot.
//!
//! [`crate::template`] has parsed and checked it.

use super::place::{IfThere, Layout};
use crate::error::Warning;
use crate::rootfs::{Body, Entry, Kind, Origin};
use crate::shortage::{Fault, Shortage};
use crate::template::{IfMissing, TemplateEntry, TemplateKind};

pub(super) fn put(layout: &mut Layout<'_>, entry: &TemplateEntry, warnings: &mut Vec<Warning>) -> Result<(), Fault> {
    let origin = Origin::Template(entry.template.to_string());
    let mut links = &[][..];
    let kind = match &entry.kind {
        TemplateKind::Dir => Kind::Dir,
        TemplateKind::File(body) => Kind::File(body.clone()),
        TemplateKind::Symlink(target) => Kind::Symlink(target.clone()),
        TemplateKind::FromSysroot(wanted) => {
            links = &wanted.also_at;
            if let Some(taken) = wanted.candidates.iter().find(|candidate| layout.exists(candidate)) {
                layout.copy_tree(taken, &wanted.exclude, &origin)?;
                links.iter().try_for_each(|place| layout.symlink(place, taken, &origin))?;
                return Ok(());
            }
            match (layout.joined(&wanted.or_join)?, &wanted.missing) {
                (Some(bytes), _) => Kind::File(Body::Bytes(bytes)),
                (None, IfMissing::Fallback(body)) => Kind::File(body.clone()),
                (None, IfMissing::Fail) => {
                    let shortage = wanted.package.clone().map(Shortage::Package);
                    return Err(Fault::short(wanted.error(&entry.template), shortage));
                }
                (None, IfMissing::Warn) => {
                    warnings.push(wanted.warning(&entry.template));
                    return Ok(());
                }
            }
        }
    };
    let mut planned = Entry::new(kind, entry.mode, origin.clone());
    (planned.uid, planned.gid) = (entry.uid, entry.gid);
    layout.put(&entry.path, planned, IfThere::Adjust)?;
    Ok(links.iter().try_for_each(|place| layout.symlink(place, &entry.path, &origin))?)
}
