//! Errors for paths that are not in a rootfs, although an object refers to them.

use std::cmp::Reverse;

use camino::Utf8Path;

use crate::error::Error;
use crate::path::RootfsPath;
use crate::resolve::{Closure, Loaded, Note, Noted, Opening};
use crate::rootfs::{Entry, Rootfs};

/// The closure of each executable, by the name that requested it.
type Closures = [(String, Closure)];

/// The paths that `typed` means: itself if it is absolute, or else all entries with that file name.
pub fn named(rootfs: &Rootfs, typed: &str) -> Vec<RootfsPath> {
    match RootfsPath::from_bytes(typed.as_bytes()) {
        Some(path) => Some(path).filter(|path| !rootfs.way(path).is_empty()).into_iter().collect(),
        None => of_name(rootfs, typed).cloned().collect(),
    }
}

/// The entries of the package `name`, the largest first.
pub fn owned<'r>(rootfs: &'r Rootfs, name: &str) -> Vec<(&'r RootfsPath, &'r Entry)> {
    let is_owner = |entry: &Entry| entry.package.as_deref().is_some_and(|package| *package.name == *name);
    let mut owned: Vec<_> = rootfs.iter().filter(|(_, entry)| is_owner(entry)).collect();
    owned.sort_by_key(|(path, entry)| (Reverse(entry.size()), *path));
    owned
}

fn of_name<'r>(rootfs: &'r Rootfs, name: &str) -> impl Iterator<Item = &'r RootfsPath> {
    rootfs.iter().map(|(path, _)| path).filter(move |path| path.file_name() == name.as_bytes())
}

/// The error for a path or name that is not in the rootfs for `target`; it names the object that refers to it.
pub fn absent(rootfs: &Rootfs, closures: &Closures, typed: &str, target: &str) -> Error {
    let error = Error::failed(format!("`{typed}` is not in the rootfs for {target}"));
    let name = Utf8Path::new(typed).file_name().unwrap_or(typed);
    if let Some((noted, by)) = left_out(closures, name) {
        let priority = noted.note.priority;
        let error = error.detail(format!("left out: a dlopen note of {by} names it ({})", noted.note));
        return match noted.opening {
            Opening::LeftOut => error.help(format!("add it by `--dlopen {priority}`")),
            _ => error.detail("it, or a file that it needs, is not in the sysroot"),
        };
    }
    if let Some(by) = given(closures, name) {
        return error
            .detail(format!("needed by {by}, and left to the target by --allow-missing"))
            .help(format!("pack it: --with-lib {name}, without --allow-missing"));
    }
    if let Some((library, by)) = may_open(closures, name) {
        let error = error.detail(format!("{by} may open it at run time, and no note says so"));
        return error.help(format!("add it: --with-lib {library}"));
    }
    match of_name(rootfs, name).next() {
        Some(near) => error.help(format!("`{near}` is")),
        None => error.help("`cargo rootfs tree` shows the contents of the rootfs"),
    }
}

/// The dlopen note that names `soname` without a packed library, and its object.
fn left_out<'c>(closures: &'c Closures, soname: &str) -> Option<(&'c Noted, &'c RootfsPath)> {
    let mut noted = not_taken(closures);
    noted.find(|(noted, _)| noted.note.sonames.iter().any(|name| **name == *soname.as_bytes()))
}

/// All dlopen notes without a packed library, each with its object.
fn not_taken(closures: &Closures) -> impl Iterator<Item = (&Noted, &RootfsPath)> {
    let all = closures.iter().flat_map(|(_, closure)| closure.notes.iter().map(move |noted| (noted, closure)));
    all.filter(|(noted, _)| !matches!(noted.opening, Opening::Taken { .. }))
        .map(|(noted, closure)| (noted, noted.by.map_or(&closure.realpath, |by| &closure.objects[by].realpath)))
}

/// The object that needs the library `name`, which the target provides.
fn given<'c>(closures: &'c Closures, name: &str) -> Option<&'c RootfsPath> {
    let mut all = closures.iter().flat_map(|(_, closure)| &closure.given);
    all.find(|given| *given.needed == *name.as_bytes()).map(|given| &given.needed_by)
}

/// The soname by which `name` may be opened without a note, and the object that may open it.
fn may_open<'c>(closures: &'c Closures, name: &str) -> Option<(String, &'c RootfsPath)> {
    closures.iter().find_map(|(_, closure)| {
        let is_it = |library: &Loaded| {
            let names = [&*library.needed, library.path.file_name(), library.realpath.file_name()];
            names.contains(&name.as_bytes())
        };
        let found = closure.may_open.iter().find(|it| is_it(&it.library))?;
        let by = found.by.map_or(&closure.realpath, |by| &closure.objects[by].realpath);
        Some((String::from_utf8_lossy(&found.library.needed).into_owned(), by))
    })
}

/// The dlopen notes of the object at `path` without a packed library.
pub fn left_out_by<'c>(closures: &'c Closures, path: &RootfsPath) -> Vec<&'c Note> {
    let mut notes: Vec<&Note> = Vec::new();
    for (noted, by) in not_taken(closures) {
        if by == path && !notes.contains(&&*noted.note) {
            notes.push(&noted.note);
        }
    }
    notes
}

/// The libraries of a note; any one of them suffices.
pub fn sonames(note: &Note) -> String {
    note.sonames.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rootfs::{Body, Kind, Origin, OwningPackage};

    #[test]
    fn files_of_a_package_are_found_by_its_name() {
        let mut rootfs = Rootfs::default();
        for (path, size, package) in [("/a", 1, "x"), ("/b", 3, "x"), ("/c", 3, "x"), ("/x", 9, "xy"), ("/d", 5, "")] {
            let kind = Kind::File(Body::Bytes(vec![0; size].into()));
            let mut entry = Entry::new(kind, 0o644, Origin::Tool("t".to_owned()));
            let owner = |name: &str| OwningPackage {
                name: name.into(),
                version: "1".into(),
                architecture: "all".into(),
                source: None,
            };
            entry.package = (!package.is_empty()).then(|| Arc::new(owner(package)));
            rootfs.insert(RootfsPath::parse(path).unwrap(), entry);
        }
        let found: Vec<String> = owned(&rootfs, "x").iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(found, ["/b", "/c", "/a"]);
        assert_eq!(owned(&rootfs, "").len(), 0);
    }
}
