//! Files and directories of the host that are seen inside a rootfs.

use std::path::PathBuf;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::message;
use crate::error::{Error, Result};
use crate::path::RootfsPath;

/// A file or directory of the host that is seen inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    /// Absolute, without links.
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
    /// Finds `source` on the host; unless a destination is given, it is seen at its own path.
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
