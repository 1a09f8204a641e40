//! Puts entries at their places: behind the sysroot's symlinks, with their parent directories, each once.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::rights::{SETGID, SETUID};
use super::secrets;
use super::surprises::Surprises;
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::policy::Policy;
use crate::resolve::{FileId, Files};
use crate::rootfs::{Body, Entry, Kind, Origin, Rootfs};
use crate::sysroot::{Below, End, Links, Sysroot, Walk};

/// A rootfs during its layout.
pub(super) struct Layout<'a> {
    pub(super) view: &'a mut Sysroot,
    policy: &'a Policy,
    pub(super) rootfs: Rootfs,
    pub(super) surprises: Surprises,
    /// Files that were put with their symlinks, by the paths that lead to them: most libraries are in many closures.
    copied: FxHashMap<RootfsPath, (RootfsPath, FileId)>,
}

/// The rule for an entry whose place is taken by another one. The same file, symlink or directory is no conflict: it
/// gets a further origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfThere {
    /// Fails: it is unknown which of the two is meant.
    Fail,
    /// Keeps the present entry; a directory takes the mode and the owner of the new one.
    Adjust,
    /// Keeps the present entry, and any entry on the path that leads elsewhere.
    Keep,
}

impl<'a> Layout<'a> {
    pub(super) fn new(view: &'a mut Sysroot, policy: &'a Policy) -> Self {
        let mut rootfs = Rootfs::default();
        let origin = Origin::Generated("the root directory".to_owned());
        rootfs.insert(RootfsPath::root(), Entry::new(Kind::Dir, 0o755, origin));
        Self { view, policy, rootfs, surprises: Surprises::default(), copied: FxHashMap::default() }
    }

    /// Returns whether the sysroot has a file or a directory at `path`.
    pub(super) fn exists(&mut self, path: &RootfsPath) -> bool {
        matches!(self.view.walk(path).end, End::File(_) | End::Dir(_))
    }

    /// Returns whether the rootfs has an entry at `path`.
    pub(super) fn has(&mut self, path: &RootfsPath) -> bool {
        let place = self.view.place(path).path;
        self.rootfs.get(&place).is_some()
    }

    /// Puts an entry that is not from the sysroot: of an include, a template or a rule, or a generated one.
    pub(super) fn put(&mut self, path: &RootfsPath, entry: Entry, if_there: IfThere) -> Result<()> {
        let mut place = self.view.place(path);
        if if_there == IfThere::Keep {
            if self.rootfs.get(&place.path).is_some() || self.is_barred(&place.links, &place.path) {
                return Ok(());
            }
        } else if matches!(entry.kind, Kind::Dir) {
            // A directory (`/bin`) that is a symlink to a directory in the sysroot means the latter.
            let walk = self.view.walk(path);
            place = if matches!(walk.end, End::Dir(_)) { walk } else { place };
        }
        self.links(&place.links, &place.path)?;
        self.parents(&place.path)?;
        match self.rootfs.get_mut(&place.path) {
            Some(known) if if_there == IfThere::Adjust => {
                if matches!((&known.kind, &entry.kind), (Kind::Dir, Kind::Dir)) {
                    known.mode = entry.mode;
                    (known.uid, known.gid) = (entry.uid, entry.gid);
                    known.origins.extend(entry.origins);
                }
                Ok(())
            }
            _ => self.insert(&place.path, entry),
        }
    }

    /// Puts a symlink to `target`, which has no symlinks in it, at an unused path.
    pub(super) fn symlink(&mut self, path: &RootfsPath, target: &RootfsPath, origin: &Origin) -> Result<()> {
        let target = relative(&self.view.place(path).path, target);
        self.put(path, Entry::new(Kind::Symlink(target), 0o777, origin.clone()), IfThere::Keep)
    }

    /// Puts the sysroot's file or directory at `path`, with every symlink that leads to it.
    pub(super) fn copy(&mut self, path: &RootfsPath, origin: &Origin, if_there: IfThere) -> Result<()> {
        if let Some((real, file)) = self.copied.get(path).filter(|_| if_there == IfThere::Fail) {
            return self.file(&real.clone(), *file, origin);
        }
        let walk = self.view.walk(path);
        if if_there != IfThere::Fail && self.is_taken(&walk) {
            return Ok(());
        }
        match walk.end {
            End::File(file) => {
                self.links(&walk.links, &walk.path)?;
                for directory in &walk.passed {
                    self.directory(directory, &Origin::Leads(walk.path.clone()))?;
                }
                self.file(&walk.path, file, origin)?;
                self.copied.insert(path.clone(), (walk.path, file));
                Ok(())
            }
            End::Dir(_) => {
                self.links(&walk.links, &walk.path)?;
                self.directory(&walk.path, origin)
            }
            End::Special(word) => Err(Error::failed(format!("`{path}` of the sysroot is a {word}"))),
            End::Absent | End::NotDir => Err(Error::failed(format!("`{path}` is not in the sysroot"))),
            End::Loop => Err(Error::failed(format!("`{path}` leads through too many symbolic links"))),
            End::Failed(error) => {
                Err(Error::failed(format!("cannot read `{path}` in the sysroot")).detail(error.to_string()))
            }
        }
    }

