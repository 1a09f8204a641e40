//! The entry points for untrusted bytes: one function each, which must return for any input.
//!
//! cargo-fuzz calls them, and so does `cargo test`, on stable Rust.

use std::io;
use std::sync::Arc;

use cargo_rootfs::RootfsPath;
use cargo_rootfs::elf::{Bytes, Object, ReadError};
use cargo_rootfs::packages::{Database, Format};
use cargo_rootfs::report;
use cargo_rootfs::resolve::cache::Cache;
use cargo_rootfs::resolve::{BadObject, FileId, Files, Find, LibraryPath, Priority, Resolver, Versions};
use cargo_rootfs::target::{Machine, Target};

/// An ELF file, as a program and as the libraries that it needs.
pub fn elf(data: &[u8]) {
    let Ok(object) = Object::read(data) else { return };
    let mut tree = Tree(vec![("/app", data), ("/r/libdef.so.1", data), ("/lib/liba.so", data)]);
    let program = path("/app");
    let closure = Resolver::new(vec![LibraryPath::Folder(path("/lib"))], Some(path("/r"))).closure(&mut tree, &program);
    if let Ok(closure) = &closure {
        Versions::default().check(&mut tree, closure);
        let at_start = closure.missing.iter().filter(|missing| missing.opened.is_none()).count();
        assert!(closure.at_start + at_start <= 1 + 4 * object.dependencies.len().max(1));
        let noted: usize = closure.notes.iter().map(|noted| noted.note.sonames.len()).sum();
        assert!(closure.objects.len() - closure.at_start <= 4 * (noted + noted * object.dependencies.len()));
    }
    let mut text = Vec::new();
    report::closure_json(&mut text, "/app", &closure);
}

/// `/etc/ld.so.cache`, for machines of either byte order.
pub fn ld_so_cache(data: &[u8]) {
    let active = ["x86-64-v3", "x86-64-v2"].map(|name| Bytes::from(name.as_bytes()));
    for machine in machines() {
        if let Some(cache) = Cache::parse(data.to_vec(), machine) {
            for name in ["libc.so.6", "libq.so.1", "liba.so", "libq.so.00000000000000000000099", ""] {
                let _ = cache.lookup(name.as_bytes(), machine);
                let _ = cache.lookup_on(name.as_bytes(), machine, &active, |hwcap| hwcap == 0);
            }
            assert!(cache.entries().count() <= data.len());
        }
    }
}

/// `/etc/ld.so.conf` with its includes, and musl's path file: read, and searched for a library.
pub fn ld_so_conf(data: &[u8]) {
    let files = ["/etc/ld.so.conf", "/etc/ld.so.conf.d/a.conf", "/etc/ld.so.conf.d/b.conf", "/etc/ld-musl-x86_64.path"];
    let loaders = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"];
    let all = files.map(|file| (file, data)).into_iter().chain(loaders.map(|loader| (loader, LIBRARY)));
    let mut tree = Tree(all.collect());
    let [machine, _] = machines();
    for loader in loaders {
        let mut resolver = Resolver::new(Vec::new(), None);
        let loader = resolver.loader_at(&mut tree, &path(loader), machine).expect("a loader for this machine");
        assert!(resolver.library(&mut tree, &loader, b"libnone.so").is_err());
    }
}

/// `/etc/ld.so.preload`, for a started program.
pub fn ld_so_preload(data: &[u8]) {
    let loader = ("/lib64/ld-linux-x86-64.so.2", LIBRARY);
    let mut tree = Tree(vec![("/app", PROGRAM), loader, ("/etc/ld.so.preload", data), ("/lib/liba.so", LIBRARY)]);
    let mut resolver = Resolver::new(vec![LibraryPath::Folder(path("/lib"))], Some(path("/"))).preloading();
    let closure = resolver.closure(&mut tree, &path("/app")).expect("a program that can be read");
    // Missing ones are skipped.
    assert!(closure.objects.len() <= 2 && closure.missing.len() <= 4, "{closure:?}");
}

/// Well-formed files for x86_64, to combine with the others.
const PROGRAM: &[u8] = include_bytes!("corpus/elf/x86_64-program");
const LIBRARY: &[u8] = include_bytes!("corpus/elf/x86_64-library");

