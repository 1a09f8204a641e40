//! The user's cache directory: packages by their digest, sysroots by the digest of their parts.
//!
//! Everything in it is complete, because each item is renamed to its final name. It fetches and extracts nothing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};

use super::folder::{entries, is_intact, is_temporary, record, records, remove};
use super::lock::{Lock, Package, Section};
use super::request::{Stop, TICK, pause};
use super::suite::Suite;
use super::sums::Sums;
use crate::error::{Error, Result};
pub(super) use crate::hex::hex as hexadecimal;
use crate::packages::ABOUT;
use crate::rootfs::KnownFiles;
use crate::target::Machine;

/// The file that lists a sysroot's contents: see [`record`].
pub(super) const CONTENTS: &str = "contents";
/// The sysroot itself.
pub(super) const ROOT: &str = "root";
/// The directory of an unpacked package's files; its control file and records are beside it.
pub(super) const FILES: &str = "root";
pub(super) const CONTROL: &str = "control";

/// The names of a package's files, in the format of dpkg.
pub(super) const NAMES: &str = "list";
/// The owners of a package's set-ID files, if they could not be set.
pub(super) const OWNERS: &str = "owners";

/// The directory of unpacked packages, and the name of the lock that pruning takes exclusively.
pub(super) const UNPACKED: &str = "unpacked";

/// The cache, by its path.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// A lock of the cache, held until it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    _file: File,
}

/// A sysroot in the cache. It is not pruned while this value exists.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The directory that holds the root file system.
    pub(crate) root: PathBuf,
    _used: File,
}

impl Kept {
    /// Adds the known digests of those files of its packages that have these inodes.
    pub(crate) fn find_known_files(&self, inodes: &BTreeSet<(u64, u64)>, known: &mut KnownFiles) {
        let cache = self.root.ancestors().nth(3).map(|root| Cache { root: root.to_owned() });
        let lock = Lock::read(&self.root.with_file_name(ABOUT)).ok();
        let section = lock.and_then(|lock| lock.sections.into_iter().next());
        let Some((cache, section)) = cache.zip(section) else { return };
        for package in &section.packages {
            let folder = cache.unpacked_path(package, &section.architecture);
            let Ok(files) = fs::metadata(folder.join(FILES)) else { continue };
            let sums = Sums::read(&folder, files.dev()).into_files();
            known.extend(sums.filter(|(state, _)| inodes.contains(&state.inode)));
        }
    }
}

#[cfg(test)]
impl Kept {
    /// A sysroot that is in no cache.
    pub(super) fn fake(root: PathBuf) -> Self {
        Self { root, _used: tempfile::tempfile().unwrap() }
    }
}

/// One sysroot in the output of `sysroot list`.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) folder: PathBuf,
    /// The directory that holds the root file system.
    pub(crate) root: PathBuf,
    /// Its suite, architecture and packages; `None` if its description is damaged.
    pub(crate) section: Option<Section>,
    /// The size of its files.
    pub(crate) bytes: u64,
    /// The time of its last use by a run.
    pub(crate) used: SystemTime,
}

