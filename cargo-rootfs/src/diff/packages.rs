//! Packages of a tree, from its records: dpkg's, distroless images', apk's and pacman's.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::inspect::{Found, NodeKind, Tree};
use crate::packages::{Format, Package};
use crate::path::RootfsPath;

/// The limit of bytes of a database file.
const LONGEST: usize = 64 << 20;

/// Versions by package name, and the owner of each file.
pub(super) fn find(tree: &Tree) -> (BTreeMap<String, String>, FxHashMap<RootfsPath, String>) {
    let mut reading =
        Reading { tree, versions: BTreeMap::new(), owners: FxHashMap::default(), real: FxHashMap::default() };
    reading.dpkg();
    reading.apk();
    reading.pacman();
    (reading.versions, reading.owners)
}

struct Reading<'t> {
    tree: &'t Tree,
    versions: BTreeMap<String, String>,
    owners: FxHashMap<RootfsPath, String>,
    /// Real directories by the listed ones, which may contain symlinks.
    real: FxHashMap<RootfsPath, Option<RootfsPath>>,
}

fn at(path: &str) -> RootfsPath {
    RootfsPath::root().join(path.as_bytes())
}

impl Reading<'_> {
    /// Adds a package. A second architecture of the same package gets a name that shows it.
    fn add(&mut self, package: &Package) -> String {
        let (name, version) = (package.name.to_string(), package.version.to_string());
        let name = match self.versions.get(&name) {
            Some(known) if *known != version => format!("{name}:{}", package.architecture),
            _ => name,
        };
        self.versions.insert(name.clone(), version);
        name
    }

    fn own(&mut self, name: &str, files: Vec<RootfsPath>) {
        for path in files {
            let Some(parent) = path.parent() else { continue };
            let tree = self.tree;
            let real = self.real.entry(parent).or_insert_with_key(|parent| match tree.find(parent) {
                Found::Node(real, _) => Some(real),
                _ => None,
            });
            let Some(path) = real.as_ref().map(|real| real.join(path.file_name())) else { continue };
            if self.tree.get(&path).is_some_and(|node| !matches!(node.kind, NodeKind::Dir)) {
                self.owners.entry(path).or_insert_with(|| name.to_owned());
            }
        }
    }

    fn dpkg(&mut self) {
        let info = at("/var/lib/dpkg/info");
        let status = self.tree.read(&at("/var/lib/dpkg/status"), LONGEST).unwrap_or_default();
        for package in Format::Dpkg.packages(&status) {
            let name = self.add(&package);
            let lists = [
                format!("{}:{}.list", package.name, package.architecture),
                format!("{}.list", package.name),
                format!("{}.md5sums", package.name),
            ];
            let list = lists.iter().find_map(|list| self.tree.read(&info.join(list.as_bytes()), LONGEST));
            self.own(&name, Format::Dpkg.files(&list.unwrap_or_default()));
        }
        let parts = at("/var/lib/dpkg/status.d");
        for record in self.names(&parts) {
            if record.file_name().ends_with(b".md5sums") {
                continue;
            }
            let Some(bytes) = self.tree.read(&record, LONGEST) else { continue };
            // Records of distroless images have no state: their presence means that the package is installed.
            let has_state = bytes.starts_with(b"Status:") || memchr::memmem::find(&bytes, b"\nStatus:").is_some();
            let bytes = if has_state { bytes } else { [b"Status: install ok installed\n", &bytes[..]].concat() };
            let sums = parts.join(&[record.file_name(), b".md5sums"].concat());
            for package in Format::Dpkg.packages(&bytes) {
                let name = self.add(&package);
                let list = self.tree.read(&sums, LONGEST).unwrap_or_default();
                self.own(&name, Format::Dpkg.files(&list));
            }
        }
    }

    fn apk(&mut self) {
        let read = |path: &&str| self.tree.read(&at(path), LONGEST);
        let Some(bytes) = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"].iter().find_map(read) else { return };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b"\n\n").map_or(rest.len(), |end| end + 2);
            let (record, after) = rest.split_at(end);
            rest = after;
            for package in Format::Apk.packages(record) {
                let name = self.add(&package);
                self.own(&name, Format::Apk.files(record));
            }
        }
    }

    fn pacman(&mut self) {
        for directory in self.names(&at("/var/lib/pacman/local")) {
            let Some(bytes) = self.tree.read(&directory.join(b"desc"), LONGEST) else { continue };
            for package in Format::Pacman.packages(&bytes) {
                let name = self.add(&package);
                let list = self.tree.read(&directory.join(b"files"), LONGEST).unwrap_or_default();
                self.own(&name, Format::Pacman.files(&list));
            }
        }
    }

    /// The paths in a directory.
    fn names(&self, directory: &RootfsPath) -> Vec<RootfsPath> {
        let Found::Node(real, _) = self.tree.find(directory) else { return Vec::new() };
        let below = self.tree.below(&real).map(|(path, _)| path);
        below.filter(|path| path.parent().as_ref() == Some(&real)).cloned().collect()
    }
}
