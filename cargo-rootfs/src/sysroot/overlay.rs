//! Changes of the view: hidden directories, and files that the image will have but the directory has not.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::nodes::Kind;
use super::{Place, Sysroot};
use crate::error::{Error, Result};
use crate::host_files;
use crate::path::RootfsPath;
use crate::resolve::FileId;
use crate::rootfs::HostStat;

impl Sysroot {
    /// Hides a host directory inside the sysroot, so that no path finds a file in it. The sysroot itself is never
    /// hidden.
    pub fn hide(&mut self, folder: &Path) {
        let Some(folder) = host_files::real(folder).ok() else { return };
        let Ok(inside) = folder.strip_prefix(self.root()) else { return };
        let path = RootfsPath::root().join(inside.as_os_str().as_bytes());
        if path != RootfsPath::root() {
            self.hidden.push(path);
            self.folders.clear();
        }
    }

    /// Makes the files of the host directory `host` appear in `folder`, before those of the sysroot.
    pub fn graft(&mut self, folder: &RootfsPath, host: PathBuf) {
        let node = self.make_dir(folder);
        let grafts = self.grafts.entry(node).or_default();
        if grafts.contains(&host) {
            return;
        }
        grafts.push(host);
        // Cached results, except planted files, may now be another file.
        let children = self.nodes.iter_mut().filter(|child| child.parent == node && !child.is_outside);
        for child in children.filter(|child| !matches!(child.kind, Kind::Dir(_))) {
            child.kind = Kind::Unknown;
        }
    }

    /// Makes the host's regular file `host` appear at `path`.
    pub fn plant(&mut self, path: &RootfsPath, host: &Path) -> Result<FileId> {
        // The path may be a symlink; the real file counts (and its directory is the value of `$ORIGIN`).
        let host = &host_files::real(host).or_cannot("read")?;
        let metadata = host_files::metadata(host).or_cannot("read")?;
        if !metadata.is_file() {
            return Err(Error::failed(format!("`{}` is not a regular file", host.display())));
        }
        let file = self.record(Place::Outside(host.to_owned()), HostStat::from(&metadata));
        self.put_outside(path, Kind::File(file));
        Ok(file)
    }

    /// Makes a symlink appear at `path`.
    pub fn plant_link(&mut self, path: &RootfsPath, target: Arc<[u8]>) {
        self.put_outside(path, Kind::Link(target));
    }

    fn put_outside(&mut self, path: &RootfsPath, kind: Kind) {
        let parent = self.make_dir(&path.parent().unwrap_or_else(RootfsPath::root));
        let node = self.nodes.put(parent, path.file_name(), kind);
        self.nodes[node].is_outside = true;
    }

    /// Returns whether the object at `realpath`, the end of a walk, was added by `plant` or `graft`.
    pub fn is_outside(&self, realpath: &RootfsPath) -> bool {
        self.nodes.find(realpath).is_some_and(|node| self.nodes[node].is_outside)
    }

    /// Returns the same, and false for a file that was added at the place where the sysroot has it.
    pub(crate) fn is_foreign(&self, realpath: &RootfsPath) -> bool {
        let Some(node) = self.nodes.find(realpath).filter(|node| self.nodes[*node].is_outside) else { return false };
        let Kind::File(file) = self.nodes[node].kind else { return true };
        match &self.files[file.0].place {
            Place::Inside(path) => path != realpath,
            Place::Outside(host) => *host != realpath.below(self.root()),
        }
    }
}
