//! Pushes: the order of requests, the savings, and the effect of each fault.

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::fake::{Auth, Fake, USER, What};
use crate::error::Result;
use crate::registry::client::{Client, digest};
use crate::registry::push::{Sent, Upload};
use crate::registry::{Blob, Image, Manifest, Push, Reference, Settings};

struct Bytes {
    digest: String,
    bytes: Vec<u8>,
    source: Option<&'static str>,
}

impl Bytes {
    fn new(bytes: &[u8]) -> Bytes {
        Bytes { digest: digest(bytes), bytes: bytes.to_owned(), source: None }
    }
}

impl Blob for Bytes {
    fn digest(&self) -> &str {
        &self.digest
    }
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(&self.bytes[..]))
    }
    fn source(&self) -> Option<&str> {
        self.source
    }
}

fn manifest(bytes: &[u8]) -> Manifest {
    Manifest { media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(), bytes: bytes.to_owned() }
}

/// A file of credentials for `fake`, and its directory.
pub(super) fn login(fake: &Fake, user: &str) -> (tempfile::TempDir, Settings) {
    use base64::Engine;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let auth = base64::engine::general_purpose::STANDARD.encode(user);
    std::fs::write(&file, format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", fake.host)).unwrap();
    (folder, Settings { insecure: Vec::new(), credentials: vec![file] })
}

fn push(fake: &Fake, settings: &Settings, blobs: &[&Bytes]) -> Result<(String, Sent)> {
    let interrupted = AtomicBool::new(false);
    let reference = Reference::parse(&format!("{}/me/app:1", fake.host)).unwrap();
    let blobs = blobs.iter().map(|blob| *blob as &dyn Blob).collect();
    let push = Push { images: vec![Image { manifest: manifest(b"{}"), blobs }], index: None };
    let tagged = push.upload(&reference, settings, &mut (), &interrupted)?;
    let sent = tagged.sent;
    Ok((tagged.tag("1")?, sent))
}

fn anonymous() -> Settings {
    Settings::default()
}

#[test]
fn blobs_come_before_the_manifest_and_the_tag_comes_last() {
    let (fake, blob) = (Fake::start(Auth::None), Bytes::new(b"layer"));
    let (top, sent) = push(&fake, &anonymous(), &[&blob]).unwrap();
    assert_eq!((top.as_str(), sent), (digest(b"{}").as_str(), Sent { blobs: 1, bytes: 5 }));
    let (of_blob, of_manifest) = (&blob.digest, digest(b"{}"));
    let query = of_blob.replace(':', "%3A");
    assert_eq!(
        fake.requests(),
        [
            format!("HEAD /v2/me/app/manifests/{of_manifest} "),
            format!("HEAD /v2/me/app/blobs/{of_blob} "),
            "POST /v2/me/app/blobs/uploads/ ".to_owned(),
            format!("PUT /v2/me/app/blobs/uploads/session?state=a%20b&digest={query} "),
            format!("PUT /v2/me/app/manifests/{of_manifest} "),
            "HEAD /v2/me/app/manifests/1 ".to_owned(),
            "PUT /v2/me/app/manifests/1 ".to_owned(),
        ]
    );
    assert_eq!(push(&fake, &anonymous(), &[&blob]).unwrap().1, Sent::default());
    let again = fake.requests();
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(again.iter().all(|line| line.starts_with("HEAD /v2/me/app/manifests/")), "{again:?}");
}

#[test]
fn what_the_registry_has_is_not_sent() {
    let (fake, one, two) = (Fake::start(Auth::None), Bytes::new(b"one"), Bytes::new(b"two"));
    fake.state.lock().unwrap().blobs.insert(one.digest.clone(), one.bytes.clone());
    let sent = push(&fake, &anonymous(), &[&one, &two, &two]).unwrap().1;
    assert_eq!(sent, Sent { blobs: 1, bytes: 3 });
}

#[test]
fn a_blob_of_a_known_repository_is_mounted() {
    let fake = Fake::start(Auth::None);
    let mut blob = Bytes::new(b"elsewhere");
    blob.source = Some("me/other");
    // The fake has one store for all repositories: HEAD must miss, the mount must not.
    fake.fault("HEAD /v2/me/app/blobs", What::Answer(404, "", ""));
    fake.state.lock().unwrap().blobs.insert(blob.digest.clone(), blob.bytes.clone());
    assert_eq!(push(&fake, &anonymous(), &[&blob]).unwrap().1, Sent::default());
    assert!(fake.requests().iter().any(|line| line.contains("&from=me%2Fother")));
    // Without the right to read the other repository, the blob is sent.
    let fake = Fake::start(Auth::None);
    fake.fault("POST /v2/me/app/blobs/uploads/?mount", What::Answer(403, "", ""));
    assert_eq!(push(&fake, &anonymous(), &[&blob]).unwrap().1, Sent { blobs: 1, bytes: 9 });
    // A registry without mounts answers with an upload location.
    let fake = Fake::start(Auth::None);
    assert_eq!(push(&fake, &anonymous(), &[&blob]).unwrap().1, Sent { blobs: 1, bytes: 9 });
}

#[test]
fn passing_faults_are_retried() {
    for (to, what) in [
        ("PUT /v2/me/app/blobs", What::Break(1 << 20)),
        ("PUT /v2/me/app/blobs", What::Answer(500, "", "")),
        ("POST /v2/me/app/blobs", What::Answer(429, "Retry-After: 0\r\n", "")),
        ("HEAD /v2/me/app/blobs", What::Answer(503, "", "")),
        ("PUT /v2/me/app/manifests", What::Answer(502, "", "")),
        ("PUT /v2/me/app/manifests/1", What::Answer(408, "", "")),
        ("GET /v2/", What::Break(0)),
    ] {
        let (fake, blob) = (Fake::start(Auth::None), Bytes::new(&vec![7; 4 << 20]));
        fake.fault(to, what);
        push(&fake, &anonymous(), &[&blob]).unwrap_or_else(|error| panic!("{to}: {error:?}"));
        let state = fake.state.lock().unwrap();
        assert!(state.faults.is_empty(), "{to}: no fault struck");
        assert_eq!(state.blobs[&blob.digest], blob.bytes, "{to}");
        assert!(state.manifests.contains_key("1"), "{to}");
    }
}

#[test]
fn tokens_and_passwords_are_sent_where_they_are_wanted() {
    for auth in [Auth::Basic, Auth::Token] {
        let (fake, blob) = (Fake::start(auth), Bytes::new(b"layer"));
        let (_folder, settings) = login(&fake, USER);
        push(&fake, &settings, &[&blob]).unwrap();
        assert!(fake.requests().iter().all(|line| line.ends_with("+auth ")), "{auth:?}");
    }
}

#[test]
fn a_token_that_expires_in_the_middle_is_renewed() {
    let (fake, blob) = (Fake::start(Auth::Token), Bytes::new(&vec![7; 1 << 20]));
    let (_folder, settings) = login(&fake, USER);
    fake.fault("PUT /v2/me/app/blobs", What::Expire);
    assert_eq!(push(&fake, &settings, &[&blob]).unwrap().1.blobs, 1);
}

#[test]
fn credentials_do_not_follow_an_upload_to_another_host() {
    let elsewhere = Fake::start(Auth::None);
    let fake = Fake::start_with(Auth::Token, Some(elsewhere.host.clone()));
    let (_folder, settings) = login(&fake, USER);
    push(&fake, &settings, &[&Bytes::new(b"layer")]).unwrap();
    let there = elsewhere.requests();
    assert_eq!(there.len(), 1, "{there:?}");
    assert!(there[0].starts_with("PUT ") && !there[0].contains("+auth"), "{there:?}");
}

#[test]
fn a_download_leaves_credentials_behind_when_it_is_redirected() {
    let (fake, elsewhere) = (Fake::start(Auth::Basic), Fake::start(Auth::None));
    let top = manifest(b"{}");
    elsewhere.state.lock().unwrap().manifests.insert(top.digest(), top.bytes.clone());
    let (_folder, settings) = login(&fake, USER);
    let interrupted = AtomicBool::new(false);
    let reference = Reference::parse(&format!("{}/me/app", fake.host)).unwrap();
    let client = Client::connect(&reference, &settings, &interrupted).unwrap();
    let place = format!("Location: http://{}/v2/me/app/manifests/{}\r\n", elsewhere.host, top.digest());
    fake.fault("GET /v2/me/app/manifests", What::Answer(307, Box::leak(place.into_boxed_str()), ""));
    assert_eq!(client.fetch(&top.digest()).unwrap().unwrap().bytes, top.bytes);
    assert!(elsewhere.requests().iter().all(|line| !line.contains("+auth")));
}

#[test]
fn a_refusal_shows_the_registrys_code_and_what_to_do() {
    let (fake, blob) = (Fake::start(Auth::Basic), Bytes::new(b"layer"));
    let (folder, settings) = login(&fake, "me:wrong-secret");
    let error = push(&fake, &settings, &[&blob]).unwrap_err();
    let said = format!("{error} {error:?}");
    let file: PathBuf = folder.path().join("config.json");
    for word in ["UNAUTHORIZED", "docker login 127.0.0.1", &file.display().to_string()] {
        assert!(said.contains(word), "no {word} in {said}");
    }
    assert!(!said.contains("wrong-secret") && !said.contains("bWU6d3Jvbmc"), "{said}");

    let fake = Fake::start(Auth::None);
    let denied = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
    fake.fault("POST /v2/me/app/blobs", What::Answer(404, "", denied));
    let said = push(&fake, &anonymous(), &[&blob]).unwrap_err().to_string();
    assert!(said.contains("NAME_UNKNOWN") && said.contains("create the repository `me/app`"), "{said}");
    assert!(!fake.state.lock().unwrap().manifests.contains_key("1"));
}

#[test]
fn a_registry_that_stores_other_bytes_is_an_error() {
    let fake = Fake::start(Auth::None);
    fake.fault("PUT /v2/me/app/manifests/sha256", What::Answer(201, "Docker-Content-Digest: sha256:0\r\n", ""));
    assert!(push(&fake, &anonymous(), &[&Bytes::new(b"layer")]).unwrap_err().to_string().contains("stored"));
}

/// Repeated bytes are counted once.
#[test]
fn progress_is_in_bytes_and_ends_at_all_of_them() {
    #[derive(Default)]
    struct Heard(u64, u64);
    impl Upload for Heard {
        fn begins(&mut self, bytes: u64) {
            self.0 += bytes;
        }
        fn sent(&mut self, bytes: u64) {
            self.1 += bytes;
        }
    }
    let (fake, known) = (Fake::start(Auth::None), Bytes::new(b"known"));
    fake.state.lock().unwrap().blobs.insert(known.digest.clone(), known.bytes.clone());
    fake.fault("PUT /v2/me/app/blobs", What::Break(1 << 20));
    let blobs = [Bytes::new(&vec![1; 3 << 20]), Bytes::new(&[2; 5])];
    let push = Push {
        images: vec![Image { manifest: manifest(b"{}"), blobs: vec![&blobs[0], &known, &blobs[1], &blobs[0]] }],
        index: None,
    };
    let (mut heard, interrupted) = (Heard::default(), AtomicBool::new(false));
    let reference = Reference::parse(&format!("{}/me/app:1", fake.host)).unwrap();
    push.upload(&reference, &anonymous(), &mut heard, &interrupted).unwrap();
    assert_eq!((heard.0, heard.1), ((3 << 20) + 5, (3 << 20) + 5));
}

#[test]
fn an_interrupt_leaves_no_tag() {
    let fake = Fake::start(Auth::None);
    let interrupted = AtomicBool::new(false);
    let reference = Reference::parse(&format!("{}/me/app:1", fake.host)).unwrap();
    let blob = Bytes::new(&vec![7; 1 << 20]);
    let push = Push { images: vec![Image { manifest: manifest(b"{}"), blobs: vec![&blob] }], index: None };
    struct Stop<'s>(&'s AtomicBool);
    impl Upload for Stop<'_> {
        fn sent(&mut self, _: u64) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let error = push.upload(&reference, &anonymous(), &mut Stop(&interrupted), &interrupted).err().unwrap();
    assert_eq!(error.exit_code(), crate::error::exit_code::INTERRUPTED);
    assert!(fake.state.lock().unwrap().manifests.is_empty());
}

