mod changes;
mod destinations;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use camino::{Utf8Path, Utf8PathBuf};

use super::tar::TarFile;
use super::*;
use crate::rootfs::Origin;

/// The value for which `getcap` prints `cap_net_raw=ep` (the kernel's struct vfs_cap_data, revision 2).
pub(crate) const CAP_NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A rootfs made entry by entry; missing parent directories get the mode 0755.
#[derive(Clone)]
pub(crate) struct Planned(pub(crate) Rootfs);

impl Planned {
    pub(crate) fn new() -> Self {
        Self(Rootfs::default()).dir("/", 0o755)
    }

    pub(crate) fn add(mut self, path: &str, kind: Kind, mode: u32) -> Self {
        let path = at(path);
        let mut above = path.parent();
        while let Some(folder) = above {
            above = folder.parent();
            if self.0.get(&folder).is_none() {
                self.0.insert(folder, Entry::new(Kind::Dir, 0o755, origin()));
            }
        }
        self.0.insert(path, Entry::new(kind, mode, origin()));
        self
    }

    pub(crate) fn dir(self, path: &str, mode: u32) -> Self {
        self.add(path, Kind::Dir, mode)
    }

    pub(crate) fn file(self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.add(path, Kind::File(Body::Bytes(bytes.into())), mode)
    }

    pub(crate) fn host(self, path: &str, mode: u32, host: &Path) -> Self {
        let metadata = std::fs::symlink_metadata(host).unwrap();
        self.add(path, Kind::File(Body::Host(Arc::new(HostFile::new(host.to_owned(), &metadata)))), mode)
    }

    pub(crate) fn symlink(self, path: &str, target: &[u8]) -> Self {
        self.add(path, Kind::Symlink(target.into()), 0o777)
    }

    pub(crate) fn hardlink(self, path: &str, target: &str) -> Self {
        self.add(path, Kind::Hardlink(at(target)), 0o755)
    }

    pub(crate) fn with(mut self, path: &str, change: impl FnOnce(&mut Entry)) -> Self {
        change(self.0.get_mut(&at(path)).unwrap());
        self
    }
}

pub(crate) fn at(path: &str) -> RootfsPath {
    RootfsPath::parse(path).unwrap()
}

fn origin() -> Origin {
    Origin::Generated("for a test".to_owned())
}

/// One entry of each kind.
pub(crate) fn some_of_everything() -> Planned {
    Planned::new()
        .dir("/tmp", 0o1777)
        .dir("/srv/locked", 0o555)
        .file("/srv/locked/file", 0o444, b"locked")
        .file("/usr/bin/app", 0o4755, &[7; 1000])
        .hardlink("/usr/bin/app-1.0", "/usr/bin/app")
        .file("/etc/empty", 0o600, b"")
        .symlink("/bin", b"usr/bin")
        .symlink("/etc/dangling", b"/no/where")
}

pub(crate) fn temp() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
    (folder, path)
}

pub(crate) fn write_one(planned: &Planned, sink: Result<Box<dyn Sink>>) -> Result<Written> {
    let written = write(&planned.0, vec![sink?], &mut (), &AtomicBool::new(false))?;
    Ok(written.into_iter().next().unwrap())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Reports that a test was skipped; fails in CI.
#[allow(clippy::print_stderr)]
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must not skip: {why}");
    eprintln!("skipped: {why}");
}

pub(crate) fn tar_bytes(planned: &Planned, epoch: i64) -> Vec<u8> {
    let (_folder, path) = temp();
    write_one(planned, TarFile::create(&path.join("x.tar"), epoch)).unwrap();
    std::fs::read(path.join("x.tar")).unwrap()
}

/// The tar crate's list of an archive: path, type, mode, length or target.
fn listed(bytes: &[u8]) -> Vec<String> {
    let mut archive = ::tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let rest = match entry.link_name_bytes() {
            Some(target) => String::from_utf8_lossy(&target).into_owned(),
            None => entry.size().to_string(),
        };
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        format!("{path} {} {:04o} {rest}", header.entry_type().as_byte() as char, header.mode().unwrap())
    });
    entries.collect()
}

