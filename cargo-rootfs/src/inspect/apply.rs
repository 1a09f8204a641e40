//! Applies layers, or one archive, to a tree: whiteouts, links, and invalid names.
//!
//! No entry leaves the tree. An [`Oddity`] records each thing that a strict loader refuses; entries that cannot be read
//! safely are skipped. [`crate::verify`] judges the oddities.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustc_hash::{FxHashMap, FxHashSet};

use super::Limits;
use super::member::{Member, MemberKind, Members, malformed};
use super::tree::{Found, Node, NodeKind, Place, Tree};
use crate::path::RootfsPath;

/// A defect of an archive that some loader refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Oddity {
    /// The name begins with a slash, which is ignored.
    Absolute,
    /// The name contains `..`. The entry is skipped.
    LeadsUp,
    /// The target of a hard link contains `..`. The entry is skipped.
    LinkLeadsOut,
    /// The target of a hard link does not exist. The entry is skipped.
    LinkToNothing,
    /// The target of a hard link is in another layer.
    LinkAcrossLayers,
    /// A hard link has a size.
    LinkWithSize,
    /// A parent directory is a symlink, which is followed inside the tree.
    ThroughLink,
    /// A parent is not a directory. The entry is skipped.
    NotInDirectory,
    /// A parent directory is not in the layer.
    ParentNotInLayer,
    /// The layer or archive has the name more than once. The last entry counts.
    Twice,
    /// A device, FIFO or socket. It is listed but never made.
    Special,
    /// A directory of another file system, which is not read.
    Mount,
}

impl Oddity {
    /// True if the entry is not in the tree.
    pub(crate) fn is_passed_over(self) -> bool {
        matches!(self, Self::LeadsUp | Self::LinkLeadsOut | Self::LinkToNothing | Self::NotInDirectory)
    }
}

/// The oddities of one kind in one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// The first names.
    pub(crate) names: Vec<String>,
    pub(crate) count: usize,
}

/// Oddities by layer and kind.
pub(crate) type Oddities = BTreeMap<(usize, Oddity), Met>;

/// The number of kept names of each kind.
const NAMES: usize = 3;

/// A tree during reading.
pub(super) struct Reading<'l> {
    pub(super) tree: Tree,
    pub(super) oddities: Oddities,
    limits: &'l Limits,
    stop: &'l AtomicBool,
    /// True if names may be whiteouts.
    is_layered: bool,
    layer: usize,
    /// The names of the current layer.
    seen: FxHashSet<RootfsPath>,
    /// The total length of the names, in bytes.
    names: usize,
    /// The total size of host files: their blocks on the disk, and their lengths.
    packed: u64,
    plain: u64,
    spool: Option<(Arc<File>, u64)>,
}

impl<'l> Reading<'l> {
    pub(super) fn new(limits: &'l Limits, stop: &'l AtomicBool, is_layered: bool) -> Self {
        Self {
            tree: Tree::default(),
            oddities: Oddities::new(),
            limits,
            stop,
            is_layered,
            layer: 0,
            seen: FxHashSet::default(),
            names: 0,
            packed: 0,
            plain: 0,
            spool: None,
        }
    }

    /// Applies one archive, and returns its reader at the end. File contents stay in `source` from an offset on, or are
    /// written to a temporary file.
    pub(super) fn archive<R: Read>(&mut self, reader: R, source: Option<(Arc<File>, u64)>) -> io::Result<R> {
        self.seen.clear();
        let mut members = Members::new(reader);
        while let Some(member) = members.next()? {
            self.entry(member, &mut members, source.as_ref())?;
        }
        self.layer += 1;
        members.drain()
    }

    /// The tree; a missing root directory is added.
    pub(super) fn finish(mut self) -> (Tree, Oddities) {
        if self.tree.get(&RootfsPath::root()).is_none() {
            self.tree.insert(RootfsPath::root(), directory(0));
        }
        (self.tree, self.oddities)
    }

    pub(super) fn note(&mut self, oddity: Oddity, name: &[u8]) {
        let met = self.oddities.entry((self.layer, oddity)).or_default();
        met.count += 1;
        if met.names.len() < NAMES {
            met.names.push(String::from_utf8_lossy(name).into_owned());
        }
    }

