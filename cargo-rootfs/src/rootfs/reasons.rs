//! The origins of one entry. Nearly all entries have one, and a root of many tools has ten thousands of them.

use std::ops::Deref;

use super::Origin;

/// The origins of an entry, in order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons(Vec<Origin>);

impl Reasons {
    /// Adds an origin, unless it is present.
    pub fn insert(&mut self, origin: Origin) {
        if let Err(place) = self.0.binary_search(&origin) {
            self.0.insert(place, origin);
        }
    }
}

impl Deref for Reasons {
    type Target = [Origin];

    fn deref(&self) -> &[Origin] {
        &self.0
    }
}

impl From<Origin> for Reasons {
    fn from(origin: Origin) -> Self {
        Self(vec![origin])
    }
}

impl Extend<Origin> for Reasons {
    fn extend<I: IntoIterator<Item = Origin>>(&mut self, origins: I) {
        origins.into_iter().for_each(|origin| self.insert(origin));
    }
}

impl FromIterator<Origin> for Reasons {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        let mut reasons = Self::default();
        reasons.extend(origins);
        reasons
    }
}

impl IntoIterator for Reasons {
    type Item = Origin;
    type IntoIter = std::vec::IntoIter<Origin>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'r> IntoIterator for &'r Reasons {
    type Item = &'r Origin;
    type IntoIter = std::slice::Iter<'r, Origin>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
