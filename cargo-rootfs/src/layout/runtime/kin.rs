//! Packages that belong together, and what is a tool's own: dependencies, parts, modules and directories.

use super::subjects::{Reach, Subject};
use crate::packages::{Database, PackageId};
use crate::path::RootfsPath;
use crate::policy::Policy;
use crate::sysroot::Sysroot;

/// The packages that a package and its parts depend on, and behind those that have no files besides documentation, such
/// as gnupg and default-jre-headless, the packages that they depend on.
pub(super) fn needs(database: &Database, view: &Sysroot, policy: &Policy, owner: PackageId) -> Vec<PackageId> {
    let direct: Vec<PackageId> = database.parts(owner).into_iter().flat_map(|part| database.depends_on(part)).collect();
    let is_name_alone = |id: &&PackageId| is_name_alone(database, view, policy, **id);
    let behind: Vec<PackageId> = direct.iter().filter(is_name_alone).flat_map(|id| database.depends_on(*id)).collect();
    [direct, behind].concat()
}

/// Returns whether a package has nothing but documentation.
fn is_name_alone(database: &Database, view: &Sysroot, policy: &Policy, id: PackageId) -> bool {
    /// Documentation of more files comes with something that it documents.
    const MOST: usize = 64;
    let files = database.files(view, id);
    let is_directory = |path: &RootfsPath| files.iter().any(|other| other != path && other.is_within(path));
    let is_documentation = |path: &RootfsPath| policy.is_documentation(&database.package(id).name, path);
    files.len() < MOST && files.iter().all(|path| is_documentation(path) || is_directory(path))
}

/// Finds the modules that were made of the source of their script: those of its author. Python's have much that no program
/// of them reaches.
pub(super) fn own_modules(database: &Database, subjects: &mut [Subject], holders: &[Vec<PackageId>]) {
    let scripts: Vec<(String, PackageId)> = subjects
        .iter()
        .zip(holders)
        .filter(|(it, _)| it.is_named)
        .filter_map(|(it, holders)| Some((it.name.clone(), *holders.first()?)))
        .collect();
    let modules = subjects.iter_mut().zip(holders).filter(|(it, _)| it.reach == Reach::Module && !it.is_own);
    for (module, holders) in modules.filter(|(it, _)| !it.realpath.as_bytes().ends_with(b".py")) {
        let Some(&holder) = holders.first() else { continue };
        let is_its =
            |(name, owner): &(String, PackageId)| *name == module.name && database.are_of_one_source(*owner, holder);
        module.is_own = scripts.iter().any(is_its);
    }
}

/// Returns whether a file that no package has is configuration which a script of `owner` has made: in a directory of the
/// package, as /etc/chrony/chrony.conf, or under its name, as /etc/devscripts.conf.
pub(super) fn is_own_configuration(database: &Database, view: &Sysroot, owner: PackageId, path: &RootfsPath) -> bool {
    if path.components().next() != Some(b"etc") {
        return false;
    }
    let name = path.file_name();
    let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default();
    if stem == database.package(owner).name.as_bytes() {
        return true;
    }
    let is_its = |holder: &PackageId| *holder == owner || database.are_of_one_source(*holder, owner);
    of_directory(database, view, path).iter().any(is_its)
}

/// The packages of a configuration's directory, such as /etc/chrony: those of a file that a script has made there.
pub(super) fn of_directory(database: &Database, view: &Sysroot, path: &RootfsPath) -> Vec<PackageId> {
    let directory = path.parent().filter(|directory| directory.components().nth(1).is_some());
    directory.map(|directory| database.holders(view, &[directory]).concat()).unwrap_or_default()
}

/// The whole of a package that was cut in two, as python3 of python3-minimal.
pub(super) fn full_of(database: &Database, owner: PackageId) -> Option<PackageId> {
    let name = &*database.package(owner).name;
    let full = ["-minimal", "-base", "-core"].iter().find_map(|ending| name.strip_suffix(ending))?;
    database.find(full).filter(|full| database.are_of_one_source(*full, owner))
}

/// Returns whether a path below /etc counts that is no evidence elsewhere: a script that was named, and the project, open
/// the files that they name.
pub(super) fn may_open(subject: &Subject, path: &RootfsPath) -> bool {
    let is_script = subject.file.is_none() && subject.is_named;
    let is_shallow = || path.components().count() == 2;
    path.components().next() == Some(b"etc") && (is_script || subject.reach == Reach::Project && is_shallow())
}

/// Returns whether a directory has the name of the tool that names it, as /usr/lib/lua/5.4 has.
pub(super) fn is_own_directory(subject: &Subject, path: &RootfsPath) -> bool {
    /// Shorter names are words of others.
    const SHORTEST: usize = 3;
    let name = subject.name.as_bytes();
    let stem = &name[..name.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()];
    let is_its = |component: &[u8]| component == name || component == stem && stem.len() >= SHORTEST;
    subject.reach == Reach::Package && path.components().skip(1).any(is_its)
}
