//! Files that a rule excludes from its directories: one line with their number, and the option that adds them.

use std::collections::BTreeMap;

use crate::path::RootfsPath;
use crate::rootfs::{Entry, Kind, Rootfs};
use crate::sysroot::{End, Sysroot};
use crate::wording::{and_more, include, size};

/// The number of names in a line; the others are counted.
const NAMED: usize = 6;

/// Caches, which programs write themselves.
const CACHES: [&[u8]; 1] = [b"__pycache__"];

/// `None` if no file is left out.
pub(super) fn line<'p>(view: &Sysroot, paths: impl Iterator<Item = &'p RootfsPath>) -> Option<String> {
    // A separate view: counted files are no inputs of the rootfs.
    let mut scout = view.afresh();
    let mut names: BTreeMap<String, (u64, RootfsPath)> = BTreeMap::new();
    let (mut files, mut bytes) = (0, 0);
    for path in paths.filter(|path| !CACHES.contains(&path.file_name())) {
        let (count, length) = below(&mut scout, path);
        if count == 0 {
            continue;
        }
        (files, bytes) = (files + count, bytes + length);
        let name = String::from_utf8_lossy(path.file_name()).into_owned();
        names.entry(name).or_insert_with(|| (0, path.clone())).0 += length;
    }
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|(_, (length, _))| std::cmp::Reverse(*length));
    let (_, (_, first)) = names.first()?;
    let list = and_more(names.iter().map(|(name, _)| name), NAMED);
    let what = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    Some(format!("out {what}, {}, by rules: {list}; to add one: {}", size(bytes), include(view.root(), first)))
}

/// Returns whether a rootfs has nothing at a path, or a directory without files.
pub(super) fn is_lacking(rootfs: &Rootfs, path: &RootfsPath) -> bool {
    let is_dir = |entry: &Entry| matches!(entry.kind, Kind::Dir);
    let is_bare = |entry: &Entry| is_dir(entry) && rootfs.below(path).all(|(_, entry)| is_dir(entry));
    rootfs.get(path).is_none_or(is_bare)
}

/// The number and the size of the files at a path or below it.
fn below(scout: &mut Sysroot, path: &RootfsPath) -> (usize, u64) {
    /// No excluded tree has as many files.
    const MOST: usize = 100_000;
    let (mut count, mut length, mut left) = (0, 0, vec![path.clone()]);
    while let Some(path) = left.pop().filter(|_| count < MOST) {
        if CACHES.contains(&path.file_name()) {
            continue;
        }
        let walk = scout.walk(&path);
        match walk.end {
            End::File(file) => {
                count += 1;
                length += scout.info(file).host.size;
            }
            End::Dir(_) if walk.links.is_empty() => left.extend(scout.names(&path).iter().map(|name| path.child(name))),
            _ => {}
        }
    }
    (count, length)
}
