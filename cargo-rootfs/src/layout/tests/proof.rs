//! The proof fails for every removal or change of a file on which it depends.

use std::sync::Arc;

use super::super::Planned;
use super::disk::{Ask, Disk, library, path, tool};
use crate::elf::Bytes;
use crate::elf::fixture::{Fixture, machine};
use crate::error::Error;
use crate::path::RootfsPath;
use crate::proof::prove;
use crate::resolve::Priority;
use crate::resolve::cache::{self, Cache};
use crate::rootfs::{Body, Entry, Kind, Origin, Rootfs};
use crate::runtime::Runtime;

fn fails(planned: &mut Planned, rootfs: &Rootfs) -> bool {
    !prove(rootfs, &planned.claims, planned.follows, &planned.given, &mut planned.view).faults.is_empty()
}

/// Proves `planned`, and checks that the proof fails without any single entry, or entry of its cache or path file.
#[track_caller]
fn every_removal_fails(mut planned: Planned) {
    let whole = planned.assembly.rootfs.clone();
    let errors = prove(&whole, &planned.claims, planned.follows, &planned.given, &mut planned.view).faults;
    assert!(errors.is_empty(), "{errors:?}");
    assert!(whole.len() > 3, "{}", whole.dump());
    let mut spared = Vec::new();
    for (path, _) in whole.iter() {
        let mut without = whole.clone();
        without.remove(path);
        if !fails(&mut planned, &without) {
            spared.push(path.to_string());
        }
    }
    for (what, without) in without_one_line(&whole) {
        if !fails(&mut planned, &without) {
            spared.push(what);
        }
    }
    assert!(spared.is_empty(), "these can be taken away: {spared:?}\nof\n{}", whole.dump());
}

/// The rootfs without one entry of its ld.so.cache, or without one directory of musl's path file.
fn without_one_line(whole: &Rootfs) -> Vec<(String, Rootfs)> {
    let mut found = Vec::new();
    let mut with = |at: &RootfsPath, what: String, bytes: Vec<u8>| {
        let mut changed = whole.clone();
        changed.get_mut(at).unwrap().kind = Kind::File(Body::Bytes(Arc::from(bytes)));
        found.push((what, changed));
    };
    let at = path("/etc/ld.so.cache");
    if let Some(bytes) = made(whole, &at) {
        let machine = machine("x86_64");
        let parsed = Cache::parse(bytes.to_vec(), machine).unwrap();
        let entry = |entry: cache::Entry<'_>| {
            (Bytes::from(entry.name), entry.hwcaps.map(Bytes::from), RootfsPath::from_bytes(entry.path).unwrap())
        };
        let entries: Vec<_> = parsed.entries().map(entry).collect();
        for out in 0..entries.len() {
            let mut rest = entries.clone();
            let (name, hwcaps, path) = rest.remove(out);
            let what = format!("cache entry {} {hwcaps:?} => {path}", String::from_utf8_lossy(&name));
            with(&at, what, cache::write_with_hwcaps(machine, &rest));
        }
    }
    let at = path("/etc/ld-musl-x86_64.path");
    if let Some(bytes) = made(whole, &at) {
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let is_extra = |line: &[u8]| !["/lib", "/usr/local/lib", "/usr/lib"].iter().any(|it| it.as_bytes() == line);
        for out in (0..lines.len()).filter(|index| is_extra(lines[*index])) {
            let mut rest = lines.clone();
            let line = rest.remove(out);
            with(&at, format!("path {}", String::from_utf8_lossy(line)), rest.join(&b'\n'));
        }
    }
    found
}

fn made(rootfs: &Rootfs, at: &RootfsPath) -> Option<Arc<[u8]>> {
    match &rootfs.get(at)?.kind {
        Kind::File(Body::Bytes(bytes)) => Some(Arc::clone(bytes)),
        _ => None,
    }
}

#[track_caller]
fn planned(ask: &Ask, sysroot: &Disk) -> Planned {
    match ask.plan(sysroot) {
        Ok(planned) => planned,
        Err(error) => panic!("{error}"),
    }
}

