//! Manifests and indexes of the OCI image specification (manifest.md, image-index.md, image-layout.md).

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The media type of an image's configuration.
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The content of an empty configuration (manifest.md, "Guidance for an Empty Descriptor").
pub(crate) const EMPTY: &str = "{}";

/// The file `oci-layout` of a layout.
pub(crate) const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// A reference to a blob (descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) media_type: &'static str,
    /// `sha256:` and 64 digits.
    pub(crate) digest: String,
    pub(crate) size: u64,
}

impl Descriptor {
    /// The blob's name in a layout.
    pub(crate) fn path(&self) -> String {
        format!("blobs/{}", self.digest.replace(':', "/"))
    }

    fn json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }
}

/// The manifest of an image of one platform.
pub(crate) fn manifest(config: &Descriptor, layers: &[Descriptor], annotations: &Annotations) -> String {
    let layers: Vec<Value> = layers.iter().map(Descriptor::json).collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config.json(), "layers": layers });
    annotated(manifest, annotations)
}

/// The reference to [`EMPTY`].
pub(crate) fn empty() -> Descriptor {
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".to_owned();
    Descriptor { media_type: "application/vnd.oci.empty.v1+json", digest, size: EMPTY.len() as u64 }
}

/// The manifest of a document about `subject`, such as its bill of materials. The document is given by media type,
/// digest and size (manifest.md, "Guidelines for Artifact Usage").
pub(crate) fn artifact(
    (media_type, digest, size): (&str, &str, u64),
    subject: &Descriptor,
    annotations: &Annotations,
) -> String {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": media_type,
        "config": empty().json(),
        "layers": [{ "mediaType": media_type, "digest": digest, "size": size }],
        "subject": subject.json(),
    });
    annotated(manifest, annotations)
}

/// Annotations by their names (annotations.md).
pub(crate) type Annotations = BTreeMap<String, String>;

fn annotated(mut document: Value, annotations: &Annotations) -> String {
    if !annotations.is_empty() {
        document["annotations"] = json!(annotations);
    }
    document.to_string()
}

/// The file `index.json` of a layout with one entry, `top`: a manifest, or an index of several platforms.
pub(crate) fn layout_index(top: Option<&Descriptor>) -> String {
    let manifests: Vec<Value> = top.map(Descriptor::json).into_iter().collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string()
}

/// The index of `manifests`, each with its platform.
pub(crate) fn index<'m>(
    manifests: impl IntoIterator<Item = (&'m Descriptor, &'m Value)>,
    annotations: &Annotations,
) -> String {
    let described = manifests.into_iter().map(|(manifest, platform)| {
        let mut json = manifest.json();
        json["platform"] = platform.clone();
        json
    });
    let manifests: Vec<Value> = described.collect();
    annotated(json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }), annotations)
}

/// The file `manifest.json`, for readers of Docker's archives (image-spec of Docker, version 1.2): one entry for each
/// configuration with its layers, without names.
pub(crate) fn docker_manifest<'m>(images: impl IntoIterator<Item = (&'m Descriptor, Vec<&'m Descriptor>)>) -> String {
    let entries = images.into_iter().map(|(config, layers)| {
        let layers: Vec<String> = layers.into_iter().map(Descriptor::path).collect();
        json!({ "Config": config.path(), "Layers": layers, "RepoTags": null })
    });
    Value::from(entries.collect::<Vec<_>>()).to_string()
}
