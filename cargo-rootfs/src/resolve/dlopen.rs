//! Dlopen notes: what files say that they open at run time.
//!
//! The notes are those of UAPI.12, dlopen() metadata for ELF files. Which of them are followed is for the caller.

mod json;
mod note;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::FileId;
use crate::elf::Object;

pub use note::{Note, Priority};

/// The entries of a file's notes; of a bad one, why it is bad.
pub(super) type Entries = Arc<[Result<Arc<Note>, String>]>;

/// The notes of the files that have any.
#[derive(Debug, Default)]
pub(super) struct Notes(FxHashMap<FileId, Entries>);

impl Notes {
    /// The entries of all notes, in order, equal ones once.
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