/// A sysroot with all kinds of paths to a file: alternatives, symlinks in the library directories, a RUNPATH through a
/// symlink, a cache with a separate directory, and libraries that need one another.
fn winding() -> Disk {
    let entries = [(Bytes::from(&b"libdeep.so.1"[..]), path("/usr/lib/deep/libdeep.so.1"))];
    Disk::merged()
        .bytes("etc/ld.so.cache", &cache::write(machine("x86_64"), &entries), 0o644)
        .elf("usr/bin/vim.basic", tool().needs("libdeep.so.1").needs("librun.so").runpath("/opt/run"))
        .link("usr/bin/vim", "/etc/alternatives/vim")
        .link("etc/alternatives/vim", "/usr/bin/vim.basic")
        .elf("usr/lib/deep/libdeep.so.1.2.3", library("libdeep.so.1").needs("libdeeper.so").runpath("$ORIGIN/more"))
        .link("usr/lib/deep/libdeep.so.1", "libdeep.so.1.2.3")
        .elf("usr/lib/deep/more/libdeeper.so", library("libdeeper.so"))
        .link("opt/run", "../srv/run/../lib")
        .dir("srv/run")
        .elf("srv/lib/librun.so", library("librun.so"))
}

#[test]
fn nothing_of_a_merged_rootfs_can_be_spared() {
    every_removal_fails(planned(&Ask::tools(&["sh", "env"]), &Disk::merged()));
}

#[test]
fn nothing_of_an_unmerged_rootfs_can_be_spared() {
    every_removal_fails(planned(&Ask::tools(&["sh", "env", "/bin/dash"]), &Disk::unmerged()));
}

#[test]
fn nothing_of_a_winding_rootfs_can_be_spared() {
    every_removal_fails(planned(&Ask::tools(&["vim", "sh"]), &winding()));
}

#[test]
fn nothing_of_a_project_with_libraries_of_its_own_can_be_spared() {
    let project = Disk::empty()
        .elf("target/release/app", tool().needs("libnative.so").needs("libbeside.so").runpath("$ORIGIN/../lib"))
        .elf("target/release/build/native/out/libnative.so", library("libnative.so").needs("libsecond.so"))
        .elf("target/release/build/native/out/libsecond.so", library("libsecond.so"))
        .elf("target/lib/libbeside.so", library("libbeside.so"));
    let ask = Ask::tools(&["sh"])
        .executable(project.at("target/release/app"))
        .library_dir(project.at("target/release/build/native/out"))
        .build_tree(project.root());
    every_removal_fails(planned(&ask, &Disk::merged()));
}

#[test]
fn nothing_of_a_library_path_can_be_spared() {
    let sysroot = Disk::merged()
        .elf("usr/bin/tool", tool().needs("libx.so.1").runpath("/opt/x"))
        .elf("opt/x/libx.so.1", library("libx.so.1").needs("liby.so"))
        .elf("opt/x/liby.so", library("liby.so"));
    every_removal_fails(planned(&Ask::tools(&["tool"]).library_path("/opt/x"), &sysroot));
}

#[test]
fn nothing_of_a_library_opened_at_run_time_can_be_spared() {
    let sysroot = Disk::merged()
        .elf("usr/lib/libplug.so.1.0", library("libplug.so.1").needs("libhelp.so"))
        .link("usr/lib/libplug.so.1", "libplug.so.1.0")
        .elf("usr/lib/libhelp.so", library("libhelp.so"))
        .elf("opt/far/libfar.so", library("libfar.so"));
    let ask = Ask::tools(&["sh"]).library("libplug.so.1").library("libfar.so").library_path("/opt/far");
    every_removal_fails(planned(&ask, &sysroot));
}

