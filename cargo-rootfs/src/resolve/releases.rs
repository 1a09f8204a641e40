//! The oldest releases of glibc and of the kernel on which a closure runs, from the records of its objects.
//!
//! [`super::versions`] checks that the chosen libraries satisfy the versions.

use std::fmt;

use super::{Closure, FileId, Files};
use crate::elf::Object;

/// A release of glibc in the notation of versions: `2.34` of `GLIBC_2.34`, `2.2.5` of `GLIBC_2.2.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Release([u32; 3]);

const PREFIX: &[u8] = b"GLIBC_";

impl Release {
    /// `new(2, 36)` is 2.36.
    pub fn new(major: u32, minor: u32) -> Self {
        Self([major, minor, 0])
    }

    /// Two numbers, or three if the third is not 0.
    pub fn numbers(&self) -> &[u32] {
        if self.0[2] > 0 { &self.0 } else { &self.0[..2] }
    }

    /// Parses the name of a version; `None` if it names no release, such as GLIBC_PRIVATE.
    pub fn of_version(name: &[u8]) -> Option<Self> {
        let text = name.strip_prefix(PREFIX)?;
        // Loaders since this release support DT_RELR, and define this name (glibc 2.36's NEWS).
        if text == b"ABI_DT_RELR" {
            return Some(Self::new(2, 36));
        }
        // A digit first, then digits and dots.
        let mut parts = [0u32; 3];
        let (mut at, mut after_dot) = (0, true);
        for byte in text {
            match byte {
                b'0'..=b'9' => {
                    parts[at] = parts[at].checked_mul(10)?.checked_add(u32::from(byte - b'0'))?;
                    after_dot = false;
                }
                b'.' if !after_dot && at < 2 => (at, after_dot) = (at + 1, true),
                _ => return None,
            }
        }
        (at > 0 && !after_dot).then_some(Self(parts))
    }

    /// The newest release that `object` needs, without weak versions, which may be missing.
    pub fn needed_by(object: &Object) -> Option<Self> {
        let versions = object.version_needs.iter().flat_map(|need| &need.versions);
        versions.filter(|version| !version.is_weak).filter_map(|version| Self::of_version(&version.name)).max()
    }

    /// The newest release of which `object` defines versions.
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

/// The requirements of a closure on its system. The first object with each requirement is an index into
/// [`Closure::objects`], or `None` for the executable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunsOn {
    /// The oldest glibc: the newest release of which any object outside of glibc needs a version.
    pub glibc: Option<(Release, Option<usize>)>,
    /// The oldest Linux, from `.note.ABI-tag`.
    pub kernel: Option<((u32, u32, u32), Option<usize>)>,
}

/// Returns whether `object` is a part of glibc, and so belongs to the installed release: a library that defines only
/// glibc's versions. (libxcrypt's libcrypt.so.1 defines some of them, and others of its own.)
fn is_glibc(object: &Object) -> bool {
    let mut defines = false;
    object.version_definitions.iter().all(|version| {
        let is_own = version.name.starts_with(PREFIX);
        defines |= is_own;
        // The base definition has the library's name.
        is_own || object.soname.as_ref() == Some(&version.name)
    }) && defines
}

/// The requirements of one file.
#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    glibc: Option<Release>,
    is_glibc: bool,
    kernel: Option<(u32, u32, u32)>,
}

/// Finds the highest requirement of each kind. Needs of glibc itself count only if it is the subject.
fn lowest(main: Needs, objects: impl Iterator<Item = Needs>) -> RunsOn {
    let mut lowest = RunsOn { glibc: main.glibc.map(|it| (it, None)), kernel: main.kernel.map(|it| (it, None)) };
    for (index, needs) in objects.enumerate() {
        if !needs.is_glibc && needs.glibc > lowest.glibc.map(|it| it.0) {
            lowest.glibc = needs.glibc.map(|it| (it, Some(index)));
        }
        if needs.kernel > lowest.kernel.map(|it| it.0) {
            lowest.kernel = needs.kernel.map(|it| (it, Some(index)));
        }
    }
    lowest
}

/// Reads each file once for all closures.
#[derive(Debug, Default)]
pub(super) struct Releases {
    /// By the number of the file.
    known: Vec<Option<Needs>>,
}

impl Releases {
    pub(super) fn runs_on(&mut self, files: &mut dyn Files, closure: &Closure) -> RunsOn {
        let main = self.needs(files, closure.id);
        lowest(main, closure.objects.iter().map(|object| self.needs(files, object.file)))
    }

    fn needs(&mut self, files: &mut dyn Files, file: FileId) -> Needs {
        if let Some(Some(needs)) = self.known.get(file.0) {
            return *needs;
        }
        let needs = files.object(file).map_or_else(
            |_| Needs::default(),
            |object| Needs { glibc: Release::needed_by(&object), is_glibc: is_glibc(&object), kernel: object.kernel },
        );
        if file.0 >= self.known.len() {
            self.known.resize((file.0 + 1).next_power_of_two(), None);
        }
        self.known[file.0] = Some(needs);
        needs
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
        for name in others.into_iter().chain(["GLIBC_2.+3", "GLIBC_2.4294967296", "GLIBC_2.1.2.3", "2.34"]) {
            assert_eq!(release(name), None, "{name}");
        }
    }

    #[test]
    fn the_newest_kernel_counts_by_whoever_needs_it_first() {
        let needs = |kernel| Needs { kernel, is_glibc: true, ..Needs::default() };
        let all = [None, Some((3, 2, 0)), Some((3, 10, 0)), Some((3, 10, 0)), Some((2, 6, 32))].map(needs);
        assert_eq!(lowest(needs(None), all.into_iter()).kernel, Some(((3, 10, 0), Some(2))));
        assert_eq!(lowest(needs(Some((3, 10, 0))), all.into_iter()).kernel, Some(((3, 10, 0), None)));
        assert_eq!(lowest(needs(None), [].into_iter()), RunsOn::default());
    }
}