#[test]
fn tar_has_every_entry_in_order() {
    let bytes = tar_bytes(&some_of_everything(), 0);
    assert_eq!(
        listed(&bytes),
        [
            "./ 5 0755 0",
            "bin 2 0777 usr/bin",
            "etc/ 5 0755 0",
            "etc/dangling 2 0777 /no/where",
            "etc/empty 0 0600 0",
            "srv/ 5 0755 0",
            "srv/locked/ 5 0555 0",
            "srv/locked/file 0 0444 6",
            "tmp/ 5 1777 0",
            "usr/ 5 0755 0",
            "usr/bin/ 5 0755 0",
            "usr/bin/app 0 4755 1000",
            "usr/bin/app-1.0 1 0755 usr/bin/app",
        ]
    );
    // 13 headers, contents of one block and of two, and the end.
    assert_eq!(bytes.len(), (13 + 1 + 2 + 2) * 512);
}

#[test]
fn tar_names_no_user_and_no_time_but_the_epoch() {
    let bytes = tar_bytes(&some_of_everything(), 1_700_000_000);
    let mut archive = ::tar::Archive::new(&bytes[..]);
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(header.mtime().unwrap(), 1_700_000_000);
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
    }
    assert_eq!(bytes, tar_bytes(&some_of_everything(), 1_700_000_000));
    assert_ne!(bytes, tar_bytes(&some_of_everything(), 0));
}

#[test]
fn epochs_before_1970_are_refused() {
    let (_folder, path) = temp();
    assert_eq!(TarFile::create(&path.join("x"), -1).err().unwrap().exit_code(), 2);
}

/// Names around the limits of the header's fields: 100 bytes, and 155 and 100 with a slash between.
#[test]
fn long_names_and_targets_are_kept() {
    let name = |length: usize| "n".repeat(length);
    let mut planned = Planned::new();
    let mut expected = Vec::new();
    for path in [
        name(99),
        name(100),
        name(101),
        name(255),
        format!("{}/{}", name(155), name(100)),
        format!("{}/{}", name(156), name(100)),
        format!("{}/{}", name(155), name(101)),
        format!("{}/{}/{}", name(200), name(200), "é".repeat(100)),
    ] {
        planned = planned.file(&format!("/{path}"), 0o644, b"body");
        expected.push(path);
    }
    for length in [100, 101, 4000] {
        planned = planned.symlink(&format!("/link-{length}"), name(length).as_bytes());
    }
    planned = planned.symlink("/link-bytes", &[0xff; 150]).hardlink("/z", &format!("/{}", name(255)));
    let bytes = tar_bytes(&planned, 0);

    let mut seen = BTreeMap::new();
    for entry in ::tar::Archive::new(&bytes[..]).entries().unwrap() {
        let entry = entry.unwrap();
        let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
        seen.insert(String::from_utf8(entry.path_bytes().into_owned()).unwrap(), target);
    }
    for path in expected {
        assert!(seen.contains_key(&path), "{path}");
    }
    for length in [100, 101, 4000] {
        assert_eq!(seen[&format!("link-{length}")], name(length).as_bytes());
    }
    assert_eq!(seen["link-bytes"], [0xff; 150]);
    assert_eq!(seen["z"], name(255).as_bytes());
    gnu_tar_agrees(&planned, &bytes);
}

/// Unpacks with GNU tar and compares with the plan.
fn gnu_tar_agrees(planned: &Planned, bytes: &[u8]) {
    let (_folder, path) = temp();
    let mut tar = Command::new("tar");
    tar.args(["-xpf", "-", "--no-same-owner", "-C", path.as_str()]);
    let mut tar = tar.stdin(std::process::Stdio::piped()).spawn().unwrap();
    tar.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(tar.wait().unwrap().success());
    assert_on_disk(planned, path.as_std_path(), 0);
}

