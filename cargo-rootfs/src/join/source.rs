//! Existing images: in a registry, or in a directory with an OCI image layout.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::host_files;
use crate::image::manifest::{INDEX, MANIFEST};
use crate::registry::{Blob, Manifest, Pull, Reference, Settings};

/// The maximum size of a document (distribution-spec, "Pushing Manifests").
const DOCUMENT: u64 = 4 << 20;

/// The file that every layout has (image-layout.md).
const LAYOUT_FILE: &str = "oci-layout";

/// The media type of docker's indexes.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The maximum size of a blob of a layout that may describe an image: a manifest of one document has 1 KiB.
const REFERRER: u64 = 64 << 10;

/// The maximum depth of nested indexes.
const DEPTH: usize = 3;

/// A source of images.
pub(super) struct Source<'i> {
    /// Its name, as typed.
    pub(super) name: String,
    store: Store<'i>,
}

enum Store<'i> {
    Registry(Reference, Pull<'i>),
    Layout(PathBuf),
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its entry in an index: descriptor and platform.
    pub(super) entry: Value,
    pub(super) manifest: Manifest,
}

impl<'i> Source<'i> {
    /// Opens the source `name`: a directory with a layout, or else an image in a registry.
    pub(super) fn open(name: &str, settings: &Settings, interrupted: &'i AtomicBool) -> Result<Self> {
        let is_layout = Path::new(name).join(LAYOUT_FILE).is_file();
        if !is_layout && (name.starts_with(['.', '/']) || Path::new(name).is_dir()) {
            return Err(Error::usage(format!("`{name}` is not a directory with an OCI image layout"))
                .help("make one with `cargo rootfs --oci DIR`, or name an image: HOST/REPOSITORY:TAG"));
        }
        let store = if is_layout {
            Store::Layout(name.into())
        } else {
            let reference = Reference::parse(name)?;
            let pull = Pull::connect(&reference, settings, interrupted)?;
            Store::Registry(reference, pull)
        };
        Ok(Self { name: name.to_owned(), store })
    }

    /// All images with a platform.
    pub(super) fn images(&self) -> Result<Vec<Found>> {
        let mut images = Vec::new();
        match &self.store {
            Store::Registry(_, pull) => self.add(&json!({}), pull.manifest()?, 0, &mut images)?,
            Store::Layout(directory) => {
                let path = directory.join("index.json");
                let bytes = read(host_files::open(&path).or_cannot("read")?, &path)?;
                self.add(&json!({}), Manifest { media_type: INDEX.to_owned(), bytes }, 0, &mut images)?;
            }
        }
        if images.is_empty() {
            return Err(Error::failed(format!("`{}` holds no image of a platform", self.name)));
        }
        Ok(images)
    }

    /// Adds the images of `manifest`, whose entry in an index is `entry`.
    fn add(&self, entry: &Value, manifest: Manifest, depth: usize, images: &mut Vec<Found>) -> Result<()> {
        if !is_index(&manifest.media_type) {
            let entry = match entry["platform"].is_object() {
                true => entry.clone(),
                false => described(&manifest, |config| self.document(config))?
                    .ok_or_else(|| Error::failed(format!("`{}` is an image of no platform", self.name)))?,
            };
            images.push(Found { entry, manifest });
            return Ok(());
        }
        if depth == DEPTH {
            return Err(Error::failed(format!("`{}` has indexes inside indexes", self.name)));
        }
        for entry in entries(&manifest)? {
            // Descriptions of images, such as BuildKit's attestations and SBOMs, have no platform.
            let is_of_none = entry["platform"]["architecture"] == "unknown" || entry["platform"]["os"] == "unknown";
            if is_of_none || !entry["artifactType"].is_null() {
                continue;
            }
            let manifest = self.manifest(&entry)?;
            self.add(&entry, manifest, depth + 1, images)?;
        }
        Ok(())
    }

    fn manifest(&self, entry: &Value) -> Result<Manifest> {
        let digest = digest_of(entry).ok_or_else(|| self.damaged("an entry without a digest"))?;
        let found = match &self.store {
            Store::Registry(_, pull) => pull.fetch(digest)?,
            Store::Layout(_) => {
                let media_type = entry["mediaType"].as_str().unwrap_or_default().to_owned();
                Some(Manifest { media_type, bytes: self.document(digest)? })
            }
        };
        found.ok_or_else(|| self.damaged(&format!("the manifest {digest} is missing")))
    }

    /// Reads and verifies a small blob.
    fn document(&self, digest: &str) -> Result<Vec<u8>> {
        let bytes = read(self.open_blob(digest)?, Path::new(&self.name))?;
        let document = Manifest { media_type: String::new(), bytes };
        if document.digest() != digest {
            return Err(self.damaged(&format!("the blob {digest} has other bytes")));
        }
        Ok(document.bytes)
    }

