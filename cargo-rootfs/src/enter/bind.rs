//! Host files and directories that are mounted into a rootfs.

use std::path::PathBuf;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::message;
use crate::error::{Error, Result};
use crate::path::RootfsPath;

/// A host file or directory that is mounted into the rootfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    /// Absolute, without symlinks.
    #[serde(with = "message::path")]
    pub(crate) source: PathBuf,
    #[serde(with = "message::rootfs_path")]
    pub(crate) destination: RootfsPath,
    pub(crate) access: Access,
}

/// The rights of the command on a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

impl Bind {
    /// Finds `source` on the host. Without a destination, the rootfs has it at the same path.
    pub(crate) fn find(source: &Utf8Path, destination: Option<&RootfsPath>, access: Access) -> Result<Self> {
        let found = source.as_std_path().canonicalize().map_err(|error| Error::io("find", source, error))?;
        let destination = match destination {
            Some(destination) => destination.clone(),
            None => at_its_own_path(source)?,
        };
        Ok(Self { source: found, destination, access })
    }
}

fn at_its_own_path(source: &Utf8Path) -> Result<RootfsPath> {
    let absolute = camino::absolute_utf8(source).map_err(|error| Error::io("find", source, error))?;
    let path = RootfsPath::parse(absolute.as_str())?.normalized();
    match path.parent() {
        Some(_) => Ok(path),
        None => Err(Error::usage(format!("`{source}` would hide the whole rootfs")).help("--bind /:/host")),
    }
}
