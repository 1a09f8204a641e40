//! Places of entries: tools, projects, links, modes.

use std::os::unix::fs::{MetadataExt, chown};

use super::disk::{Ask, Disk, expect_shape, library, path, shape, tool};
use crate::elf::Bytes;
use crate::elf::fixture::{Fixture, machine};
use crate::resolve::FoundBy;
use crate::resolve::cache::{self, Cache};
use crate::rootfs::{Body, Kind, Rootfs};

/// The symlinks of a merged /usr are kept: `/bin/sh` and `/usr/bin/sh` are one file.
#[test]
fn a_merged_sysroot_stays_merged() {
    let assembly = Ask::tools(&["sh", "env"]).assemble(&Disk::merged()).unwrap();
    expect_shape(
        &assembly.rootfs,
        "/ d0755
         /bin l0777 -> usr/bin
         /lib l0777 -> usr/lib
         /lib64 l0777 -> usr/lib64
         /usr d0755
         /usr/bin d0755
         /usr/bin/dash f0755
         /usr/bin/env f0755
         /usr/bin/sh l0777 -> dash
         /usr/lib d0755
         /usr/lib/libc.so.6 f0755
         /usr/lib64 d0755
         /usr/lib64/ld-linux-x86-64.so.2 f0755",
    );
    assert_eq!(assembly.tools, [path("/usr/bin/sh"), path("/usr/bin/env")]);
    assert!(assembly.warnings.is_empty(), "{:?}", assembly.warnings);
}

/// Without a merged /usr, /bin and /usr/bin stay separate, and each tool has both names.
#[test]
fn an_unmerged_sysroot_stays_unmerged_and_tools_answer_to_both_paths() {
    expect_shape(
        &Ask::tools(&["sh", "env"]).rootfs(&Disk::unmerged()),
        "/ d0755
         /bin d0755
         /bin/dash f0755
         /bin/env l0777 -> ../usr/bin/env
         /bin/sh l0777 -> dash
         /lib d0755
         /lib/libc.so.6 f0755
         /lib64 d0755
         /lib64/ld-linux-x86-64.so.2 f0755
         /usr d0755
         /usr/bin d0755
         /usr/bin/env f0755
         /usr/bin/sh l0777 -> ../../bin/sh",
    );
}

/// Two different files at both paths stay unchanged.
#[test]
fn two_tools_of_one_name_in_an_unmerged_sysroot_are_not_linked() {
    let sysroot = Disk::unmerged().elf("bin/env", tool().needs("libx.so")).elf("lib/libx.so", library("libx.so"));
    let rootfs = Ask::tools(&["env", "/bin/env"]).rootfs(&sysroot);
    for at in ["/bin/env", "/usr/bin/env"] {
        assert!(matches!(rootfs.get(&path(at)).unwrap().kind, Kind::File(_)), "{}", shape(&rootfs));
    }
    // The name means the tool in /usr/bin, which comes first in PATH; the other one is not packed for it.
    let rootfs = Ask::tools(&["env"]).rootfs(&sysroot);
    assert!(rootfs.get(&path("/bin/env")).is_none(), "{}", shape(&rootfs));
}

/// The interpreter is at the path of PT_INTERP, through the symlinks of the sysroot.
#[test]
fn the_interpreter_is_at_its_path_verbatim() {
    let sysroot = Disk::unmerged()
        .link("alias/ld.so", "../lib64/ld-linux-x86-64.so.2")
        .elf("usr/bin/odd", tool().interpreter("/alias//./ld.so"));
    let rootfs = Ask::tools(&["odd"]).rootfs(&sysroot);
    let Kind::Symlink(target) = &rootfs.get(&path("/alias/ld.so")).unwrap().kind else { panic!() };
    assert_eq!(&**target, b"../lib64/ld-linux-x86-64.so.2");
    assert!(rootfs.get(&path("/lib64/ld-linux-x86-64.so.2")).is_some());
}

/// Chains of symlinks stay chains: `vim -> /etc/alternatives/vim -> /usr/bin/vim.basic`.
#[test]
fn chains_of_links_stay_chains() {
    let sysroot = Disk::merged()
        .elf("usr/bin/vim.basic", tool())
        .link("usr/bin/vim", "/etc/alternatives/vim")
        .link("etc/alternatives/vim", "/usr/bin/vim.basic");
    let text = shape(&Ask::tools(&["vim"]).rootfs(&sysroot));
    for line in ["/usr/bin/vim l0777 -> /etc/alternatives/vim", "/etc/alternatives/vim l0777 -> /usr/bin/vim.basic"] {
        assert!(text.contains(line), "{text}");
    }
}

