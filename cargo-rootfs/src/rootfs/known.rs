//! Digests of host files that were read before: a layer or a bill of materials need not read them again.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{FileState, HostFile};
use crate::hex::hex;

/// The minimum age of a time that proves that nothing was written since.
///
/// A file that is written twice within the resolution of its times looks unchanged (git's racy-git). The coarsest file
/// system, FAT, has two seconds.
pub(crate) const RESOLUTION: Duration = Duration::from_secs(2);

/// The digests of the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digests {
    /// SPDX requires it.
    pub(crate) sha1: [u8; 20],
    pub(crate) sha256: [u8; 32],
}

impl Digests {
    /// The digests of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { sha1: Sha1::digest(bytes).into(), sha256: Sha256::digest(bytes).into() }
    }

    /// The digests of the remaining bytes of `file`.
    pub(crate) fn read(mut file: impl Read) -> io::Result<Self> {
        let (mut sha1, mut sha256, mut buffer) = (Sha1::new(), Sha256::new(), vec![0; 64 << 10]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Self { sha1: sha1.finalize().into(), sha256: sha256.finalize().into() }),
                Ok(count) => {
                    sha1.update(&buffer[..count]);
                    sha256.update(&buffer[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Parses the text of its [`Display`](fmt::Display).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        let bytes = bytes.collect::<Option<Vec<u8>>>()?;
        let (sha1, sha256) = bytes.split_first_chunk()?;
        Some(Self { sha1: *sha1, sha256: sha256.try_into().ok()? })
    }
}

/// All digits, of SHA-1 first.
impl fmt::Display for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [hex(&self.sha1), hex(&self.sha256)].iter().try_for_each(|digits| f.write_str(digits))
    }
}

/// Digests of files, by the state in which each file was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownFiles(BTreeMap<FileState, Digests>);

impl KnownFiles {
    /// The digests of `file`, if it is in a state with known ones.
    pub(crate) fn get(&self, file: &HostFile) -> Option<&Digests> {
        self.0.get(&file.state())
    }
}

impl Extend<(FileState, Digests)> for KnownFiles {
    fn extend<I: IntoIterator<Item = (FileState, Digests)>>(&mut self, files: I) {
        self.0.extend(files);
    }
}

impl FileState {
    /// True if its bytes were last written so long before `moment` that every later write gives another mtime.
    pub(crate) fn is_older_than(&self, moment: SystemTime) -> bool {
        moment.duration_since(UNIX_EPOCH).is_ok_and(|moment| since_1970(self.mtime) + RESOLUTION < moment)
    }

    /// The later one of its times, since 1970.
    pub(crate) fn newest(&self) -> Duration {
        since_1970(self.mtime).max(since_1970(self.ctime))
    }
}

fn since_1970((seconds, nanoseconds): (i64, i64)) -> Duration {
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    seconds + Duration::from_nanos(nanoseconds.unsigned_abs())
}
