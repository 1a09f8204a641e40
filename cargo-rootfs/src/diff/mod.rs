//! Differences between two outputs: packages, crates, files, floors and sizes, and violations of `--fail-on`.
//!
//! It compares two [`Side`]s; `text`, `markdown` and `json` write the result.

mod crates;
mod fail_on;
mod json;
mod lock;
mod markdown;
mod packages;
mod reasons;
mod side;
#[cfg(test)]
mod tests;
mod text;
mod version;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use fail_on::{Forbidden, parse_forbidden, violations};
pub(crate) use json::json;
pub(crate) use lock::{is_lock, sides_of_lock};
pub(crate) use markdown::markdown;
pub(crate) use reasons::BILLS;
pub(crate) use side::{Floor, Side};
pub(crate) use text::text;

use crate::error::Result;
use crate::path::RootfsPath;
use side::Seen;

/// The direction of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Up,
    Down,
    New,
    Gone,
}

impl Change {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}

/// A package or crate with another version, or on one side only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) name: String,
    pub(crate) change: Change,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
    /// The size of its files on each side; 0 for crates.
    pub(crate) size: (u64, u64),
}

/// A file that differs, or is on one side only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileChange {
    pub(crate) path: RootfsPath,
    pub(crate) old: Option<u64>,
    pub(crate) new: Option<u64>,
    /// Differences other than the size, such as `mode 0755 -> 4755`.
    pub(crate) notes: Vec<String>,
    pub(crate) package: Option<String>,
    /// The reason for the file, from the newer side that has it.
    pub(crate) reason: Option<String>,
    /// True if it runs with more rights than before.
    pub(crate) gains_rights: bool,
}

impl FileChange {
    /// The growth in bytes.
    pub(crate) fn growth(&self) -> i128 {
        i128::from(self.new.unwrap_or(0)) - i128::from(self.old.unwrap_or(0))
    }
}

/// The old and the new value.
pub(crate) type Both<T> = (T, T);

/// All differences between two sides.
#[derive(Debug, Clone)]
pub(crate) struct Diff {
    pub(crate) names: Both<String>,
    pub(crate) platform: Option<String>,
    pub(crate) digests: Both<Option<String>>,
    pub(crate) packages: Vec<Versioned>,
    pub(crate) crates: Vec<Versioned>,
    /// The names of the sides without lists of crates: crates are not compared then.
    pub(crate) list_no_crates: Vec<String>,
    /// Sorted by the size of the change, the largest first.
    pub(crate) files: Vec<FileChange>,
    /// `None` for locks, which have no files.
    pub(crate) totals: Option<Totals>,
}

/// Totals of whole images.
#[derive(Debug, Clone)]
pub(crate) struct Totals {
    pub(crate) size: Both<u64>,
    /// The size of the stored layers; 0 without layers.
    pub(crate) stored: Both<u64>,
    pub(crate) entries: Both<usize>,
    pub(crate) glibc: Both<Option<Floor>>,
    pub(crate) kernel: Both<Option<Floor>>,
}

impl Diff {
    /// True without any difference.
    pub(crate) fn is_empty(&self) -> bool {
        let floors_differ = self.totals.as_ref().is_some_and(|totals| {
            let version = |floor: &Option<Floor>| floor.as_ref().map(|floor| floor.version.clone());
            let differs = |floors: &Both<Option<Floor>>| version(&floors.0) != version(&floors.1);
            differs(&totals.glibc) || differs(&totals.kernel)
        });
        self.packages.is_empty() && self.crates.is_empty() && self.files.is_empty() && !floors_differ
    }
}

/// Compares two sides. Reads the contents of two files only if their sizes are equal.
pub(crate) fn compare(old: &Side, new: &Side) -> Result<Diff> {
    let totals = (!old.is_lock && !new.is_lock).then(|| Totals {
        size: (old.size, new.size),
        stored: (old.stored, new.stored),
        entries: (old.entries, new.entries),
        glibc: (old.glibc.clone(), new.glibc.clone()),
        kernel: (old.kernel.clone(), new.kernel.clone()),
    });
    Ok(Diff {
        names: (old.name.clone(), new.name.clone()),
        platform: new.platform.clone().or_else(|| old.platform.clone()),
        digests: (old.digest.clone(), new.digest.clone()),
        packages: packages(old, new),
        crates: old.crates.as_ref().zip(new.crates.as_ref()).map_or_else(Vec::new, |(old, new)| crates(old, new)),
        list_no_crates: [old, new].iter().filter(|it| it.crates.is_none()).map(|it| it.name.clone()).collect(),
        files: if totals.is_some() { files(old, new)? } else { Vec::new() },
        totals,
    })
}

fn direction(order: Ordering) -> Change {
    if order == Ordering::Greater { Change::Down } else { Change::Up }
}

fn packages(old: &Side, new: &Side) -> Vec<Versioned> {
    let names: BTreeSet<&String> = old.packages.keys().chain(new.packages.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let (before, after) = (old.packages.get(name), new.packages.get(name));
        let change = match (before, after) {
            (Some(before), Some(after)) if before.version == after.version => return None,
            (Some(before), Some(after)) => direction(version::packages(&before.version, &after.version)),
            (None, _) => Change::New,
            (_, None) => Change::Gone,
        };
        Some(Versioned {
            name: name.clone(),
            change,
            old: before.map(|it| it.version.clone()),
            new: after.map(|it| it.version.clone()),
            size: (before.map_or(0, |it| it.size), after.map_or(0, |it| it.size)),
        })
    });
    changed.collect()
}

