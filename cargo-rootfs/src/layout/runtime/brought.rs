//! Files that were added by evidence: one line with their number, their packages, and the objects.

use super::evidence::{Sums, Weigh};
use crate::error::Warning;
use crate::wording::{and_more, size};

/// The number of packages in a line; the others are counted.
const NAMED: usize = 6;

/// The additions, made or only possible.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// By package: the package of an object.
    of: Sums,
    /// By package: a package with a file that an object names.
    named: Sums,
}

impl Brought {
    pub(super) fn package(&mut self, package: &str, by: &str, files: usize, bytes: u64) {
        add(&mut self.of, package, by, files, bytes);
    }

    pub(super) fn named(&mut self, package: &str, by: &str, files: usize, bytes: u64) {
        add(&mut self.named, package, by, files, bytes);
    }

    /// The status line of the additions.
    pub(super) fn line(&self) -> Option<String> {
        let (list, files, bytes) = self.list()?;
        let what = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        Some(format!("{what}, {} without a rule: {list}; `--runtime rules` leaves them out", size(bytes)))
    }

    /// The warning about additions that were not made.
    pub(super) fn warning(&self, weigh: Weigh) -> Option<Warning> {
        let (list, files, bytes) = self.list().filter(|_| weigh == Weigh::Tell)?;
        let what = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        let message = format!("left out by `--runtime rules`: {what}, {}: {list}", size(bytes));
        Some(Warning::new(message).help("to pack them: --runtime auto"))
    }

    fn list(&self) -> Option<(String, usize, u64)> {
        let sums = || self.of.values().chain(self.named.values());
        let (files, bytes) = (sums().map(|it| it.1).sum(), sums().map(|it| it.2).sum());
        let of = self.of.iter().map(|(name, (by, ..))| format!("{name} (of {})", first(by)));
        let named = self.named.iter().map(|(name, (by, ..))| format!("{name} (named by {})", first(by)));
        let all: Vec<String> = of.chain(named).collect();
        (!all.is_empty()).then(|| (and_more(all.iter(), NAMED), files, bytes))
    }
}

fn add(sums: &mut Sums, package: &str, by: &str, files: usize, bytes: u64) {
    let (known, count, sum) = sums.entry(package.to_owned()).or_default();
    known.insert(by.to_owned());
    *count += files;
    *sum += bytes;
}

fn first(by: &std::collections::BTreeSet<String>) -> String {
    let by: Vec<_> = by.iter().map(|name| format!("`{name}`")).collect();
    and_more(by.iter(), 1)
}
