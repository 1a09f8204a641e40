//! Encodes entries of a rootfs as blocks of a POSIX tar (pax interchange format, pax(1)).
//!
//! The same entries give the same bytes: no clock, no user names, no host paths. It opens no files.

use std::io::{self, IoSlice, Write};

use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Kind, Rootfs};
use tar::{EntryType, Header};

/// The block size of the format.
const BLOCK: usize = 512;

/// The largest id and the largest size that the octal digits of a header can hold.
const LARGEST_ID: u64 = 0o7777777;
const LARGEST_SIZE: u64 = 0o77777777777;

/// The size up to which small pieces are gathered before a write.
pub(super) const GATHER: usize = 128 << 10;

/// Writes end at a multiple of this. The page cache uses large folios for aligned writes: on ext4 this saves a sixth of
/// the writing time, and larger multiples save little more.
const ALIGN: usize = 64 << 10;

/// The two zero blocks at the end of an archive. It is not padded to a tape record of 10240 bytes: readers of files and
/// pipes do not need that.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The modification time for headers. By its specification, SOURCE_DATE_EPOCH is not negative.
pub(super) fn mtime(epoch: i64) -> Result<u64> {
    u64::try_from(epoch).map_err(|_| Error::usage(format!("a modification time of {epoch} is before 1970")))
}

/// Appends the headers of one entry to `blocks`.
pub(super) fn headers(blocks: &mut Vec<u8>, path: &RootfsPath, entry: &Entry, mtime: u64) {
    let (kind, target) = match &entry.kind {
        Kind::Dir => (EntryType::Directory, &b""[..]),
        Kind::File(_) => (EntryType::Regular, &b""[..]),
        Kind::Symlink(target) => (EntryType::Symlink, &**target),
        Kind::Hardlink(target) => (EntryType::Link, target.relative()),
    };
    let member = Member {
        name: &name(path, entry),
        kind,
        mode: entry.mode & 0o7777,
        uid: entry.uid,
        gid: entry.gid,
        size: entry.size(),
        target,
        capability: entry.capability.as_deref().filter(|_| kind == EntryType::Regular),
    };
    member.append_to(blocks, mtime);
}

/// Appends the header of a regular file owned by root to `blocks`, for archives that are no rootfs.
#[cfg(feature = "cli")]
pub(crate) fn file_header(blocks: &mut Vec<u8>, name: &str, size: u64, mtime: u64) {
    let kind = EntryType::Regular;
    Member { name, kind, mode: 0o644, uid: 0, gid: 0, size, target: b"", capability: None }.append_to(blocks, mtime);
}

/// Appends the header of a directory owned by root, for the same archives.
#[cfg(feature = "cli")]
pub(crate) fn directory_header(blocks: &mut Vec<u8>, name: &str, mtime: u64) {
    let kind = EntryType::Directory;
    Member { name, kind, mode: 0o755, uid: 0, gid: 0, size: 0, target: b"", capability: None }.append_to(blocks, mtime);
}

/// The length of the complete archive of `rootfs`.
pub(super) fn length(rootfs: &Rootfs, mtime: u64) -> u64 {
    let mut blocks = Vec::new();
    let mut length = END.len() as u64;
    for (path, entry) in rootfs.iter() {
        blocks.clear();
        if !is_one_block(path, entry) {
            headers(&mut blocks, path, entry, mtime);
        }
        length += blocks.len().max(BLOCK) as u64 + entry.size() + padding(entry.size()) as u64;
    }
    length
}

/// Returns whether the headers of an entry are certainly one block, as most are: then the length is known without them.
fn is_one_block(path: &RootfsPath, entry: &Entry) -> bool {
    const FIELD: usize = 100;
    let target = match &entry.kind {
        Kind::Symlink(target) => target.len(),
        Kind::Hardlink(target) => target.relative().len(),
        Kind::Dir | Kind::File(_) => 0,
    };
    // A directory has a slash at its end.
    path.relative().len() < FIELD
        && target <= FIELD
        && entry.capability.is_none()
        && entry.uid.max(entry.gid) <= LARGEST_ID as u32
        && entry.size() <= LARGEST_SIZE
}

