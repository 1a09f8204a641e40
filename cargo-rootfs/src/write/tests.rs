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
fn a_file_that_changes_after_it_was_planned_fails_the_run() {
    type Change = fn(&Utf8Path);
    let changes: [(&str, Change); 5] = [
        ("shorter", |path| File::options().write(true).open(path).unwrap().set_len(100).unwrap()),
        ("longer", |path| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap()),
        ("other bytes", |path| File::options().write(true).open(path).unwrap().write_all(b"other").unwrap()),
        ("another file", |path| {
            std::fs::write(path.with_extension("new"), [1; 5000]).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("gone", |path| std::fs::remove_file(path).unwrap()),
    ];
    for size in [5000, 20 << 20] {
        for (what, change) in changes {
            let (_folder, path) = temp();
            std::fs::write(path.join("host"), vec![1; size]).unwrap();
            let planned = Planned::new().host("/host", 0o644, path.join("host").as_std_path());
            std::fs::write(path.join("x.tar"), "earlier").unwrap();
            let sink = TarFile::create(&path.join("x.tar"), 0);
            change(&path.join("host"));
            let error = write_one(&planned, sink).unwrap_err();
            assert!(error.to_string().contains("/host`"), "{what}: {error}");
            assert_eq!(std::fs::read(path.join("x.tar")).unwrap(), b"earlier", "{what}");
            std::fs::remove_file(path.join("host")).ok();
            assert_eq!(names_in(&path), ["x.tar"], "{what}");
        }
    }
}

/// A sink that runs a function while the files are read.
struct During<F>(F);

impl<F: FnMut(&[u8]) -> Result<()>> Sink for During<F> {
    fn entry(&mut self, _: &RootfsPath, _: &Entry) -> Result<()> {
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.0(bytes)
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        panic!("it must have failed before");
    }
}

#[test]
fn a_file_that_grows_while_it_is_read_fails_the_run() {
    for size in [1 << 20, 20 << 20] {
        let (_folder, path) = temp();
        let host = path.join("host");
        std::fs::write(&host, vec![1; size]).unwrap();
        let planned = Planned::new().host("/host", 0o644, host.as_std_path());
        let mut first = true;
        let during = During(move |_: &[u8]| {
            if std::mem::take(&mut first) {
                File::options().append(true).open(&host).unwrap().write_all(b"more").unwrap();
            }
            Ok(())
        });
        let error = write_one(&planned, Ok(Box::new(during))).unwrap_err();
        assert!(error.message().contains("changed while it was packed"), "{error}");
    }
}

#[test]
fn another_name_is_no_change_and_a_write_with_a_forged_time_is_one() {
    let (_folder, path) = temp();
    let host = path.join("host");
    let packed = |change: &mut dyn FnMut()| {
        let _ = std::fs::remove_file(path.join("other"));
        std::fs::write(&host, vec![1; 1000]).unwrap();
        let metadata = std::fs::metadata(&host).unwrap();
        let file = HostFile::new(host.clone().into(), &metadata);
        // With a coarse clock, both would have the same time.
        std::thread::sleep(std::time::Duration::from_millis(20));
        change();
        file.open()
    };
    packed(&mut || {}).unwrap();
    packed(&mut || std::fs::hard_link(&host, path.join("other")).unwrap()).unwrap();
    let mut forge = || {
        let modified = std::fs::metadata(&host).unwrap().modified().unwrap();
        std::fs::write(&host, vec![2; 1000]).unwrap();
        File::options().write(true).open(&host).unwrap().set_modified(modified).unwrap();
    };
    let error = packed(&mut forge).unwrap_err();
    assert!(error.message().contains("changed while it was packed"), "{error}");
}

#[test]
fn an_interrupt_between_two_blocks_leaves_the_earlier_output() {
    for size in [2 << 20, 40 << 20] {
        let (_folder, path) = temp();
        std::fs::write(path.join("host"), vec![1; size]).unwrap();
        std::fs::write(path.join("x.tar"), "earlier").unwrap();
        let planned = Planned::new().host("/host", 0o644, path.join("host").as_std_path());
        let interrupted = AtomicBool::new(false);
        struct Interrupting<'a>(&'a AtomicBool);
        impl Observer for Interrupting<'_> {
            fn wrote(&mut self, _: u64) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let sink = TarFile::create(&path.join("x.tar"), 0).unwrap();
        let error = write(&planned.0, vec![sink], &mut Interrupting(&interrupted), &interrupted).unwrap_err();
        assert_eq!(error.exit_code(), crate::exit_code::INTERRUPTED);
        assert_eq!(std::fs::read(path.join("x.tar")).unwrap(), b"earlier");
        assert_eq!(names_in(&path), ["host", "x.tar"]);
    }
}

#[test]
fn no_output_is_taken_before_every_other_is_complete() {
    let (_folder, path) = temp();
    let failing = During(|_: &[u8]| Err(Error::failed("no more")));
    let sinks: Vec<Box<dyn Sink>> = vec![
        TarFile::create(&path.join("new/folder/x.tar"), 0).unwrap(),
        dir::Dir::create(&path.join("new/dir"), 0, dir::Replace::OwnOnly).unwrap(),
        Box::new(failing),
    ];
    let error = write(&some_of_everything().0, sinks, &mut (), &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.message(), "no more");
    assert!(names_in(&path).is_empty(), "{:?}", names_in(&path));
}

#[test]
fn a_tar_replaces_an_earlier_one_and_makes_its_folders() {
    let (_folder, path) = temp();
    let output = path.join("a/b/x.tar");
    for _ in 0..2 {
        let written = write_one(&some_of_everything(), TarFile::create(&output, 0)).unwrap();
        assert_eq!(written, Written::Tar(output.clone().into()));
        assert_eq!(listed(&std::fs::read(&output).unwrap()).len(), 13);
        assert_eq!(names_in(&path.join("a/b")), ["x.tar"]);
    }
}

#[test]
fn a_tar_goes_where_a_symlink_leads() {
    let (_folder, path) = temp();
    std::fs::create_dir(path.join("store")).unwrap();
    std::fs::write(path.join("store/real.tar"), "earlier").unwrap();
    symlink("store/real.tar", path.join("x.tar")).unwrap();
    write_one(&some_of_everything(), TarFile::create(&path.join("x.tar"), 0)).unwrap();
    assert!(path.join("x.tar").is_symlink());
    assert_eq!(listed(&std::fs::read(path.join("store/real.tar")).unwrap()).len(), 13);
}

#[test]
fn a_tar_onto_a_folder_or_below_a_file_is_refused() {
    let (_folder, path) = temp();
    std::fs::write(path.join("file"), "").unwrap();
    let error = TarFile::create(&path, 0).err().unwrap();
    assert!(error.message().ends_with("it is a directory"), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(TarFile::create(&path.join("file/x.tar"), 0).is_err());
    assert_eq!(names_in(&path), ["file"]);
}

#[test]
fn a_full_disk_and_a_closed_pipe_are_said() {
    let error = write_one(&some_of_everything(), TarFile::create("/dev/full".into(), 0)).unwrap_err();
    assert_eq!(error.message(), "cannot write `/dev/full`");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("No space left"), "{error:?}");

    let (_folder, path) = temp();
    let fifo = path.join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fifo.as_str(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut reader = File::options().read(true).custom_flags(flags).open(&fifo).unwrap();
    let sink = TarFile::create(&fifo, 0);
    let mut start = [0; 1];
    assert!(reader.read(&mut start).is_err(), "nothing was written yet");
    drop(reader);
    let error = write_one(&some_of_everything(), sink).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("Broken pipe"), "{error:?}");
    assert!(std::fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
}

#[test]
fn a_full_file_system_leaves_the_earlier_output() {
    let Some(mounted) = Mounted::tmpfs("size=256k") else { return };
    let output = mounted.path.join("x.tar");
    std::fs::write(&output, "earlier").unwrap();
    let planned = Planned::new().file("/big", 0o644, &[1; 1 << 20]);
    let (_folder, elsewhere) = temp();
    std::fs::write(elsewhere.join("big"), [1; 1 << 20]).unwrap();
    let from_the_host = Planned::new().host("/big", 0o644, elsewhere.join("big").as_std_path());
    for planned in [&planned, &from_the_host] {
        let error = write_one(planned, TarFile::create(&output, 0)).unwrap_err();
        assert_eq!(error.message(), format!("cannot write `{output}`"));
        assert_eq!(std::fs::read(&output).unwrap(), b"earlier");
        assert_eq!(names_in(&mounted.path), ["x.tar"]);
    }
    // The space is available again.
    write_one(&some_of_everything(), TarFile::create(&output, 0)).unwrap();

    let output = mounted.path.join("dir");
    for _ in 0..2 {
        write_one(&some_of_everything(), dir::Dir::create(&output, 0, dir::Replace::OwnOnly)).unwrap();
        let error = write_one(&planned, dir::Dir::create(&output, 0, dir::Replace::OwnOnly)).unwrap_err();
        assert_eq!(error.message(), format!("cannot write `{output}/big`"));
        assert_on_disk(&some_of_everything(), output.as_std_path(), 0);
        assert_eq!(names_in(&mounted.path).iter().filter(|name| name.ends_with("rootfs")).count(), 0);
    }
}

#[test]
fn a_read_only_file_system_is_said() {
    let Some(mounted) = Mounted::tmpfs("size=256k,ro") else { return };
    let error = TarFile::create(&mounted.path.join("x.tar"), 0).err().unwrap();
    assert_eq!(error.message(), format!("cannot create `{}`", mounted.path.join("x.tar")));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("Read-only"), "{error:?}");
    let error = dir::Dir::create(&mounted.path.join("dir"), 0, dir::Replace::OwnOnly).err().unwrap();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("Read-only"), "{error:?}");
}

