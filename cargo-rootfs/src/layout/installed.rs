//! The database of installed packages: read once a run, and only where something is asked of it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use super::{Content, Licenses, Records};
use crate::packages::Database;
use crate::runtime::Runtime;
use crate::sysroot::{Sysroot, cores, take_own_descriptors};
use crate::target::Machine;

/// The packages of one sysroot.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    machine: Machine,
    database: Arc<OnceLock<Option<Arc<Database>>>>,
    ahead: Arc<Mutex<Option<JoinHandle<Option<Database>>>>>,
}

impl Installed {
    /// The packages of `view` for `machine`. Where `content` will ask about many files, all lists are read meanwhile: that
    /// takes as long as the closures of a few tools.
    pub(super) fn begin(view: &Sysroot, machine: Machine, content: &Content) -> Self {
        let needs_lists =
            (content.records, content.licenses) != (Records::None, Licenses::None) || content.runtime == Runtime::Auto;
        let ahead = if needs_lists && cores() > 1 { read_ahead(view, machine) } else { None };
        Self { machine, database: Arc::default(), ahead: Arc::new(Mutex::new(ahead)) }
    }

    /// The machine that the sysroot is for.
    pub(super) fn machine(&self) -> Machine {
        self.machine
    }

    /// The database of `view`; `None` where there is none of a known format.
    pub(super) fn database(&self, view: &mut Sysroot) -> Option<Arc<Database>> {
        let open = || {
            let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
            let database = match ahead.map(JoinHandle::join) {
                Some(Ok(database)) => {
                    Database::look(view);
                    database
                }
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                None => Database::open(view, self.machine),
            };
            database.map(Arc::new)
        };
        self.database.get_or_init(open).clone()
    }
}

/// Reads the database and all lists on a thread, which has a view of its own.
fn read_ahead(view: &Sysroot, machine: Machine) -> Option<JoinHandle<Option<Database>>> {
    let root = view.root().to_owned();
    let read = move || {
        take_own_descriptors();
        let mut view = Sysroot::open(&root).ok()?;
        let database = Database::open(&mut view, machine)?;
        database.read_lists(&view);
        Some(database)
    };
    // Without a thread it is read when it is asked for.
    std::thread::Builder::new().name("packages".to_owned()).spawn(read).ok()
}
