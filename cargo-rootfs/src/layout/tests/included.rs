//! `--include`: files, directories, modes, owners, and the programs among them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::disk::{Ask, Disk, expect_shape, library, path, shape, tool};
use super::planned::{is_root, skip};
use crate::rootfs::Kind;

/// The result is an installed file, independent of the umask.
#[test]
fn a_file_becomes_roots_and_readable() {
    let project = Disk::empty().bytes("app.toml", b"x = 1\n", 0o640);
    expect_shape(
        &Ask::nothing().include(project.at("app.toml"), "/etc/app/app.toml").rootfs(&Disk::merged()),
        "/ d0755
         /etc d0755
         /etc/app d0755
         /etc/app/app.toml f0644",
    );
}

/// After a umask of 077, only files that look like secrets stay closed, with a warning.
#[test]
fn secrets_stay_closed() {
    let key = b"-----BEGIN PRIVATE KEY-----\n";
    let project = Disk::empty()
        .bytes("etc/app.toml", b"x = 1\n", 0o600)
        .bytes("etc/run", b"#!/bin/sh\n", 0o700)
        .bytes("etc/tls.pem", key, 0o600)
        .bytes("etc/chain.pem", b"-----BEGIN CERTIFICATE-----\n", 0o600)
        .bytes("etc/open.pem", key, 0o640)
        .bytes("etc/.env", b"TOKEN=1\n", 0o400)
        .bytes("etc/.ssh/config", b"", 0o600)
        .mode("etc/.ssh", 0o700)
        .mode("etc", 0o700);
    let assembly = Ask::tools(&["sh"]).include(project.at("etc"), "/srv/app").assemble(&Disk::merged()).unwrap();
    let text = shape(&assembly.rootfs);
    for line in [
        "/srv/app d0755",
        "/srv/app/app.toml f0644",
        "/srv/app/run f0755",
        "/srv/app/tls.pem f0600",
        "/srv/app/chain.pem f0644",
        "/srv/app/open.pem f0644",
        "/srv/app/.env f0400",
        "/srv/app/.ssh d0700",
        "/srv/app/.ssh/config f0600",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
    assert_eq!(
        assembly.warnings[0].message,
        "only root may read what keeps its own mode: `/srv/app/.env` (credentials, 0400), `/srv/app/.ssh` (a private \
         key, 0700), `/srv/app/.ssh/config` (a private key, 0600), `/srv/app/tls.pem` (a private key, 0600)"
    );
    // An explicit mode is applied without a change.
    let asked = Ask::nothing().include_as(project.at("etc/tls.pem"), "/etc/tls.pem", Some(0o600), Some((7, 7)));
    assert!(asked.assemble(&Disk::merged()).unwrap().warnings.is_empty());
}

/// MODE applies to directories too, including the sticky bit and set-group-ID.
#[test]
fn a_mode_is_that_of_directories_as_well() {
    let project = Disk::empty().bytes("spool/a", b"", 0o600).mode("spool", 0o700);
    for (mode, directory, file) in
        [(0o640, 0o750, 0o640), (0o600, 0o700, 0o600), (0o1777, 0o1777, 0o1777), (0o2770, 0o2770, 0o2770)]
    {
        let ask = Ask::nothing().include_as(project.at("spool"), "/srv/spool", Some(mode), None);
        let rootfs = ask.rootfs(&Disk::merged());
        let found = |at| rootfs.get(&path(at)).unwrap().mode;
        assert_eq!((found("/srv/spool"), found("/srv/spool/a")), (directory, file), "{mode:o}");
    }
}

/// Symlinks that dangle in the image are reported, except those into paths that an engine fills later.
#[test]
fn links_that_lead_nowhere_are_said() {
    let project = Disk::empty()
        .bytes("shared.txt", b"x", 0o644)
        .bytes("assets/here", b"x", 0o644)
        .link("assets/ok", "here")
        .link("assets/up", "../shared.txt")
        .link("assets/abs", "/etc/debian_version")
        .link("assets/log", "/dev/stdout")
        .link("assets/tool", "/bin/sh");
    let assembly = Ask::tools(&["sh"]).include(project.at("assets"), "/srv/assets").assemble(&Disk::merged()).unwrap();
    let warning = &assembly.warnings[0];
    assert_eq!(
        warning.message,
        "symlinks of --include lead nowhere in the rootfs: `/srv/assets/abs` -> `/etc/debian_version`, \
         `/srv/assets/up` -> `../shared.txt`"
    );
    let only = Disk::empty().link("assets/up", "../shared.txt").bytes("shared.txt", b"x", 0o644);
    let assembly = Ask::nothing().include(only.at("assets"), "/srv/assets").assemble(&Disk::merged()).unwrap();
    let there = only.at("shared.txt");
    let help = format!("include what it leads to: --include {}:/srv/shared.txt", there.canonicalize_utf8().unwrap());
    assert_eq!(assembly.warnings[0].help.as_deref(), Some(&help[..]));
}

/// In an included directory, a script may be data; a script included by name must run.
#[test]
fn a_stray_script_is_packed_and_said() {
    let project = Disk::empty()
        .bytes("app/index.html", b"<p>", 0o644)
        .bytes("app/helper", b"#!/usr/bin/env some-lisp\n", 0o755)
        .bytes("app/start", b"#!/bin/sh\n", 0o755);
    let assembly = Ask::nothing().include(project.at("app"), "/srv/app").assemble(&Disk::merged()).unwrap();
    let text = shape(&assembly.rootfs);
    for line in ["/srv/app/helper f0755", "/usr/bin/dash f0755"] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
    let said: Vec<_> = assembly.warnings.iter().map(|it| it.message.replace(project.root().as_str(), "")).collect();
    assert_eq!(
        said,
        ["`/srv/app/helper` (--include /app) cannot be run: `some-lisp` is not in the PATH of the sysroot"]
    );
    assert_eq!(assembly.wishes, [crate::layout::Shortage::Tool("some-lisp".to_owned())].into());
    let named = Ask::nothing().include(project.at("app/helper"), "/usr/bin/helper").error(&Disk::merged());
    assert_eq!(named.message(), "`/usr/bin/helper` cannot be run");
}

#[test]
fn a_mode_and_an_owner_are_taken_as_given() {
    let project = Disk::empty().bytes("key", b"secret", 0o644);
    let rootfs = Ask::nothing()
        .include_as(project.at("key"), "/etc/key", Some(0o400), Some((65532, 65532)))
        .include_as(project.at("key"), "/etc/setuid", Some(0o4755), None)
        .rootfs(&Disk::merged());
    expect_shape(
        &rootfs,
        "/ d0755
         /etc d0755
         /etc/key f0400 65532:65532
         /etc/setuid f4755",
    );
}

/// A directory with everything below it; directories are executable for users who may read the files.
#[test]
fn a_folder_comes_with_all_below_it() {
    let project = Disk::empty()
        .bytes("assets/index.html", b"<p>", 0o600)
        .bytes("assets/deep/a b.css", b"", 0o644)
        .dir("assets/empty")
        .mode("assets/empty", 0o700)
        .link("assets/latest", "index.html")
        .link("assets/nowhere", "/no/such")
        .mode("assets/deep", 0o755)
        .mode("assets", 0o755);
    expect_shape(
        &Ask::nothing().include(project.at("assets"), "/srv").rootfs(&Disk::merged()),
        "/ d0755
         /srv d0755
         /srv/deep d0755
         /srv/deep/a b.css f0644
         /srv/empty d0755
         /srv/index.html f0644
         /srv/latest l0777 -> index.html
         /srv/nowhere l0777 -> /no/such",
    );
    expect_shape(
        &Ask::nothing().include_as(project.at("assets"), "/srv", Some(0o644), Some((7, 8))).rootfs(&Disk::merged()),
        "/ d0755
         /srv d0755 7:8
         /srv/deep d0755 7:8
         /srv/deep/a b.css f0644 7:8
         /srv/empty d0755 7:8
         /srv/index.html f0644 7:8
         /srv/latest l0777 7:8 -> index.html
         /srv/nowhere l0777 7:8 -> /no/such",
    );
}

/// A directory `bin` of the project, where the sysroot has a symlink to `usr/bin`.
#[test]
fn folders_of_an_include_or_a_template_join_those_that_links_lead_to() {
    let project = Disk::empty()
        .bytes("skeleton/bin/hello", b"hello", 0o755)
        .mode("skeleton/bin", 0o755)
        .bytes("skeleton/usr/bin/other", b"other", 0o755)
        .mode("skeleton/usr/bin", 0o755)
        .mode("skeleton/usr", 0o755);
    let expected = "/ d0755
         /bin l0777 -> usr/bin
         /usr d0755
         /usr/bin d0755
         /usr/bin/hello f0755
         /usr/bin/other f0755";
    let include = Ask::nothing()
        .include(project.at("skeleton/bin"), "/bin")
        .include(project.at("skeleton/usr/bin/other"), "/bin/other");
    expect_shape(&include.rootfs(&Disk::merged()), expected);
    let template = Ask::nothing().template(project.at("skeleton").as_str());
    expect_shape(&template.rootfs(&Disk::merged()), expected);
}

/// For a source that is a symlink, its target is packed.
#[test]
fn a_source_that_is_a_link_is_what_it_leads_to() {
    let project = Disk::empty().bytes("real.txt", b"x", 0o644).link("alias", "real.txt");
    let rootfs = Ask::nothing().include(project.at("alias"), "/etc/alias").rootfs(&Disk::merged());
    assert!(matches!(rootfs.get(&path("/etc/alias")).unwrap().kind, Kind::File(_)));
}

/// An ELF file in an include brings its closure, also libraries beside it by `$ORIGIN`.
#[test]
fn an_elf_file_comes_with_its_closure() {
    let project = Disk::empty()
        .elf("dist/bin/extra", tool().needs("libextra.so").needs("libsys.so").runpath("$ORIGIN/../lib"))
        .elf("dist/lib/libextra.so", library("libextra.so"));
    let sysroot = Disk::merged().elf("usr/lib/libsys.so", library("libsys.so"));
    let text = shape(&Ask::nothing().include(project.at("dist/bin/extra"), "/opt/bin/extra").rootfs(&sysroot));
    for line in ["/opt/bin/extra f0755", "/opt/lib/libextra.so f0755", "/usr/lib/libsys.so f0755", "/lib64 l0777"] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

/// A library in the same directory is packed once, at its place there.
#[test]
fn a_folder_of_an_executable_and_its_library_is_packed_as_it_stands() {
    let project = Disk::empty()
        .elf("dist/bin/extra", tool().needs("libextra.so").runpath("$ORIGIN/../lib"))
        .elf("dist/lib/libextra.so.1", library("libextra.so"))
        .link("dist/lib/libextra.so", "libextra.so.1")
        .mode("dist", 0o755)
        .mode("dist/bin", 0o755)
        .mode("dist/lib", 0o755);
    let text = shape(&Ask::nothing().include(project.at("dist"), "/opt/extra").rootfs(&Disk::merged()));
    for line in [
        "/opt/extra/bin/extra f0755",
        "/opt/extra/lib/libextra.so l0777 -> libextra.so.1",
        "/opt/extra/lib/libextra.so.1 f0755",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

/// A file that only looks executable is packed with a warning.
#[test]
fn broken_elf_files_are_packed_and_said() {
    let project = Disk::empty()
        .bytes("data.sh", b"#!/bin/sh\n", 0o644)
        .bytes("half", &tool().build()[..80], 0o755)
        .elf("foreign", tool().machine(crate::elf::fixture::machine("aarch64")));
    let mut ask = Ask::nothing();
    for name in ["data.sh", "half", "foreign"] {
        ask = ask.include(project.at(name), &format!("/opt/{name}"));
    }
    let assembly = ask.assemble(&Disk::merged()).unwrap();
    let said: Vec<_> = assembly.warnings.iter().map(|it| it.message.replace(project.root().as_str(), "")).collect();
    assert_eq!(
        said,
        [
            "`/half` begins like an ELF file, but is none: program headers past the end of the file; it is packed unchanged",
            "`/foreign` is for aarch64, not for x86_64; it is packed without its needs",
        ]
    );
}

/// Symlinks of the sysroot in the destination path are followed.
#[test]
fn a_destination_behind_a_link_of_the_sysroot_is_put_where_it_leads() {
    let project = Disk::empty().bytes("tool", b"data", 0o755);
    expect_shape(
        &Ask::nothing().include(project.at("tool"), "/bin/tool").rootfs(&Disk::merged()),
        "/ d0755
         /bin l0777 -> usr/bin
         /usr d0755
         /usr/bin d0755
         /usr/bin/tool f0755",
    );
}

/// A file of the sysroot can be included under another name, and its own entry is unchanged.
#[test]
fn an_include_of_a_file_of_the_sysroot_changes_nothing_of_it_there() {
    if !is_root() {
        return skip("set-ID bits of an included file: needs root");
    }
    let sysroot = Disk::merged().elf("usr/bin/su", tool()).mode("usr/bin/su", 0o4711);
    let rootfs =
        Ask::tools(&["su"]).include_as(sysroot.at("usr/bin/su"), "/opt/su", Some(0o750), None).rootfs(&sysroot);
    let mode = |at| rootfs.get(&path(at)).unwrap().mode;
    assert_eq!((mode("/usr/bin/su"), mode("/opt/su")), (0o4711, 0o750));
}

/// An include replaces a template's file.
#[test]
fn an_include_takes_the_place_of_a_templates_file() {
    let project = Disk::empty().bytes("passwd", b"me:x:0:0::/:\n", 0o600);
    let rootfs =
        Ask::tools(&["sh"]).template("base").include(project.at("passwd"), "/etc/passwd").rootfs(&Disk::merged());
    let entry = rootfs.get(&path("/etc/passwd")).unwrap();
    assert_eq!((entry.mode, entry.size()), (0o644, 13));
}

#[test]
fn a_destination_with_dotdot_is_refused() {
    let project = Disk::empty().bytes("a", b"", 0o644);
    let error = Ask::nothing().include(project.at("a"), "/etc/../../a").error(&Disk::merged());
    assert_eq!((error.exit_code(), error.message()), (2, "the destination `/etc/../../a` of --include has `..` in it"));
}

/// All errors are reported together.
#[test]
fn sources_that_cannot_be_packed_are_refused() {
    let project = Disk::empty().fifo("folder/fifo").bytes("folder/ok", b"", 0o644);
    let error = Ask::nothing()
        .include(project.at("folder"), "/a")
        .include(project.at("gone"), "/b")
        .include(project.at("folder/fifo"), "/c")
        .error(&Disk::merged());
    let said: Vec<_> = error.each().map(|it| it.message().replace(project.root().as_str(), "")).collect();
    assert_eq!(
        said,
        [
            "cannot include `/folder/fifo`: it is a FIFO, a socket or a device",
            "cannot include `/gone`",
            "cannot include `/folder/fifo`: it is a FIFO, a socket or a device",
        ]
    );
}

#[test]
fn two_sources_for_one_place_are_refused() {
    let project = Disk::empty().bytes("a", b"1", 0o644).bytes("b", b"2", 0o644).dir("c");
    let twice = Ask::nothing().include(project.at("a"), "/etc/x").include(project.at("b"), "/etc/x");
    assert_eq!(twice.error(&Disk::merged()).message(), "two sources for `/etc/x`");
    let file_and_folder = Ask::nothing().include(project.at("a"), "/etc/x").include(project.at("c"), "/etc/x");
    assert_eq!(file_and_folder.error(&Disk::merged()).message(), "two sources for `/etc/x`");
    // The same destination by another path.
    let merged = Ask::nothing().include(project.at("a"), "/bin/x").include(project.at("b"), "/usr/bin/x");
    assert_eq!(merged.error(&Disk::merged()).message(), "two sources for `/usr/bin/x`");
    let below = Ask::nothing().include(project.at("a"), "/etc/x").include(project.at("b"), "/etc/x/y");
    assert_eq!(below.error(&Disk::merged()).message(), "`/etc/x` would be a file and the directory of `/etc/x/y`");
    // The same file twice is no conflict.
    Ask::nothing().include(project.at("a"), "/etc/x").include(project.at("a"), "/etc/x").rootfs(&Disk::merged());
}

/// An include may be the library of a closure, and must satisfy the closure's needs.
#[test]
fn an_include_in_the_place_of_a_library_must_serve() {
    let libc = |version| library("libc.so.6").defines_versions(&["libc.so.6", version]);
    let project = Disk::empty().elf("good", libc("GLIBC_2.34")).elf("old", libc("GLIBC_2.2.5"));
    let ask = |source| Ask::tools(&["sh"]).include(project.at(source), "/usr/lib/libc.so.6");
    let rootfs = ask("good").rootfs(&Disk::merged());
    let origins = &rootfs.get(&path("/usr/lib/libc.so.6")).unwrap().origins;
    assert!(origins.len() > 1, "{origins:?}");
    assert_eq!(ask("old").error(&Disk::merged()).message(), "version `GLIBC_2.34` not found in `/lib/libc.so.6`");
}

#[test]
fn an_include_in_the_place_of_a_tool_or_of_a_folder_is_refused() {
    let project = Disk::empty().bytes("dash", b"mine", 0o755);
    for destination in ["/bin/dash", "/usr/bin/sh", "/bin", "/usr/bin", "/lib64", "/"] {
        let result =
            Ask::tools(&["/bin/dash", "sh"]).include(project.at("dash"), destination).assemble(&Disk::merged());
        assert!(result.is_err(), "{destination}: {}", shape(&result.unwrap().rootfs));
    }
}

/// A name that is not UTF-8 is an error if it would be packed.
#[test]
fn names_that_are_not_utf_8_are_refused() {
    let project = Disk::empty().dir("folder");
    std::fs::write(project.at("folder").as_std_path().join(OsStr::from_bytes(b"bad\xff")), b"").unwrap();
    let error = Ask::nothing().include(project.at("folder"), "/srv").error(&Disk::merged());
    assert_eq!(error.message(), "`/srv/bad\u{fffd}` has a name that is not UTF-8");
    // In other directories it has no effect.
    let sysroot = Disk::merged();
    std::fs::write(sysroot.at("usr/bin").as_std_path().join(OsStr::from_bytes(b"bad\xff")), b"").unwrap();
    Ask::tools(&["sh"]).rootfs(&sysroot);
}

#[test]
fn unreadable_sources_are_refused() {
    if is_root() {
        return skip("a file that root may not read: there is none");
    }
    let project = Disk::empty().bytes("secret", b"", 0o000);
    assert!(Ask::nothing().include(project.at("secret"), "/s").error(&Disk::merged()).message().contains("secret"));
}
