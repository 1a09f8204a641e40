//! Opens an output by its typed name: detects its kind, lists its images, and reads the layers of an image in order.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use super::apply::{self, Oddities, Reading};
use super::blobs::{Archive, Blobs, LayoutDirectory, blob_path, open_file};
use super::decode::{Bounded, Coding, Part, Spent, Summed};
use super::manifest::{self, Blob, Listed};
use super::tree::Tree;
use super::{Limits, directory};
use crate::error::{Error, Result};
use crate::host_files;

/// The settings for reading outputs.
pub(crate) struct Access<'a> {
    pub(crate) limits: Limits,
    /// `OS/ARCH[/VARIANT]`; `None` selects all platforms.
    pub(crate) platform: Option<String>,
    /// Hosts of registries that may use plain http or an invalid certificate.
    #[cfg_attr(not(feature = "push"), allow(dead_code))]
    pub(crate) insecure: Vec<String>,
    pub(crate) interrupted: &'a AtomicBool,
}

/// The maximum size of all documents about an image. The bill of 48 tools has 6 MB.
const DOCUMENTS: u64 = 64 << 20;

/// An opened output.
pub(crate) struct Source<'a> {
    /// The name as typed.
    pub(crate) name: String,
    access: &'a Access<'a>,
    place: Place<'a>,
}

enum Place<'a> {
    Directory(PathBuf),
    /// A root filesystem as an archive.
    Archive(Arc<File>),
    /// Images; only those of the requested platform are listed.
    Images(Box<dyn Blobs + 'a>, Vec<Listed>),
}

/// One image or root filesystem, after reading.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// The platform, such as `linux/arm64`; `None` for a plain archive and a directory.
    pub(crate) platform: Option<String>,
    /// The digest of the manifest.
    pub(crate) digest: Option<String>,
    /// The image's configuration; `null` if the output is no image.
    pub(crate) config: Value,
    pub(crate) layers: Vec<LayerRead>,
    pub(crate) tree: Tree,
    pub(crate) oddities: Oddities,
    /// Documents about it, if they were read as well.
    pub(crate) documents: Vec<Vec<u8>>,
}