#[test]
fn a_registry_that_lacks_a_blob_is_asked_once_more() {
    let (fake, blob) = (Fake::start(Auth::None), Bytes::new(b"layer"));
    let lacks = "{\"errors\":[{\"code\":\"MANIFEST_BLOB_UNKNOWN\",\"message\":\"blob unknown to registry\"}]}";
    fake.fault("PUT /v2/me/app/manifests/sha256", What::Answer(400, "", lacks));
    push(&fake, &anonymous(), &[&blob]).unwrap();
    let requests = fake.requests();
    let asked = requests.iter().filter(|line| line.starts_with("HEAD /v2/me/app/blobs/")).count();
    assert_eq!(asked, 2, "before the upload, and after the refusal: {requests:#?}");
    for _ in 0..4 {
        fake.fault("PUT /v2/me/app/manifests/sha256", What::Answer(400, "", lacks));
    }
    fake.state.lock().unwrap().manifests.clear();
    let error = push(&fake, &anonymous(), &[&blob]).unwrap_err().to_string();
    assert!(error.contains("MANIFEST_BLOB_UNKNOWN: blob unknown"), "{error}");
    // Putting a tag, as for an index or an SBOM, is retried too.
    fake.fault("PUT /v2/me/app/manifests/1", What::Answer(400, "", lacks));
    push(&fake, &anonymous(), &[&blob]).unwrap();
    let requests = fake.requests();
    let puts = requests.iter().filter(|line| line.starts_with("PUT /v2/me/app/manifests/1 ")).count();
    assert_eq!(puts, 2, "{requests:#?}");
}
