//! Compression of archives: the same input gives the same output on any number of threads.
//!
//! The input is split into blocks of one length. Each block is compressed separately, as a member of gzip (RFC 1952,
//! section 2.2) or a frame of zstd (RFC 8878, section 3): decompressors read several of them as one stream. The output
//! contains no time and no file name.

mod pool;

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use libdeflater::CompressionLvl;

use pool::{Compressed, Pool};

/// The compression of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Compression {
    #[default]
    Gzip,
    Zstd,
    None,
}

impl Compression {
    /// The size of a block in bytes. Longer blocks save at most 0.5% with gzip, whose window is 32 KiB, and 1.5% with
    /// zstd, which then takes twice the memory.
    fn block(self) -> usize {
        match self {
            Self::Gzip => 256 << 10,
            Self::Zstd => 1 << 20,
            Self::None => usize::MAX,
        }
    }

    /// The compressing library: two of the same name make the same bytes.
    pub(crate) fn maker(self) -> &'static str {
        match self {
            Self::Gzip => "libdeflate-sys 1.26.1, level 6, 256 KiB",
            Self::Zstd => "zstd-sys 2.1.3+zstd.1.5.7, level 3, 1 MiB",
            Self::None => "none",
        }
    }

    /// The value of the command line option.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }
}

/// The default level of zstd(1).
const ZSTD_LEVEL: i32 = 3;

/// The number of blocks of one stream that are being compressed or wait to be written.
const AHEAD: usize = 4;

/// Compresses blocks, one at a time.
pub(crate) enum Codec {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
    None,
}

impl Codec {
    fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            // The default level of gzip(1), 6. libdeflate takes a third of zlib's time for it, and its output is not
            // larger.
            Compression::Gzip => Self::Gzip(libdeflater::Compressor::new(CompressionLvl::default())),
            Compression::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                // Like zstd(1): the checksum reveals damage.
                compressor.include_checksum(true)?;
                Self::Zstd(compressor)
            }
            Compression::None => Self::None,
        })
    }

    /// The compressed `block`, which is the beginning of `scratch`: a buffer that is only ever grown, since to fill and
    /// touch a new one costs some percent of the compression.
    fn compress<'s>(&mut self, block: &'s [u8], scratch: &'s mut Vec<u8>) -> io::Result<&'s [u8]> {
        let bound = match self {
            Self::Gzip(compressor) => compressor.gzip_compress_bound(block.len()),
            Self::Zstd(_) => zstd::zstd_safe::compress_bound(block.len()),
            Self::None => return Ok(block),
        };
        if scratch.len() < bound {
            scratch.resize(bound, 0);
        }
        let length = match self {
            Self::Gzip(compressor) => compressor.gzip_compress(block, scratch).map_err(io::Error::other)?,
            Self::Zstd(compressor) => compressor.compress_to_buffer(block, scratch.as_mut_slice())?,
            Self::None => 0,
        };
        Ok(&scratch[..length])
    }
}

/// A compressing writer in front of `W`.
///
/// A stream of one block is compressed on this thread; a longer one on the threads of a [`Pool`]. At most [`AHEAD`]
/// blocks are in memory besides the one that is being filled.
pub(crate) struct Compressor<W: Write> {
    out: W,
    compression: Compression,
    /// The block that is being filled.
    block: Vec<u8>,
    /// Set when the second block begins.
    pool: Option<Arc<Pool>>,
    /// Unwritten blocks, in order.
    pending: VecDeque<Compressed>,
}

