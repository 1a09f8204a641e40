//! `--dir`: a directory.

use super::places::DirectoryPlace;
use super::{EntryPlace, Job, Kind, Step};
use crate::error::Result;
use crate::write::Sink;
use crate::write::dir::Dir;

pub(super) static DIR: Kind = Kind {
    flag: "dir",
    value: "DIR",
    about: "Write a directory: one that is absent, empty, or was made by an earlier run (repeatable)",
    more: None,
    example: Some("PATH"),
    verb: "Copying",
    json: "dir",
    is_image: false,
    step: Step::Files,
    is_path: |_| true,
    parse: |name, settings| Ok(DirectoryPlace::boxed(name, settings, false)),
};

impl EntryPlace for DirectoryPlace {
    fn sink(&self, job: &Job<'_>) -> Result<Box<dyn Sink>> {
        Dir::create(&self.path, job.epoch, self.replace)
    }
}
