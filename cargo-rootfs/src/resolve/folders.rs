//! Lists of directories, as loaders make them of a search path's text.
//!
//! Contents of directories are not looked at, except for the subdirectories for particular hardware, which come before
//! them.

use std::sync::Arc;

use super::tokens::{Tokens, expand};
use super::{Files, Find, hwcaps};
use crate::elf::Bytes;
use crate::path::RootfsPath;

/// A directory of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Folder {
    pub(super) path: RootfsPath,
    /// The length of its text with a final slash: the loader builds the paths that it opens from that.
    pub(super) length: usize,
    pub(super) kind: Kind,
    /// The glibc-hwcaps subdirectory that it is.
    pub(super) level: Option<Bytes>,
}

/// The role of a directory in the loader's search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Absolute,
    /// It starts from the current directory. glibc's loader never finds out that such a one is not there
    /// (`fillin_rpath`, elf/dl-load.c: the current directory might change).
    Relative,
    /// One for particular hardware, below the next one of the list that is not.
    Hardware,
}

/// A list, shared by all that search it.
pub(super) type Folders = Arc<[Folder]>;

impl Folder {
    /// One that is not written anywhere.
    pub(super) fn new(path: RootfsPath) -> Self {
        Self { length: path.as_bytes().len() + 1, path, kind: Kind::Absolute, level: None }
    }

    /// The glibc-hwcaps subdirectory `level` of `folder`, where it is there.
    pub(super) fn of_level(files: &mut dyn Files, folder: &RootfsPath, level: &Bytes) -> Option<Self> {
        let path = hwcaps::below(folder, level);
        let is_there = files.find(&path) == Find::Dir;
        is_there.then(|| Self { kind: Kind::Hardware, level: Some(level.clone()), ..Self::new(path) })
    }

    /// Returns whether it is written as `/` alone.
    pub(super) fn is_root(&self) -> bool {
        self.kind == Kind::Absolute && self.length == 1
    }

    /// An element of a path; `None` where it starts from a current directory that there is not.
    fn element(text: &[u8], current: Option<&RootfsPath>) -> Option<Self> {
        let trimmed = text.len() - text.iter().rev().take_while(|byte| **byte == b'/').count();
        // The root, and the current directory, have no slash of their own to be added.
        let length = if trimmed == 0 { text.len().min(1) } else { trimmed + 1 };
        match text.first() {
            Some(b'/') => Some(Self { length, ..Self::new(RootfsPath::from_bytes(text)?) }),
            _ => Some(Self { length, kind: Kind::Relative, ..Self::new(current?.join(text)) }),
        }
    }
}

/// The directories of a search path between any of `separators`, tokens replaced. Empty and relative elements stand
/// for the current directory (ld.so(8)); without one, as in an image, they stand for nothing.
pub(super) fn elements(
    path: &[u8],
    separators: &[u8],
    tokens: &Tokens<'_>,
    current: Option<&RootfsPath>,
) -> Vec<Folder> {
    // An empty path is no path, not one empty element (`decompose_rpath`).
    if path.is_empty() {
        return Vec::new();
    }
    let mut folders: Vec<Folder> = Vec::new();
    for element in path.split(|byte| separators.contains(byte)) {
        let Some(element) = expand(element, tokens) else { continue };
        let Some(folder) = Folder::element(&element, current) else { continue };
        // One that comes twice costs time and nothing else, and so would looking for it among thousands.
        if !folders.iter().take(64).any(|known| *known == folder) {
            folders.push(folder);
        }
    }
    folders
}

/// The directories of a path of musl's (`path_open`): between colons and newlines, empty ones skipped.
pub(super) fn musl_elements(path: &[u8], current: Option<&RootfsPath>) -> Vec<Folder> {
    let elements = path.split(|byte| matches!(byte, b':' | b'\n')).filter(|element| !element.is_empty());
    // A slash is put between, whatever the element ends with.
    let folder = |element: &[u8]| Some(Folder { length: element.len() + 1, ..Folder::element(element, current)? });
    elements.filter_map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::{Folder, Kind, musl_elements};
    use crate::path::RootfsPath;

    /// `fillin_rpath` takes the slashes off an element's end and puts one there.
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
