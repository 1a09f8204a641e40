//! The record of a sysroot's package versions: a project's lock, or the cache in a run without a project.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::cache::{self, Cache};
use super::lock::{Lock, Section};
use super::request::{Lockfile, Network, Pinned, Request};
use super::want::Want;
use crate::error::{Error, Result};

/// The file name of the lock, beside Cargo.lock.
pub(super) const LOCK: &str = "rootfs.lock";

/// The maximum age of a current answer to a request without a project.
const CURRENT: Duration = Duration::from_secs(24 * 3600);

/// A lock on the disk.
pub(super) struct Pin {
    pub(super) path: PathBuf,
}

impl Pin {
    pub(super) fn of(request: &Request, cache: &Cache) -> Result<Self> {
        let path = match &request.pinned {
            Pinned::Project(folder) => folder.join(LOCK),
            Pinned::Nowhere => {
                let mut sum = Sha256::new();
                sum.update(request.suite.to_string());
                sum.update(cache::architecture(request.machine)?);
                for want in &request.wants {
                    // Libraries are found in the rounds; they are not part of the user's request.
                    if !matches!(want, Want::Library(_)) {
                        sum.update(format!("{want}\n"));
                    }
                }
                let name = format!("{}.lock", &cache::hexadecimal(&sum.finalize())[..16]);
                cache.root().join("requests").join(name)
            }
        };
        Ok(Self { path })
    }

    pub(super) fn read(&self, request: &Request) -> Result<Known> {
        let lock = match (Lock::read(&self.path), &request.pinned) {
            // A damaged lock in the cache is replaced without an error.
            (Err(_), Pinned::Nowhere) => Lock::default(),
            (lock, _) => lock?,
        };
        let architecture = cache::architecture(request.machine)?;
        let section = lock.find(&request.suite, architecture).cloned();
        let section = section.unwrap_or_else(|| Section::new(request.suite.clone(), architecture));
        Ok(Known { section, is_current: self.is_current(request) })
    }

    /// A project's lock is valid until it is renewed.
    fn is_current(&self, request: &Request) -> bool {
        if request.pinned != Pinned::Nowhere || request.may.network == Network::Unused {
            return true;
        }
        let modified = fs::metadata(&self.path).and_then(|metadata| metadata.modified());
        modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age < CURRENT))
    }

    pub(super) fn write(&self, request: &Request, section: Section, cache: &Cache) -> Result<()> {
        // Another run may have added another suite's section.
        let mut lock = match request.pinned {
            Pinned::Project(_) => Lock::read(&self.path)?,
            Pinned::Nowhere => Lock::default(),
        };
        lock.put(section);
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        if folder.starts_with(cache.root()) {
            cache.folder("requests")?;
        }
        let failed = |error| Error::io("write", &self.path, error);
        let mut file = tempfile::Builder::new()
            .prefix(".rootfs.lock.")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(failed)?;
        std::io::Write::write_all(&mut file, lock.text().as_bytes()).map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// The state of a lock when it was read.
pub(super) struct Known {
    pub(super) section: Section,
    is_current: bool,
}

impl Known {
    /// The section, if it answers the request without a change.
    pub(super) fn holding(&self, request: &Request) -> Option<&Section> {
        let Self { section, is_current } = self;
        let holds = *is_current
            && request.may.change_lock != Lockfile::Renewed
            && (section.is_auto || !request.is_auto)
            && section.lacking(&request.all_wants()).is_empty()
            && section.lacking(&request.hopes).is_empty();
        holds.then_some(section)
    }
}
