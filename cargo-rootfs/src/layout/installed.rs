//! The database of installed packages, read once in a run, on demand.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Content, Licenses, Records};
use crate::packages::Database;
use crate::runtime::Runtime;
use crate::sysroot::Sysroot;
use crate::target::Machine;
use crate::threads::{cores, start_in_background, take_own_descriptors};

/// The channel for a database that another thread reads.
type Ahead = Receiver<Option<Arc<Database>>>;

/// The packages of one sysroot.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    machine: Machine,
    database: Arc<OnceLock<Option<Arc<Database>>>>,
    ahead: Arc<Mutex<Option<Ahead>>>,
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
            match ahead.and_then(|ahead| ahead.recv().ok()) {
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
fn read_ahead(view: &Sysroot, machine: Machine) -> Option<Ahead> {
    let root = view.root().to_owned();
    let (sender, receiver) = channel();
    let read = move || {
        take_own_descriptors();
        let Ok(mut view) = Sysroot::open(&root) else { return };
        // A run that failed meanwhile has dropped the receiver.
        let _ = sender.send(Database::open(&mut view, machine).map(Arc::new));
    };
    // If the thread cannot be started, the first query reads the database.
    start_in_background("packages", read).ok().map(|()| receiver)
}
