//! `--push`: an image in a registry, by no engine. Several targets under one name are an index of platforms.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Claim, Job, Kind, Settings, Step};
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::image::manifest::{self, Descriptor};
use crate::path::RootfsPath;
use crate::registry::{self, Blob, Manifest, Push, Reference};
use crate::rootfs::Entry;
use crate::write::compress::Compression;
use crate::write::layer::{Layer, LayerWriter, digest_of};
use crate::write::{Observer, Sink, Staged, Written};

pub(super) static PUSH: Kind = Kind {
    flag: "push",
    value: "REF",
    about: "Push an image to a registry; several targets become one index (repeatable)",
    more: None,
    example: None,
    verb: "Pushing",
    json: "push",
    is_image: true,
    holds_several: true,
    step: Step::Registries,
    is_path: |_| false,
    parse: |name, settings: Settings<'_>| Ok(Box::new(Place::parse(name, settings.insecure)?)),
};

/// What the history of an image says of its layer.
const COMMENT: &str = "the root filesystem";

/// A name in a registry, and the platforms that are ready for it.
#[derive(Debug)]
struct Place(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: String,
    reference: Reference,
    insecure: Vec<String>,
    platforms: Mutex<Vec<Platform>>,
}

/// One target's image, complete.
#[derive(Debug)]
struct Platform {
    layer: Layer,
    /// The layer's bytes.
    file: File,
    config: String,
    /// As an index describes it.
    platform: Value,
}

impl Place {
    fn parse(name: &str, insecure: &[String]) -> Result<Self> {
        let reference = Reference::parse(name)?;
        if reference.digest.is_some() {
            return Err(Error::usage(format!("`{name}` has a digest, which is not for the caller to choose"))
                .help("name a tag: HOST/REPOSITORY:TAG"));
        }
        let insecure = insecure.to_vec();
        Ok(Self(Arc::new(Shared { name: name.to_owned(), reference, insecure, platforms: Mutex::default() })))
    }
}

impl super::Place for Place {
    fn claim(&self) -> Claim {
        Claim::Reference(self.0.reference.to_string())
    }

    fn sink(&self, job: &Job<'_>) -> Result<Box<dyn Sink>> {
        job.image.check()?;
        let file = tempfile::tempfile().map_err(|error| Error::io("create a file in", std::env::temp_dir(), error))?;
        let layer = LayerWriter::compressed(BufWriter::new(file), Compression::Gzip).map_err(failed)?;
        Ok(Box::new(Layering { layer, config: job.image.clone(), place: Arc::clone(&self.0) }))
    }

    fn gathered<'a>(&self, interrupted: &'a AtomicBool) -> Option<Box<dyn Staged + 'a>> {
        Some(Box::new(Ready { place: Arc::clone(&self.0), interrupted }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

fn failed(error: io::Error) -> Error {
    Error::failed("cannot write a layer to a temporary file").with_source(error)
}

/// An image whose layer is being written.
struct Layering {
    layer: LayerWriter<BufWriter<File>>,
    config: ImageConfig,
    place: Arc<Shared>,
}

impl Sink for Layering {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        self.layer.entry(path, entry).map_err(failed)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.layer.data(bytes).map_err(failed)
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let (layer, file) = self.layer.finish().map_err(failed)?;
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        let config = self.config.to_json_with_comments(&[(layer.diff_id.clone(), COMMENT)]);
        let platform = Platform { layer, file, config, platform: self.config.platform_json() };
        self.place.platforms.lock().map_err(|_| Error::failed("another thread failed"))?.push(platform);
        Ok(Box::new(InPlace))
    }
}

/// A platform that waits in its place for the others.
struct InPlace;

impl Staged for InPlace {
    fn commit(self: Box<Self>) -> Result<Written> {
        Err(Error::failed("an image of one platform is pushed with the others of its name"))
    }
}

/// All platforms of a name, not sent yet.
struct Ready<'a> {
    place: Arc<Shared>,
    interrupted: &'a AtomicBool,
}

impl Staged for Ready<'_> {
    fn commit(self: Box<Self>) -> Result<Written> {
        let Self { place, interrupted } = *self;
        let platforms =
            std::mem::take(&mut *place.platforms.lock().map_err(|_| Error::failed("another thread failed"))?);
        let images: Vec<Complete<'_>> = platforms.iter().map(Complete::new).collect();
        let described = images.iter().map(|image| (image.descriptor(), image.platform));
        let index = manifest::index_of(&described.collect::<Vec<_>>());
        let push = Push {
            images: images.iter().map(Complete::image).collect(),
            index: (images.len() > 1)
                .then(|| Manifest { media_type: manifest::INDEX.to_owned(), bytes: index.into_bytes() }),
        };
        let settings = registry::Settings::from_environment(place.insecure.clone());
        let uploaded = push.upload(&place.reference, &settings, &|_| {}, interrupted)?;
        let digest = uploaded.tag(&place.reference.tag)?;
        Ok(Written::Pushed { name: place.name.clone(), digest, sent: uploaded.sent.bytes })
    }
}

/// An image with its manifest.
struct Complete<'p> {
    layer: Stored<'p>,
    config: Small,
    manifest: Manifest,
    platform: &'p Value,
}

impl<'p> Complete<'p> {
    fn new(platform: &'p Platform) -> Self {
        let Platform { layer, file, config, platform } = platform;
        let descriptor = |media_type, digest: &str, size| Descriptor { media_type, digest: digest.to_owned(), size };
        let config = Small { digest: digest_of(config), bytes: config.as_bytes().to_owned() };
        let bytes = manifest::manifest(
            &descriptor(manifest::CONFIG, &config.digest, config.size()),
            &[descriptor(layer.media_type, &layer.digest, layer.size)],
        );
        let manifest = Manifest { media_type: manifest::MANIFEST.to_owned(), bytes: bytes.into_bytes() };
        Self { layer: Stored { layer, file }, config, manifest, platform }
    }

    fn descriptor(&self) -> Descriptor {
        let size = self.manifest.bytes.len() as u64;
        Descriptor { media_type: manifest::MANIFEST, digest: self.manifest.digest(), size }
    }

    fn image(&self) -> registry::Image<'_> {
        registry::Image { manifest: self.manifest.clone(), blobs: vec![&self.layer, &self.config] }
    }
}

/// A layer in a file.
struct Stored<'p> {
    layer: &'p Layer,
    file: &'p File,
}

impl Blob for Stored<'_> {
    fn digest(&self) -> &str {
        &self.layer.digest
    }

    fn size(&self) -> u64 {
        self.layer.size
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(At { file: self.file, offset: 0 }))
    }
}

/// A reader of its own of a file that others read too.
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

/// A blob in memory.
struct Small {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob for Small {
    fn digest(&self) -> &str {
        &self.digest
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(&self.bytes[..]))
    }
}
