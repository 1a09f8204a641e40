//! Owning packages, from a made-up database of each kind.

use super::disk::{Ask, Disk, library, path, tool};
use crate::report;

/// The owner of each path, one a line.
fn owners(ask: &Ask, sysroot: &Disk, paths: &[&str]) -> String {
    let mut assembly = ask.assemble(sysroot).unwrap();
    let has_owner = assembly.rootfs.iter().any(|(_, entry)| entry.package.is_some());
    assert!(!has_owner, "owners are looked up for those who ask");
    assembly.find_owners();
    let line = |at: &&str| {
        let entry = assembly.rootfs.get(&path(at)).unwrap_or_else(|| panic!("{at}\n{}", assembly.rootfs.dump()));
        match entry.package.as_deref() {
            Some(package) => format!("{at}: {package} {}\n", package.architecture),
            None => format!("{at}: none\n"),
        }
    };
    paths.iter().map(line).collect()
}

fn record(name: &str, architecture: &str, rest: &str) -> String {
    format!("Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: 1:2.0-1\n{rest}\n")
}

/// In a merged /usr: a list has /lib where the file is in /usr/lib, one library is installed for two architectures, and
/// a program is diverted.
fn dpkg() -> Disk {
    let status = [
        record("app", "amd64", ""),
        record("libapp1", "amd64", "Source: app-source (2.0-1)\nMulti-Arch: same\n"),
        record("libapp1", "i386", "Source: app-source (2.0-1)\nMulti-Arch: same\n"),
        record("other", "all", ""),
        record("removed", "all", "").replace("ok installed", "ok config-files"),
    ];
    Disk::merged()
        .elf("usr/bin/app", tool().needs("libapp.so.1"))
        .elf("usr/bin/app.distrib", tool())
        .elf("usr/bin/local", tool())
        .link("usr/lib/libapp.so.1", "libapp.so.1.0")
        .elf("usr/lib/libapp.so.1.0", library("libapp.so.1"))
        .bytes("usr/share/shared", b"x", 0o644)
        .bytes("var/lib/dpkg/status", status.concat().as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/app.list", b"/.\n/usr\n/usr/bin\n/usr/bin/app\n/usr/bin/env\n", 0o644)
        .bytes(
            "var/lib/dpkg/info/libapp1:amd64.list",
            b"/.\n/lib\n/lib/libapp.so.1\n/lib/libapp.so.1.0\n/usr/share/shared\n",
            0o644,
        )
        .bytes("var/lib/dpkg/info/libapp1:i386.list", b"/usr/share/shared\n/lib/i386/libapp.so.1\n", 0o644)
        .bytes("var/lib/dpkg/info/other.list", b"/usr/bin/app\n", 0o644)
        .bytes("var/lib/dpkg/info/removed.list", b"/usr/bin/local\n", 0o644)
        .bytes("var/lib/dpkg/diversions", b"/usr/bin/app\n/usr/bin/app.distrib\nother\n", 0o644)
}

#[test]
fn dpkg_knows_the_owner_behind_merged_folders_architectures_and_diversions() {
    let sysroot = dpkg();
    let ask =
        Ask::tools(&["app", "app.distrib", "local", "sh"]).include(sysroot.at("usr/share/shared"), "/usr/share/shared");
    let paths = [
        "/usr/bin/app",
        "/usr/bin/app.distrib",
        "/usr/bin/local",
        "/usr/lib/libapp.so.1",
        "/usr/lib/libapp.so.1.0",
        "/usr/share/shared",
        "/usr/bin",
        "/lib",
    ];
    assert_eq!(
        owners(&ask, &sysroot, &paths),
        "/usr/bin/app: other 1:2.0-1 all\n\
         /usr/bin/app.distrib: app 1:2.0-1 amd64\n\
         /usr/bin/local: none\n\
         /usr/lib/libapp.so.1: libapp1 1:2.0-1 (app-source) amd64\n\
         /usr/lib/libapp.so.1.0: libapp1 1:2.0-1 (app-source) amd64\n\
         /usr/share/shared: libapp1 1:2.0-1 (app-source) amd64\n\
         /usr/bin: none\n\
         /lib: none\n"
    );
    let i386 = [record("both", "amd64", ""), record("both", "i386", "")].concat();
    let sysroot = Disk::merged()
        .bytes("var/lib/dpkg/status", i386.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/both:amd64.list", b"/usr/bin/env\n", 0o644)
        .bytes("var/lib/dpkg/info/both:i386.list", b"/usr/bin/env\n", 0o644);
    assert_eq!(owners(&Ask::tools(&["env"]), &sysroot, &["/usr/bin/env"]), "/usr/bin/env: both 1:2.0-1 amd64\n");
}

/// A file of the template or of the project at a package's path belongs to no package.
#[test]
fn a_file_in_the_place_of_a_packages_file_has_no_owner() {
    let project = Disk::empty().bytes("env", b"x", 0o644).bytes("shared", b"x", 0o644);
    let sysroot = dpkg();
    let ask = Ask::tools(&["local"])
        .include(project.at("env"), "/usr/bin/env")
        .include(project.at("shared"), "/usr/share/shared");
    let paths = ["/usr/bin/env", "/usr/share/shared"];
    assert_eq!(owners(&ask, &sysroot, &paths), "/usr/bin/env: none\n/usr/share/shared: none\n");
    let project = Disk::empty().elf("target/env", tool());
    let mut ask = Ask::tools(&["local"]).executable(project.at("target/env"));
    ask.content.install_dir = path("/usr/bin");
    assert_eq!(owners(&ask, &sysroot, &["/usr/bin/env"]), "/usr/bin/env: none\n");
}

#[test]
fn apk_knows_the_owner() {
    let sysroot = Disk::merged().bytes(
        "lib/apk/db/installed",
        b"P:busybox\nV:1.36.1-r5\nA:x86_64\no:busybox\nF:bin\nR:env\nR:dash\n\n\
          P:libc\nV:2.39-r0\nA:x86_64\no:glibc\nF:lib\nR:libc.so.6\n\n",
        0o644,
    );
    let paths = ["/usr/bin/env", "/usr/lib/libc.so.6", "/usr/lib64/ld-linux-x86-64.so.2"];
    assert_eq!(
        owners(&Ask::tools(&["env"]), &sysroot, &paths),
        "/usr/bin/env: busybox 1.36.1-r5 x86_64\n\
         /usr/lib/libc.so.6: libc 2.39-r0 (glibc) x86_64\n\
         /usr/lib64/ld-linux-x86-64.so.2: none\n"
    );
}

#[test]
fn pacman_knows_the_owner() {
    let desc = b"%NAME%\ncoreutils\n\n%VERSION%\n9.5-1\n\n%BASE%\ncoreutils\n\n%ARCH%\nx86_64\n";
    let sysroot = Disk::merged().bytes("var/lib/pacman/local/coreutils-9.5-1/desc", desc, 0o644).bytes(
        "var/lib/pacman/local/coreutils-9.5-1/files",
        b"%FILES%\nusr/\nusr/bin/\nusr/bin/env\n",
        0o644,
    );
    let paths = ["/usr/bin/env", "/usr/lib/libc.so.6"];
    assert_eq!(
        owners(&Ask::tools(&["env"]), &sysroot, &paths),
        "/usr/bin/env: coreutils 9.5-1 x86_64\n/usr/lib/libc.so.6: none\n"
    );
}

/// More paths than are searched for in the text of a list.
#[test]
fn many_files_find_their_owners_in_lists_that_are_taken_apart() {
    let names: Vec<String> = (0..40).map(|number| format!("tool{number}")).collect();
    let list: String = names.iter().map(|name| format!("/bin/{name}\n")).collect();
    let sysroot = dpkg().bytes("var/lib/dpkg/info/other.list", list.as_bytes(), 0o644);
    let sysroot = names.iter().fold(sysroot, |disk, name| disk.elf(&format!("usr/bin/{name}"), tool()));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("/usr/bin/{name}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let expected: String = paths.iter().map(|path| format!("{path}: other 1:2.0-1 all\n")).collect();
    assert_eq!(owners(&Ask::tools(&names), &sysroot, &paths), expected);
}

#[test]
fn reasons_come_with_the_owner() {
    let sysroot = dpkg();
    let mut assembly = Ask::tools(&["app"]).assemble(&sysroot).unwrap();
    assembly.find_owners();
    let mut text = Vec::new();
    report::why(&mut text, &assembly.rootfs, &path("/lib/libapp.so.1.0")).unwrap();
    let text = String::from_utf8(text).unwrap();
    let last = "/usr/lib/libapp.so.1.0\n    package libapp1 1:2.0-1 (app-source)\n    needed by /usr/bin/app\n        --with app\n";
    assert!(text.ends_with(last), "{text}");
}
