//! `--library-path`: the equivalent of LD_LIBRARY_PATH, given before the program is known.
//!
//! The variable LD_LIBRARY_PATH itself is never read.

use super::Files;
use super::folders::{Folder, Folders, elements, musl_elements};
use super::loader::{Libc, Loader};
use super::tokens::{Tokens, has_token};
use crate::elf::Bytes;
use crate::path::RootfsPath;

/// A part of `--library-path`. The parts are searched in order, as one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LibraryPath {
    /// A directory.
    Folder(RootfsPath),
    /// The text of a variable. Its meaning depends on the program: glibc splits it at `:` and `;`, an empty element is
    /// the current directory, and tokens are those of the program; musl splits it at `:` and newlines, drops empty
    /// elements and has no tokens (ld.so(8); `path_open`, ldso/dynlink.c).
    Text(Bytes),
}

impl LibraryPath {
    /// Returns whether `text` has a token of glibc's loader, so that its meaning depends on the program.
    pub fn has_token(text: &str) -> bool {
        has_token(text.as_bytes())
    }

    fn depends_on_origin(&self) -> bool {
        matches!(self, Self::Text(text) if text.contains(&b'$'))
    }
}

/// Returns whether any part depends on the directory of the program.
pub(super) fn depends_on_origin(parts: &[LibraryPath]) -> bool {
    parts.iter().any(LibraryPath::depends_on_origin)
}

/// The directories of all parts, for a program in `origin`. Tokens are those of the program, also for needs of
/// libraries (`_dl_init_paths`, elf/dl-load.c).
pub(super) fn folders(
    files: &mut dyn Files,
    parts: &[LibraryPath],
    loader: &Loader,
    origin: Option<&RootfsPath>,
    current: Option<&RootfsPath>,
) -> Folders {
    let tokens = Tokens { origin: origin.map(RootfsPath::as_bytes), ..loader.tokens() };
    let mut found: Vec<Folder> = Vec::new();
    for part in parts {
        match (part, loader.libc) {
            (LibraryPath::Folder(folder), _) => found.push(Folder::new(folder.clone())),
            (LibraryPath::Text(text), Libc::Glibc) => found.extend(elements(text, b":;", &tokens, current)),
            (LibraryPath::Text(text), Libc::Musl) => found.extend(musl_elements(text, current)),
        }
    }
    loader.list(files, found)
}
