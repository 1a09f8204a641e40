//! Libraries opened at run time: the origins of those that dlopen notes add, and warnings about the others.
//!
//! [`crate::resolve`] chooses the notes, finds names that may be opened, and searches for the libraries.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use super::place::{IfThere, Layout};
use super::root::Root;
use super::seeds::Resolvers;
use crate::error::{Result, Warning};
use crate::packages;
use crate::path::RootfsPath;
use crate::policy::is_rarely_opened_by;
use crate::resolve::{Closure, FileId, MayOpen, Noted, Opening, Priority};
use crate::rootfs::{Origin, Rootfs};
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// The object with the note.
fn caller(closure: &Closure, by: Option<usize>) -> &RootfsPath {
    by.map_or(&closure.realpath, |by| &closure.objects[by].realpath)
}

/// Puts the libraries of a closure's notes into the rootfs.
pub(super) fn lay_out(layout: &mut Layout<'_>, closure: &Closure) -> Result<()> {
    for noted in &closure.notes {
        let Opening::Taken { object: Some(object), .. } = noted.opening else { continue };
        let (by, note) = (caller(closure, noted.by).clone(), &noted.note);
        let origin = Origin::OpenedBy { by, priority: note.priority, feature: note.feature.clone() };
        layout.copy(&closure.objects[object].path, &origin, IfThere::Fail)?;
    }
    Ok(())
}

/// Finds libraries that the closures may open, each with the resolver of its root; drops those that `rootfs` has. A
/// library that came along for itself too, and that a program maps, is searched in the program's closure alone, which
/// knows what is loaded.
pub(super) fn find_may_open(
    view: &mut Sysroot,
    resolvers: &mut Resolvers,
    roots: &[Root],
    closures: &mut [Closure],
    rootfs: &Rootfs,
) {
    let mapped: FxHashSet<FileId> = closures.iter().flat_map(|it| &it.objects).map(|object| object.file).collect();
    let is_mapped = |root: &Root, closure: &Closure| root.is_optional && mapped.contains(&closure.id);
    for (root, closure) in roots.iter().zip(closures).filter(|(root, closure)| !is_mapped(root, closure)) {
        resolvers.of(root).find_may_open(view, closure);
        closure.may_open.retain(|it| rootfs.get(&it.library.realpath).is_none());
    }
}

/// The number of names in a warning; the others are counted.
const NAMED: usize = 6;

/// One warning about all libraries that the closures may open but that are not packed. `None` if there are none.
pub fn may_open_warning<'c>(closures: impl IntoIterator<Item = &'c Closure>) -> Option<Warning> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for closure in closures {
        let by = |it: &MayOpen| caller(closure, it.by).file_name();
        for it in closure.may_open.iter().filter(|it| !is_rarely_opened_by(by(it), &it.library.needed)) {
            named.entry(text(&it.library.needed)).or_default().insert(text(by(it)));
        }
    }
    offer(&named, "may be opened at run time", "--with-lib")
}

/// Suggests files that are not packed, each with the files that may use it, and the option that adds them.
pub(super) fn offer(named: &BTreeMap<String, BTreeSet<String>>, how: &str, option: &str) -> Option<Warning> {
    let one = |(name, by): (&String, &BTreeSet<String>)| {
        let by: Vec<_> = by.iter().map(|name| format!("`{name}`")).collect();
        format!("`{name}` (by {})", by.join(", "))
    };
    let mut shown: Vec<_> = named.iter().take(NAMED).map(one).collect();
    let (what, object) = match named.len() {
        0 => return None,
        1 => ("is", "it"),
        _ => ("are", "them"),
    };
    if named.len() > NAMED {
        shown.push(format!("{} more", named.len() - NAMED));
    }
    let last = shown.pop().unwrap_or_default();
    let list = if shown.is_empty() { last } else { format!("{} and {last}", shown.join(", ")) };
    let names: Vec<_> = named.keys().map(String::as_str).collect();
    let message = format!("{list} {how}, and {what} not packed");
    Some(Warning::new(message).help(format!("to pack {object}: {option} {}", names.join(","))))
}

/// The warnings about notes without a library, without duplicates. A missing required library is an error, reported
/// elsewhere.
pub(super) fn warnings(view: &Sysroot, closures: &[Closure], machine: Machine) -> Vec<Warning> {
    let mut said = BTreeSet::new();
    let mut warnings = Vec::new();
    for closure in closures {
        for (by, why) in &closure.bad_notes {
            let message = format!("a dlopen note of `{}` cannot be read: {why}", caller(closure, *by));
            if said.insert(message.clone()) {
                warnings.push(Warning::new(message));
            }
        }
        for noted in closure.notes.iter().filter(|noted| noted.note.priority == Priority::Recommended) {
            let Opening::NotFound(missing) = &noted.opening else { continue };
            let mut warning = not_found(noted, caller(closure, noted.by));
            if said.insert(warning.message.clone()) {
                let package = missing.iter().find_map(|it| packages::of_library(view.root(), &it.needed, machine));
                let install = package.map_or_else(String::new, |package| {
                    format!("{}, or ", packages::remedy(view.root(), Some(&package)))
                });
                warning = warning.help(format!("{install}leave out recommended libraries: --dlopen required"));
                warnings.push(warning);
            }
        }
    }
    warnings
}

fn not_found(noted: &Noted, by: &RootfsPath) -> Warning {
    let names: Vec<_> = noted.note.sonames.iter().map(|name| format!("`{}`", String::from_utf8_lossy(name))).collect();
    let Opening::NotFound(missing) = &noted.opening else { unreachable!("only what was not found") };
    let is_own = |name: &crate::elf::Bytes| noted.note.sonames.contains(name);
    let lacks: Vec<_> = missing.iter().filter(|it| !is_own(&it.needed)).map(|it| &it.needed).collect();
    let what = match (lacks.first(), missing.iter().find_map(|missing| missing.bad.as_ref())) {
        (Some(name), _) => format!("cannot be opened, because `{}` is missing", String::from_utf8_lossy(name)),
        (None, Some((path, why))) => format!("cannot be opened: `{path}`: {why}"),
        (None, None) => "not found".to_owned(),
    };
    Warning::new(format!("{} {what}; `{by}` opens it at run time ({})", names.join(" or "), noted.note))
}
