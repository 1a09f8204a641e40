//! Putting entries where they belong: behind the sysroot's links, with their folders, once.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::surprises::Surprises;
use super::{capability, secrets};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::policy::Policy;
use crate::resolve::{FileId, Files};
use crate::rootfs::{Body, Entry, Kind, Origin, Rootfs};
use crate::sysroot::{End, FileInfo, Sysroot};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// Owners and modes that files are to have, and the bytes that these notes may have.
const OVERRIDES: &str = "/var/lib/dpkg/statoverride";
const OVERRIDES_LIMIT: usize = 1 << 20;

/// The owner that `user group mode path` notes of this path; the last line counts. Names but root's would have to be
/// looked up, and are nobody's here.
fn noted_owner(notes: &[u8], path: &RootfsPath) -> Option<(u32, u32)> {
    let id = |name: &str| if name == "root" { Some(0) } else { name.strip_prefix('#')?.parse().ok() };
    let text = String::from_utf8_lossy(notes);
    let mut lines = text.lines().rev().map(|line| line.splitn(4, ' ').collect::<Vec<_>>());
    lines.find_map(|line| match line[..] {
        [user, group, _mode, noted] if noted.as_bytes() == path.as_bytes() => Some((id(user)?, id(group)?)),
        _ => None,
    })
}

/// A folder of certificates has some 200 KiB; this is for a folder that is something else.
const MAX_JOINED: usize = 16 << 20;

/// A rootfs that is being laid out.
pub(super) struct Layout<'a> {
    view: &'a mut Sysroot,
    policy: &'a Policy,
    rootfs: Rootfs,
    pub(super) surprises: Surprises,
}

impl<'a> Layout<'a> {
    pub(super) fn new(view: &'a mut Sysroot, policy: &'a Policy) -> Self {
        let mut rootfs = Rootfs::default();
        let origin = Origin::Generated("the root folder".to_owned());
        rootfs.insert(RootfsPath::root(), Entry::new(Kind::Dir, 0o755, origin));
        Self { view, policy, rootfs, surprises: Surprises::default() }
    }

    pub(super) fn files(&self) -> &dyn Files {
        self.view
    }

    /// Whether the sysroot has a file or a folder at `path`.
    pub(super) fn exists(&mut self, path: &RootfsPath) -> bool {
        matches!(self.view.walk(path).end, End::File(_) | End::Dir(_))
    }

    /// Whether the sysroot has a folder at `path`.
    pub(super) fn is_folder(&mut self, path: &RootfsPath) -> bool {
        matches!(self.view.walk(path).end, End::Dir(_))
    }

    /// Puts the file at `path` of the sysroot there, with every link that leads to it.
    pub(super) fn path(&mut self, path: &RootfsPath, origin: &Origin) -> Result<()> {
        let walk = self.view.walk(path);
        match walk.end {
            End::File(file) => {
                self.links(&walk.links, &walk.path)?;
                for folder in &walk.passed {
                    self.folder(folder, &Origin::Leads(walk.path.clone()))?;
                }
                self.file(&walk.path, file, origin)
            }
            End::Dir(_) => {
                self.links(&walk.links, &walk.path)?;
                self.folder(&walk.path, origin)
            }
            End::Special(word) => Err(Error::failed(format!("`{path}` of the sysroot is a {word}"))),
            End::Absent | End::NotDir => Err(Error::failed(format!("`{path}` is not in the sysroot"))),
            End::Loop => Err(Error::failed(format!("`{path}` leads through too many symbolic links"))),
            End::Failed(error) => {
                Err(Error::failed(format!("cannot read `{path}` in the sysroot")).detail(error.to_string()))
            }
        }
    }