/// The description of one file in an archive.
struct Member<'a> {
    name: &'a str,
    kind: EntryType,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    target: &'a [u8],
    capability: Option<&'a [u8]>,
}

impl Member<'_> {
    fn append_to(&self, blocks: &mut Vec<u8>, mtime: u64) {
        let mut records = Records::default();
        let mut header = Header::new_ustar();
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_mtime(mtime);

        // A size above 8 GiB or an id above 2 Mi does not fit its octal digits. The header then has the number in base
        // 256, which is the only form for some readers, and a pax record for the others.
        header.set_uid(self.uid.into());
        header.set_gid(self.gid.into());
        header.set_size(self.size);
        for (key, value, limit) in [
            ("gid", u64::from(self.gid), LARGEST_ID),
            ("size", self.size, LARGEST_SIZE),
            ("uid", u64::from(self.uid), LARGEST_ID),
        ] {
            if value > limit {
                records.push(key, value.to_string().as_bytes());
            }
        }

        if header.set_path(self.name).is_err() {
            records.push("path", self.name.as_bytes());
            fill(&mut header.as_old_mut().name, self.name.as_bytes());
        }
        if header.set_link_name_literal(self.target).is_err() {
            if std::str::from_utf8(self.target).is_err() {
                // Values are UTF-8 unless this record is present (pax(1)).
                records.push("hdrcharset", b"BINARY");
            }
            records.push("linkpath", self.target);
            fill(&mut header.as_old_mut().linkname, self.target);
        }
        if let Some(capability) = self.capability {
            records.push("SCHILY.xattr.security.capability", capability);
        }

        records.append_to(blocks, self.name, mtime);
        header.set_cksum();
        blocks.extend_from_slice(header.as_bytes());
    }
}

/// The name in an archive: relative, a directory with a slash at its end, the root as `./`.
fn name(path: &RootfsPath, entry: &Entry) -> String {
    let mut name = String::from_utf8_lossy(path.relative()).into_owned();
    if name.is_empty() {
        name.push('.');
    }
    if matches!(entry.kind, Kind::Dir) {
        name.push('/');
    }
    name
}

