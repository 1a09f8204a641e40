//! Libraries of the workspace that its executables open by name, packed from the build directory.

use super::libraries;
use super::root::Root;
use super::{Artifacts, Plugin};
use crate::error::Warning;
use crate::path::RootfsPath;
use crate::resolve::{Files, Find, Resolver};
use crate::rootfs::Origin;
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// Finds the plugins that the executables, which are at `paths`, name among their constants. Warns of one that was not
/// built.
pub(super) fn roots(
    view: &mut Sysroot,
    resolver: &mut Resolver,
    artifacts: &Artifacts,
    paths: &[RootfsPath],
    machine: Machine,
    warnings: &mut Vec<Warning>,
) -> Vec<Root> {
    let mut roots: Vec<Root> = Vec::new();
    if artifacts.plugins.is_empty() {
        return roots;
    }
    for (executable, path) in artifacts.executables.iter().zip(paths) {
        let Find::File { file, .. } = view.find(path) else { continue };
        let names = view.names_to_open(file).unwrap_or_default();
        let named =
            artifacts.plugins.iter().filter(|plugin| names.iter().any(|name| **name == *plugin.file.as_bytes()));
        for Plugin { file, package, path: built } in named {
            if roots.iter().any(|root| root.name == *file) {
                continue;
            }
            let origin = Origin::NeededBy(path.clone());
            let found = built.as_ref().and_then(|_| libraries::by_name(view, resolver, file, origin, machine).ok());
            match found {
                Some(root) => roots.push(Root { is_project: true, ..root }),
                None => {
                    let name = &executable.name;
                    let directory = executable.path.parent().map_or("target/release", |directory| directory.as_str());
                    let message = format!(
                        "`{file}`, which `{name}` opens, is built from the workspace's package `{package}`, and is not packed: \
                         this build did not make it"
                    );
                    let help = format!(
                        "build it first (cargo build --release -p {package}), and add --library-path {directory} --with-lib {file}"
                    );
                    warnings.push(Warning::new(message).help(help));
                }
            }
        }
    }
    roots
}
