//! A directory of the host as a tree: follows no symlink and enters no other file system.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::apply::{Inodes, Oddity, Reading};
use super::tree::{Node, NodeKind, Place};
use crate::error::{Error, Result};
use crate::host_files::{self, Found, Walk};
use crate::path::RootfsPath;
use crate::rootfs::HostFile;

/// Reads `root` into `reading`. Files of the directory's owner belong to root in the tree: that user has unpacked it.
pub(super) fn read(root: &Path, reading: &mut Reading<'_>) -> Result<()> {
    let failed = |path: &Path, error: io::Error| Error::io("read", path, error);
    let metadata = host_files::metadata(root).or_cannot("read")?;
    let (device, owner, group) = (metadata.dev(), metadata.uid(), metadata.gid());
    let id = |id: u32, own: u32| if id == own { 0 } else { id };
    let mut inodes = Inodes::default();
    let root_node =
        Node { kind: NodeKind::Dir, mode: metadata.mode() & 0o7777, uid: 0, gid: 0, capability: None, layer: 0 };
    reading.put(RootfsPath::root(), root_node);
    let mut walk = Walk::below(root, "read");
    while let Some(found) = walk.next() {
        let Found { path: host, metadata } = found?;
        let below = host.strip_prefix(root).unwrap_or(&host);
        let inside = RootfsPath::root().join(below.as_os_str().as_bytes());
        reading.count(inside.as_bytes().len()).map_err(|error| failed(root, error))?;
        let kind = metadata.file_type();
        let inode = (metadata.dev(), metadata.ino());
        let kind = if kind.is_dir() {
            if metadata.dev() != device {
                walk.leave();
                reading.note(Oddity::Mount, inside.as_bytes());
            }
            NodeKind::Dir
        } else if kind.is_symlink() {
            let target = host_files::target(&host).or_cannot("read")?;
            NodeKind::Symlink(Arc::from(target.as_os_str().as_bytes()))
        } else if kind.is_file() {
            match inodes.get(&inode) {
                Some(known) => known.clone(),
                None => {
                    reading.spend(metadata.blocks() * 512, metadata.size()).map_err(|error| failed(&host, error))?;
                    let place = Place::Host(HostFile::new(host.clone(), &metadata));
                    let kind = NodeKind::File(reading.tree.add_content(metadata.size(), place));
                    if metadata.nlink() > 1 {
                        inodes.insert(inode, kind.clone());
                    }
                    kind
                }
            }
        } else {
            reading.note(Oddity::Special, inside.as_bytes());
            NodeKind::Special("device, FIFO or socket")
        };
        let mut value = [0u8; 64];
        let capability = match &kind {
            NodeKind::File(_) => rustix::fs::lgetxattr(&host, c"security.capability", &mut value).ok(),
            _ => None,
        };
        let capability = capability.map(|length| Arc::from(&value[..length]));
        let (uid, gid) = (id(metadata.uid(), owner), id(metadata.gid(), group));
        let node = Node { kind, mode: metadata.mode() & 0o7777, uid, gid, capability, layer: 0 };
        reading.put(inside, node);
    }
    Ok(())
}