    /// Returns whether another entry is at the end of `walk`, or nothing can be put there.
    fn is_taken(&self, walk: &Walk) -> bool {
        let is_other = match (walk.end.clone(), self.rootfs.get(&walk.path).map(|entry| &entry.kind)) {
            (End::File(_) | End::Dir(_), None) | (End::Dir(_), Some(Kind::Dir)) => false,
            (End::File(file), Some(Kind::File(Body::Host(host)))) => host.inode != self.view.inode(file),
            _ => true,
        };
        is_other || self.is_barred(&walk.links, &walk.path)
    }

    /// Returns whether the rootfs has a conflicting entry on the path to `path`: another symlink, or a file in place of
    /// a directory.
    fn is_barred(&self, links: &Links, path: &RootfsPath) -> bool {
        let is_other = |(link, target): &(RootfsPath, Arc<[u8]>)| match self.rootfs.get(link).map(|entry| &entry.kind) {
            Some(Kind::Symlink(known)) => known != target,
            Some(_) => true,
            None => self.is_below_a_file(link),
        };
        links.iter().any(is_other) || self.is_below_a_file(path)
    }

    /// Returns whether a file or a symlink of the rootfs is in place of a directory above `path`.
    pub(super) fn is_below_a_file(&self, path: &RootfsPath) -> bool {
        let mut folders = std::iter::successors(path.parent(), RootfsPath::parent);
        // An entry's parents are directories.
        folders.find_map(|folder| self.rootfs.get(&folder)).is_some_and(|entry| !matches!(entry.kind, Kind::Dir))
    }

