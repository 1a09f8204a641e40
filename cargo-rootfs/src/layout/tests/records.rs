//! Records and licences of packages, from made-up databases.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use super::disk::{Ask, Disk, path, tool};
use crate::layout::{Licenses, Records};
use crate::path::RootfsPath;
use crate::rootfs::{Body, Kind, Rootfs};
use crate::runtime::Runtime;

impl Ask {
    fn records(mut self) -> Self {
        self.content.records = Records::Auto;
        self
    }

    fn licenses(mut self) -> Self {
        self.content.licenses = Licenses::Auto;
        self
    }
}

/// The text of a file of the rootfs; `None` if missing.
fn text(rootfs: &Rootfs, at: &str) -> Option<String> {
    let bytes = match &rootfs.get(&path(at))?.kind {
        Kind::File(Body::Bytes(bytes)) => bytes.to_vec(),
        Kind::File(Body::Host(file)) => std::fs::read(&file.path).unwrap(),
        other => panic!("{at} is {other:?}"),
    };
    Some(String::from_utf8(bytes).unwrap())
}

/// The names in a directory of the rootfs.
fn names(rootfs: &Rootfs, folder: &str) -> Vec<String> {
    rootfs.below(&path(folder)).map(|(path, _)| String::from_utf8_lossy(path.file_name()).into_owned()).collect()
}

/// The sum of each file, which the host has at one of these places.
fn md5(files: &[String]) -> Vec<String> {
    let output = Command::new("md5sum").args(files).output().expect("md5sum(1) runs");
    let text = String::from_utf8(output.stdout).unwrap();
    let sums: Vec<String> = text.lines().map(|line| line[..32].to_owned()).collect();
    assert_eq!(sums.len(), files.len(), "{text}");
    sums
}

/// A package of a made-up database: its fields, and its files by their listed paths, with a mark for files without a
/// sum.
struct Package {
    name: &'static str,
    fields: &'static str,
    files: Vec<(String, bool)>,
}

fn package(name: &'static str, fields: &'static str, files: &[&str]) -> Package {
    let file = |file: &&str| (file.trim_end_matches('*').to_owned(), !file.ends_with('*'));
    Package { name, fields, files: files.iter().map(file).collect() }
}

/// Writes the records that dpkg would write for `packages`, whose files exist.
fn dpkg(mut disk: Disk, packages: &[Package]) -> Disk {
    let mut status = String::new();
    for Package { name, fields, files } in packages {
        write!(status, "Package: {name}\nStatus: install ok installed\n{fields}\n").unwrap();
        let (mut list, mut sums) = ("/.\n/usr\n".to_owned(), String::new());
        for (file, has_sum) in files {
            writeln!(list, "/{file}").unwrap();
            let real = disk.at(file);
            if *has_sum && !real.is_symlink() {
                let real = disk.at(&format!("{file}.distrib")).exists().then(|| disk.at(&format!("{file}.distrib")));
                let real = real.filter(|_| *name == "app").unwrap_or_else(|| disk.at(file));
                writeln!(sums, "{}  {file}", md5(&[real.to_string()])[0]).unwrap();
            }
        }
        disk = disk.bytes(&format!("var/lib/dpkg/info/{name}.list"), list.as_bytes(), 0o644);
        disk = disk.bytes(&format!("var/lib/dpkg/info/{name}.md5sums"), sums.as_bytes(), 0o644);
    }
    disk.bytes("var/lib/dpkg/status", status.as_bytes(), 0o644)
}

const AMD64: &str = "Architecture: amd64\nVersion: 1:2.0-1\n";

