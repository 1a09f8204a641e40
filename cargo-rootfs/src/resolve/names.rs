//! Names as small numbers, and tables over small numbers that are cleared at no cost: the executables of a machine need
//! the same few hundred names tens of thousands of times.
//!
//! The rules by which names are searched are not known here.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::FileId;
use crate::elf::{Bytes, Object};

pub(super) type NameId = usize;

/// All names so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    ids: FxHashMap<Bytes, NameId>,
    all: Vec<Bytes>,
    /// The needed names of each file, if none of them has a token.
    needed: FxHashMap<FileId, Option<Arc<[NameId]>>>,
}

impl Names {
    pub(super) fn id(&mut self, name: &Bytes) -> NameId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        // A copy, because another resolver in another thread may share the file's bytes, and names are passed on.
        let name = Bytes::from(&**name);
        self.all.push(name.clone());
        self.ids.insert(name, self.all.len() - 1);
        self.all.len() - 1
    }

    pub(super) fn text(&self, id: NameId) -> &Bytes {
        &self.all[id]
    }

    /// The names of the file's dependencies, in order; `None` if one of them depends on the file's directory.
    pub(super) fn needed(&mut self, file: FileId, object: &Object) -> Option<Arc<[NameId]>> {
        if let Some(names) = self.needed.get(&file) {
            return names.clone();
        }
        let is_plain = object.dependencies.iter().all(|dependency| !dependency.name.contains(&b'$'));
        let names = is_plain.then(|| object.dependencies.iter().map(|dependency| self.id(&dependency.name)).collect());
        self.needed.insert(file, names.clone());
        names
    }
}

/// A table from small numbers to small numbers.
#[derive(Debug, Default)]
pub(super) struct Marks {
    round: u32,
    marks: Vec<(u32, u32)>,
}

impl Marks {
    /// Clears the table.
    pub(super) fn clear(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.marks.clear();
            self.round = 1;
        }
    }

    pub(super) fn get(&self, key: usize) -> Option<usize> {
        let (round, value) = *self.marks.get(key)?;
        (round == self.round).then_some(value as usize)
    }

    pub(super) fn set(&mut self, key: usize, value: usize) {
        if key >= self.marks.len() {
            self.marks.resize((key + 1).next_power_of_two(), (0, 0));
        }
        // A closure has fewer than 2^32 objects.
        self.marks[key] = (self.round, value as u32);
    }

    pub(super) fn set_if_free(&mut self, key: usize, value: usize) {
        if self.get(key).is_none() {
            self.set(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;

    #[test]
    fn marks_are_gone_when_cleared() {
        let mut marks = Marks::default();
        marks.clear();
        marks.set(7, 1);
        marks.set_if_free(7, 2);
        marks.set_if_free(8, 3);
        assert_eq!((marks.get(7), marks.get(8), marks.get(9), marks.get(999)), (Some(1), Some(3), None, None));
        marks.clear();
        assert_eq!((marks.get(7), marks.get(8)), (None, None));
    }
}
