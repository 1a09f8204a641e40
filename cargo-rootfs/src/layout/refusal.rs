//! The failures of [`assemble`](super::assemble).

use std::collections::BTreeSet;

use crate::error::Error;
use crate::shortage::{Fault, Shortage};

/// The reason why there is no rootfs.
#[derive(Debug)]
pub enum Refusal {
    /// The sysroot has shortages: another sysroot may succeed.
    Incomplete(Incomplete),
    /// No other sysroot would help.
    Failed(Error),
}

/// Shortages of a sysroot, and the report about them.
#[derive(Debug)]
pub struct Incomplete {
    /// The shortages of the sysroot; never empty.
    pub shortages: BTreeSet<Shortage>,
    /// All errors for the user; not all of them are shortages.
    pub report: Error,
}

impl Refusal {
    /// `Ok` without faults.
    pub(super) fn all(faults: Vec<Fault>) -> Result<(), Self> {
        let mut shortages = BTreeSet::new();
        let errors = faults.into_iter().map(|fault| {
            shortages.extend(fault.shortage);
            fault.error
        });
        Err(match Error::all(errors.collect()) {
            Ok(()) => return Ok(()),
            Err(error) if shortages.is_empty() => Self::Failed(error),
            Err(report) => Self::Incomplete(Incomplete { shortages, report }),
        })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Fault> for Refusal {
    fn from(Fault { error, shortage }: Fault) -> Self {
        match shortage {
            Some(shortage) => Self::Incomplete(Incomplete { shortages: BTreeSet::from([shortage]), report: error }),
            None => Self::Failed(error),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Incomplete(Incomplete { report, .. }) => report,
            Refusal::Failed(error) => error,
        }
    }
}
