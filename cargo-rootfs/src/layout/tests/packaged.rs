//! Packages in a rootfs: the taken files and their origins, the files left out, and the reports.

use super::disk::{Ask, Disk, library, path, tool};
use crate::report;
use crate::runtime::Runtime;

const STATUS: &str = "\
Package: app
Status: install ok installed
Architecture: amd64
Depends: libapp1 (>= 1), gone

Package: libapp1
Status: install ok installed
Architecture: amd64
Recommends: other

Package: other
Status: install ok installed
Architecture: amd64
";

/// A program with a library, data, a man page, a key, an alternative's name and a directory to write to.
fn sysroot() -> Disk {
    Disk::merged()
        .elf("usr/bin/app.real", tool().needs("libapp.so.1"))
        .link("usr/bin/app", "/etc/alternatives/app")
        .link("etc/alternatives/app", "/usr/bin/app.real")
        .elf("usr/lib/libapp.so.1", library("libapp.so.1"))
        .elf("usr/lib/app/plugin.so", library("plugin.so").needs("libdeep.so"))
        .elf("usr/lib/libdeep.so", library("libdeep.so"))
        .elf("usr/lib/app/first/libhost.so", library("libhost.so"))
        .elf("usr/lib/app/second.so", library("second.so").needs("libhost.so").needs("libfar.so"))
        .elf("usr/lib/libfar.so", library("libfar.so"))
        .elf("usr/lib/app/broken.so", library("broken.so").needs("libnone.so"))
        .bytes("usr/share/app/data", b"x", 0o644)
        .bytes("usr/share/man/man1/app.1.gz", b"x", 0o644)
        .bytes("etc/app.key", b"x", 0o644)
        .bytes("usr/bin/extra", b"x", 0o644)
        .dir("var/lib/app")
        .bytes("var/lib/dpkg/status", STATUS.as_bytes(), 0o644)
        .bytes(
            "var/lib/dpkg/info/app.list",
            b"/.\n/bin\n/usr/bin/app.real\n/usr/lib/app\n/usr/lib/app/plugin.so\n/usr/lib/app/broken.so\n/usr/lib/app/second.so\n/usr/lib/app/first\n\
              /usr/lib/app/first/libhost.so\n/usr/share/app/data\n\
              /usr/share/man/man1/app.1.gz\n/etc/app.key\n/var\n/var/lib/app\n/etc/removed\n",
            0o644,
        )
        .bytes("var/lib/dpkg/info/libapp1.list", b"/.\n/usr/lib\n/lib/libapp.so.1\n", 0o644)
        .bytes("var/lib/dpkg/info/other.list", b"/.\n/usr/bin/extra\n", 0o644)
        .bytes("var/lib/dpkg/alternatives/app", b"auto\n/usr/bin/app\n\n/usr/bin/app.real\n9\n\n", 0o644)
}

#[test]
fn a_package_comes_with_what_it_depends_on() {
    let assembly = Ask::nothing().package("app").assemble(&sysroot()).unwrap();
    let dump = assembly.rootfs.dump();
    for line in [
        "/etc/alternatives/app l0777 0:0 -> /usr/bin/app.real [leads to /usr/bin/app.real]",
        "/usr/bin/app l0777 0:0 -> /etc/alternatives/app [leads to /usr/bin/app.real]",
        "/usr/lib/app/plugin.so f0755 0:0",
        "/usr/lib/libdeep.so f0755 0:0",
        // The program that opens it has opened libhost.so before.
        "/usr/lib/app/second.so f0755 0:0 402 [package app, for --with-package app]",
        "/usr/lib/libfar.so f0755 0:0 349 [needed by /usr/lib/app/second.so]",
        "/usr/share/app/data f0644 0:0 1 [package app, for --with-package app]",
        "/var/lib/app d0755 0:0 [package app, for --with-package app]",
    ] {
        assert!(dump.contains(line), "{line}\n{dump}");
    }
    for absent in ["man1", "app.key", "broken.so", "extra", "removed", "dpkg"] {
        assert!(!dump.contains(absent), "{absent}\n{dump}");
    }
    let mut text = Vec::new();
    report::why(&mut text, &assembly.rootfs, &path("/usr/lib/libapp.so.1")).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("package libapp1, for --with-package app"), "{text}");
    let said: Vec<_> = assembly.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "dependencies are not in the sysroot: `gone` (by app)",
            "left out `/usr/lib/app/broken.so` (package app, for --with-package app): libnone.so is not in the sysroot",
            "left out: `/etc/app.key` (a private key)",
        ]
    );
}

