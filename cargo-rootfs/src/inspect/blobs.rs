//! Storage of blobs: the directory of a layout, or an archive of it.
//!
//! A blob is identified by its path in a layout. The reader verifies its digest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decode::Part;
use super::member::{MemberKind, Members, malformed};
use crate::error::{Error, Result};
use crate::host_files;

/// The maximum size of a manifest, an index or a configuration.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;

/// The maximum number of files listed from an archive.
const MAX_FILES: usize = 100_000;

/// The directory of blobs.
const SHA256: &str = "blobs/sha256";

/// The maximum size of a manifest that describes an image: it has one document.
const REFERRER: u64 = 64 << 10;

/// The maximum number of files that may be such manifests.
const REFERRERS: usize = 1000;

/// A store of blobs.
pub(super) trait Blobs {
    /// Opens a blob at its beginning; `None` if it is missing.
    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>>;

    /// Reads a document.
    fn document(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(blob) = self.open(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = blob.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::io("read", path, error))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(Error::failed(format!("`{path}` is longer than {MAX_DOCUMENT} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Reads a manifest or an index; a registry stores it apart from blobs.
    fn manifest(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.document(path)
    }

    /// Manifests that may have the manifest `subject` as their subject.
    fn referrers(&self, subject: &str) -> Result<Vec<Vec<u8>>>;
}

/// Opens a regular file of the host. Refuses devices, FIFOs and symlinks.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let file = host_files::open_itself(path).result()?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// An OCI image layout as a directory.
pub(super) struct LayoutDirectory(pub(super) PathBuf);

impl Blobs for LayoutDirectory {
    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>> {
        let path = self.0.join(path);
        match open_file(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    /// The index of a layout does not list them.
    fn referrers(&self, _: &str) -> Result<Vec<Vec<u8>>> {
        let directory = self.0.join(SHA256);
        let names = host_files::names(&directory).if_there("read")?.unwrap_or_default();
        let is_short = |name: &std::ffi::OsString| {
            let metadata = host_files::own_metadata(&directory.join(name)).ok();
            metadata.is_some_and(|it| it.is_file() && it.len() <= REFERRER)
        };
        let short = names.iter().filter(|name| is_short(name)).take(REFERRERS);
        short.map(|name| host_files::bytes(&directory.join(name)).or_cannot("read")).collect()
    }
}

/// The files of an uncompressed archive, or of one that was decompressed to a temporary file.
pub(super) struct Archive {
    file: Arc<File>,
    files: BTreeMap<String, (u64, u64)>,
}

impl Archive {
    /// Reads the names in the archive. Follows links between its files, which older archives of Docker have.
    pub(super) fn list(file: Arc<File>) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut members = Members::new(Part { file: Arc::clone(&file), offset: 0, left: length });
        let (mut files, mut links) = (BTreeMap::new(), Vec::new());
        while let Some(member) = members.next()? {
            if files.len() + links.len() == MAX_FILES {
                return Err(malformed(&format!("it has more than {MAX_FILES} files")));
            }
            let Some(name) = normal(&member.name) else { continue };
            match member.kind {
                MemberKind::File => {
                    files.insert(name, (members.position(), member.size));
                }
                MemberKind::Symlink => {
                    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                    let target = [folder.as_bytes(), b"/", &member.link].concat();
                    links.extend(normal(&target).map(|target| (name, target)));
                }
                MemberKind::Hardlink => links.extend(normal(&member.link).map(|target| (name, target))),
                _ => {}
            }
        }
        for (name, target) in links {
            if let Some(place) = files.get(&target).copied() {
                files.insert(name, place);
            }
        }
        Ok(Self { file, files })
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }
}

/// Normalizes a name: removes `.`, empty parts, and `..` with the part before it. `None` if the name leads out.
fn normal(name: &[u8]) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in std::str::from_utf8(name).ok()?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

impl Blobs for Archive {
    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>> {
        Ok(self.files.get(path).map(|&(offset, left)| {
            let part = Part { file: Arc::clone(&self.file), offset, left };
            Box::new(part) as Box<dyn Read>
        }))
    }

    fn referrers(&self, _: &str) -> Result<Vec<Vec<u8>>> {
        let short = self.files.iter().filter(|(name, (_, size))| name.starts_with(SHA256) && *size <= REFERRER);
        short.take(REFERRERS).filter_map(|(name, _)| self.document(name).transpose()).collect()
    }
}

/// The path of a blob in a layout, from its digest; fails unless that is SHA-256.
pub(super) fn blob_path(digest: &str) -> Result<String> {
    let hex = digest.strip_prefix("sha256:").filter(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    });
    match hex {
        Some(hex) => Ok(format!("blobs/sha256/{hex}")),
        None => Err(Error::failed(format!("`{digest}` is not a digest that can be verified: only sha256 is"))),
    }
}
