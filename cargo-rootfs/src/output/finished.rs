//! Finished images: the layers of one platform, and the documents that refer to them by digest.
//!
//! All image outputs use them, so each layer is made only once. Nothing is written or sent here.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use serde_json::Value;

use super::Attachment;
use super::layering::Unmade;
use crate::error::Result;
use crate::image::ImageConfig;
use crate::image::manifest::{self, Annotations, Descriptor};
use crate::write::layer::{Layer, digest_of};

/// The image of one platform.
#[derive(Debug)]
pub(crate) struct FinishedImage {
    /// The lowest first.
    pub(super) layers: Vec<FinishedLayer>,
    pub(super) config: Document,
    pub(super) manifest: Document,
    /// GOARCH with the variant, such as `arm64` or `armv7`; the suffix of a tag.
    pub(super) architecture: String,
    /// The platform, as an index describes it.
    platform: Value,
    annotations: Annotations,
    /// Documents about the image.
    pub(super) attachments: Vec<Attachment>,
}

/// A layer with its bytes.
#[derive(Debug)]
pub(super) struct FinishedLayer {
    pub(super) descriptor: Descriptor,
    /// The digest of the uncompressed layer.
    pub(super) diff_id: String,
    /// The description of its contents, for the image's history.
    pub(super) comment: String,
    bytes: LayerBytes,
}

impl FinishedLayer {
    pub(super) fn new(layer: Layer, comment: String, bytes: LayerBytes) -> Self {
        let Layer { diff_id, digest, size, media_type } = layer;
        Self { descriptor: Descriptor { media_type, digest, size }, diff_id, comment, bytes }
    }
}

/// The compressed bytes of a layer.
#[derive(Debug)]
pub(super) enum LayerBytes {
    /// A file, from its beginning.
    File(File),
    /// The files from which the layer can be made.
    Unmade(Box<Unmade>),
}

impl LayerBytes {
    /// The file with the bytes, from its beginning. A missing layer is made.
    pub(super) fn file(&self) -> Result<&File> {
        match self {
            Self::File(file) => Ok(file),
            Self::Unmade(unmade) => unmade.file(),
        }
    }
}

/// A JSON document that other documents refer to.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) descriptor: Descriptor,
    pub(super) text: String,
}

impl Document {
    fn new(media_type: &'static str, text: String) -> Self {
        Self { descriptor: Descriptor { media_type, digest: digest_of(&text), size: text.len() as u64 }, text }
    }

    /// An empty configuration.
    fn empty() -> Self {
        Self { descriptor: manifest::empty(), text: manifest::EMPTY.to_owned() }
    }
}

impl FinishedImage {
    /// The image of `config` with these layers, the lowest first.
    pub(super) fn new(config: &ImageConfig, layers: Vec<FinishedLayer>) -> Self {
        let history: Vec<(&str, &str)> = layers.iter().map(|layer| (&*layer.diff_id, &*layer.comment)).collect();
        let described: Vec<Descriptor> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
        let document = Document::new(manifest::CONFIG, config.to_json_with_history(&history));
        let manifest = Document::new(
            manifest::MANIFEST,
            manifest::manifest(&document.descriptor, &described, &config.annotations),
        );
        let architecture = format!("{}{}", config.architecture, config.variant.as_deref().unwrap_or_default());
        Self {
            layers,
            config: document,
            manifest,
            architecture,
            platform: config.platform_json(),
            annotations: config.annotations.clone(),
            attachments: Vec::new(),
        }
    }

    /// The blobs of the image without duplicates: layers, configuration, manifest.
    pub(super) fn blobs(&self) -> Vec<StoredBlob<'_>> {
        let layers = self
            .layers
            .iter()
            .map(|layer| StoredBlob { descriptor: &layer.descriptor, content: Content::Layer(&layer.bytes) });
        let mut known = BTreeSet::new();
        let blobs = layers.chain([StoredBlob::from(&self.config), StoredBlob::from(&self.manifest)]);
        blobs.filter(|blob| known.insert(&*blob.descriptor.digest)).collect()
    }

    /// The documents about the image, each with a manifest whose subject is the image.
    fn referrers(&self) -> Vec<Document> {
        let about = |Attachment { media_type, text }: &Attachment| {
            let document = Document::new(media_type, text.clone());
            let subject = &self.manifest.descriptor;
            let Descriptor { media_type, digest, size } = &document.descriptor;
            let manifest = manifest::artifact((*media_type, digest, *size), subject, &Annotations::new());
            [document, Document::empty(), Document::new(manifest::MANIFEST, manifest)]
        };
        self.attachments.iter().flat_map(about).collect()
    }
}

