//! Findings of `check` for requests and trees in memory.

use super::*;
use crate::findings::tests::{Memory, events, path};

fn pasted(lines: &[&str], trees: &mut Memory, said: &str, least: Weight) -> String {
    let all = missing(&events(lines), said, trees);
    let worth = all.iter().filter(|one| one.weight >= least);
    paste(worth.map(|one| (&one.add, one.add.value(Path::new("/"))))).unwrap_or_default()
}

fn needed(lines: &[&str], trees: &mut Memory) -> String {
    pasted(lines, trees, "", Weight::Needed)
}

fn any(lines: &[&str], trees: &mut Memory) -> String {
    pasted(lines, trees, "", Weight::Optional)
}

#[test]
fn each_kind_has_the_option_that_adds_it() {
    let mut trees = Memory::new(
        &[
            "/usr/bin/gzip*",
            "/usr/lib/x86_64-linux-gnu/libz.so.1",
            "/usr/lib/git-core/git-remote-http*",
            "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
            "/usr/share/app/table",
        ],
        &["/usr/bin/tar"],
    );
    for (line, option) in [
        ("1 tar exec /usr/bin/gzip absent", "--with gzip"),
        ("1 git exec /usr/lib/git-core/git-remote-http absent", "--with /usr/lib/git-core/git-remote-http"),
        ("1 x open /usr/lib/x86_64-linux-gnu/libz.so.1 absent", "--with-lib libz.so.1"),
        (
            "1 iconv open /usr/lib/x86_64-linux-gnu/gconv/UTF-16.so absent",
            "--with-lib /usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
        ),
        ("1 x open /usr/share/app/table absent", "--include /usr/share/app/table:/usr/share/app/table"),
    ] {
        assert_eq!(needed(&[line], &mut trees), option, "{line}");
    }
}

#[test]
fn what_the_sysroot_lacks_as_well_is_none() {
    let mut trees = Memory::new(&["/usr/share/app/table"], &[]);
    for line in [
        "1 x open /usr/share/app/other absent",
        "1 x exec /usr/bin/none absent",
        // The first was opened for writing, the second was not readable.
        "1 x write /usr/share/app/table absent",
        "1 x open /usr/share/app/table refused",
        "1 x open /usr/share/app/table found",
    ] {
        assert_eq!(any(&[line], &mut trees), "", "{line}");
    }
}

#[test]
fn a_search_that_ends_well_is_none() {
    let mut trees = Memory::new(
        &[
            "/usr/local/bin/ls*",
            "/usr/bin/ls*",
            "/lib/libz.so.1",
            "/usr/share/terminfo/x/xterm",
            "/etc/terminfo/x/xterm",
        ],
        &["/usr/bin/ls"],
    );
    for lines in [
        ["1 sh exec /usr/local/bin/ls absent", "1 sh exec /usr/bin/ls found"],
        ["1 sh look /usr/local/bin/ls absent", "1 sh look /usr/bin/ls found"],
        ["1 x open /lib/libz.so.1 absent", "1 x open /opt/lib/libz.so.1 found"],
        ["1 x open /usr/share/terminfo/x/xterm absent", "1 x open /lib/terminfo/x/xterm found"],
    ] {
        assert_eq!(any(&lines, &mut trees), "", "{lines:?}");
    }
    // A success of another process does not count, nor does another file with the same name.
    for lines in [
        ["1 x open /lib/libz.so.1 absent", "2 y open /opt/lib/libz.so.1 found"],
        ["1 x open /usr/share/terminfo/x/xterm absent", "1 x open /usr/share/y/xterm found"],
    ] {
        assert_ne!(any(&lines, &mut trees), "", "{lines:?}");
    }
}