/// Additions of notes are proved like objects needed at the start: found by default, by a RUNPATH, by a cache.
#[test]
fn nothing_that_a_dlopen_note_adds_can_be_spared() {
    let note = |name: &str| format!("[{{\"soname\":[\"libnone.so\",\"{name}\"]}}]");
    let entries = [(Bytes::from(&b"libcached.so"[..]), path("/opt/libcached.so"))];
    let sysroot = Disk::merged()
        .bytes("etc/ld.so.cache", &cache::write(machine("x86_64"), &entries), 0o644)
        .elf("usr/bin/opens", tool().note(&note("libplug.so.1")).note(&note("libcached.so")))
        .elf("usr/lib/libplug.so.1.0", library("libplug.so.1").needs("libhelp.so").note(&note("librun.so")))
        .link("usr/lib/libplug.so.1", "libplug.so.1.0")
        .elf("usr/lib/libhelp.so", library("libhelp.so"))
        .elf("usr/lib/librun.so", library("librun.so").runpath("/opt/run").needs("libdeep.so"))
        .elf("opt/run/libdeep.so", library("libdeep.so"))
        .elf("opt/libcached.so", library("libcached.so"));
    let mut planned = planned(&Ask::tools(&["opens"]), &sysroot);
    assert_eq!(planned.claims[0].opened.len(), 5);
    let unopened =
        prove(&planned.assembly.rootfs, &planned.claims, Priority::Required, &planned.given, &mut planned.view).faults;
    assert!(!unopened.is_empty(), "what was found in the sysroot is not opened in the rootfs");
    every_removal_fails(planned);
}

/// Variants are proved on each hardware: none of their files, symlinks or cache entries can be removed either.
#[test]
fn nothing_of_variants_can_be_spared() {
    let sysroot = super::variants::cached();
    let planned = planned(&Ask::tools(&["app"]).library("libsum.so.1").hwcaps(), &sysroot);
    // Two roots, on the baseline and with each set of three levels.
    assert_eq!(planned.claims.len(), 2 * 8);
    every_removal_fails(planned);
}

/// A file that is needed under two names must be found under both.
#[test]
fn nothing_of_a_library_with_two_names_can_be_spared() {
    let sysroot = Disk::merged()
        .elf("usr/bin/tool", tool().needs("libx.so").needs("libalias.so").needs("libtwin.so").needs("/opt/y/libx.so"))
        .elf("opt/x/libx.so", library("libx.so"))
        .link("opt/x/libalias.so", "libx.so")
        .hard_link("usr/lib/libtwin.so", "opt/x/libx.so")
        .link("opt/y", "x");
    let ask = Ask::tools(&["tool"]).library_path("/opt/x");
    every_removal_fails(planned(&ask, &sysroot));
    let rootfs = ask.rootfs(&sysroot);
    for path in ["/opt/x/libalias.so", "/usr/lib/libtwin.so", "/opt/y"] {
        assert!(rootfs.get(&crate::RootfsPath::parse(path).unwrap()).is_some(), "{path}");
    }
}

/// musl recognises a libc by the contents of the file, so the file must be present.
#[test]
fn nothing_of_a_second_libc_can_be_spared() {
    let loader = Fixture::library().tail(b"\0/lib:/usr/local/lib:/usr/lib\0");
    let program = Fixture::program().interpreter("/lib/ld-musl-x86_64.so.1").needs("/opt/libc-of-old.so");
    let sysroot = Disk::empty()
        .elf("lib/ld-musl-x86_64.so.1", loader)
        .elf("bin/tool", program)
        .elf("opt/libc-of-old.so", library("libc.so.6"));
    every_removal_fails(planned(&Ask::tools(&["tool"]), &sysroot));
}

#[test]
fn nothing_of_an_include_can_be_spared() {
    let project = Disk::empty()
        .elf("bin/extra", tool().needs("libextra.so").runpath("$ORIGIN/../lib"))
        .elf("lib/libextra.so", library("libextra.so"));
    let ask = Ask::nothing().include(project.at("bin/extra"), "/opt/extra/bin/extra");
    every_removal_fails(planned(&ask, &Disk::merged()));
}

#[test]
fn nothing_of_hard_links_can_be_spared() {
    let sysroot = Disk::merged().elf("usr/bin/gunzip", tool()).hard_link("usr/bin/gzip", "usr/bin/gunzip");
    every_removal_fails(planned(&Ask::tools(&["gzip", "gunzip"]), &sysroot));
}