/// A program with data, of which another package diverted one file; a library that lists /lib; configuration; a licence
/// in another package, and a common one.
fn debian() -> Disk {
    let disk = Disk::merged()
        .elf("usr/bin/app", tool())
        .elf("usr/bin/app.distrib", tool().needs("libm.so.6"))
        .elf("usr/lib/libm.so.6", super::disk::library("libm.so.6"))
        .bytes("usr/share/app/data", b"data", 0o644)
        .bytes("usr/share/app/unpacked", b"x", 0o644)
        .bytes("etc/app.conf", b"conf", 0o644)
        .bytes("etc/debian_version", b"12.1\n", 0o644)
        .bytes("etc/lsb-release", b"DISTRIB_ID=Debian\n", 0o644)
        .bytes("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\n", 0o644)
        .link("etc/os-release", "../usr/lib/os-release")
        .bytes("usr/share/doc/app/copyright", b"is in /usr/share/common-licenses/GPL-2.\n", 0o644)
        .bytes("usr/share/common-licenses/GPL-2", b"terms\n", 0o644)
        .bytes("usr/share/common-licenses/GPL-3", b"other terms\n", 0o644)
        .bytes("usr/share/doc/libc-base/copyright", b"free\n", 0o644)
        .link("usr/share/doc/libc6", "libc-base");
    let conffiles = "Architecture: all\nVersion: 1-1\nConffiles:\n /etc/app.conf 0123\nDescription: an app\n with data\n\
                     description: again\n";
    let packages = [
        package(
            "app",
            conffiles,
            &[
                "usr/bin/app",
                "usr/share/app/data",
                "usr/share/app/unpacked",
                "etc/app.conf*",
                "usr/share/doc/app/copyright",
            ],
        ),
        package("other", AMD64, &["usr/bin/app"]),
        package(
            "libc6",
            "Source: glibc (2.36-9)\nArchitecture: amd64\nVersion: 2.36-9\n",
            &["lib/libc.so.6", "lib/libm.so.6", "lib64/ld-linux-x86-64.so.2", "usr/share/doc/libc6*"],
        ),
        package("libc-base", AMD64, &["usr/share/doc/libc-base/copyright"]),
        package(
            "base-files",
            AMD64,
            &[
                "usr/lib/os-release",
                "etc/os-release*",
                "etc/debian_version*",
                "usr/share/common-licenses/GPL-2",
                "usr/share/common-licenses/GPL-3",
            ],
        ),
        package("unused", AMD64, &["usr/bin/env", "usr/bin/dash"]),
    ];
    dpkg(disk, &packages).bytes("var/lib/dpkg/diversions", b"/usr/bin/app\n/usr/bin/app.distrib\nother\n", 0o644)
}

/// Every file of a package is in exactly one record, with its sum, by its path in the rootfs; no other file is.
#[track_caller]
fn sums_hold(rootfs: &Rootfs, without_sum: &[&str]) {
    let mut listed: BTreeMap<RootfsPath, (String, String)> = BTreeMap::new();
    for (at, entry) in rootfs.below(&path("/var/lib/dpkg/status.d")) {
        let name = String::from_utf8_lossy(at.file_name()).into_owned();
        assert_eq!(entry.package.as_ref().map(|it| &*it.name), Some(name.trim_end_matches(".md5sums")), "{at}");
        if !name.ends_with(".md5sums") {
            continue;
        }
        for line in text(rootfs, &at.to_string()).unwrap().lines() {
            let (sum, file) = line.split_once("  ").unwrap();
            let known = listed.insert(path(&format!("/{file}")), (sum.to_owned(), name.clone()));
            assert_eq!(known, None, "{file} is in two records");
        }
    }
    for (at, entry) in rootfs.iter().filter(|(at, _)| !at.is_within(&path("/var/lib/dpkg"))) {
        let record = listed.remove(at);
        let kind = match &entry.kind {
            Kind::Hardlink(first) => &rootfs.get(first).unwrap().kind,
            kind => kind,
        };
        let (Some(package), Kind::File(Body::Host(file))) = (&entry.package, kind) else {
            assert_eq!(record, None, "{at} is no file of a package");
            continue;
        };
        if without_sum.contains(&&*at.to_string()) {
            assert_eq!(record, None, "{at}");
            continue;
        }
        let sum = md5(&[file.path.display().to_string()]).remove(0);
        assert_eq!(record, Some((sum, format!("{}.md5sums", package.name))), "{at}");
    }
    assert_eq!(listed, BTreeMap::new(), "in records and not in the rootfs");
}

