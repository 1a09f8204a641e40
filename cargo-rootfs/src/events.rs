//! The listener of a run: told what happens, and asked whether to stop.
//!
//! It knows no terminal and no stage.

// Build scripts tell of less.
#![cfg_attr(not(feature = "cli"), allow(dead_code))]

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, Warning};
use crate::write::Observer;

/// Receives what happens during a run, in order, and says when to stop.
pub(crate) trait Events {
    /// A step begins: a verb and its object, as in `Packing target/rootfs/app.tar`.
    fn status(&self, verb: &str, what: &dyn Display) {
        let _ = (verb, what);
    }

    /// A step begins that is of interest to few.
    fn detail(&self, verb: &str, what: &dyn Display) {
        let _ = (verb, what);
    }

    /// Something that the user should know and that stops nothing.
    fn warning(&self, warning: &Warning);

    /// An observer of one write of `size` bytes in all; it ends when it is dropped.
    fn progress(&self, size: u64) -> Box<dyn Observer + '_>;

    /// The destination of what programs that are called have to say to people.
    fn relay(&self) -> Box<dyn io::Write + Send> {
        Box::new(io::sink())
    }

    /// Becomes true when the run is to stop, as by Ctrl-C.
    fn interrupted(&self) -> &AtomicBool;

    /// Fails where the run is to stop.
    fn stop(&self) -> Result<()> {
        if self.interrupted().load(Ordering::Relaxed) { Err(Error::interrupted()) } else { Ok(()) }
    }
}
