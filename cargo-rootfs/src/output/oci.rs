//! `--oci`: a directory with an OCI image layout (image-layout.md), of one image or an index of several targets.

use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use camino::Utf8Path;

use super::finished::{Content, FinishedImage, layout};
use super::places::DirectoryPlace;
use super::{ImagePlace, Kind, Step};
use crate::error::Result;
use crate::write::Staged;
use crate::write::dir::BlobDirectory;

pub(super) static OCI: Kind = Kind {
    flag: "oci",
    value: "DIR",
    about: "Write an image as an OCI image layout; several targets become one index (repeatable)",
    more: None,
    example: None,
    verb: "Writing",
    json: "oci",
    is_image: true,
    step: Step::Files,
    is_path: |_| true,
    parse: |name, settings| Ok(DirectoryPlace::boxed(name, settings, true)),
};

impl ImagePlace for DirectoryPlace {
    fn directory(&self) -> Option<&Path> {
        self.path.parent().map(Utf8Path::as_std_path)
    }

    fn stage<'a>(&self, images: &[Rc<FinishedImage>], _: &'a AtomicBool) -> Result<Box<dyn Staged + 'a>> {
        let directory = BlobDirectory::create(&self.path, self.replace)?;
        layout(images, |name, size, content| match content {
            Content::Text(text) => directory.add(name, text.as_bytes()),
            Content::Layer(layer) => directory.adopt(name, size, layer.file()?),
        })?;
        directory.stage()
    }
}
