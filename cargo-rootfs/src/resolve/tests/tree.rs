//! A tree of files in memory, and the expected results of resolving in it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::elf::fixture::Fixture;
use crate::elf::{Bytes, Object, ReadError};
use crate::path::RootfsPath;
use crate::resolve::{
    BadObject, Closure, FileId, Files, Find, Hwcaps, Lack, LibraryPath, Opening, Priority, Resolver, Verdict, Versions,
};

/// Files, symlinks and directories by path; missing parent directories are made.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<RootfsPath, Node>,
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) library_path: Vec<String>,
    pub(super) current: Option<String>,
    /// The glibc-hwcaps subdirectories that are searched; `None` is the baseline.
    pub(super) hwcaps: Option<Vec<String>>,
}

pub(super) enum Node {
    Dir,
    Link(Bytes),
    File(usize),
    Special(&'static str),
    /// It cannot be opened (EACCES).
    Denied,
}

pub(super) fn path(text: &str) -> RootfsPath {
    RootfsPath::parse(text).unwrap()
}

/// The directories built into Debian's loader; tests use the last two.
pub(super) const SYSTEM_DIRS: &[u8] =
    b"\0x86-64-v4:x86-64-v3:x86-64-v2\0/etc/ld.so.cache\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0\
      /lib/\0/usr/lib/\0";
pub(super) const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A program for glibc.
pub(super) fn program() -> Fixture {
    Fixture::program()
}

/// A library without a soname.
pub(super) fn library() -> Fixture {
    Fixture::library()
}

/// A library with a soname.
pub(super) fn soname(name: &str) -> Fixture {
    Fixture::library().soname(name)
}

impl Tree {
    /// A tree with only glibc's loader, without a release.
    pub(super) fn glibc() -> Self {
        Self::with_loader(LOADER, soname("ld-linux-x86-64.so.2").tail(SYSTEM_DIRS))
    }

    /// A tree with only this loader.
    pub(super) fn with_loader(at: &str, loader: Fixture) -> Self {
        let mut tree = Self::default();
        let node = Node::File(tree.body(loader.build()));
        tree.put(at, node)
    }

    fn body(&mut self, bytes: Vec<u8>) -> usize {
        self.bodies.push(bytes);
        self.bodies.len() - 1
    }

    fn put(mut self, at: &str, node: Node) -> Self {
        let at = path(at);
        let mut folder = at.parent();
        while let Some(parent) = folder {
            folder = parent.parent();
            self.nodes.entry(parent).or_insert(Node::Dir);
        }
        self.nodes.insert(at, node);
        self
    }

    pub(super) fn elf(self, at: &str, file: Fixture) -> Self {
        self.bytes(at, &file.build())
    }

    pub(super) fn bytes(mut self, at: &str, bytes: &[u8]) -> Self {
        let node = Node::File(self.body(bytes.to_vec()));
        self.put(at, node)
    }

    /// A further name of an existing file.
    pub(super) fn same_file(self, at: &str, other: &str) -> Self {
        let Some(Node::File(body)) = self.nodes.get(&path(other)) else { panic!("no file at {other}") };
        let node = Node::File(*body);
        self.put(at, node)
    }

    pub(super) fn link(self, at: &str, target: &str) -> Self {
        self.put(at, Node::Link(Bytes::from(target.as_bytes())))
    }

    pub(super) fn dir(self, at: &str) -> Self {
        self.put(at, Node::Dir)
    }

    /// A special file, such as a socket.
    pub(super) fn special(self, at: &str, word: &'static str) -> Self {
        self.put(at, Node::Special(word))
    }

    /// A copy of a file.
    pub(super) fn copy(self, at: &str, other: &str) -> Self {
        let Some(Node::File(body)) = self.nodes.get(&path(other)) else { panic!("no {other}") };
        let bytes = self.bodies[*body].clone();
        self.bytes(at, &bytes)
    }

    pub(super) fn without(mut self, at: &str) -> Self {
        self.nodes.remove(&path(at)).unwrap();
        self
    }

    pub(super) fn denied(self, at: &str) -> Self {
        self.put(at, Node::Denied)
    }

    fn resolver(&self) -> Resolver {
        let library_path = self.library_path.iter().map(|text| LibraryPath::Text(text.as_bytes().into())).collect();
        let mut resolver = Resolver::new(library_path, self.current.as_deref().map(path)).preloading();
        let known: Vec<Bytes> = ["x86-64-v4", "x86-64-v3", "x86-64-v2"].map(|name| Bytes::from(name.as_bytes())).into();
        let wanted: Vec<Bytes> = self.hwcaps.iter().flatten().map(|name| Bytes::from(name.as_bytes())).collect();
        let set = std::iter::once(Hwcaps::BASELINE).chain(Hwcaps::sets(3)).find(|set| set.of(&known) == wanted);
        resolver.set_hwcaps(set.unwrap());
        resolver
    }

    pub(super) fn closure(&mut self, file: &str) -> Closure {
        self.resolver().closure(self, &path(file)).unwrap()
    }

    /// The closure with dlopen notes of this priority followed.
    pub(super) fn closure_following(&mut self, file: &str, priority: Priority) -> Closure {
        self.resolver().following(priority).closure(self, &path(file)).unwrap()
    }