/// Compares a directory with the plan: it has every entry and no other.
pub(crate) fn assert_on_disk(planned: &Planned, root: &Path, epoch: i64) {
    let mut expected = Vec::new();
    for (path, entry) in planned.0.iter() {
        let on_disk = path.below(root);
        let metadata = std::fs::symlink_metadata(&on_disk).unwrap_or_else(|error| panic!("{path}: {error}"));
        match &entry.kind {
            Kind::Dir => assert!(metadata.is_dir(), "{path}"),
            Kind::File(body) => {
                assert!(metadata.is_file(), "{path}");
                let bytes = std::fs::read(&on_disk).unwrap();
                match body {
                    Body::Bytes(planned) => assert!(bytes == **planned, "{path}"),
                    Body::Host(file) => assert!(bytes == std::fs::read(&file.path).unwrap(), "{path}"),
                }
            }
            Kind::Symlink(target) => {
                use std::os::unix::ffi::OsStrExt;
                assert_eq!(std::fs::read_link(&on_disk).unwrap().as_os_str().as_bytes(), &**target, "{path}");
            }
            Kind::Hardlink(target) => {
                assert_eq!(metadata.ino(), target.below(root).metadata().unwrap().ino(), "{path}");
            }
        }
        if !matches!(entry.kind, Kind::Symlink(_) | Kind::Hardlink(_)) {
            // Without root, a file cannot be made setuid root; GNU tar makes it setuid to the user.
            let compared = if is_root() { 0o7777 } else { 0o1777 };
            assert_eq!(format!("{:o}", metadata.mode() & compared), format!("{:o}", entry.mode & compared), "{path}");
        }
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (epoch, 0), "{path}");
        expected.push(on_disk);
    }
    let mut found = vec![root.join("")];
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn gnu_tar_unpacks_what_was_planned() {
    let planned = some_of_everything();
    gnu_tar_agrees(&planned, &tar_bytes(&planned, 0));
}

#[test]
fn gnu_tar_restores_capabilities() {
    if !is_root() {
        return skip("only root sets capabilities");
    }
    let planned =
        Planned::new().file("/ping", 0o755, b"x").with("/ping", |entry| entry.capability = Some(CAP_NET_RAW.into()));
    let (_folder, path) = temp();
    write_one(&planned, TarFile::create(&path.join("x.tar"), 0)).unwrap();
    let tar = Command::new("tar").args(["--xattrs", "--xattrs-include=*", "-xf", "x.tar"]).current_dir(&path).status();
    assert!(tar.unwrap().success());
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(path.join("ping").as_str(), "security.capability", &mut value[..]).unwrap();
    assert_eq!(value[..length], CAP_NET_RAW);
}

#[test]
fn capabilities_are_pax_records() {
    let planned =
        Planned::new().file("/ping", 0o755, b"x").with("/ping", |entry| entry.capability = Some(CAP_NET_RAW.into()));
    let bytes = tar_bytes(&planned, 0);
    let mut archive = ::tar::Archive::new(&bytes[..]);
    let mut entry = archive.entries().unwrap().nth(1).unwrap().unwrap();
    let records = entry.pax_extensions().unwrap().unwrap().map(Result::unwrap);
    let records = records.map(|record| (record.key().unwrap(), record.value_bytes().to_vec())).collect::<Vec<_>>();
    assert_eq!(records, [("SCHILY.xattr.security.capability", CAP_NET_RAW.to_vec())]);
}

/// A sparse file of nine GiB: only the headers are written, and GNU tar skips over the hole. Large contents bypass the
/// buffer, which then begins with their padding.
#[test]
fn extended_headers_after_a_large_file_begin_and_end_with_blocks() {
    let long = format!("/{}", "n".repeat(300));
    for size in [encode::GATHER, encode::GATHER + 1, encode::GATHER + 512, 2 * encode::GATHER + 511] {
        let planned =
            Planned::new().file("/large", 0o644, &vec![1; size]).file(&long, 0o755, b"long").symlink("/z", b"x");
        let bytes = tar_bytes(&planned, 0);
        assert_eq!(bytes.len() % 512, 0, "{size}");
        let expected =
            ["./ 5 0755 0", &format!("large 0 0644 {size}"), &format!("{} 0 0755 4", &long[1..]), "z 2 0777 x"];
        assert_eq!(listed(&bytes), expected);
    }
}

