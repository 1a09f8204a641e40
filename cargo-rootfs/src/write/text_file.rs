//! A text of this program's own as one file, beside what it is about.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::staged_file::StagedFile;
use super::{Staged, Written};
use crate::error::{Error, Result};

/// A text file that appears under its name complete, or never.
pub(crate) struct TextFile {
    file: StagedFile,
    path: PathBuf,
}

impl TextFile {
    /// Will be the regular file `path`. Missing directories above it are made.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: StagedFile::create(path)?, path: path.to_owned() })
    }

    /// Writes the whole of it.
    pub(crate) fn staged(self, text: &str) -> Result<Box<dyn Staged>> {
        let mut file = self.file.file();
        file.write_all(text.as_bytes()).map_err(|error| Error::io("write", &self.path, error))?;
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