    pub(super) fn verdict(&mut self, closure: &Closure) -> Verdict {
        Versions::default().check(self, closure)
    }
}

/// The messages about symbol versions, one a line.
pub(super) fn verdict_lines(verdict: &Verdict) -> Vec<String> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let refused = verdict.unsatisfied.iter().map(|lacking| {
        let what = match &lacking.why {
            Lack::Versions { versions, library } => {
                format!("{} of {library}", versions.iter().map(text).collect::<Vec<_>>().join(" "))
            }
            Lack::Library { name, version } => format!("{} of {}, not loaded,", text(version), text(name)),
            Lack::Revision { file, revision } => format!("revision {revision} in {file}"),
            Lack::Relr => "GLIBC_ABI_DT_RELR".to_owned(),
        };
        format!("{what} needed by {}", lacking.needed_by)
    });
    let warned = verdict.unversioned.iter().map(|it| format!("any of {} for {}", it.library, it.needed_by));
    refused.chain(warned).collect()
}

/// A closure as text: `NAME => PATH [WAY]`, `NAME missing for PATH`, `NAME bad at PATH for PATH`.
pub(super) fn lines(closure: &Closure) -> Vec<String> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let found = closure
        .objects
        .iter()
        .map(|object| format!("{} => {} [{}]", text(&object.needed), object.path, object.found_by));
    let missing = closure.missing.iter().map(|missing| {
        let name = text(&missing.needed);
        match &missing.bad {
            Some((path, _)) => format!("{name} bad at {path} for {}", missing.needed_by),
            None => format!("{name} missing for {}", missing.needed_by),
        }
    });
    found.chain(missing).chain(notes(closure)).collect()
}

/// The outcomes of the notes, one a line.
fn notes(closure: &Closure) -> Vec<String> {
    let path = |index: Option<usize>| index.map_or(&closure.realpath, |index| &closure.objects[index].path);
    let noted = closure.notes.iter().map(|noted| {
        let what = match &noted.opening {
            Opening::Taken { soname, object } => {
                format!("{} => {}", String::from_utf8_lossy(&noted.note.sonames[*soname]), path(*object))
            }
            Opening::LeftOut => format!("{} left out", String::from_utf8_lossy(&noted.note.sonames[0])),
            Opening::NotFound(missing) => {
                let missing = missing.iter().map(|it| String::from_utf8_lossy(&it.needed).into_owned());
                format!("lacks {}", missing.collect::<Vec<_>>().join(" "))
            }
        };
        format!("{} opens {what}", path(noted.by))
    });
    let bad = closure.bad_notes.iter().map(|(by, why)| format!("{} bad: {why}", path(*by)));
    noted.chain(bad).collect()
}

/// The result of a path resolution (path_resolution(7)): real path and node.
enum End {
    At(RootfsPath),
    Absent,
    NotDir,
    Loop,
}

impl Tree {
    fn walk(&self, path: &RootfsPath) -> End {
        let mut at = RootfsPath::root();
        let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let (mut links, mut needs_folder) = (0, false);
        while let Some(part) = rest.pop() {
            match self.nodes.get(&at) {
                Some(Node::Dir) => {}
                Some(_) => return End::NotDir,
                None => return End::Absent,
            }
            if part == b".." {
                at = at.parent().unwrap_or_else(RootfsPath::root);
                continue;
            }
            let next = at.join(&part);
            match self.nodes.get(&next) {
                None => return End::Absent,
                Some(Node::Link(target)) => {
                    links += 1;
                    if links > 40 {
                        return End::Loop;
                    }
                    if target.first() == Some(&b'/') {
                        at = RootfsPath::root();
                    }
                    needs_folder |= rest.is_empty() && target.ends_with(b"/");
                    let parts = target.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
                    rest.extend(parts.rev().map(<[u8]>::to_vec));
                }
                Some(_) => at = next,
            }
        }
        match self.nodes.get(&at) {
            Some(node) if needs_folder && !matches!(node, Node::Dir) => End::NotDir,
            _ => End::At(at),
        }
    }
}

impl Files for Tree {
    fn find(&mut self, path: &RootfsPath) -> Find {
        let at = match self.walk(path) {
            End::At(at) => at,
            End::Absent => return Find::Absent,
            End::NotDir => return Find::NotDir,
            End::Loop => return Find::Loop,
        };
        match &self.nodes[&at] {
            Node::Dir => Find::Dir,
            Node::File(body) => Find::File { realpath: at.clone(), file: FileId(*body) },
            Node::Special(word) => Find::Special(word),
            Node::Denied => Find::Failed("permission denied".to_owned()),
            Node::Link(_) => unreachable!("links are followed"),
        }
    }

    fn object(&mut self, file: FileId) -> Result<Arc<Object>, BadObject> {
        match Object::read(&self.bodies[file.0][..]) {
            Ok(object) => Ok(Arc::new(object)),
            Err(ReadError::Malformed(malformed)) => Err(BadObject::Malformed(malformed)),
            Err(ReadError::Io(error)) => Err(BadObject::Unreadable(error.to_string())),
        }
    }

    fn read(&mut self, file: FileId, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = &self.bodies[file.0];
        if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.clone()) }
    }

    fn list(&mut self, folder: &RootfsPath) -> Vec<Box<[u8]>> {
        let inside = |at: &&RootfsPath| at.parent().as_ref() == Some(folder);
        self.nodes.keys().filter(inside).map(|at| at.file_name().into()).collect()
    }

    fn inode(&self, file: FileId) -> (u64, u64) {
        (1, file.0 as u64)
    }
}
