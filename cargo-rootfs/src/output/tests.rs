//! Pushes of whole runs: savings by the cache of layers, and several names at once.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::image::ImageConfig;
use crate::layers::{Layered, Origins};
use crate::registry::tests::fake::{Auth, Fake, What};
use crate::rootfs::{Digests, FileState, KnownFiles};
use crate::target::Target;
use crate::write::Observer;
use crate::write::tests::*;

/// A listener without effect.
struct Silent;

impl Listener for Silent {
    fn begins(&self, _: &str, _: &dyn Display) {}

    fn progress(&self, _: u64) -> Box<dyn Observer + '_> {
        Box::new(())
    }
}

/// Pushes `planned` to `names`.
fn push(planned: &Planned, names: &[String], cache: Option<LayerCache>) -> Result<Vec<Written>> {
    let settings = Settings { engine: Engine::default(), replace: Replace::OwnOnly, insecure: &[] };
    let outputs: Vec<Output> = names.iter().map(|name| push::PUSH.output(name, settings).unwrap()).collect();
    let target = Target::host();
    let job = Job {
        target: &target,
        rootfs: &planned.0,
        image: ImageConfig::new(&target).unwrap(),
        layered: Layered::Single,
        origins: Origins { project: &[], sysroot: Path::new("/") },
        epoch: 0,
        outputs: &outputs,
    };
    let run = Run {
        listener: &Silent,
        interrupted: &AtomicBool::new(false),
        compression: Compression::Gzip,
        cache,
        sent_to: SentTo::default(),
    };
    write(&[job], &run)
}

fn sent(written: &[Written]) -> u64 {
    written.iter().map(|one| one.json().unwrap()["sent"].as_u64().unwrap()).sum()
}

/// A rootfs of some host files, and their directory. The clock of the file system has advanced since.
fn of_the_host(bytes: &[u8]) -> (tempfile::TempDir, Planned) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, bytes).unwrap();
    let ctime = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        path.metadata().map(|it| (it.ctime(), it.ctime_nsec())).unwrap()
    };
    let later = folder.path().join("later");
    while !later.exists() || ctime(&later) <= ctime(&file) {
        std::fs::write(&later, "").unwrap();
    }
    (folder, some_of_everything().host("/srv/host", 0o644, &file))
}

#[test]
fn a_layer_that_the_registry_has_is_not_read_again() {
    let (fake, (folder, planned)) = (Fake::start(Auth::None), of_the_host(&[7; 300_000]));
    let (name, cache) = ([format!("{}/me/app:1", fake.host)], || Some(LayerCache::eager(folder.path())));
    let first = push(&planned, &name, cache()).unwrap();
    assert!(sent(&first) > 0);
    fake.requests();
    // A read of the file would fail.
    std::fs::rename(folder.path().join("file"), folder.path().join("aside")).unwrap();
    let again = push(&planned, &name, cache()).unwrap();
    assert_eq!((again[0].digest(), sent(&again)), (first[0].digest(), 0));
    assert!(fake.requests().iter().all(|line| line.starts_with("HEAD /v2/me/app/manifests/")));
    assert!(push(&planned, &name, None).is_err(), "without the cache it is read");
    // Only the configuration differs, so only the layer is looked up.
    let other = [format!("{}/me/app:2", fake.host)];
    fake.state.lock().unwrap().manifests.clear();
    assert_eq!(sent(&push(&planned, &other, cache()).unwrap()), 0);
}

/// The same package in two sysroots: hard links, so that the second link changes the ctime of the first.
#[test]
fn a_layer_of_a_packages_files_is_not_read_again_in_another_sysroot() {
    let (fake, folder) = (Fake::start(Auth::None), tempfile::tempdir().unwrap());
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    std::fs::write(&first, [7; 300_000]).unwrap();
    let (name, planned) = ([format!("{}/me/app:1", fake.host)], |path: &Path| Planned::new().host("/a", 0o644, path));
    let cache = |path: &Path| {
        let state = FileState::from(&path.metadata().unwrap());
        let mut known = KnownFiles::default();
        known.extend([(state, Digests::read(&File::open(path).unwrap()).unwrap())]);
        Some(LayerCache::new(folder.path()).knowing(known))
    };
    let one = push(&planned(&first), &name, cache(&first)).unwrap();
    std::fs::hard_link(&first, &second).unwrap();
    let (rootfs, knowing) = (planned(&second), cache(&second));
    // A read of the file would fail.
    std::fs::rename(&second, folder.path().join("aside")).unwrap();
    let two = push(&rootfs, &name, knowing).unwrap();
    assert_eq!((one[0].digest(), sent(&two)), (two[0].digest(), 0));

    // Tampered with, and the size and the mtime restored.
    let before = first.metadata().unwrap();
    let times = std::fs::FileTimes::new().set_modified(before.modified().unwrap());
    std::fs::write(&first, [8; 300_000]).unwrap();
    File::options().write(true).open(&first).unwrap().set_times(times).unwrap();
    let three = push(&planned(&first), &name, Some(LayerCache::new(folder.path()))).unwrap();
    assert_ne!((one[0].digest(), sent(&three)), (three[0].digest(), 0));
    assert_eq!(three[0].digest(), push(&planned(&first), &name, None).unwrap()[0].digest());
}

