//! The database of installed packages, read once in a run, on demand.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Content, Licenses, Records};
use crate::packages::Database;
use crate::runtime::Runtime;
use crate::sysroot::Sysroot;
use crate::target::Machine;
use crate::threads::{Pending, cores, take_own_descriptors};

/// The database that another thread read; the outer `None` if it could not.
type Read = Option<Option<Arc<Database>>>;

/// The packages of one sysroot.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    machine: Machine,
    database: Arc<OnceLock<Option<Arc<Database>>>>,
    ahead: Arc<Mutex<Option<Pending<Read>>>>,
}

impl Installed {
    /// The packages of `view` for `machine`. If `content` will query files, a thread reads the database meanwhile, which
    /// takes as long as the closures of a few tools.
    pub(super) fn begin(view: &Sysroot, machine: Machine, content: &Content) -> Self {
        let is_needed =
            (content.records, content.licenses) != (Records::None, Licenses::None) || content.runtime == Runtime::Auto;
        let ahead = if is_needed && cores() > 1 { read_ahead(view, machine) } else { None };
        Self { machine, database: Arc::default(), ahead: Arc::new(Mutex::new(ahead)) }
    }

    /// The machine of the sysroot.
    pub(super) fn machine(&self) -> Machine {
        self.machine
    }

    /// The database of `view`; `None` if it has none of a known format.
    pub(super) fn database(&self, view: &mut Sysroot) -> Option<Arc<Database>> {
        let open = || {
            let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
            match ahead.and_then(Pending::result) {
                Some(database) => {
                    Database::look(view);
                    database
                }
                None => Database::open(view, self.machine).map(Arc::new),
            }
        };
        self.database.get_or_init(open).clone()
    }
}

/// Reads the database on a thread with a view of its own. Lists of files are read on demand, mostly those of a few
/// packages.
fn read_ahead(view: &Sysroot, machine: Machine) -> Option<Pending<Read>> {
    let mut view = view.afresh();
    let read = move || {
        take_own_descriptors();
        Some(Database::open(&mut view, machine).map(Arc::new))
    };
    // If the thread cannot be started, the first query reads the database.
    Pending::start("packages", read).ok()
}