/// Fills a field with the beginning of `value`, for readers without pax.
fn fill(field: &mut [u8], value: &[u8]) {
    field.fill(0);
    let length = field.len().min(value.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// The records of an extended header.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn push(&mut self, key: &str, value: &[u8]) {
        // "%d %s=%s\n": the length includes its own digits (pax(1)).
        let rest = 1 + key.len() + 1 + value.len() + 1;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(format!("{length} {key}=").as_bytes());
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    fn append_to(&self, blocks: &mut Vec<u8>, name: &str, mtime: u64) {
        if self.0.is_empty() {
            return;
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        // A reader without pax extracts the record as a file, so its name must be unique.
        let name = format!("PaxHeaders/{}", name.trim_end_matches('/').rsplit('/').next().unwrap_or_default());
        fill(&mut header.as_old_mut().name, name.as_bytes());
        header.set_mode(0o644);
        header.set_mtime(mtime);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(self.0.len() as u64);
        header.set_cksum();
        blocks.extend_from_slice(header.as_bytes());
        blocks.extend_from_slice(&self.0);
        // `blocks` may begin in the middle of a block, so its own length does not count.
        blocks.resize(blocks.len() + padding(self.0.len() as u64), 0);
    }
}

/// Writes the archive of a rootfs to `out` in pieces.
pub(super) struct Encoder<W> {
    out: W,
    mtime: u64,
    /// Unwritten bytes: headers, padding, small files, and ends of large pieces.
    gathered: Vec<u8>,
    /// The number of missing bytes of the current file.
    left: u64,
    /// The padding of the current file to whole blocks.
    padding: usize,
}

impl<W: Write> Encoder<W> {
    pub(super) fn new(out: W, mtime: u64) -> Self {
        Self { out, mtime, gathered: Vec::new(), left: 0, padding: 0 }
    }

    pub(super) fn out(&self) -> &W {
        &self.out
    }

    /// The length of the complete archive of `rootfs`.
    pub(super) fn length(&self, rootfs: &Rootfs) -> u64 {
        length(rootfs, self.mtime)
    }

    pub(super) fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> io::Result<()> {
        debug_assert_eq!(self.left, 0, "the file before `{path}` is not complete");
        headers(&mut self.gathered, path, entry, self.mtime);
        self.left = entry.size();
        self.padding = padding(self.left);
        self.push(&[])
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.push(bytes)?;
        self.left -= bytes.len() as u64;
        self.pad();
        Ok(())
    }

    /// Flushes and returns the inner writer, so that a part of the current file can be written by other means. Report
    /// its length with [`passed`](Self::passed). Later writes are no longer aligned.
    pub(super) fn bypass(&mut self) -> io::Result<&mut W> {
        self.out.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(&mut self.out)
    }

    pub(super) fn passed(&mut self, count: u64) {
        self.left -= count;
        self.pad();
    }

    fn pad(&mut self) {
        if self.left == 0 {
            self.gathered.resize(self.gathered.len() + self.padding, 0);
        }
    }

    /// Appends `bytes` to the gathered bytes. If there are enough, writes all but an unaligned rest: the gathered bytes
    /// and those of `bytes` in one system call, without a copy.
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self.gathered.len() + bytes.len();
        if length < GATHER {
            self.gathered.extend_from_slice(bytes);
            return Ok(());
        }
        // The gathered bytes begin at a multiple, because all earlier writes ended at one.
        let whole = length - length % ALIGN;
        let gathered = whole.min(self.gathered.len());
        let (now, rest) = bytes.split_at(whole - gathered);
        write_both(&mut self.out, &self.gathered[..gathered], now)?;
        self.gathered.drain(..gathered);
        self.gathered.extend_from_slice(rest);
        Ok(())
    }

    /// Returns `out`, which still lacks [`END`].
    pub(super) fn into_inner(mut self) -> io::Result<W> {
        self.out.write_all(&self.gathered)?;
        Ok(self.out)
    }
}

fn padding(size: u64) -> usize {
    // The remainder is below 512.
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// `write_all` for two buffers (writev(2)).
fn write_both(out: &mut impl Write, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(first), IoSlice::new(second)];
    let mut slices = &mut slices[..];
    // Removes empty buffers: a write of nothing would count as a failure.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match out.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut slices, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Planned, tar_bytes};
    use super::*;
    use crate::rootfs::Body;

    /// A writer that accepts everything, and records the sizes of the pieces.
    #[derive(Default)]
    struct Pieces(Vec<u8>, Vec<usize>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let before = self.0.len();
            slices.iter().for_each(|slice| self.0.extend_from_slice(slice));
            self.1.push(self.0.len() - before);
            Ok(self.0.len() - before)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes that begin and end at the boundaries of large folios are cheapest for a page cache.
    #[test]
    fn an_archive_is_written_in_aligned_pieces() {
        let lengths = [1, 300_000, 70_000, 0, 512, 262_144, 5, 200_001];
        let planned = lengths.iter().enumerate().fold(Planned::new(), |planned, (at, &length)| {
            planned.file(&format!("/{at}"), 0o644, &vec![u8::try_from(at).unwrap(); length])
        });
        let mut encoder = Encoder::new(Pieces::default(), 0);
        for (path, entry) in planned.0.iter() {
            encoder.entry(path, entry).unwrap();
            if let Kind::File(Body::Bytes(bytes)) = &entry.kind {
                bytes.chunks(100_000).for_each(|chunk| encoder.data(chunk).unwrap());
            }
        }
        let Pieces(mut bytes, pieces) = encoder.into_inner().unwrap();
        bytes.extend(END);
        assert!(bytes == tar_bytes(&planned, 0));
        let (last, pieces) = pieces.split_last().unwrap();
        assert!(pieces.iter().all(|length| length % (64 << 10) == 0) && pieces.len() > 3, "{pieces:?}, {last}");
    }
}
