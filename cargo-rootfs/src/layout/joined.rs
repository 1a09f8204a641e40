//! Files made from the text of others: several files joined, or one file with an additional line.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::place::Layout;
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::resolve::Files;
use crate::rootfs::{Body, Kind, Origin};
use crate::sysroot::{Below, End};

/// The maximum size of joined files; a directory of certificates has about 200 KiB.
const MAX_JOINED: usize = 16 << 20;

impl Layout<'_> {
    /// The files below `folders`, joined in the order of their paths; `None` if there are none.
    pub(super) fn joined(&mut self, folders: &[RootfsPath]) -> Result<Option<Arc<[u8]>>> {
        let mut files = BTreeMap::new();
        let mut below = Below::each(folders.to_vec());
        while let Some(child) = below.next(self.view) {
            let walk = self.view.walk(&child);
            match walk.end {
                End::File(file) => drop(files.insert(child, file)),
                End::Dir(_) if walk.links.is_empty() => below.enter(child),
                _ => {}
            }
        }
        let mut joined = Vec::new();
        for (path, file) in files {
            let left = MAX_JOINED - joined.len();
            joined
                .extend(self.view.read(file, left).map_err(|error| Error::io("read", path.to_text().as_ref(), error))?);
            if joined.last() != Some(&b'\n') && joined.len() < MAX_JOINED {
                joined.push(b'\n');
            }
        }
        Ok((!joined.is_empty()).then(|| Arc::from(joined)))
    }

    /// Adds a line to the template's file at `path`, unless a line of it has the same beginning up to the colon.
    pub(super) fn add_line(&mut self, path: &RootfsPath, line: &str, origin: &Origin) -> Result<()> {
        let place = self.view.place(path).path;
        let Some(entry) = self.rootfs.get_mut(&place) else { return Ok(()) };
        let is_templates = entry.origins.iter().any(|origin| matches!(origin, Origin::Template(_)));
        let (true, Kind::File(body)) = (is_templates, &mut entry.kind) else { return Ok(()) };
        let mut text = match body {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::Host(file) => {
                let mut bytes = Vec::new();
                let mut read = file.open()?.take(MAX_JOINED as u64);
                read.read_to_end(&mut bytes).map_err(|error| Error::io("read", &file.path, error))?;
                bytes
            }
        };
        let key = line.split_inclusive(':').next().unwrap_or(line);
        if text.split(|byte| *byte == b'\n').any(|known| known.starts_with(key.as_bytes())) {
            return Ok(());
        }
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        text.extend([line.as_bytes(), b"\n"].concat());
        *body = Body::Bytes(Arc::from(text));
        entry.origins.insert(origin.clone());
        Ok(())
    }
}
