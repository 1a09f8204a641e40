//! Releases of glibc, by the versions that objects need and define.
//!
//! Whether what was chosen satisfies them is for [`super::versions`].

use std::fmt;

use crate::elf::Object;

/// A release of glibc as versions name it: `2.34` of `GLIBC_2.34`, `2.2.5` of `GLIBC_2.2.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release([u16; 3]);

const PREFIX: &[u8] = b"GLIBC_";

impl Release {
    /// `new(2, 36)` is 2.36.
    pub fn new(major: u16, minor: u16) -> Self {
        Self([major, minor, 0])
    }

    /// From a version's name; `None` where it names no release, as GLIBC_PRIVATE.
    pub fn of_version(name: &[u8]) -> Option<Self> {
        let text = name.strip_prefix(PREFIX)?;
        // The loaders since this release know DT_RELR, and say so by this name (glibc 2.36's NEWS).
        if text == b"ABI_DT_RELR" {
            return Some(Self::new(2, 36));
        }
        let mut parts = [0; 3];
        let mut count = 0;
        for part in text.split(|byte| *byte == b'.') {
            let number =
                std::str::from_utf8(part).ok().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
            *parts.get_mut(count)? = number.parse().ok()?;
            count += 1;
        }
        (count > 1).then_some(Self(parts))
    }

    /// The newest release that `object` needs, weak versions apart: those may be lacking.
    pub fn needed_by(object: &Object) -> Option<Self> {
        let versions = object.version_needs.iter().flat_map(|need| &need.versions);
        versions.filter(|version| !version.is_weak).filter_map(|version| Self::of_version(&version.name)).max()
    }

    /// The newest release that `object` defines versions of.
    pub fn defined_by(object: &Object) -> Option<Self> {
        object.version_definitions.iter().filter_map(|version| Self::of_version(&version.name)).max()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}")?;
        if patch > 0 { write!(f, ".{patch}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        let release = |name: &str| Release::of_version(name.as_bytes());
        let ascending =
            ["GLIBC_2.0", "GLIBC_2.2", "GLIBC_2.2.5", "GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.101", "GLIBC_3.0"];
        for pair in ascending.windows(2) {
            assert!(release(pair[0]).unwrap() < release(pair[1]).unwrap(), "{pair:?}");
        }
        for name in ascending {
            assert_eq!(format!("GLIBC_{}", release(name).unwrap()), name);
        }
        assert_eq!(release("GLIBC_ABI_DT_RELR"), release("GLIBC_2.36"));
        let others =
            ["GLIBC_PRIVATE", "GLIBC_ABI_GNU2_TLS", "GLIBCXX_3.4.30", "GLIBC_", "GLIBC_2", "GLIBC_2.", "GLIBC_2.3x"];
        for name in others.into_iter().chain(["GLIBC_2.+3", "GLIBC_2.99999", "GLIBC_2.1.2.3", "2.34"]) {
            assert_eq!(release(name), None, "{name}");
        }
    }
}
