//! Finds packages of languages' own package managers in a rootfs: those of which no package of the distribution owns the
//! metadata.

use std::collections::BTreeMap;

use crate::host_files;
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, Kind, Rootfs};
use crate::sbom::{self, Package};

/// A package, and its files in the rootfs.
pub(super) struct Found {
    pub(super) package: Package,
    pub(super) files: Vec<RootfsPath>,
}

/// The packages of a rootfs, each once: several environments may have the same.
pub(super) fn find(rootfs: &Rootfs) -> Vec<Found> {
    let mut all: BTreeMap<(&str, String, String), Found> = BTreeMap::new();
    for (path, entry) in rootfs.iter().filter(|(_, entry)| entry.package.is_none()) {
        let Some(Found { package, files }) = described(rootfs, path, entry) else { continue };
        let key = (package.kind, package.name.clone(), package.version.clone());
        let one = all.entry(key).or_insert(Found { package, files: Vec::new() });
        one.files.extend(files);
        one.package.files = one.package.files.max(one.files.len());
    }
    all.into_values().collect()
}

/// The package that the file at `path` describes.
fn described(rootfs: &Rootfs, path: &RootfsPath, entry: &Entry) -> Option<Found> {
    let directory = path.parent()?;
    let within = directory.file_name();
    match path.file_name() {
        b"METADATA" if within.ends_with(b".dist-info") => {
            let mut package = sbom::of_python(&text(entry)?)?;
            // Relative to the directory of all distributions
            // (https://packaging.python.org/en/latest/specifications/recording-installed-packages/).
            let record = rootfs.get(&directory.join(b"RECORD")).and_then(text).unwrap_or_default();
            let listed: Vec<&str> = record.lines().filter_map(|line| line.split(',').next()).collect();
            let site = directory.parent()?;
            let files = listed.iter().map(|file| site.join(file.trim_matches('"').as_bytes()).normalized());
            package.files = listed.len();
            Some(Found { package, files: files.filter(|file| rootfs.get(file).is_some_and(Entry::is_file)).collect() })
        }
        b"PKG-INFO" if within.ends_with(b".egg-info") => {
            Some(Found { package: sbom::of_python(&text(entry)?)?, files: below(rootfs, &directory) })
        }
        b"package.json" if is_of_node(&directory) => {
            Some(Found { package: sbom::of_node(&text(entry)?)?, files: below(rootfs, &directory) })
        }
        _ => None,
    }
}

/// True for `node_modules/NAME` and `node_modules/@SCOPE/NAME`.
fn is_of_node(directory: &RootfsPath) -> bool {
    let is_modules = |path: &RootfsPath| path.file_name() == b"node_modules";
    let Some(parent) = directory.parent() else { return false };
    let is_scope = parent.file_name().starts_with(b"@");
    is_modules(&parent) || is_scope && parent.parent().is_some_and(|parent| is_modules(&parent))
}

/// The files below a directory, without those of packages of node within it.
fn below(rootfs: &Rootfs, directory: &RootfsPath) -> Vec<RootfsPath> {
    let modules = directory.join(b"node_modules");
    let files = rootfs.below(directory).filter(|(path, entry)| entry.is_file() && !path.is_within(&modules));
    files.map(|(path, _)| path.clone()).collect()
}

fn text(entry: &Entry) -> Option<String> {
    let Kind::File(Body::Host(host)) = &entry.kind else { return None };
    host_files::text(&host.path).ok()
}