    /// The same for a folder with all that is below it but what `exclude` names, relative to it, and secrets.
    pub(super) fn tree(&mut self, path: &RootfsPath, exclude: &[String], origin: &Origin) -> Result<()> {
        self.path(path, origin)?;
        let top = self.view.walk(path).path;
        let mut left = vec![top.clone()];
        while let Some(folder) = left.pop() {
            for name in self.view.names(&folder) {
                let child = folder.join(&name);
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
                    // A link to a folder of the same tree is met again as itself.
                    End::Dir(_) if walk.links.is_empty() => {
                        self.folder(&child, origin)?;
                        left.push(child);
                    }
                    End::Dir(_) if walk.path.is_within(&top) => self.links(&walk.links, &walk.path)?,
                    End::File(file) if self.may_read(file) => self.path(&child, origin)?,
                    End::File(_) => self.surprises.unreadable(child),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether who runs this may read the file; asked of the kernel only where others may not.
    fn may_read(&self, file: FileId) -> bool {
        let info = self.view.info(file);
        info.mode & 0o004 != 0 || rustix::fs::access(&info.host.path, rustix::fs::Access::READ_OK).is_ok()
    }

    /// The files below `folders`, one after the other in the order of their paths; `None` where there are none.
    pub(super) fn joined(&mut self, folders: &[RootfsPath]) -> Result<Option<Arc<[u8]>>> {
        let mut files = BTreeMap::new();
        let mut left = folders.to_vec();
        while let Some(folder) = left.pop() {
            for name in self.view.names(&folder) {
                let child = folder.join(&name);
                let walk = self.view.walk(&child);
                match walk.end {
                    End::File(file) => drop(files.insert(child, file)),
                    End::Dir(_) if walk.links.is_empty() => left.push(child),
                    _ => {}
                }
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

    fn links(&mut self, links: &[(RootfsPath, Arc<[u8]>)], leads_to: &RootfsPath) -> Result<()> {
        for (path, target) in links {
            let origin = Origin::Leads(leads_to.clone());
            self.parents(path)?;
            self.put(path, Entry::new(Kind::Symlink(Arc::clone(target)), 0o777, origin))?;
        }
        Ok(())
    }

    fn folder(&mut self, path: &RootfsPath, origin: &Origin) -> Result<()> {
        self.parents(path)?;
        let mode = match self.view.walk(path).end {
            End::Dir(mode) => mode,
            _ => 0o755,
        };
        // Set-group-ID of a folder is a custom of its host (inode(7)), and its group is not kept.
        self.put(path, Entry::new(Kind::Dir, mode & !(SETUID | SETGID), origin.clone()))
    }

    fn parents(&mut self, path: &RootfsPath) -> Result<()> {
        let mut missing = Vec::new();
        let mut at = path.parent();
        while let Some(folder) = at {
            match self.rootfs.get(&folder) {
                Some(Entry { kind: Kind::Dir, .. }) => break,
                Some(_) => {
                    let error = Error::failed(format!("`{folder}` would be a file and the folder of `{path}`"));
                    return Err(error);
                }
                None => {}
            }
            at = folder.parent();
            missing.push(folder);
        }
        for folder in missing.into_iter().rev() {
            let mode = match self.view.walk(&folder).end {
                End::Dir(mode) => mode & !(SETUID | SETGID),
                _ => 0o755,
            };
            self.put(&folder, Entry::new(Kind::Dir, mode, Origin::Leads(path.clone())))?;
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
            // What a build writes has the umask of that day in its mode; an installed file has not.
            if info.mode & 0o111 != 0 { 0o755 } else { 0o644 }
        } else {
            let (uid, gid) = self.owner(path, &info);
            self.kept_mode(path, info.mode, uid, gid)
        };
        let mut entry = Entry::new(Kind::File(Body::Host(Arc::clone(&info.host))), mode, origin.clone());
        entry.capability = self.kept_capability(path, mode, &info.host.path);
        self.put(path, entry)
    }

    /// Who a set-ID file of the sysroot belongs to: where all of it belongs to the user who unpacked it, what
    /// dpkg-statoverride(1) notes of it.
    fn owner(&self, path: &RootfsPath, info: &FileInfo) -> (u32, u32) {
        let own = (info.uid, info.gid);
        if info.mode & (SETUID | SETGID) == 0 || info.uid == 0 || info.uid != self.view.owner() {
            return own;
        }
        let notes = RootfsPath::parse(OVERRIDES).ok().and_then(|notes| self.view.peek(&notes, OVERRIDES_LIMIT));
        noted_owner(&notes.unwrap_or_default(), path).unwrap_or(own)
    }

    /// The capabilities of the file `host`, where it can be executed.
    pub(super) fn kept_capability(&mut self, path: &RootfsPath, mode: u32, host: &Path) -> Option<Arc<[u8]>> {
        let kept = if mode & 0o111 != 0 { capability::of_file(host) } else { None };
        if let Some(value) = &kept {
            self.surprises.has_capabilities(path, capability::names(value));
        }
        kept
    }

    /// Everything becomes 0:0, so a set-ID bit survives only where it meant root before.
    pub(super) fn kept_mode(&mut self, path: &RootfsPath, mode: u32, uid: u32, gid: u32) -> u32 {
        let mut kept = mode;
        for (bit, owner, word) in [(SETUID, uid, "setuid"), (SETGID, gid, "setgid")] {
            if mode & bit == 0 {
                continue;
            }
            // Without execute permission for the group, set-group-ID once meant mandatory locking (inode(7)).
            if owner == 0 {
                self.surprises.keeps(path, word);
            } else {
                kept &= !bit;
                self.surprises.loses(path, word, owner);
            }
        }
        kept
    }

    /// Puts a file that this tool made.
    pub(super) fn generated(&mut self, path: &RootfsPath, bytes: Vec<u8>, why: &str) -> Result<()> {
        let path = self.behind_links(path)?;
        let body = Body::Bytes(Arc::from(bytes));
        self.put(&path, Entry::new(Kind::File(body), 0o644, Origin::Generated(why.to_owned())))
    }

    /// Puts an entry of an include: it may take the place of nothing.
    pub(super) fn include(&mut self, path: &RootfsPath, entry: Entry) -> Result<()> {
        let path = self.place(path, &entry.kind)?;
        self.put(&path, entry)
    }

    /// Puts an entry of a template: what was asked for by name stays where both would stand.
    pub(super) fn skeleton(&mut self, path: &RootfsPath, entry: Entry) -> Result<()> {
        let path = self.place(path, &entry.kind)?;
        match self.rootfs.get_mut(&path) {
            Some(known) if matches!((&known.kind, &entry.kind), (Kind::Dir, Kind::Dir)) => {
                known.mode = entry.mode;
                (known.uid, known.gid) = (entry.uid, entry.gid);
                known.origins.extend(entry.origins);
                Ok(())
            }
            Some(_) => Ok(()),
            None => self.put(&path, entry),
        }
    }

    /// Puts what is at `path` of the sysroot there, a folder without what is in it, unless something else stands in its
    /// place or on the way.
    pub(super) fn take(&mut self, path: &RootfsPath, origin: &Origin) -> Result<()> {
        let walk = self.view.walk(path);
        let has_other = |path: &RootfsPath, is_same: &dyn Fn(&Kind) -> bool| {
            self.rootfs.get(path).is_some_and(|entry| !is_same(&entry.kind))
        };
        let is_taken = match walk.end {
            End::File(file) => {
                let inode = self.view.inode(file);
                has_other(&walk.path, &|kind| matches!(kind, Kind::File(Body::Host(host)) if host.inode == inode))
            }
            End::Dir(_) => has_other(&walk.path, &|kind| matches!(kind, Kind::Dir)),
            _ => return Ok(()),
        };
        let mut links = walk.links.iter();
        let is_led_away = links.any(|(link, target)| {
            has_other(link, &|kind| matches!(kind, Kind::Symlink(known) if known == target))
                || self.is_below_a_file(link)
        });
        if is_taken || is_led_away || self.is_below_a_file(&walk.path) {
            return Ok(());
        }
        match walk.end {
            // It is there with the mode that was asked for.
            End::Dir(_) if self.rootfs.get(&walk.path).is_some() => {
                self.links(&walk.links, &walk.path)?;
                if let Some(known) = self.rootfs.get_mut(&walk.path) {
                    known.origins.insert(origin.clone());
                }
                Ok(())
            }
            _ => self.path(path, origin),
        }
    }

    fn is_below_a_file(&self, path: &RootfsPath) -> bool {
        let mut folders = std::iter::successors(path.parent(), RootfsPath::parent);
        folders.any(|folder| self.rootfs.get(&folder).is_some_and(|entry| !matches!(entry.kind, Kind::Dir)))
    }

    /// Puts a file of this text where nothing stands.
    pub(super) fn make(&mut self, path: &RootfsPath, text: &[u8], origin: &Origin) -> Result<()> {
        self.unless_there(path, Entry::new(Kind::File(Body::Bytes(Arc::from(text))), 0o644, origin.clone()))
    }

    /// Puts a link to `target` where nothing stands.
    pub(super) fn make_link(&mut self, path: &RootfsPath, target: &[u8], origin: &Origin) -> Result<()> {
        self.unless_there(path, Entry::new(Kind::Symlink(Arc::from(target)), 0o777, origin.clone()))
    }

    /// Puts a folder where nothing stands.
    pub(super) fn make_dir(&mut self, path: &RootfsPath, origin: &Origin) -> Result<()> {
        self.unless_there(path, Entry::new(Kind::Dir, 0o755, origin.clone()))
    }

    /// Puts what is below `folders` of the sysroot, as one file, where nothing stands.
    pub(super) fn make_joined(&mut self, path: &RootfsPath, folders: &[String], origin: &Origin) -> Result<()> {
        let place = self.view.place(path).path;
        if self.rootfs.get(&place).is_some() {
            return Ok(());
        }
        let folders = folders.iter().map(|folder| RootfsPath::parse(folder)).collect::<Result<Vec<_>>>()?;
        self.joined(&folders)?.map_or(Ok(()), |bytes| self.make(path, &bytes, origin))
    }

    /// Adds a line to the file at `path`, where a template put it, and no line begins like it up to its colon.
    pub(super) fn make_line(&mut self, path: &RootfsPath, line: &str, origin: &Origin) -> Result<()> {
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

    fn unless_there(&mut self, path: &RootfsPath, entry: Entry) -> Result<()> {
        let place = self.view.place(path);
        let is_led_away = place.links.iter().any(|(link, target)| {
            let known = self.rootfs.get(link).map(|entry| &entry.kind);
            known.is_some_and(|kind| !matches!(kind, Kind::Symlink(known) if known == target))
        });
        if is_led_away || self.rootfs.get(&place.path).is_some() || self.is_below_a_file(&place.path) {
            return Ok(());
        }
        let path = self.behind_links(path)?;
        self.put(&path, entry)
    }

    /// A link at `path` to `target`, where nothing stands and nothing that stands is led through.
    pub(super) fn link_unless_there(&mut self, path: &RootfsPath, target: &RootfsPath, origin: &Origin) -> Result<()> {
        let place = self.view.place(path).path;
        if self.rootfs.get(&place).is_some() {
            return Ok(());
        }
        let path = self.behind_links(path)?;
        if self.rootfs.get(&path).is_some() {
            return Ok(());
        }
        let target = relative(&path, target);
        self.put(&path, Entry::new(Kind::Symlink(target), 0o777, origin.clone()))
    }

    /// [`behind_links`](Self::behind_links), and for a folder (`/bin`) that is a link to one in the
    /// sysroot, the folder that it leads to.
    fn place(&mut self, path: &RootfsPath, kind: &Kind) -> Result<RootfsPath> {
        let walk = self.view.walk(path);
        if !matches!((kind, &walk.end), (Kind::Dir, End::Dir(_))) {
            return self.behind_links(path);
        }
        self.links(&walk.links, &walk.path)?;
        self.parents(&walk.path)?;
        Ok(walk.path)
    }

    /// The real path of `path` by the links of the sysroot, which are put there, and its folders.
    fn behind_links(&mut self, path: &RootfsPath) -> Result<RootfsPath> {
        let walk = self.view.place(path);
        self.links(&walk.links, &walk.path)?;
        self.parents(&walk.path)?;
        Ok(walk.path)
    }

    fn put(&mut self, path: &RootfsPath, entry: Entry) -> Result<()> {
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

    /// The links of a merged /usr, wherever the folder that they lead to is in the rootfs.
    pub(super) fn top_links(&mut self) {
        for name in [&b"bin"[..], b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"usr/sbin"] {
            let path = RootfsPath::root().join(name);
            let walk = self.view.walk(&path);
            let leads = walk.links.last().is_some_and(|(link, _)| *link == path || link.is_within(&path));
            let is_used = matches!(self.rootfs.get(&walk.path), Some(Entry { kind: Kind::Dir, .. }));
            if leads && is_used && self.rootfs.get(&path).is_none() {
                // It cannot stand in anything's way: nothing is at the path.
                let _ = self.links(&walk.links, &walk.path);
            }
        }
    }

    /// In an unmerged sysroot, a link that makes each tool answer to both `/bin/x` and `/usr/bin/x`.
    pub(super) fn twins(&mut self, tools: &[RootfsPath]) {
        for tool in tools {
            let Some(twin) = twin(tool) else { continue };
            let place = self.view.place(&twin).path;
            let real = self.view.place(tool).path;
            let is_free = matches!(self.view.walk(&twin).end, End::Absent) && self.rootfs.get(&place).is_none();
            if place == real || !is_free {
                continue;
            }
            let origin = Origin::Generated(format!("for the usual path of {tool}"));
            if let Ok(path) = self.behind_links(&twin) {
                let target = relative(&path, &real);
                let _ = self.put(&path, Entry::new(Kind::Symlink(target), 0o777, origin));
            }
        }
    }

    /// The whole, with hard links told and every name checked.
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
                // Two names with other owners or modes, by an include, are two files.
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

/// The other of `/bin/x` and `/usr/bin/x`, or of `/sbin/x` and `/usr/sbin/x`.
pub(super) fn twin(path: &RootfsPath) -> Option<RootfsPath> {
    let name = path.file_name();
    let other: &[u8] = match path.parent()?.as_bytes() {
        b"/bin" => b"usr/bin",
        b"/usr/bin" => b"bin",
        b"/sbin" => b"usr/sbin",
        b"/usr/sbin" => b"sbin",
        _ => return None,
    };
    Some(RootfsPath::root().join(other).join(name))
}

/// The text of a link at `from` that leads to `to`; both free of links.
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
    fn notes_of_owners_are_those_of_dpkg() {
        let notes = b"#0 #0 755 /usr/bin/su\nroot #5 2755 /usr/bin/wall\nroot tty 2755 /usr/bin/write\n\
                      broken\nroot root 4755 /a b\n#1 #0 4755 /usr/bin/su\n";
        let owner = |path| noted_owner(notes, &RootfsPath::parse(path).unwrap());
        assert_eq!(owner("/usr/bin/su"), Some((1, 0)), "the last line counts");
        assert_eq!(owner("/usr/bin/wall"), Some((0, 5)));
        assert_eq!(owner("/a b"), Some((0, 0)));
        assert_eq!((owner("/usr/bin/write"), owner("/usr/bin/ls")), (None, None));
    }

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
