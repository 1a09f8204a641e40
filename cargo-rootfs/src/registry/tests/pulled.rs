//! Pulls: the requests, and the recovery from a broken connection by fetching the rest of a blob.

use std::io::Read;
use std::sync::atomic::AtomicBool;

use super::fake::{Auth, Fake, USER, What};
use super::pushed::login;
use crate::registry::client::digest;
use crate::registry::{Pull, Reference};

const BLOB: &[u8] = b"0123456789abcdef";

/// A registry with one blob and one manifest.
fn stocked(auth: Auth) -> Fake {
    let fake = Fake::start(auth);
    {
        let mut state = fake.state.lock().unwrap();
        state.blobs.insert(digest(BLOB), BLOB.to_vec());
        state.manifests.insert("1".to_owned(), b"{}".to_vec());
    }
    fake
}

fn pulled(fake: &Fake) -> (Vec<u8>, Option<Vec<u8>>) {
    let (_folder, settings) = login(fake, USER);
    let interrupted = AtomicBool::new(false);
    let reference = Reference::parse(&format!("{}/me/app:1", fake.host)).unwrap();
    let pull = Pull::connect(&reference, &settings, &interrupted).unwrap();
    let manifest = pull.manifest().unwrap().bytes;
    let blob = pull.blob(&digest(BLOB)).unwrap().map(|mut blob| {
        let mut bytes = Vec::new();
        blob.read_to_end(&mut bytes).unwrap();
        bytes
    });
    assert!(pull.blob(&digest(b"other")).unwrap().is_none());
    (manifest, blob)
}

#[test]
fn manifests_and_blobs_are_read_with_each_kind_of_credentials() {
    for auth in [Auth::None, Auth::Basic, Auth::Token] {
        let fake = stocked(auth);
        assert_eq!(pulled(&fake), (b"{}".to_vec(), Some(BLOB.to_vec())), "{auth:?}");
        let log = std::mem::take(&mut fake.state.lock().unwrap().log);
        assert!(log.iter().all(|line| line.starts_with("GET ") && !line.contains("push")), "{log:?}");
    }
}

#[test]
fn a_blob_whose_connection_breaks_goes_on_where_it_was() {
    let fake = stocked(Auth::None);
    // This registry ignores ranges, so the client skips the bytes it has read.
    fake.fault("GET /v2/me/app/blobs/", What::Cut(5));
    fake.fault("GET /v2/me/app/blobs/", What::Cut(9));
    assert_eq!(pulled(&fake).1.unwrap(), BLOB);
    let blobs = fake.requests().iter().filter(|line| line.contains(&digest(BLOB))).count();
    assert_eq!(blobs, 3);
}

#[test]
fn a_tag_that_is_absent_is_an_error() {
    let fake = Fake::start(Auth::None);
    let (_folder, settings) = login(&fake, USER);
    let interrupted = AtomicBool::new(false);
    let reference = Reference::parse(&format!("{}/me/app:2", fake.host)).unwrap();
    let error = Pull::connect(&reference, &settings, &interrupted).unwrap().manifest().unwrap_err();
    assert!(error.message().ends_with("/me/app:2` is not in its registry"), "{error}");
}
