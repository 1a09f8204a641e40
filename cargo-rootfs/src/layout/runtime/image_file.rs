//! Configuration that the image will have, read before the layout.

use std::io::Read;

use crate::path::RootfsPath;
use crate::rootfs::Body;
use crate::sysroot::Sysroot;
use crate::template::{Template, TemplateKind};

/// The maximum size of a file that is read for its words; an nsswitch.conf has 500 bytes.
const MAX_LENGTH: usize = 1 << 20;

/// The file at `path`: of an include, of the template, or, if it `is_taken`, of the sysroot. `None` if the image will
/// have none.
pub(super) fn read(view: &mut Sysroot, template: &Template, is_taken: bool, path: &RootfsPath) -> Option<Vec<u8>> {
    let realpath = view.walk(path).path;
    if view.is_outside(&realpath) {
        return view.read_small(path, MAX_LENGTH);
    }
    let is_it = |it: &RootfsPath| it == path || *it == realpath;
    for entry in &template.entries {
        match &entry.kind {
            TemplateKind::File(body) if is_it(&entry.path) => return of_body(body),
            TemplateKind::FromSysroot(wanted) if wanted.candidates.iter().any(is_it) => {
                return view.read_small(path, MAX_LENGTH);
            }
            _ => {}
        }
    }
    if is_taken { view.read_small(path, MAX_LENGTH) } else { None }
}

fn of_body(body: &Body) -> Option<Vec<u8>> {
    match body {
        Body::Bytes(bytes) => Some(bytes.to_vec()),
        Body::Host(file) => {
            let mut bytes = Vec::new();
            file.open().ok()?.take(MAX_LENGTH as u64).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        }
    }
}
