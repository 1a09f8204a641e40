//! The database of installed packages: read once a run, and only where something is asked of it.

use std::sync::{Arc, OnceLock};

use crate::packages::Database;
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// The packages of one sysroot.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    machine: Machine,
    database: OnceLock<Option<Arc<Database>>>,
}

impl Installed {
    /// The packages of a sysroot for `machine`, of which nothing is read yet.
    pub(super) fn new(machine: Machine) -> Self {
        Self { machine, database: OnceLock::new() }
    }

    /// The machine that the sysroot is for.
    pub(super) fn machine(&self) -> Machine {
        self.machine
    }

    /// The database of `view`; `None` where there is none of a known format.
    pub(super) fn database(&self, view: &mut Sysroot) -> Option<Arc<Database>> {
        self.database.get_or_init(|| Database::open(view, self.machine).map(Arc::new)).clone()
    }
}
