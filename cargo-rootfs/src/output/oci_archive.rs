//! `--oci-archive`: an image as one tar that docker, podman, skopeo and containerd load.
//!
//! It is an OCI image layout, and has `manifest.json` besides, for readers that know Docker's own archives alone.

use std::fmt;
use std::io;

use camino::Utf8PathBuf;

use super::{Claim, Job, Kind, Settings, Step};
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::image::manifest::{self, Descriptor};
use crate::path::RootfsPath;
use crate::rootfs::Entry;
use crate::write::blob_archive::BlobArchive;
use crate::write::compress::Compression;
use crate::write::layer::{LayerWriter, digest_of};
use crate::write::{Observer, Sink, Staged};

pub(super) static OCI_ARCHIVE: Kind = Kind {
    flag: "oci-archive",
    value: "FILE",
    about: "Write an image as an archive that docker, podman, skopeo and containerd load (repeatable)",
    more: None,
    example: "FILE",
    verb: "Packing",
    json: "oci-archive",
    is_image: true,
    step: Step::Files,
    is_path: |_| true,
    parse: |name, _: Settings| Ok(Box::new(Place(name.into()))),
};

/// What the history of the image says of its layer.
const COMMENT: &str = "the root filesystem";

#[derive(Debug)]
struct Place(Utf8PathBuf);

impl super::Place for Place {
    fn claim(&self) -> Claim {
        Claim::Path(self.0.clone())
    }

    fn sink(&self, job: &Job<'_>) -> Result<Box<dyn Sink>> {
        job.image.check()?;
        let mut archive = BlobArchive::create(&self.0)?;
        let layer = archive.begin().and_then(|()| LayerWriter::compressed(archive, Compression::Gzip));
        let layer = layer.map_err(|error| Error::io("write", &self.0, error))?;
        Ok(Box::new(Archive { layer, config: job.image.clone(), path: self.0.clone() }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An archive whose layer is being written.
struct Archive {
    layer: LayerWriter<BlobArchive>,
    config: ImageConfig,
    path: Utf8PathBuf,
}

impl Sink for Archive {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        self.layer.entry(path, entry).map_err(|error| Error::io("write", &self.path, error))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.layer.data(bytes).map_err(|error| Error::io("write", &self.path, error))
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { layer, config, path } = *self;
        image(layer, &config).map_err(|error| Error::io("write", &path, error))
    }
}

/// Ends the layer, and adds what makes an image of it.
fn image(layer: LayerWriter<BlobArchive>, config: &ImageConfig) -> io::Result<Box<dyn Staged>> {
    let (layer, mut archive) = layer.finish()?;
    let config = config.to_json_with_comments(&[(layer.diff_id, COMMENT)]);
    let layers = [Descriptor { media_type: layer.media_type, digest: layer.digest, size: layer.size }];
    archive.end(&layers[0].path())?;

    let mut blob = |media_type, bytes: &str| {
        let described = Descriptor { media_type, digest: digest_of(bytes), size: bytes.len() as u64 };
        archive.add(&described.path(), bytes).map(|()| described)
    };
    let config = blob(manifest::CONFIG, &config)?;
    let manifest = blob(manifest::MANIFEST, &manifest::manifest(&config, &layers))?;
    archive.add("index.json", &manifest::index(&manifest))?;
    archive.add("manifest.json", &manifest::docker_manifest(&config, &layers))?;
    archive.add("oci-layout", manifest::LAYOUT)?;
    archive.complete()
}
