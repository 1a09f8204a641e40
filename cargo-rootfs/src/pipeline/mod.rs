//! The stages from a plan to proved root filesystems, for every target of a run.
//!
//! It knows no terminal and no command line, and reports progress to [`Events`]. The command and build scripts share
//! layout and proof ([`prove()`]); they differ in the source of their sysroots ([`SysrootSource`]).

// Build scripts use a part of it.
#![cfg_attr(not(feature = "cli"), allow(dead_code))]

#[cfg(feature = "cli")]
mod bill;
#[cfg(feature = "cli")]
mod closures;
mod epoch;
#[cfg(feature = "cli")]
mod languages;
mod prove;
#[cfg(feature = "cli")]
mod provisioned;
#[cfg(feature = "cli")]
mod revision;
#[cfg(feature = "cli")]
mod session;
mod sysroot;

pub(crate) use crate::events::Events;
#[cfg(feature = "cli")]
pub(crate) use closures::LooseFiles;
pub(crate) use epoch::Epoch;
pub(crate) use prove::{Job, Order, prove};
#[cfg(feature = "cli")]
pub(crate) use session::{Rooted, Session, preview, release, update_sysroots};
pub(crate) use sysroot::{Directory, SysrootSource};
