//! A generated text as a file beside the outputs that it describes.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::Advice;

use super::destination::{Destination, is_stdout};
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
        Ok(Self { file: Destination::of_text(path)?, path: path.to_owned() })
    }

    /// A writer for another thread, if nobody sees the text before the file has its name.
    pub(crate) fn early(&self) -> Option<EarlyText> {
        let Destination::Staged(file) = &self.file else { return None };
        let replaces = self.path.symlink_metadata().is_ok();
        Some(EarlyText { file: file.file().try_clone().ok()?, path: self.path.clone(), replaces })
    }

    /// Writes the complete text.
    pub(crate) fn staged(mut self, text: &str) -> Result<Box<dyn Staged>> {
        self.file.write_all(text.as_bytes()).map_err(|error| Error::io("write", &self.path, error))?;
        Ok(Box::new(self))
    }
}

/// A writer of the text of a [`TextFile`].
pub(crate) struct EarlyText {
    file: File,
    path: PathBuf,
    replaces: bool,
}

impl EarlyText {
    /// Writes the complete text.
    pub(crate) fn write(mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes()).map_err(|error| Error::io("write", &self.path, error))?;
        if self.replaces {
            // Starts to write it back. Otherwise ext4 does so in the rename (auto_da_alloc, ext4(5)), for which all outputs
            // wait.
            let _ = rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed);
        }
        Ok(())
    }
}

impl Staged for TextFile {
    fn commit(self: Box<Self>) -> Result<Written> {
        let Self { file, path } = *self;
        file.persist()?;
        Ok(if is_stdout(&path) { Written::Stdout } else { Written::Beside(path) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        TextFile::create(path).unwrap().staged(text).unwrap().commit().unwrap();
    }

    /// /dev/stdout is a symlink to a pipe or a file, and must stay one.
    #[test]
    fn a_symlink_stays_and_its_target_is_written() {
        let temp = tempfile::tempdir().unwrap();
        let (link, file, fifo) = (temp.path().join("link"), temp.path().join("file"), temp.path().join("fifo"));
        fs::write(&file, "earlier").unwrap();
        symlink("file", &link).unwrap();
        write(&link, "text");
        assert_eq!((fs::read_link(&link).unwrap(), fs::read_to_string(&file).unwrap()), ("file".into(), "text".into()));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        fs::remove_file(&link).unwrap();
        symlink("fifo", &link).unwrap();
        let reader = std::thread::spawn({
            let fifo = fifo.clone();
            move || {
                let mut text = String::new();
                fs::File::open(fifo).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        write(&link, "through");
        assert_eq!(reader.join().unwrap(), "through");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("fifo"));
        assert!(TextFile::create(temp.path()).is_err(), "a directory");
    }
}
