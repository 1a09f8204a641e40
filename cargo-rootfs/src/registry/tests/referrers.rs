//! Artifacts that describe images, in registries with and without the referrers API.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use super::fake::{Auth, Fake, What};
use crate::error::Result;
use crate::image::manifest::{Descriptor, MANIFEST};
use crate::registry::client::{Client, digest};
use crate::registry::{Artifact, Pull, Reference, Settings};

fn subject() -> Descriptor {
    Descriptor { media_type: MANIFEST, digest: digest(b"{}"), size: 2 }
}

fn artifact(content: &str) -> Artifact {
    Artifact {
        artifact_type: "application/spdx+json".to_owned(),
        content: content.into(),
        annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    }
}

fn attach(fake: &Fake, artifact: &Artifact) -> Result<String> {
    let interrupted = AtomicBool::new(false);
    let reference = Reference::parse(&format!("{}/me/app:1", fake.host)).unwrap();
    Client::connect(&reference, &Settings::default(), &interrupted)?.attach(&subject(), artifact)
}

fn manifest(fake: &Fake, version: &str) -> Option<Value> {
    fake.state.lock().unwrap().manifests.get(version).map(|bytes| serde_json::from_slice(bytes).unwrap())
}

fn list(fake: &Fake) -> Option<Value> {
    manifest(fake, &subject().digest.replace(':', "-"))
}

#[test]
fn a_registry_with_the_api_lists_the_artifact_itself() {
    let fake = Fake::start(Auth::None);
    fake.state.lock().unwrap().referrers = true;
    let pushed = attach(&fake, &artifact("{\"sbom\":1}")).unwrap();
    let stored = manifest(&fake, &pushed).unwrap();
    assert_eq!(stored["artifactType"], "application/spdx+json");
    assert_eq!(stored["subject"], json!({ "mediaType": MANIFEST, "digest": subject().digest, "size": 2 }));
    assert_eq!(stored["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    for blob in [&stored["config"], &stored["layers"][0]] {
        let state = fake.state.lock().unwrap();
        let bytes = &state.blobs[blob["digest"].as_str().unwrap()];
        assert_eq!(blob["size"], bytes.len());
    }
    assert_eq!(list(&fake), None, "no tag is made");
    fake.requests();
    assert_eq!(attach(&fake, &artifact("{\"sbom\":1}")).unwrap(), pushed);
    assert!(fake.requests().iter().all(|line| !line.starts_with("P")), "nothing is sent again");
}

#[test]
fn a_registry_without_the_api_gets_the_fallback_tag() {
    let fake = Fake::start(Auth::None);
    let (one, two) = (attach(&fake, &artifact("1")).unwrap(), attach(&fake, &artifact("2")).unwrap());
    let list = |fake: &Fake| -> Vec<String> {
        let entries = list(fake).unwrap()["manifests"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list(&fake), [one.clone(), two.clone()]);
    attach(&fake, &artifact("1")).unwrap();
    assert_eq!(list(&fake), [one.clone(), two.clone()], "once each");
    // The state after a run that was killed before it wrote the list.
    fake.state.lock().unwrap().manifests.remove(&subject().digest.replace(':', "-"));
    attach(&fake, &artifact("2")).unwrap();
    assert_eq!(list(&fake), [two]);
}

#[test]
fn a_list_that_is_not_kept_or_is_no_list_is_an_error() {
    let fake = Fake::start(Auth::None);
    for _ in 0..10 {
        fake.fault("PUT /v2/me/app/manifests/sha256-", What::Answer(201, "", ""));
    }
    let error = attach(&fake, &artifact("1")).unwrap_err();
    assert!(error.to_string().contains("does not keep"), "{error}");
    fake.state.lock().unwrap().manifests.insert(subject().digest.replace(':', "-"), b"{}".into());
    let error = attach(&fake, &artifact("2")).unwrap_err();
    assert!(error.to_string().contains("is not an index"), "{error}");
}

#[test]
fn every_page_of_a_list_is_read() {
    let fake = Fake::start(Auth::None);
    let manifests: [&[u8]; 2] = [b"{\"page\":1}", b"{\"page\":2}"];
    let list = |of: &[u8]| {
        fake.state.lock().unwrap().manifests.insert(digest(of), of.into());
        &*json!({ "manifests": [{ "digest": digest(of) }] }).to_string().leak()
    };
    let [first, second] = manifests.map(list);
    let links = "Link: <https://other.example/>; rel=\"first\", </v2/me/app/referrers/x?n=2>; rel=\"next\"\r\n";
    fake.fault("GET /v2/me/app/referrers/sha256:", What::Answer(200, links, first));
    fake.fault("GET /v2/me/app/referrers/x?n=2", What::Answer(200, "", second));
    let interrupted = AtomicBool::new(false);
    let reference = Reference::parse(&format!("{}/me/app:1", fake.host)).unwrap();
    let pull = Pull::connect(&reference, &Settings::default(), &interrupted).unwrap();
    let found = pull.referrers(&subject().digest).unwrap();
    assert_eq!(found.into_iter().map(|manifest| manifest.bytes).collect::<Vec<_>>(), manifests);
}
