//! Libraries that the target provides, such as those of a driver that an engine mounts: named by the user, never
//! searched for, never packed.

use std::sync::Arc;

use crate::elf::Bytes;
use crate::glob::Glob;
use crate::path::RootfsPath;

/// Names of libraries that the target provides (`--allow-missing`): sonames, or patterns of them.
///
/// ```
/// use cargo_rootfs::resolve::TargetLibraries;
/// let libraries = TargetLibraries::parse(&["libcuda.so.1".to_owned(), "libnvidia-*".to_owned()])?;
/// assert!(libraries.has(b"libnvidia-ml.so.1") && !libraries.has(b"libcudart.so.12"));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct TargetLibraries(Arc<[Glob]>);

impl TargetLibraries {
    /// Parses sonames and patterns. The error describes the first invalid one.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let mut globs = Vec::new();
        for text in texts {
            let bad = |why: &str| format!("`{text}` is no name of a library: {why}");
            let parsed = Glob::parse(text).map_err(bad)?;
            if !parsed.iter().all(Glob::is_name) {
                return Err(bad("a soname or a pattern of one has no slash"));
            }
            globs.extend(parsed);
        }
        Ok(Self(globs.into()))
    }

    /// Returns whether the target provides a library of this name; for a path, by its last component.
    pub fn has(&self, needed: &[u8]) -> bool {
        let name = needed.rsplit(|byte| *byte == b'/').next().unwrap_or(needed);
        self.0.iter().any(|glob| glob.matches_name(name).is_some())
    }
}

/// A name that is not searched for, because the target provides the library.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Given {
    /// The name, as in DT_NEEDED with its tokens replaced.
    pub needed: Bytes,
    /// The object that needs or opens it.
    pub needed_by: RootfsPath,
}
