//! Images of a layout, an archive or a registry: from the index to each platform's manifest, configuration and layers.
//!
//! The digest of every document is verified before its contents are used.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::blobs::{Blobs, blob_path};
use crate::error::{Error, Result};

/// The maximum depth of nested indexes.
const DEPTH: usize = 4;

/// The maximum number of listed images.
const MOST: usize = 256;

/// The maximum number of layers of one image; Docker's classic store allows 125.
const MAX_LAYERS: usize = 1024;

/// An image of one platform, before its layers are read.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// The platform from its configuration, such as `linux/arm64`.
    pub(crate) platform: String,
    /// The digest of the manifest; `None` in Docker's own archives.
    pub(crate) digest: Option<String>,
    /// The configuration, verbatim.
    pub(crate) config: Value,
    pub(crate) layers: Vec<Blob>,
}

/// A layer as a manifest refers to it.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(super) path: String,
    pub(crate) digest: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) media_type: String,
    pub(crate) diff_id: Option<String>,
}

/// A reference to a document.
struct Described<'v> {
    digest: &'v str,
    size: u64,
}

impl<'v> Described<'v> {
    fn of(value: &'v Value) -> Result<Self> {
        match (value["digest"].as_str(), value["size"].as_u64()) {
            (Some(digest), Some(size)) => Ok(Self { digest, size }),
            _ => Err(Error::failed("a descriptor has no digest or no size")),
        }
    }

    fn manifest(&self, blobs: &dyn Blobs) -> Result<Vec<u8>> {
        self.verified(blobs.manifest(&blob_path(self.digest)?)?)
    }

    fn document(&self, blobs: &dyn Blobs) -> Result<Vec<u8>> {
        self.verified(blobs.document(&blob_path(self.digest)?)?)
    }

    /// Returns `bytes`; fails if they are missing or do not match the descriptor.
    fn verified(&self, bytes: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let bytes = bytes.ok_or_else(|| Error::failed(format!("the blob {} is missing", self.digest)))?;
        let found = format!("sha256:{:x}", Sha256::digest(&bytes));
        if found != self.digest {
            return Err(Error::failed(format!("the blob {} has other bytes", self.digest))
                .detail(format!("their digest is {found}")));
        }
        if bytes.len() as u64 != self.size {
            let (digest, size, length) = (self.digest, self.size, bytes.len());
            return Err(Error::failed(format!("the blob {digest} has {length} bytes, and {size} by its descriptor")));
        }
        Ok(bytes)
    }
}

/// The images that `document`, an index or a manifest, refers to.
pub(super) fn images(blobs: &dyn Blobs, document: &[u8], digest: Option<&str>) -> Result<Vec<Listed>> {
    let mut images = Vec::new();
    follow(blobs, document, digest, 0, &mut images)?;
    if images.is_empty() {
        return Err(Error::failed("it holds no image"));
    }
    Ok(images)
}

fn follow(
    blobs: &dyn Blobs,
    document: &[u8],
    digest: Option<&str>,
    depth: usize,
    images: &mut Vec<Listed>,
) -> Result<()> {
    let document = parse(document, digest.unwrap_or("index.json"))?;
    let Some(manifests) = document["manifests"].as_array() else {
        images.extend(image(blobs, &document, digest)?);
        return Ok(());
    };
    if depth == DEPTH {
        return Err(Error::failed(format!("indexes refer to each other more than {DEPTH} times")));
    }
    for described in manifests.iter().filter(|it| is_of_an_image(it)) {
        if images.len() == MOST {
            return Err(Error::failed(format!("it holds more than {MOST} images")));
        }
        let reference = Described::of(described)?;
        // A layout has one entry for each tag of an image.
        if images.iter().any(|image| image.digest.as_deref() == Some(reference.digest)) {
            continue;
        }
        follow(blobs, &reference.manifest(blobs)?, Some(reference.digest), depth + 1, images)?;
    }
    Ok(())
}