#[test]
fn what_was_only_looked_for_matters_where_a_shell_says_so() {
    let mut trees = Memory::new(&["/usr/bin/awk*", "/usr/share/app/table"], &[]);
    let looks = ["1 sh look /usr/bin/awk absent"];
    assert_eq!(needed(&looks, &mut trees), "");
    assert_eq!(any(&looks, &mut trees), "--with awk");
    for said in ["sh: 1: awk: not found\n", "bash: line 1: awk: command not found\n"] {
        assert_eq!(pasted(&looks, &mut trees, said, Weight::Needed), "--with awk", "{said}");
    }
    assert_eq!(needed(&["1 x look /usr/share/app/table absent"], &mut trees), "");
}

/// The table of optional libraries applies to requests too.
#[test]
fn a_library_that_hardly_anybody_wants() {
    let mut trees = Memory::new(&["/usr/lib/libgpm.so.2"], &[]);
    let opens = ["1 vi open /usr/lib/libgpm.so.2 absent"];
    assert_eq!(needed(&opens, &mut trees), "");
    assert_eq!(any(&opens, &mut trees), "--with-lib libgpm.so.2");
}

#[test]
fn a_folder_that_is_only_listed_may_be_empty() {
    let mut trees = Memory::new(&["/usr/lib/x86_64-linux-gnu/sasl2/ -> /usr/lib/x86_64-linux-gnu/sasl2/"], &[]);
    let lists = ["1 curl open /usr/lib/x86_64-linux-gnu/sasl2 absent"];
    assert_eq!(needed(&lists, &mut trees), "");
    assert_ne!(any(&lists, &mut trees), "");
}

#[test]
fn configuration_has_defaults() {
    let mut trees = Memory::new(&["/etc/app.conf", "/usr/lib/ssl/openssl.cnf -> /etc/ssl/openssl.cnf"], &[]);
    for asked in ["/etc/app.conf", "/usr/lib/ssl/openssl.cnf"] {
        let lines = [&*format!("1 x open {asked} absent")];
        assert_eq!(needed(&lines, &mut trees), "", "{asked}");
        assert_eq!(any(&lines, &mut trees), format!("--include {asked}:{asked}"));
    }
}

#[test]
fn several_files_of_an_absent_folder_are_the_folder() {
    let sysroot = [
        "/usr/lib/python3.11/os.py",
        "/usr/lib/python3.11/encodings/__init__.py",
        "/usr/lib/python3.11/lib-dynload/_ssl.so",
        "/usr/share/misc/magic",
        "/usr/share/misc/usb.ids",
    ];
    let mut trees = Memory::new(&sysroot, &["/usr/lib/x", "/usr/share/x"]);
    let lines = [
        "1 python3 look /usr/lib/python3.11/os.py absent",
        "1 python3 open /usr/lib/python3.11/encodings/__init__.py absent",
        "1 python3 open /usr/lib/python3.11/lib-dynload/_ssl.so absent",
    ];
    assert_eq!(needed(&lines, &mut trees), "--include /usr/lib/python3.11:/usr/lib/python3.11");
    // Other packages have files in this directory.
    let lines = ["1 x open /usr/share/misc/magic absent", "1 x open /usr/share/misc/usb.ids absent"];
    let all = needed(&lines, &mut trees);
    assert!(all.contains("/usr/share/misc/magic:") && all.contains("/usr/share/misc/usb.ids:"), "{all}");
}

#[test]
fn directories_of_programs_are_never_taken_whole() {
    let folders = ["/usr/sbin/x*", "/usr/local/bin/x*", "/opt/app/bin/x*", "/opt/app/data/x"];
    let mut trees = Memory::new(&folders, &["/usr/bin/git"]);
    for folder in ["/usr/sbin", "/usr/local/bin", "/opt/app/bin", "/usr/share", "/opt"] {
        assert_eq!(any(&[&format!("1 git open {folder} absent")], &mut trees), "", "{folder}");
    }
    let data = any(&["1 git open /opt/app/data absent"], &mut trees);
    assert_eq!(data, "--include /opt/app/data:/opt/app/data");
}

