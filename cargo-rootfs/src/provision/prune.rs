//! Selects and removes cached items.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::cache::{CONTENTS, Cache, ROOT, UNPACKED};
use super::folder::{entries, is_temporary, remove, size_of};
use crate::error::{Error, Result};

/// The scope of `sysroot prune`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prune {
    /// All items that no run has used for this long.
    Unused(Duration),
    /// All items.
    All,
}

impl Cache {
    /// Removes unused sysroots, and packages that no remaining sysroot is made of. Returns the removed paths and their
    /// size.
    pub(crate) fn prune(&self, what: Prune) -> Result<(Vec<PathBuf>, u64)> {
        let (mut removed, mut bytes) = (Vec::new(), 0);
        let mut needed = std::collections::BTreeSet::new();
        let now = SystemTime::now();
        for listed in self.list()? {
            let age = now.duration_since(listed.used).unwrap_or_default();
            let goes = match what {
                Prune::All => true,
                Prune::Unused(limit) => listed.section.is_none() || age > limit,
            };
            let used = File::open(listed.folder.join(CONTENTS));
            let is_free = used
                .as_ref()
                .map_or(true, |used| rustix::fs::flock(used, FlockOperation::NonBlockingLockExclusive).is_ok());
            if goes && is_free {
                // The rename comes first, so that no run finds a partly removed sysroot.
                let aside = listed.folder.with_file_name(format!(
                    ".pruned-{}-{}",
                    std::process::id(),
                    listed.folder.file_name().unwrap_or_default().to_string_lossy()
                ));
                fs::rename(&listed.folder, &aside).map_err(|error| self.unwritable(&listed.folder, error))?;
                bytes += size_of(&aside.join(ROOT));
                remove(&aside).map_err(|error| Error::io("remove", &aside, error))?;
                removed.push(listed.folder);
            } else if let Some(section) = listed.section {
                needed.extend(section.packages.into_iter().map(|package| package.sha256));
            }
        }
        // Indexes are made again on demand. A run that uses one holds its lock.
        for folder in entries(&self.root().join("apt"))?.into_iter().chain(entries(&self.root().join("requests"))?) {
            let age =
                fs::metadata(&folder).and_then(|it| it.modified()).ok().and_then(|it| now.duration_since(it).ok());
            let old = match what {
                Prune::All => true,
                Prune::Unused(limit) => age.is_some_and(|age| age > limit),
            };
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if old && self.is_unlocked(&name) {
                bytes += size_of(&folder);
                remove(&folder).map_err(|error| Error::io("remove", &folder, error))?;
                removed.push(folder);
            }
        }
        // A run that makes a sysroot holds this lock, because it needs the unpacked packages.
        let path = self.root().join("locks").join(UNPACKED);
        let lock = File::open(path);
        let is_free = lock
            .as_ref()
            .map_or(true, |lock| rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok());
        for deb in entries(&self.root().join("debs"))?.into_iter().filter(|it| is_free && !is_temporary(it)) {
            let metadata = fs::symlink_metadata(&deb).map_err(|error| Error::io("read", &deb, error))?;
            let stem = deb.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            // A run that has just fetched a package may still have to extract it.
            let age = metadata.modified().ok().and_then(|time| now.duration_since(time).ok()).unwrap_or_default();
            if !needed.contains(&stem) && (what == Prune::All || age > Duration::from_secs(3600)) {
                fs::remove_file(&deb).map_err(|error| Error::io("remove", &deb, error))?;
                bytes += metadata.len();
                removed.push(deb);
            }
        }
        for unpacked in entries(&self.root().join(UNPACKED))?.into_iter().filter(|_| is_free) {
            let name = unpacked.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let sha256 = name.split('-').next().unwrap_or_default();
            if !needed.contains(sha256) {
                bytes += size_of(&unpacked);
                remove(&unpacked).map_err(|error| Error::io("remove", &unpacked, error))?;
                removed.push(unpacked);
            }
        }
        for left in entries(&self.root().join("sysroots"))?.into_iter().chain(entries(&self.root().join("debs"))?) {
            let name = left.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(owner) = name.strip_prefix('.').and_then(|rest| rest.split('.').next()) else { continue };
            if self.is_unlocked(owner) {
                remove(&left).map_err(|error| Error::io("remove", &left, error))?;
            }
        }
        Ok((removed, bytes))
    }

