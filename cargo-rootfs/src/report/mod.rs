//! What is said about closures and rootfs: trees, JSON, why an entry is there.
//!
//! It formats what others found out, into a writer that it is given.

mod closure_json;
mod missing;
mod runs_on;
mod tree;
mod versions;
mod why;

pub use closure_json::closure_json;
pub use missing::{by_library, missing_error};
pub use tree::{Show, tree};
pub use versions::{unversioned_warning, version_error};
#[cfg(feature = "cli")]
pub(crate) use why::way;
pub use why::why;