/// A set-ID bit is kept only if its owner is root, because all files become root's; kept bits are reported.
#[test]
fn set_id_bits_survive_only_where_they_mean_root() {
    if !is_root() {
        return skip("modes of files that belong to others: needs root");
    }
    let sysroot = Disk::merged()
        .elf("usr/bin/su", tool())
        .elf("usr/bin/agent", tool())
        .elf("usr/bin/both", tool())
        .elf("usr/bin/plain", tool());
    for (name, uid, gid, mode) in
        [("su", 0, 0, 0o4755), ("agent", 0, 101, 0o2755), ("both", 7, 0, 0o6755), ("plain", 7, 7, 0o750)]
    {
        let at = sysroot.at(&format!("usr/bin/{name}"));
        chown(&at, Some(uid), Some(gid)).unwrap();
        std::fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let assembly = Ask::tools(&["su", "agent", "both", "plain"]).assemble(&sysroot).unwrap();
    let modes: Vec<_> = ["su", "agent", "both", "plain"]
        .iter()
        .map(|name| {
            let entry = assembly.rootfs.get(&path(&format!("/usr/bin/{name}"))).unwrap();
            (entry.mode, entry.uid, entry.gid)
        })
        .collect();
    assert_eq!(modes, [(0o4755, 0, 0), (0o755, 0, 0), (0o2755, 0, 0), (0o750, 0, 0)]);
    let said: Vec<_> = assembly.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "2 files keep their set-ID bits (root): `/usr/bin/su` (setuid), `/usr/bin/both` (setgid)",
            "2 files lose their set-ID bits, because all files are owned 0:0: `/usr/bin/agent` (setgid 101), `/usr/bin/both` (setuid 7)",
        ]
    );
}

/// File capabilities are kept verbatim and reported.
#[test]
fn capabilities_are_kept() {
    if !is_root() {
        return skip("file capabilities: needs root");
    }
    let sysroot = Disk::merged().elf("usr/bin/ping", tool());
    // VFS_CAP_REVISION_2, effective, CAP_NET_RAW permitted (capabilities(7)).
    let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(sysroot.at("usr/bin/ping").as_std_path(), "security.capability", &value, flags).is_err() {
        return skip("file capabilities: this file system does not take them");
    }
    let assembly = Ask::tools(&["ping"]).assemble(&sysroot).unwrap();
    assert_eq!(assembly.rootfs.get(&path("/usr/bin/ping")).unwrap().capability.as_deref(), Some(&value[..]));
    assert_eq!(assembly.warnings[0].message, "`/usr/bin/ping` keeps its file capabilities: cap_net_raw");

    let included = Ask::nothing().include(sysroot.at("usr/bin/ping"), "/opt/ping").assemble(&Disk::merged()).unwrap();
    assert_eq!(included.rootfs.get(&path("/opt/ping")).unwrap().capability.as_deref(), Some(&value[..]));
    assert_eq!(included.warnings[0].message, "`/opt/ping` keeps its file capabilities: cap_net_raw");
}

/// Two names of one file stay hard links.
#[test]
fn hard_links_are_kept() {
    let sysroot = Disk::merged().elf("usr/bin/gunzip", tool()).hard_link("usr/bin/gzip", "usr/bin/gunzip");
    let text = shape(&Ask::tools(&["gzip", "gunzip"]).rootfs(&sysroot));
    assert!(text.contains("/usr/bin/gunzip f0755\n/usr/bin/gzip h0755 = /usr/bin/gunzip\n"), "{text}");
    // A single name is an ordinary file.
    let text = shape(&Ask::tools(&["gzip"]).rootfs(&sysroot));
    assert!(text.contains("/usr/bin/gzip f0755\n") && !text.contains("gunzip"), "{text}");
}

pub(super) fn cache_of(rootfs: &Rootfs) -> Vec<String> {
    let Some(entry) = rootfs.get(&path("/etc/ld.so.cache")) else { return Vec::new() };
    let Kind::File(Body::Bytes(bytes)) = &entry.kind else { panic!("the cache is not made") };
    let cache = Cache::parse(bytes.to_vec(), machine("x86_64")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = |entry: cache::Entry<'_>| match entry.hwcaps {
        Some(hwcaps) => format!("{} ({}) => {}", text(entry.name), text(hwcaps), text(entry.path)),
        None => format!("{} => {}", text(entry.name), text(entry.path)),
    };
    cache.entries().map(line).collect()
}