/// A crate may have several versions: common ones are removed, and the others are paired in order.
fn crates(old: &BTreeMap<String, BTreeSet<String>>, new: &BTreeMap<String, BTreeSet<String>>) -> Vec<Versioned> {
    let (none, mut changed) = (BTreeSet::new(), Vec::new());
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (before, after) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        let sorted = |these: &BTreeSet<String>, others: &BTreeSet<String>| {
            let mut versions: Vec<String> = these.difference(others).cloned().collect();
            versions.sort_by(|one, two| version::crates(one, two));
            versions
        };
        let (before, after) = (sorted(before, after), sorted(after, before));
        for at in 0..before.len().max(after.len()) {
            let (old, new) = (before.get(at).cloned(), after.get(at).cloned());
            let change = match (&old, &new) {
                (Some(old), Some(new)) => direction(version::crates(old, new)),
                (None, _) => Change::New,
                (_, None) => Change::Gone,
            };
            changed.push(Versioned { name: name.clone(), change, old, new, size: (0, 0) });
        }
    }
    changed
}

fn files(old: &Side, new: &Side) -> Result<Vec<FileChange>> {
    let paths: BTreeSet<&RootfsPath> = old.files.keys().chain(new.files.keys()).collect();
    let mut changes = Vec::new();
    for path in paths {
        changes.extend(file(path, old.files.get(path), new.files.get(path))?);
    }
    changes.sort_by(|one: &FileChange, two| {
        two.growth().abs().cmp(&one.growth().abs()).then_with(|| one.path.cmp(&two.path))
    });
    Ok(changes)
}

/// Bits with which a program runs as its owner or group.
const SET_ID: u32 = 0o6000;

fn file(path: &RootfsPath, old: Option<&Seen>, new: Option<&Seen>) -> Result<Option<FileChange>> {
    let rights = |seen: Option<&Seen>| seen.filter(|it| it.kind == 'f').map_or(0, |it| it.mode & SET_ID);
    let capable = |seen: Option<&Seen>| seen.is_some_and(|it| it.capability.is_some());
    let mut notes = Vec::new();
    let size = match (old, new) {
        (Some(old), Some(new)) => {
            let (sizes, more) = differences(old, new)?;
            notes = more;
            if sizes.is_none() && notes.is_empty() {
                return Ok(None);
            }
            sizes.unwrap_or((new.size, new.size))
        }
        // Directories appear and disappear with their files.
        (Some(seen), None) | (None, Some(seen)) if seen.kind == 'd' => return Ok(None),
        _ => (old.map_or(0, |it| it.size), new.map_or(0, |it| it.size)),
    };
    let gained = rights(new) & !rights(old);
    if gained != 0 && old.is_none() {
        notes.push(format!("mode {:04o}", new.map_or(0, |it| it.mode)));
    }
    let seen = new.or(old);
    Ok(Some(FileChange {
        path: path.clone(),
        old: old.map(|_| size.0),
        new: new.map(|_| size.1),
        notes,
        package: seen.and_then(|it| it.package.clone()),
        reason: seen.and_then(|it| it.reason.clone()),
        gains_rights: gained != 0 || capable(new) && !capable(old),
    }))
}

/// The sizes if the contents differ, and all other differences in words.
fn differences(old: &Seen, new: &Seen) -> Result<(Option<Both<u64>>, Vec<String>)> {
    let mut notes = Vec::new();
    if old.kind != new.kind {
        notes.push(format!("{} -> {}", kind(old.kind), kind(new.kind)));
        return Ok((Some((old.size, new.size)), notes));
    }
    if old.target != new.target {
        let text = |seen: &Seen| String::from_utf8_lossy(&seen.target).into_owned();
        notes.push(format!("target {} -> {}", text(old), text(new)));
    }
    // The mode of a symlink has no meaning.
    if old.mode != new.mode && old.kind != 'l' {
        notes.push(format!("mode {:04o} -> {:04o}", old.mode, new.mode));
    }
    if (old.uid, old.gid) != (new.uid, new.gid) {
        notes.push(format!("owner {}:{} -> {}:{}", old.uid, old.gid, new.uid, new.gid));
    }
    if old.capability != new.capability {
        notes.push(match (&old.capability, &new.capability) {
            (None, _) => "capabilities added".to_owned(),
            (_, None) => "capabilities removed".to_owned(),
            _ => "capabilities changed".to_owned(),
        });
    }
    let differs = old.size != new.size || !old.same_content(new)?;
    if differs && old.size == new.size {
        notes.push("other contents".to_owned());
    }
    Ok((differs.then_some((old.size, new.size)), notes))
}

fn kind(letter: char) -> &'static str {
    match letter {
        'd' => "directory",
        'f' => "file",
        'l' => "symlink",
        _ => "device",
    }
}

/// A readable size: `1.40 MiB`.
pub(crate) fn size_text(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (size as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{size} B") } else { format!("{value:.2} {}", UNITS[unit]) }
}

/// A signed change of a size: `+1.40 MiB`.
pub(crate) fn growth_text(old: u64, new: u64) -> String {
    match new.cmp(&old) {
        Ordering::Equal => "0 B".to_owned(),
        Ordering::Greater => format!("+{}", size_text(new - old)),
        Ordering::Less => format!("-{}", size_text(old - new)),
    }
}

/// The change in percent: `+2.1%`; empty if the old size is 0 or equal.
pub(crate) fn percent_text(old: u64, new: u64) -> String {
    if old == 0 || old == new {
        return String::new();
    }
    format!(" ({:+.1}%)", (new as f64 - old as f64) / old as f64 * 100.0)
}