impl<W: Write> Compressor<W> {
    pub(crate) fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(Self { out, compression, block: Vec::new(), pool: None, pending: VecDeque::new() })
    }

    /// A compressor with this number of threads.
    #[cfg(test)]
    fn on(out: W, compression: Compression, threads: usize) -> io::Result<Self> {
        let pool = Some(Arc::new(Pool::start(threads)?));
        Ok(Self { pool, ..Self::new(out, compression)? })
    }

    /// The inner writer.
    pub(crate) fn out(&self) -> &W {
        &self.out
    }

    /// Ends the stream, and returns the inner writer.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.pool.is_some() {
            self.submit()?;
            while self.write_first()? {}
        } else {
            // An empty stream is one empty block.
            self.out.write_all(Codec::new(self.compression)?.compress(&self.block, &mut Vec::new())?)?;
        }
        Ok(self.out)
    }

    /// Passes the block to the pool.
    fn submit(&mut self) -> io::Result<()> {
        if self.pending.len() == AHEAD {
            self.write_first()?;
        }
        let pool = match &mut self.pool {
            Some(pool) => pool,
            none => none.insert(Pool::shared()?),
        };
        self.pending.push_back(pool.compress(&mut self.block, self.compression)?);
        Ok(())
    }

    /// Writes the first unwritten block; false if there is none.
    fn write_first(&mut self) -> io::Result<bool> {
        let Some(first) = self.pending.pop_front() else { return Ok(false) };
        self.out.write_all(&first.wait()?)?;
        Ok(true)
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.compression == Compression::None {
            return self.out.write(bytes);
        }
        let length = self.compression.block();
        if self.block.len() == length && !bytes.is_empty() {
            self.submit()?;
        }
        let count = bytes.len().min(length - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().find(|slice| !slice.is_empty()).map_or(Ok(0), |slice| self.write(slice))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::tar::TarFile;
    use super::super::tests::*;
    use super::*;

    /// Decompresses with another program.
    fn decompressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match compression {
            Compression::Gzip => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap(),
            Compression::Zstd => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut plain).unwrap(),
            Compression::None => plain.write(bytes).unwrap(),
        };
        plain
    }

    #[test]
    fn what_is_compressed_is_the_plain_archive() {
        let (_folder, path) = temp();
        std::fs::write(path.join("host"), (0..900_001u32).map(|at| (at / 7) as u8).collect::<Vec<_>>()).unwrap();
        let planned = some_of_everything().host("/srv/large", 0o644, path.join("host").as_std_path());
        for compression in [Compression::Gzip, Compression::Zstd] {
            let written = |name: &str| {
                write_one(&planned, TarFile::compressed(&path.join(name), 7, compression)).unwrap();
                std::fs::read(path.join(name)).unwrap()
            };
            let bytes = written("one");
            assert!(decompressed(compression, &bytes) == tar_bytes(&planned, 7), "{compression:?}");
            assert!(bytes == written("other"), "{compression:?}: the same files give the same bytes");
            assert!(bytes.len() < 900_000, "{compression:?}");
        }
        assert_eq!(std::fs::read(path.join("one")).unwrap()[..4], [0x28, 0xb5, 0x2f, 0xfd], "RFC 8878");
    }

    /// Compressible bytes that differ from block to block.
    fn varied(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at / 5 + at * at / 70_001) as u8).collect()
    }

    #[test]
    fn threads_and_pieces_change_no_byte() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let block = compression.block();
            for length in [0, 1, block - 1, block, block + 1, 2 * block, 7 * block + 77] {
                let bytes = varied(length);
                let compressed = |mut compressor: Compressor<Vec<u8>>, piece: usize| {
                    bytes.chunks(piece).for_each(|piece| compressor.write_all(piece).unwrap());
                    compressor.finish().unwrap()
                };
                let plain = compressed(Compressor::new(Vec::new(), compression).unwrap(), block + 3);
                assert!(decompressed(compression, &plain) == bytes, "{compression:?} of {length}");
                for (threads, piece) in [(1, 100_000), (2, 8_000), (5, 3 * block)] {
                    let other = compressed(Compressor::on(Vec::new(), compression, threads).unwrap(), piece);
                    assert!(other == plain, "{compression:?} of {length} on {threads}");
                }
            }
        }
    }

    /// A writer that is full after some bytes.
    struct Small(usize);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Otherwise the writer would block, or continue after a failure.
    #[test]
    fn a_failure_in_the_middle_ends_it() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut compressor = Compressor::new(Small(100_000), compression).unwrap();
            let noise: Vec<u8> = (0..8 << 20u32).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let error = compressor.write_all(&noise).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }

    /// The format has optional fields for both.
    #[test]
    fn the_header_of_gzip_names_neither_file_nor_time() {
        let compressor = Compressor::new(Vec::new(), Compression::Gzip).unwrap();
        // Magic, method, no flags, no time; at the end, an unknown system (RFC 1952).
        assert_eq!(compressor.finish().unwrap()[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn a_full_device_is_an_error() {
        let planned = Planned::new().file("/x", 0o644, &[7; 100_000]);
        for compression in [Compression::Gzip, Compression::Zstd] {
            let error = write_one(&planned, TarFile::compressed("/dev/full".into(), 0, compression)).unwrap_err();
            assert!(error.to_string().contains("/dev/full"), "{error}");
        }
    }
}