/// Libraries outside the default directories to which only the sysroot's cache led get a generated cache.
#[test]
fn a_cache_is_made_for_what_only_a_cache_led_to() {
    let entries = [
        (Bytes::from(&b"libdeep.so.1"[..]), path("/usr/lib/deep/libdeep.so.1")),
        (Bytes::from(&b"libother.so"[..]), path("/opt/libother.so")),
    ];
    let sysroot = Disk::merged()
        .bytes("etc/ld.so.cache", &cache::write(machine("x86_64"), &entries), 0o644)
        .elf("usr/lib/deep/libdeep.so.1", library("libdeep.so.1"))
        .elf("opt/libother.so", library("libother.so"))
        .elf("usr/bin/deep", tool().needs("libdeep.so.1"));
    assert_eq!(cache_of(&Ask::tools(&["deep"]).rootfs(&sysroot)), ["libdeep.so.1 => /usr/lib/deep/libdeep.so.1"]);
    // Without a need there is no cache, even if the sysroot has one.
    assert!(cache_of(&Ask::tools(&["sh"]).rootfs(&sysroot)).is_empty());
}

/// ldconfig in the image prints or rewrites the cache.
#[test]
fn with_ldconfig_the_cache_lists_all_libraries() {
    let sysroot = Disk::merged()
        .elf("usr/sbin/ldconfig", Fixture::library().without_dynamic_section())
        .bytes("etc/ld.so.conf", b"include ld.so.conf.d/*.conf\n", 0o644)
        .bytes("etc/ld.so.conf.d/deep.conf", b"/usr/lib/deep\n", 0o644)
        .elf("usr/lib/deep/libdeep.so.1", library("libdeep.so.1"))
        .elf("usr/bin/deep", tool().needs("libdeep.so.1"));
    let rootfs = Ask::tools(&["deep", "ldconfig"]).rootfs(&sysroot);
    let listed = cache_of(&rootfs);
    assert_eq!(listed, ["libdeep.so.1 => /usr/lib/deep/libdeep.so.1", "libc.so.6 => /lib/libc.so.6"]);
    assert!(rootfs.get(&path("/etc/ld.so.conf.d/rootfs.conf")).is_some());
}

/// The same for a sysroot without a cache but with an ld.so.conf.
#[test]
fn a_cache_is_made_for_what_ld_so_conf_led_to() {
    let sysroot = Disk::merged()
        .bytes("etc/ld.so.conf", b"include ld.so.conf.d/*.conf\n", 0o644)
        .bytes("etc/ld.so.conf.d/deep.conf", b"/usr/lib/deep\n", 0o644)
        .elf("usr/lib/deep/libdeep.so.1", library("libdeep.so.1"))
        .elf("usr/bin/deep", tool().needs("libdeep.so.1"));
    assert_eq!(cache_of(&Ask::tools(&["deep"]).rootfs(&sysroot)), ["libdeep.so.1 => /usr/lib/deep/libdeep.so.1"]);
}

/// `--library-path` names a directory of the sysroot or of the project.
#[test]
fn a_library_path_leads_to_libraries_of_the_sysroot_and_of_the_project() {
    let sysroot = Disk::merged().elf("usr/bin/tool", tool().needs("libx.so")).elf("opt/x/libx.so", library("libx.so"));
    let rootfs = Ask::tools(&["tool"]).library_path("/opt/x").rootfs(&sysroot);
    assert_eq!(cache_of(&rootfs), ["libx.so => /opt/x/libx.so"]);

    let project = Disk::empty().elf("vendor/libx.so", library("libx.so"));
    let sysroot = Disk::merged().elf("usr/bin/tool", tool().needs("libx.so"));
    let ask = Ask::tools(&["tool"]).library_path(project.at("vendor")).build_tree(project.root());
    assert_eq!(cache_of(&ask.rootfs(&sysroot)), ["libx.so => /usr/local/lib/libx.so"]);
}