    fn is_unlocked(&self, name: &str) -> bool {
        let Ok(file) = File::open(self.root().join("locks").join(name)) else { return true };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache::{FILES, tests::made};
    use super::super::lock::tests::section;
    use super::*;

    #[test]
    fn pruning_leaves_what_is_in_use() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        let section = section("debian:bookworm", &[("bash", "1")]);
        let kept = made(&cache, &section);
        assert_eq!(cache.prune(Prune::All).unwrap().0, Vec::<PathBuf>::new());
        assert!(kept.root.join("bin/bash").exists());
        drop(kept);
        let (removed, bytes) = cache.prune(Prune::Unused(Duration::from_secs(3600))).unwrap();
        assert_eq!((removed.len(), bytes), (0, 0), "it was just used");
        let (removed, bytes) = cache.prune(Prune::All).unwrap();
        assert_eq!((removed.len(), bytes), (1, 5));
        assert!(cache.list().unwrap().is_empty());
    }

    #[test]
    fn an_unpacked_package_is_whole_or_not_there_and_goes_when_nobody_needs_it() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        let section = section("debian:bookworm", &[("bash", "1")]);
        let package = &section.packages[0];
        let unpack = || {
            let staging = cache.staged_package().unwrap();
            fs::create_dir(staging.path().join(FILES)).unwrap();
            fs::write(staging.path().join(FILES).join("bash"), "12345").unwrap();
            cache.keep_unpacked(staging, package, "arm64").unwrap();
            cache.unpacked(package, "arm64").unwrap()
        };
        let folder = unpack();
        assert_eq!(unpack(), folder, "a second one finds the first");
        assert_eq!(cache.unpacked(package, "amd64"), None);
        fs::write(folder.join(FILES).join("bash"), "1234").unwrap();
        assert_eq!(cache.unpacked(package, "arm64"), None);
        unpack();
        assert_eq!(fs::read_dir(temp.path().join(UNPACKED)).unwrap().count(), 1, "something else was left");

        let kept = made(&cache, &section);
        assert_eq!(cache.prune(Prune::All).unwrap().0, Vec::<PathBuf>::new(), "a sysroot is made of it");
        drop(kept);
        fs::create_dir(temp.path().join("debs")).unwrap();
        fs::write(temp.path().join("debs/x.deb"), "").unwrap();
        let guard = cache.keep_all_unpacked().unwrap();
        assert_eq!(cache.prune(Prune::All).unwrap().0.len(), 1, "somebody is about to use it");
        drop(guard);
        let (mut removed, bytes) = cache.prune(Prune::All).unwrap();
        removed.sort();
        // The size of the file and of its record: a letter, size and time, the name and a NUL.
        assert_eq!((removed, bytes), (vec![temp.path().join("debs/x.deb"), folder], 5 + 22));
    }

    #[test]
    fn what_killed_runs_left_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        for left in [cache.staging("debian-bookworm-arm64").unwrap(), cache.fetching("debian-sid-arm64").unwrap()] {
            fs::write(left.keep().join("half"), "").unwrap();
        }
        let guard = cache.lock("debian-sid-arm64", &mut || {}, &|| Ok(())).unwrap();
        let left = |place: &str| entries(&temp.path().join(place)).unwrap().len();
        cache.prune(Prune::All).unwrap();
        assert_eq!((left("sysroots"), left("debs")), (0, 1), "what is being fetched is in use");
        let _next = cache.fetching("debian-sid-arm64").unwrap();
        assert_eq!(left("debs"), 1, "that of the killed run went");
        drop(guard);
        cache.prune(Prune::All).unwrap();
        assert_eq!(left("debs"), 0);
    }
}