    fn entry<R: Read>(
        &mut self,
        member: Member,
        data: &mut Members<R>,
        source: Option<&(Arc<File>, u64)>,
    ) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.count(member.name.len() + member.link.len())?;
        if member.name.starts_with(b"/") {
            self.note(Oddity::Absolute, &member.name);
        }
        let path = RootfsPath::root().join(&member.name);
        if member.name.contains(&0) || path.components().any(|part| part == b"..") {
            self.note(Oddity::LeadsUp, &member.name);
            return Ok(());
        }
        if self.is_layered && self.is_whiteout(&path) {
            return Ok(());
        }
        let Some(path) = self.placed(&path, &member.name) else { return Ok(()) };
        if !self.seen.insert(path.clone()) {
            self.note(Oddity::Twice, &member.name);
        }
        let kind = match member.kind {
            MemberKind::Dir => NodeKind::Dir,
            MemberKind::Symlink => NodeKind::Symlink(Arc::from(&member.link[..])),
            MemberKind::Special(word) => {
                self.note(Oddity::Special, &member.name);
                NodeKind::Special(word)
            }
            MemberKind::File => {
                let place = self.keep(member.size, data, source)?;
                NodeKind::File(self.tree.add_content(member.size, place))
            }
            MemberKind::Hardlink => match self.linked(&member) {
                Some(kind) => kind,
                None => return Ok(()),
            },
        };
        let Member { mode, uid, gid, capability, .. } = member;
        self.put(path, Node { kind, mode, uid, gid, capability, layer: self.layer });
        Ok(())
    }

    /// Counts an entry against the limits of memory.
    pub(super) fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.names += bytes;
        if self.tree.len() >= self.limits.entries || self.names > self.limits.names {
            let (entries, names) = (self.limits.entries, self.limits.names);
            return Err(malformed(&format!("it has more than {entries} entries, or {names} bytes of names")));
        }
        Ok(())
    }

    /// Returns whether `path` is a whiteout, and applies it (image specification, layer.md). Whiteouts affect lower
    /// layers only.
    fn is_whiteout(&mut self, path: &RootfsPath) -> bool {
        let Some(name) = path.file_name().strip_prefix(b".wh.") else { return false };
        let parent = path.parent().unwrap_or_else(RootfsPath::root);
        // AUFS's own names have no meaning here, except the opaque directory.
        if name == b".wh..opq" {
            self.hide_below(&parent);
        } else if !name.starts_with(b".wh.") && !name.is_empty() {
            let hidden = parent.join(name);
            if self.tree.get(&hidden).is_some_and(|node| node.layer < self.layer) {
                self.hide_below(&hidden);
                // The directory stays if this layer has already an entry in it.
                if self.tree.below(&hidden).next().is_none() {
                    self.tree.remove(&hidden);
                }
            }
        }
        true
    }

    fn hide_below(&mut self, directory: &RootfsPath) {
        let below = self.tree.below(directory).filter(|(_, node)| node.layer < self.layer);
        let mut hidden: Vec<RootfsPath> = below.map(|(path, _)| path.clone()).collect();
        // Directories with an entry of this layer stay.
        hidden.reverse();
        for path in hidden {
            if self.tree.below(&path).next().is_none() {
                self.tree.remove(&path);
            }
        }
    }

    /// The path without symlinks at which an entry is put; makes missing parent directories. `None` if that is
    /// impossible.
    fn placed(&mut self, path: &RootfsPath, name: &[u8]) -> Option<RootfsPath> {
        let Some(parent) = path.parent() else { return Some(path.clone()) };
        if !self.seen.contains(&parent) && (self.is_layered || parent != RootfsPath::root()) {
            self.note(Oddity::ParentNotInLayer, name);
        }
        if matches!(self.tree.get(&parent).map(|node| &node.kind), Some(NodeKind::Dir)) {
            return Some(path.clone());
        }
        let mut at = RootfsPath::root();
        if self.tree.get(&at).is_none() {
            self.tree.insert(at.clone(), directory(self.layer));
        }
        let mut passed_link = false;
        for part in parent.components() {
            let next = at.join(part);
            match self.tree.get(&next).map(|node| &node.kind) {
                Some(NodeKind::Dir) => at = next,
                Some(NodeKind::Symlink(_)) => match self.tree.find(&next) {
                    Found::Node(real, Node { kind: NodeKind::Dir, .. }) => {
                        passed_link = true;
                        at = real;
                    }
                    _ => {
                        self.note(Oddity::NotInDirectory, name);
                        return None;
                    }
                },
                Some(_) => {
                    self.note(Oddity::NotInDirectory, name);
                    return None;
                }
                None => {
                    self.tree.insert(next.clone(), directory(self.layer));
                    at = next;
                }
            }
        }
        if passed_link {
            self.note(Oddity::ThroughLink, name);
        }
        Some(at.join(path.file_name()))
    }

    /// The entry to which a hard link adds a name.
    fn linked(&mut self, member: &Member) -> Option<NodeKind> {
        let target = RootfsPath::root().join(&member.link);
        if member.link.contains(&0) || target.components().any(|part| part == b"..") {
            self.note(Oddity::LinkLeadsOut, &member.name);
            return None;
        }
        if member.link.starts_with(b"/") {
            self.note(Oddity::Absolute, &member.link);
        }
        if member.size > 0 {
            self.note(Oddity::LinkWithSize, &member.name);
        }
        let node = match self.tree.get(&target) {
            Some(node) if !matches!(node.kind, NodeKind::Dir) => node.clone(),
            _ => {
                self.note(Oddity::LinkToNothing, &member.name);
                return None;
            }
        };
        if node.layer != self.layer {
            self.note(Oddity::LinkAcrossLayers, &member.name);
        }
        Some(node.kind)
    }

    /// Replaces the entry at `path`. Only a new directory keeps the entries below it.
    pub(super) fn put(&mut self, path: RootfsPath, node: Node) {
        if !matches!(node.kind, NodeKind::Dir) {
            let below: Vec<RootfsPath> = match self.tree.get(&path).map(|node| &node.kind) {
                Some(NodeKind::Dir) => self.tree.below(&path).map(|(path, _)| path.clone()).collect(),
                _ => Vec::new(),
            };
            for path in below {
                self.tree.remove(&path);
            }
        }
        self.tree.insert(path, node);
    }

    /// Stores a file's bytes: in the archive itself, or in the temporary file, which keeps holes.
    fn keep<R: Read>(
        &mut self,
        size: u64,
        data: &mut Members<R>,
        source: Option<&(Arc<File>, u64)>,
    ) -> io::Result<Place> {
        if let Some((file, start)) = source {
            return Ok(Place::Part { file: Arc::clone(file), offset: start + data.position() });
        }
        let (file, offset) = match &self.spool {
            Some((file, end)) => (Arc::clone(file), *end),
            None => (Arc::new(spool()?), 0),
        };
        let end = copy(&file, offset, data)?;
        if end - offset != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.spool = Some((Arc::clone(&file), end));
        Ok(Place::Part { file, offset })
    }
}