    /// Copies a directory with everything below it, without secrets and the relative paths in `exclude`.
    pub(super) fn copy_tree(&mut self, path: &RootfsPath, exclude: &[String], origin: &Origin) -> Result<()> {
        self.copy(path, origin, IfThere::Fail)?;
        let top = self.view.walk(path).path;
        let mut below = Below::of(top.clone());
        while let Some(child) = below.next(self.view) {
            let relative = &child.as_bytes()[top.as_bytes().len()..];
            if exclude.iter().any(|out| relative.strip_prefix(b"/") == Some(out.as_bytes())) {
                continue;
            }
            if let Some(secret) = secrets::of(self.view, self.policy, &child) {
                self.surprises.held_back(child, secret);
                continue;
            }
            let walk = self.view.walk(&child);
            match walk.end {
                // A link to a directory of the same tree: the directory itself is copied too.
                End::Dir(_) if walk.links.is_empty() => {
                    self.directory(&child, origin)?;
                    below.enter(child);
                }
                End::Dir(_) if walk.path.is_within(&top) => self.links(&walk.links, &walk.path)?,
                End::File(file) if self.may_read(file) => self.copy(&child, origin, IfThere::Fail)?,
                End::File(_) => self.surprises.unreadable(child),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns whether the current user may read the file. The kernel is queried only if others may not.
    fn may_read(&self, file: FileId) -> bool {
        let info = self.view.info(file);
        info.mode & 0o004 != 0 || rustix::fs::access(&info.host.path, rustix::fs::Access::READ_OK).is_ok()
    }

    pub(super) fn links(&mut self, links: &Links, leads_to: &RootfsPath) -> Result<()> {
        for (path, target) in links {
            let origin = Origin::Leads(leads_to.clone());
            self.parents(path)?;
            self.insert(path, Entry::new(Kind::Symlink(Arc::clone(target)), 0o777, origin))?;
        }
        Ok(())
    }

    fn directory(&mut self, path: &RootfsPath, origin: &Origin) -> Result<()> {
        self.parents(path)?;
        let mode = self.mode_of_directory(path);
        self.insert(path, Entry::new(Kind::Dir, mode, origin.clone()))
    }

    /// The mode of a directory without set-group-ID: that is a convention of its host (inode(7)), and the group is not
    /// kept.
    fn mode_of_directory(&mut self, path: &RootfsPath) -> u32 {
        match self.view.walk(path).end {
            End::Dir(mode) => mode & !(SETUID | SETGID),
            _ => 0o755,
        }
    }

    fn parents(&mut self, path: &RootfsPath) -> Result<()> {
        let mut missing = Vec::new();
        let mut at = path.parent();
        while let Some(folder) = at {
            match self.rootfs.get(&folder) {
                Some(Entry { kind: Kind::Dir, .. }) => break,
                Some(_) => {
                    let error = Error::failed(format!("`{folder}` would be a file and the directory of `{path}`"));
                    return Err(error);
                }
                None => {}
            }
            at = folder.parent();
            missing.push(folder);
        }
        for folder in missing.into_iter().rev() {
            let mode = self.mode_of_directory(&folder);
            self.insert(&folder, Entry::new(Kind::Dir, mode, Origin::Leads(path.clone())))?;
        }
        Ok(())
    }

    fn file(&mut self, path: &RootfsPath, file: FileId, origin: &Origin) -> Result<()> {
        if let Some(known) = self.rootfs.get_mut(path) {
            if matches!(&known.kind, Kind::File(Body::Host(host)) if host.inode == self.view.inode(file)) {
                known.origins.insert(origin.clone());
                return Ok(());
            }
        }
        self.parents(path)?;
        let info = Arc::clone(self.view.info(file));
        let mode = if self.view.is_outside(path) {
            // A build output has the umask of its user in its mode; an installed file has not.
            if info.mode & 0o111 != 0 { 0o755 } else { 0o644 }
        } else {
            let (uid, gid) = self.owner(path, &info);
            self.kept_mode(path, info.mode, uid, gid)
        };
        let mut entry = Entry::new(Kind::File(Body::Host(Arc::clone(&info.host))), mode, origin.clone());
        entry.capability = self.kept_capability(path, mode, &info.host.path);
        self.insert(path, entry)
    }

    fn insert(&mut self, path: &RootfsPath, entry: Entry) -> Result<()> {
        let Some(known) = self.rootfs.get_mut(path) else {
            self.rootfs.insert(path.clone(), entry);
            return Ok(());
        };
        let is_same = match (&known.kind, &entry.kind) {
            (Kind::Dir, Kind::Dir) => true,
            (Kind::Symlink(one), Kind::Symlink(two)) => one == two,
            (Kind::File(Body::Host(one)), Kind::File(Body::Host(two))) => one.inode == two.inode,
            _ => false,
        };
        if is_same {
            known.origins.extend(entry.origins);
            return Ok(());
        }
        let reason = |entry: &Entry| entry.origins.first().map(Origin::to_string).unwrap_or_default();
        Err(Error::failed(format!("two sources for `{path}`"))
            .detail(format!("{} and {}", reason(known), reason(&entry)))
            .help("give one of them another place"))
    }

    /// Returns the rootfs, with hard links detected and every name checked.
    pub(super) fn finish(mut self) -> Result<Rootfs> {
        let mut errors = Vec::new();
        let mut first: BTreeMap<((u64, u64), u32, u32, u32), RootfsPath> = BTreeMap::new();
        let mut links = Vec::new();
        for (path, entry) in self.rootfs.iter() {
            if path.as_str().is_none() {
                errors.push(Error::failed(format!("`{path}` has a name that is not UTF-8")));
            }
            let Kind::File(Body::Host(host)) = &entry.kind else { continue };
            if host.links > 1 {
                // An include may give two names different owners or modes, so they are two files.
                let key = (host.inode, entry.mode, entry.uid, entry.gid);
                match first.get(&key) {
                    Some(target) => links.push((path.clone(), target.clone())),
                    None => {
                        first.insert(key, path.clone());
                    }
                }
            }
        }
        for (path, target) in links {
            if let Some(entry) = self.rootfs.get_mut(&path) {
                entry.kind = Kind::Hardlink(target);
            }
        }
        Error::all(errors)?;
        Ok(self.rootfs)
    }
}

/// The relative target of a link at `from` that leads to `to`; neither has symlinks in it.
fn relative(from: &RootfsPath, to: &RootfsPath) -> Arc<[u8]> {
    let here: Vec<_> = from.components().collect();
    let there: Vec<_> = to.components().collect();
    let folder = &here[..here.len().saturating_sub(1)];
    let shared = folder.iter().zip(&there).take_while(|(one, two)| one == two).count();
    let up = std::iter::repeat_n(&b".."[..], folder.len() - shared);
    Arc::from(up.chain(there[shared..].iter().copied()).collect::<Vec<_>>().join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links() {
        let path = |text| RootfsPath::parse(text).unwrap();
        for (from, to, text) in [
            ("/usr/bin/sh", "/bin/sh", "../../bin/sh"),
            ("/bin/env", "/usr/bin/env", "../usr/bin/env"),
            ("/a", "/b", "b"),
            ("/etc/ssl/cert.pem", "/etc/ssl/certs/ca.crt", "certs/ca.crt"),
        ] {
            assert_eq!(&*relative(&path(from), &path(to)), text.as_bytes(), "{from} {to}");
        }
    }
}
