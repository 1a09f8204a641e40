//! A generated text as a file beside the outputs that it describes.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::destination::Destination;
use super::{Staged, Written};
use crate::error::{Error, Result};

/// A text file that appears complete under its name, or never; or a text for a device, FIFO or pipe.
pub(crate) struct TextFile {
    file: Destination,
    path: PathBuf,
}

impl TextFile {
    /// A file that will get the name `path`. Missing parent directories are made.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: Destination::open(path)?, path: path.to_owned() })
    }

    /// Writes the complete text.
    pub(crate) fn staged(mut self, text: &str) -> Result<Box<dyn Staged>> {
        self.file.write_all(text.as_bytes()).map_err(|error| Error::io("write", &self.path, error))?;
        Ok(Box::new(self))
    }
}

impl Staged for TextFile {
    fn commit(self: Box<Self>) -> Result<Written> {
        let Self { file, path } = *self;
        file.persist()?;
        Ok(Written::Beside(path))
    }
}
