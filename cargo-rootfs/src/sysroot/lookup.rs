//! Path resolution: names, and the symlinks that they lead through.
//!
//! Each name is looked up once. [`disk`](super::disk) makes the system calls.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use super::disk::Seen;
use super::nodes::{Kind, NodeId, ROOT};
use super::way::Way;
use super::{End, Links, Place, Sysroot};
use crate::host_files;
use crate::path::RootfsPath;
use crate::rootfs::HostStat;

/// The maximum number of symlinks in the resolution of one path, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The result of resolving a path, and the number of symlinks on the way.
pub(super) type Reached = (NodeId, usize);

impl Sysroot {
    pub(super) fn follow(
        &mut self,
        path: &RootfsPath,
        record: Option<(&mut Links, &mut Vec<RootfsPath>)>,
    ) -> (RootfsPath, End) {
        let end = match record {
            // A caller that wants the symlinks needs the complete resolution.
            Some(_) => self.go((ROOT, 0), path.as_bytes(), record),
            None => {
                let (folder, name) = self.folder_of(path);
                self.go(folder, name, None)
            }
        };
        end.map_or_else(|lost| lost, |(node, _)| (self.nodes[node].path.clone(), self.end(node)))
    }

    /// The directory part of a path if it resolves to a directory, else the root; and the rest of the path. The same
    /// few directories are requested repeatedly.
    pub(super) fn folder_of<'p>(&mut self, path: &'p RootfsPath) -> (Reached, &'p [u8]) {
        let (folder, name) = path.as_bytes().split_at(path.as_bytes().len() - path.file_name().len());
        if let Some(&known) = self.folders.get(folder) {
            return (known, name);
        }
        match self.go((ROOT, 0), folder, None) {
            Ok(reached) if matches!(self.nodes[reached.0].kind, Kind::Dir(_)) => {
                self.folders.insert(folder.into(), reached);
                (reached, name)
            }
            _ => ((ROOT, 0), path.as_bytes()),
        }
    }

    /// Continues from a directory. The result may be absent, or below an object that is no directory.
    pub(super) fn go(
        &mut self,
        (mut node, mut met): Reached,
        path: &[u8],
        mut record: Option<(&mut Links, &mut Vec<RootfsPath>)>,
    ) -> std::result::Result<Reached, (RootfsPath, End)> {
        let mut way = Way::new(path);
        let mut needs_folder = false;
        while let Some(part) = way.next() {
            let part = way.part(part);
            if !matches!(self.nodes[node].kind, Kind::Dir(_)) {
                // A file where a directory is needed: ENOTDIR.
                let mut lost = self.nodes[node].path.child(part);
                while let Some(part) = way.next() {
                    lost = lost.child(way.part(part));
                }
                let end = match self.end(node) {
                    end @ (End::Failed(_) | End::Absent) => end,
                    _ => End::NotDir,
                };
                // Below a missing object there are no symlinks.
                return Err((lost.normalized(), end));
            }
            if part == b".." {
                if let Some((_, passed)) = &mut record {
                    passed.push(self.nodes[node].path.clone());
                }
                node = self.nodes[node].parent;
                continue;
            }
            let child = self.child(node, part);
            let Kind::Link(target) = &self.nodes[child].kind else {
                node = child;
                continue;
            };
            met += 1;
            if met > MAX_LINKS {
                return Err((self.nodes[child].path.clone(), End::Loop));
            }
            if let Some((links, _)) = &mut record {
                links.push((self.nodes[child].path.clone(), Arc::clone(target)));
            }
            if target.first() == Some(&b'/') {
                node = ROOT;
            }
            needs_folder |= asks_for_folder(target) && way.is_at_end();
            way.turn(Arc::clone(target));
        }
        if needs_folder && matches!(self.nodes[node].kind, Kind::File(_) | Kind::Special(_)) {
            return Err((self.nodes[node].path.clone(), End::NotDir));
        }
        Ok((node, met))
    }

    pub(super) fn end(&self, node: NodeId) -> End {
        match &self.nodes[node].kind {
            Kind::Dir(mode) => End::Dir(mode.unwrap_or(0o755)),
            Kind::File(file) => End::File(*file),
            Kind::Special(word) => End::Special(word),
            Kind::Absent | Kind::Unknown => End::Absent,
            Kind::Link(_) => End::Loop,
            Kind::Failed(error) => End::Failed(Arc::clone(error)),
        }
    }

    /// The node of `name` in the directory `parent`, looked up if it is new.
    pub(super) fn child(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        if let Some(known) = self.nodes.get(parent, name) {
            if !matches!(self.nodes[known].kind, Kind::Unknown) {
                return known;
            }
        }
        let grafts = self.grafts.get(&parent).cloned().unwrap_or_default();
        if let Some(kind) = grafts.iter().find_map(|graft| self.look_grafted(graft, name)) {
            let node = self.nodes.put(parent, name, kind);
            self.nodes[node].is_outside = true;
            return node;
        }
        let node = self.nodes.put(parent, name, Kind::Unknown);
        let seen = match self.nodes[parent].kind {
            Kind::Dir(Some(_)) if !self.hidden.contains(&self.nodes[node].path) => {
                self.disk.look(&self.nodes[node].path)
            }
            _ => Seen::Absent,
        };
        self.saw(node, seen);
        node
    }

    pub(super) fn saw(&mut self, node: NodeId, seen: Seen) {
        self.nodes[node].kind = match seen {
            Seen::Dir(mode) => Kind::Dir(Some(mode)),
            Seen::Link(target) => Kind::Link(target),
            Seen::File(stat) => Kind::File(self.record(Place::Inside(self.nodes[node].path.clone()), stat)),
            Seen::Special(word) => Kind::Special(word),
            Seen::Absent => Kind::Absent,
            Seen::Failed(error) => Kind::Failed(Arc::new(error)),
        };
    }

    /// Looks up a name in a grafted directory, which shows its regular files. A symlink to a name in the same directory
    /// stays a symlink; for any other one, the file itself is shown, because host paths have no meaning in the image.
    pub(super) fn look_grafted(&mut self, graft: &Path, name: &[u8]) -> Option<Kind> {
        let host = graft.join(OsStr::from_bytes(name));
        let metadata = host_files::own_metadata(&host).ok()?;
        if metadata.is_symlink() {
            let target = host_files::target(&host).ok()?.into_os_string().into_vec();
            if is_sibling(&target) {
                return Some(Kind::Link(Arc::from(target)));
            }
        }
        let host = host_files::real(&host).ok()?;
        let metadata = host_files::metadata(&host).ok()?;
        if !metadata.is_file() {
            return None;
        }
        Some(Kind::File(self.record(Place::Outside(host), HostStat::from(&metadata))))
    }

    /// The directory at `path`, added if it does not exist.
    pub(super) fn make_dir(&mut self, path: &RootfsPath) -> NodeId {
        // A new directory changes the results of cached paths.
        self.folders.clear();
        let mut node = ROOT;
        let mut met = 0;
        let mut way = Way::new(path.as_bytes());
        while let Some(part) = way.next() {
            let part = way.part(part);
            if part == b".." {
                node = self.nodes[node].parent;
                continue;
            }
            let child = self.child(node, part);
            match &self.nodes[child].kind {
                Kind::Link(target) if met < MAX_LINKS => {
                    met += 1;
                    if target.first() == Some(&b'/') {
                        node = ROOT;
                    }
                    way.turn(Arc::clone(target));
                }
                Kind::Dir(_) => node = child,
                _ => {
                    self.nodes[child].kind = Kind::Dir(None);
                    node = child;
                }
            }
        }
        node
    }
}

/// Returns whether a symlink's target is a name in the same directory.
pub(super) fn is_sibling(target: &[u8]) -> bool {
    !target.contains(&b'/') && !matches!(target, b"" | b"." | b"..")
}

/// Returns whether a symlink with this target can only lead to a directory (path_resolution(7), "trailing slashes").
pub(crate) fn asks_for_folder(target: &[u8]) -> bool {
    target.ends_with(b"/") || target.ends_with(b"/.") || target == b"."
}
