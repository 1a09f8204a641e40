//! Digests of the files of an unpacked package, each with the state in which the file was read.
//!
//! Every sysroot has a hard link to the file, and each new link gives the file another ctime. Only [`super::compose`]
//! knows the states before and after a link, so it carries the digest over. A file in another state than the recorded one
//! is read again at the next link: after a copy of the cache to another machine, a removed sysroot, or a change of the
//! file. A change goes unseen only if it restores the mtime within the same tick of the clock as a link.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::host_files;
use crate::rootfs::{Digests, FileState};

/// The file beside a package's files.
const SUMS: &str = "sums";

/// The format, which the checksum at the beginning of the file covers.
const FORMAT: &str = "cargo-rootfs sums 1";

/// The digests of a package's files, by their paths in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(BTreeMap<Vec<u8>, (FileState, Digests)>);

impl Sums {
    /// The recorded digests of the package in `folder`; none if the record is missing or damaged. `device` is that of
    /// its files, whose number may change when the machine starts again.
    pub(super) fn read(folder: &Path, device: u64) -> Self {
        let Some(bytes) = host_files::bytes(&folder.join(SUMS)).ok() else { return Self::default() };
        match bytes.split_first_chunk() {
            Some((sum, rows)) if *sum == check(rows) => Self(parse(rows, device).unwrap_or_default()),
            _ => Self::default(),
        }
    }

    /// Takes over or computes the digests of the file at `path`, which had the metadata `before` a link was made and has
    /// `after` now. `inside` is its path in the package.
    pub(super) fn follow(&mut self, known: &Self, inside: &[u8], path: &Path, before: &Metadata, after: &Metadata) {
        let (before, after) = (FileState::from(before), FileState::from(after));
        let is_linked = FileState { ctime: after.ctime, ..before } == after;
        let digests = match known.0.get(inside) {
            Some((state, digests)) if is_linked && *state == before => Some(*digests),
            _ => digests(path, after),
        };
        self.0.extend(digests.map(|digests| (inside.to_owned(), (after, digests))));
    }

    /// Writes the record of the package in `folder`. Without it, the files are read again.
    pub(super) fn write(&self, folder: &Path) {
        let mut rows = Vec::new();
        for (path, (state, Digests { sha1, sha256 })) in &self.0 {
            let FileState { inode: (_, inode), size, mtime, ctime } = state;
            rows.extend([*inode, *size].map(u64::to_le_bytes).as_flattened());
            rows.extend([mtime.0, mtime.1, ctime.0, ctime.1].map(i64::to_le_bytes).as_flattened());
            rows.extend([&sha1[..], sha256, path, b"\0"].concat());
        }
        let written = || -> std::io::Result<()> {
            let mut file = tempfile::Builder::new().prefix(".").tempfile_in(folder)?;
            file.write_all(&[&check(&rows)[..], &rows].concat())?;
            file.persist(folder.join(SUMS))?;
            Ok(())
        };
        let _ = written();
    }

    /// The state and the digests of every file.
    pub(super) fn into_files(self) -> impl Iterator<Item = (FileState, Digests)> {
        self.0.into_values()
    }
}

/// The digests of the file at `path`, if it is in this state before and after it is read.
fn digests(path: &Path, state: FileState) -> Option<Digests> {
    if !state.is_older_than(SystemTime::now()) {
        return None;
    }
    let file = host_files::open_itself(path).ok()?;
    let digests = Digests::read(&file).ok()?;
    (FileState::from(&file.metadata().ok()?) == state).then_some(digests)
}

fn check(rows: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(FORMAT).chain_update(rows).finalize().into()
}

fn parse(mut rows: &[u8], device: u64) -> Option<BTreeMap<Vec<u8>, (FileState, Digests)>> {
    let mut files = BTreeMap::new();
    while !rows.is_empty() {
        let (numbers, rest) = rows.split_first_chunk::<48>()?;
        let number = |at: usize| numbers[8 * at..][..8].try_into().expect("there are six");
        let time = |at| (i64::from_le_bytes(number(at)), i64::from_le_bytes(number(at + 1)));
        let (inode, size) = ((device, u64::from_le_bytes(number(0))), u64::from_le_bytes(number(1)));
        let (mtime, ctime) = (time(2), time(4));
        let (sha1, rest) = rest.split_first_chunk()?;
        let (sha256, rest) = rest.split_first_chunk()?;
        let end = memchr::memchr(0, rest)?;
        rows = &rest[end + 1..];
        let state = FileState { inode, size, mtime, ctime };
        files.insert(rest[..end].to_owned(), (state, Digests { sha1: *sha1, sha256: *sha256 }));
    }
    Some(files)
}