impl Cache {
    /// CARGO_ROOTFS_CACHE, else `cargo-rootfs` in the user's cache directory (XDG Base Directory Specification).
    pub(crate) fn locate() -> Result<Self> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The specification says to ignore a relative path in XDG_CACHE_HOME.
        let absolute = |name: &str| folder(name).filter(|path| path.is_absolute());
        let root = match folder("CARGO_ROOTFS_CACHE") {
            Some(root) => std::path::absolute(&root).map_err(|error| Error::io("find", &root, error))?,
            None => absolute("XDG_CACHE_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
                .map(|caches| caches.join("cargo-rootfs"))
                .ok_or_else(|| {
                    let is = if folder("HOME").is_some() { "not an absolute path" } else { "not set" };
                    Error::failed(format!("there is no cache folder: HOME is {is}"))
                        .help("export CARGO_ROOTFS_CACHE=DIR")
                })?,
        };
        Ok(Self { root })
    }

    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A directory of the cache; it is made if missing.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        // The specification gives a new directory mode 0700.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| self.unwritable(&folder, error))?;
        Ok(folder)
    }

    /// The error for a path that cannot be written.
    pub(super) fn unwritable(&self, path: &Path, error: io::Error) -> Error {
        let full = error.kind() == io::ErrorKind::StorageFull;
        let failed = Error::io("write to the cache", path, error);
        match full {
            true => failed.help("make room: cargo rootfs sysroot prune --all"),
            false => failed.help("name another directory: export CARGO_ROOTFS_CACHE=DIR"),
        }
    }

    /// Takes the lock `name`; calls `waiting` if another process holds it.
    pub(super) fn lock(&self, name: &str, waiting: &mut dyn FnMut(), stop: Stop<'_>) -> Result<Guard> {
        let path = self.folder("locks")?.join(name);
        let opened = File::options().create(true).append(true).open(&path);
        let file = opened.map_err(|error| self.unwritable(&path, error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Guard { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => waiting(),
            // The file system has no locks: each run writes to its own directory and renames that.
            Err(_) => return Ok(Guard { _file: file }),
        }
        // A blocking flock(2) would not end on Ctrl-C.
        loop {
            pause(TICK, stop)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::io("lock", &path, error.into())),
                Ok(()) => return Ok(Guard { _file: file }),
            }
        }
    }

    /// The file of a package, if it exists and its digest is right.
    pub(super) fn deb(&self, package: &Package) -> Option<PathBuf> {
        let path = self.deb_path(&package.sha256);
        match sha256_of(&path) {
            Ok(digest) if digest == package.sha256 => Some(path),
            // A damaged file is of no use.
            Ok(_) => {
                let _ = fs::remove_file(&path);
                None
            }
            Err(_) => None,
        }
    }

    fn deb_path(&self, sha256: &str) -> PathBuf {
        self.root.join("debs").join(format!("{sha256}.deb"))
    }

    /// Takes the shared lock that keeps unpacked packages from being pruned.
    pub(super) fn keep_all_unpacked(&self) -> Result<Guard> {
        let path = self.folder("locks")?.join(UNPACKED);
        let opened = File::options().create(true).append(true).open(&path);
        let file = opened.map_err(|error| self.unwritable(&path, error))?;
        // On a file system without locks, a concurrent `prune` is not prevented.
        while let Err(rustix::io::Errno::INTR) = rustix::fs::flock(&file, FlockOperation::LockShared) {}
        Ok(Guard { _file: file })
    }

    /// The directory of an unpacked package, if it exists with all its files.
    pub(super) fn unpacked(&self, package: &Package, architecture: &str) -> Option<PathBuf> {
        let folder = self.unpacked_path(package, architecture);
        let contents = fs::read(folder.join(CONTENTS)).ok()?;
        is_intact(&folder.join(FILES), &contents).then_some(folder)
    }

    fn unpacked_path(&self, package: &Package, architecture: &str) -> PathBuf {
        // Only root can set the owners of files.
        let owners = if rustix::process::geteuid().is_root() { "-owners" } else { "-noted" };
        // A package for all architectures has different /usr-merge symlinks on each.
        self.root.join(UNPACKED).join(format!("{}-{architecture}{owners}", package.sha256))
    }

    /// Makes a temporary directory for an unpacked package.
    pub(super) fn staged_package(&self) -> Result<tempfile::TempDir> {
        let folder = self.folder(UNPACKED)?;
        let staging = tempfile::Builder::new().prefix(".new.").tempdir_in(&folder);
        staging.map_err(|error| self.unwritable(&folder, error))
    }

    /// Renames the directory of an unpacked package to its final name.
    pub(super) fn keep_unpacked(
        &self,
        staging: tempfile::TempDir,
        package: &Package,
        architecture: &str,
    ) -> Result<()> {
        let (path, root) = (staging.path().to_owned(), staging.path().join(FILES));
        let contents = record(&root)?;
        fs::write(path.join(CONTENTS), contents).map_err(|error| self.unwritable(&path, error))?;
        let folder = self.unpacked_path(package, architecture);
        // An existing one is either damaged, or another run made it with the same contents.
        if self.unpacked(package, architecture).is_none() {
            let _ = remove(&folder);
        }
        match fs::rename(&path, &folder) {
            // The directory is renamed, so dropping it must not remove anything.
            Ok(()) => drop(staging.keep()),
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                let _ = remove(&path);
            }
            Err(error) => return Err(self.unwritable(&folder, error)),
        }
        Ok(())
    }

    /// Moves a downloaded package with this digest into the cache.
    pub(super) fn keep_deb(&self, file: &Path, sha256: &str) -> Result<()> {
        self.folder("debs")?;
        let path = self.deb_path(sha256);
        fs::rename(file, &path).map_err(|error| self.unwritable(&path, error))
    }

    /// The key of a sysroot: a digest of all its parts.
    pub(super) fn key(section: &Section, recipe: &str) -> String {
        let mut sum = Sha256::new();
        let mut add = |text: &str| {
            sum.update(text.len().to_le_bytes());
            sum.update(text);
        };
        add("cargo-rootfs sysroot 5");
        add(recipe);
        // Only root can set the owners of files.
        add(if rustix::process::geteuid().is_root() { "owners" } else { "no owners" });
        add(&section.suite.to_string());
        add(&section.architecture);
        for package in &section.packages {
            add(&package.name);
            add(&package.version);
            add(&package.sha256);
        }
        let name = format!("{}-{}", section.suite.distribution.id(), section.suite.name);
        format!("{name}-{}-{}", section.architecture, &hexadecimal(&sum.finalize())[..16])
    }

    /// The sysroot with this key, if it exists with all its files.
    pub(super) fn sysroot(&self, key: &str) -> Option<Kept> {
        let folder = self.root.join("sysroots").join(key);
        let used = File::open(folder.join(CONTENTS)).ok()?;
        let _ = rustix::fs::flock(&used, FlockOperation::NonBlockingLockShared);
        let mut contents = Vec::new();
        (&used).read_to_end(&mut contents).ok()?;
        let root = folder.join(ROOT);
        if !is_intact(&root, &contents) {
            return None;
        }
        // The cache may belong to another user; then its time of use is not recorded.
        let _ = used.set_modified(SystemTime::now());
        Some(Kept { root, _used: used })
    }

    /// Makes a temporary directory whose `root` is to be filled, and removes those of killed runs for this
    /// architecture. The caller must hold the lock `name`.
    pub(super) fn staging(&self, name: &str) -> Result<tempfile::TempDir> {
        let staging = self.temporary("sysroots", name)?;
        let root = staging.path().join(ROOT);
        fs::create_dir(&root)
            // The root of a file system has mode 0755, with any umask.
            .and_then(|()| fs::set_permissions(&root, fs::Permissions::from_mode(0o755)))
            .map_err(|error| self.unwritable(&root, error))?;
        Ok(staging)
    }

    /// Makes a temporary directory for downloads. The caller must hold the lock `name`.
    pub(super) fn fetching(&self, name: &str) -> Result<tempfile::TempDir> {
        self.temporary("debs", name)
    }

    /// Makes a temporary directory below `place`; its name begins with that of the lock, which the caller must hold.
    fn temporary(&self, place: &str, name: &str) -> Result<tempfile::TempDir> {
        let place = self.folder(place)?;
        let prefix = format!(".{name}.");
        for entry in fs::read_dir(&place).map_err(|error| Error::io("read", &place, error))?.flatten() {
            if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
                let _ = remove(&entry.path());
            }
        }
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(&place);
        made.map_err(|error| self.unwritable(&place, error))
    }

    /// Renames a staged sysroot to its final name.
    pub(super) fn keep_sysroot(&self, staging: tempfile::TempDir, key: &str, section: &Section) -> Result<Kept> {
        let (path, root) = (staging.path().to_owned(), staging.path().join(ROOT));
        let write = |name: &str, bytes: &[u8]| {
            fs::write(path.join(name), bytes).map_err(|error| self.unwritable(&path.join(name), error))
        };
        write(ABOUT, format!("version = 1\n\n{}", section.text()).as_bytes())?;
        write(CONTENTS, &record(&root)?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(|error| self.unwritable(&path, error))?;
        let folder = self.root.join("sysroots").join(key);
        // An existing one is damaged: an intact one would have been used.
        if folder.exists() {
            let aside = path.with_extension("damaged");
            fs::rename(&folder, &aside).map_err(|error| self.unwritable(&folder, error))?;
            let _ = remove(&aside);
        }
        fs::rename(&path, &folder).map_err(|error| self.unwritable(&folder, error))?;
        // The directory is renamed, so dropping it must not remove anything.
        let _ = staging.keep();
        self.sysroot(key).ok_or_else(|| {
            Error::failed(format!("`{}` changes while it is made", folder.display()))
                .help("name a directory that nothing else writes to: export CARGO_ROOTFS_CACHE=DIR")
        })
    }

    /// All sysroots of the cache, by name.
    pub(crate) fn list(&self) -> Result<Vec<Listed>> {
        let folder = self.root.join("sysroots");
        let mut listed = Vec::new();
        for entry in entries(&folder)? {
            if is_temporary(&entry) {
                continue;
            }
            let contents = fs::read(entry.join(CONTENTS)).unwrap_or_default();
            let used = fs::metadata(entry.join(CONTENTS)).and_then(|metadata| metadata.modified());
            listed.push(Listed {
                root: entry.join(ROOT),
                section: Lock::read(&entry.join(ABOUT))
                    .ok()
                    .and_then(|lock| lock.sections.into_iter().next())
                    .filter(|_| is_intact(&entry.join(ROOT), &contents)),
                bytes: records(&contents).filter_map(|(kind, size, ..)| (kind == b'f').then_some(size)).sum(),
                used: used.unwrap_or(SystemTime::UNIX_EPOCH),
                folder: entry,
            });
        }
        Ok(listed)
    }
}

pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = Sha256::new();
    io::copy(&mut file, &mut sum)?;
    Ok(hexadecimal(&sum.finalize()))
}

impl Package {
    /// `name=version`, as apt accepts it.
    pub(super) fn spec(&self) -> String {
        format!("{}={}", self.name, self.version)
    }
}

/// The common name of the lock and of the apt directory for one suite and one machine.
pub(super) fn name(section: &Section) -> String {
    format!("{}-{}-{}", section.suite.distribution.id(), section.suite.name, section.architecture)
}

/// The same name, for a request.
pub(super) fn name_of(suite: &Suite, machine: Machine) -> Result<String> {
    Ok(format!("{}-{}-{}", suite.distribution.id(), suite.name, architecture(machine)?))
}

/// Debian's name for the machine; an error if Debian has no such architecture.
pub(super) fn architecture(machine: Machine) -> Result<&'static str> {
    machine.debian().ok_or_else(|| Error::failed(format!("no distribution has packages for {machine}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::lock::tests::section;
    use super::*;

    pub(in crate::provision) fn made(cache: &Cache, section: &Section) -> Kept {
        let staging = cache.staging(&name(section)).unwrap();
        let root = staging.path().join(ROOT);
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/bash"), "12345").unwrap();
        std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        cache.keep_sysroot(staging, &Cache::key(section, "recipe"), section).unwrap()
    }

    #[test]
    fn a_sysroot_that_lacks_anything_is_not_there() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        let section = section("debian:bookworm", &[("bash", "1")]);
        let key = Cache::key(&section, "recipe");
        assert!(cache.sysroot(&key).is_none());
        let kept = made(&cache, &section);
        assert_eq!(fs::read(kept.root.join("bin/bash")).unwrap(), b"12345");
        assert!(cache.sysroot(&key).is_some());
        let damages: [fn(&Path); 4] = [
            |root| fs::write(root.join("usr/bin/bash"), "1234").unwrap(),
            |root| fs::remove_file(root.join("bin")).unwrap(),
            |root| fs::remove_dir_all(root).unwrap(),
            |root| fs::write(root.with_file_name(CONTENTS), "").unwrap(),
        ];
        for damage in damages {
            damage(&kept.root);
            assert!(cache.sysroot(&key).is_none());
            made(&cache, &section);
            assert!(cache.sysroot(&key).is_some(), "it is made again");
        }
    }

    #[test]
    fn everything_that_made_it_is_in_the_key() {
        let one = section("debian:bookworm", &[("bash", "1")]);
        let key = Cache::key(&one, "recipe");
        assert_eq!(key, Cache::key(&one.clone(), "recipe"));
        let mut others = vec![section("debian:trixie", &[("bash", "1")]), section("debian:bookworm", &[("bash", "2")])];
        others.push(Section { architecture: "armhf".to_owned(), ..one.clone() });
        let mut hash = one.clone();
        hash.packages[0].sha256 = "1".repeat(64);
        others.push(hash);
        let mut keys: Vec<_> = others.iter().map(|other| Cache::key(other, "recipe")).collect();
        keys.extend([Cache::key(&one, "another recipe"), key]);
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_damaged_package_is_not_there() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        let file = temp.path().join("x.deb");
        fs::write(&file, "abc").unwrap();
        let sha256 = sha256_of(&file).unwrap();
        cache.keep_deb(&file, &sha256).unwrap();
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let package = Package { name: "x".into(), version: "1".into(), sha256 };
        let kept = cache.deb(&package).unwrap();
        fs::write(&kept, "abd").unwrap();
        assert_eq!(cache.deb(&package), None);
        assert!(!kept.exists());
    }

    #[test]
    fn two_who_want_the_same_wait_for_each_other() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        let first = cache.lock("debian-bookworm-arm64", &mut || panic!("nobody has it"), &|| Ok(())).unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let other = cache.clone();
        let second = std::thread::spawn(move || {
            other.lock("debian-bookworm-arm64", &mut || send.send(()).unwrap(), &|| Ok(())).unwrap();
        });
        receive.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap();
    }

    #[test]
    fn who_waits_can_be_stopped() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::at(temp.path());
        let _first = cache.lock("debian-bookworm-arm64", &mut || {}, &|| Ok(())).unwrap();
        let asked = std::cell::Cell::new(0);
        let stop = || match asked.replace(asked.get() + 1) {
            0..3 => Ok(()),
            _ => Err(Error::interrupted()),
        };
        let stopped = cache.lock("debian-bookworm-arm64", &mut || {}, &stop).unwrap_err();
        assert_eq!(stopped.exit_code(), crate::error::exit_code::INTERRUPTED);
    }
}
