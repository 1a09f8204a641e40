//! `--docker-import`: an image of one layer in docker or podman. `--docker-load`, with layers, is in `load`.

mod archive;
mod changes;
mod engine;
mod load;
mod sink;

use std::fmt;

use super::{Claim, EntryPlace, Intake, Job, Kind, Settings, Step};
use crate::error::Result;
use crate::image::name::ImageName;
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
    // What an engine would refuse only after the build.
    parse: |name, settings: Settings<'_>| {
        Ok(Box::new(Place { engine: settings.engine, name: ImageName::parse(name)? }))
    },
};

#[derive(Debug)]
struct Place {
    engine: Engine,
    name: ImageName,
}

impl super::Place for Place {
    fn claim(&self) -> Claim {
        Claim::Image { engine: self.engine.program(), name: self.name.to_string() }
    }

    fn intake(&self) -> Intake<'_> {
        Intake::Entries(self)
    }
}

impl EntryPlace for Place {
    fn sink(&self, job: &Job<'_>) -> Result<Box<dyn Sink>> {
        sink::import(self.engine, &self.name, &job.image, job.rootfs)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} into {}", self.name, self.engine.program())
    }
}
