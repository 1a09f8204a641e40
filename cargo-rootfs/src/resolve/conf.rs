//! ld.so.conf with its includes: the directories that ldconfig(8) would put into a cache.
//!
//! The loader never reads it. It is used for a freshly extracted sysroot without a cache.

use rustc_hash::FxHashSet;

use super::{FileId, Files, Find};
use crate::glob::{self, Part};
use crate::path::RootfsPath;

/// The maximum size of a configuration file.
const MAX_LENGTH: usize = 1 << 20;
/// The maximum number of includes: patterns, and files that match them.
const MAX_INCLUDES: usize = 1024;

/// The directories in `/etc/ld.so.conf`, in order, without duplicates.
pub(super) fn folders(files: &mut dyn Files) -> Vec<RootfsPath> {
    let mut reading = Reading { left: MAX_INCLUDES, ..Reading::default() };
    reading.file(files, &RootfsPath::root().join(b"etc/ld.so.conf"));
    reading.found
}

#[derive(Default)]
struct Reading {
    found: Vec<RootfsPath>,
    known: FxHashSet<RootfsPath>,
    /// Each file is read once. ldconfig would not end on a file that includes itself, and a second reading adds
    /// nothing.
    read: FxHashSet<FileId>,
    left: usize,
}

impl Reading {
    /// The number of includes limits their depth.
    fn file(&mut self, files: &mut dyn Files, path: &RootfsPath) {
        let Find::File { file, .. } = files.find(path) else { return };
        if !self.read.insert(file) {
            return;
        }
        let Ok(bytes) = files.read(file, MAX_LENGTH) else { return };
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
            if let Some(patterns) = directive(line, b"include") {
                self.include(files, path, patterns);
            } else if directive(line, b"hwcap").is_none() {
                // `/some/dir=libc6` is an old syntax for the libc of a directory.
                let folder = line.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
                if let Some(folder) = RootfsPath::from_bytes(folder) {
                    if self.known.insert(folder.clone()) {
                        self.found.push(folder);
                    }
                }
            }
        }
    }

    fn include(&mut self, files: &mut dyn Files, path: &RootfsPath, patterns: &[u8]) {
        for pattern in patterns.split(u8::is_ascii_whitespace).filter(|pattern| !pattern.is_empty()) {
            if !self.spend() {
                return;
            }
            let pattern = match path.parent() {
                Some(folder) if pattern.first() != Some(&b'/') => folder.join(pattern),
                _ => RootfsPath::root().join(pattern),
            };
            for included in matching(files, &pattern) {
                if !self.spend() {
                    return;
                }
                self.file(files, &included);
            }
        }
    }

    fn spend(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}

fn directive<'l>(line: &'l [u8], word: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(word)?;
    rest.first()?.is_ascii_whitespace().then(|| rest.trim_ascii())
}

/// The paths that match `pattern`, sorted; wildcards count in its last component, and match no leading dot (glob(7)).
fn matching(files: &mut dyn Files, pattern: &RootfsPath) -> Vec<RootfsPath> {
    let (name, Some(folder)) = (pattern.file_name(), pattern.parent()) else { return Vec::new() };
    match glob::component(name) {
        Ok(Part::Text(name)) => vec![folder.join(&name)],
        Ok(part) => {
            let names = files.list(&folder).into_iter();
            let names = names.filter(|entry| !entry.starts_with(b".") || name.starts_with(b"."));
            names.filter(|entry| part.matches(entry)).map(|entry| folder.join(&entry)).collect()
        }
        Err(_) => Vec::new(),
    }
}
