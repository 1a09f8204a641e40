//! stub
#![allow(missing_docs)]
pub mod elf;
mod error;
pub mod layout;
mod packages;
mod path;
pub mod proof;
pub mod report;
pub mod resolve;
pub mod rootfs;
pub mod sysroot;
pub mod target;
pub mod template;
pub mod write;
pub use error::{Error, Result, Warning, exit_code};
pub use path::RootfsPath;