/// The notes of an ELF file: the first byte chooses class and byte order, the rest is a PT_NOTE segment.
pub fn notes(data: &[u8]) {
    let Some((kind, notes)) = data.split_first() else { return };
    let (is_big, align) = (kind & 1 != 0, if kind & 2 != 0 { 8 } else { 4 });
    let number = |value: u64, width: usize| {
        let bytes = value.to_be_bytes();
        let mut bytes = bytes[8 - width..].to_vec();
        if !is_big {
            bytes.reverse();
        }
        bytes
    };
    // An Elf64_Ehdr and one Elf64_Phdr (elf(5)): width and value of each field.
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, if is_big { 2 } else { 1 }, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let machine = if is_big { 22 } else { 62 };
    let header = [(2, 3), (2, machine), (4, 1), (8, 0), (8, 64), (8, 0), (4, 0), (2, 64), (2, 56), (2, 1), (2, 0)];
    let length = notes.len() as u64;
    let segment = [(4, 4), (4, 4), (8, 120), (8, 0), (8, 0), (8, length), (8, length), (8, align)];
    for (width, value) in header.into_iter().chain([(2, 0), (2, 0)]).chain(segment) {
        file.extend(number(value, width));
    }
    file.extend_from_slice(notes);
    let object = Object::read(&file[..]);
    if let Ok(object) = object {
        assert!(object.dlopen_notes.iter().map(|note| note.len()).sum::<usize>() <= notes.len());
        let mut tree = Tree(vec![("/app", &file[..])]);
        let mut resolver = Resolver::new(Vec::new(), None).following(Priority::Suggested);
        let _ = resolver.closure(&mut tree, &path("/app")).expect("a file that was read");
    }
}

/// A package database: the first byte chooses its kind, the rest is one of its files.
pub fn packages(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let format = match kind {
        b'd' => Format::Dpkg,
        b'a' => Format::Apk,
        _ => Format::Pacman,
    };
    let packages = format.packages(bytes);
    assert!(packages.len() <= bytes.len());
    let database = Database::new(format, packages);
    let all: Vec<_> = database.packages().map(|(id, _)| id).collect();
    let found = database.dependencies(&all);
    assert_eq!(found.packages.len(), all.len());
    for name in ["libc6", "so:libc.musl-x86_64.so.1", "glibc", ""] {
        let _ = (database.find(name), database.near(name));
    }
    for path in format.files(bytes) {
        assert!(path.components().all(|part| part != b".."), "{path}");
    }
}

fn path(text: &str) -> RootfsPath {
    RootfsPath::parse(text).expect("a path of ours")
}

fn machines() -> [Machine; 2] {
    ["x86_64-unknown-linux-gnu", "s390x-unknown-linux-gnu"]
        .map(|triple| Target::parse(triple).expect("a triple that is known").machine())
}

/// A few files in memory.
struct Tree<'d>(Vec<(&'static str, &'d [u8])>);

impl Files for Tree<'_> {
    fn find(&mut self, path: &RootfsPath) -> Find {
        match self.0.iter().position(|(name, _)| name.as_bytes() == path.as_bytes()) {
            Some(index) => Find::File { realpath: path.clone(), file: FileId::new(index) },
            None => Find::Absent,
        }
    }

    fn object(&mut self, file: FileId) -> Result<Arc<Object>, BadObject> {
        let index = self.inode(file).1 as usize;
        match Object::read(self.0[index].1) {
            Ok(object) => Ok(Arc::new(object)),
            Err(ReadError::Io(error)) => Err(BadObject::Unreadable(error.to_string())),
            Err(ReadError::Malformed(malformed)) => Err(BadObject::Malformed(malformed)),
        }
    }

    fn read(&mut self, file: FileId, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = self.0[self.inode(file).1 as usize].1;
        if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.to_vec()) }
    }

    fn list(&mut self, folder: &RootfsPath) -> Vec<Box<[u8]>> {
        let names = self.0.iter().map(|(name, _)| name.as_bytes());
        let below = names.filter_map(|name| name.strip_prefix(folder.as_bytes())?.strip_prefix(b"/"));
        below.filter(|name| !name.contains(&b'/')).map(Box::from).collect()
    }

    fn inode(&self, file: FileId) -> (u64, u64) {
        // A file's number is its index.
        (0, (0..self.0.len()).position(|index| FileId::new(index) == file).expect("a file that was found") as u64)
    }
}