/// Its tokens are those of each program in the image (ld.so(8)); the cache finds such libraries there.
#[test]
fn a_library_path_with_a_token_is_another_folder_for_each_program() {
    let sysroot = Disk::merged()
        .elf("opt/a/tool-a", tool().needs("libx.so"))
        .elf("opt/a/libx.so", library("libx.so"))
        .elf("opt/b/tool-b", tool().needs("libx.so"));
    let ask = |tools: &[&str]| Ask::tools(tools).library_path("$ORIGIN");
    assert_eq!(cache_of(&ask(&["/opt/a/tool-a"]).rootfs(&sysroot)), ["libx.so => /opt/a/libx.so"]);
    let error = ask(&["/opt/b/tool-b"]).error(&sysroot).to_string();
    assert!(error.contains("library-path") && error.contains("/opt/b\n"), "{error}");
}

/// A missing directory is reported.
#[test]
fn a_library_path_that_is_nowhere_is_said() {
    let assembly = Ask::tools(&["sh"]).library_path("/nowhere").assemble(&Disk::merged()).unwrap();
    assert_eq!(assembly.warnings[0].message, "no directory `/nowhere` for --library-path");
}

/// `--with-lib` finds the library of dlopen(3), with all its needs.
#[test]
fn a_library_asked_for_by_soname_comes_with_its_closure() {
    let sysroot = Disk::merged()
        .elf("usr/lib/libplug.so.1.0", library("libplug.so.1").needs("libhelp.so"))
        .link("usr/lib/libplug.so.1", "libplug.so.1.0")
        .elf("usr/lib/libhelp.so", library("libhelp.so"));
    let assembly = Ask::nothing().library("libplug.so.1").library("/usr/lib/libhelp.so").assemble(&sysroot).unwrap();
    expect_shape(
        &assembly.rootfs,
        "/ d0755
         /lib l0777 -> usr/lib
         /lib64 l0777 -> usr/lib64
         /usr d0755
         /usr/lib d0755
         /usr/lib/libc.so.6 f0755
         /usr/lib/libhelp.so f0755
         /usr/lib/libplug.so.1 l0777 -> libplug.so.1.0
         /usr/lib/libplug.so.1.0 f0755
         /usr/lib64 d0755
         /usr/lib64/ld-linux-x86-64.so.2 f0755",
    );
    assert_eq!(assembly.closures[0].1.objects[0].found_by, FoundBy::Default);
}

/// A static executable with glibc opens the files that glibc opens.
#[test]
fn a_static_executable_of_glibc_gets_what_glibc_opens() {
    let constants = b"\0/usr/lib/gconv/gconv-modules.cache\0/etc/services\0";
    let project = Disk::empty().elf("static", Fixture::library().without_dynamic_section().tail(constants));
    let sysroot = Disk::merged().bytes("etc/services", b"https 443/tcp\n", 0o644).bytes(
        "usr/lib/locale/C.utf8/LC_CTYPE",
        b"",
        0o644,
    );
    let ask = Ask::nothing().executable(project.at("static")).build_tree(project.root());
    let text = shape(&ask.rootfs(&sysroot));
    assert!(text.contains("/etc/services f0644") && text.contains("/usr/lib/locale/C.utf8/LC_CTYPE"), "{text}");
}

/// The needs of a compressed executable are unknown.
#[test]
fn an_executable_that_carries_another_one_is_said() {
    let mut bytes = Fixture::library().without_dynamic_section().build();
    bytes.extend([0; 100]);
    bytes.extend(b"UPX!");
    bytes.extend([0; 28]);
    let project = Disk::empty().bytes("small", &bytes, 0o755);
    let ask = Ask::nothing().executable(project.at("small")).build_tree(project.root());
    let warning = &ask.assemble(&Disk::merged()).unwrap().warnings[0];
    let expected = "`/usr/local/bin/small` is compressed by UPX: its needs cannot be seen, and are not packed";
    assert_eq!(warning.message, expected);
}