/// With `--runtime packages`, a tool brings the rest of its own package, without its dependencies.
#[test]
fn a_tool_comes_with_its_own_package() {
    let ask = Ask::tools(&["app", "env"]).runtime(Runtime::Packages);
    let assembly = ask.assemble(&sysroot()).unwrap();
    let dump = assembly.rootfs.dump();
    assert!(dump.contains("/usr/share/app/data f0644 0:0 1 [package app, for --with app]"), "{dump}");
    assert!(!dump.contains("[package libapp1"), "{dump}");
    let said: Vec<_> = assembly.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(said[0], "no package of the sysroot has `env`: its other files are not known");
    // Without it, the files that are left out are reported.
    let assembly = Ask::tools(&["app"]).runtime(Runtime::Rules).assemble(&sysroot()).unwrap();
    assert!(assembly.rootfs.get(&path("/usr/share/app/data")).is_none());
    let said: Vec<_> = assembly.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(said[0].starts_with("left out by `--runtime rules`: 5 files, "), "{said:?}");
    assert!(said[0].ends_with(": app (of `app.real`)"), "{said:?}");
}

/// All errors together, each with the likely package.
#[test]
fn packages_that_are_not_there() {
    let error = Ask::nothing().package("ap").package("libapp").package("").error(&sysroot());
    assert_eq!(
        error.to_string().replace(sysroot_name(&error.to_string()), "ROOT"),
        "package `ap` is not installed in the sysroot `ROOT`\n  help: did you mean `app`?\n\
         package `libapp` is not installed in the sysroot `ROOT`\n  help: did you mean `libapp1`?\n\
         --with-package was given an empty name"
    );
    assert_eq!(error.exit_code(), crate::exit_code::USAGE);
    let error = Ask::nothing().package("app").error(&Disk::merged());
    assert!(error.message().starts_with("no package database for --with-package in the sysroot"), "{error}");
    let fedora = Disk::merged().bytes("usr/lib/sysimage/rpm/rpmdb.sqlite", b"x", 0o644);
    let error = Ask::nothing().package("app").error(&fedora);
    assert_eq!(error.details(), ["/usr/lib/sysimage/rpm/rpmdb.sqlite is rpm's, which is not read"]);
}

fn sysroot_name(text: &str) -> &str {
    text.split("sysroot `").nth(1).unwrap().split('`').next().unwrap()
}

/// A list with paths that lead out of the sysroot, to no file, and in circles.
#[test]
fn a_hostile_list_takes_nothing_from_elsewhere() {
    let sysroot = Disk::merged()
        .bytes("var/lib/dpkg/status", b"Package: evil\nStatus: install ok installed\nArchitecture: amd64\nDepends: evil\n", 0o644)
        .bytes(
            "var/lib/dpkg/info/evil.list",
            b"/../../../../../../etc/hostname\n/out/hostname\n/fifo\n/loop\n/usr/bin/env\n/\n\n/home/me/x\n/usr/bin/env/x\n",
            0o644,
        )
        .link("out", "../../../../../../../../etc")
        .link("loop", "loop")
        .bytes("home/me/x", b"x", 0o644)
        .fifo("fifo");
    let assembly = Ask::nothing().package("evil").assemble(&sysroot).unwrap();
    let dump = assembly.rootfs.dump();
    assert!(dump.contains("/usr/bin/env f0755"), "{dump}");
    assert!(!dump.contains("hostname") && !dump.contains("fifo") && !dump.contains("home"), "{dump}");
}
