//! Temporary files without a name, which end with the process.

use std::fs::File;
use std::path::Path;

use super::staged_file;
use crate::error::{Error, Result};

/// A new file on the file system of the directory `near`, or of its nearest existing ancestor.
pub(crate) fn file(near: &Path) -> Result<File> {
    let here = near.ancestors().map(|ancestor| if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor });
    let directory = here.into_iter().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("."));
    let failed = |error| Error::io("create a file in", directory, error);
    staged_file::unnamed(directory).map_or_else(|| tempfile::tempfile_in(directory).map_err(failed), Ok)
}
