//! `--with-lib`: shared objects by the names with which programs open them.

use super::root::{Opened, Root};
use crate::error::Error;
use crate::packages;
use crate::path::RootfsPath;
use crate::proof::Start;
use crate::report::missing_error;
use crate::resolve::{Loader, Resolver};
use crate::rootfs::Origin;
use crate::shortage::Fault;
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// Finds each by soname as dlopen(3) would, or by absolute path. Errors are added to `faults`.
pub(super) fn roots(
    view: &mut Sysroot,
    resolver: &mut Resolver,
    names: &[String],
    machine: Machine,
    faults: &mut Vec<Fault>,
) -> Vec<Root> {
    let roots = names.iter().map(|name| {
        let origin = Origin::Library(name.clone());
        match RootfsPath::from_bytes(name.as_bytes()) {
            Some(path) => Ok(Root::of_project(name, origin, path)),
            None => by_name(view, resolver, name, origin, machine).map(|library| Root { is_project: true, ..library }),
        }
    });
    roots.filter_map(|root| root.map_err(|fault| faults.push(fault)).ok()).collect()
}

/// The library that dlopen(3) would find by this name.
pub(super) fn by_name(
    view: &mut Sysroot,
    resolver: &mut Resolver,
    name: &str,
    origin: Origin,
    machine: Machine,
) -> Result<Root, Fault> {
    // Any loader of this machine in the tree; glibc's first.
    let candidates = Loader::usual_paths(machine);
    let found = candidates.iter().find_map(|path| resolver.loader_at(view, path, machine));
    let Some(loader) = found else {
        return Err(Error::failed(format!("no dynamic loader for {machine} in the sysroot to find `{name}` with"))
            .help("add its libc to the sysroot (libc6 on Debian), or choose another --sysroot")
            .into());
    };
    match resolver.library(view, &loader, name.as_bytes()) {
        Ok(found) => Ok(Root {
            start: Start::Library(name.as_bytes().to_vec(), loader.path.clone()),
            opened: Some(Opened { by: found.found_by, hwcaps: found.hwcaps, loader }),
            ..Root::new(name, origin, found.path)
        }),
        Err(missing) => {
            let package = packages::of_library(view.root(), name.as_bytes(), machine);
            let error = missing_error(&[&missing], Some(machine), &packages::remedy(view.root(), package.as_deref()));
            Err(Fault::short(error, missing.shortage()))
        }
    }
}
