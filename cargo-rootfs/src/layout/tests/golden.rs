//! Whole root filesystems, one line for each entry with its origins, compared with the files of `tests/golden/`.
//! `SNAPSHOTS=overwrite cargo test --package cargo-rootfs golden` rewrites those files; review the diff.

use snapbox::data::DataFormat;
use snapbox::{Data, assert_data_eq};

use super::disk::{Ask, Disk, library, tool};
use crate::elf::fixture::{Fixture, machine};
use crate::resolve::Priority;
use crate::target::Target;

/// Compares the dump of the rootfs with `tests/golden/NAME.dump`. Temporary directories have different names in each
/// run, so that of `project` is written as `PROJECT`.
#[track_caller]
fn golden(name: &str, ask: &Ask, sysroot: &Disk, project: &Disk) {
    let dump = ask.rootfs(sysroot).dump();
    let dump = dump.replace(sysroot.root().as_str(), "SYSROOT").replace(project.root().as_str(), "PROJECT");
    let file = format!("{}/../tests/golden/{name}.dump", env!("CARGO_MANIFEST_DIR"));
    let expected = Data::read_from(file.as_ref(), Some(DataFormat::Text)).raw();
    assert_data_eq!(Data::text(dump).raw(), expected);
}

/// Debian's directories for libraries, an alternative, a hard link, a file of ld.so.conf.d(5) and links of versions.
fn debian() -> Disk {
    Disk::merged()
        .elf("usr/bin/edit.basic", tool().needs("libm.so.6").needs("libdeep.so.1"))
        .link("usr/bin/edit", "/etc/alternatives/edit")
        .link("etc/alternatives/edit", "/usr/bin/edit.basic")
        .elf("usr/lib/x86_64-linux-gnu/libm.so.6", library("libm.so.6"))
        .elf("opt/deep/libdeep.so.1.2", library("libdeep.so.1"))
        .link("opt/deep/libdeep.so.1", "libdeep.so.1.2")
        .bytes("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n", 0o644)
        .bytes("etc/ld.so.conf.d/deep.conf", b"/opt/deep\n/usr/lib/x86_64-linux-gnu\n", 0o644)
        .elf("usr/bin/runner", tool())
        .hard_link("usr/bin/runner5", "usr/bin/runner")
        .bytes("usr/bin/report", b"#!/usr/bin/runner\n", 0o755)
}

#[test]
fn tools_with_their_links_and_a_cache() {
    golden("tools", &Ask::tools(&["edit", "sh", "report", "runner5"]), &debian(), &Disk::empty());
}

#[test]
fn tools_of_a_root_without_a_merged_usr() {
    golden("unmerged", &Ask::tools(&["sh", "env"]).template("base"), &Disk::unmerged(), &Disk::empty());
}

#[test]
fn the_templates() {
    for template in ["base", "web"] {
        let sysroot = Disk::merged().bytes("etc/ssl/certs/ca-certificates.crt", b"authorities\n", 0o644);
        let ask = Ask::tools(&["env"]).template(template);
        golden(&format!("template-{template}"), &ask, &sysroot, &Disk::empty());
    }
}

#[test]
fn a_project_with_its_own_libraries_and_files() {
    let project = Disk::empty()
        .elf("out/app", tool().needs("libown.so.1").needs("libbeside.so").runpath("$ORIGIN/../lib"))
        .elf("out/build/own/libown.so.1.0", library("libown.so.1"))
        .link("out/build/own/libown.so.1", "libown.so.1.0")
        .elf("lib/libbeside.so", library("libbeside.so"))
        .bytes("files/app.conf", b"[app]\n", 0o600)
        .bytes("files/data/one", b"1", 0o644)
        .link("files/data/two", "one");
    let ask = Ask::tools(&["sh"])
        .template("base")
        .executable(project.at("out/app"))
        .library_dir(project.at("out/build/own"))
        .build_tree(project.root())
        .include(project.at("files/data"), "/srv/data")
        .include_as(project.at("files/app.conf"), "/etc/app.conf", Some(0o640), Some((0, 1000)));
    golden("project", &ask, &Disk::merged(), &project);
}

