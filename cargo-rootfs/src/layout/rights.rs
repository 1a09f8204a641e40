//! Rights that a file gives to its caller: set-ID bits and file capabilities, kept if they mean the same in the image.

use std::path::Path;
use std::sync::Arc;

use super::capability;
use super::place::Layout;
use crate::path::RootfsPath;
use crate::sysroot::FileInfo;

pub(super) const SETUID: u32 = 0o4000;
pub(super) const SETGID: u32 = 0o2000;

/// dpkg's notes of owners and modes, and their maximum size.
const OVERRIDES: &str = "/var/lib/dpkg/statoverride";
const OVERRIDES_LIMIT: usize = 1 << 20;

/// The owner in the notes `user group mode path` for this path; the last line counts. Names other than root's are
/// ignored, because they would have to be looked up.
fn noted_owner(notes: &[u8], path: &RootfsPath) -> Option<(u32, u32)> {
    let id = |name: &str| if name == "root" { Some(0) } else { name.strip_prefix('#')?.parse().ok() };
    let text = String::from_utf8_lossy(notes);
    let mut lines = text.lines().rev().map(|line| line.splitn(4, ' ').collect::<Vec<_>>());
    lines.find_map(|line| match line[..] {
        [user, group, _mode, noted] if noted.as_bytes() == path.as_bytes() => Some((id(user)?, id(group)?)),
        _ => None,
    })
}

impl Layout<'_> {
    /// The owner of a set-ID file of the sysroot. If the user who unpacked the sysroot owns all of it,
    /// dpkg-statoverride(1) has the owner.
    pub(super) fn owner(&self, path: &RootfsPath, info: &FileInfo) -> (u32, u32) {
        let own = (info.uid, info.gid);
        if info.mode & (SETUID | SETGID) == 0 || info.uid == 0 || info.uid != self.view.owner() {
            return own;
        }
        let notes = RootfsPath::parse(OVERRIDES).ok().and_then(|notes| self.view.peek(&notes, OVERRIDES_LIMIT));
        noted_owner(&notes.unwrap_or_default(), path).unwrap_or(own)
    }

    /// The capabilities of the file `host`, if it is executable.
    pub(super) fn kept_capability(&mut self, path: &RootfsPath, mode: u32, host: &Path) -> Option<Arc<[u8]>> {
        let kept = if mode & 0o111 != 0 { capability::of_file(host) } else { None };
        if let Some(value) = &kept {
            self.surprises.has_capabilities(path, capability::names(value));
        }
        kept
    }

    /// The kept mode. All files become 0:0, so a set-ID bit is kept only if it meant root before.
    pub(super) fn kept_mode(&mut self, path: &RootfsPath, mode: u32, uid: u32, gid: u32) -> u32 {
        let mut kept = mode;
        for (bit, owner, word) in [(SETUID, uid, "setuid"), (SETGID, gid, "setgid")] {
            if mode & bit == 0 {
                continue;
            }
            // Without execute permission for the group, set-group-ID meant mandatory locking (inode(7)).
            if owner == 0 {
                self.surprises.keeps(path, word);
            } else {
                kept &= !bit;
                self.surprises.loses(path, word, owner);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_owners_are_those_of_dpkg() {
        let notes = b"#0 #0 755 /usr/bin/su\nroot #5 2755 /usr/bin/wall\nroot tty 2755 /usr/bin/write\n\
                      broken\nroot root 4755 /a b\n#1 #0 4755 /usr/bin/su\n";
        let owner = |path| noted_owner(notes, &RootfsPath::parse(path).unwrap());
        assert_eq!(owner("/usr/bin/su"), Some((1, 0)), "the last line counts");
        assert_eq!(owner("/usr/bin/wall"), Some((0, 5)));
        assert_eq!(owner("/a b"), Some((0, 0)));
        assert_eq!((owner("/usr/bin/write"), owner("/usr/bin/ls")), (None, None));
    }
}
