//! `--push`: an image in a registry, by no engine. Several targets under one name are an index of platforms.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use super::finished::{Document, FinishedImage, StoredBlob, index};
use super::{Attachment, Claim, ImagePlace, Intake, Kind, Settings, Step};
use crate::error::{Error, Result};
use crate::registry::{self, Artifact, Blob, Image, Manifest, Push, Reference, Tagged};
use crate::write::{Staged, Written};

pub(super) static PUSH: Kind = Kind {
    flag: "push",
    value: "REF",
    about: "Push an image to a registry; several targets become one index (repeatable)",
    more: None,
    example: None,
    verb: "Pushing",
    json: "push",
    is_image: true,
    step: Step::Registries,
    is_path: |_| false,
    parse: |name, settings: Settings<'_>| Ok(Box::new(Place::parse(name, settings.insecure)?)),
};

/// A name in a registry.
#[derive(Debug)]
struct Place {
    name: String,
    reference: Reference,
    insecure: Vec<String>,
}

impl Place {
    fn parse(name: &str, insecure: &[String]) -> Result<Self> {
        let reference = Reference::parse(name)?;
        if reference.digest.is_some() {
            return Err(Error::usage(format!("`{name}` has a digest, which is not for the caller to choose"))
                .help("name a tag: HOST/REPOSITORY:TAG"));
        }
        Ok(Self { name: name.to_owned(), reference, insecure: insecure.to_vec() })
    }
}

impl super::Place for Place {
    fn claim(&self) -> Claim {
        Claim::Reference(self.reference.to_string())
    }

    fn intake(&self) -> Intake<'_> {
        Intake::Images(self)
    }
}

impl ImagePlace for Place {
    fn directory(&self) -> Option<&Path> {
        None
    }

    fn stage<'a>(&self, images: &[Rc<FinishedImage>], interrupted: &'a AtomicBool) -> Result<Box<dyn Staged + 'a>> {
        Ok(Box::new(Ready {
            name: self.name.clone(),
            reference: self.reference.clone(),
            settings: registry::Settings::from_environment(self.insecure.clone()),
            images: images.to_vec(),
            interrupted,
            uploaded: None,
        }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Images for a name, which is not set yet.
struct Ready<'a> {
    name: String,
    reference: Reference,
    settings: registry::Settings,
    images: Vec<Rc<FinishedImage>>,
    interrupted: &'a AtomicBool,
    uploaded: Option<Tagged<'a>>,
}

impl Staged for Ready<'_> {
    /// Sends everything but the tag: nobody sees it under a name.
    fn prepare(&mut self) -> Result<()> {
        let blobs: Vec<Vec<StoredBlob<'_>>> = self.images.iter().map(|image| image.blobs()).collect();
        let images = self.images.iter().zip(&blobs).map(|(image, blobs)| {
            let is_other = |blob: &&StoredBlob<'_>| blob.descriptor != &image.manifest.descriptor;
            let blobs = blobs.iter().filter(is_other).map(|blob| blob as &dyn Blob);
            Image { manifest: manifest(&image.manifest), blobs: blobs.collect() }
        });
        let push = Push { images: images.collect(), index: index(&self.images).as_ref().map(manifest) };
        let uploaded = push.upload(&self.reference, &self.settings, &mut (), self.interrupted)?;
        for image in &self.images {
            for Attachment { media_type, text } in &image.attachments {
                let content = text.clone().into_bytes();
                let artifact =
                    Artifact { artifact_type: (*media_type).to_owned(), content, annotations: BTreeMap::new() };
                uploaded.attach(&image.manifest.descriptor, &artifact)?;
            }
        }
        self.uploaded = Some(uploaded);
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<Written> {
        let Self { name, reference, uploaded, .. } = *self;
        let uploaded = uploaded.ok_or_else(|| Error::failed(format!("nothing was sent to `{name}`")))?;
        let digest = uploaded.tag(&reference.tag)?;
        Ok(Written::Pushed { name, digest, sent: uploaded.sent.bytes })
    }
}

fn manifest(document: &Document) -> Manifest {
    Manifest { media_type: document.descriptor.media_type.to_owned(), bytes: document.text.clone().into_bytes() }
}

impl Blob for StoredBlob<'_> {
    fn digest(&self) -> &str {
        &self.descriptor.digest
    }

    fn size(&self) -> u64 {
        self.descriptor.size
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(self.reader())
    }
}
