//! Packages that rules recommend for the functions that executables import: they are known before there is a sysroot.
//!
//! The layout recommends them again, with those of all other rules.

use std::collections::BTreeSet;

use super::{Content, Executable};
use crate::elf::Object;
use crate::glob::Bindings;
use crate::host_files;
use crate::runtime::{Rules, Runtime};

/// The packages of the rules that fire for functions of `executables`.
pub(crate) fn recommended(content: &Content, executables: &[Executable]) -> BTreeSet<String> {
    let mut packages = BTreeSet::new();
    if content.runtime == Runtime::None || executables.is_empty() {
        return packages;
    }
    let mut rules = Rules::new(content.rules.clone(), &Bindings::default());
    let functions = rules.calls();
    for Executable { path, .. } in executables {
        // The layout reports a file that cannot be read.
        let Some(file) = host_files::open(path).ok() else { continue };
        let Ok(object) = Object::read(&file) else { continue };
        let mut triggered = Vec::new();
        for at in object.imports_of(&file, &functions).unwrap_or_default() {
            rules.of_call(&functions[at], &mut triggered);
        }
        for rule in triggered.into_iter().filter_map(|it| rules.get(it.rule)) {
            packages.extend(rule.packages.iter().cloned());
        }
    }
    packages
}
