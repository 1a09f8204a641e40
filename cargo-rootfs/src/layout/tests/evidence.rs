//! Evidence without a rule: paths among constants, packages, prefixes; which files are packed, and which are suggested.

use super::disk::{Ask, Disk, library, path, tool};
use crate::layout::Assembly;
use crate::rootfs::Rootfs;
use crate::runtime::Runtime;

const STATUS: &str = "\
Package: quux
Source: quux-source
Status: install ok installed
Architecture: amd64
Depends: quux-data, near

Package: quux-data
Source: quux-source
Status: install ok installed
Architecture: all

Package: near
Status: install ok installed
Architecture: all

Package: far
Status: install ok installed
Architecture: all
";

/// A tool that names data of its dependency and of an unrelated package, a helper of its own, and a secret.
fn sysroot() -> Disk {
    let constants =
        b"\0/usr/share/near\0/usr/share/far/data\0/etc/quux.key\0/usr/share\0/usr/share/nowhere\0/usr/lib/quux/%s.so\0";
    Disk::merged()
        .elf("usr/bin/quux", tool().needs("libquux.so.1").tail(constants))
        .elf("usr/bin/quuxctl", tool())
        .elf("usr/lib/libquux.so.1", library("libquux.so.1"))
        .elf("usr/lib/quux/plugin.so", library("plugin.so").needs("libdeep.so"))
        .elf("usr/lib/libdeep.so", library("libdeep.so"))
        .bytes("usr/share/quux/table", b"1234", 0o644)
        .bytes("usr/share/man/man1/quux.1.gz", b"x", 0o644)
        .bytes("usr/share/near/data", b"12345", 0o644)
        .bytes("usr/share/far/data", b"x", 0o644)
        .bytes("etc/quux.key", b"x", 0o644)
        .bytes("var/lib/dpkg/status", STATUS.as_bytes(), 0o644)
        .bytes(
            "var/lib/dpkg/info/quux.list",
            b"/.\n/usr/bin/quux\n/usr/bin/quuxctl\n/lib/libquux.so.1\n/usr/lib/quux\n/usr/lib/quux/plugin.so\n/etc/quux.key\n\
              /usr/share/man/man1/quux.1.gz\n",
            0o644,
        )
        .bytes("var/lib/dpkg/info/quux-data.list", b"/.\n/usr/share\n/usr/share/quux\n/usr/share/quux/table\n", 0o644)
        .bytes("var/lib/dpkg/info/near.list", b"/.\n/usr/share\n/usr/share/near\n/usr/share/near/data\n", 0o644)
        .bytes("var/lib/dpkg/info/far.list", b"/.\n/usr/share/far\n/usr/share/far/data\n", 0o644)
}

fn has(rootfs: &Rootfs, at: &str) -> bool {
    rootfs.get(&path(at)).is_some()
}

fn said(assembly: &Assembly) -> Vec<String> {
    let one = |warning: &crate::Warning| match &warning.help {
        Some(help) => format!("{} ({help})", warning.message),
        None => warning.message.clone(),
    };
    assembly.warnings.iter().map(one).collect()
}

#[test]
fn a_tool_without_a_rule_brings_its_package_and_what_it_names() {
    let sysroot = sysroot();
    let assembly = Ask::tools(&["quux"]).assemble(&sysroot).unwrap();
    for at in ["/usr/lib/quux/plugin.so", "/usr/lib/libdeep.so", "/usr/share/quux/table", "/usr/share/near/data"] {
        assert!(has(&assembly.rootfs, at), "{at}\n{}", assembly.rootfs.dump());
    }
    for at in ["/usr/bin/quuxctl", "/usr/share/man", "/usr/share/far", "/etc/quux.key", "/var/lib/dpkg"] {
        assert!(!has(&assembly.rootfs, at), "{at}\n{}", assembly.rootfs.dump());
    }
    let brought = assembly.brought.as_deref().unwrap();
    assert!(brought.starts_with("3 files, "), "{brought}");
    assert!(
        brought.ends_with(
            "without a rule: quux (of `quux`), quux-data (of `quux`), near (named by `quux`); `--runtime rules` leaves them out"
        ),
        "{brought}"
    );
    assert_eq!(
        said(&assembly),
        ["named by constants, and not packed: `/usr/share/far/data` (by `quux`) (to pack them: --with-package far)"]
    );
}