/// A layer with verified digests.
#[derive(Debug, Clone)]
pub(crate) struct LayerRead {
    pub(crate) diff_id: String,
    /// The stored size in bytes.
    pub(crate) size: u64,
    pub(crate) coding: Coding,
    /// The media type in the manifest; empty in Docker's own archives.
    pub(crate) media_type: String,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl<'a> Source<'a> {
    /// Opens `name`: an existing path, or else a reference.
    pub(crate) fn open(name: &str, access: &'a Access<'a>) -> Result<Self> {
        let path = Path::new(name);
        let place = match host_files::metadata(path).result() {
            Ok(metadata) if metadata.is_dir() && path.join("oci-layout").is_file() => layout(path)?,
            Ok(metadata) if metadata.is_dir() => Place::Directory(path.to_owned()),
            Ok(metadata) if metadata.is_file() => archive(path, access)?,
            Ok(_) => return Err(Error::failed(format!("`{name}` is neither a file nor a directory"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_path(name) => registry(name, access)?,
            Err(error) => return Err(Error::io("read", path, error)),
        };
        let mut source = Self { name: name.to_owned(), access, place };
        source.choose()?;
        Ok(source)
    }

    /// Keeps the images of the requested platform.
    fn choose(&mut self) -> Result<()> {
        let (Place::Images(_, images), Some(wanted)) = (&mut self.place, &self.access.platform) else { return Ok(()) };
        let all: Vec<String> = images.iter().map(|image| image.platform.clone()).collect();
        images.retain(|image| image.platform == *wanted);
        if !images.is_empty() {
            return Ok(());
        }
        Err(Error::failed(format!("`{}` has no image for {wanted}", self.name))
            .detail(format!("it has {}", all.join(", "))))
    }

    /// The number of images, one for each platform.
    pub(crate) fn count(&self) -> usize {
        match &self.place {
            Place::Images(_, images) => images.len(),
            _ => 1,
        }
    }

    /// The platform of an image.
    pub(crate) fn platform(&self, index: usize) -> Option<&str> {
        match &self.place {
            Place::Images(_, images) => images.get(index).map(|image| image.platform.as_str()),
            _ => None,
        }
    }

    /// Reads one image.
    pub(crate) fn read(&self, index: usize) -> Result<Inspected> {
        let Access { limits, interrupted, .. } = self.access;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::Interrupted => Error::interrupted(),
            _ => Error::io("read", &self.name, error),
        };
        match &self.place {
            Place::Directory(path) => {
                let mut reading = Reading::new(limits, interrupted, false);
                directory::read(path, &mut reading)?;
                Ok(Inspected::bare(reading))
            }
            Place::Archive(file) => {
                let mut reading = Reading::new(limits, interrupted, false);
                plain(file, limits, &mut reading).map_err(failed)?;
                Ok(Inspected::bare(reading))
            }
            Place::Images(blobs, images) => {
                let listed = images.get(index).ok_or_else(|| Error::failed("there is no such image"))?;
                self.image(&**blobs, listed)
            }
        }
    }

    /// The documents of these media types about an image, such as its bill of materials, up to [`DOCUMENTS`] in all. Those
    /// whose digest is not that of their bytes are left out.
    pub(crate) fn documents(&self, index: usize, types: &[&str]) -> Result<Vec<Vec<u8>>> {
        let Place::Images(blobs, images) = &self.place else { return Ok(Vec::new()) };
        let Some(subject) = images.get(index).and_then(|image| image.digest.as_deref()) else { return Ok(Vec::new()) };
        let (mut documents, mut left, mut seen) = (Vec::new(), DOCUMENTS, BTreeSet::new());
        for manifest in blobs.referrers(subject)? {
            let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
            let layers = manifest["layers"].as_array().filter(|_| manifest["subject"]["digest"] == subject);
            for layer in layers.into_iter().flatten() {
                let is_meant = layer["mediaType"].as_str().is_some_and(|it| types.contains(&it));
                let Some(digest) = layer["digest"].as_str().filter(|_| is_meant) else { continue };
                let Ok(path) = blob_path(digest) else { continue };
                if left == 0 || !seen.insert(digest.to_owned()) {
                    continue;
                }
                let Some(blob) = blobs.open(&path)? else { continue };
                let (mut bytes, mut blob) = (Vec::new(), Summed::new(blob, u64::MAX));
                let read = (&mut blob).take(left).read_to_end(&mut bytes);
                read.map_err(|error| Error::io("read", &self.name, error))?;
                left -= bytes.len() as u64;
                if blob.finish().is_ok_and(|(read, _)| read == digest) {
                    documents.push(bytes);
                }
            }
        }
        Ok(documents)
    }

    fn image(&self, blobs: &dyn Blobs, listed: &Listed) -> Result<Inspected> {
        let mut reading = Reading::new(&self.access.limits, self.access.interrupted, true);
        let (mut spent, mut layers) = (Spent::default(), Vec::new());
        for layer in &listed.layers {
            layers.push(self.layer(blobs, layer, &mut spent, &mut reading)?);
        }
        let (tree, oddities) = reading.finish();
        Ok(Inspected {
            platform: Some(listed.platform.clone()),
            digest: listed.digest.clone(),
            config: listed.config.clone(),
            layers,
            tree,
            oddities,
            documents: Vec::new(),
        })
    }

    /// Applies one layer, and verifies both of its digests.
    fn layer(
        &self,
        blobs: &dyn Blobs,
        layer: &Blob,
        spent: &mut Spent,
        reading: &mut Reading<'_>,
    ) -> Result<LayerRead> {
        let name = layer.digest.as_deref().unwrap_or(&layer.path);
        let blob = blobs.open(&layer.path)?.ok_or_else(|| Error::failed(format!("the layer {name} is missing")))?;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::Interrupted => Error::interrupted(),
            _ => Error::failed(format!("cannot read the layer {name}")).with_source(error),
        };
        let blob = Summed::new(blob, layer.size.unwrap_or(u64::MAX));
        let (bounded, coding) = Bounded::new(blob, spent, &self.access.limits).map_err(failed)?;
        let plain = reading.archive(Summed::new(bounded, u64::MAX), None).map_err(failed)?;
        let (plain, diff_id) = plain.into_inner_and_digest();
        let (digest, size) = plain.finish().map_err(failed)?;
        if layer.digest.as_ref().is_some_and(|expected| *expected != digest) {
            return Err(
                Error::failed(format!("the layer {name} has other bytes")).detail(format!("their digest is {digest}"))
            );
        }
        if let Some(expected) = layer.size.filter(|expected| *expected != size) {
            return Err(Error::failed(format!("the layer {name} has {size} bytes, and {expected} by its descriptor")));
        }
        if let Some(expected) = layer.diff_id.as_ref().filter(|expected| **expected != diff_id) {
            return Err(Error::failed(format!("the layer {name} is not the one of the configuration"))
                .detail(format!("its diff_id is {diff_id}"))
                .detail(format!("and {expected} in the configuration")));
        }
        Ok(LayerRead { diff_id, size, coding, media_type: layer.media_type.clone() })
    }
}

impl Inspected {
    fn bare(reading: Reading<'_>) -> Self {
        let (tree, oddities) = reading.finish();
        Self {
            platform: None,
            digest: None,
            config: Value::Null,
            layers: Vec::new(),
            tree,
            oddities,
            documents: Vec::new(),
        }
    }
}

/// True for a name that can only be a path: references do not begin with a dot or slash, and do not have these endings.
fn is_path(name: &str) -> bool {
    let ends = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".lock"];
    name.starts_with(['/', '.']) || ends.iter().any(|end| name.ends_with(end))
}

fn layout(path: &Path) -> Result<Place<'static>> {
    let blobs = LayoutDirectory(path.to_owned());
    let index = blobs.document("index.json")?;
    let index = index.ok_or_else(|| Error::failed(format!("the layout `{}` has no index.json", path.display())))?;
    let images = manifest::images(&blobs, &index, None)?;
    Ok(Place::Images(Box::new(blobs), images))
}