#[test]
fn libraries_that_notes_and_hardware_bring() {
    let note = r#"[{"soname":["libzip.so.4"],"priority":"recommended","feature":"zip","description":"Unpacks"}]"#;
    let sysroot = Disk::merged()
        .elf("usr/bin/opens", tool().note(note).needs("libsum.so.1"))
        .elf("usr/lib/libzip.so.4.2", library("libzip.so.4").needs("libhelp.so"))
        .link("usr/lib/libzip.so.4", "libzip.so.4.2")
        .elf("usr/lib/libhelp.so", library("libhelp.so"))
        .elf("usr/lib/libsum.so.1", library("libsum.so.1"))
        .elf("usr/lib/glibc-hwcaps/x86-64-v3/libsum.so.1", library("libsum.so.1").needs("libfast.so"))
        .elf("usr/lib/libfast.so", library("libfast.so"))
        .elf("usr/lib/libnss_own.so.2", library("libnss_own.so.2"));
    let ask = Ask::tools(&["opens"]).hwcaps().dlopen(Priority::Recommended).library("libnss_own.so.2");
    golden("dlopen-and-hwcaps", &ask, &sysroot, &Disk::empty());
}

#[test]
fn rules_take_data_and_make_files() {
    let sysroot = Disk::merged()
        .elf("usr/bin/zone", tool())
        .bytes("usr/share/zoneinfo/UTC", b"TZif", 0o644)
        .bytes("usr/share/zoneinfo/Europe/Berlin", b"TZif2", 0o644)
        .elf("usr/lib/zone/plug.so", library("plug.so").needs("libplug.so"))
        .elf("usr/lib/libplug.so", library("libplug.so"));
    let rule = r#"
[[rule]]
name = "zones"
why = "it reads them at run time"
when = ["/usr/bin/zone"]
take = ["/usr/share/zoneinfo/**", "{lib}/zone/*.so"]
files = [{ path = "/etc/zone.conf", text = "UTC\n" }, { path = "/etc/localtime", link = "/usr/share/zoneinfo/UTC" }]
"#;
    golden("rules", &Ask::tools(&["zone"]).rules(rule), &sysroot, &Disk::empty());
}

#[test]
fn a_package_with_what_it_depends_on() {
    let status = "Package: app\nStatus: install ok installed\nArchitecture: amd64\nDepends: libapp1 (>= 1)\n\n\
                  Package: libapp1\nStatus: install ok installed\nArchitecture: amd64\n";
    let files = "/.\n/usr/bin/app\n/usr/share/app/data\n/usr/share/man/man1/app.1.gz\n/var/lib/app\n";
    let sysroot = Disk::merged()
        .elf("usr/bin/app", tool().needs("libapp.so.1"))
        .elf("usr/lib/libapp.so.1", library("libapp.so.1"))
        .bytes("usr/share/app/data", b"data", 0o644)
        .bytes("usr/share/man/man1/app.1.gz", b"man", 0o644)
        .dir("var/lib/app")
        .bytes("var/lib/dpkg/status", status.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/app.list", files.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/libapp1.list", b"/.\n/usr/lib/libapp.so.1\n", 0o644);
    golden("package", &Ask::nothing().package("app"), &sysroot, &Disk::empty());
}

#[test]
fn another_machine() {
    let arm = |fixture: Fixture| fixture.machine(machine("aarch64"));
    let loader = "/lib/ld-linux-aarch64.so.1";
    let libc = Fixture::library().soname("libc.so.6").needs("ld-linux-aarch64.so.1").defines_versions(&["libc.so.6"]);
    let sysroot = Disk::empty()
        .elf("lib/aarch64-linux-gnu/ld-linux-aarch64.so.1", arm(Fixture::library().soname("ld-linux-aarch64.so.1")))
        .link("lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu/ld-linux-aarch64.so.1")
        .elf("lib/aarch64-linux-gnu/libc.so.6", arm(libc))
        .elf("usr/bin/env", arm(Fixture::program().interpreter(loader).needs("libc.so.6")));
    let mut ask = Ask::tools(&["env"]);
    ask.target = Target::parse("aarch64-unknown-linux-gnu").unwrap();
    golden("aarch64", &ask, &sysroot, &Disk::empty());
}