#[test]
fn a_file_that_a_rule_covers_brings_what_the_rule_says() {
    let rule = "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/usr/bin/quux']\ntake = ['/usr/share/quux']\n";
    let assembly = Ask::tools(&["quux"]).rules(rule).assemble(&sysroot()).unwrap();
    assert!(has(&assembly.rootfs, "/usr/share/quux/table"));
    assert!(!has(&assembly.rootfs, "/usr/share/near"), "{}", assembly.rootfs.dump());
    // A partial rule leaves the rest to the evidence.
    let assembly = Ask::tools(&["quux"]).rules(&format!("{rule}partial = true\n")).assemble(&sysroot()).unwrap();
    assert!(has(&assembly.rootfs, "/usr/share/near"), "{}", assembly.rootfs.dump());
}

#[test]
fn with_rules_alone_what_stays_out_is_said() {
    let assembly = Ask::tools(&["quux"]).runtime(Runtime::Rules).assemble(&sysroot()).unwrap();
    assert!(!has(&assembly.rootfs, "/usr/share/quux") && assembly.brought.is_none());
    let said = said(&assembly);
    assert!(said[0].starts_with("left out by `--runtime rules`: 3 files, "), "{said:?}");
    assert!(said[0].ends_with("(to pack them: --runtime auto)"), "{said:?}");
}

#[test]
fn a_rule_may_wait_for_a_package_or_a_path_among_constants() {
    let rule = "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['package:quu*']\nfiles = [{ path = '/etc/made', text = 'x', mode = '0400' }]\n";
    let rootfs = Ask::tools(&["quuxctl"]).rules(rule).rootfs(&sysroot());
    assert_eq!(rootfs.get(&path("/etc/made")).unwrap().mode, 0o400);
    assert!(!has(&Ask::tools(&["env"]).rules(rule).rootfs(&sysroot()), "/etc/made"));

    let rule = "[[rule]]\nname = 'own'\nwhy = 'x'\nmentions = ['/usr/share/nowh']\nfiles = [{ path = '/etc/made', text = 'x' }]\n";
    assert!(has(&Ask::tools(&["quux"]).rules(rule).rootfs(&sysroot()), "/etc/made"));
    assert!(!has(&Ask::tools(&["quuxctl"]).rules(rule).rootfs(&sysroot()), "/etc/made"));
}

/// The project's programs belong to no package: no files are added for them, and the files that they name are reported
/// first. Rust's literals are not terminated.
#[test]
fn a_program_of_the_project_is_told_of_what_it_names() {
    let sysroot = sysroot();
    let project = Disk::empty().elf("app", tool().tail(b"not found/usr/share/far/dataFailed to/usr/share/nearly"));
    let assembly = Ask::nothing().executable(project.at("app")).assemble(&sysroot).unwrap();
    assert!(!has(&assembly.rootfs, "/usr/share"), "{}", assembly.rootfs.dump());
    assert_eq!(
        said(&assembly),
        ["named by constants, and not packed: `/usr/share/far/data` (by `app`), `/usr/share/near` (by `app`) \
          (to pack them: --with-package far,near)"]
    );
}

/// A packager or a scanner names many paths; what else is named stays visible.
#[test]
fn a_table_of_paths_is_one_short_warning() {
    let paths: Vec<String> = (10..42).map(|number| format!("/etc/table/{number}")).collect();
    let disk = paths.iter().fold(sysroot(), |disk, path| disk.bytes(&path[1..], b"x", 0o644));
    let table = paths.iter().map(|path| format!("\0{path}")).collect::<String>() + "\0";
    let project =
        Disk::empty().elf("app", tool().tail(table.as_bytes())).elf("few", tool().tail(b"\0/usr/share/near\0"));
    let ask = Ask::nothing().executable(project.at("app")).executable(project.at("few"));
    assert_eq!(
        said(&ask.assemble(&disk).unwrap()),
        [
            format!(
                "`app` names 32 paths that are not packed, such as `/etc/table/10`, `/etc/table/11`, `/etc/table/12` \
                 (`cargo rootfs check` shows the paths that it opens; to pack one: --include {}:/etc/table/10)",
                disk.at("etc/table/10")
            ),
            "named by constants, and not packed: `/usr/share/near` (by `few`) (to pack them: --with-package near)"
                .to_owned()
        ]
    );
}