#[test]
fn nothing_of_a_musl_rootfs_can_be_spared() {
    let program = || Fixture::program().interpreter("/lib/ld-musl-x86_64.so.1").needs("libc.so");
    let sysroot = Disk::empty()
        .elf("lib/ld-musl-x86_64.so.1", Fixture::library().soname("libc.so").tail(b"\0/lib:/usr/local/lib:/usr/lib\0"))
        .elf("bin/busybox", program())
        .link("bin/sh", "busybox")
        .elf("usr/bin/tool", program().needs("libz.so.1").needs("libfar.so"))
        .elf("usr/lib/libz.so.1.2", Fixture::library().soname("libz.so.1").needs("libc.so"))
        .link("usr/lib/libz.so.1", "libz.so.1.2")
        .elf("opt/far/libfar.so", Fixture::library());
    every_removal_fails(planned(&Ask::tools(&["sh", "tool"]).library_path("/opt/far"), &sysroot));
}

/// Neither an interpreter of a script nor a symlink to it can be removed.
#[test]
fn nothing_that_runs_scripts_can_be_spared() {
    let sysroot = Disk::merged()
        .bytes("usr/bin/start", b"#!/usr/bin/s2 -x\n", 0o755)
        .bytes("usr/bin/s2", b"#!/bin/sh\n", 0o755)
        .bytes("usr/bin/own", b"#!/usr/bin/env -S A=b perl -w\n", 0o755)
        .elf("usr/bin/perl5", tool().needs("libperl.so"))
        .link("usr/bin/perl", "perl5")
        .elf("usr/lib/libperl.so", library("libperl.so"));
    let ask = Ask::tools(&["start", "own"]);
    every_removal_fails(planned(&ask, &sysroot));

    let mut planned = planned(&ask, &sysroot);
    for (at, mode) in [("/usr/bin/perl5", 0o644), ("/usr/bin/s2", 0o644)] {
        let mut changed = planned.assembly.rootfs.clone();
        changed.get_mut(&path(at)).unwrap().mode = mode;
        assert!(fails(&mut planned, &changed), "{at} cannot be executed");
    }
    let mut changed = planned.assembly.rootfs.clone();
    let env = changed.get(&path("/usr/bin/env")).unwrap().clone();
    changed.insert(path("/usr/local/bin/perl"), env);
    for folder in ["/usr/local", "/usr/local/bin"] {
        changed.insert(path(folder), Entry::new(Kind::Dir, 0o755, Origin::Template("x".to_owned())));
    }
    assert!(fails(&mut planned, &changed), "another perl comes first in PATH");
    changed.get_mut(&path("/usr/local/bin/perl")).unwrap().mode = 0o644;
    assert!(!fails(&mut planned, &changed), "one that cannot be executed does not");
}

/// The host's own files, with the rules of its loader.
#[test]
fn nothing_of_this_machines_tools_can_be_spared() {
    // Files that rules take belong to no closure and can be removed.
    let ask = Ask::tools(&["bash", "ls"]).runtime(Runtime::None);
    let target = crate::target::Target::host();
    let planned = super::super::plan("/".into(), &target, &ask.content, &ask.artifacts).unwrap();
    every_removal_fails(planned);
}

/// A symlink with another target, missing or present, makes another rootfs.
#[test]
fn a_link_that_leads_elsewhere_fails() {
    let mut planned = planned(&Ask::tools(&["vim", "sh"]), &winding());
    let whole = planned.assembly.rootfs.clone();
    let links: Vec<_> = whole
        .iter()
        .filter(|(_, entry)| matches!(entry.kind, Kind::Symlink(_)))
        .map(|(path, _)| path.clone())
        .collect();
    assert!(links.len() >= 8, "{}", whole.dump());
    for link in links {
        for target in ["/nowhere", "/usr/bin/dash", "/etc", "..", ""] {
            let Kind::Symlink(before) = &whole.get(&link).unwrap().kind else { unreachable!() };
            if (link == path("/usr/bin/sh") && target == "/usr/bin/dash") || &**before == target.as_bytes() {
                continue;
            }
            let mut changed = whole.clone();
            changed.get_mut(&link).unwrap().kind = Kind::Symlink(Arc::from(target.as_bytes()));
            assert!(fails(&mut planned, &changed), "{link} -> {target}");
        }
    }
}

