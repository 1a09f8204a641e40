//! Why a file is in the rootfs: from the entry back to what was asked for.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::path::RootfsPath;
use crate::rootfs::{Kind, Origin, Rootfs};

/// Writes the chains that lead to `path`; gives `false`, and writes nothing, where it is not in the rootfs.
///
/// A `path` that leads through links of the rootfs is followed, each link with its own reasons.
pub fn why(out: &mut dyn Write, rootfs: &Rootfs, path: &RootfsPath) -> io::Result<bool> {
    let Some(entry) = rootfs.get(path) else { return Ok(false) };
    let arrow = match &entry.kind {
        Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
        Kind::Hardlink(target) => format!(" = {target}"),
        _ => String::new(),
    };
    writeln!(out, "{path}{arrow}")?;
    let mut shown = BTreeSet::from([path.clone()]);
    let mut stack: Vec<(usize, &Origin)> = entry.origins.iter().rev().map(|origin| (1, origin)).collect();
    while let Some((depth, origin)) = stack.pop() {
        let indent = "    ".repeat(depth);
        let next = match origin {
            Origin::NeededBy(by) | Origin::InterpreterOf(by) | Origin::Leads(by) => Some(by),
            _ => None,
        };
        let next = next.and_then(|by| Some((by, rootfs.get(by)?)));
        match next {
            Some((by, entry)) if shown.insert(by.clone()) => {
                writeln!(out, "{indent}{origin}")?;
                stack.extend(entry.origins.iter().rev().map(|origin| (depth + 1, origin)));
            }
            Some(_) => writeln!(out, "{indent}{origin} (above)")?,
            None => writeln!(out, "{indent}{origin}")?,
        }
    }
    Ok(true)
}
