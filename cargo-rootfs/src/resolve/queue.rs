//! The order in which the needs of objects are mapped: `_dl_map_object_deps` of glibc's elf/dl-deps.c.
//!
//! It is breadth-first, except that filtees (DT_AUXILIARY and DT_FILTER) come at once. Objects are numbers here; their
//! search is elsewhere.

/// A filter is its own filtee, over some steps. The loader recurses until its stack is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Circle;

/// Objects, by small numbers, in the order of the loader's search list.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: Vec<Entry>,
    /// The current entry; all earlier ones are done.
    turn: usize,
    /// The entry of the object whose needs are being mapped: filtees were inserted between `turn` and it.
    filter: usize,
    /// True for the numbers of objects that are entries (`l_reserved`).
    is_entry: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    object: usize,
    is_done: bool,
}

impl Queue {
    /// A queue with this object only; all lower numbers are entries that are done.
    pub(super) fn beginning_at(object: usize) -> Self {
        let mut queue = Self { is_entry: vec![true; object], ..Self::default() };
        queue.append(object);
        queue
    }

    /// The next object; each object is returned once.
    pub(super) fn next(&mut self) -> Option<usize> {
        while self.entries.get(self.turn)?.is_done {
            self.turn += 1;
        }
        let entry = &mut self.entries[self.turn];
        entry.is_done = true;
        self.filter = self.turn;
        Some(entry.object)
    }

    /// Appends an object that is not an entry yet.
    pub(super) fn append(&mut self, object: usize) {
        if !self.enter(object) {
            self.entries.push(Entry { object, is_done: false });
        }
    }

    /// Inserts a filtee directly before its filter, the last result of [`Queue::next`]. A later entry of the filtee
    /// moves there; an earlier one stays.
    pub(super) fn put_ahead(&mut self, object: usize) -> Result<(), Circle> {
        if self.enter(object) {
            let later = self.entries[self.filter + 1..].iter().position(|entry| entry.object == object);
            let Some(later) = later else { return Ok(()) };
            // A later entry that is done is a filter that waits for this one, its own filtee.
            if self.entries.remove(self.filter + 1 + later).is_done {
                return Err(Circle);
            }
        }
        self.entries.insert(self.filter, Entry { object, is_done: false });
        self.filter += 1;
        Ok(())
    }

    /// Marks an object as an entry; returns whether it was one.
    fn enter(&mut self, object: usize) -> bool {
        if object >= self.is_entry.len() {
            self.is_entry.resize(object + 1, false);
        }
        std::mem::replace(&mut self.is_entry[object], true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Circle, Queue};

    fn of(objects: &[usize]) -> Queue {
        let mut queue = Queue::default();
        objects.iter().for_each(|object| queue.append(*object));
        queue
    }

    fn rest(mut queue: Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn each_object_has_one_turn() {
        let mut queue = of(&[0, 1, 1, 0, 2]);
        assert_eq!(queue.next(), Some(0));
        queue.append(3);
        queue.append(0);
        assert_eq!(rest(queue), [1, 2, 3]);
    }

    #[test]
    fn filtees_have_their_turn_before_what_waited() {
        let mut queue = of(&[0, 1, 2]);
        assert_eq!(queue.next(), Some(0));
        assert_eq!(queue.next(), Some(1));
        assert_eq!((queue.put_ahead(7), queue.put_ahead(8)), (Ok(()), Ok(())));
        assert_eq!(queue.next(), Some(7));
        assert_eq!(queue.put_ahead(9), Ok(()));
        assert_eq!(rest(queue), [9, 8, 2]);
    }

    #[test]
    fn one_that_waited_is_put_ahead_and_one_that_was_earlier_stays() {
        let mut queue = of(&[0, 1, 2, 3]);
        queue.next();
        assert_eq!(queue.next(), Some(1));
        assert_eq!((queue.put_ahead(3), queue.put_ahead(0), queue.put_ahead(1)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(rest(queue), [3, 2]);
    }

    #[test]
    fn filters_that_go_round_are_told() {
        let mut queue = of(&[0]);
        queue.next();
        assert_eq!((queue.put_ahead(1), queue.next()), (Ok(()), Some(1)));
        assert_eq!((queue.put_ahead(2), queue.next()), (Ok(()), Some(2)));
        assert_eq!(queue.put_ahead(0), Err(Circle));
    }
}