#[test]
fn a_program_that_was_looked_for_is_none_of_the_files_of_its_directory() {
    let core = "/usr/local/libexec/git-core";
    let mut trees = Memory::new(&[&format!("{core}/git-submodule*"), &format!("{core}/git-p4*")], &["/usr/bin/git"]);
    let lines = [format!("1 git look {core}/git-submodule absent"), format!("1 git look {core}/git-p4 absent")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(any(&lines, &mut trees), format!("--with {core}/git-p4,{core}/git-submodule"));
}

#[test]
fn a_package_comes_before_the_paths_of_its_files() {
    let sysroot = ["/usr/share/app/a", "/usr/share/app/b", "/usr/share/own/c", "/etc/app.conf", "/usr/bin/gzip*"];
    let mut trees = Memory::new(&sysroot, &["/usr/share/x"]);
    for file in ["/usr/share/app/a", "/usr/share/app/b", "/etc/app.conf"] {
        trees = trees.package(file, "app-data");
    }
    let lines = [
        "1 x open /usr/share/own/c absent",
        "1 x open /usr/share/app/b absent",
        "1 x open /usr/share/app/a absent",
        "1 x open /etc/app.conf absent",
        "1 x exec /usr/bin/gzip absent",
    ];
    let own = "--with gzip --with-package app-data --include /usr/share/own/c:/usr/share/own/c";
    assert_eq!(needed(&lines, &mut trees), own);
    assert!(any(&lines, &mut trees).contains(" --include /etc/app.conf:/etc/app.conf"), "it is a machine's own");
}

/// The symlink is packed with its directory; its target is not.
#[test]
fn a_link_that_leads_to_nothing_lacks_its_target() {
    let sysroot = ["/usr/share/boot/a.jar -> /usr/share/java/a.jar", "/usr/share/java/a.jar"];
    let mut trees = Memory::new(&sysroot, &[]);
    let lines = ["1 mvn open /usr/share/boot/a.jar absent"];
    assert_eq!(needed(&lines, &mut trees), "--include /usr/share/boot/a.jar:/usr/share/boot/a.jar");
    let mut trees = Memory::new(&sysroot, &["/usr/share/boot/a.jar"]).dangling("/usr/share/boot/a.jar");
    assert_eq!(needed(&lines, &mut trees), "--include /usr/share/java/a.jar:/usr/share/java/a.jar");
}

/// The project is in /tmp, where other files are noise.
#[test]
fn files_of_the_project_are_missing_wherever_it_lies() {
    let mut trees = Memory::new(&["/tmp/app/templates/a", "/tmp/app/templates/b", "/tmp/x"], &[]).project("/tmp/app");
    let lines = [
        "1 app open /tmp/app/templates/a absent",
        "1 app open /tmp/app/templates/b absent",
        "1 app open /tmp/x absent",
    ];
    let each = ["a", "b"].map(|name| format!("--include /tmp/app/templates/{name}:/tmp/app/templates/{name}"));
    assert_eq!(needed(&lines, &mut trees), each.join(" "));
}

#[test]
fn a_script_without_its_interpreter() {
    let mut trees = Memory::new(&["/usr/bin/perl*", "/usr/bin/script*"], &["/usr/bin/script"])
        .interpreter("/usr/bin/script", "/usr/bin/perl");
    let all = missing(&events(&["1 sh exec /usr/bin/script absent"]), "", &mut trees);
    assert_eq!(all[0].add, Add::Tool("perl".to_owned()));
    assert_eq!(all[0].by, BTreeSet::from([path("/usr/bin/script")]));
}

#[test]
fn two_names_of_a_tool_are_one_tool() {
    let mut trees = Memory::new(&["/usr/bin/ip*", "/sbin/ip -> /usr/bin/ip*"], &[]);
    let lines = ["1 sh exec /sbin/ip absent", "1 sh exec /usr/bin/ip absent", "2 x open /etc/ld.so.cache absent"];
    assert_eq!(needed(&lines, &mut trees), "--with ip");
}
