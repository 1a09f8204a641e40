//! Reports on closures and rootfs: trees, JSON, reasons for an entry.
//!
//! It formats given data into a given writer.

#[cfg(feature = "cli")]
mod absent;
mod closure_json;
mod json_text;
mod missing;
#[cfg(feature = "cli")]
mod page;
mod runs_on;
#[cfg(feature = "cli")]
mod sizes;
mod tree;
mod versions;
mod why;

#[cfg(feature = "cli")]
pub use absent::{absent, left_out_by, named, owned, sonames};
pub use closure_json::closure_json;
pub use missing::{by_library, missing_error};
#[cfg(feature = "cli")]
pub use page::{Pictured, page};
#[cfg(feature = "cli")]
pub use sizes::{Cost, Costs, additions, costs, licences, set_ids, sizes, sum};
pub use tree::{Show, tree};
pub use versions::unversioned_warning;
pub(crate) use versions::version_error;
pub use why::{Facts, why, why_with};