#[test]
fn records_hold_what_is_there_and_nothing_else() {
    let sysroot = debian();
    let ask = Ask::tools(&["app", "app.distrib"]).include(sysroot.at("etc/app.conf"), "/etc/app.conf");
    let rootfs = ask.include(sysroot.at("usr/share/app/data"), "/usr/share/app/data").records().rootfs(&sysroot);
    let expected = ["app", "base-files", "libc6", "other"];
    let expected = expected.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.md5sums")]);
    assert_eq!(names(&rootfs, "/var/lib/dpkg/status.d"), expected.collect::<Vec<_>>());
    sums_hold(&rootfs, &["/etc/debian_version", "/etc/app.conf"]);
    let record = text(&rootfs, "/var/lib/dpkg/status.d/app").unwrap();
    assert_eq!(record, "Package: app\nArchitecture: all\nVersion: 1-1\nDescription: an app\n with data\n");
    let sums = text(&rootfs, "/var/lib/dpkg/status.d/libc6.md5sums").unwrap();
    assert!(sums.lines().all(|line| line.contains("  usr/lib")), "by paths of a merged root:\n{sums}");
    assert!(text(&rootfs, "/var/lib/dpkg/status").is_none());
    assert_eq!(text(&rootfs, "/etc/debian_version").as_deref(), Some("12.1\n"));
    assert_eq!(rootfs.get(&path("/etc/lsb-release")).map(|_| ()), None, "it is Ubuntu's mark");
    assert!(text(&rootfs, "/usr/lib/os-release").is_some());
    assert!(rootfs.get(&path("/usr/share/doc")).is_none(), "no licences");
}

#[test]
fn a_file_of_the_project_belongs_to_no_package_that_lists_its_path() {
    let project = Disk::empty().elf("hello", tool());
    let sysroot = debian().bytes("var/lib/dpkg/info/unused.list", b"/usr/local/bin/hello\n", 0o644);
    let rootfs = Ask::tools(&["app"]).executable(project.at("hello")).records().rootfs(&sysroot);
    assert_eq!(rootfs.get(&path("/usr/local/bin/hello")).map(|entry| entry.package.clone()), Some(None));
    assert_eq!(text(&rootfs, "/var/lib/dpkg/status.d/unused"), None);
}

#[test]
fn an_included_file_of_the_sysroot_keeps_its_package_in_its_own_place() {
    let sysroot = debian();
    let data = sysroot.at("usr/share/app/data");
    let ask = Ask::tools(&["app"]).include(&data, "/usr/share/app/data").include(&data, "/usr/share/app/unpacked");
    let rootfs = ask.records().rootfs(&sysroot);
    let owner = |at: &str| rootfs.get(&path(at)).unwrap().package.as_ref().map(|package| package.name.to_string());
    assert_eq!(owner("/usr/share/app/data").as_deref(), Some("app"));
    assert_eq!(owner("/usr/share/app/unpacked"), None);
}

#[test]
fn ubuntu_is_known_by_a_file_of_its_own() {
    let sysroot = debian().bytes("usr/lib/os-release", b"ID=ubuntu\n", 0o644);
    let rootfs = Ask::tools(&["env"]).records().rootfs(&sysroot);
    assert!(text(&rootfs, "/etc/lsb-release").is_some());
}

#[test]
fn licences_come_with_links_to_them_and_those_that_they_name() {
    let sysroot = debian();
    let rootfs = Ask::tools(&["app.distrib"]).runtime(Runtime::Rules).records().licenses().rootfs(&sysroot);
    let share = path("/usr/share");
    let licences = rootfs.below(&share).filter(|(_, entry)| !matches!(entry.kind, Kind::Dir));
    let licences: Vec<_> = licences.map(|(path, _)| path.to_string()).collect();
    let expected = [
        "/usr/share/common-licenses/GPL-2",
        "/usr/share/doc/app/copyright",
        "/usr/share/doc/libc-base/copyright",
        "/usr/share/doc/libc6",
    ];
    assert_eq!(licences, expected);
    sums_hold(&rootfs, &["/etc/debian_version"]);
    assert!(text(&rootfs, "/var/lib/dpkg/status.d/libc-base").is_some(), "whose licence is libc6's");
}

