//! The reason for a file of the rootfs: from the entry back to the request.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::path::RootfsPath;
use crate::rootfs::{Entry, Kind, Origin, Rootfs};

/// Writes the chains of origins of `path`; returns `false` and writes nothing if it is not in the rootfs.
///
/// Symlinks in `path` are followed; each is shown with its own reasons.
pub fn why(out: &mut dyn Write, rootfs: &Rootfs, path: &RootfsPath) -> io::Result<bool> {
    why_with(out, rootfs, path, &|_, _| Vec::new())
}

/// Lines about an entry, printed before its reasons.
pub type Facts<'f> = dyn Fn(&RootfsPath, &Entry) -> Vec<String> + 'f;

/// The same as [`why`], with facts about each entry.
pub fn why_with(out: &mut dyn Write, rootfs: &Rootfs, path: &RootfsPath, facts: &Facts<'_>) -> io::Result<bool> {
    let way = rootfs.way(path);
    for (path, entry) in &way {
        one(out, rootfs, path, entry, &facts(path, entry))?;
    }
    Ok(!way.is_empty())
}

/// The number of shown reasons of one entry; the rest is counted. A loader has one reason for every executable.
const SHOWN: usize = 12;

/// A line that is still to be written.
enum Line<'r> {
    Reason(&'r Origin),
    More(usize),
}

/// The reasons of an entry, the last one first.
fn reasons(entry: &Entry) -> impl Iterator<Item = Line<'_>> {
    let count = entry.origins.len();
    // One hidden reason would take as much space as the line that counts it.
    let shown = if count > SHOWN + 1 { SHOWN } else { count };
    let more = (shown < count).then_some(Line::More(count - shown));
    let reasons: Vec<_> = entry.origins.iter().take(shown).map(Line::Reason).collect();
    more.into_iter().chain(reasons.into_iter().rev())
}

/// Writes the reasons for one entry.
fn one(out: &mut dyn Write, rootfs: &Rootfs, path: &RootfsPath, entry: &Entry, facts: &[String]) -> io::Result<()> {
    let arrow = match &entry.kind {
        Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
        Kind::Hardlink(target) => format!(" = {target}"),
        _ => String::new(),
    };
    writeln!(out, "{path}{arrow}")?;
    if let Some(package) = &entry.package {
        writeln!(out, "    package {package}")?;
    }
    for fact in facts {
        writeln!(out, "    {fact}")?;
    }
    let mut shown = BTreeSet::from([path.clone()]);
    let mut stack: Vec<(usize, Line<'_>)> = reasons(entry).map(|line| (1, line)).collect();
    while let Some((depth, line)) = stack.pop() {
        let indent = "    ".repeat(depth);
        let origin = match line {
            Line::Reason(origin) => origin,
            Line::More(count) => {
                writeln!(out, "{indent}and {count} more")?;
                continue;
            }
        };
        let next = origin.brought_by().and_then(|by| Some((by, rootfs.get(by)?)));
        match next {
            Some((by, entry)) if shown.insert(by.clone()) => {
                writeln!(out, "{indent}{origin}")?;
                stack.extend(reasons(entry).map(|line| (depth + 1, line)));
            }
            Some(_) => writeln!(out, "{indent}{origin} (above)")?,
            None => writeln!(out, "{indent}{origin}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rootfs(entries: &[(&str, Kind, Origin)]) -> Rootfs {
        let mut rootfs = Rootfs::default();
        for (path, kind, origin) in entries {
            rootfs.insert(RootfsPath::parse(path).unwrap(), Entry::new(kind.clone(), 0o755, origin.clone()));
        }
        rootfs
    }

    fn text(rootfs: &Rootfs, path: &str) -> Option<String> {
        let mut out = Vec::new();
        let found = why(&mut out, rootfs, &RootfsPath::parse(path).unwrap()).unwrap();
        found.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn of_many_reasons_some_are_told() {
        let mut rootfs = rootfs(&[
            ("/", Kind::Dir, Origin::Template("base".to_owned())),
            ("/x", Kind::Dir, Origin::Tool("00".to_owned())),
        ]);
        for (count, lines) in [(13, 13), (14, 13), (40, 13)] {
            let entry = rootfs.get_mut(&RootfsPath::parse("/x").unwrap()).unwrap();
            entry.origins = (0..count).map(|tool| Origin::Tool(format!("{tool:02}"))).collect();
            let text = text(&rootfs, "/x").unwrap();
            assert_eq!(text.lines().count(), 1 + lines, "{text}");
            assert_eq!(text.ends_with(&format!("    and {} more\n", count - 12)), count > 13, "{text}");
        }
    }

    #[test]
    fn links_on_the_way_have_reasons_of_their_own() {
        let link = |target: &str| Kind::Symlink(target.as_bytes().into());
        let body = || Kind::File(crate::rootfs::Body::Bytes((*b"x").into()));
        let tool = RootfsPath::parse("/usr/bin/tool").unwrap();
        let rootfs = rootfs(&[
            ("/", Kind::Dir, Origin::Template("base".to_owned())),
            ("/lib", link("usr/lib"), Origin::Leads(RootfsPath::parse("/usr/lib/libz.so.1").unwrap())),
            ("/loop", link("/loop"), Origin::Template("base".to_owned())),
            ("/usr", Kind::Dir, Origin::Leads(tool.clone())),
            ("/usr/bin", Kind::Dir, Origin::Leads(tool.clone())),
            ("/usr/bin/tool", body(), Origin::Tool("tool".to_owned())),
            ("/usr/lib", Kind::Dir, Origin::Leads(tool.clone())),
            ("/usr/lib/libz.so.1", link("libz.so.1.2"), Origin::NeededBy(tool.clone())),
            ("/usr/lib/libz.so.1.2", body(), Origin::NeededBy(tool)),
        ]);
        assert_eq!(
            text(&rootfs, "/lib/../lib/libz.so.1").unwrap(),
            "/lib -> usr/lib\n    leads to /usr/lib/libz.so.1\n        needed by /usr/bin/tool\n            --with tool\n\
             /usr/lib/libz.so.1 -> libz.so.1.2\n    needed by /usr/bin/tool\n        --with tool\n\
             /usr/lib/libz.so.1.2\n    needed by /usr/bin/tool\n        --with tool\n"
        );
        for absent in ["/usr/lib/absent", "/loop", "/usr/bin/tool/x"] {
            assert_eq!(text(&rootfs, absent), None, "{absent}");
        }
    }
}
