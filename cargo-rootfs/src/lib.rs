//! stub
#![allow(missing_docs)]
mod error;
pub mod layout;
mod path;
pub mod rootfs;
pub mod target;
pub mod template;
pub mod write;
pub use error::{Error, Result, Warning, exit_code};
pub use path::RootfsPath;
