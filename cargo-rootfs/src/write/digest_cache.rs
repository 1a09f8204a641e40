//! The cache of digests of files, so that a bill of materials reads no unchanged file.
//!
//! One record has the digests of a group of files. Its key covers the state of each.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::records;
use crate::hex::hex;
use crate::rootfs::{Digests, FileState, HostFile, KnownFiles, RESOLUTION};

/// The maximum number of records. A group may have thousands of files.
const MOST: usize = 256;

/// The format of records and keys; records of another format are not found.
const FORMAT: &str = "cargo-rootfs digests 1";

/// Records of digests in a directory of the user's cache.
#[derive(Debug, Clone)]
pub(crate) struct DigestCache {
    directory: PathBuf,
    resolution: Duration,
}

impl DigestCache {
    /// Records in the directory `digests` of the cache at `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { directory: root.join("digests"), resolution: RESOLUTION }
    }

    /// A cache that assumes different times for any two writes.
    #[cfg(test)]
    pub(crate) fn eager(root: &Path) -> Self {
        Self { resolution: Duration::ZERO, ..Self::new(root) }
    }

    /// Adds the recorded digests of the group `files`; returns false without a record.
    pub(crate) fn find(&self, files: &[&HostFile], known: &mut KnownFiles) -> bool {
        let Some(record) = records::find(&self.directory, FORMAT, &key(files)) else { return false };
        let digests = record.as_array().into_iter().flatten().map_while(|text| Digests::parse(text.as_str()?));
        let found: Vec<(FileState, Digests)> = files.iter().map(|file| file.state()).zip(digests).collect();
        let is_whole = found.len() == files.len();
        known.extend(found.into_iter().take_while(|_| is_whole));
        is_whole
    }

    /// Records the digests of the group `files`, which were read from `began` on. If that is not safe, the next run reads
    /// them again.
    pub(crate) fn record(&self, files: &[&HostFile], known: &KnownFiles, began: SystemTime) {
        let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_settled = |file: &&&HostFile| file.state().newest() + self.resolution < began;
        let digests = files.iter().take_while(is_settled).map_while(|file| known.get(file));
        let digests: Vec<Value> = digests.map(|digests| digests.to_string().into()).collect();
        if digests.len() == files.len() {
            let _ = records::write(&self.directory, FORMAT, &key(files), &digests.into(), MOST);
        }
    }
}

fn key(files: &[&HostFile]) -> String {
    let mut sha256 = Sha256::new_with_prefix(FORMAT);
    for file in files {
        let FileState { inode, size, mtime, ctime } = file.state();
        sha256.update([inode.0, inode.1, size].map(u64::to_le_bytes).as_flattened());
        sha256.update([mtime.0, mtime.1, ctime.0, ctime.1].map(i64::to_le_bytes).as_flattened());
    }
    hex(&sha256.finalize())
}
