//! Constants of the project's own files: the paths, programs and libraries that it names, and the rules about them.

use super::disk::{Ask, Disk, library, path, tool};
use crate::elf::fixture::Fixture;
use crate::layout::Assembly;

const STATUS: &str = "\
Package: far
Status: install ok installed
Architecture: amd64

Package: engine
Status: install ok installed
Architecture: amd64
";

fn sysroot() -> Disk {
    Disk::merged()
        .bytes("usr/share/far/data", b"x", 0o644)
        .bytes("etc/mime.types", b"x", 0o644)
        .elf("usr/lib/engine/17/server/libengine.so", library("libengine.so"))
        .elf("usr/lib/libusual.so.1", library("libusual.so.1"))
        .bytes("var/lib/dpkg/status", STATUS.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/far.list", b"/usr/share/far\n/usr/share/far/data\n/opt/far/libusual.so\n", 0o644)
        .bytes("var/lib/dpkg/info/engine.list", b"/usr/lib/engine/17/server/libengine.so\n", 0o644)
}

fn packed(app: Fixture, ask: Ask) -> Assembly {
    let project = Disk::empty().elf("app", app);
    ask.executable(project.at("app")).assemble(&sysroot()).unwrap()
}

fn said(app: Fixture) -> Vec<String> {
    packed(app, Ask::nothing()).warnings.iter().map(|warning| warning.message.clone()).collect()
}

/// Rust does not end its constants: between two NULs, a path continues with that of a source file.
#[test]
fn a_path_that_other_constants_follow() {
    let constants = b"\0/usr/share/far/data/rustc/0123456789/library/alloc/src/string.rs\0";
    assert_eq!(said(tool().tail(constants)), ["named by constants, and not packed: `/usr/share/far/data` (by `app`)"]);
}

/// Libraries and tools name files of /etc that belong to every system.
#[test]
fn a_file_of_every_system() {
    let constants = b"\0/etc/mime.types\0";
    assert_eq!(said(tool().tail(constants)), ["named by constants, and not packed: `/etc/mime.types` (by `app`)"]);
    let disk = sysroot().elf("usr/bin/quux", tool().tail(constants));
    assert!(Ask::tools(&["quux"]).assemble(&disk).unwrap().warnings.is_empty());
}

/// As libjvm.so, which is in no directory of the loader.
#[test]
fn a_library_that_a_package_has_elsewhere() {
    let app = || tool().tail(b"\0libengine.so\0libusual.so.1\0libnowhere.so\0");
    let named = "named by constants, and not packed: `/usr/lib/engine/17/server/libengine.so` (by `app`)";
    assert_eq!(said(app().imports("dlopen")), [named]);
    assert!(said(app()).is_empty());
}

#[test]
fn a_rule_about_the_project_alone() {
    let files = "files = [{ path = '/etc/made', text = 'x' }]\n";
    for (condition, app) in [
        ("calls = ['project:iconv_open']", tool().imports("iconv_open")),
        ("mentions = ['project:/usr/share/fonts']", tool().tail(b"\0/usr/share/fonts\0")),
    ] {
        let rule = format!("[[rule]]\nname = 'own'\nwhy = 'x'\n{condition}\n{files}");
        let disk = sysroot().elf("usr/bin/quux", app.clone());
        assert!(packed(app, Ask::nothing().rules(&rule)).rootfs.get(&path("/etc/made")).is_some(), "{condition}");
        let of_tool = Ask::tools(&["quux"]).rules(&rule).rootfs(&disk);
        assert!(of_tool.get(&path("/etc/made")).is_none(), "{condition}");
    }
}

/// localtime(3) finds the zone of TZ in a file; gmtime(3) reads none.
#[test]
fn a_program_of_the_project_with_local_time_has_time_zones() {
    for (function, is) in [("localtime_r", true), ("mktime", true), ("gmtime_r", false)] {
        let project = Disk::empty().elf("app", tool().imports(function));
        let disk = sysroot().bytes("usr/share/zoneinfo/Europe/Berlin", b"TZif2", 0o644);
        let rootfs = Ask::nothing().executable(project.at("app")).rootfs(&disk);
        assert_eq!(rootfs.get(&path("/usr/share/zoneinfo/Europe/Berlin")).is_some(), is, "{function}");
    }
}

/// As iconv(1) of libc-bin.
#[test]
fn a_rule_about_the_project_and_tools_of_the_source_of_libc() {
    let rule = "[[rule]]\nname = 'own'\nwhy = 'x'\ncalls = ['project:iconv_open']\nfiles = [{ path = '/etc/made', text = 'x' }]\n";
    let record = |name, source| {
        format!("Package: {name}\nSource: {source}\nStatus: install ok installed\nArchitecture: amd64\n\n")
    };
    for (source, is_its) in [("glibc", true), ("quux", false)] {
        let status = record("libc6", "glibc") + &record("quux", source);
        let disk = sysroot()
            .elf("usr/bin/quux", tool().imports("iconv_open"))
            .bytes("var/lib/dpkg/status", status.as_bytes(), 0o644)
            .bytes("var/lib/dpkg/info/libc6.list", b"/usr/lib/libc.so.6\n", 0o644)
            .bytes("var/lib/dpkg/info/quux.list", b"/usr/bin/quux\n", 0o644);
        let rootfs = Ask::tools(&["quux"]).rules(rule).rootfs(&disk);
        assert_eq!(rootfs.get(&path("/etc/made")).is_some(), is_its, "{source}");
    }
}

/// The table of symbols shows where a name is an argument of Command::new.
#[test]
fn a_stripped_program_that_starts_others() {
    let told = "`app` is stripped: the names of the programs that it starts cannot be read";
    assert_eq!(said(tool().imports("execvp")), [told]);
    assert!(said(tool().imports("write")).is_empty());
}