/// Any two files that are exchanged.
#[test]
fn two_files_that_are_swapped_fail() {
    let mut planned = planned(&Ask::tools(&["vim", "sh", "env"]), &winding());
    let whole = planned.assembly.rootfs.clone();
    let files: Vec<_> =
        whole.iter().filter(|(_, entry)| matches!(entry.kind, Kind::File(_))).map(|(path, _)| path.clone()).collect();
    for (index, one) in files.iter().enumerate() {
        for two in &files[index + 1..] {
            let mut changed = whole.clone();
            changed.get_mut(one).unwrap().kind = whole.get(two).unwrap().kind.clone();
            changed.get_mut(two).unwrap().kind = whole.get(one).unwrap().kind.clone();
            assert!(fails(&mut planned, &changed), "{one} and {two}");
        }
    }
}

/// A second library of the same name in a directory that is searched earlier.
#[test]
fn a_library_that_comes_before_another_fails() {
    let mut planned = planned(&Ask::tools(&["vim", "sh"]), &winding());
    let whole = planned.assembly.rootfs.clone();
    let decoy = |at: &str, file: Fixture| {
        let mut changed = whole.clone();
        let kind = Kind::File(Body::Bytes(Arc::from(file.build())));
        let origin = Origin::Generated("a decoy".to_owned());
        changed.insert(path(at), Entry::new(kind, 0o755, origin));
        changed
    };
    for name in ["libc.so.6", "libdeep.so.1", "librun.so"] {
        let changed = decoy(&format!("/srv/lib/{name}"), library(name).defines_versions(&["base", "GLIBC_2.34"]));
        assert!(fails(&mut planned, &changed), "{name}");
        let foreign = decoy(&format!("/srv/lib/{name}"), library(name).machine(machine("aarch64")));
        // A library for another machine is skipped, unless it replaces the file itself.
        assert_eq!(fails(&mut planned, &foreign), name == "librun.so", "{name}");
    }
    let nowhere = decoy("/usr/lib/libunasked.so", library("libunasked.so"));
    assert!(!fails(&mut planned, &nowhere));
}

/// A library with the right name that lacks a version.
#[test]
fn a_library_that_lacks_a_version_fails() {
    let sysroot = Disk::merged()
        .elf("usr/bin/new", Fixture::program().needs("libc.so.6").needs_versions("libc.so.6", &["GLIBC_2.99"]));
    let error = Ask::tools(&["new"]).error(&sysroot);
    assert_eq!(error.exit_code(), 1);
    assert_eq!(error.message(), "version `GLIBC_2.99` not found in `/lib/libc.so.6`");
    let linked_for = "linked for glibc 2.99 or newer; the sysroot has versions up to 2.34";
    assert_eq!(error.details(), ["needed by /usr/bin/new", linked_for]);
    assert_eq!(error.help_line().unwrap(), "take libraries of a newer release: --sysroot debian:sid");
    // A weak version may be missing.
    let sysroot = Disk::merged()
        .elf("usr/bin/new", Fixture::program().needs("libc.so.6").needs_versions("libc.so.6", &["?GLIBC_2.99"]));
    Ask::tools(&["new"]).rootfs(&sysroot);
}

