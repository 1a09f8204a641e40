//! The listener of a run: receives its events, and can stop it.
//!
//! It knows no terminal and no stage.

// Build scripts use only a part of it.
#![cfg_attr(not(feature = "cli"), allow(dead_code))]

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, Warning};
use crate::write::Observer;

/// Receives the events of a run in order, and can stop it.
pub(crate) trait Events {
    /// Reports that a step begins: a verb and its object, as in `Packing target/rootfs/app.tar`.
    fn status(&self, verb: &str, what: &dyn Display) {
        let _ = (verb, what);
    }

    /// Reports that a step begins that is shown only on request.
    fn detail(&self, verb: &str, what: &dyn Display) {
        let _ = (verb, what);
    }

    /// Reports a warning.
    fn warning(&self, warning: &Warning);

    /// An observer of one write of `size` bytes; dropping it ends the progress.
    fn progress(&self, size: u64) -> Box<dyn Observer + '_>;

    /// The destination of messages that child processes print for the user.
    fn relay(&self) -> Box<dyn io::Write + Send> {
        Box::new(io::sink())
    }

    /// A flag that is true when the run must stop, such as after Ctrl-C.
    fn interrupted(&self) -> &AtomicBool;

    /// Fails if the run must stop.
    fn stop(&self) -> Result<()> {
        if self.interrupted().load(Ordering::Relaxed) { Err(Error::interrupted()) } else { Ok(()) }
    }
}
