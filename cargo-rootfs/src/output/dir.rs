//! `--dir`: a directory.

use std::fmt;

use camino::Utf8PathBuf;

use super::{Claim, EntryPlace, Intake, Job, Kind, Settings, Step};
use crate::error::Result;
use crate::write::Sink;
use crate::write::dir::{Dir, Replace};

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
    parse: |name, settings: Settings<'_>| Ok(Box::new(Place { path: name.into(), replace: settings.replace })),
};

#[derive(Debug)]
struct Place {
    path: Utf8PathBuf,
    replace: Replace,
}

impl super::Place for Place {
    fn claim(&self) -> Claim {
        Claim::Path(self.path.clone())
    }

    fn intake(&self) -> Intake<'_> {
        Intake::Entries(self)
    }
}

impl EntryPlace for Place {
    fn sink(&self, job: &Job<'_>) -> Result<Box<dyn Sink>> {
        Dir::create(&self.path, job.epoch, self.replace)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}