/// Opens an archive of a root filesystem, or of a layout.
fn archive(path: &Path, access: &Access<'_>) -> Result<Place<'static>> {
    let failed = |error: io::Error| Error::io("read", path, error);
    // A symlink in the typed name is followed.
    let real = host_files::real(path).or_cannot("read")?;
    let file = Arc::new(open_file(&real).map_err(failed)?);
    if !is_of_images(&file, &access.limits).map_err(failed)? {
        return Ok(Place::Archive(file));
    }
    let archive = Archive::list(uncompressed(file, &access.limits).map_err(failed)?).map_err(failed)?;
    let document = |name: &str| archive.document(name);
    let images = match (document("index.json")?, document("manifest.json")?) {
        (Some(index), _) if archive.has("oci-layout") => manifest::images(&archive, &index, None)?,
        (_, Some(list)) => manifest::docker_images(&archive, &list)?,
        _ => return Err(Error::failed(format!("`{}` has blobs, and neither index nor manifest", path.display()))),
    };
    Ok(Place::Images(Box::new(archive), images))
}

/// Names at the top of an archive of images.
const MARKS: [&[u8]; 4] = [b"oci-layout", b"index.json", b"manifest.json", b"repositories"];

/// The number of members that are inspected: an archive of images has few, mostly with the documents at either end.
const LOOKED_AT: usize = 4096;

/// True if the archive is a layout or Docker's own: it has top-level names that no root filesystem has.
fn is_of_images(file: &Arc<File>, limits: &Limits) -> io::Result<bool> {
    let mut spent = Spent::default();
    let (bounded, _) = Bounded::new(Summed::new(whole(file)?, u64::MAX), &mut spent, limits)?;
    let mut members = super::member::Members::new(bounded);
    for _ in 0..LOOKED_AT {
        let Some(member) = members.next()? else { return Ok(false) };
        let name = member.name.strip_prefix(b"./").unwrap_or(&member.name);
        if MARKS.contains(&name) {
            return Ok(true);
        }
        // A blob, or the directory of a layer by its digest.
        let first = name.split(|byte| *byte == b'/').next().unwrap_or_default();
        let is_hex = first.len() >= 64 && first[..64].iter().all(u8::is_ascii_hexdigit);
        if !(name.is_empty() || name == b"." || first == b"blobs" || is_hex) {
            return Ok(false);
        }
    }
    Ok(false)
}

fn whole(file: &Arc<File>) -> io::Result<Part> {
    Ok(Part { file: Arc::clone(file), offset: 0, left: file.metadata()?.len() })
}

/// The file itself, or a temporary file with its uncompressed contents.
fn uncompressed(file: Arc<File>, limits: &Limits) -> io::Result<Arc<File>> {
    let mut spent = Spent::default();
    let (mut bounded, coding) = Bounded::new(Summed::new(whole(&file)?, u64::MAX), &mut spent, limits)?;
    if coding == Coding::Plain {
        return Ok(file);
    }
    let spool = apply::spool()?;
    apply::copy(&spool, 0, &mut bounded)?;
    Ok(Arc::new(spool))
}

/// Reads an archive of a root filesystem. Contents of an uncompressed archive stay in it.
fn plain(file: &Arc<File>, limits: &Limits, reading: &mut Reading<'_>) -> io::Result<()> {
    let mut beginning = [0; 4];
    let count = whole(file)?.read(&mut beginning)?;
    let is_plain = Coding::of(&beginning[..count]) == Coding::Plain;
    let mut spent = Spent::default();
    let (bounded, _) = Bounded::new(Summed::new(whole(file)?, u64::MAX), &mut spent, limits)?;
    reading.archive(bounded, is_plain.then(|| (Arc::clone(file), 0))).map(|_| ())
}

#[cfg(feature = "push")]
fn registry<'a>(name: &str, access: &'a Access<'a>) -> Result<Place<'a>> {
    use crate::registry::{Pull, Reference, Settings};
    let absent = |error: Error| match Path::new(name).components().count() {
        1 => error.detail(format!("and there is no file or directory `{name}` here")),
        _ => error,
    };
    let reference = Reference::parse(name).map_err(absent)?;
    let pull = Pull::connect(&reference, &Settings::from_environment(access.insecure.clone()), access.interrupted);
    let pull = pull.map_err(absent)?;
    let top = pull.manifest()?;
    let digest = top.digest();
    let blobs = Registry(pull);
    let images = manifest::images(&blobs, &top.bytes, Some(&digest))?;
    Ok(Place::Images(Box::new(blobs), images))
}

#[cfg(not(feature = "push"))]
fn registry<'a>(name: &str, _: &'a Access<'a>) -> Result<Place<'a>> {
    Err(Error::failed(format!("there is no file or directory `{name}`"))
        .detail("this build has no client for registries: it lacks the feature `push`"))
}

/// A repository as a store of blobs.
#[cfg(feature = "push")]
struct Registry<'a>(crate::registry::Pull<'a>);

#[cfg(feature = "push")]
impl Blobs for Registry<'_> {
    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>> {
        let digest = path.trim_start_matches("blobs/").replace('/', ":");
        self.0.blob(&digest)
    }

    fn referrers(&self, subject: &str) -> Result<Vec<Vec<u8>>> {
        Ok(self.0.referrers(subject)?.into_iter().map(|manifest| manifest.bytes).collect())
    }

    fn manifest(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let digest = path.trim_start_matches("blobs/").replace('/', ":");
        Ok(self.0.fetch(&digest)?.map(|manifest| manifest.bytes))
    }
}
