//! Reads members of an untrusted tar archive: headers of ustar, pax(1) and GNU, with limits.
//!
//! It reads a stream once and keeps no contents. [`super::apply`] interprets the names.

use std::io::{self, Read};
use std::sync::Arc;

use tar::Header;

/// The block size of the format.
const BLOCK: usize = 512;

/// The maximum size of one extended header or one long name.
const MAX_EXTENDED: u64 = 1 << 20;

/// The kind of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    Dir,
    File,
    Symlink,
    Hardlink,
    /// A device or FIFO; the word names which.
    Special(&'static str),
}

/// The header of one member, with extended headers applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Verbatim: it may be absolute, contain `..`, or end in a slash.
    pub(super) name: Vec<u8>,
    pub(super) kind: MemberKind,
    /// The target of a symlink or hard link.
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The size in the header, also for members without data.
    pub(super) size: u64,
    pub(super) capability: Option<Arc<[u8]>>,
}

/// Fields that an extended header overrides (pax(1)).
#[derive(Debug, Clone, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    capability: Option<Arc<[u8]>>,
    is_sparse: bool,
}

/// A reader of members; its [`Read`] returns the data of the current one.
pub(super) struct Members<R> {
    reader: R,
    /// The number of bytes taken from `reader`.
    position: u64,
    /// The number of unread data bytes of the current member.
    left: u64,
    padding: u64,
    global: Extended,
}

impl<R: Read> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, position: 0, left: 0, padding: 0, global: Extended::default() }
    }

    /// The offset of the next data byte in the archive.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads the stream to its end and returns it: a digest covers the whole stream.
    pub(super) fn drain(mut self) -> io::Result<R> {
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(self.reader)
    }

    /// Skips the rest of the current member and reads the next header; `None` at the end of the archive.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        self.skip(self.left + self.padding)?;
        (self.left, self.padding) = (0, 0);
        let mut own = self.global.clone();
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            if !is_summed(header, &block) {
                return Err(malformed("a header of the archive has a wrong checksum"));
            }
            let kind = header.as_old().linkflag[0];
            match kind {
                b'L' => own.path = Some(self.text(header)?),
                b'K' => own.link = Some(self.text(header)?),
                b'x' => own.read(&self.extension(header)?)?,
                b'g' => {
                    let bytes = self.extension(header)?;
                    self.global.read(&bytes)?;
                    own.read(&bytes)?;
                }
                _ => return self.member(header, kind, own).map(Some),
            }
        }
    }

    fn member(&mut self, header: &Header, kind: u8, own: Extended) -> io::Result<Member> {
        let name = own.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = || String::from_utf8_lossy(&name).into_owned();
        if own.is_sparse || kind == b'S' {
            return Err(malformed(&format!("`{}` is stored as a sparse file, which no layer holds", shown())));
        }
        let kind = match kind {
            // Archives from before POSIX mark a directory only by the slash at the end of its name.
            b'0' | 0 | b'7' if name.ends_with(b"/") => MemberKind::Dir,
            b'0' | 0 | b'7' => MemberKind::File,
            b'1' => MemberKind::Hardlink,
            b'2' => MemberKind::Symlink,
            b'3' => MemberKind::Special("character device"),
            b'4' => MemberKind::Special("block device"),
            b'5' => MemberKind::Dir,
            b'6' => MemberKind::Special("FIFO"),
            other => {
                return Err(malformed(&format!("`{}` is of the unknown kind `{}`", shown(), char::from(other))));
            }
        };
        let size = own.size.map_or_else(|| header.entry_size(), Ok)?;
        if kind == MemberKind::File {
            (self.left, self.padding) = (size, size.next_multiple_of(BLOCK as u64).saturating_sub(size));
            if size > i64::MAX as u64 {
                return Err(malformed(&format!("`{}` has a size of {size}", shown())));
            }
        }
        let id = |own: Option<u64>, header: io::Result<u64>| {
            let id = own.map_or(header, Ok)?;
            u32::try_from(id).map_err(|_| malformed(&format!("`{}` belongs to the impossible id {id}", shown())))
        };
        let link = own.link.unwrap_or_else(|| header.link_name_bytes().map(|it| it.into_owned()).unwrap_or_default());
        let (uid, gid) = (id(own.uid, header.uid())?, id(own.gid, header.gid())?);
        let mode = header.mode()? & 0o7777;
        Ok(Member { kind, link, mode, uid, gid, size, capability: own.capability, name })
    }

    /// The text of a GNU long name, without its NUL.
    fn text(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let mut text = self.extension(header)?;
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
        Ok(text)
    }

    fn extension(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let size = header.entry_size()?;
        if size > MAX_EXTENDED {
            return Err(malformed(&format!("an extended header has {size} bytes")));
        }
        let mut bytes = vec![0; size as usize];
        self.reader.read_exact(&mut bytes)?;
        self.position += size;
        self.skip(size.next_multiple_of(BLOCK as u64) - size)?;
        Ok(bytes)
    }

    /// The next block; `None` if the stream ends before it, as in archives without an end marker.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut length = 0;
        while length < BLOCK {
            match self.reader.read(&mut block[length..]) {
                Ok(0) if length == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += BLOCK as u64;
        Ok(Some(block))
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.reader).take(count), &mut io::sink())?;
        self.position += skipped;
        if skipped == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..length])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Extended {
    /// Parses records of `LENGTH KEY=VALUE` and a newline; the length includes itself.
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bad = || malformed("an extended header is malformed");
        let mut rest = bytes;
        while !rest.is_empty() {
            let blank = rest.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length: usize = text(&rest[..blank]).parse().map_err(|_| bad())?;
            let record = rest.get(blank + 1..length).ok_or_else(bad)?.strip_suffix(b"\n").ok_or_else(bad)?;
            rest = &rest[length..];
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let number = || text(value).parse::<u64>().map_err(|_| bad());
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number()?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                b"SCHILY.xattr.security.capability" => self.capability = Some(Arc::from(value)),
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Checks the sum of all bytes, with the sum field itself read as blanks. Some writers summed signed bytes, which is
/// accepted too.
fn is_summed(header: &Header, block: &[u8; BLOCK]) -> bool {
    let Ok(expected) = header.cksum() else { return false };
    let byte = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { *byte };
    let unsigned: u32 = block.iter().enumerate().map(|it| u32::from(byte(it))).sum();
    let signed: i32 = block.iter().enumerate().map(|it| i32::from(byte(it) as i8)).sum();
    expected == unsigned || i64::from(expected) == i64::from(signed)
}

pub(super) fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
