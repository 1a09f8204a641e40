//! Decodes blobs: digests before and after decompression, detection of the compression, and a limit on the output.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::Limits;
use super::member::malformed;

/// The maximum window of zstd: 2 to this power, in bytes. The zstd program has the same limit (zstd(1), --memory).
const ZSTD_WINDOW: u32 = 27;

/// The compression of a blob, detected from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
    Zstd,
}

impl Coding {
    pub(super) fn of(beginning: &[u8]) -> Self {
        match beginning {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame (RFC 8878, 3.1.2).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// The word for it in media types.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// A reader that computes the digest and the number of the bytes.
pub(super) struct Summed<R> {
    reader: R,
    sha256: Sha256,
    count: Rc<Cell<u64>>,
    /// The maximum number of bytes.
    most: u64,
}

impl<R: Read> Summed<R> {
    /// `most` is the expected size; a longer stream is an error.
    pub(super) fn new(reader: R, most: u64) -> Self {
        Self { reader, sha256: Sha256::new(), count: Rc::default(), most }
    }

    /// Returns the inner reader, and the digest of all bytes read.
    pub(super) fn into_inner_and_digest(self) -> (R, String) {
        (self.reader, format!("sha256:{:x}", self.sha256.finalize()))
    }

    /// Reads the rest; returns the digest of all bytes as `sha256:` and 64 digits, and their number.
    pub(super) fn finish(mut self) -> io::Result<(String, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((format!("sha256:{:x}", self.sha256.finalize()), self.count.get()))
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.sha256.update(&buffer[..count]);
        self.count.set(self.count.get() + count as u64);
        if self.count.get() > self.most {
            return Err(malformed(&format!("it has more than the {} bytes that refer to it", self.most)));
        }
        Ok(count)
    }
}

/// A decompressor, or a pass-through.
pub(super) enum Decoder<R: Read> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<R>>>),
}

impl<R: Read> Decoder<R> {
    pub(super) fn new(reader: R) -> io::Result<(Self, Coding)> {
        let mut reader = BufReader::with_capacity(128 << 10, reader);
        let coding = Coding::of(reader.fill_buf()?);
        let decoder = match coding {
            Coding::Plain => Self::Plain(reader),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(reader))),
            Coding::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(reader)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Self::Zstd(Box::new(decoder))
            }
        };
        Ok((decoder, coding))
    }

    /// Returns the inner reader.
    pub(super) fn into_inner(self) -> R {
        match self {
            Self::Plain(reader) => reader.into_inner(),
            Self::Gzip(decoder) => decoder.into_inner().into_inner(),
            Self::Zstd(decoder) => decoder.finish().into_inner(),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// The number of bytes of all layers of one image so far.
#[derive(Debug, Default)]
pub(super) struct Spent {
    pub(super) packed: u64,
    pub(super) plain: u64,
}

/// A reader that fails if the output exceeds the limits of a plausible archive.
pub(super) struct Bounded<'l, R: Read> {
    pub(super) decoder: Decoder<Summed<R>>,
    packed: Rc<Cell<u64>>,
    plain: u64,
    before: &'l mut Spent,
    limits: &'l Limits,
}

impl<'l, R: Read> Bounded<'l, R> {
    pub(super) fn new(blob: Summed<R>, before: &'l mut Spent, limits: &'l Limits) -> io::Result<(Self, Coding)> {
        let packed = Rc::clone(&blob.count);
        let (decoder, coding) = Decoder::new(blob)?;
        Ok((Self { decoder, packed, plain: 0, before, limits }, coding))
    }

    /// Reads the rest of the blob.
    pub(super) fn finish(self) -> io::Result<(String, u64)> {
        self.before.packed += self.packed.get();
        self.before.plain += self.plain;
        self.decoder.into_inner().finish()
    }
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.plain += count as u64;
        self.limits.check(self.before.packed + self.packed.get(), self.before.plain + self.plain)?;
        Ok(count)
    }
}

/// A part of a file, as a stream.
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = rustix::io::pread(&self.file, &mut buffer[..length], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
