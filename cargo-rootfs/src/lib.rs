//! `cargo rootfs` as a library: from executables and tools to a root filesystem that is proved complete.
//!
//! # The map
//!
//! ```text
//! argv / build.rs / [package.metadata.rootfs]
//!    -> Options -> Plan -> artifacts (cargo)
//!                    sysroot -> resolve -> closures, one per executable
//!                                  -> layout -> Rootfs -> proof (resolve again, inside the Rootfs)
//!                                                  -> write: tar | dir | docker ...
//! ```
//!
//! - [`path`](RootfsPath): paths inside the image are a type of their own.
//! - [`elf`]: bytes to what a loader reads of them. [`resolve`]: the loader's rules. [`sysroot`]: a host
//!   folder that nothing leads out of.
//! - [`packages`]: what the distribution's database says of the files of a sysroot.
//! - [`layout`]: what goes where. [`rootfs`]: the result, as data. [`proof`]: that it is complete.
//! - [`runtime`]: what belongs with tools and libraries beyond their closures, as data.
//! - [`mod@write`]: where it goes. [`report`]: what is said about it. [`template`]: skeletons.
//! - `pipeline`: the stages in order, for every target of a run; both `cli` and `build_script` call it.
//! - `cli`, `cargo` and `plan` (feature `cli`): the subcommand. No other room prints or calls cargo.
//! - `provision` (feature `cli`): sysroots made of a distribution's packages.
//! - `enter` (feature `cli`): runs a command in a rootfs, without root's rights. `watch`: what it asks for meanwhile.
//! - `check` and `trace` (feature `cli`): commands that are watched in a rootfs or in a sysroot, and what they lack or
//!   use there. `findings`: the vocabulary of both.
//! - [`build_script`]: all that for `build.rs`, with `default-features = false`.
//!
//! Data flows one way: a later room never calls an earlier one back, but for the proof, which resolves
//! again on purpose. What is inspected is never executed.
//!
//! # What can be relied on
//!
//! [`build_script`], [`struct@Error`] with its [`ErrorKind`], [`RootfsPath`], and the public items of [`elf`], [`resolve`],
//! [`sysroot`], [`target`], [`packages`], [`rootfs`] and [`mod@write`]. Other public modules are hidden from the
//! documentation: they are for the command and for the fuzzer, and change without notice.
//!
//! # Examples
//!
//! ```
//! use cargo_rootfs::RootfsPath;
//! use cargo_rootfs::resolve::Resolver;
//! use cargo_rootfs::sysroot::Sysroot;
//!
//! let mut sysroot = Sysroot::open("/".as_ref())?;
//! let closure = Resolver::new(Vec::new(), None)
//!     .closure(&mut sysroot, &RootfsPath::parse("/bin/sh")?)
//!     .expect("this machine has a shell");
//! for object in &closure.objects {
//!     println!("{} [{}]", object.path, object.found_by);
//! }
//! # Ok::<(), cargo_rootfs::Error>(())
//! ```

pub mod build_script;
mod byte_search;
#[cfg(feature = "cli")]
mod cargo;
#[cfg(feature = "cli")]
mod check;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod distro;
pub mod elf;
#[cfg(feature = "cli")]
mod enter;
mod error;
mod events;
#[cfg(feature = "cli")]
mod findings;
mod glob;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod image;
#[doc(hidden)]
pub mod layout;
#[cfg(feature = "cli")]
mod options;
#[cfg(feature = "cli")]
mod output;
pub mod packages;
mod path;
mod pipeline;
#[cfg(feature = "cli")]
mod plan;
#[doc(hidden)]
pub mod policy;
#[doc(hidden)]
pub mod proof;
mod proposal;
#[cfg(feature = "cli")]
mod provision;
#[doc(hidden)]
pub mod report;
pub mod resolve;
pub mod rootfs;
mod rows;
#[doc(hidden)]
pub mod runtime;
mod script;
mod shortage;
pub mod sysroot;
pub mod target;
#[doc(hidden)]
pub mod template;
#[cfg(feature = "cli")]
mod trace;
#[cfg(feature = "cli")]
mod watch;
mod wording;
pub mod write;

pub use error::{Error, ErrorKind, Result, Warning, exit_code};
pub use path::RootfsPath;
