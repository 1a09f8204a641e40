//! Paths inside the image: [`RootfsPath`], absolute, and never to be confused with a host path.
//!
//! Nothing here touches a disk: what a path means in a directory of the host, symlinks and `..`
//! included, is for [`crate::sysroot`] to say.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The PATH of a root login and of images whose configuration has no other, where tools are looked up by name.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The directories of [`DEFAULT_PATH`], in its order.
pub(crate) fn program_directories() -> impl Iterator<Item = RootfsPath> {
    DEFAULT_PATH.split(':').map(|folder| RootfsPath::root().join(folder.as_bytes()))
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

    /// Takes text that a user typed. Fails where it is not absolute or holds a NUL.
    pub fn parse(text: &str) -> Result<Self, crate::Error> {
        Self::from_bytes(text.as_bytes())
            .ok_or_else(|| crate::Error::usage(format!("`{text}` is not an absolute path inside the rootfs")))
    }

    /// Takes bytes as they stand in an ELF file or a link; `None` where they are not absolute or hold a NUL.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.first() != Some(&b'/') || bytes.contains(&0) {
            return None;
        }
        Some(Self::root().join(bytes))
    }

    /// Appends `relative` (one or more components). An absolute one is appended too, below `self`.
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

    /// Appends one component, which holds no slash and is not `.`.
    pub(crate) fn child(&self, name: &[u8]) -> Self {
        let folder = if self.0.len() > 1 { &self.0[..] } else { &[] };
        // An iterator that knows its length: one allocation, not one for the bytes and one to share them.
        Self(folder.iter().chain(b"/").chain(name).copied().collect())
    }

    /// The same path in memory of its own, which no other thread counts references to.
    #[cfg(feature = "cli")]
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::from(&self.0[..]))
    }

    /// The directory that holds it; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        let cut = self.0.iter().rposition(|byte| *byte == b'/')?;
        match (cut, self.0.len()) {
            (_, 1) => None,
            (0, _) => Some(Self::root()),
            _ => Some(Self(Arc::from(&self.0[..cut]))),
        }
    }

    /// Its last component; empty for `/`.
    pub fn file_name(&self) -> &[u8] {
        let cut = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        &self.0[cut + 1..]
    }

    /// Its components, in order; none for `/`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// Returns whether it is `folder` or lies below it, by its text alone.
    pub fn is_within(&self, folder: &Self) -> bool {
        folder.0.len() == 1
            || (self.0.starts_with(&folder.0) && matches!(self.0.get(folder.0.len()), None | Some(b'/')))
    }

    /// Returns whether it is directly in `folder`, by its text alone.
    pub(crate) fn is_child_of(&self, folder: &Self) -> bool {
        let text = &self.0[..self.0.len() - self.file_name().len()];
        self.0.len() > 1 && (text == &folder.0[..] || text.strip_suffix(b"/") == Some(&folder.0[..]))
    }

    /// The same path with each `..` taken together with the component before it, as if no
    /// component were a symlink. Only for directories that are known to hold none.
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

    /// Its bytes, with the leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes without the leading slash, as archives store them; empty for `/`.
    pub fn relative(&self) -> &[u8] {
        &self.0[1..]
    }

    /// As text, where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// As text for a message, with replacement characters where it is not UTF-8.
    pub fn to_text(&self) -> Cow<'_, str> {
        // Nearly every path is UTF-8, which is seen faster than it is repaired.
        self.as_str().map_or_else(|| String::from_utf8_lossy(&self.0), Cow::Borrowed)
    }

    /// The host path of the same name below the directory `root`. It follows nothing: use it for
    /// paths whose symlinks are resolved.
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
