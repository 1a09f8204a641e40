//! The cache of layers: digests of layers whose files are unchanged, so that they are not read and compressed again.
//!
//! The key of a record covers everything that determines the bytes of a layer. The cache contains no bytes of layers.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::compress::Compression;
use super::layer::{Layer, MTIME};
use super::{encode, records};
use crate::hex::hex;
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, FileState, Kind, KnownFiles, RESOLUTION};

/// The maximum number of records; beyond it, the least recently used quarter is removed.
const MOST: usize = 2048;

/// The format of records and keys; records of another format are not found.
const FORMAT: &str = "cargo-rootfs layer 2";

/// Records of layers in a directory of the user's cache.
#[derive(Debug, Clone)]
pub(crate) struct LayerCache {
    directory: PathBuf,
    resolution: Duration,
    known: Arc<KnownFiles>,
}

/// The key of one layer's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerKey {
    hex: String,
    compression: Compression,
    /// The latest time of a host file that the key has by its state, since 1970.
    newest: Duration,
    /// The host files that the key has by their digests.
    known: Vec<(PathBuf, FileState)>,
}

impl LayerKey {
    #[cfg(test)]
    pub(crate) fn new<'r>(
        entries: impl Iterator<Item = (&'r RootfsPath, &'r Entry)>,
        compression: Compression,
    ) -> Self {
        Self::of(entries, compression, &KnownFiles::default())
    }

    /// The key covers names, modes, owners and links as the layer has them, the bytes of generated files, and for host files
    /// the digest if it is known, else the path, device, inode, size, and the mtime and ctime in nanoseconds.
    fn of<'r>(
        entries: impl Iterator<Item = (&'r RootfsPath, &'r Entry)>,
        compression: Compression,
        files: &KnownFiles,
    ) -> Self {
        let mut sha256 = Sha256::new();
        let (mut newest, mut known, mut blocks) = (Duration::ZERO, Vec::new(), Vec::new());
        let mut field = |bytes: &[u8]| {
            sha256.update((bytes.len() as u64).to_le_bytes());
            sha256.update(bytes);
        };
        field(FORMAT.as_bytes());
        field(env!("CARGO_PKG_VERSION").as_bytes());
        field(compression.maker().as_bytes());
        for (path, entry) in entries {
            blocks.clear();
            encode::headers(&mut blocks, path, entry, MTIME);
            field(&blocks);
            match &entry.kind {
                Kind::File(Body::Bytes(bytes)) => field(bytes),
                Kind::File(Body::Host(file)) => match (files.get(file), file.state()) {
                    (Some(digests), state) => {
                        field(b"sha256");
                        field(&digests.sha256);
                        known.push((file.path.clone(), state));
                    }
                    (None, state) => {
                        let FileState { inode, size, mtime, ctime } = state;
                        field(b"state");
                        field(file.path.as_os_str().as_bytes());
                        let numbers = [inode.0, inode.1, size].map(u64::to_le_bytes);
                        let times = [mtime.0, mtime.1, ctime.0, ctime.1].map(i64::to_le_bytes);
                        field(&[numbers.as_flattened(), times.as_flattened()].concat());
                        newest = newest.max(state.newest());
                    }
                },
                _ => {}
            }
        }
        Self { hex: hex(&sha256.finalize()), compression, newest, known }
    }

    /// True if every later change of a file will give it a new time, and the files with known digests are unchanged
    /// after they were read.
    fn is_settled(&self, began: SystemTime, resolution: Duration) -> bool {
        let is_unchanged = |(path, state): &(PathBuf, FileState)| {
            fs::symlink_metadata(path).is_ok_and(|metadata| FileState::from(&metadata) == *state)
        };
        began.duration_since(UNIX_EPOCH).is_ok_and(|began| self.newest + resolution < began)
            && self.known.iter().all(is_unchanged)
    }
}

