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
        Ok(Self { file: Destination::of_text(path)?, path: path.to_owned() })
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