/// The index of `images`, if they are of several platforms; a name then points to it. It has the annotations that all
/// images share.
pub(super) fn index(images: &[Rc<FinishedImage>]) -> Option<Document> {
    let described = images.iter().map(|image| (&image.manifest.descriptor, &image.platform));
    let mut annotations = images.first().map(|image| image.annotations.clone()).unwrap_or_default();
    annotations.retain(|name, value| images.iter().all(|image| image.annotations.get(name) == Some(value)));
    (images.len() > 1).then(|| Document::new(manifest::INDEX, manifest::index(described, &annotations)))
}

/// Passes the files of the image layout of `images` to `add`, each with its name and size: each blob once, then the
/// files of the layout itself. Its `index.json` has one descriptor: the manifest, or an index of several platforms.
///
/// Documents about an image are blobs that no file lists: skopeo, buildah and syft reject a layout whose index has a
/// second entry ("more than one image in oci, choose an image").
pub(super) fn layout<E>(
    images: &[Rc<FinishedImage>],
    mut add: impl FnMut(&str, u64, Content<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let index = index(images);
    let referrers: Vec<Document> = images.iter().flat_map(|image| image.referrers()).collect();
    let mut known = BTreeSet::new();
    let documents = referrers.iter().chain(&index).map(StoredBlob::from);
    for blob in images.iter().flat_map(|image| image.blobs()).chain(documents) {
        if known.insert(&*blob.descriptor.digest) {
            add(&blob.descriptor.path(), blob.descriptor.size, blob.content)?;
        }
    }
    let manifests = images.iter().map(|image| &image.manifest);
    let top = index.iter().chain(manifests).next().map(|top| &top.descriptor);
    let layout = manifest::layout_index(top);
    let mut text = |name, text: &str| add(name, text.len() as u64, Content::Text(text));
    text("index.json", &layout)?;
    text("oci-layout", manifest::LAYOUT)
}

/// The file `manifest.json` of an archive of `images`.
pub(super) fn docker_manifest(images: &[Rc<FinishedImage>]) -> String {
    manifest::docker_manifest(images.iter().map(|image| {
        (&image.config.descriptor, image.layers.iter().map(|layer| &layer.descriptor).collect::<Vec<_>>())
    }))
}

/// A blob that can be read repeatedly.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredBlob<'i> {
    pub(super) descriptor: &'i Descriptor,
    pub(super) content: Content<'i>,
}

/// The source of a blob's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'i> {
    Text(&'i str),
    Layer(&'i LayerBytes),
}

impl<'i> From<&'i Document> for StoredBlob<'i> {
    fn from(document: &'i Document) -> Self {
        Self { descriptor: &document.descriptor, content: Content::Text(&document.text) }
    }
}

#[cfg(feature = "push")]
impl<'i> StoredBlob<'i> {
    /// Opens a reader from the beginning, with its own position; a missing layer is made first.
    pub(super) fn open(&self) -> Result<Box<dyn Read + 'i>> {
        match self.content {
            Content::Layer(layer) => Ok(Box::new(At { file: layer.file()?, offset: 0 })),
            Content::Text(_) => Ok(self.content.reader()),
        }
    }
}

impl<'i> Content<'i> {
    /// A reader from the beginning, with its own position.
    pub(super) fn reader(self) -> Box<dyn Read + 'i> {
        match self {
            Self::Text(text) => Box::new(text.as_bytes()),
            Self::Layer(LayerBytes::File(file)) => Box::new(At { file, offset: 0 }),
            Self::Layer(LayerBytes::Unmade(unmade)) => Box::new(Late { unmade, offset: 0 }),
        }
    }
}

/// A reader of a file that has several readers.
struct At<'f> {
    file: &'f File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// A reader of a layer that is made at the first read.
struct Late<'l> {
    unmade: &'l Unmade,
    offset: u64,
}

impl Read for Late<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.unmade.file().map_err(io::Error::other)?;
        let count = file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
