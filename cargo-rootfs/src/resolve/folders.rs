//! Lists of directories, as loaders make them from the text of a search path.
//!
//! The only contents considered are the subdirectories for particular hardware, which come before their directory.

use std::sync::Arc;

use super::tokens::{Tokens, expand};
use super::{Files, Find, hwcaps};
use crate::elf::Bytes;
use crate::path::RootfsPath;

/// A directory of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Folder {
    pub(super) path: RootfsPath,
    /// The length of its text with a final slash, from which the loader builds the paths that it opens.
    pub(super) length: usize,
    pub(super) kind: Kind,
    /// Its name as a glibc-hwcaps subdirectory, if it is one.
    pub(super) level: Option<Bytes>,
}

/// The role of a directory in the loader's search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Absolute,
    /// Relative to the current directory. glibc's loader never remembers that such a directory is missing
    /// (`fillin_rpath`, elf/dl-load.c: the current directory might change).
    Relative,
    /// For particular hardware, below the next directory of the list that is not.
    Hardware,
}

/// A list, shared by all searches that use it.
pub(super) type Folders = Arc<[Folder]>;

impl Folder {
    /// A directory without a text of its own.
    pub(super) fn new(path: RootfsPath) -> Self {
        Self { length: path.as_bytes().len() + 1, path, kind: Kind::Absolute, level: None }
    }

    /// The glibc-hwcaps subdirectory `level` of `folder`, if it exists.
    pub(super) fn of_level(files: &mut dyn Files, folder: &RootfsPath, level: &Bytes) -> Option<Self> {
        let path = hwcaps::below(folder, level);
        let is_there = files.find(&path) == Find::Dir;
        is_there.then(|| Self { kind: Kind::Hardware, level: Some(level.clone()), ..Self::new(path) })
    }

    /// Returns whether its text is `/`.
    pub(super) fn is_root(&self) -> bool {
        self.kind == Kind::Absolute && self.length == 1
    }

    /// An element of a path; `None` for a relative one without a current directory.
    fn element(text: &[u8], current: Option<&RootfsPath>) -> Option<Self> {
        let trimmed = text.len() - text.iter().rev().take_while(|byte| **byte == b'/').count();
        // The root and the current directory get no additional slash.
        let length = if trimmed == 0 { text.len().min(1) } else { trimmed + 1 };
        match text.first() {
            Some(b'/') => Some(Self { length, ..Self::new(RootfsPath::from_bytes(text)?) }),
            _ => Some(Self { length, kind: Kind::Relative, ..Self::new(current?.join(text)) }),
        }
    }
}

/// The directories of a search path, split at any of `separators`, with tokens replaced. Empty and relative elements
/// mean the current directory (ld.so(8)); without one, as in an image, they are dropped.
pub(super) fn elements(
    path: &[u8],
    separators: &[u8],
    tokens: &Tokens<'_>,
    current: Option<&RootfsPath>,
) -> Vec<Folder> {
    // An empty path has no element, not one empty element (`decompose_rpath`).
    if path.is_empty() {
        return Vec::new();
    }
    let mut folders: Vec<Folder> = Vec::new();
    for element in path.split(|byte| separators.contains(byte)) {
        let Some(element) = expand(element, tokens) else { continue };
        let Some(folder) = Folder::element(&element, current) else { continue };
        // A duplicate only costs time, and so would a search for it among thousands.
        if !folders.iter().take(64).any(|known| *known == folder) {
            folders.push(folder);
        }
    }
    folders
}

/// The directories of a musl path (`path_open`), split at colons and newlines; empty elements are dropped.
pub(super) fn musl_elements(path: &[u8], current: Option<&RootfsPath>) -> Vec<Folder> {
    let elements = path.split(|byte| matches!(byte, b':' | b'\n')).filter(|element| !element.is_empty());
    // musl always inserts a slash, also after an element that ends with one.
    let folder = |element: &[u8]| Some(Folder { length: element.len() + 1, ..Folder::element(element, current)? });
    elements.filter_map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::{Folder, Kind, musl_elements};
    use crate::path::RootfsPath;

    /// `fillin_rpath` removes the slashes at an element's end and adds one.
    #[test]
    fn the_length_of_an_elements_text() {
        let current = RootfsPath::parse("/work").unwrap();
        let of = |text: &str| Folder::element(text.as_bytes(), Some(&current)).unwrap();
        for (text, path, length) in [
            ("", "/work", 0),
            ("/", "/", 1),
            ("//", "/", 1),
            ("/a", "/a", 3),
            ("/a///", "/a", 3),
            ("/a//b/", "/a/b", 6),
            ("a/.", "/work/a", 4),
        ] {
            let folder = of(text);
            assert_eq!((folder.path.to_string().as_str(), folder.length), (path, length), "{text}");
            assert_eq!(folder.kind == Kind::Absolute, text.starts_with('/'));
        }
        assert_eq!(Folder::element(b"a", None), None);
        assert_eq!(musl_elements(b"/a//", None)[0].length, 5);
    }
}