#[test]
fn neither_is_there_unless_it_is_asked() {
    let sysroot = debian();
    let rootfs = Ask::tools(&["app.distrib"]).runtime(Runtime::Rules).rootfs(&sysroot);
    assert!(rootfs.get(&path("/var")).is_none() && rootfs.get(&path("/usr/share")).is_none());
    let rootfs = Ask::tools(&["app.distrib"]).runtime(Runtime::Rules).licenses().rootfs(&sysroot);
    assert!(rootfs.get(&path("/var")).is_none() && rootfs.get(&path("/usr/share/doc/app/copyright")).is_some());
}

/// dpkg reads `status` only.
#[test]
fn with_dpkg_packed_its_own_files_take_the_place_of_records() {
    let disk = Disk::merged().elf("usr/bin/dpkg", tool());
    let packages = [package("dpkg", AMD64, &["usr/bin/dpkg"]), package("libc6", AMD64, &["lib/libc.so.6"])];
    let sysroot = dpkg(disk, &packages);
    let rootfs = Ask::tools(&["dpkg"]).records().rootfs(&sysroot);
    assert!(rootfs.get(&path("/var/lib/dpkg/status.d")).is_none());
    let status = text(&rootfs, "/var/lib/dpkg/status").unwrap();
    let record = |name| format!("Package: {name}\nStatus: install ok installed\n{AMD64}\n");
    assert_eq!(status, [record("dpkg"), record("libc6")].concat());
    assert_eq!(text(&rootfs, "/var/lib/dpkg/info/libc6.list").unwrap(), "/usr/lib/libc.so.6\n");
    assert!(text(&rootfs, "/var/lib/dpkg/info/libc6.md5sums").unwrap().ends_with("  usr/lib/libc.so.6\n"));
}

#[test]
fn apks_one_file_is_cut() {
    let sysroot = Disk::merged().bytes("usr/lib/os-release", b"ID=alpine\n", 0o644).bytes(
        "lib/apk/db/installed",
        b"C:Q1x=\nP:busybox\nV:1.36.1-r5\nA:x86_64\nF:bin\nM:0:0:1777\nR:env\na:0:0:755\nZ:Q1y=\nR:dash\nZ:Q1z=\nF:etc\n\
          R:conf\nZ:Q1a=\n\nP:other\nV:1\nF:opt\nR:x\n\nP:libc\nV:2.39-r0\nA:x86_64\nF:lib\nR:libc.so.6\n\n",
        0o644,
    );
    let rootfs = Ask::tools(&["env"]).records().rootfs(&sysroot);
    let expected = "C:Q1x=\nP:busybox\nV:1.36.1-r5\nA:x86_64\nF:bin\nM:0:0:1777\nR:env\na:0:0:755\nZ:Q1y=\n\n\
                    P:libc\nV:2.39-r0\nA:x86_64\nF:lib\nR:libc.so.6\n\n";
    assert_eq!(text(&rootfs, "/usr/lib/apk/db/installed").as_deref(), Some(expected));
}

#[test]
fn pacmans_lists_are_cut() {
    let desc = "%NAME%\ncoreutils\n\n%VERSION%\n9.5-1\n\n%ARCH%\nx86_64\n";
    let local = "var/lib/pacman/local/coreutils-9.5-1";
    let sysroot = Disk::merged()
        .bytes(&format!("{local}/desc"), desc.as_bytes(), 0o644)
        .bytes(&format!("{local}/files"), b"%FILES%\nusr/\nusr/bin/\nusr/bin/env\nusr/bin/dash\n", 0o644)
        .bytes("usr/share/licenses/coreutils/COPYING", b"terms", 0o644);
    let rootfs = Ask::tools(&["env"]).records().licenses().rootfs(&sysroot);
    assert_eq!(text(&rootfs, &format!("/{local}/desc")).as_deref(), Some(desc));
    assert_eq!(text(&rootfs, &format!("/{local}/files")).as_deref(), Some("%FILES%\nusr/bin/env\n"));
    assert!(text(&rootfs, "/usr/share/licenses/coreutils/COPYING").is_some());
}

