//! The release of a distribution with a new enough glibc, for help lines.

use crate::distro::OsRelease;
use crate::resolve::Release;

/// Built-in facts about a distribution.
struct Distribution {
    /// Its ID (os-release(5)).
    id: &'static str,
    /// Long-lived releases, each with its glibc.
    suites: &'static [(&'static str, (u32, u32))],
    /// The version after the last of them.
    newest: &'static str,
}

const DEBIAN: Distribution =
    Distribution { id: "debian", suites: &[("bookworm", (2, 36)), ("trixie", (2, 41))], newest: "sid" };
const UBUNTU: Distribution =
    Distribution { id: "ubuntu", suites: &[("jammy", (2, 35)), ("noble", (2, 39))], newest: "devel" };

/// The first release with this glibc, as a value of `--sysroot`: Ubuntu's if the sysroot's os-release(5) belongs to its
/// family, otherwise Debian's.
pub(crate) fn suite_with_glibc(glibc: Release, system: &OsRelease) -> String {
    let is_ubuntu = system.ids().any(|id| id == UBUNTU.id);
    let Distribution { id, suites, newest } = if is_ubuntu { UBUNTU } else { DEBIAN };
    let found = suites.iter().find(|(_, (major, minor))| glibc <= Release::new(*major, *minor));
    format!("{id}:{}", found.map_or(newest, |(suite, _)| suite))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_named_by_its_glibc() {
        for (version, debian, ubuntu) in [
            ("GLIBC_2.2.5", "debian:bookworm", "ubuntu:jammy"),
            ("GLIBC_2.36", "debian:bookworm", "ubuntu:noble"),
            ("GLIBC_2.37", "debian:trixie", "ubuntu:noble"),
            ("GLIBC_2.99", "debian:sid", "ubuntu:devel"),
        ] {
            let glibc = Release::of_version(version.as_bytes()).unwrap();
            for (os_release, suite) in [
                ("", debian),
                ("PRETTY_NAME=\"not ubuntu\"\nID=debian\n", debian),
                ("NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian\n", ubuntu),
                ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", ubuntu),
            ] {
                assert_eq!(suite_with_glibc(glibc, &OsRelease::new(os_release)), suite, "{version} {os_release}");
            }
        }
    }
}
