//! Artifacts that describe an image, such as its SBOM: manifests whose subject is the image (image-spec, manifest.md).
//!
//! In a registry without the referrers API, such as GitHub's, the index under the tag `sha256-<hex>` lists them
//! (distribution-spec, "Referrers Tag Schema"). The content of an artifact is not interpreted.

use serde_json::{Value, json};
use ureq::http::Method;

use super::client::{Client, Manifest, digest};
use super::pull::Pull;
use super::push::{Blob, ensure};
use crate::error::{Error, Result};
use crate::image::manifest::{self, Annotations, Descriptor, EMPTY, INDEX, MANIFEST};

/// The maximum number of writes of the list, while other runs write it too.
const ATTEMPTS: usize = 10;

/// The maximum number of pages of a list.
const PAGES: usize = 100;

/// An artifact that describes an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The media type of the artifact and of its content, such as `application/spdx+json`.
    pub(crate) artifact_type: String,
    pub(crate) content: Vec<u8>,
    pub(crate) annotations: Annotations,
}

impl Artifact {
    /// Its manifest, with the subject `subject`.
    fn manifest(&self, subject: &Descriptor) -> Manifest {
        let document = (&*self.artifact_type, &*digest(&self.content), self.content.len() as u64);
        let text = manifest::artifact(document, subject, &self.annotations);
        Manifest { media_type: MANIFEST.to_owned(), bytes: text.into_bytes() }
    }
}

impl Client<'_> {
    /// Pushes `artifact` as a description of `subject`, a manifest or an index of this repository, and returns its
    /// digest. Content that the registry has is not sent again.
    pub(crate) fn attach(&self, subject: &Descriptor, artifact: &Artifact) -> Result<String> {
        let manifest = artifact.manifest(subject);
        self.refer(&subject.digest, &manifest, &[&InMemory::new(&artifact.content), &InMemory::new(EMPTY.as_bytes())])?;
        Ok(manifest.digest())
    }

    /// Pushes `manifest`, which names the manifest or index `subject` of this repository as its subject, after `blobs`, the
    /// parts of it. Contents that the registry has are not sent again.
    pub(crate) fn refer(&self, subject: &str, manifest: &Manifest, blobs: &[&dyn Blob]) -> Result<()> {
        let digest = manifest.digest();
        let is_listed = if self.find(&digest)?.is_some() {
            self.lists_referrers(subject)?
        } else {
            blobs.iter().try_for_each(|blob| ensure(self, *blob))?;
            // A registry that lists referrers answers with this header (distribution-spec, "Pushing Manifests with
            // Subject").
            self.store(manifest, &digest, || Ok(()))?.header("oci-subject").is_some()
        };
        match is_listed {
            true => Ok(()),
            false => self.list(subject, described(manifest)),
        }
    }

    /// True if the registry has the referrers API.
    fn lists_referrers(&self, subject: &str) -> Result<bool> {
        let url = self.transport.url(&format!("referrers/{subject}"));
        Ok(self.transport.send(&self.ask(Method::GET, url), None)?.status == 200)
    }

    /// Adds `entry` to the list under the tag of `subject`, and reads the list again until it has the entry. The
    /// specification has no compare-and-swap: if two runs describe one image at the same time, the one that ends first
    /// may be overwritten.
    fn list(&self, subject: &str, entry: Value) -> Result<()> {
        let tag = tag_of(subject);
        for _ in 0..ATTEMPTS {
            let mut entries = match self.fetch(&tag)? {
                None => Vec::new(),
                Some(list) => entries(&list).ok_or_else(|| self.no_list(&tag))?,
            };
            if entries.iter().any(|known| known["digest"] == entry["digest"]) {
                return Ok(());
            }
            entries.push(entry.clone());
            let text = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
            self.put(&Manifest { media_type: INDEX.to_owned(), bytes: text.into_bytes() }, &tag)?;
        }
        let host = &self.transport.reference.host;
        Err(Error::failed(format!("{host} does not keep `{tag}`, the list of the image's referrers"))
            .help("run it again when no other run pushes the same image"))
    }

    fn no_list(&self, tag: &str) -> Error {
        let reference = &self.transport.reference;
        Error::failed(format!("the tag `{tag}` of {}/{} is not an index", reference.host, reference.repository))
            .help("remove the tag: registries without the referrers API list an image's referrers there")
    }
}

impl Pull<'_> {
    /// The manifests of this repository that name `subject` as theirs, by the referrers API or else by the list under the
    /// tag.
    pub(crate) fn referrers(&self, subject: &str) -> Result<Vec<Manifest>> {
        let client = &self.client;
        let listed = match self.pages(&format!("referrers/{subject}"))? {
            Some(entries) => entries,
            None => client.fetch(&tag_of(subject))?.as_ref().and_then(entries).unwrap_or_default(),
        };
        let digests = listed.iter().filter_map(|entry| entry["digest"].as_str());
        let fetched = digests.map(|digest| client.fetch(digest));
        fetched.filter_map(Result::transpose).collect()
    }

    /// The entries of all pages of a list. `None` if the registry does not have it.
    fn pages(&self, list: &str) -> Result<Option<Vec<Value>>> {
        let transport = &self.client.transport;
        let (mut url, mut all) = (transport.url(list), Vec::new());
        for _ in 0..PAGES {
            let mut answer = transport.send(&self.client.ask(Method::GET, url), None)?;
            if answer.status != 200 {
                return Ok(None);
            }
            let page = Manifest { media_type: INDEX.to_owned(), bytes: answer.bytes()? };
            all.extend(entries(&page).unwrap_or_default());
            let Some(next) = answer.header("link").and_then(next_page) else { return Ok(Some(all)) };
            url = transport.absolute(next);
        }
        Err(Error::failed(format!("{} lists more than {PAGES} pages of referrers", transport.reference.host)))
    }
}

/// The target of the relation `next` in a Link header (RFC 8288, section 3), such as `</v2/a/referrers/b?n=2>; rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    let mut targets = link.split('<').skip(1).filter_map(|link| link.split_once('>'));
    targets
        .find(|(_, parameters)| parameters.contains("rel=next") || parameters.contains("rel=\"next\""))
        .map(|(url, _)| url)
}

/// The tag of the list of referrers of `subject`.
fn tag_of(subject: &str) -> String {
    subject.replace(':', "-")
}

/// The entry of `manifest` in a list of referrers (distribution-spec, "Listing Referrers").
fn described(manifest: &Manifest) -> Value {
    let parsed: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let artifact_type = [&parsed["artifactType"], &parsed["config"]["mediaType"]];
    let mut entry = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest(),
        "size": manifest.bytes.len(),
        "artifactType": artifact_type.into_iter().find(|value| value.is_string()),
    });
    if parsed["annotations"].is_object() {
        entry["annotations"] = parsed["annotations"].clone();
    }
    entry
}

fn entries(list: &Manifest) -> Option<Vec<Value>> {
    let list: Value = serde_json::from_slice(&list.bytes).ok()?;
    list["manifests"].as_array().cloned()
}

/// A blob in memory.
struct InMemory<'b> {
    digest: String,
    bytes: &'b [u8],
}

impl<'b> InMemory<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { digest: digest(bytes), bytes }
    }
}

impl Blob for InMemory<'_> {
    fn digest(&self) -> &str {
        &self.digest
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn open(&self) -> Result<Box<dyn std::io::Read + '_>> {
        Ok(Box::new(self.bytes))
    }
}
