//! Compression of what is written: the same bytes give the same bytes, and the clock and names stay out of them.

use std::io::{self, IoSlice, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;

/// Levels at which the programs compress unless they are told otherwise.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

/// What is compressed on its way to `W`.
pub(crate) enum Compressor<W: Write> {
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    pub(crate) fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            // Without a name and a time, whose place the format has (RFC 1952).
            Compression::Gzip => Self::Gzip(GzBuilder::new().write(out, flate2::Compression::new(GZIP_LEVEL))),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                // As zstd(1) has it: what is damaged is noticed.
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// What it goes to.
    pub(crate) fn out(&self) -> &W {
        match self {
            Self::Gzip(encoder) => encoder.get_ref(),
            Self::Zstd(encoder) => encoder.get_ref(),
        }
    }

    /// Ends the stream.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
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

    /// What programs of others read.
    fn decompressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match compression {
            Compression::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap(),
            Compression::Zstd => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut plain).unwrap(),
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

    #[test]
    fn the_header_of_gzip_names_neither_file_nor_time() {
        let compressor = Compressor::new(Vec::new(), Compression::Gzip).unwrap();
        // Magic, method, no flags, no time; at the end, an unknown system (RFC 1952).
        assert_eq!(compressor.finish().unwrap()[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
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
