//! Looks up a command in the plan of a rootfs as execvp(3) does on disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::path::{RootfsPath, command_paths};
use crate::rootfs::{Kind, Rootfs};

/// The result of looking up a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A program, by its path without symlinks.
    Executable(RootfsPath),
    /// A file that is not executable.
    Plain,
    Absent,
}

/// Searches for `word` in the directories of `path`, a PATH, or relative to `workdir`.
pub(crate) fn look_up(word: &OsStr, path: &str, workdir: &RootfsPath, rootfs: &Rootfs) -> Found {
    let is_path = !word.as_bytes().starts_with(b"/") && word.as_bytes().contains(&b'/');
    let in_workdir = is_path.then(|| workdir.join(word.as_bytes()));
    let command = in_workdir.as_ref().map_or(word.as_bytes(), RootfsPath::as_bytes);
    let mut found = Found::Absent;
    for place in command_paths(command, Some(path.as_bytes())) {
        let way = rootfs.way(&place);
        let Some((path, entry)) = way.last() else { continue };
        match entry.kind {
            Kind::File(_) | Kind::Hardlink(_) if entry.mode & 0o111 != 0 => return Found::Executable(path.clone()),
            _ => found = Found::Plain,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::{Body, Entry, Origin};

    #[test]
    fn as_execvp_does() {
        let mut rootfs = Rootfs::default();
        let mut put = |path: &str, kind, mode| {
            rootfs.insert(RootfsPath::parse(path).unwrap(), Entry::new(kind, mode, Origin::Tool("x".to_owned())));
        };
        let file = || Kind::File(Body::Bytes(b"x"[..].into()));
        for folder in ["/", "/usr", "/usr/bin", "/opt"] {
            put(folder, Kind::Dir, 0o755);
        }
        put("/bin", Kind::Symlink(b"usr/bin"[..].into()), 0o777);
        put("/usr/bin/tool", file(), 0o755);
        put("/usr/bin/alias", Kind::Symlink(b"/bin/tool"[..].into()), 0o777);
        put("/usr/bin/broken", Kind::Symlink(b"/bin/none"[..].into()), 0o777);
        put("/opt/plain", file(), 0o644);
        put("/usr/bin/plain", file(), 0o755);
        let look = |word: &str, workdir: &str| {
            look_up(OsStr::new(word), "/opt:/bin", &RootfsPath::parse(workdir).unwrap(), &rootfs)
        };
        let tool = || Found::Executable(RootfsPath::parse("/usr/bin/tool").unwrap());
        let plain = || Found::Executable(RootfsPath::parse("/usr/bin/plain").unwrap());
        for (word, workdir, found) in [
            ("tool", "/", tool()),
            ("alias", "/", tool()),
            ("/bin/alias", "/", tool()),
            ("bin/tool", "/", tool()),
            ("../bin/tool", "/opt", tool()),
            ("./tool", "/usr/bin", tool()),
            // A file that is not executable does not hide a later executable one.
            ("plain", "/", plain()),
            ("/opt/plain", "/", Found::Plain),
            ("/usr/bin", "/", Found::Plain),
            ("broken", "/", Found::Absent),
            ("none", "/", Found::Absent),
            ("./tool", "/", Found::Absent),
        ] {
            assert_eq!(look(word, workdir), found, "{word} in {workdir}");
        }
    }
}
