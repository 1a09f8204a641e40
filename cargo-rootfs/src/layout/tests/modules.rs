//! Modules that scripts bring.

use super::disk::{Ask, Disk, library, tool};
use super::rules::{has, why};

/// A script's modules belong to its package and to its dependencies: not to the package of a program or of another
/// module, nor to a script without a package.
#[test]
fn a_script_brings_the_modules_of_its_package() {
    let record = |name: &str, depends: &str| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nDepends: {depends}\n\n")
    };
    let status =
        record("play", "snake, book") + &record("book", "snake") + &record("snake", "") + &record("elf", "book");
    let sysroot = Disk::merged()
        .elf("usr/bin/snake3.1", tool())
        .link("usr/bin/snake3", "snake3.1")
        .bytes("usr/bin/play.real", b"#!/usr/bin/env snake3\n", 0o755)
        .link("usr/bin/play", "play.real")
        .bytes("usr/bin/play-more", b"#!/usr/bin/snake3\n", 0o755)
        .elf("usr/bin/elf", tool())
        .bytes("usr/local/bin/own", b"#!/usr/bin/snake3\n", 0o755)
        .elf("usr/lib/snake/book/fast.so", library("fast.so").needs("libpage.so"))
        .elf("usr/lib/libpage.so", library("libpage.so"))
        .bytes("usr/lib/snake/book/main", b"#!/usr/bin/snake3\n", 0o755)
        .bytes("usr/share/play/data", b"", 0o644)
        .bytes("usr/share/play/left/out/data", b"", 0o644)
        .bytes("usr/share/doc/play/README", b"", 0o644)
        .bytes("var/lib/dpkg/status", status.as_bytes(), 0o644)
        .bytes(
            "var/lib/dpkg/info/play.list",
            b"/bin/play.real\n/usr/bin/play-more\n/usr/share/play/data\n/usr/share/play/left/out/data\n/usr/share/doc/play/README\n",
            0o644,
        )
        .bytes("var/lib/dpkg/info/book.list", b"/usr/lib/snake/book/fast.so\n/usr/lib/snake/book/main\n", 0o644)
        .bytes("var/lib/dpkg/info/snake.list", b"/usr/bin/snake3.1\n/usr/lib/snake/none\n", 0o644)
        .bytes("var/lib/dpkg/info/elf.list", b"/usr/bin/elf\n", 0o644);
    let rules = r##"
        [[rule]]
        name = "own-modules"
        why = "a program for snake imports modules"
        when = ["#!snake*"]
        modules = ["/usr/lib/snake/*/**"]
        exclude = ["/usr/bin", "/usr/share/play/left"]
    "##;
    let assembly = Ask::tools(&["play"]).rules(rules).assemble(&sysroot).unwrap();
    for there in
        ["/usr/share/play/data", "/usr/lib/snake/book/fast.so", "/usr/lib/snake/book/main", "/usr/lib/libpage.so"]
    {
        assert!(has(&assembly.rootfs, there), "{there}");
    }
    for absent in ["/usr/share/play/left", "/usr/share/doc", "/usr/bin/play-more", "/var/lib/dpkg"] {
        assert!(!has(&assembly.rootfs, absent), "{absent}");
    }
    let told = why(&assembly, "/usr/lib/snake/book/fast.so");
    assert!(told.contains("own-modules") && told.contains("because of /usr/bin/play.real"), "{told}");

    for other in ["elf", "snake3", "/usr/local/bin/own"] {
        let rootfs = Ask::tools(&[other]).rules(rules).rootfs(&sysroot);
        assert!(!has(&rootfs, "/usr/lib/snake"), "{other}");
    }
    // Each script has its own package, and one of its two names is enough.
    let both = Ask::tools(&["/usr/local/bin/own", "play.real", "play"]).rules(rules).rootfs(&sysroot);
    assert!(has(&both, "/usr/lib/snake/book/fast.so"));
}

/// A list may contain names that no file system has: the time and stack are bounded by its length.
#[test]
fn a_hostile_list_of_modules_ends() {
    let deep = |length: usize| format!("/usr/lib/snake/{}x\n", "a/".repeat(length));
    let deep = deep(500_000) + &deep(2000);
    let sysroot = Disk::merged()
        .elf("usr/bin/snake", tool())
        .bytes("usr/bin/play", b"#!/usr/bin/snake\n", 0o755)
        .bytes("usr/share/play", b"", 0o644)
        .bytes(
            "var/lib/dpkg/status",
            b"Package: play\nStatus: install ok installed\nArchitecture: all\nDepends: evil\n\nPackage: evil\n\
              Status: install ok installed\nArchitecture: all\nDepends: play\n",
            0o644,
        )
        .bytes("var/lib/dpkg/info/play.list", format!("/usr/bin/play\n{deep}/usr/share/play\n").as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/evil.list", deep.as_bytes(), 0o644);
    let rules = r##"
        [[rule]]
        name = "own-modules"
        why = "a program for snake imports modules"
        when = ["#!snake"]
        modules = ["/usr/lib/snake/**/a/*/**", "/usr/lib/**/x"]
        exclude = ["/usr/bin", "a/b", "**/a/b/x"]
    "##;
    let rootfs = Ask::tools(&["play"]).rules(rules).rootfs(&sysroot);
    assert!(has(&rootfs, "/usr/share/play") && !has(&rootfs, "/usr/lib/snake"));
}
