//! The data of one file before it becomes an [`Object`](super::Object): strings by their positions in one text, and
//! lists in reused memory.
//!
//! The code that adds the data interprets it.

use std::sync::Arc;

use super::bytes::{Bytes, Span};
use super::segments::Segments;
use super::{Dependency, DependencyKind, MAX_STRINGS, NeededVersion, Object, VersionDefinition, VersionNeed};

#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) segments: Segments,
    /// Offset, length and alignment of the PT_NOTE segments.
    pub(super) note_segments: Vec<(u64, u64, u64)>,
    /// Dependencies as offsets in the string table of the dynamic section.
    pub(super) entries: Vec<(DependencyKind, u64)>,
    /// All strings, one after another.
    pub(super) text: Vec<u8>,
    pub(super) interpreter: Option<Span>,
    pub(super) soname: Option<Span>,
    pub(super) rpath: Option<Span>,
    pub(super) runpath: Option<Span>,
    pub(super) dependencies: Vec<(DependencyKind, Span)>,
    /// For each file: its name, `vn_version`, and the number of its `versions`.
    pub(super) needs: Vec<(Span, u16, usize)>,
    /// Name, hash, and true for a weak version.
    pub(super) versions: Vec<(Span, u32, bool)>,
    /// Name, hash, `vd_version`.
    pub(super) definitions: Vec<(Span, u32, u16)>,
    pub(super) notes: Vec<Span>,
}

impl Raw {
    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.note_segments.clear();
        self.entries.clear();
        self.text.clear();
        (self.interpreter, self.soname, self.rpath, self.runpath) = (None, None, None, None);
        self.dependencies.clear();
        self.needs.clear();
        self.versions.clear();
        self.definitions.clear();
        self.notes.clear();
    }

    /// The text added since it had `start` bytes; `None` if it is too long.
    pub(super) fn since(&self, start: usize) -> Option<Span> {
        // MAX_STRINGS is far below the limit of the offsets.
        (self.text.len() <= MAX_STRINGS).then_some((start as u32, self.text.len() as u32))
    }

    /// Gives the object its strings in a single allocation.
    pub(super) fn settle(&self, object: &mut Object) {
        let text: Arc<[u8]> = Arc::from(&self.text[..]);
        let part = |span: Span| Bytes::part(&text, span);
        object.interpreter = self.interpreter.map(part);
        object.soname = self.soname.map(part);
        object.rpath = self.rpath.map(part);
        object.runpath = self.runpath.map(part);
        object.dependencies =
            self.dependencies.iter().map(|&(kind, name)| Dependency { kind, name: part(name) }).collect();
        let mut versions = self.versions.iter();
        let mut take = |count: usize| {
            let taken = versions.by_ref().take(count);
            taken.map(|&(name, hash, is_weak)| NeededVersion { name: part(name), hash, is_weak }).collect()
        };
        let needs = self.needs.iter();
        object.version_needs = needs
            .map(|&(file, revision, count)| VersionNeed { file: part(file), revision, versions: take(count) })
            .collect();
        let definitions = self.definitions.iter();
        object.version_definitions =
            definitions.map(|&(name, hash, revision)| VersionDefinition { name: part(name), hash, revision }).collect();
        object.dlopen_notes = self.notes.iter().map(|&note| part(note)).collect();
    }
}
