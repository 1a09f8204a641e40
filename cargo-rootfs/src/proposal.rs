//! The release of Debian that has a new enough glibc, for help lines.

use crate::resolve::Release;

/// Debian's release, where nothing asks for a newer one.
pub(crate) const SUITE: &str = "bookworm";

/// Debian's releases since then, and the glibc that each has.
const SUITES: &[(&str, (u32, u32))] = &[(SUITE, (2, 36)), ("trixie", (2, 41))];

/// What comes after the last of them.
const NEWEST: &str = "sid";

/// The first of Debian's releases that has this glibc.
pub(crate) fn suite_with(glibc: Release) -> &'static str {
    let found = SUITES.iter().find(|(_, (major, minor))| glibc <= Release::new(*major, *minor));
    found.map_or(NEWEST, |(suite, _)| suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_named_by_its_glibc() {
        for (version, suite) in
            [("GLIBC_2.2.5", "bookworm"), ("GLIBC_2.36", "bookworm"), ("GLIBC_2.37", "trixie"), ("GLIBC_2.99", "sid")]
        {
            assert_eq!(suite_with(Release::of_version(version.as_bytes()).unwrap()), suite, "{version}");
        }
    }
}
