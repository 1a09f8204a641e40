//! Groups whose members have known names: rows of `templates/policy/layers.toml`.

use crate::glob::Glob;
use crate::path::RootfsPath;
use crate::rows;

/// The rows, compiled.
#[derive(Debug)]
pub(super) struct Members {
    libc_files: Vec<Glob>,
    libc_sources: Vec<Glob>,
    kin_sources: Vec<Glob>,
    data_paths: Vec<Glob>,
    data_packages: Vec<Glob>,
}

impl Members {
    pub(super) fn built_in() -> Self {
        let fields = rows::embedded(include_str!("../../templates/policy/layers.toml"));
        let globs = |table: &str, key: &str| {
            let texts = rows::table(&fields, table).map(|table| rows::texts(table, key)).unwrap_or_default();
            texts.into_iter().flat_map(|text| Glob::parse(text).expect("a test reads each row")).collect()
        };
        Self {
            libc_files: globs("libc", "files"),
            libc_sources: globs("libc", "sources"),
            kin_sources: globs("kin", "sources"),
            data_paths: globs("data", "paths"),
            data_packages: globs("data", "packages"),
        }
    }

    /// Returns whether the file is the loader or the C library.
    pub(super) fn is_libc_file(&self, path: &RootfsPath) -> bool {
        matches(&self.libc_files, path)
    }

    pub(super) fn is_libc_source(&self, source: &str) -> bool {
        is_name(&self.libc_sources, source)
    }

    pub(super) fn is_kin_source(&self, source: &str) -> bool {
        is_name(&self.kin_sources, source)
    }

    pub(super) fn is_data(&self, path: &RootfsPath, package: Option<&str>) -> bool {
        matches(&self.data_paths, path) || package.is_some_and(|package| is_name(&self.data_packages, package))
    }
}

fn matches(globs: &[Glob], path: &RootfsPath) -> bool {
    let components: Vec<&[u8]> = path.components().collect();
    globs.iter().any(|glob| glob.matches_components(&components).is_some())
}

fn is_name(globs: &[Glob], name: &str) -> bool {
    globs.iter().any(|glob| glob.matches_components(&[name.as_bytes()]).is_some())
}
