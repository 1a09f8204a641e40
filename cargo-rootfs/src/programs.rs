//! Finds programs of the host by name in a PATH.
//!
//! Programs of an image are looked up in its rootfs, elsewhere.

use crate::host_files;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The PATH of this process.
pub(crate) fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The file of `name` in the directories of `path`; a name with a slash is itself a path (execvp(3)).
pub(crate) fn find(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(|file| is_executable(file));
    }
    std::env::split_paths(path).map(|directory| directory.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    host_files::metadata(file).ok().is_some_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
