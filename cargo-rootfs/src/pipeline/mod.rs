//! The stages from a plan to proved root filesystems, for every target of a run.
//!
//! It knows no terminal and no command line: what happens meanwhile goes to [`Events`].

mod epoch;
#[cfg(feature = "cli")]
mod events;

pub(crate) use epoch::Epoch;
#[cfg(feature = "cli")]
pub(crate) use events::Events;