/// A tmpfs for a test, which only root can mount.
pub(crate) struct Mounted {
    pub(crate) path: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

impl Mounted {
    pub(crate) fn tmpfs(options: &str) -> Option<Self> {
        let (folder, path) = temp();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", path.as_str()]).output();
        if !is_root() || !mount.is_ok_and(|output| output.status.success()) {
            skip("a tmpfs cannot be mounted");
            return None;
        }
        Some(Self { path, _folder: folder })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
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

#[test]
fn without_o_tmpfile_the_result_is_the_same() {
    // A named temporary file, as on file systems without O_TMPFILE.
    let (_folder, path) = temp();
    let output: PathBuf = path.join("x.tar").into();
    for _ in 0..2 {
        let mut file = staged_file::StagedFile::named(&output).unwrap();
        file.write_all(b"bytes").unwrap();
        assert_eq!(names_in(&path).iter().filter(|name| name.starts_with(".x.tar.")).count(), 1);
        file.persist().unwrap();
        assert_eq!(names_in(&path), ["x.tar"]);
    }
    let running = staged_file::StagedFile::named(&output).unwrap();
    std::fs::write(path.join(".x.tar.cargo-rootfs-killed"), "left").unwrap();
    drop(staged_file::StagedFile::named(&output).unwrap());
    assert_eq!(names_in(&path).len(), 2, "what is being written stays: {:?}", names_in(&path));
    drop(running);
    assert_eq!(names_in(&path), ["x.tar"]);

    let named = output.metadata().unwrap().mode();
    staged_file::StagedFile::create(&output).unwrap().persist().unwrap();
    assert_eq!(output.metadata().unwrap().mode(), named);
}