/// syft reads the owners of files there, and lists a program of no package as one of its own.
#[cfg(feature = "cli")]
#[test]
fn pacmans_mtree_has_the_packed_files() {
    use std::io::Read;
    let local = "var/lib/pacman/local/coreutils-9.5-1";
    let list = b"%FILES%\nusr/bin/env\nusr/bin/e v#\nusr/bin/[\nusr/bin/dash\n";
    let sysroot = Disk::merged()
        .bytes(&format!("{local}/desc"), b"%NAME%\ncoreutils\n\n%VERSION%\n9.5-1\n\n%ARCH%\nx86_64\n", 0o644)
        .bytes(&format!("{local}/files"), list, 0o644)
        .bytes("usr/bin/e v#", b"#!/usr/bin/env env\n", 0o755)
        .link("usr/bin/[", "env");
    let rootfs = Ask::tools(&["env", "/usr/bin/e v#", "["]).records().rootfs(&sysroot);
    let Some(Kind::File(Body::Bytes(packed))) = rootfs.get(&path(&format!("/{local}/mtree"))).map(|it| &it.kind) else {
        panic!("no mtree: {rootfs:?}")
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    let expected = "#mtree\n./usr/bin/\\133 type=link\n./usr/bin/e\\040v\\043 type=file\n./usr/bin/env type=file\n";
    assert_eq!(text, expected);
}

#[test]
fn without_a_database_there_are_no_records() {
    let rootfs = Ask::tools(&["env"]).records().licenses().rootfs(&Disk::merged());
    assert!(rootfs.get(&path("/var")).is_none());
}

/// Packages of all shapes: merged paths or not, hard links, configuration, only some files packed.
#[test]
fn records_equal_the_files_of_any_rootfs() {
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..8 {
        let (mut disk, mut packages, mut packed, mut conffiles) = (Disk::merged(), Vec::new(), Vec::new(), Vec::new());
        for (index, name) in ["a", "b1", "c-data", "libd2"].into_iter().enumerate() {
            let mut files: Vec<(String, bool)> = Vec::new();
            for number in 0..=random(6) {
                let (folder, real) =
                    [("bin", "usr/bin"), ("lib", "usr/lib"), ("etc", "etc"), ("usr/share", "usr/share")]
                        [random(4) as usize];
                let (listed, real) = (format!("{folder}/{name}{number}"), format!("{real}/{name}{number}"));
                disk = match files.first() {
                    Some((first, _)) if random(4) == 0 => disk.hard_link(&real, first),
                    _ => disk.bytes(&real, format!("{index} {number} {round}").as_bytes(), 0o644),
                };
                files.push((if random(2) == 0 { listed } else { real.clone() }, folder != "etc"));
                if random(2) == 0 {
                    packed.push(real.clone());
                }
                if folder == "etc" {
                    conffiles.push(format!("/{real}"));
                }
            }
            packages.push(Package { name, fields: AMD64, files });
        }
        let sysroot = dpkg(disk, &packages);
        let rule = format!(
            "[[rule]]\nname = \"all\"\nwhy = \"a test\"\nwhen = [\"/usr/bin/env\"]\ntake = [{}]\n",
            packed.iter().map(|file| format!("\"/{file}\"")).collect::<Vec<_>>().join(", ")
        );
        let rootfs = Ask::tools(&["env"]).records().rules(&rule).rootfs(&sysroot);
        let conffiles: Vec<&str> = conffiles.iter().map(String::as_str).collect();
        for file in &packed {
            let entry = rootfs.get(&path(&format!("/{file}"))).unwrap_or_else(|| panic!("{file}\n{}", rootfs.dump()));
            assert!(entry.package.is_some(), "{file}");
        }
        sums_hold(&rootfs, &conffiles);
    }
}
