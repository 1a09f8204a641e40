//! `--checksums`: SHA-256 of the archives of a run, in the format of sha256sum(1).

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::{Kind, Written};
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::host_files;
use crate::write::destination::Destination;

/// A file of checksums without its final name.
pub(crate) struct Checksums {
    file: Destination,
    path: Utf8PathBuf,
}

impl Checksums {
    /// Fails if none of the named outputs is an archive.
    pub(crate) fn check<'n>(named: impl Iterator<Item = (&'static Kind, &'n String)>) -> Result<()> {
        let is_archive = |(kind, name): (&Kind, &String)| (kind.is_path)(name) && !DIRECTORIES.contains(&kind.flag);
        match named.map(is_archive).reduce(|one, other| one || other) {
            Some(false) => Err(none()),
            _ => Ok(()),
        }
    }

    /// Starts the file for `path`, before the archives get their names.
    pub(crate) fn begin(path: &Utf8Path) -> Result<Self> {
        Ok(Self { file: Destination::of_text(path.as_std_path())?, path: path.to_owned() })
    }

    /// Computes the checksums of all archives among `written`, and gives the file its name.
    pub(crate) fn commit(mut self, written: &[Written]) -> Result<Utf8PathBuf> {
        let directory = absolute(self.path.as_std_path())?.parent().map(Path::to_owned).unwrap_or_default();
        let mut lines = Vec::new();
        for path in written.iter().filter_map(Written::path).filter(|path| path.is_file()) {
            let whole = absolute(path)?;
            let name = whole.strip_prefix(&directory).unwrap_or(&whole).display().to_string();
            lines.push((name, sum(path).map_err(|error| Error::io("read", path, error))?));
        }
        if lines.is_empty() {
            return Err(none());
        }
        lines.sort();
        for (name, sum) in lines {
            writeln!(self.file, "{sum}  {name}").map_err(|error| Error::io("write", &self.path, error))?;
        }
        self.file.persist()?;
        Ok(self.path)
    }
}

/// Kinds of outputs that are directories.
const DIRECTORIES: [&str; 2] = ["dir", "oci"];

fn none() -> Error {
    Error::usage("`--checksums` has no archive to sum").help("name one: --tar '{package}-{version}-{arch}.tar.zst'")
}

fn absolute(path: &Path) -> Result<PathBuf> {
    // `components` drops each `.`.
    let absolute = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
    Ok(absolute.components().collect())
}

fn sum(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (host_files::open(path).result()?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&buffer[..length]),
        }
    }
}