#[test]
fn sizes_over_8_gib_and_large_owners() {
    let (_folder, path) = temp();
    let huge = path.join("huge");
    let size = 9 << 30;
    File::create(&huge).unwrap().set_len(size).unwrap();
    let planned = Planned::new().host("/huge", 0o644, huge.as_std_path()).with("/huge", |entry| {
        entry.uid = u32::MAX - 1;
        entry.gid = 1 << 21;
    });
    let mut headers = Vec::new();
    for (path, entry) in planned.0.iter() {
        encode::headers(&mut headers, path, entry, 0);
    }
    let entry = ::tar::Archive::new(&headers[..]).entries().unwrap().nth(1).unwrap().unwrap().size();
    assert_eq!(entry, size);

    let archive = path.join("x.tar");
    std::fs::write(&archive, &headers).unwrap();
    File::options().write(true).open(&archive).unwrap().set_len(headers.len() as u64 + size + 1024).unwrap();
    let listing = Command::new("tar").args(["--numeric-owner", "-tvf", archive.as_str()]).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains("4294967294/2097152 9663676416"), "{listing}");
}

#[test]
fn host_files_are_read_whole_below_and_above_the_thread() {
    let (_folder, path) = temp();
    // Lengths around the size of a block, and enough in total for the thread.
    for lengths in [vec![0, 1, 511, 512, 513], vec![1 << 18, (1 << 18) - 1, 0, (1 << 18) + 1, 17 << 20, 3]] {
        let mut planned = Planned::new();
        for (index, length) in lengths.iter().enumerate() {
            let host = path.join(format!("host-{index}"));
            let bytes: Vec<u8> = (0..*length).map(|at: usize| (at * 31 + index) as u8).collect();
            std::fs::write(&host, bytes).unwrap();
            planned = planned.host(&format!("/file-{index}"), 0o644, host.as_std_path());
        }
        // A single archive takes the files themselves, two take bytes from a reader.
        let bytes = tar_bytes(&planned, 0);
        gnu_tar_agrees(&planned, &bytes);
        let two = ["a.tar", "b.tar"].map(|name| path.join(name));
        let sinks = two.iter().map(|path| TarFile::create(path, 0).unwrap()).collect();
        write(&planned.0, sinks, &mut (), &AtomicBool::new(false)).unwrap();
        assert!(two.iter().all(|path| std::fs::read(path).unwrap() == bytes));
    }
}

#[test]
fn the_observer_hears_of_every_byte() {
    struct Count(u64);
    impl Observer for Count {
        fn wrote(&mut self, bytes: u64) {
            self.0 += bytes;
        }
    }
    let (_folder, path) = temp();
    std::fs::write(path.join("host"), [1; 700]).unwrap();
    let planned = some_of_everything().host("/host", 0o644, path.join("host").as_std_path());
    let mut count = Count(0);
    write(&planned.0, vec![TarFile::create(&path.join("x.tar"), 0).unwrap()], &mut count, &AtomicBool::new(false))
        .unwrap();
    assert_eq!(count.0, planned.0.size());
    assert_eq!(count.0, 700 + 1000 + 6);
}

/// The names in a directory, to check that nothing was left behind.
pub(crate) fn names_in(folder: &Utf8Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn what_no_sink_could_write_is_refused_first() {
    let outside = RootfsPath::root().join(b"a/../../b");
    let bytes = RootfsPath::root().join(b"\xff");
    for (planned, why) in [
        (
            Planned::new().add("/x", Kind::File(Body::Bytes(b""[..].into())), 0).symlink("/link", b""),
            "symlink to nothing",
        ),
        (Planned::new().hardlink("/x", "/y").file("/y", 0o644, b""), "no regular file before it"),
        (Planned::new().symlink("/bin", b"/usr/bin").file("/bin/sh", 0o755, b""), "not a directory of the rootfs"),
        (Planned(insert(Rootfs::default(), outside)), "holds `..`"),
        (Planned(insert(Rootfs::default(), bytes)), "not UTF-8"),
    ] {
        let (_folder, path) = temp();
        let error = write_one(&planned, TarFile::create(&path.join("x.tar"), 0)).unwrap_err();
        assert!(error.to_string().contains(why), "{why}: {error}");
        assert!(names_in(&path).is_empty());
    }
}

fn insert(mut rootfs: Rootfs, path: RootfsPath) -> Rootfs {
    rootfs.insert(path, Entry::new(Kind::Dir, 0o755, origin()));
    rootfs
}
