//! `--docker-load`: an image with its layers and digests in docker or podman.
//!
//! Each platform is loaded separately, because only Docker's containerd store keeps an index: the first named platform
//! gets the name, and the others get the name with their architecture.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use super::super::finished::FinishedImage;
use super::super::oci_archive;
use super::super::places::EnginePlace;
use super::super::{ImagePlace, Kind, Step};
use super::engine::Engine;
use super::sink::{Untagged, id_in, inspect};
use crate::error::{Error, Result};
use crate::image::name::ImageName;
use crate::write::{Staged, Written};

pub(in crate::output) static LOAD: Kind = Kind {
    flag: "docker-load",
    value: "NAME[:TAG]",
    about: "Load into a container engine, layers and digests kept; prints the image's id (repeatable)",
    more: Some(
        "Of several targets the first gets NAME:TAG, and each other one NAME:TAG-<arch>: most engines keep one platform \
         under a name.",
    ),
    example: None,
    verb: "Loading",
    json: "image",
    is_image: true,
    step: Step::Engines,
    is_path: |_| false,
    parse: |name, settings| EnginePlace::boxed(name, settings, true),
};

impl ImagePlace for EnginePlace {
    fn directory(&self) -> Option<&Path> {
        None
    }

    fn stage<'a>(&self, images: &[Rc<FinishedImage>], _: &'a AtomicBool) -> Result<Box<dyn Staged + 'a>> {
        let mut loaded = Vec::new();
        for (number, image) in images.iter().enumerate() {
            let name = if number == 0 { self.name.clone() } else { self.name.with_suffix(&image.architecture)? };
            loaded.push(load(self.engine, name, image)?);
        }
        Ok(Box::new(Loaded(loaded)))
    }
}

/// Loads one image, without a name.
fn load(engine: Engine, name: ImageName, image: &Rc<FinishedImage>) -> Result<Untagged> {
    // The classic store and podman identify an image by the digest of its configuration, Docker's containerd store by
    // that of its manifest.
    let digests = [&image.config.descriptor.digest, &image.manifest.descriptor.digest];
    let known = || digests.iter().find_map(|digest| inspect(engine, digest, "{{.Id}}").ok());
    engine.ask(&["version"])?;
    let is_new = known().is_none();
    let (running, pipe) = engine.feed(vec!["load".to_owned(), "--quiet".to_owned()])?;
    let mut out = BufWriter::with_capacity(1 << 17, pipe);
    oci_archive::write(std::slice::from_ref(image), &mut out)
        .and_then(|()| out.flush())
        .map_err(|error| running.broken(error))?;
    // Dropping the writer closes the pipe, which ends the archive.
    drop(out);
    let said = running.finish()?;
    let id = known().or_else(|| id_in(&said));
    let id = id.ok_or_else(|| Error::failed(format!("`{engine}` did not say which image it made")).detail(said))?;
    Ok(Untagged { engine, id, name, is_new })
}

/// Loaded images without names.
struct Loaded(Vec<Untagged>);

impl Staged for Loaded {
    fn commit(self: Box<Self>) -> Result<Written> {
        let mut tagged: Vec<ImageName> = Vec::new();
        let mut written = None;
        // The typed name comes last.
        for image in self.0.into_iter().rev() {
            let name = image.name.clone();
            let result = Box::new(image).commit().map_err(|error| {
                let has_name = |error: Error, name| error.detail(format!("`{name}` was written before, and stays"));
                tagged.iter().fold(error, has_name)
            });
            written = Some(result?);
            tagged.push(name);
        }
        written.ok_or_else(|| Error::failed("no image was loaded"))
    }
}
