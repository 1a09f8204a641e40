//! The index of a suite's packages for one machine: names, dependencies, and the files themselves. [`super::apt`]
//! implements it for distributions; tests have an index over their own packages.

use std::path::Path;

use super::apt::Contents;
use super::lock::Package;
use super::request::Network;
use super::want::{Owners, Want};
use crate::error::Result;

/// Opens the index of a request; called when something must be chosen or fetched.
pub(super) type Open<'o, 'i> = &'o (dyn Fn() -> Result<Box<dyn Index + 'i>> + 'o);

/// An index of packages, fetched or not.
pub(super) trait Index {
    fn has_index(&self) -> bool;

    fn is_fresh(&self) -> bool;

    /// Fetches the index.
    fn update(&self) -> Result<()>;

    /// Removes the index and everything derived from it.
    fn forget(&self);

    /// The subset of `names` that have a candidate version.
    fn known(&self, names: &[String]) -> Result<Vec<String>>;

    /// Returns whether the index of all files was fetched recently.
    fn has_contents(&self, contents: Contents, network: Network) -> bool;

    /// Fetches the index of all files. A mirror without that index is no error.
    fn update_contents(&self, contents: Contents) -> Result<()>;

    /// The owners of each of `wants`, as far as an index of files is present.
    fn owners(&self, contents: Contents, wants: &[&Want]) -> Result<Vec<Owners>>;

    /// Resolves `specs` (a name, or `name=version`) with all their dependencies.
    fn resolve(&self, specs: &[String]) -> Result<Vec<Package>>;

    /// Fetches these packages into the empty `folder`.
    fn download(&self, packages: &[&Package], folder: &Path) -> Result<()>;
}
