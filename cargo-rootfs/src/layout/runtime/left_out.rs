//! Files that a rule excludes of the directories that it takes: one line says how many, and the option that adds them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::path::RootfsPath;
use crate::sysroot::{End, Sysroot};
use crate::wording::{and_more, size};

/// The number of names in a line before the rest are counted.
const NAMED: usize = 6;

/// Caches, which programs make for themselves.
const CACHES: [&[u8]; 1] = [b"__pycache__"];

/// `None` where nothing is left out.
pub(super) fn line<'p>(root: &Path, paths: impl Iterator<Item = &'p RootfsPath>) -> Option<String> {
    // What is only counted is no input.
    let mut scout = Sysroot::open(root).ok()?;
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
    Some(format!("out {what}, {}, by rules: {list}; to add one: --include {first}:{first}", size(bytes)))
}

/// The files at a path or below it, and their length.
fn below(scout: &mut Sysroot, path: &RootfsPath) -> (usize, u64) {
    /// No tree that a rule excludes has as many.
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
