//! Shortages: things that a sysroot lacks, and that another sysroot may have.
//!
//! An [`Error`] describes the fault to the user; a shortage tells the program how to remedy it.

use crate::error::Error;

/// One thing that a sysroot lacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortage {
    /// A tool, by name or path.
    Tool(String),
    /// A library, by soname; or the interpreter, by its path.
    Library(String),
    /// A file of this package of a distribution.
    Package(String),
    /// Newer versions of a present library.
    Versions,
}

/// One error, and the shortage that causes it, if any.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: Error,
    pub(crate) shortage: Option<Shortage>,
}

impl Fault {
    /// An error that a sysroot with `shortage` would not have.
    pub(crate) fn short(error: Error, shortage: impl Into<Option<Shortage>>) -> Self {
        Self { error, shortage: shortage.into() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, shortage: None }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}
