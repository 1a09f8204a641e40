//! Shortages: things that a sysroot lacks, and that another sysroot may have.
//!
//! An [`Error`] says what is wrong to the user; a shortage says to the program what would put it right.

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
    /// Newer versions of a library that is there.
    Versions,
}

/// One error, and the shortage behind it where there is one.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: Error,
    pub(crate) shortage: Option<Shortage>,
}

impl Fault {
    /// An error that goes away where the sysroot has what `shortage` names.
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
