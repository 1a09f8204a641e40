//! One side of a comparison: the compared contents of an output.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{crates, packages, reasons};
use crate::error::{Error, Result};
use crate::inspect::{Content, Inspected, NodeKind, Programs, View};
use crate::path::RootfsPath;

/// One side.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) platform: Option<String>,
    pub(crate) digest: Option<String>,
    /// True for a lock, which has only packages.
    pub(crate) is_lock: bool,
    pub(super) packages: BTreeMap<String, PackageSeen>,
    /// Versions by name; `None` if no file has a list of its crates.
    pub(super) crates: Option<BTreeMap<String, BTreeSet<String>>>,
    pub(super) files: BTreeMap<RootfsPath, Seen>,
    pub(super) glibc: Option<Floor>,
    pub(super) kernel: Option<Floor>,
    pub(super) size: u64,
    pub(super) stored: u64,
    pub(super) entries: usize,
}

/// An installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PackageSeen {
    pub(super) version: String,
    /// The size of its present files, including its record.
    pub(super) size: u64,
}

/// The oldest release on which all programs run, and a file that requires it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) version: String,
    pub(crate) numbers: Vec<u32>,
    pub(crate) by: RootfsPath,
}

/// An entry of the tree.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `f`, `d`, `l`, or `s` for a device.
    pub(super) kind: char,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// 0 for a further hard link of a file.
    pub(super) size: u64,
    pub(super) target: Arc<[u8]>,
    pub(super) capability: Option<Arc<[u8]>>,
    content: Option<Arc<Content>>,
    pub(super) package: Option<String>,
    pub(super) reason: Option<String>,
}

impl Seen {
    /// True for the same bytes; they are read only if the sizes are equal.
    pub(super) fn same_content(&self, other: &Self) -> Result<bool> {
        match (&self.content, &other.content) {
            (Some(one), Some(two)) if one.size == two.size => {
                let sum = |content: &Content| {
                    content.sha256().map_err(|error| Error::failed("cannot compare files").with_source(error))
                };
                Ok(sum(one)? == sum(two)?)
            }
            (None, None) => Ok(true),
            _ => Ok(false),
        }
    }
}

impl Side {
    /// Collects the contents of an image, with the reasons in its bills of materials.
    pub(crate) fn new(name: &str, image: &Inspected) -> Self {
        let tree = &image.tree;
        let mut view = View::new(tree);
        let programs = Programs::find(&mut view);
        let found = reasons::find(&mut view, &programs, image);
        let (installed, owners) = packages::find(tree);
        let mut side = Self {
            name: name.to_owned(),
            platform: image.platform.clone(),
            digest: image.digest.clone(),
            crates: crates::find(&view, &programs),
            glibc: found.glibc,
            kernel: found.kernel,
            size: tree.size(),
            stored: image.layers.iter().map(|layer| layer.size).sum(),
            entries: tree.len(),
            ..Self::default()
        };
        side.packages.extend(installed.into_iter().map(|(name, version)| (name, PackageSeen { version, size: 0 })));
        let mut counted = FxHashSet::default();
        for (path, node) in tree.iter() {
            let (kind, target, content) = match &node.kind {
                NodeKind::Dir => ('d', None, None),
                NodeKind::File(content) => ('f', None, Some(Arc::clone(content))),
                NodeKind::Symlink(target) => ('l', Some(Arc::clone(target)), None),
                NodeKind::Special(_) => ('s', None, None),
            };
            let size = content.as_ref().filter(|it| counted.insert(it.number)).map_or(0, |content| content.size);
            let record = record_of(path);
            let package = owners.get(path).cloned().or_else(|| record.clone());
            if let Some(owner) = package.as_ref().and_then(|name| side.packages.get_mut(name)) {
                owner.size += size;
            }
            let seen = Seen {
                kind,
                mode: node.mode,
                uid: node.uid,
                gid: node.gid,
                size,
                target: target.unwrap_or_else(|| Arc::from(&b""[..])),
                capability: node.capability.clone(),
                content,
                package,
                reason: found.by_path.get(path).cloned().or_else(|| record.map(|_| "its record".to_owned())),
            };
            side.files.insert(path.clone(), seen);
        }
        side
    }
}

/// The package whose record is at `path`.
fn record_of(path: &RootfsPath) -> Option<String> {
    let name = path.as_str()?.strip_prefix("/var/lib/dpkg/status.d/")?;
    Some(name.strip_suffix(".md5sums").unwrap_or(name).to_owned())
}