#[test]
fn a_layer_that_the_registry_lacks_is_made_after_all() {
    let ((folder, planned), one, two) = (of_the_host(&[7; 300_000]), Fake::start(Auth::None), Fake::start(Auth::None));
    let cache = || Some(LayerCache::eager(folder.path()));
    let first = push(&planned, &[format!("{}/me/app:1", one.host)], cache()).unwrap();
    let second = push(&planned, &[format!("{}/me/app:1", two.host)], cache()).unwrap();
    assert_eq!((first[0].digest(), sent(&first)), (second[0].digest(), sent(&second)));
    let (one, two) = (one.state.lock().unwrap(), two.state.lock().unwrap());
    assert!(one.blobs == two.blobs && one.manifests == two.manifests);
}

/// A record with a valid checksum but a wrong digest, as after a change of the compressor.
#[test]
fn a_wrong_record_sends_nothing_and_is_forgotten() {
    let ((folder, planned), fake) = (of_the_host(&[7; 300_000]), Fake::start(Auth::None));
    let (name, cache) = ([format!("{}/me/app:1", fake.host)], LayerCache::eager(folder.path()));
    let key = crate::write::layer_cache::LayerKey::new(planned.0.iter(), Compression::Gzip);
    let right = push(&planned, &name, None).unwrap();
    let layer = crate::write::layer::Layer {
        diff_id: format!("sha256:{}", "0".repeat(64)),
        digest: format!("sha256:{}", "1".repeat(64)),
        size: 5,
        media_type: crate::write::layer::Layer::media_type(Compression::Gzip),
    };
    cache.record(&key, &layer, std::time::SystemTime::now());
    assert_eq!(cache.find(&key), Some(layer));
    let error = push(&planned, &name, Some(cache.clone())).unwrap_err();
    let said = format!("{error:?}");
    assert!(said.contains("another digest than the cache"), "{said}");
    assert_eq!(cache.find(&key), None);
    assert_eq!(push(&planned, &name, Some(cache)).unwrap()[0].digest(), right[0].digest());
}

#[test]
fn several_names_get_blobs_once_and_their_tags_last() {
    let (fake, (_folder, planned)) = (Fake::start(Auth::None), of_the_host(b"1"));
    let names = ["me/app:1", "me/app:2", "you/other:3"].map(|name| format!("{}/{name}", fake.host));
    // The fake registry has one store for all repositories, so the lookup of the other repository's blobs must be made
    // to fail.
    for to in ["HEAD /v2/you/other/manifests/sha256", "HEAD /v2/you/other/blobs", "HEAD /v2/you/other/blobs"] {
        fake.fault(to, What::Answer(404, "", ""));
    }
    let written = push(&planned, &names, None).unwrap();
    assert_eq!(written.len(), 3);
    assert!(written.iter().all(|one| one.digest() == written[0].digest()));
    let requests = fake.requests();
    let puts: Vec<&str> = requests.iter().filter(|line| line.starts_with("PUT ")).map(String::as_str).collect();
    assert_eq!(puts.iter().filter(|line| line.contains("/blobs/")).count(), 2, "{puts:#?}");
    let tags: Vec<&str> = puts.iter().rev().take(3).rev().map(|line| line.trim_end()).collect();
    assert_eq!(
        tags,
        ["PUT /v2/me/app/manifests/1", "PUT /v2/me/app/manifests/2", "PUT /v2/you/other/manifests/3"],
        "{puts:#?}"
    );
    assert_eq!(requests.iter().filter(|line| line.contains("&from=me%2Fapp")).count(), 2, "blobs are mounted");
}
