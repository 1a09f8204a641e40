//! Dlopen notes: the libraries that files declare to open at run time.
//!
//! The format is UAPI.12, dlopen() metadata for ELF files. The caller decides which notes are followed.

mod json;
mod note;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::FileId;
use crate::elf::Object;

pub use note::{Note, Priority};

/// The entries of a file's notes; an error for a malformed one.
pub(super) type Entries = Arc<[Result<Arc<Note>, String>]>;

/// The notes of all files that have any.
#[derive(Debug, Default)]
pub(super) struct Notes(FxHashMap<FileId, Entries>);

impl Notes {
    /// The entries of all notes in order, without duplicates.
    pub(super) fn of(&mut self, file: FileId, object: &Object) -> Entries {
        let known = self.0.entry(file).or_insert_with(|| {
            let mut entries: Vec<Result<Arc<Note>, String>> = Vec::new();
            let mut seen = FxHashSet::default();
            for entry in object.dlopen_notes.iter().flat_map(|text| note::read(text)) {
                let entry = entry.map(Arc::new);
                if seen.insert(entry.clone()) {
                    entries.push(entry);
                }
            }
            entries.into()
        });
        Arc::clone(known)
    }
}
