//! `--library-path`: what LD_LIBRARY_PATH would say, before it is known to which program.
//!
//! The environment's own LD_LIBRARY_PATH is never read.

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
    /// The text of a variable. What it means depends on the program: glibc separates its elements by `:` and by
    /// `;`, an empty one is the current directory, and its tokens are the program's; musl separates them by `:` and
    /// by newlines, drops empty ones and knows no tokens (ld.so(8); `path_open`, ldso/dynlink.c).
    Text(Bytes),
}

impl LibraryPath {
    /// Returns whether glibc's loader replaces a token in `text`, which then has no meaning before the program is
    /// known.
    pub fn has_token(text: &str) -> bool {
        has_token(text.as_bytes())
    }

    fn depends_on_origin(&self) -> bool {
        matches!(self, Self::Text(text) if text.contains(&b'$'))
    }
}

/// Returns whether any part changes its meaning with the directory of the program.
pub(super) fn depends_on_origin(parts: &[LibraryPath]) -> bool {
    parts.iter().any(LibraryPath::depends_on_origin)
}

/// The directories of all parts, for a program in `origin` (`_dl_init_paths`, elf/dl-load.c: the tokens are those of
/// the program, whoever needs the library).
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