impl LayerCache {
    /// Records in the directory `layers` of the cache at `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { directory: root.join("layers"), resolution: RESOLUTION, known: Arc::default() }
    }

    /// The same with digests of files.
    pub(crate) fn knowing(self, known: KnownFiles) -> Self {
        Self { known: Arc::new(known), ..self }
    }

    /// A cache that assumes different times for any two writes.
    #[cfg(test)]
    pub(crate) fn eager(root: &Path) -> Self {
        Self { resolution: Duration::ZERO, ..Self::new(root) }
    }

    /// The key of the layer with `entries` and this compression.
    pub(crate) fn key<'r>(
        &self,
        entries: impl Iterator<Item = (&'r RootfsPath, &'r Entry)>,
        compression: Compression,
    ) -> LayerKey {
        LayerKey::of(entries, compression, &self.known)
    }

    /// The recorded layer for `key`. A damaged record is ignored.
    pub(crate) fn find(&self, key: &LayerKey) -> Option<Layer> {
        let record = records::find(&self.directory, FORMAT, &key.hex)?;
        let text = |key: &str| record[key].as_str().map(str::to_owned);
        let (media_type, size) = (Layer::media_type(key.compression), record["size"].as_u64()?);
        Some(Layer { diff_id: text("diffId")?, digest: text("digest")?, size, media_type })
    }

    /// Records `layer`, whose files were read from `began` on. If that is not safe, or the record cannot be written,
    /// the next run makes the layer again.
    pub(crate) fn record(&self, key: &LayerKey, layer: &Layer, began: SystemTime) {
        if key.is_settled(began, self.resolution) {
            let Layer { diff_id, digest, size, .. } = layer;
            let layer = json!({ "diffId": diff_id, "digest": digest, "size": size });
            let _ = records::write(&self.directory, FORMAT, &key.hex, &layer, MOST);
        }
    }

    /// Removes a wrong record.
    pub(crate) fn forget(&self, key: &LayerKey) {
        let _ = fs::remove_file(self.directory.join(&key.hex));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};
    use std::os::unix::fs::MetadataExt;

    use camino::Utf8Path;

    use super::super::tests::*;
    use super::*;
    use crate::rootfs::Digests;

    fn layer() -> Layer {
        Layer {
            diff_id: "sha256:1".to_owned(),
            digest: "sha256:2".to_owned(),
            size: 3,
            media_type: Layer::media_type(Compression::Gzip),
        }
    }

    fn key(planned: &Planned) -> LayerKey {
        LayerKey::new(planned.0.iter(), Compression::Gzip)
    }

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(3600)
    }

    /// A rootfs of one host file.
    fn planned(path: &Utf8Path) -> Planned {
        Planned::new().host("/a", 0o644, path.as_std_path())
    }

    #[test]
    fn a_record_is_found_by_what_the_layer_is_made_of() {
        let (_folder, path) = temp();
        let file = path.join("a");
        fs::write(&file, "one").unwrap();
        let cache = LayerCache::new(path.as_std_path());
        let known = key(&planned(&file));
        assert_eq!(cache.find(&known), None);
        cache.record(&known, &layer(), later());
        assert_eq!(cache.find(&known), Some(layer()));
        assert_eq!(cache.find(&key(&planned(&file))), Some(layer()), "looked at again");
        let others = [
            LayerKey::new(planned(&file).0.iter(), Compression::Zstd),
            LayerKey::new(planned(&file).0.iter(), Compression::None),
            key(&Planned::new().host("/b", 0o644, file.as_std_path())),
            key(&Planned::new().host("/a", 0o600, file.as_std_path())),
            key(&Planned::new().file("/a", 0o644, b"one")),
            key(&planned(&file).file("/b", 0o644, b"")),
        ];
        assert!(others.iter().all(|key| cache.find(key).is_none()));
    }

    /// A change that restores the mtime still changes the ctime, which cannot be set.
    #[test]
    fn a_file_that_was_tampered_with_is_another_file() {
        let (_folder, path) = temp();
        let file = path.join("a");
        fs::write(&file, "one").unwrap();
        let cache = LayerCache::new(path.as_std_path());
        let known = key(&planned(&file));
        cache.record(&known, &layer(), later());
        let before = fs::metadata(&file).unwrap();
        // The clock of a file system has ticks of some milliseconds.
        while fs::metadata(&file).unwrap().ctime_nsec() == before.ctime_nsec() {
            fs::write(&file, "two").unwrap();
            let times = FileTimes::new().set_modified(before.modified().unwrap());
            File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
        }
        let after = fs::metadata(&file).unwrap();
        assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
        assert_eq!(cache.find(&key(&planned(&file))), None);
        // Another file with the same bytes in its place.
        fs::rename(&file, path.join("b")).unwrap();
        fs::copy(path.join("b"), &file).unwrap();
        assert_ne!(key(&planned(&file)), known);
    }

    /// A package's file in two sysroots: another path, and another ctime with each link.
    #[test]
    fn a_layer_is_found_by_the_known_digests_of_its_files() {
        let (_folder, path) = temp();
        let (one, two) = (path.join("one"), path.join("two"));
        fs::write(&one, "one").unwrap();
        let key = |file: &Utf8Path, is_known: bool| {
            let state = FileState::from(&fs::metadata(file).unwrap());
            let mut known = KnownFiles::default();
            let digests = Digests::read(&File::open(file).unwrap()).unwrap();
            known.extend(is_known.then_some((state, digests)));
            let cache = LayerCache::new(path.as_std_path()).knowing(known);
            (cache.key(planned(file).0.iter(), Compression::Gzip), cache)
        };
        let (known, cache) = key(&one, true);
        let unknown = key(&one, false).0;
        // It does not matter that the file is new: its digest says what was read.
        cache.record(&known, &layer(), SystemTime::now());
        assert_eq!((cache.find(&known), cache.find(&unknown)), (Some(layer()), None));
        fs::hard_link(&one, &two).unwrap();
        assert_eq!(cache.find(&key(&two, true).0), Some(layer()));
        assert_eq!(cache.find(&key(&two, false).0), None);
        fs::write(&one, "two").unwrap();
        assert_eq!(cache.find(&key(&two, true).0), None);
    }

    #[test]
    fn a_layer_whose_files_changed_after_the_plan_is_not_recorded() {
        let (_folder, path) = temp();
        let file = path.join("a");
        fs::write(&file, "one").unwrap();
        let state = FileState::from(&fs::metadata(&file).unwrap());
        let mut known = KnownFiles::default();
        known.extend([(state, Digests::read(&File::open(&file).unwrap()).unwrap())]);
        let cache = LayerCache::new(path.as_std_path()).knowing(known);
        let key = cache.key(planned(&file).0.iter(), Compression::Gzip);
        while FileState::from(&fs::metadata(&file).unwrap()) == state {
            fs::write(&file, "two").unwrap();
        }
        cache.record(&key, &layer(), later());
        assert_eq!(cache.find(&key), None);
    }

    /// git's rule for racily clean files.
    #[test]
    fn a_file_that_was_just_written_is_not_recorded() {
        let (_folder, path) = temp();
        fs::write(path.join("a"), "one").unwrap();
        let cache = LayerCache::new(path.as_std_path());
        let known = key(&planned(&path.join("a")));
        for (began, is_kept) in [
            (UNIX_EPOCH + known.newest, false),
            (UNIX_EPOCH + known.newest + RESOLUTION, false),
            (UNIX_EPOCH + known.newest + RESOLUTION + Duration::from_millis(1), true),
        ] {
            cache.record(&known, &layer(), began);
            assert_eq!(cache.find(&known).is_some(), is_kept);
        }
    }

    #[test]
    fn a_record_that_was_tampered_with_is_not_believed() {
        let (_folder, path) = temp();
        fs::write(path.join("a"), "one").unwrap();
        let cache = LayerCache::new(path.as_std_path());
        let (one, other) = (key(&planned(&path.join("a"))), key(&Planned::new()));
        let file = cache.directory.join(&one.hex);
        cache.record(&one, &layer(), later());
        let text = fs::read_to_string(&file).unwrap();
        for broken in [text.replace("sha256:2", "sha256:9"), text[..text.len() - 1].to_owned(), String::new()] {
            fs::write(&file, broken).unwrap();
            assert_eq!(cache.find(&one), None);
        }
        fs::write(cache.directory.join(&other.hex), &text).unwrap();
        assert_eq!(cache.find(&other), None, "the record of another layer");
        fs::write(&file, &text).unwrap();
        assert_eq!(cache.find(&one), Some(layer()));
        cache.forget(&one);
        assert_eq!(cache.find(&one), None);
    }

    #[test]
    fn records_are_bounded_in_number() {
        let (_folder, path) = temp();
        let cache = LayerCache::new(path.as_std_path());
        fs::create_dir_all(&cache.directory).unwrap();
        for at in 0..MOST {
            let file = File::create(cache.directory.join(format!("old-{at}"))).unwrap();
            file.set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
        }
        cache.record(&key(&Planned::new()), &layer(), later());
        assert_eq!(fs::read_dir(&cache.directory).unwrap().count(), MOST * 3 / 4);
        assert_eq!(cache.find(&key(&Planned::new())), Some(layer()), "the newest stays");
    }

    /// A digest of one compressor version is not valid for another version.
    #[test]
    fn the_makers_are_the_versions_that_are_compiled() {
        // The package has the lock beside its own manifest, the workspace in the parent directory.
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let locks = [manifest.join("Cargo.lock"), manifest.join("../Cargo.lock")];
        let lock = locks.iter().find_map(|lock| fs::read_to_string(lock).ok()).unwrap();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let maker = compression.maker();
            let (name, version) = maker.split_once(' ').unwrap();
            let version = version.split(',').next().unwrap();
            assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")), "update `{maker}`");
        }
    }
}
