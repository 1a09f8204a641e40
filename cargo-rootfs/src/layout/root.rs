//! Roots of closures: executables, tools, libraries and plugins, which are run or opened and so bring more files.
//!
//! [`super::worklist`] computes their closures.

use std::sync::Arc;

use crate::elf::Bytes;
use crate::path::RootfsPath;
use crate::proof::Start;
use crate::resolve::{FoundBy, Loader};
use crate::rootfs::Origin;

/// A requested file, or a file that belongs to one, which gets a closure.
pub(super) struct Root {
    /// The requested name, for messages.
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) start: Start,
    /// The path of the file.
    pub(super) path: RootfsPath,
    /// True if libraries of the build may satisfy its needs.
    pub(super) is_project: bool,
    /// True if users execute it by its name.
    pub(super) is_tool: bool,
    /// True if it is left out with a warning when it cannot work; otherwise that is an error.
    pub(super) is_optional: bool,
    /// True if it came with a whole directory: a script may then be data, and is packed with a warning if it has no
    /// interpreter.
    pub(super) is_stray: bool,
    /// The way in which a library that is opened by name was found.
    pub(super) opened: Option<Opened>,
}

/// The way in which a library was found by its name only.
pub(super) struct Opened {
    pub(super) by: FoundBy,
    /// The glibc-hwcaps subdirectory that it is in.
    pub(super) hwcaps: Option<Bytes>,
    pub(super) loader: Arc<Loader>,
}

impl Root {
    /// A file of the sysroot by its path, with the properties of a mandatory plugin.
    pub(super) fn new(name: impl Into<String>, origin: Origin, path: RootfsPath) -> Self {
        let start = Start::Path(path.clone());
        let name = name.into();
        let (is_project, is_tool, is_optional, is_stray) = (false, false, false, false);
        Self { name, origin, start, path, is_project, is_tool, is_optional, is_stray, opened: None }
    }

    /// The same as a part of the project.
    pub(super) fn of_project(name: impl Into<String>, origin: Origin, path: RootfsPath) -> Self {
        Self { is_project: true, ..Self::new(name, origin, path) }
    }

    /// The same as a tool.
    pub(super) fn tool(name: impl Into<String>, origin: Origin, path: RootfsPath) -> Self {
        Self { is_tool: true, ..Self::new(name, origin, path) }
    }

    /// The same, but left out if it cannot work.
    pub(super) fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Its kind and name, for a message.
    pub(super) fn what(&self) -> String {
        if self.is_tool { format!("tool `{}`", self.name) } else { format!("`{}`", self.name) }
    }
}