/// A directory without an entry of its own.
fn directory(layer: usize) -> Node {
    Node { kind: NodeKind::Dir, mode: 0o755, uid: 0, gid: 0, capability: None, layer }
}

/// A file without a name, for large data in /var/tmp: /tmp may be in memory (hier(7)).
pub(super) fn spool() -> io::Result<File> {
    let is_chosen = std::env::var_os("TMPDIR").is_some();
    match tempfile::tempfile_in("/var/tmp") {
        Ok(file) if !is_chosen => Ok(file),
        _ => tempfile::tempfile(),
    }
}

/// Copies `data` to `file` from `offset` on, and returns the end. Blocks of zeros become holes.
pub(super) fn copy(mut file: &File, offset: u64, data: &mut impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 128 << 10];
    let mut end = offset;
    loop {
        let count = match data.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer[..count].iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start(end))?;
            file.write_all(&buffer[..count])?;
        }
        end += count as u64;
    }
    if file.metadata()?.len() < end {
        file.set_len(end)?;
    }
    Ok(end)
}

/// Host files with several hard links, by their inode numbers.
pub(super) type Inodes = FxHashMap<(u64, u64), NodeKind>;

impl Reading<'_> {
    /// Counts a host file of `packed` bytes on the disk against the limits. A large file is allowed; a sparse one with
    /// a huge length is not.
    pub(super) fn spend(&mut self, packed: u64, plain: u64) -> io::Result<()> {
        self.packed += packed;
        self.plain += plain;
        self.limits.check_ratio(self.packed, self.plain)
    }
}