/// Two tools, and a library of both: each missing version is reported once, and the suggested suite has the newest
/// version.
#[test]
fn lacking_versions_are_told_once_for_each_object() {
    let libc = ["GLIBC_2.2.5", "GLIBC_2.38", "GLIBC_2.40"];
    let sysroot = Disk::merged()
        .elf("usr/lib/liblate.so", library("liblate.so").needs_versions("libc.so.6", &libc))
        .elf("usr/bin/one", tool().needs("liblate.so"))
        .elf("usr/bin/two", tool().needs("liblate.so").needs("libown.so").needs_versions("libown.so", &["OWN_2"]))
        .elf("usr/lib/libown.so", library("libown.so").defines_versions(&["libown.so", "OWN_1"]));
    let error = Ask::tools(&["one", "two"]).error(&sysroot);
    let told: Vec<String> = error.each().map(|it| format!("{}\n{}", it.message(), it.details().join("\n"))).collect();
    assert_eq!(
        told,
        [
            "versions `GLIBC_2.38`, `GLIBC_2.40` not found in `/lib/libc.so.6`\nneeded by /lib/liblate.so\n\
             linked for glibc 2.40 or newer; the sysroot has versions up to 2.34",
            "version `OWN_2` not found in `/lib/libown.so`\nneeded by /usr/bin/two\n\
             linked for glibc 2.34 or newer; the sysroot has versions up to 2.34",
        ]
    );
    let help: Vec<_> = error.each().filter_map(Error::help_line).collect();
    assert!(help[0].ends_with("--sysroot debian:trixie"), "{help:?}");
    assert!(help[1].ends_with("--sysroot DIR"), "{help:?}");
}

/// Faults for which a loader fails: objects that cannot be loaded, unreadable records, relocations unknown to older
/// loaders.
#[test]
fn what_a_loader_ends_for_fails() {
    let message = |file: Fixture| {
        let error = Ask::tools(&["new"]).error(&Disk::merged().elf("usr/bin/new", file));
        error.message().to_owned()
    };
    assert_eq!(
        message(tool().needs_versions("libgone.so", &["GONE_1"])),
        "version `GONE_1` is needed of `libgone.so`, which nothing loads"
    );
    let libc =
        Fixture::library().soname("libc.so.6").defines_versions(&["libc.so.6", "GLIBC_2.34", "GLIBC_ABI_DT_RELR"]);
    let sysroot = Disk::merged().elf("usr/lib/libc.so.6", libc).elf("usr/bin/new", tool().patch(36, 0));
    assert_eq!(
        Ask::tools(&["new"]).error(&sysroot).message(),
        "`/usr/bin/new` has DT_RELR and does not need the version `GLIBC_ABI_DT_RELR`"
    );
}

/// ld.so warns of a library without versions if some are needed.
#[test]
fn a_library_without_versions_is_a_warning() {
    let needs = |file: Fixture| file.needs("libbare.so").needs_versions("libbare.so", &["BARE_1", "BARE_2"]);
    let mut sysroot = Disk::merged()
        .elf("usr/lib/libbare.so", library("libbare.so").needs_versions("libc.so.6", &["GLIBC_2.34"]))
        .elf("usr/lib/libuser.so", needs(library("libuser.so")))
        .elf("usr/bin/one", needs(tool()).needs("libuser.so"))
        .elf("usr/bin/two", tool().needs("libuser.so"));
    let warnings = |sysroot: &Disk| -> Vec<String> {
        let assembly = Ask::tools(&["one", "two"]).assemble(sysroot).unwrap();
        assembly.warnings.into_iter().map(|warning| warning.message).collect()
    };
    let of = |user: &str| format!("`/lib/libbare.so`: no version information available (required by {user})");
    assert_eq!(warnings(&sysroot), [of("/usr/bin/one"), of("/lib/libuser.so")]);
    // Without versions in both objects, the loader fails later.
    sysroot = sysroot.elf("usr/lib/libbare.so", library("libbare.so"));
    assert!(warnings(&sysroot)[0].ends_with("; ld.so ends where it looks up a symbol of it"));
}

/// Two names of one inode are no exchange; another file with equal bytes is one.
#[test]
fn equal_bytes_are_not_the_same_file() {
    let sysroot = Disk::merged().elf("usr/bin/twin", tool());
    let mut planned = planned(&Ask::tools(&["env", "twin"]), &sysroot);
    let mut changed = planned.assembly.rootfs.clone();
    changed.get_mut(&path("/usr/bin/env")).unwrap().kind = changed.get(&path("/usr/bin/twin")).unwrap().kind.clone();
    assert!(fails(&mut planned, &changed));
}