    fn open_blob(&self, digest: &str) -> Result<Box<dyn Read + '_>> {
        match &self.store {
            Store::Registry(_, pull) => {
                pull.blob(digest)?.ok_or_else(|| self.damaged(&format!("the blob {digest} is missing")))
            }
            Store::Layout(directory) => {
                let path = directory.join("blobs").join(digest.replace(':', "/"));
                Ok(Box::new(host_files::open(&path).or_cannot("read")?))
            }
        }
    }

    /// The manifests of documents about `image`, such as its bill of materials, that the repository of `to` may lack.
    pub(super) fn referrers(&self, image: &Found, to: &Reference) -> Result<Vec<Manifest>> {
        let digest = image.manifest.digest();
        match &self.store {
            Store::Registry(from, _) if (&from.host, &from.repository) == (&to.host, &to.repository) => Ok(Vec::new()),
            Store::Registry(_, pull) => {
                // Anybody with the right to push can write the list under a tag.
                let listed = pull.referrers(&digest)?;
                Ok(listed.into_iter().filter(|manifest| is_about(manifest, &digest)).collect())
            }
            Store::Layout(directory) => referrers_in(directory, &digest),
        }
    }

    /// All blobs to which `manifest` refers, for a push to `to`.
    pub(super) fn blobs<'s>(&'s self, manifest: &Manifest, to: &Reference) -> Result<Vec<StoredBlob<'s>>> {
        let parsed: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
        let layers = parsed["layers"].as_array().into_iter().flatten();
        let described = [&parsed["config"]].into_iter().chain(layers);
        let blobs = described.map(|blob| {
            let digest = digest_of(blob).ok_or_else(|| self.damaged("a manifest without digests"))?;
            let size = blob["size"].as_u64().ok_or_else(|| self.damaged("a manifest without sizes"))?;
            let repository = match &self.store {
                Store::Registry(from, _) if from.host == to.host => Some(from.repository.as_str()),
                _ => None,
            };
            Ok(StoredBlob { source: self, digest: digest.to_owned(), size, repository })
        });
        blobs.collect()
    }

    fn damaged(&self, fault: &str) -> Error {
        Error::failed(format!("cannot read the image `{}`: {fault}", self.name))
    }
}

/// The manifests in a layout whose subject is the manifest `subject`. The index need not list them: readers of layouts
/// refuse one that has more than an image.
fn referrers_in(directory: &Path, subject: &str) -> Result<Vec<Manifest>> {
    let blobs = directory.join("blobs/sha256");
    let mut found = Vec::new();
    for name in host_files::names(&blobs).or_cannot("read")? {
        let path = blobs.join(&name);
        let metadata = host_files::own_metadata(&path).or_cannot("read")?;
        if !metadata.is_file() || metadata.len() > REFERRER {
            continue;
        }
        let bytes = host_files::bytes(&path).or_cannot("read")?;
        let parsed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let manifest = Manifest { media_type: parsed["mediaType"].as_str().unwrap_or(MANIFEST).to_owned(), bytes };
        if is_about(&manifest, subject) && manifest.digest() == format!("sha256:{}", name.to_string_lossy()) {
            found.push(manifest);
        }
    }
    Ok(found)
}

/// True if the subject of `manifest` is the manifest with the digest `subject`.
fn is_about(manifest: &Manifest, subject: &str) -> bool {
    serde_json::from_slice(&manifest.bytes).is_ok_and(|parsed: Value| parsed["subject"]["digest"] == subject)
}

/// The entry of `manifest` in an index, with the platform of its configuration; `None` if that has none. `document`
/// reads a blob.
pub(super) fn described(manifest: &Manifest, document: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Option<Value>> {
    let parsed: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let Some(config) = digest_of(&parsed["config"]) else { return Ok(None) };
    let config: Value = serde_json::from_slice(&document(config)?).unwrap_or_default();
    if !config["architecture"].is_string() || !config["os"].is_string() {
        return Ok(None);
    }
    let mut platform = json!({ "architecture": config["architecture"], "os": config["os"] });
    if config["variant"].as_str().is_some_and(|variant| !variant.is_empty()) {
        platform["variant"] = config["variant"].clone();
    }
    Ok(Some(json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest(),
        "size": manifest.bytes.len(),
        "platform": platform,
    })))
}

/// True for the media types of indexes.
pub(super) fn is_index(media_type: &str) -> bool {
    media_type == INDEX || media_type == DOCKER_LIST
}

/// The entries of an index.
pub(super) fn entries(index: &Manifest) -> Result<Vec<Value>> {
    let parsed: Value = serde_json::from_slice(&index.bytes).unwrap_or_default();
    let damaged = || Error::failed(format!("the index {} has no list of manifests", index.digest()));
    parsed["manifests"].as_array().cloned().ok_or_else(damaged)
}

/// The digest of a descriptor, if it is valid as part of a path.
fn digest_of(descriptor: &Value) -> Option<&str> {
    let digest = descriptor["digest"].as_str()?;
    let hex = digest.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digest)
}

fn read(reader: impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(DOCUMENT + 1).read_to_end(&mut bytes).map_err(|error| Error::io("read", path, error))?;
    if bytes.len() as u64 > DOCUMENT {
        return Err(Error::failed(format!("`{}` has a document of more than 4 MiB", path.display())));
    }
    Ok(bytes)
}

/// A blob of a source.
pub(super) struct StoredBlob<'s> {
    source: &'s Source<'s>,
    digest: String,
    size: u64,
    repository: Option<&'s str>,
}

impl Blob for StoredBlob<'_> {
    fn digest(&self) -> &str {
        &self.digest
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        self.source.open_blob(&self.digest)
    }

    fn source(&self) -> Option<&str> {
        self.repository
    }
}
