//! Joins in registries of the test process, with concurrent runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;

use serde_json::{Value, json};

use super::*;
use crate::image::manifest::{self, Descriptor, EMPTY};
use crate::registry::tests::fake::{Auth, Fake};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The digest, as `sha256:...`.
fn digest(bytes: &[u8]) -> String {
    Manifest { media_type: String::new(), bytes: bytes.to_owned() }.digest()
}

/// The documents and the layer of an image for `architecture`: manifest, configuration, layer.
fn image(architecture: &str) -> [Vec<u8>; 3] {
    let layer = format!("the layer of {architecture}").into_bytes();
    let config = json!({ "architecture": architecture, "os": "linux" }).to_string().into_bytes();
    let described = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
    });
    [manifest.to_string().into_bytes(), config, layer]
}

/// Stores an image in a registry, and returns its digest.
fn store(fake: &Fake, architecture: &str) -> String {
    let [manifest, config, layer] = image(architecture);
    let mut state = fake.state.lock().unwrap();
    state.blobs.insert(digest(&config), config);
    state.blobs.insert(digest(&layer), layer);
    state.manifests.insert(digest(&manifest), manifest.clone());
    digest(&manifest)
}

/// Stores an image in a layout.
fn layout(directory: &Path, architecture: &str) {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let [manifest, config, layer] = image(architecture);
    for bytes in [&manifest, &config, &layer] {
        std::fs::write(blobs.join(digest(bytes).trim_start_matches("sha256:")), bytes).unwrap();
    }
    let index = json!({ "schemaVersion": 2, "manifests": [
        { "mediaType": MANIFEST, "digest": digest(&manifest), "size": manifest.len() },
    ] });
    std::fs::write(directory.join("index.json"), index.to_string()).unwrap();
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

fn joined(fake: &Fake, sources: &[String], others: Others) -> Result<Joined> {
    let name = format!("{}/me/app:1", fake.host);
    let order = Order { name: &name, sources, others, insecure: &[] };
    join(&order, &mut (), &AtomicBool::new(false))
}

/// The name of an image by digest.
fn by_digest(fake: &Fake, digest: &str) -> String {
    format!("{}/me/app@{digest}", fake.host)
}

/// The platforms and digests of the index under a tag.
fn platforms(fake: &Fake, tag: &str) -> Vec<(String, String)> {
    let index: Value = serde_json::from_slice(&fake.state.lock().unwrap().manifests[tag]).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    entries.iter().map(|entry| (platform_name(entry), entry["digest"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn images_of_a_registry_and_of_layouts_are_joined_by_digest() {
    let (fake, elsewhere, folder) = (Fake::start(Auth::None), Fake::start(Auth::None), tempfile::tempdir().unwrap());
    let here = store(&fake, "amd64");
    let there = store(&elsewhere, "s390x");
    layout(folder.path(), "arm64");
    let sources =
        [by_digest(&fake, &here), folder.path().display().to_string(), format!("{}/you/other@{there}", elsewhere.host)];
    let joined = joined(&fake, &sources, Others::Replaced).unwrap();
    assert_eq!(joined.platforms, ["linux/amd64", "linux/arm64", "linux/s390x"]);
    let [manifest, ..] = image("arm64");
    let expected = [("linux/amd64", here), ("linux/arm64", digest(&manifest)), ("linux/s390x", there)];
    assert_eq!(platforms(&fake, "1"), expected.map(|(name, digest)| (name.to_owned(), digest)));
    let state = fake.state.lock().unwrap();
    assert_eq!(digest(&state.manifests["1"]), joined.digest);
    let sizes = ["arm64", "s390x"].map(|architecture| {
        let [_, config, layer] = image(architecture);
        assert!(state.blobs.contains_key(&digest(&config)) && state.blobs.contains_key(&digest(&layer)));
        config.len() + layer.len()
    });
    assert_eq!(joined.sent, sizes.iter().sum::<usize>() as u64, "what the registry lacked");
    assert!(!state.manifests.contains_key("1-arm64"), "only `--update` tags platforms");
}

/// `oras attach` leaves a layout in this form.
#[test]
fn a_document_that_a_layout_lists_is_no_image() {
    let (fake, folder) = (Fake::start(Auth::None), tempfile::tempdir().unwrap());
    layout(folder.path(), "arm64");
    let path = folder.path().join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let about =
        json!({ "mediaType": MANIFEST, "digest": digest(b"sbom"), "size": 4, "artifactType": "application/spdx+json" });
    index["manifests"].as_array_mut().unwrap().push(about);
    std::fs::write(&path, index.to_string()).unwrap();
    let joined = joined(&fake, &[folder.path().display().to_string()], Others::Replaced).unwrap();
    assert_eq!(joined.platforms, ["linux/arm64"]);
}

/// The bill of materials of an image: its manifest and its text.
fn bill(architecture: &str) -> [Vec<u8>; 2] {
    let [image, ..] = image(architecture);
    let subject = Descriptor { media_type: MANIFEST, digest: digest(&image), size: image.len() as u64 };
    let text = format!("{{\"sbomOf\":\"{architecture}\"}}").into_bytes();
    let document = ("application/spdx+json", &*digest(&text), text.len() as u64);
    [manifest::artifact(document, &subject, &BTreeMap::new()).into_bytes(), text]
}

/// Layouts keep it beside the image and out of the index, because readers accept only one image there.
#[test]
fn a_bill_of_materials_follows_its_image_out_of_a_layout_and_another_repository() {
    let (fake, elsewhere, folder) = (Fake::start(Auth::None), Fake::start(Auth::None), tempfile::tempdir().unwrap());
    layout(folder.path(), "arm64");
    for bytes in bill("arm64").iter().map(Vec::as_slice).chain([EMPTY.as_bytes()]) {
        let name = digest(bytes);
        std::fs::write(folder.path().join("blobs/sha256").join(name.trim_start_matches("sha256:")), bytes).unwrap();
    }
    // No writer opens it: a reader would wait for ever.
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("blobs/sha256/fifo"), rustix::fs::Mode::RUSR).unwrap();
    let there = store(&elsewhere, "s390x");
    let [manifest, text] = bill("s390x");
    {
        let mut state = elsewhere.state.lock().unwrap();
        // The list is a tag, which names what is about another image as well.
        let [stranger, _] = bill("riscv64");
        let entry = |bytes: &[u8]| json!({ "mediaType": MANIFEST, "digest": digest(bytes), "size": bytes.len() });
        let entries = [entry(&stranger), entry(&manifest)];
        let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string().into_bytes();
        state.manifests.insert(there.replace(':', "-"), list);
        state.manifests.insert(digest(&stranger), stranger);
        state.manifests.insert(digest(&manifest), manifest);
        state.blobs.insert(digest(&text), text);
        state.blobs.insert(digest(EMPTY.as_bytes()), EMPTY.into());
    }
    let sources = [folder.path().display().to_string(), format!("{}/you/other@{there}", elsewhere.host)];
    joined(&fake, &sources, Others::Replaced).unwrap();
    joined(&fake, &sources, Others::Replaced).unwrap();
    let state = fake.state.lock().unwrap();
    for architecture in ["arm64", "s390x"] {
        let ([image, ..], [manifest, text]) = (image(architecture), bill(architecture));
        assert_eq!(state.manifests[&digest(&manifest)], manifest);
        assert_eq!(state.blobs[&digest(&text)], text);
        let list: Value = serde_json::from_slice(&state.manifests[&digest(&image).replace(':', "-")]).unwrap();
        let entry = json!({ "mediaType": MANIFEST, "digest": digest(&manifest), "size": manifest.len(),
            "artifactType": "application/spdx+json" });
        assert_eq!(list["manifests"], json!([entry]), "listed once, with its type");
    }
}

#[test]
fn without_update_a_name_has_the_platforms_of_the_sources_alone() {
    let fake = Fake::start(Auth::None);
    let (one, two) = (store(&fake, "amd64"), store(&fake, "arm64"));
    joined(&fake, &[by_digest(&fake, &one)], Others::Replaced).unwrap();
    joined(&fake, &[by_digest(&fake, &two)], Others::Replaced).unwrap();
    assert_eq!(platforms(&fake, "1").len(), 1);
    joined(&fake, &[by_digest(&fake, &one)], Others::Kept).unwrap();
    assert_eq!(platforms(&fake, "1").len(), 2);
    // A new image of a platform replaces the earlier one.
    let [mut manifest, ..] = image("amd64");
    manifest.push(b'\n');
    let newer = digest(&manifest);
    fake.state.lock().unwrap().manifests.insert(newer.clone(), manifest);
    joined(&fake, &[by_digest(&fake, &newer)], Others::Kept).unwrap();
    assert_eq!(platforms(&fake, "1")[0], ("linux/amd64".to_owned(), newer));
    assert_eq!(platforms(&fake, "1").len(), 2);
}

/// The name is first an image of one platform, then an index with an entry that is no image.
#[test]
fn what_a_name_has_already_stays_but_for_what_runs_nowhere() {
    let fake = Fake::start(Auth::None);
    let (one, two) = (store(&fake, "amd64"), store(&fake, "arm64"));
    {
        let mut state = fake.state.lock().unwrap();
        let manifest = state.manifests[&one].clone();
        state.manifests.insert("1".to_owned(), manifest);
    }
    joined(&fake, &[by_digest(&fake, &two)], Others::Kept).unwrap();
    let both = platforms(&fake, "1");
    assert_eq!(both.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    let index = json!({
        "annotations": { "a": "b" },
        "manifests": [
            { "digest": one, "mediaType": MANIFEST, "platform": { "architecture": "amd64", "os": "linux" }, "size": 1 },
            { "digest": two, "mediaType": MANIFEST, "platform": { "architecture": "unknown", "os": "unknown" } },
        ],
    });
    fake.state.lock().unwrap().manifests.insert("1".to_owned(), index.to_string().into_bytes());
    joined(&fake, &[by_digest(&fake, &two)], Others::Kept).unwrap();
    assert_eq!(platforms(&fake, "1"), both);
    let index: Value = serde_json::from_slice(&fake.state.lock().unwrap().manifests["1"]).unwrap();
    assert_eq!(index["annotations"]["a"], "b");
}

/// The other run does all its work before one of this run's requests, for each request in turn: before the first read,
/// between reads, before and after the write.
#[test]
fn a_run_in_the_middle_of_another_loses_no_platform() {
    let mut passed = 0;
    for before in 0.. {
        let fake = Fake::start(Auth::None);
        let (one, two) = (store(&fake, "amd64"), store(&fake, "arm64"));
        let (other, source) = (fake.clone(), by_digest(&fake, &two));
        let hook = move || drop(joined(&other, &[source], Others::Kept).unwrap());
        fake.state.lock().unwrap().hook = Some((before, Box::new(hook)));
        joined(&fake, &[by_digest(&fake, &one)], Others::Kept).unwrap();
        if fake.state.lock().unwrap().hook.is_some() {
            break;
        }
        assert_eq!(platforms(&fake, "1").len(), 2, "the other run came before request {before}");
        passed += 1;
    }
    assert!(passed > 20, "{passed} requests");
}

#[test]
fn runs_at_the_same_time_lose_no_platform() {
    for _ in 0..10 {
        let fake = Fake::start(Auth::None);
        let names = ["amd64", "arm64", "riscv64"];
        thread::scope(|scope| {
            for name in names {
                let fake = &fake;
                scope.spawn(move || {
                    let digest = store(fake, name);
                    joined(fake, &[by_digest(fake, &digest)], Others::Kept).unwrap();
                });
            }
        });
        assert_eq!(platforms(&fake, "1").iter().map(|(name, _)| &name[6..]).collect::<Vec<_>>(), names);
    }
}

#[test]
fn sources_that_cannot_be_joined_are_said() {
    let (fake, folder) = (Fake::start(Auth::None), tempfile::tempdir().unwrap());
    layout(folder.path(), "amd64");
    let [mut manifest, ..] = image("amd64");
    store(&fake, "amd64");
    manifest.push(b' ');
    let other = digest(&manifest);
    fake.state.lock().unwrap().manifests.insert(other.clone(), manifest);
    let directory = folder.path().display().to_string();
    let said = |sources: &[String]| {
        let error = joined(&fake, sources, Others::Kept).unwrap_err();
        (error.to_string(), error.exit_code())
    };
    let (text, code) = said(&[directory.clone(), by_digest(&fake, &other)]);
    assert!(text.contains("are both of linux/amd64") && code == 2, "{text}");
    let (text, code) = said(&[format!("{directory}/blobs")]);
    assert!(text.contains("is not a directory with an OCI image layout") && code == 2, "{text}");
    let (text, code) = said(&[format!("{}/me/app:none", fake.host)]);
    assert!(text.contains("is not in its registry") && code == 1, "{text}");
    std::fs::write(folder.path().join("blobs/sha256").join(&digest(&image("amd64")[1])[7..]), "{}").unwrap();
    let (text, code) = said(&[directory]);
    assert!(text.contains("has other bytes") && code == 1, "{text}");
    assert!(!fake.state.lock().unwrap().manifests.contains_key("1"));
}
