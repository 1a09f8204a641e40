//! The index of a suite's packages for one machine: which there are, what they need, and the files themselves.
//! [`super::apt`] is the one of distributions; tests have one over packages of their own.

use std::path::Path;

use super::apt::Contents;
use super::lock::Package;
use super::request::Network;
use super::want::{Owners, Want};
use crate::error::Result;

/// Opens the index of a request; called once something must be chosen or fetched.
pub(super) type Open<'o, 'i> = &'o (dyn Fn() -> Result<Box<dyn Index + 'i>> + 'o);

/// An index, fetched or not.
pub(super) trait Index {
    fn has_index(&self) -> bool;

    fn is_fresh(&self) -> bool;

    /// Fetches the index.
    fn update(&self) -> Result<()>;

    /// Does away with the index, and with all that was made of it.
    fn forget(&self);

    /// Those of `names` that have a version to take.
    fn known(&self, names: &[String]) -> Result<Vec<String>>;

    /// Returns whether the index of all files was fetched recently.
    fn has_contents(&self, contents: Contents, network: Network) -> bool;

    /// Fetches the index of all files. A mirror that has none is no failure.
    fn update_contents(&self, contents: Contents) -> Result<()>;

    /// The owners of each of `wants`, as far as there is an index of files.
    fn owners(&self, contents: Contents, wants: &[&Want]) -> Result<Vec<Owners>>;

    /// `specs` (a name, or `name=version`), and all that they need.
    fn resolve(&self, specs: &[String]) -> Result<Vec<Package>>;

    /// Fetches these packages to `folder`, which is empty.
    fn download(&self, packages: &[&Package], folder: &Path) -> Result<()>;
}
