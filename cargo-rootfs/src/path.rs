//! Paths inside the image: [`RootfsPath`] is absolute, and a type other than that of host paths.
//!
//! It reads no disk: [`crate::sysroot`] resolves paths with symlinks and `..` in a directory of the host.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The PATH of a root login, and of images without a configured one, in which tools are looked up by name.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The directories of [`DEFAULT_PATH`], in order.
pub(crate) fn program_directories() -> impl Iterator<Item = RootfsPath> {
    directories(DEFAULT_PATH.as_bytes())
}

/// The directories of a PATH, in order. Relative ones are left out: runc, a Go program, runs nothing from them
/// (os/exec.LookPath).
fn directories(path: &[u8]) -> impl Iterator<Item = RootfsPath> {
    path.split(|byte| *byte == b':').filter_map(RootfsPath::from_bytes)
}

/// Returns whether a directory is in [`DEFAULT_PATH`].
pub(crate) fn is_program_directory(directory: &[u8]) -> bool {
    DEFAULT_PATH.split(':').any(|known| known.as_bytes() == directory)
}

/// The paths at which a command is looked up, in order: an absolute one itself, or a name in each directory of `path`, by
/// default [`DEFAULT_PATH`].
pub(crate) fn command_paths(command: &[u8], path: Option<&[u8]>) -> impl Iterator<Item = RootfsPath> {
    let absolute = RootfsPath::from_bytes(command);
    let path = if absolute.is_some() { b"" } else { path.unwrap_or(DEFAULT_PATH.as_bytes()) };
    absolute.into_iter().chain(directories(path).map(move |directory| directory.join(command)))
}

/// An absolute path inside the image, as bytes: `/usr/bin/bash`.
///
/// Repeated slashes and `.` components are dropped when it is made. A `..` stays, because what it
/// means depends on symlinks (path_resolution(7)). Cloning is cheap.
///
/// ```
/// use cargo_rootfs::RootfsPath;
/// let path = RootfsPath::parse("//usr/./bin/bash")?;
/// assert_eq!(path.to_string(), "/usr/bin/bash");
/// assert!(RootfsPath::parse("usr/bin").is_err());
/// # Ok::<(), cargo_rootfs::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootfsPath(Arc<[u8]>);

impl RootfsPath {
    /// The root directory, `/`.
    pub fn root() -> Self {
        Self(Arc::from(&b"/"[..]))
    }

    /// Parses text of a user. Fails if it is not absolute or contains a NUL.
    pub fn parse(text: &str) -> Result<Self, crate::Error> {
        Self::from_bytes(text.as_bytes())
            .ok_or_else(|| crate::Error::usage(format!("`{text}` is not an absolute path inside the rootfs")))
    }

    /// Parses bytes of an ELF file or a symlink; `None` if they are not absolute or contain a NUL.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.first() != Some(&b'/') || bytes.contains(&0) {
            return None;
        }
        Some(Self::root().join(bytes))
    }

    /// Appends `relative` (one or more components). An absolute one is appended below `self` too.
    #[must_use]
    pub fn join(&self, relative: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + relative.len() + 1);
        if self.0.len() > 1 {
            bytes.extend_from_slice(&self.0);
        }
        for part in relative.split(|byte| *byte == b'/') {
            if !part.is_empty() && part != b"." {
                bytes.push(b'/');
                bytes.extend_from_slice(part);
            }
        }
        if bytes.is_empty() {
            return Self::root();
        }
        Self(Arc::from(bytes))
    }

    /// Appends one component, which has no slash and is not `.`.
    pub(crate) fn child(&self, name: &[u8]) -> Self {
        let folder = if self.0.len() > 1 { &self.0[..] } else { &[] };
        // An iterator with a known length: one allocation instead of two.
        Self(folder.iter().chain(b"/").chain(name).copied().collect())
    }

    /// A copy in separate memory, so that threads do not share a reference count.
    #[cfg(feature = "cli")]
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::from(&self.0[..]))
    }

    /// The parent directory; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        let cut = self.0.iter().rposition(|byte| *byte == b'/')?;
        match (cut, self.0.len()) {
            (_, 1) => None,
            (0, _) => Some(Self::root()),
            _ => Some(Self(Arc::from(&self.0[..cut]))),
        }
    }

    /// The last component; empty for `/`.
    pub fn file_name(&self) -> &[u8] {
        let cut = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        &self.0[cut + 1..]
    }

    /// The components in order; none for `/`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// Returns whether the text of the path is `folder` or below it.
    pub fn is_within(&self, folder: &Self) -> bool {
        folder.0.len() == 1
            || (self.0.starts_with(&folder.0) && matches!(self.0.get(folder.0.len()), None | Some(b'/')))
    }

    /// Removes each `..` with the component before it, as if no component were a symlink. Use it only for paths without
    /// symlinks.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in self.components() {
            if part == b".." {
                parts.pop();
            } else {
                parts.push(part);
            }
        }
        Self::root().join(&parts.join(&b'/'))
    }

    /// The bytes with the leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes without the leading slash, as in archives; empty for `/`.
    pub fn relative(&self) -> &[u8] {
        &self.0[1..]
    }

    /// The text; `None` if it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text for a message, with replacement characters for invalid UTF-8.
    pub fn to_text(&self) -> Cow<'_, str> {
        // Nearly every path is UTF-8, which is checked faster than repaired.
        self.as_str().map_or_else(|| String::from_utf8_lossy(&self.0), Cow::Borrowed)
    }

    /// The host path of the same name below the directory `root`. It follows no symlinks: use it only for resolved
    /// paths.
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(OsStr::from_bytes(self.relative()))
    }
}

impl fmt::Display for RootfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for RootfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_text(), f)
    }
}

impl std::str::FromStr for RootfsPath {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RootfsPath {
        RootfsPath::parse(text).unwrap()
    }

    #[test]
    fn slashes_and_dots_are_dropped_and_dotdot_stays() {
        for (typed, kept) in
            [("/", "/"), ("//", "/"), ("/a/", "/a"), ("/a//b/./c", "/a/b/c"), ("/a/../b", "/a/../b"), ("/.", "/")]
        {
            assert_eq!(path(typed).to_string(), kept, "{typed}");
        }
    }

    #[test]
    fn parents_and_names() {
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), Some(path("/")));
        assert_eq!(path("/").parent(), None);
        assert_eq!(path("/a/b").file_name(), b"b");
        assert_eq!(path("/").file_name(), b"");
    }

    #[test]
    fn within_compares_whole_components() {
        assert!(path("/usr/lib").is_within(&path("/usr")));
        assert!(path("/usr").is_within(&path("/usr")));
        assert!(!path("/usrlocal").is_within(&path("/usr")));
        assert!(path("/usr").is_within(&path("/")));
    }

    #[test]
    fn normalized_stops_at_the_root() {
        assert_eq!(path("/usr/local/bin/../lib").normalized(), path("/usr/local/lib"));
        assert_eq!(path("/../../a").normalized(), path("/a"));
    }
}
