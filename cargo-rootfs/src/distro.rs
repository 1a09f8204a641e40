//! Parses os-release(5): the distribution of a system, and its relatives.
//!
//! Callers derive suites and package managers from it.

use crate::path::RootfsPath;

/// The places of the file, the preferred one first; it is mostly a symlink to the other one.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// The assignments of one file; empty if a system has no such file.
#[derive(Debug, Default)]
pub(crate) struct OsRelease(String);

impl OsRelease {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The maximum size of a file.
    pub(crate) const LONGEST: usize = 64 << 10;

    /// The first file that `read` returns.
    pub(crate) fn find(mut read: impl FnMut(&RootfsPath) -> Option<Vec<u8>>) -> Self {
        let bytes = OS_RELEASE.iter().find_map(|path| read(&RootfsPath::root().join(path.as_bytes())));
        Self::new(String::from_utf8_lossy(&bytes.unwrap_or_default()))
    }

    /// The file of the host.
    #[cfg(feature = "cli")]
    pub(crate) fn host() -> Self {
        Self::find(|path| crate::host_files::bytes(&path.below("/".as_ref())).ok())
    }

    /// The value of `key`, without its quotes; `None` if it is empty.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
    }

    /// Its ID, followed by the IDs of ID_LIKE, the nearest first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        ["ID", "ID_LIKE"].into_iter().filter_map(|key| self.value(key)).flat_map(str::split_whitespace)
    }
}

#[cfg(test)]
mod tests {
    use super::OsRelease;

    #[test]
    fn values_are_unquoted_and_keys_are_whole() {
        let mint =
            OsRelease::new("NAME=\"Linux Mint\"\nBUILD_ID=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\nEMPTY=''\n");
        assert_eq!(mint.value("NAME"), Some("Linux Mint"));
        assert_eq!((mint.value("EMPTY"), mint.value("LIKE"), mint.value("VERSION_CODENAME")), (None, None, None));
        assert_eq!(mint.ids().collect::<Vec<_>>(), ["linuxmint", "ubuntu", "debian"]);
        assert_eq!(OsRelease::default().ids().count(), 0);
    }
}
