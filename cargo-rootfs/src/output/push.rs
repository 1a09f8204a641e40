//! `--push`: an image in a registry, without an engine. Several targets under one name become an index of platforms.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use super::finished::{Document, FinishedImage, StoredBlob, index};
use super::{Attachment, Claim, ImagePlace, Intake, Kind, Listener, Run, SentTo, Settings, Step};
use crate::error::{Error, Result};
use crate::registry::{self, Artifact, Blob, Image, Manifest, Push, Reference, Tagged, Upload};
use crate::write::{Observer, Staged, Written};

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
            return Err(Error::usage(format!("`{name}` has a digest, which cannot be chosen"))
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

    fn may_lack_bytes(&self) -> bool {
        true
    }

    fn stage<'a>(&self, images: &[Rc<FinishedImage>], interrupted: &'a AtomicBool) -> Result<Box<dyn Staged + 'a>> {
        Ok(Box::new(self.ready(images, interrupted)))
    }

    fn stage_in<'a>(&self, images: &[Rc<FinishedImage>], run: &Run<'a>) -> Result<Box<dyn Staged + 'a>> {
        let ready = self.ready(images, run.interrupted);
        Ok(Box::new(Ready { listener: Some(run.listener), sent_to: run.sent_to.clone(), ..ready }))
    }
}

impl Place {
    fn ready<'a>(&self, images: &[Rc<FinishedImage>], interrupted: &'a AtomicBool) -> Ready<'a> {
        Ready {
            name: self.name.clone(),
            reference: self.reference.clone(),
            settings: registry::Settings::from_environment(self.insecure.clone()),
            images: images.to_vec(),
            interrupted,
            listener: None,
            sent_to: SentTo::default(),
            uploaded: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Images for a name that is not set yet.
struct Ready<'a> {
    name: String,
    reference: Reference,
    settings: registry::Settings,
    images: Vec<Rc<FinishedImage>>,
    interrupted: &'a AtomicBool,
    listener: Option<&'a dyn Listener>,
    sent_to: SentTo,
    uploaded: Option<Tagged<'a>>,
}

impl Staged for Ready<'_> {
    /// Sends everything but the tag, so no name shows it yet.
    fn prepare(&mut self) -> Result<()> {
        let (host, repository) = (&self.reference.host, &self.reference.repository);
        let sources = self.sent_to.of(host);
        let blobs: Vec<Vec<Sent<'_>>> = self
            .images
            .iter()
            .map(|image| {
                let is_other = |blob: &StoredBlob<'_>| blob.descriptor != &image.manifest.descriptor;
                let blobs = image.blobs().into_iter().filter(is_other);
                blobs.map(|blob| Sent { from: sources.find(&blob.descriptor.digest, repository), blob }).collect()
            })
            .collect();
        let images = self.images.iter().zip(&blobs).map(|(image, blobs)| Image {
            manifest: manifest(&image.manifest),
            blobs: blobs.iter().map(|blob| blob as &dyn Blob).collect(),
        });
        let push = Push { images: images.collect(), index: index(&self.images).as_ref().map(manifest) };
        let mut bar = Bar { listener: self.listener, observer: None };
        let uploaded = push.upload(&self.reference, &self.settings, &mut bar, self.interrupted)?;
        for image in &self.images {
            for Attachment { media_type, text } in &image.attachments {
                let content = text.clone().into_bytes();
                let artifact =
                    Artifact { artifact_type: (*media_type).to_owned(), content, annotations: BTreeMap::new() };
                uploaded.attach(&image.manifest.descriptor, &artifact)?;
            }
        }
        self.sent_to.record(host, repository, blobs.iter().flatten().map(Blob::digest));
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

/// A blob to be sent, and a repository of the same registry that has it.
struct Sent<'i> {
    blob: StoredBlob<'i>,
    from: Option<&'i str>,
}

impl Blob for Sent<'_> {
    fn digest(&self) -> &str {
        &self.blob.descriptor.digest
    }

    fn size(&self) -> u64 {
        self.blob.descriptor.size
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        self.blob.open()
    }

    fn source(&self) -> Option<&str> {
        self.from
    }
}

/// Reports an upload's progress to the listener.
struct Bar<'a> {
    listener: Option<&'a dyn Listener>,
    observer: Option<Box<dyn Observer + 'a>>,
}

impl Upload for Bar<'_> {
    fn begins(&mut self, bytes: u64) {
        self.observer = self.listener.map(|listener| listener.progress(bytes));
    }

    fn sent(&mut self, bytes: u64) {
        if let Some(observer) = &mut self.observer {
            observer.wrote(bytes);
        }
    }
}
