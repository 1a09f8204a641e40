//! Reads outputs back: an archive, a directory, a layout or an image in a registry as a tree of entries.
//!
//! Nothing is unpacked: contents are read where they are, or from a temporary file without a name. Input is untrusted,
//! and [`Limits`] bounds it. Judging what was read is for [`crate::verify`].

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

/// Bounds on what is read from somebody else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes that an image may have, uncompressed.
    pub(crate) expanded: u64,
    /// Bytes that may come out before they are compared with what went in.
    pub(crate) slack: u64,
    /// Bytes that may come out for each byte that went in. Real layers have 10 at the most; zstd can pass 10,000.
    pub(crate) ratio: u64,
    /// Entries of one tree.
    pub(crate) entries: usize,
    /// Bytes of all names and link targets.
    pub(crate) names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { expanded: 64 << 30, slack: 256 << 20, ratio: 200, entries: 2_000_000, names: 256 << 20 }
    }
}

impl Limits {
    /// Fails where `plain` bytes are too many, of themselves or for `packed` bytes.
    fn check(&self, packed: u64, plain: u64) -> io::Result<()> {
        if plain > self.expanded {
            return Err(member::malformed(&format!("it expands to more than {} bytes", self.expanded)));
        }
        self.check_ratio(packed, plain)
    }

    /// Fails where `plain` bytes are too many for `packed` bytes.
    fn check_ratio(&self, packed: u64, plain: u64) -> io::Result<()> {
        let most = self.slack.saturating_add(packed.saturating_mul(self.ratio));
        if plain > most {
            let why = format!("it expands to more than {} times its size of {packed} bytes", self.ratio);
            return Err(member::malformed(&why));
        }
        Ok(())
    }
}