/// A packed configuration file names data as constants do, except in its comments.
#[test]
fn a_configuration_that_comes_along_is_read() {
    let text = b"# dir = /usr/share/near\ndir = \"/usr/share/far\";\nother = /usr/share/fur\ndriver = libdriver.so.1\n";
    let list = b"/.\n/usr/bin/quux\n/etc/quux.conf\n/usr/lib/libdriver.so.1\n";
    let sysroot = Disk::merged()
        .elf("usr/bin/quux", tool())
        .elf("usr/lib/libdriver.so.1", library("libdriver.so.1"))
        .bytes("etc/quux.conf", text, 0o644)
        .bytes("usr/share/far/data", b"x", 0o644)
        .bytes("usr/share/fur/data", b"x", 0o644)
        .bytes("usr/share/near/data", b"x", 0o644)
        .bytes("var/lib/dpkg/status", STATUS.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/quux.list", list, 0o644)
        // A script of the package has made the contents of the directories.
        .bytes("var/lib/dpkg/info/far.list", b"/.\n/usr/share/far\n/usr/share/fur\n", 0o644);
    let assembly = Ask::tools(&["quux"]).assemble(&sysroot).unwrap();
    for at in ["/etc/quux.conf", "/usr/lib/libdriver.so.1"] {
        assert!(has(&assembly.rootfs, at), "{at}\n{}", assembly.rootfs.dump());
    }
    // The option takes one path, which is the host's.
    let include = |name: &str| format!("--include {}:/{name}", sysroot.at(name));
    assert_eq!(
        said(&assembly),
        [format!(
            "named by constants, and not packed: `/usr/share/far` (by `/etc/quux.conf`), `/usr/share/fur` (by \
             `/etc/quux.conf`) (to pack them: {} {})",
            include("usr/share/far"),
            include("usr/share/fur")
        )]
    );
}

/// A common library brings nothing for a tool, but brings its package for a program that is linked with it.
#[test]
fn a_common_library_is_asked_for_the_program_that_is_linked_with_it() {
    let status = b"Package: libp11-kit0\nStatus: install ok installed\nArchitecture: amd64\n\n";
    let sysroot = Disk::merged()
        .elf("usr/bin/env", tool().needs("libp11-kit.so.0"))
        .elf("usr/lib/libp11-kit.so.0", library("libp11-kit.so.0"))
        .elf("usr/lib/libover.so.1", library("libover.so.1").needs("libp11-kit.so.0"))
        .bytes("usr/share/p11-kit/data", b"x", 0o644)
        .bytes("var/lib/dpkg/status", status, 0o644)
        .bytes("var/lib/dpkg/info/libp11-kit0.list", b"/.\n/usr/lib/libp11-kit.so.0\n/usr/share/p11-kit/data\n", 0o644);
    for (tool_needs, is_brought) in [("libp11-kit.so.0", true), ("libover.so.1", false)] {
        let project = Disk::empty().elf("app", tool().needs(tool_needs));
        let rootfs = Ask::nothing().executable(project.at("app")).rootfs(&sysroot);
        assert_eq!(has(&rootfs, "/usr/share/p11-kit/data"), is_brought, "{tool_needs}\n{}", rootfs.dump());
    }
    assert!(!has(&Ask::tools(&["env"]).rootfs(&sysroot), "/usr/share/p11-kit"));
}

/// The name of the project's program is no evidence.
#[test]
fn a_program_of_the_project_has_the_name_of_a_tool() {
    let rule =
        "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/usr/bin/quux']\nfiles = [{ path = '/etc/made', text = 'x' }]\n";
    let project = Disk::empty().elf("quux", tool());
    let rootfs = Ask::nothing().executable(project.at("quux")).rules(rule).rootfs(&sysroot());
    assert!(!has(&rootfs, "/usr/local/etc"), "{}", rootfs.dump());
}

/// A tool below another prefix brings the files under its own name there, and rules apply to it. If it was named by
/// path, this holds below a home directory too, except for keys.
#[test]
fn prefixes_other_than_usr() {
    let rule = "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/usr/bin/gut']\ntake = ['/usr/libexec/core', '{lib}/gut.d', '/etc/gut']\n";
    let sysroot = Disk::merged()
        .elf("usr/local/bin/gut", tool())
        .bytes("usr/local/libexec/core/x", b"x", 0o644)
        .bytes("usr/local/lib/gut.d/x", b"x", 0o644)
        .bytes("usr/local/etc/gut/x", b"x", 0o644)
        .elf("home/me/tool/bin/frob", tool())
        .bytes("home/me/tool/share/frob-1.2/data", b"x", 0o644)
        .bytes("home/me/tool/share/frob/.ssh/id_rsa", b"x", 0o644)
        .bytes("home/me/tool/share/frobnicate/data", b"x", 0o644)
        .bytes("home/me/secret", b"x", 0o644);
    let rootfs = Ask::tools(&["gut"]).rules(rule).rootfs(&sysroot);
    for at in ["/usr/local/libexec/core/x", "/usr/local/lib/gut.d/x", "/usr/local/etc/gut/x"] {
        assert!(has(&rootfs, at), "{at}\n{}", rootfs.dump());
    }
    let rootfs = Ask::tools(&["/home/me/tool/bin/frob"]).rootfs(&sysroot);
    assert!(has(&rootfs, "/home/me/tool/share/frob-1.2/data"), "{}", rootfs.dump());
    for at in ["/home/me/tool/share/frobnicate", "/home/me/secret", "/home/me/tool/share/frob/.ssh"] {
        assert!(!has(&rootfs, at), "{at}\n{}", rootfs.dump());
    }
}

const CORE: &str = "\
Package: fizz
Status: install ok installed
Architecture: all
Depends: fizz-lib

Package: fizz-lib
Status: install ok installed
Architecture: all

Package: base
Status: install ok installed
Essential: yes
Architecture: amd64

Package: far
Status: install ok installed
Architecture: all
";

/// A script of a package, a module that a rule takes for it, and a package that every system has.
fn scripts() -> Disk {
    let script = b"#!/usr/bin/perl\nsystem('sorter', 'x');\nsystem('stranger');\nopen(F, '/etc/base/conf');\n";
    let module = b"package Fizz;\nmy $out = `lister`;\n# /etc/base/comment\nour $dir = '/etc/lib';\n";
    Disk::merged()
        .bytes("usr/bin/fizz", script, 0o755)
        .bytes("usr/bin/helper", b"#!/usr/bin/perl\n", 0o755)
        .elf("usr/bin/perl", tool())
        .elf("usr/bin/sorter", tool())
        .elf("usr/bin/lister", tool())
        .elf("usr/bin/stranger", tool())
        .elf("usr/bin/unasked", tool())
        .bytes("usr/share/perl5/Fizz.pm", module, 0o644)
        .bytes("etc/base/conf", b"x", 0o644)
        .bytes("etc/base/comment", b"x", 0o644)
        .bytes("etc/lib/x", b"x", 0o644)
        .bytes("var/lib/dpkg/status", CORE.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/fizz.list", b"/usr/bin/fizz\n", 0o644)
        .bytes("var/lib/dpkg/info/fizz-lib.list", b"/usr/share/perl5/Fizz.pm\n/etc/lib\n/etc/lib/x\n", 0o644)
        .bytes(
            "var/lib/dpkg/info/base.list",
            b"/usr/bin/sorter\n/usr/bin/lister\n/usr/bin/unasked\n/etc/base\n/etc/base/conf\n/etc/base/comment\n",
            0o644,
        )
        .bytes("var/lib/dpkg/info/far.list", b"/usr/bin/stranger\n", 0o644)
}

/// As yq, whose package depends on jq. Modules of other packages have code that the tool does not reach.
#[test]
fn a_module_of_a_python_tool_starts_programs_that_its_package_depends_on() {
    let record = |name: &str, depends: &str| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nDepends: {depends}\n\n")
    };
    let status =
        ["fizz, python-buzz, sorter", "python-buzz, sorter, lister", "sorter, far", "lister, far", "stranger, far"];
    let status = status.map(|it| it.split_once(", ").unwrap()).map(|(name, depends)| record(name, depends)).concat();
    let disk = Disk::merged()
        .bytes("usr/bin/fizz", b"#!/usr/bin/python3\nimport fizz, buzz\n", 0o755)
        .bytes("usr/lib/python3/dist-packages/fizz.py", b"Popen(['sorter'])\nrun(['stranger'])\n", 0o644)
        .bytes("usr/lib/python3/dist-packages/buzz.py", b"import subprocess\nsubprocess.run(['lister'])\n", 0o644)
        .elf("usr/bin/python3", tool())
        .elf("usr/bin/sorter", tool())
        .elf("usr/bin/lister", tool())
        .elf("usr/bin/stranger", tool())
        .bytes("var/lib/dpkg/status", status.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/fizz.list", b"/usr/bin/fizz\n/usr/lib/python3/dist-packages/fizz.py\n", 0o644)
        .bytes("var/lib/dpkg/info/python-buzz.list", b"/usr/lib/python3/dist-packages/buzz.py\n", 0o644)
        .bytes("var/lib/dpkg/info/sorter.list", b"/usr/bin/sorter\n", 0o644)
        .bytes("var/lib/dpkg/info/lister.list", b"/usr/bin/lister\n", 0o644)
        .bytes("var/lib/dpkg/info/stranger.list", b"/usr/bin/stranger\n", 0o644);
    let rootfs = Ask::tools(&["fizz"]).rootfs(&disk);
    for at in ["/usr/lib/python3/dist-packages/buzz.py", "/usr/bin/sorter"] {
        assert!(has(&rootfs, at), "{at}\n{}", rootfs.dump());
    }
    for at in ["/usr/bin/lister", "/usr/bin/stranger"] {
        assert!(!has(&rootfs, at), "{at}\n{}", rootfs.dump());
    }
}

/// A script and its modules start programs and name paths: those of the package's dependencies, and of packages that
/// every system has, are packed.
#[test]
fn a_script_brings_what_it_and_its_modules_start_and_name() {
    let assembly = Ask::tools(&["fizz"]).assemble(&scripts()).unwrap();
    let rootfs = &assembly.rootfs;
    for at in ["/usr/share/perl5/Fizz.pm", "/usr/bin/sorter", "/usr/bin/lister", "/etc/base/conf", "/etc/lib/x"] {
        assert!(has(rootfs, at), "{at}\n{}", rootfs.dump());
    }
    for at in ["/usr/bin/stranger", "/usr/bin/unasked", "/etc/base/comment"] {
        assert!(!has(rootfs, at), "{at}\n{}", rootfs.dump());
    }
    // A program of an unrelated package is suggested.
    let offered: Vec<_> = assembly.suggestions.iter().map(|it| it.tool.as_str()).collect();
    assert_eq!(offered, ["stranger"]);
}

/// The modules that an interpreter has by its own rule are covered by that rule, though a script imports them too: they
/// name data for any program.
#[test]
fn the_standard_library_of_a_scripts_language_is_no_evidence() {
    let record = |name: &str, depends: &str| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nDepends: {depends}\n\n")
    };
    let status = record("play", "snake, data") + &record("snake", "data") + &record("data", "");
    let sysroot = Disk::merged()
        .elf("usr/bin/snake", tool())
        .bytes("usr/bin/play", b"#!/usr/bin/snake\n", 0o755)
        .bytes("usr/lib/snake/own/play.py", b"open('/usr/share/played/x')\n", 0o644)
        .bytes("usr/lib/snake/std/all.py", b"open('/usr/share/standard/x')\n", 0o644)
        .bytes("usr/share/played/x", b"x", 0o644)
        .bytes("usr/share/standard/x", b"x", 0o644)
        .bytes("var/lib/dpkg/status", status.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/play.list", b"/usr/bin/play\n/usr/lib/snake/own/play.py\n", 0o644)
        .bytes("var/lib/dpkg/info/snake.list", b"/usr/bin/snake\n/usr/lib/snake/std/all.py\n", 0o644)
        .bytes("var/lib/dpkg/info/data.list", b"/usr/share/played/x\n/usr/share/standard/x\n", 0o644);
    let rules = r##"
        [[rule]]
        name = "snake"
        why = "a snake starts with its standard library"
        when = ["snake"]
        take = ["/usr/lib/snake/std"]

        [[rule]]
        name = "snake-modules"
        why = "a program for snake imports modules"
        when = ["#!snake"]
        modules = ["/usr/lib/snake/*/**"]
    "##;
    let rootfs = Ask::tools(&["play"]).rules(rules).rootfs(&sysroot);
    for at in ["/usr/lib/snake/own/play.py", "/usr/lib/snake/std/all.py", "/usr/share/played/x"] {
        assert!(has(&rootfs, at), "{at}\n{}", rootfs.dump());
    }
    assert!(!has(&rootfs, "/usr/share/standard"), "{}", rootfs.dump());
}
