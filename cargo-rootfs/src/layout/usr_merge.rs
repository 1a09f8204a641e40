//! Symlinks with which a path works with /usr merged and unmerged: `/bin/x` and `/usr/bin/x`.

use super::place::Layout;
use crate::error::Result;
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Kind, Origin};
use crate::sysroot::End;

impl Layout<'_> {
    /// Adds the symlinks of a merged /usr whose target directories are in the rootfs.
    pub(super) fn top_links(&mut self) {
        for name in [&b"bin"[..], b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"usr/sbin"] {
            let path = RootfsPath::root().join(name);
            let walk = self.view.walk(&path);
            let leads = walk.links.last().is_some_and(|(link, _)| *link == path || link.is_within(&path));
            let is_used = matches!(self.rootfs.get(&walk.path), Some(Entry { kind: Kind::Dir, .. }));
            if leads && is_used && self.rootfs.get(&path).is_none() {
                // No conflict is possible: nothing is at the path.
                let _ = self.links(&walk.links, &walk.path);
            }
        }
    }

    /// In an unmerged sysroot, adds a symlink with which each tool has both names, `/bin/x` and `/usr/bin/x`.
    pub(super) fn second_names(&mut self, tools: &[RootfsPath]) -> Result<()> {
        for tool in tools {
            let Some(second) = second_name(tool) else { continue };
            if matches!(self.view.walk(&second).end, End::Absent) {
                let real = self.view.place(tool).path;
                self.symlink(&second, &real, &Origin::Generated(format!("for the usual path of {tool}")))?;
            }
        }
        Ok(())
    }
}

/// The other of `/bin/x` and `/usr/bin/x`, or of `/sbin/x` and `/usr/sbin/x`.
pub(super) fn second_name(path: &RootfsPath) -> Option<RootfsPath> {
    let name = path.file_name();
    let other: &[u8] = match path.parent()?.as_bytes() {
        b"/bin" => b"usr/bin",
        b"/usr/bin" => b"bin",
        b"/sbin" => b"usr/sbin",
        b"/usr/sbin" => b"sbin",
        _ => return None,
    };
    Some(RootfsPath::root().join(other).join(name))
}
