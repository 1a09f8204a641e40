//! Reads outputs back: an archive, a directory, a layout or an image in a registry as a tree of entries.
//!
//! It unpacks nothing: contents are read in place, or from a temporary file without a name. Input is untrusted, and
//! [`Limits`] bounds it. [`crate::verify`] judges the tree.

mod apply;
mod blobs;
mod decode;
mod directory;
mod manifest;
mod member;
mod programs;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod view;

use std::io;

pub(crate) use apply::{Met, Oddity};
pub(crate) use decode::Coding;
pub(crate) use programs::Programs;
pub(crate) use source::{Access, Inspected, Source};
pub(crate) use tree::{Content, Found, NodeKind, Tree};
pub(crate) use view::View;

/// Limits for untrusted input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The maximum uncompressed size of an image.
    pub(crate) expanded: u64,
    /// The uncompressed size below which the ratio is not checked.
    pub(crate) slack: u64,
    /// The maximum ratio of uncompressed to compressed bytes. Real layers reach 10; zstd can exceed 10,000.
    pub(crate) ratio: u64,
    /// The maximum number of entries of a tree.
    pub(crate) entries: usize,
    /// The maximum total length of all names and link targets.
    pub(crate) names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { expanded: 64 << 30, slack: 256 << 20, ratio: 200, entries: 2_000_000, names: 256 << 20 }
    }
}

impl Limits {
    /// Fails if `plain` bytes exceed the total limit, or the ratio to `packed` bytes.
    fn check(&self, packed: u64, plain: u64) -> io::Result<()> {
        if plain > self.expanded {
            return Err(member::malformed(&format!("it expands to more than {} bytes", self.expanded)));
        }
        self.check_ratio(packed, plain)
    }

    /// Fails if `plain` bytes exceed the ratio to `packed` bytes.
    fn check_ratio(&self, packed: u64, plain: u64) -> io::Result<()> {
        let most = self.slack.saturating_add(packed.saturating_mul(self.ratio));
        if plain > most {
            let why = format!("it expands to more than {} times its size of {packed} bytes", self.ratio);
            return Err(member::malformed(&why));
        }
        Ok(())
    }
}
