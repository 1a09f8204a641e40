//! Places that two kinds of output share: a directory, for entries or images, and a name in a container engine.

use std::fmt;

use camino::Utf8PathBuf;

use super::Engine;
use super::{Claim, Intake, Place, Settings};
use crate::error::Result;
use crate::image::name::ImageName;
use crate::write::dir::Replace;

/// A directory, and the form in which it takes a rootfs.
#[derive(Debug)]
pub(super) struct DirectoryPlace {
    pub(super) path: Utf8PathBuf,
    pub(super) replace: Replace,
    takes_images: bool,
}

impl DirectoryPlace {
    pub(super) fn boxed(name: &str, settings: Settings<'_>, takes_images: bool) -> Box<dyn Place> {
        Box::new(Self { path: name.into(), replace: settings.replace, takes_images })
    }
}

impl Place for DirectoryPlace {
    fn claim(&self) -> Claim {
        Claim::Path(self.path.clone())
    }

    fn intake(&self) -> Intake<'_> {
        if self.takes_images { Intake::Images(self) } else { Intake::Entries(self) }
    }
}

impl fmt::Display for DirectoryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// A name in an engine, and the form in which the engine takes a rootfs.
#[derive(Debug)]
pub(super) struct EnginePlace {
    pub(super) engine: Engine,
    pub(super) name: ImageName,
    takes_images: bool,
}

impl EnginePlace {
    /// # Errors
    ///
    /// A name that an engine would refuse, which is better reported before the build.
    pub(super) fn boxed(name: &str, settings: Settings<'_>, takes_images: bool) -> Result<Box<dyn Place>> {
        Ok(Box::new(Self { engine: settings.engine, name: ImageName::parse(name)?, takes_images }))
    }
}

impl Place for EnginePlace {
    fn claim(&self) -> Claim {
        Claim::Image { engine: self.engine.program(), name: self.name.to_string() }
    }

    fn intake(&self) -> Intake<'_> {
        if self.takes_images { Intake::Images(self) } else { Intake::Entries(self) }
    }
}

impl fmt::Display for EnginePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} into {}", self.name, self.engine.program())
    }
}
