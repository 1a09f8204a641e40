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
        // Beside `node_modules` is the application itself.
        b"package.json" if is_of_node(&directory) || has_modules(rootfs, &directory) => {
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

fn has_modules(rootfs: &Rootfs, directory: &RootfsPath) -> bool {
    rootfs.below(&directory.join(b"node_modules")).next().is_some()
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::rootfs::{HostFile, Origin, OwningPackage};

    fn rootfs(host: &Path, files: &[(&str, &str)]) -> Rootfs {
        let mut rootfs = Rootfs::default();
        for (index, (path, text)) in files.iter().enumerate() {
            let file = host.join(index.to_string());
            fs::write(&file, text).unwrap();
            let file = Arc::new(HostFile::new(file.clone(), &file.symlink_metadata().unwrap()));
            let entry = Entry::new(Kind::File(Body::Host(file)), 0o644, Origin::Template("base".to_owned()));
            rootfs.insert(RootfsPath::parse(path).unwrap(), entry);
        }
        rootfs
    }

    fn shown(found: &[Found]) -> Vec<(String, Vec<String>, usize)> {
        let one = |it: &Found| {
            let files = it.files.iter().map(RootfsPath::to_string).collect();
            (format!("{} {} {}", it.package.kind, it.package.name, it.package.version), files, it.package.files)
        };
        found.iter().map(one).collect()
    }

    #[test]
    fn packages_have_the_files_that_their_metadata_say() {
        let host = tempfile::tempdir().unwrap();
        let mut rootfs = rootfs(
            host.path(),
            &[
                ("/v/lib/site/it-1.dist-info/METADATA", "Name: it\nVersion: 1\n"),
                (
                    "/v/lib/site/it-1.dist-info/RECORD",
                    "it.py,sha256=x,1\n../../bin/it,sha256=x,1\nit-1.dist-info/METADATA,,\nleft.py,,\n",
                ),
                ("/v/lib/site/it.py", ""),
                ("/v/bin/it", ""),
                ("/w/lib/site/it-1.dist-info/METADATA", "Name: it\nVersion: 1\n"),
                ("/w/lib/site/it-1.dist-info/RECORD", "it-1.dist-info/METADATA,,\n"),
                ("/usr/lib/site/deb-1.dist-info/METADATA", "Name: deb\nVersion: 1\n"),
                ("/app/node_modules/a/package.json", r#"{"name": "a", "version": "1"}"#),
                ("/app/node_modules/a/a.js", ""),
                ("/app/package.json", r#"{"name": "app", "version": "4"}"#),
                ("/app/main.js", ""),
                ("/other/package.json", r#"{"name": "other", "version": "5"}"#),
                ("/app/node_modules/a/node_modules/@s/b/package.json", r#"{"name": "@s/b", "version": "2"}"#),
                ("/app/node_modules/a/test/package.json", r#"{"name": "fixture", "version": "3"}"#),
            ],
        );
        let owner =
            OwningPackage { name: "python3-deb".into(), version: "1".into(), architecture: "all".into(), source: None };
        let owned = RootfsPath::parse("/usr/lib/site/deb-1.dist-info/METADATA").unwrap();
        rootfs.get_mut(&owned).unwrap().package = Some(Arc::new(owner));
        let a =
            ["/app/node_modules/a/a.js", "/app/node_modules/a/package.json", "/app/node_modules/a/test/package.json"];
        let metadata = "/v/lib/site/it-1.dist-info/METADATA";
        let it = ["/v/lib/site/it.py", "/v/bin/it", metadata, "/w/lib/site/it-1.dist-info/METADATA"];
        let owned = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>();
        let expected = [
            ("npm @s/b 2".to_owned(), owned(&["/app/node_modules/a/node_modules/@s/b/package.json"]), 1),
            ("npm a 1".to_owned(), owned(&a), 3),
            ("npm app 4".to_owned(), owned(&["/app/main.js", "/app/package.json"]), 2),
            ("pypi it 1".to_owned(), owned(&it), 4),
        ];
        assert_eq!(shown(&find(&rootfs)), expected);
    }
}
