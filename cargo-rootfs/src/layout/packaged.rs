//! Packages of the sysroot's distribution: `--with-package` takes whole packages with their dependencies, and
//! `--runtime packages` takes the rest of each tool's own package.
//!
//! [`crate::packages`] reads the database, and [`super::take`] decides which files get a closure.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::installed::Installed;
use super::root::Root;
use super::take::{Taken, Taking};
use crate::error::{Error, Warning};
use crate::packages::{Database, PackageId};
use crate::path::RootfsPath;
use crate::policy::Policy;
use crate::rootfs::Origin;
use crate::shortage::{Fault, Shortage};
use crate::sysroot::Sysroot;
use crate::target::Machine;
use crate::wording::{and_more, did_you_mean};

/// The number of names in a line; the others are counted.
const NAMED: usize = 6;

/// The files taken from packages.
pub(super) struct Packaged {
    pub(super) taken: Taken,
    /// The files among them that get a closure.
    pub(super) roots: Vec<Root>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
}

/// A requested package, and the reason.
struct Wanted {
    id: PackageId,
    because: Arc<str>,
}

/// Takes the packages called `names` with their dependencies, and for each of `tools` (as typed, and its path) the rest
/// of its own package and of packages split from it.
pub(super) fn take(
    view: &mut Sysroot,
    policy: &Arc<Policy>,
    installed: &Installed,
    names: &[String],
    tools: &[(String, RootfsPath)],
) -> Packaged {
    let (taken, roots, faults, warnings) = (Taken::new(policy), Vec::new(), Vec::new(), Vec::new());
    let mut packaged = Packaged { taken, roots, faults, warnings };
    if names.is_empty() && tools.is_empty() {
        return packaged;
    }
    let machine = installed.machine();
    let Some(database) = installed.database(view) else {
        let flag = if names.is_empty() { "--runtime packages" } else { "--with-package" };
        packaged.faults.push(no_database(view, flag).into());
        return packaged;
    };
    let mut wanted = packaged.by_name(view, &database, names);
    wanted.extend(packaged.of_tools(view, &database, tools));

    let mut seen = BTreeSet::new();
    wanted.retain(|it| seen.insert((it.id, Arc::clone(&it.because))));
    let mut real = FxHashMap::default();
    for one in &wanted {
        packaged.one(view, &database, machine, one, &mut real);
    }
    packaged.alternatives(view, &database, machine, &real);
    packaged
}

impl Packaged {
    fn by_name(&mut self, view: &Sysroot, database: &Database, names: &[String]) -> Vec<Wanted> {
        let mut asked = Vec::new();
        for name in names {
            match database.find(name) {
                Some(id) => asked.push((id, name)),
                None if name.is_empty() => {
                    self.faults.push(Error::usage("--with-package was given an empty name").into());
                }
                None => self.faults.push(unknown(view, database, name)),
            }
        }
        let found = database.dependencies(&asked.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        if !found.missing.is_empty() {
            let line = |(id, what): &(PackageId, String)| format!("`{what}` (by {})", database.package(*id).name);
            let missing: BTreeSet<_> = found.missing.iter().map(line).collect();
            let message = format!("dependencies are not in the sysroot: {}", and_more(missing.iter(), NAMED));
            self.warnings.push(Warning::new(message));
        }
        let because: Vec<Arc<str>> = asked.iter().map(|(_, name)| format!("--with-package {name}").into()).collect();
        found.packages.into_iter().map(|(id, place)| Wanted { id, because: Arc::clone(&because[place]) }).collect()
    }

    fn of_tools(&mut self, view: &mut Sysroot, database: &Database, tools: &[(String, RootfsPath)]) -> Vec<Wanted> {
        let paths: Vec<_> = tools.iter().map(|(_, path)| view.walk(path).path).collect();
        let mut without = BTreeSet::new();
        let mut wanted = Vec::new();
        for ((name, _), owner) in tools.iter().zip(database.owners(view, &paths)) {
            match owner {
                Some(id) => {
                    let because: Arc<str> = format!("--with {name}").into();
                    let parts = database.parts(id).into_iter();
                    wanted.extend(parts.map(|id| Wanted { id, because: Arc::clone(&because) }));
                }
                None => drop(without.insert(format!("`{name}`"))),
            }
        }
        if !without.is_empty() {
            let message = format!(
                "no package of the sysroot has {}: its other files are not known",
                and_more(without.iter(), NAMED)
            );
            self.warnings.push(Warning::new(message));
        }
        wanted
    }

    /// The files that a package lists and the sysroot has, without documentation. Real paths of files are added to
    /// `real`.
    fn one<'w>(
        &mut self,
        view: &mut Sysroot,
        database: &Database,
        machine: Machine,
        wanted: &'w Wanted,
        real: &mut FxHashMap<RootfsPath, &'w Wanted>,
    ) {
        let name = &*database.package(wanted.id).name;
        let files = database.files(view, wanted.id);
        let taken = self.taking(view, machine, &wanted.origin(name)).package(name, &files);
        real.extend(taken.into_iter().map(|path| (path, wanted)));
    }

    /// The names that update-alternatives made at installation, if they lead to a taken file.
    fn alternatives(
        &mut self,
        view: &mut Sysroot,
        database: &Database,
        machine: Machine,
        real: &FxHashMap<RootfsPath, &Wanted>,
    ) {
        for link in database.alternatives(view) {
            let Some(wanted) = real.get(&view.walk(&link).path) else { continue };
            let name = &*database.package(wanted.id).name;
            if !self.taken.policy.is_documentation(name, &link) {
                self.taking(view, machine, &wanted.origin(name)).one(&link);
            }
        }
    }

    fn taking<'t>(&'t mut self, view: &'t mut Sysroot, machine: Machine, origin: &'t Origin) -> Taking<'t> {
        let (taken, roots) = (&mut self.taken, &mut self.roots);
        Taking { view, taken, machine, exclude: &[], origin, roots, count: 0 }
    }
}

impl Wanted {
    fn origin(&self, name: &str) -> Origin {
        Origin::Package { name: name.into(), because: Arc::clone(&self.because) }
    }
}

fn no_database(view: &mut Sysroot, flag: &str) -> Error {
    let root = view.root().display().to_string();
    let error = Error::failed(format!("no package database for {flag} in the sysroot `{root}`"));
    match Database::rpm(view) {
        Some(path) => error.detail(format!("{path} is rpm's, which is not read")).help("name the tools by --with"),
        None => error.detail("looked for dpkg's, apk's and pacman's").help("name the tools by --with"),
    }
}

fn unknown(view: &Sysroot, database: &Database, name: &str) -> Fault {
    let error = Error::failed(format!("package `{name}` is not installed in the sysroot `{}`", view.root().display()));
    Fault::short(error.help_if(database.near(name).map(did_you_mean)), Shortage::Package(name.to_owned()))
}
