//! Assigns each entry to a group, and the groups to layers.

use std::collections::BTreeMap;

use super::members::Members;
use super::{Origins, file_of};
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, Kind, Origin, Rootfs};
use crate::wording::and_more;

/// The maximum number of packages with a separate layer.
const ALONE: usize = 3;

/// The minimum size of a separate layer.
const LARGE: u64 = 1 << 20;

/// The number of layers that all other packages share; a hash of its name selects the layer of a package.
const MERGED: u64 = 3;

/// The maximum number of names in a comment.
const NAMED: usize = 12;

/// Entries that stay together, in the order of the layers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Empty directories, links of a merged /usr, and the files of the template.
    Skeleton,
    /// The loader and the C library.
    Libc,
    /// The rest of the C library, and the compiler's own libraries.
    Kin,
    /// Files of packages of this source.
    Source(Box<str>),
    /// Files of the sysroot, and links, without a package.
    Unowned,
    /// Certificates, time zones, terminals, locales.
    Data,
    /// Generated files, such as the loader's cache.
    Settings,
    /// Files of the project.
    Project,
}

/// The groups of a rootfs.
pub(super) struct Groups {
    of: BTreeMap<RootfsPath, Group>,
    sizes: BTreeMap<Group, Size>,
}

#[derive(Default)]
struct Size {
    bytes: u64,
    /// The version of the first owned entry's package.
    version: Option<Box<str>>,
}

impl Groups {
    pub(super) fn new(rootfs: &Rootfs, origins: Origins<'_>) -> Self {
        let members = Members::built_in();
        let mut groups = Self { of: BTreeMap::new(), sizes: BTreeMap::new() };
        for (path, entry) in rootfs.iter() {
            let (file, owned) = file_of(rootfs, path, entry);
            let group = match is_named_by_project(entry) {
                true => Group::Project,
                false => group(&members, origins, &file, owned),
            };
            // A directory is in the layers of its contents; only an empty one is in the layer of its own group.
            if !matches!(entry.kind, Kind::Dir) || rootfs.below(path).next().is_none() {
                let size = groups.sizes.entry(group.clone()).or_default();
                size.bytes += entry.size();
                size.version = size.version.take().or_else(|| Some(owned.package.as_ref()?.version.clone()));
            }
            groups.of.insert(path.clone(), group);
        }
        groups
    }

    /// The group of a path of the rootfs.
    pub(super) fn of(&self, path: &RootfsPath) -> &Group {
        &self.of[path]
    }

    /// The comment of each layer, the lowest first, and the layer of each group.
    pub(super) fn layers(&self) -> (Vec<String>, BTreeMap<&Group, usize>) {
        let sources = self.sizes.iter().filter_map(|(group, size)| match group {
            Group::Source(name) => Some((&**name, size.bytes)),
            _ => None,
        });
        let alone = alone(sources);
        // A layer is one group, or several packages that share it.
        let mut layers: BTreeMap<(Place, &str), Vec<&Group>> = BTreeMap::new();
        for group in self.sizes.keys() {
            let layer = match group {
                Group::Source(name) if alone.contains(&&**name) => (Place::Alone, &**name),
                Group::Source(name) => (Place::Merged(bucket(name)), ""),
                Group::Skeleton => (Place::Skeleton, ""),
                Group::Libc => (Place::Libc, ""),
                Group::Kin => (Place::Kin, ""),
                Group::Unowned => (Place::Unowned, ""),
                Group::Data => (Place::Data, ""),
                Group::Settings => (Place::Settings, ""),
                Group::Project => (Place::Project, ""),
            };
            layers.entry(layer).or_default().push(group);
        }
        let comments = layers.iter().map(|((place, _), groups)| self.comment(*place, groups)).collect();
        let numbers = layers.values().enumerate();
        (comments, numbers.flat_map(|(at, groups)| groups.iter().map(move |group| (*group, at))).collect())
    }

    fn comment(&self, place: Place, groups: &[&Group]) -> String {
        let names: Vec<String> = groups.iter().filter_map(|group| self.named(group)).collect();
        let list = and_more(names.iter(), NAMED);
        match place {
            Place::Skeleton => "directories, links of /usr, and the template".to_owned(),
            Place::Libc => format!("the loader and the C library{list}"),
            Place::Kin => "more of the C library, and the compiler's libraries".to_owned(),
            Place::Alone | Place::Merged(_) => list,
            Place::Unowned => "files and links that no package owns".to_owned(),
            Place::Data => "certificates, time zones, terminals and locales".to_owned(),
            Place::Settings => "files that are made for this root filesystem".to_owned(),
            Place::Project => "the project's own files".to_owned(),
        }
    }

    /// The package and its version, `bash 5.2.15-2+b7`; for the C library only ` 2.36-9+deb12u10`.
    fn named(&self, group: &Group) -> Option<String> {
        let version = self.sizes.get(group)?.version.as_deref();
        match group {
            Group::Source(name) => Some(format!("{name} {}", version?)),
            Group::Libc => Some(format!(" {}", version?)),
            _ => None,
        }
    }
}

/// The order of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Skeleton,
    Libc,
    Kin,
    Alone,
    Merged(u64),
    Unowned,
    Data,
    Settings,
    Project,
}

/// The packages with a separate layer: the largest ones. Sizes are compared by their power of two, and then by name, so
/// that a release which adds some bytes to a package changes nothing.
fn alone<'n>(sources: impl Iterator<Item = (&'n str, u64)>) -> Vec<&'n str> {
    let mut large: Vec<(u32, &str)> =
        sources.filter(|(_, bytes)| *bytes >= LARGE).map(|(name, bytes)| (bytes.leading_zeros(), name)).collect();
    large.sort_unstable();
    large.into_iter().take(ALONE).map(|(_, name)| name).collect()
}

/// The layer of a small package, from its name by FNV-1a, which gives the same result on every machine.
fn bucket(name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The low bits depend mostly on the last letters.
    (hash >> 49) % MERGED
}

/// Returns whether the project itself requests an entry.
fn is_named_by_project(entry: &Entry) -> bool {
    entry.origins.iter().any(|origin| matches!(origin, Origin::Binary(_) | Origin::Include(_)))
}

/// The group of the file at `path`.
fn group(members: &Members, origins: Origins<'_>, path: &RootfsPath, entry: &Entry) -> Group {
    let is_host = |kind: &Kind| matches!(kind, Kind::File(Body::Host(file)) if origins.is_project(&file.path));
    if is_named_by_project(entry) || entry.package.is_none() && is_host(&entry.kind) {
        return Group::Project;
    }
    if members.is_data(path, entry.package.as_ref().map(|package| &*package.name)) {
        return Group::Data;
    }
    if let Some(package) = &entry.package {
        let source = package.source.as_ref().unwrap_or(&package.name);
        return match () {
            () if !members.is_libc_source(source) && !members.is_kin_source(source) => Group::Source(source.clone()),
            () if members.is_libc_source(source) && members.is_libc_file(path) => Group::Libc,
            () => Group::Kin,
        };
    }
    let is_template = entry.origins.iter().any(|origin| matches!(origin, Origin::Template(_)));
    let is_of_usr = matches!(entry.kind, Kind::Symlink(_)) && path.components().count() == 1;
    match &entry.kind {
        Kind::Dir => Group::Skeleton,
        _ if is_template || is_of_usr => Group::Skeleton,
        Kind::File(Body::Bytes(_)) => Group::Settings,
        _ if members.is_libc_file(path) => Group::Libc,
        _ => Group::Unowned,
    }
}
