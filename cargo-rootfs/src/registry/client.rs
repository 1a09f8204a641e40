//! Blobs and manifests of one repository.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::http::{Method, header};

use super::answer::Refused;
use super::reference::Reference;
use super::transport::{Answer, Ask, Settings, Transport};
use crate::error::{Error, Result};
use crate::image::manifest::{INDEX, MANIFEST};

/// The supported types of manifests.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json, \
                        application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or index, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Manifest {
    /// The digest of the bytes, as `sha256:...`.
    pub(crate) fn digest(&self) -> String {
        digest(&self.bytes)
    }
}

/// The digest of `bytes`, as `sha256:...`.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// The pauses before each retry of a manifest of which the registry lacks a part.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// One repository of a registry.
pub(crate) struct Client<'i> {
    pub(super) transport: Transport<'i>,
    pub(super) scope: String,
}

impl<'i> Client<'i> {
    /// Connects to the registry of `reference`.
    pub(crate) fn connect(reference: &Reference, settings: &Settings, interrupted: &'i AtomicBool) -> Result<Self> {
        let scope = format!("repository:{}:pull,push", reference.repository);
        Ok(Self { transport: Transport::connect(reference, settings, interrupted)?, scope })
    }

    pub(super) fn ask(&self, method: Method, url: String) -> Ask<'_> {
        Ask { method, url, headers: Vec::new(), scope: &self.scope }
    }

    fn manifest_ask(&self, method: Method, version: &str) -> Ask<'_> {
        let headers = vec![(header::ACCEPT, ACCEPTED.to_owned())];
        Ask { headers, ..self.ask(method, self.transport.url(&format!("manifests/{version}"))) }
    }

    /// The digest of the manifest `version`, a tag or a digest; `None` if the registry has none.
    pub(crate) fn find(&self, version: &str) -> Result<Option<String>> {
        let answer = self.transport.send(&self.manifest_ask(Method::HEAD, version), None)?;
        match answer.status {
            200 => match answer.header("docker-content-digest") {
                Some(digest) => Ok(Some(digest.to_owned())),
                // The header is optional (distribution specification, "Pulling manifests").
                None => Ok(self.fetch(version)?.map(|manifest| manifest.digest())),
            },
            404 => Ok(None),
            // An answer to HEAD has no body, and so no error code; GET has one.
            _ => Err(match self.fetch(version) {
                Err(error) => error,
                Ok(_) => self.transport.error("look for", &answer.refused()),
            }),
        }
    }

    /// Fetches and verifies the manifest `version`, a tag or a digest.
    pub(crate) fn fetch(&self, version: &str) -> Result<Option<Manifest>> {
        let mut answer = self.transport.download(self.manifest_ask(Method::GET, version))?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.transport.error("fetch", &answer.refused())),
        }
        let header = answer.header(header::CONTENT_TYPE).unwrap_or_default();
        let mut media_type = header.split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = answer.bytes()?;
        if media_type.is_empty() || !ACCEPTED.contains(&media_type) {
            // Some registries answer with a generic JSON type or with none. The document contains its own type, or its
            // structure shows it.
            let parsed: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let shown = if parsed["manifests"].is_array() { INDEX } else { MANIFEST };
            media_type = parsed["mediaType"].as_str().unwrap_or(shown).to_owned();
        }
        let manifest = Manifest { media_type, bytes };
        if version.starts_with("sha256:") && manifest.digest() != version {
            return Err(Error::failed(format!(
                "the manifest {version} of {} has other bytes",
                self.transport.reference.host
            )));
        }
        Ok(Some(manifest))
    }

    /// Makes `version`, a tag or the manifest's own digest, point to `manifest`; sends nothing if it does already.
    pub(crate) fn point(&self, version: &str, manifest: &Manifest) -> Result<()> {
        if self.find(version)?.as_ref() != Some(&manifest.digest()) {
            self.put(manifest, version)?;
        }
        Ok(())
    }

    /// Fetches and verifies a small blob, such as a configuration.
    pub(crate) fn document(&self, of: &str) -> Result<Vec<u8>> {
        let mut answer = self.transport.download(self.ask(Method::GET, self.transport.url(&format!("blobs/{of}"))))?;
        if answer.status != 200 {
            return Err(self.transport.error("fetch a blob of", &answer.refused()));
        }
        let bytes = answer.bytes()?;
        if digest(&bytes) != of {
            return Err(Error::failed(format!("the blob {of} of {} has other bytes", self.transport.reference.host)));
        }
        Ok(bytes)
    }

    /// Waits, or fails after an interruption.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        self.transport.pause(time)
    }

    /// Puts `manifest` under `version`: its own digest, or a tag.
    pub(crate) fn put(&self, manifest: &Manifest, version: &str) -> Result<()> {
        self.store(manifest, version, || Ok(())).map(drop)
    }

    /// Puts a manifest, and returns the registry's answer. A registry may lack a part of the manifest for a moment,
    /// while another client sends the same blobs: after a pause, `mend` sends missing parts and the request is retried.
    pub(super) fn store(&self, manifest: &Manifest, version: &str, mend: impl Fn() -> Result<()>) -> Result<Answer> {
        for pause in PAUSES {
            match self.try_store(manifest, version)? {
                Err(refused) if refused.has("MANIFEST_BLOB_UNKNOWN") => {
                    self.pause(pause)?;
                    mend()?;
                }
                answer => return answer.map_err(|refused| self.transport.error("push", &refused)),
            }
        }
        self.try_store(manifest, version)?.map_err(|refused| self.transport.error("push", &refused))
    }

    /// Makes one attempt and returns a refusal as a value.
    fn try_store(&self, manifest: &Manifest, version: &str) -> Result<std::result::Result<Answer, Refused>> {
        let headers = vec![(header::CONTENT_TYPE, manifest.media_type.clone())];
        let ask = Ask { headers, ..self.ask(Method::PUT, self.transport.url(&format!("manifests/{version}"))) };
        let answer = self.transport.send(&ask, Some(&manifest.bytes))?;
        if !(200..300).contains(&answer.status) {
            return Ok(Err(answer.refused()));
        }
        match answer.header("docker-content-digest") {
            Some(stored) if stored != manifest.digest() => Err(Error::failed(format!(
                "{} stored the manifest {} as {stored}",
                self.transport.reference.host,
                manifest.digest()
            ))),
            _ => Ok(Ok(answer)),
        }
    }
}