/// False for attestations, which BuildKit lists as images of an unknown platform.
fn is_of_an_image(described: &Value) -> bool {
    let is_unknown = described["platform"]["os"] == "unknown";
    !is_unknown
        && described["artifactType"].is_null()
        && described["annotations"]["vnd.docker.reference.type"].is_null()
}

/// The image of a manifest; `None` for another artifact, such as an SBOM.
fn image(blobs: &dyn Blobs, manifest: &Value, digest: Option<&str>) -> Result<Option<Listed>> {
    let media_type = manifest["config"]["mediaType"].as_str().unwrap_or_default();
    if !matches!(media_type, crate::image::manifest::CONFIG | "application/vnd.docker.container.image.v1+json") {
        return Ok(None);
    }
    let config = Described::of(&manifest["config"])?;
    let config = parse(&config.document(blobs)?, config.digest)?;
    let diff_ids = diff_ids(&config);
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if layers.len() > MAX_LAYERS {
        return Err(Error::failed(format!("the image has {} layers", layers.len())));
    }
    let layer = |(at, layer): (usize, &Value)| {
        let reference = Described::of(layer)?;
        Ok(Blob {
            path: blob_path(reference.digest)?,
            digest: Some(reference.digest.to_owned()),
            size: Some(reference.size),
            media_type: layer["mediaType"].as_str().unwrap_or_default().to_owned(),
            diff_id: diff_ids.get(at).cloned(),
        })
    };
    let layers = layers.iter().enumerate().map(layer).collect::<Result<_>>()?;
    Ok(Some(Listed { platform: platform(&config), digest: digest.map(str::to_owned), config, layers }))
}

/// The images of `manifest.json`, Docker's own list (image-spec of Docker, version 1.2).
pub(super) fn docker_images(blobs: &dyn Blobs, list: &[u8]) -> Result<Vec<Listed>> {
    let list = parse(list, "manifest.json")?;
    let images = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let image = |image: &Value| {
        let path = image["Config"].as_str().unwrap_or_default();
        let bytes = blobs.document(path)?.ok_or_else(|| Error::failed(format!("`{path}` is missing")))?;
        // Its file name is its digest.
        let hex = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        if hex.len() == 64 && hex != format!("{:x}", Sha256::digest(&bytes)) {
            return Err(Error::failed(format!("`{path}` has other bytes than its name says")));
        }
        let config = parse(&bytes, path)?;
        let diff_ids = diff_ids(&config);
        let layers = image["Layers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let layer = |(at, layer): (usize, &Value)| Blob {
            path: layer.as_str().unwrap_or_default().to_owned(),
            digest: None,
            size: None,
            media_type: String::new(),
            diff_id: diff_ids.get(at).cloned(),
        };
        let layers = layers.iter().take(MAX_LAYERS).enumerate().map(layer).collect();
        Ok(Listed { platform: platform(&config), digest: None, config, layers })
    };
    let images = images.iter().take(MOST).map(image).collect::<Result<Vec<_>>>()?;
    if images.is_empty() { Err(Error::failed("it holds no image")) } else { Ok(images) }
}

fn parse(bytes: &[u8], name: &str) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| Error::failed(format!("`{name}` is not JSON")).with_source(error))
}

fn diff_ids(config: &Value) -> Vec<String> {
    let ids = config["rootfs"]["diff_ids"].as_array().map(Vec::as_slice).unwrap_or_default();
    ids.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `OS/ARCH[/VARIANT]` of a configuration. 64-bit ARM has one variant only, which is left out.
fn platform(config: &Value) -> String {
    let field = |name: &str| config[name].as_str().unwrap_or_default();
    let (os, architecture, variant) = (field("os"), field("architecture"), field("variant"));
    match variant {
        "" => format!("{os}/{architecture}"),
        "v8" if architecture == "arm64" => format!("{os}/{architecture}"),
        variant => format!("{os}/{architecture}/{variant}"),
    }
}
