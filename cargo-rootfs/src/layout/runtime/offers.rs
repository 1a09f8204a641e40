//! Files that an object names and that are not packed, suggested with the option that adds them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::constants::Named;
use crate::error::Warning;
use crate::path::{RootfsPath, is_program_directory};
use crate::sysroot::End;
use crate::wording::{and_more, include, size};

/// The number of names in a warning; the others are counted.
const NAMED: usize = 8;

/// The number of paths that are shown of a table.
const SHOWN: usize = 3;

/// The number of paths from which an object is a program about file systems, such as a packager or a scanner: it has a
/// table of paths, and a run opens few of them.
const TABLE: usize = 32;

/// The suggestions.
#[derive(Debug, Default)]
pub(super) struct Offers {
    paths: BTreeMap<RootfsPath, Offer>,
    /// Packages, and paths outside of packages, that are too large to be added.
    large: BTreeMap<String, (Option<String>, u64)>,
    /// Programs of the project that start others, whose names are unknown.
    pub(super) unknown: BTreeMap<String, Unknown>,
}

/// The reason why the names of programs that the project starts are unknown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unknown {
    Stripped,
    AtRunTime,
}

#[derive(Debug)]
struct Offer {
    /// Verbatim from the object.
    path: RootfsPath,
    by: BTreeSet<String>,
    /// True if the project's own program names it: such a path comes first.
    is_first: bool,
    package: Option<String>,
    is_program: bool,
    is_file: bool,
    bytes: u64,
}

impl Offers {
    /// Adds a path of the sysroot that an object names.
    pub(super) fn path(&mut self, named: &Named, by: &str, is_first: bool, package: Option<&str>, bytes: u64) {
        let is_file = matches!(named.end, End::File(_));
        let offer = self.paths.entry(named.real.clone()).or_insert_with(|| Offer {
            path: named.path.clone(),
            by: BTreeSet::new(),
            is_first,
            package: package.map(str::to_owned),
            is_program: named.is_executable,
            is_file,
            bytes,
        });
        offer.by.insert(by.to_owned());
        offer.is_first |= is_first;
    }

    /// Adds a package, or a path outside of packages, that is too large to be added for an object.
    pub(super) fn large(&mut self, name: &str, by: &str, bytes: u64) {
        self.large.entry(name.to_owned()).or_insert_with(|| (Some(by.to_owned()), bytes));
    }

    /// Adds a file that needs libraries which are too large to be added.
    pub(super) fn large_closure(&mut self, path: &RootfsPath, bytes: u64) {
        self.large.entry(path.to_string()).or_insert((None, bytes));
    }

    /// Removes paths that are packed in the end.
    pub(super) fn retain(&mut self, mut is_lacking: impl FnMut(&RootfsPath) -> bool) {
        self.paths.retain(|path, _| is_lacking(path));
    }

    /// The objects that name so many paths, with the number of these.
    fn tables(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for by in self.paths.values().flat_map(|offer| &offer.by) {
            *counts.entry(&**by).or_default() += 1;
        }
        counts.retain(|_, count| *count >= TABLE);
        counts
    }

    pub(super) fn warnings(&self, root: &Path) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut offers: Vec<&Offer> = self.paths.values().collect();
        offers.sort_by_key(|offer| (!offer.is_first, offer.path.clone()));
        let tables = self.tables();
        for (by, count) in &tables {
            let some: Vec<_> = offers.iter().filter(|offer| offer.by.contains(*by)).take(SHOWN).collect();
            let paths: Vec<_> = some.iter().map(|offer| format!("`{}`", offer.path)).collect();
            let message = format!("`{by}` names {count} paths that are not packed, such as {}", paths.join(", "));
            let option = options(root, some.into_iter().take(1).copied());
            warnings.push(
                Warning::new(message)
                    .help(format!("`cargo rootfs check` shows the paths that it opens; to pack one: {option}")),
            );
        }
        offers.retain(|offer| !offer.by.iter().all(|by| tables.contains_key(&**by)));
        if !offers.is_empty() {
            let one = |offer: &&Offer| {
                let by: Vec<_> = offer.by.iter().map(|name| format!("`{name}`")).collect();
                format!("`{}` (by {})", offer.path, and_more(by.iter(), 2))
            };
            let message = format!("named by constants, and not packed: {}", and_more(offers.iter().map(one), NAMED));
            let options = options(root, offers.into_iter().take(NAMED));
            warnings.push(Warning::new(message).help(format!("to pack them: {options}")));
        }
        for (name, why) in &self.unknown {
            let message = match why {
                Unknown::Stripped => {
                    format!("`{name}` is stripped: the names of the programs that it starts cannot be read")
                }
                Unknown::AtRunTime => format!("`{name}` starts programs whose names are known at run time only"),
            };
            let help = "`cargo rootfs check` shows the programs that it starts; to pack one: --with NAME";
            warnings.push(Warning::new(message).help(help));
        }
        if !self.large.is_empty() {
            let one = |(name, (by, bytes)): (&String, &(Option<String>, u64))| match by {
                Some(by) => format!("{name} ({}, of `{by}`)", size(*bytes)),
                None => format!("{name} ({} with its libraries)", size(*bytes)),
            };
            let list: Vec<_> = self.large.iter().map(one).collect();
            let message = format!("too large to be added, and not packed: {}", and_more(list.iter(), NAMED));
            let (paths, packages): (Vec<&String>, Vec<&String>) =
                self.large.keys().partition(|name| name.starts_with('/'));
            let join = |names: &[&String]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",");
            let mut options = Vec::new();
            if !packages.is_empty() {
                options.push(format!("--with-package {}", join(&packages)));
            }
            let (libraries, paths): (Vec<&String>, Vec<&String>) = paths.iter().partition(|path| path.contains(".so"));
            if !libraries.is_empty() {
                options.push(format!("--with-lib {}", join(&libraries)));
            }
            let paths = paths.iter().filter_map(|path| RootfsPath::parse(path).ok());
            options.extend(paths.map(|path| include(root, &path)));
            warnings.push(Warning::new(message).help(format!("to pack them: {}", options.join(" "))));
        }
        warnings
    }
}

/// The options that pack `offers`, in one line to paste: lists, and one `--include` a path.
fn options<'o>(root: &Path, offers: impl IntoIterator<Item = &'o Offer>) -> String {
    let (mut lists, mut includes): (BTreeMap<&str, Vec<String>>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for offer in offers {
        let Some((option, value)) = offer.listed(root) else {
            includes.push(include(root, &offer.path));
            continue;
        };
        let values = lists.entry(option).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let lists = lists.iter().map(|(option, values)| format!("{option} {}", values.join(",")));
    lists.chain(includes).collect::<Vec<_>>().join(" ")
}

impl Offer {
    /// The option that takes a list, with the value that packs the file; `None` for `--include`.
    fn listed(&self, root: &Path) -> Option<(&'static str, String)> {
        let path = &self.path;
        let is_in_path = path.parent().is_some_and(|folder| is_program_directory(folder.as_bytes()));
        let is_library = memchr::memmem::find(path.file_name(), b".so").is_some();
        match &self.package {
            _ if self.is_program && self.is_file && is_in_path => {
                Some(("--with", String::from_utf8_lossy(path.file_name()).into_owned()))
            }
            _ if is_library && self.is_file => Some(("--with-lib", path.to_string())),
            _ if self.is_program && self.is_file => Some(("--with", path.to_string())),
            Some(package) if root != Path::new("/") || self.bytes > super::evidence::MOST => {
                Some(("--with-package", package.clone()))
            }
            _ => None,
        }
    }
}
