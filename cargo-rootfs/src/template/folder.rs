//! A user's directory as a complete skeleton: modes and links are kept, the owner is root.
//!
//! It follows no symlink and opens no file.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use super::{TemplateEntry, TemplateKind};
use crate::error::{Error, Result, Warning};
use crate::host_files::{self, Found, Walk};
use crate::path::RootfsPath;
use crate::rootfs::{Body, HostFile};

/// Reads all entries below `root`, in no particular order; the directory itself is no entry.
pub(super) fn read(name: &str, root: &Utf8Path, warnings: &mut Vec<Warning>) -> Result<Vec<TemplateEntry>> {
    let template: Arc<str> = Arc::from(name);
    let mut entries = Vec::new();
    let (mut problems, mut unnamed) = (Vec::new(), Vec::new());
    let mut walk = Walk::below(root, "read");
    while let Some(found) = walk.next() {
        let Found { path, metadata } = found?;
        let path = match Utf8PathBuf::from_path_buf(path) {
            Ok(path) => path,
            Err(path) => {
                walk.leave();
                unnamed.push(Error::failed(format!("the name of `{}` is not UTF-8", path.display())));
                continue;
            }
        };
        let Some(kind) = kind(&path, &metadata)? else {
            problems.push(Error::failed(format!("template `{name}` holds `{path}`, which is {}", special(&metadata))));
            continue;
        };
        let below = path.strip_prefix(root).unwrap_or(&path);
        let mode = mode(&path, &metadata, warnings);
        let path = RootfsPath::root().join(below.as_str().as_bytes());
        entries.push(TemplateEntry { path, kind, mode, uid: 0, gid: 0, template: Arc::clone(&template) });
    }
    unnamed.extend(problems);
    Error::all(unnamed)?;
    Ok(entries)
}

/// The kind of an entry; `None` for a device, FIFO or socket.
fn kind(path: &Utf8Path, metadata: &fs::Metadata) -> Result<Option<TemplateKind>> {
    let file_type = metadata.file_type();
    if file_type.is_dir() {
        return Ok(Some(TemplateKind::Dir));
    }
    if file_type.is_file() {
        let file = HostFile::new(path.as_std_path().to_owned(), metadata);
        return Ok(Some(TemplateKind::File(Body::Host(Arc::new(file)))));
    }
    if !file_type.is_symlink() {
        return Ok(None);
    }
    let target = host_files::target(path).or_cannot("read")?;
    Ok(Some(TemplateKind::Symlink(Arc::from(target.into_os_string().into_encoded_bytes()))))
}

fn special(metadata: &fs::Metadata) -> &'static str {
    let file_type = metadata.file_type();
    if file_type.is_fifo() {
        "a FIFO"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// The mode on disk. All entries become root's, so set-ID bits are kept only if the file already belonged to root.
fn mode(path: &Utf8Path, metadata: &fs::Metadata, warnings: &mut Vec<Warning>) -> u32 {
    if metadata.file_type().is_symlink() {
        return 0o777;
    }
    let mode = metadata.mode() & 0o7777;
    let mut dropped = 0;
    if metadata.uid() != 0 {
        dropped |= mode & 0o4000;
    }
    if metadata.gid() != 0 {
        dropped |= mode & 0o2000;
    }
    if dropped != 0 {
        let bits = match dropped {
            0o4000 => "setuid",
            0o2000 => "setgid",
            _ => "setuid and setgid",
        };
        warnings.push(Warning::new(format!("`{path}` does not belong to root here, so it loses {bits} in the rootfs")));
    }
    mode & !dropped
}
