//! What dlopen notes add to a rootfs: why each library is there, and what is to be said of those that are not.
//!
//! Which notes are followed, and where their libraries are, is [`crate::resolve`]'s.

use std::collections::BTreeSet;

use super::place::Layout;
use crate::error::{Result, Warning};
use crate::packages;
use crate::path::RootfsPath;
use crate::resolve::{Closure, Noted, Opening, Priority};
use crate::rootfs::Origin;
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// The object that has the note.
fn caller(closure: &Closure, by: Option<usize>) -> &RootfsPath {
    by.map_or(&closure.realpath, |by| &closure.objects[by].realpath)
}

/// Puts what the notes of a closure add.
pub(super) fn lay_out(layout: &mut Layout<'_>, closure: &Closure) -> Result<()> {
    for noted in &closure.notes {
        let Opening::Taken { object: Some(object), .. } = noted.opening else { continue };
        let (by, note) = (caller(closure, noted.by).clone(), &noted.note);
        let origin = Origin::OpenedBy { by, priority: note.priority, feature: note.feature.clone() };
        layout.path(&closure.objects[object].path, &origin)?;
    }
    Ok(())
}

/// The files of the closures that open libraries and do not say which.
pub(super) fn unnoted(view: &mut Sysroot, closures: &[Closure]) -> Vec<RootfsPath> {
    let mut seen = BTreeSet::new();
    let mut paths = Vec::new();
    for closure in closures {
        let objects = closure.objects.iter().map(|object| (object.file, &object.realpath));
        for (file, path) in std::iter::once((closure.id, &closure.realpath)).chain(objects) {
            if seen.insert(file) && view.opens_unnoted(file) {
                paths.push(path.clone());
            }
        }
    }
    paths
}

/// How many files are named before the rest are counted.
const NAMED: usize = 4;

/// One warning for all of them: what no header tells has to be named. `None` where there are none.
pub fn unnoted_warning<'p>(paths: impl IntoIterator<Item = &'p RootfsPath>) -> Option<Warning> {
    let names: BTreeSet<_> = paths.into_iter().map(RootfsPath::file_name).collect();
    let shown: Vec<_> = names.iter().take(NAMED).map(|name| format!("`{}`", String::from_utf8_lossy(name))).collect();
    let what = match names.len() {
        0 => return None,
        1 => "calls dlopen and has no notes that say what for: name what it opens by `--with-lib`",
        _ => "call dlopen and have no notes that say what for: name what they open by `--with-lib`",
    };
    let more = names.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some(Warning::new(format!("{}{more} {what}", shown.join(", "))))
}

/// What is not as the notes would have it, each thing once. What is required is an error of its own.
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
                let install =
                    package.map_or_else(String::new, |package| format!("install {package} in the sysroot, or "));
                warning = warning.help(format!("{install}leave out what is only recommended by `--dlopen required`"));
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
        (Some(name), _) => format!("cannot be opened, for `{}` is missing", String::from_utf8_lossy(name)),
        (None, Some((path, why))) => format!("cannot be opened: `{path}`: {why}"),
        (None, None) => "not found".to_owned(),
    };
    Warning::new(format!("{} {what}; `{by}` opens it at run time ({})", names.join(" or "), noted.note))
}
