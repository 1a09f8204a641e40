//! `--docker-import`: an image of one layer in docker or podman. `--docker-load`, an image with several layers, is in
//! `load`.

mod archive;
mod changes;
mod engine;
mod load;
mod sink;

use super::places::EnginePlace;
use super::{EntryPlace, Job, Kind, Step};
use crate::error::Result;
use crate::write::Sink;
pub(crate) use engine::Engine;
pub(super) use load::LOAD;

pub(super) static IMPORT: Kind = Kind {
    flag: "docker-import",
    value: "NAME[:TAG]",
    about: "Import into a container engine, and print the image's id (repeatable)",
    more: None,
    example: Some("NAME"),
    verb: "Importing",
    json: "image",
    is_image: true,
    step: Step::Engines,
    is_path: |_| false,
    parse: |name, settings| EnginePlace::boxed(name, settings, false),
};

impl EntryPlace for EnginePlace {
    fn sink(&self, job: &Job<'_>) -> Result<Box<dyn Sink>> {
        sink::import(self.engine, &self.name, &job.image, job.rootfs)
    }
}