/// Accounts that a program looks up are in the image.
#[test]
fn an_account_that_a_program_names_is_added() {
    let sysroot = Disk::merged()
        .elf("usr/bin/server", tool().imports("getpwnam").tail(b"\0www-data\0mail\0default_user proxy\0"))
        .elf("usr/bin/other", tool().tail(b"\0www-data\0"));
    let passwd = |tool: &str| {
        let rootfs = Ask::tools(&[tool]).template("base").rootfs(&sysroot);
        let Kind::File(Body::Bytes(bytes)) = &rootfs.get(&path("/etc/passwd")).unwrap().kind else { panic!("no file") };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.lines().skip(3).map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(passwd("server"), ["proxy", "www-data"]);
    assert!(passwd("other").is_empty());
}

/// A static executable is packed alone.
#[test]
fn a_static_executable_brings_nothing() {
    let project = Disk::empty().elf("static", Fixture::library().without_dynamic_section());
    let ask = Ask::nothing().executable(project.at("static")).build_tree(project.root());
    expect_shape(
        &ask.rootfs(&Disk::merged()),
        "/ d0755
         /usr d0755
         /usr/local d0755
         /usr/local/bin d0755
         /usr/local/bin/static f0755",
    );
}

/// Symlinks of the sysroot are resolved inside it: absolute ones, and ones with too many `..`.
#[test]
fn links_of_the_sysroot_stay_inside() {
    let sysroot = Disk::merged()
        .elf("opt/real/climb", tool())
        .link("usr/bin/absolute", "/opt/real/climb")
        .link("usr/bin/climb", "../../../../../../../../../../opt/real/climb")
        .link("usr/bin/hosts", "/etc/hosts");
    let rootfs = Ask::tools(&["absolute", "climb"]).rootfs(&sysroot);
    assert!(rootfs.get(&path("/opt/real/climb")).is_some(), "{}", shape(&rootfs));
    // /etc/hosts exists on the host, but not in the sysroot.
    assert!(Ask::tools(&["/usr/bin/hosts"]).error(&sysroot).message().contains("not found"));
}

/// The order of the requests changes only the order of the answers.
#[test]
fn the_order_of_tools_changes_nothing_of_the_rootfs() {
    let sysroot = Disk::merged();
    let one = Ask::tools(&["sh", "env"]).assemble(&sysroot).unwrap();
    let two = Ask::tools(&["env", "sh", "env"]).assemble(&sysroot).unwrap();
    assert_eq!(shape(&one.rootfs), shape(&two.rootfs));
    assert_eq!(two.tools, [path("/usr/bin/env"), path("/usr/bin/sh")]);
}

/// A build script gets every file that was read, and every missing path.
#[test]
fn inputs_and_absences_are_told() {
    let sysroot = Disk::merged();
    let assembly = Ask::tools(&["sh"]).assemble(&sysroot).unwrap();
    let has = |paths: &[std::path::PathBuf], relative: &str| {
        let root = sysroot.root().canonicalize().unwrap();
        paths.contains(&root.join(relative))
    };
    for relative in ["usr/bin/sh", "usr/bin/dash", "usr/lib/libc.so.6", "lib64"] {
        assert!(has(&assembly.inputs, relative), "{relative}: {:?}", assembly.inputs);
    }
    assert!(has(&assembly.absent, "usr/local"), "{:?}", assembly.absent);
    assert!(has(&assembly.absent, "etc"), "{:?}", assembly.absent);
}

/// The template `base` together with a closure, and `none` with the closure only.
#[test]
fn templates_stand_beside_the_closure() {
    let sysroot = Disk::merged();
    let rootfs = Ask::tools(&["sh"]).template("base").rootfs(&sysroot);
    let text = shape(&rootfs);
    for line in ["/etc/passwd f0644", "/tmp d1777", "/proc d0555", "/usr/bin/sh l0777 -> dash", "/root d0700"] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
    let none = Ask::tools(&["sh"]).template("none").rootfs(&sysroot);
    assert!(none.get(&path("/etc")).is_none());
    // All entries of `none` are also in `base`.
    for (at, entry) in none.iter() {
        assert!(rootfs.get(at).is_some_and(|with| with.kind_word() == entry.kind_word()), "{at}");
    }
}

trait KindWord {
    fn kind_word(&self) -> String;
}

impl KindWord for crate::rootfs::Entry {
    fn kind_word(&self) -> String {
        match &self.kind {
            Kind::Dir => "folder".to_owned(),
            Kind::File(_) => "file".to_owned(),
            Kind::Symlink(target) => format!("link to {}", String::from_utf8_lossy(target)),
            Kind::Hardlink(target) => format!("hard link to {target}"),
        }
    }
}

pub(super) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

pub(super) fn skip(what: &str) {
    // In CI, which runs as root, this test for other users has nothing to check.
    assert!(is_root() || std::env::var_os("CI").is_none(), "CI must not skip: {what}");
    #[allow(clippy::print_stderr)]
    {
        eprintln!("skipped: {what}");
    }
}
