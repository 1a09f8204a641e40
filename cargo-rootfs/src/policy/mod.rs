//! Policy as data: rows for secrets, documentation, noise, and rarely opened libraries.
//!
//! It judges given paths, owners, modes and bytes, and reads no disk.
//!
//! Built in are the files of `templates/policy/`. A `template.toml` and `[package.metadata.rootfs]` may add
//! `[[secret]]`, `[[documentation]]` and `[[noise]]`; a row replaces an earlier one of the same kind and name.

mod documentation;
mod endings;
mod evidence;
mod host_libraries;
mod rarely;
mod row;
mod secrets;
mod table;

use std::sync::OnceLock;

use crate::path::RootfsPath;
use crate::rows::embedded;
pub(crate) use endings::{is_configuration, is_loaded, is_module, is_plugin, is_read_module};
pub(crate) use evidence::Judge;
pub(crate) use host_libraries::is_of_host;
#[cfg(feature = "cli")]
pub(crate) use rarely::is_rarely_opened;
pub(crate) use rarely::is_rarely_opened_by;
pub use row::Row;
#[cfg(feature = "cli")]
pub(crate) use row::from_json;
pub(crate) use row::{Kind, from_toml};
pub(crate) use secrets::{LONGEST_KEY, Secret, Secrets};
use table::Table;

/// The rows for one rootfs. Each kind is parsed on demand.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    own: Vec<Row>,
    secrets: OnceLock<Secrets>,
    documentation: OnceLock<Table>,
    noise: OnceLock<Table>,
}

impl Policy {
    /// The built-in rows and `own`; a later row replaces an earlier one of the same name.
    pub(crate) fn new(own: Vec<Row>) -> Self {
        Self { own, ..Self::default() }
    }

    /// The built-in rows only.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Policy> = OnceLock::new();
        BUILT_IN.get_or_init(Self::default)
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        self.secrets.get_or_init(|| Secrets::new(&self.own))
    }

    /// Returns whether a file of a package is documentation, which is left out of a packed package.
    pub(crate) fn is_documentation(&self, package: &str, path: &RootfsPath) -> bool {
        let table = self.documentation.get_or_init(|| {
            let text = include_str!("../../templates/policy/documentation.toml");
            Table::new(Kind::Documentation, &embedded(text), &self.own)
        });
        documentation::is_documentation(table, package, path)
    }

    /// Returns whether a file is noise: programs look for it on every machine, so a request or a use of it is not
    /// reported.
    pub(crate) fn is_noise(&self, path: &RootfsPath) -> bool {
        let table = self.noise.get_or_init(|| {
            Table::new(Kind::Noise, &embedded(include_str!("../../templates/policy/noise.toml")), &self.own)
        });
        path.parent().is_none() || table.first(path, |_| true).is_some()
    }
}

#[cfg(test)]
mod tests;
