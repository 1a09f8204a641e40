//! The reach of evidence: started shells, programs that data and scripts name, packages cut in two, and files that are only
//! suggested.

use super::disk::{Ask, Disk, library, path, tool};
use crate::layout::{Assembly, may_open_warning};
use crate::runtime::Runtime;

const STATUS: &str = "\
Package: quux-minimal
Source: quux
Status: install ok installed
Architecture: amd64

Package: quux
Status: install ok installed
Architecture: amd64
Depends: quux-minimal, quux-stdlib, zones

Package: quux-stdlib
Source: quux
Status: install ok installed
Architecture: amd64

Package: zones
Status: install ok installed
Architecture: all

Package: stranger
Status: install ok installed
Architecture: all

Package: base
Status: install ok installed
Essential: yes
Architecture: amd64
";

/// A sysroot whose packages have these files, besides what every system has.
fn sysroot(lists: &[(&str, &str)]) -> Disk {
    let base = "/bin/sh\n/bin/dash\n/usr/bin/sorter\n/usr/bin/lister\n";
    let disk = Disk::merged()
        .elf("usr/bin/sorter", tool())
        .elf("usr/bin/lister", tool())
        .bytes("var/lib/dpkg/status", STATUS.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/base.list", base.as_bytes(), 0o644);
    lists.iter().fold(disk, |disk, (package, files)| {
        disk.bytes(&format!("var/lib/dpkg/info/{package}.list"), files.as_bytes(), 0o644)
    })
}

#[track_caller]
fn expect(assembly: &Assembly, there: &[&str], absent: &[&str]) {
    let rootfs = &assembly.rootfs;
    for (paths, is) in [(there, true), (absent, false)] {
        for at in paths {
            assert_eq!(rootfs.get(&path(at)).is_some(), is, "{at}\n{}", rootfs.dump());
        }
    }
}

fn packed(sysroot: &Disk) -> Assembly {
    Ask::tools(&["quux"]).assemble(sysroot).unwrap()
}

#[test]
fn a_shell_comes_along_where_the_file_starts_programs() {
    let list = [("quux-minimal", "/usr/bin/quux\n")];
    let with = |file| sysroot(&list).elf("usr/bin/quux", file);
    let named = || tool().tail(b"\0/bin/sh\0");
    expect(&packed(&with(named().imports("posix_spawn"))), &["/usr/bin/sh"], &[]);
    expect(&packed(&with(named().imports("write"))), &[], &["/usr/bin/sh"]);
    expect(&packed(&with(tool().tail(b"\0/bin/shells\0").imports("execv"))), &[], &["/usr/bin/sh"]);
    // There is no database: every system has a shell.
    let bare = Disk::merged().elf("usr/bin/quux", named().imports("execve"));
    expect(&packed(&bare), &["/usr/bin/sh"], &[]);
}

#[test]
fn the_whole_of_a_package_that_was_cut_in_two_and_data_that_it_depends_on() {
    let lists = [
        ("quux-minimal", "/usr/bin/quux\n"),
        ("quux", "/usr/bin/quuxctl\n/usr/lib/quux/more\n"),
        ("quux-stdlib", "/usr/lib/quux/std\n"),
        ("zones", "/usr/share/zones/x\n"),
        ("stranger", "/usr/share/stranger/x\n"),
    ];
    let disk = sysroot(&lists)
        .elf("usr/bin/quux", tool())
        .elf("usr/bin/quuxctl", tool())
        .bytes("usr/lib/quux/more", b"x", 0o644)
        .bytes("usr/lib/quux/std", b"x", 0o644)
        .bytes("usr/share/zones/x", b"x", 0o644)
        .bytes("usr/share/stranger/x", b"x", 0o644);
    let there = ["/usr/lib/quux/more", "/usr/lib/quux/std", "/usr/share/zones/x"];
    expect(&packed(&disk), &there, &["/usr/bin/quuxctl", "/usr/share/stranger"]);
}

/// As libgles2, which libepoxy opens for WebKit, whose package depends on it.
#[test]
fn a_library_that_a_dependency_has_and_another_library_opens() {
    let lists = [
        ("quux", "/usr/bin/quux\n"),
        ("quux-stdlib", "/usr/lib/libglue.so.1\n"),
        ("zones", "/usr/lib/libgles.so.2\n"),
        ("stranger", "/usr/lib/libother.so.3\n"),
    ];
    let names = b"\0libgles.so.2\0libother.so.3\0";
    let disk = sysroot(&lists)
        .elf("usr/bin/quux", tool().needs("libglue.so.1"))
        .elf("usr/lib/libglue.so.1", library("libglue.so.1").imports("dlopen").tail(names))
        .elf("usr/lib/libgles.so.2", library("libgles.so.2").needs("libdeep.so"))
        .elf("usr/lib/libdeep.so", library("libdeep.so"))
        .elf("usr/lib/libother.so.3", library("libother.so.3"));
    expect(&packed(&disk), &["/usr/lib/libgles.so.2", "/usr/lib/libdeep.so"], &["/usr/lib/libother.so.3"]);
    let assembly = Ask::tools(&["quux"]).runtime(Runtime::Rules).assemble(&disk).unwrap();
    expect(&assembly, &[], &["/usr/lib/libgles.so.2"]);
}

/// As libGLX_mesa, which libGLX opens by the name of the driver: the package depends on it, and not on that of another one.
#[test]
fn libraries_with_a_part_of_their_names_from_a_format() {
    let lists = [
        ("quux", "/usr/bin/quux\n"),
        ("zones", "/usr/lib/libquux_one.so.0\n"),
        ("stranger", "/usr/lib/libquux_two.so.0\n/usr/lib/libquux_two.so.1\n"),
    ];
    let names = ["libquux_one.so.0", "libquux_two.so.0", "libquux_two.so.1"];
    let disk = sysroot(&lists).elf("usr/bin/quux", tool().imports("dlopen").tail(b"\0libquux_%s.so.0\0"));
    let disk = names.iter().fold(disk, |disk, name| disk.elf(&format!("usr/lib/{name}"), library(name)));
    let assembly = packed(&disk);
    expect(&assembly, &["/usr/lib/libquux_one.so.0"], &["/usr/lib/libquux_two.so.0", "/usr/lib/libquux_two.so.1"]);
    let offered = may_open_warning(assembly.closures.iter().map(|(_, closure)| closure));
    assert_eq!(offered.unwrap().help.as_deref(), Some("to pack it: --with-lib libquux_two.so.0"));
}

/// As libtcl8.6, which depends on tzdata.
#[test]
fn data_that_a_part_of_the_package_depends_on() {
    let lists = [("quux", "/usr/bin/quux\n"), ("quux-stdlib", "/usr/lib/quux/std\n"), ("far", "/usr/share/far/x\n")];
    let status =
        STATUS.replace("Architecture: amd64\n\nPackage: zones", "Architecture: amd64\nDepends: far\n\nPackage: far");
    let disk = sysroot(&lists)
        .elf("usr/bin/quux", tool())
        .bytes("usr/lib/quux/std", b"x", 0o644)
        .bytes("usr/share/far/x", b"x", 0o644)
        .bytes("var/lib/dpkg/status", status.as_bytes(), 0o644);
    expect(&packed(&disk), &["/usr/lib/quux/std", "/usr/share/far/x"], &[]);
}

/// A directory that a module names comes if the package depends on its owner, or every system has it; a comment, a file
/// and a stranger's directory do not.
#[test]
fn modules_of_an_interpreter_name_directories() {
    let module =
        b"# /usr/share/zones/comment\npath = '/usr/share/base:/usr/share/stranger'\nother = '/usr/share/file'\n";
    let lists = [
        ("quux", "/usr/bin/quux\n"),
        ("quux-stdlib", "/usr/lib/quux/paths.py\n"),
        ("base", "/usr/share/base\n/usr/share/base/x\n/usr/share/file\n"),
        ("stranger", "/usr/share/stranger\n/usr/share/stranger/x\n"),
    ];
    let disk = sysroot(&lists)
        .elf("usr/bin/quux", tool())
        .bytes("usr/lib/quux/paths.py", module, 0o644)
        .bytes("usr/share/base/x", b"x", 0o644)
        .bytes("usr/share/file", b"x", 0o644)
        .bytes("usr/share/stranger/x", b"x", 0o644);
    let assembly = packed(&disk);
    expect(&assembly, &["/usr/share/base/x"], &["/usr/share/file", "/usr/share/stranger"]);
    assert!(assembly.warnings.is_empty(), "{:?}", assembly.warnings);
}

/// As protoc, whose package recommends headers, and as gcc, which links besides.
#[test]
fn headers_that_the_package_recommends() {
    const STATUS: &str = "\
Package: quux
Status: install ok installed
Architecture: amd64
Recommends: quux-dev | other-dev, talk
Suggests: base-dev

Package: quux-dev
Status: install ok installed
Architecture: amd64
Depends: base-dev

Package: base-dev
Status: install ok installed
Architecture: amd64

Package: talk
Status: install ok installed
Architecture: amd64
";
    let of_dev = "/usr/include/quux.h\n/usr/lib/libquux.a\n/usr/share/aclocal/quux.m4\n";
    let disk = |own: &str| {
        sysroot(&[
            ("quux", own),
            ("quux-dev", of_dev),
            ("base-dev", "/usr/include/base.h\n"),
            ("talk", "/usr/share/talk/x\n"),
        ])
        .elf("usr/bin/quux", tool())
        .bytes("usr/lib/quux/begin.o", b"x", 0o644)
        .bytes("usr/include/quux.h", b"x", 0o644)
        .bytes("usr/lib/libquux.a", b"x", 0o644)
        .bytes("usr/share/aclocal/quux.m4", b"x", 0o644)
        .bytes("usr/include/base.h", b"x", 0o644)
        .bytes("usr/share/talk/x", b"x", 0o644)
        .bytes("var/lib/dpkg/status", STATUS.as_bytes(), 0o644)
    };
    let linked = ["/usr/lib/quux/begin.o", "/usr/lib/libquux.a", "/usr/include/base.h"];
    expect(&packed(&disk("/usr/bin/quux\n")), &["/usr/include/quux.h"], &linked);
    let links = packed(&disk("/usr/bin/quux\n/usr/lib/quux/begin.o\n"));
    expect(&links, &[&linked[..], &["/usr/include/quux.h"]].concat(), &["/usr/share/talk"]);
}

#[test]
fn settings_and_scripts_of_a_package_name_its_programs_and_call_others() {
    let files = "/usr/bin/quux\n/usr/bin/quuxtty\n/usr/bin/quuxdoc\n/usr/lib/quux/step\n/usr/share/quux/DESC\n\
                 /etc/quux/hook\n/usr/share/doc/quux-minimal/copyright\n";
    let disk = sysroot(&[("quux-minimal", files)])
        .elf("usr/bin/quux", tool())
        .elf("usr/bin/quuxtty", tool())
        .elf("usr/bin/quuxdoc", tool())
        .bytes("usr/lib/quux/step", b"#!/bin/sh\nsorter x\n", 0o755)
        .bytes("etc/quux/hook", b"#!/bin/sh\nlister x\n", 0o755)
        .bytes("usr/share/quux/DESC", b"postpro quuxtty\n", 0o644)
        .bytes("usr/share/doc/quux-minimal/copyright", b"quuxdoc\n", 0o644);
    expect(&packed(&disk), &["/usr/bin/quuxtty", "/usr/bin/sorter"], &["/usr/bin/quuxdoc", "/usr/bin/lister"]);
}

#[test]
fn a_directory_under_the_name_of_the_tool_is_its_own() {
    let lists = [
        ("quux-minimal", "/usr/bin/quux5.4\n"),
        ("stranger", "/usr/lib/quux/5.4\n/usr/lib/quux/5.4/x.so\n/usr/lib/other\n/usr/lib/other/x.so\n"),
    ];
    let constants = b"\0/usr/lib/quux/5.4/?.so\0/usr/lib/other/?.so\0";
    let disk = sysroot(&lists)
        .elf("usr/bin/quux5.4", tool().tail(constants))
        .bytes("usr/lib/quux/5.4/x.so", b"x", 0o644)
        .bytes("usr/lib/other/x.so", b"x", 0o644);
    let assembly = Ask::tools(&["quux5.4"]).assemble(&disk).unwrap();
    expect(&assembly, &["/usr/lib/quux/5.4/x.so"], &["/usr/lib/other"]);
}

#[test]
fn modules_of_others_that_a_script_imports_are_offered() {
    let lists = [("quux-minimal", "/usr/bin/quux\n/usr/bin/perl\n"), ("stranger", "/usr/share/perl5/Far/Away.pm\n")];
    let disk = sysroot(&lists)
        .elf("usr/bin/perl", tool())
        .bytes("usr/bin/quux", b"#!/usr/bin/perl\nuse Far::Away;\nuse strict;\n", 0o755)
        .bytes("usr/share/perl5/Far/Away.pm", b"1;\n", 0o644);
    let assembly = packed(&disk);
    expect(&assembly, &[], &["/usr/share/perl5/Far"]);
    let said: Vec<_> = assembly.warnings.iter().filter_map(|warning| warning.help.as_deref()).collect();
    assert_eq!(said, ["to pack them: --with-package stranger"]);
}

/// As CPAN.pm, which uses File::HomeDir if it is there; a rule covers the script.
#[test]
fn modules_that_packed_modules_require_are_offered() {
    let lists = [("quux-minimal", "/usr/bin/quux\n/usr/bin/perl\n"), ("stranger", "/usr/share/perl5/Far/Away.pm\n")];
    let disk = sysroot(&lists)
        .elf("usr/bin/perl", tool())
        .bytes("usr/bin/quux", b"#!/usr/bin/perl\nuse Own::Main;\n", 0o755)
        .bytes("usr/share/perl/5.36/Own/Main.pm", b"use Own::Part 1.2 ();\nuse Own::Main;\n", 0o644)
        .bytes("usr/share/perl/5.36/Own/Part.pm", b"f(sub {require Far::Away;\n 1});\n", 0o644)
        .bytes("usr/share/perl5/Far/Away.pm", b"1;\n", 0o644);
    let rule = "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/usr/bin/quux']\ntake = ['/usr/share/perl/5.36']\n";
    let assembly = Ask::tools(&["quux"]).rules(rule).assemble(&disk).unwrap();
    expect(&assembly, &["/usr/share/perl/5.36/Own/Part.pm"], &["/usr/share/perl5/Far"]);
    let said: Vec<_> = assembly.warnings.iter().filter_map(|warning| warning.help.as_deref()).collect();
    assert_eq!(said, ["to pack them: --with-package stranger"]);
}

/// tmpfiles.d(5): the file belongs to the tool's package, and an included file is where one of its directories would be.
#[test]
fn a_directory_of_tmpfiles_is_left_out_where_a_file_is_in_its_place() {
    let text = b"d /run/quux 0750\nd /var/lib/quux/state 0755\n";
    let sysroot = sysroot(&[("quux-minimal", "/usr/bin/quux\n/usr/lib/tmpfiles.d/quux.conf\n")])
        .elf("usr/bin/quux", tool())
        .bytes("usr/lib/tmpfiles.d/quux.conf", text, 0o644)
        .bytes("included", b"x", 0o644);
    expect(&packed(&sysroot), &["/run/quux", "/var/lib/quux/state"], &[]);
    let ask = Ask::tools(&["quux"]).include(sysroot.at("included"), "/var/lib/quux");
    expect(&ask.assemble(&sysroot).unwrap(), &["/run/quux", "/var/lib/quux"], &["/var/lib/quux/state"]);
}

/// systemd.exec(5): the unit itself stays out, as does that of a program which is not packed.
#[test]
fn a_daemon_has_the_directories_of_its_service() {
    let units = "/usr/lib/systemd/system/quux.service\n/usr/lib/systemd/system/other.service\n";
    let list = format!("/usr/sbin/quux\n/usr/sbin/other\n{units}");
    let disk = sysroot(&[("quux-minimal", &list)])
        .elf("usr/sbin/quux", tool())
        .elf("usr/sbin/other", tool())
        .bytes(
            "usr/lib/systemd/system/quux.service",
            b"[Service]\nExecStart=/usr/sbin/quux -D\nRuntimeDirectory=quux\nStateDirectory=quux/db\n",
            0o644,
        )
        .bytes(
            "usr/lib/systemd/system/other.service",
            b"[Service]\nExecStart=/usr/sbin/other\nRuntimeDirectory=other\n",
            0o644,
        );
    expect(&packed(&disk), &["/run/quux", "/var/lib/quux/db"], &["/run/other", "/usr/lib/systemd"]);
}

/// system(3) is given a command line, and execvp(3) a name; a table of own commands is no evidence.
#[test]
fn commands_among_constants_come_along_where_the_file_starts_programs() {
    let list = [("quux-minimal", "/usr/bin/quux\n")];
    let base = "/bin/sh\n/bin/dash\n/usr/bin/sorter\n/bin/grep\n/bin/sed\n/bin/cmp\n/bin/gzip\n/bin/awk\n";
    let with = |file| {
        let disk =
            sysroot(&list).bytes("var/lib/dpkg/info/base.list", base.as_bytes(), 0o644).elf("usr/bin/quux", file);
        ["grep", "sed", "cmp", "gzip", "awk"]
            .iter()
            .fold(disk, |disk, name| disk.elf(&format!("usr/bin/{name}"), tool()))
    };
    let line = || tool().tail(b"\0sorter -n %s | grep x\0sorter of things\0");
    expect(&packed(&with(line().imports("system"))), &["/usr/bin/sorter", "/usr/bin/grep"], &["/usr/bin/gzip"]);
    expect(&packed(&with(line().imports("write"))), &[], &["/usr/bin/sorter", "/usr/bin/grep"]);
    let name = || tool().tail(b"\0gzip\0sorter\0a sed of it\0");
    expect(&packed(&with(name().imports("execvp"))), &["/usr/bin/gzip"], &["/usr/bin/sorter", "/usr/bin/sed"]);
    expect(&packed(&with(name().imports("write"))), &[], &["/usr/bin/gzip"]);
    let table = tool().tail(b"\0gzip\0grep\0sed\0cmp\0awk\0").imports("execvp");
    expect(&packed(&with(table)), &[], &["/usr/bin/gzip", "/usr/bin/grep"]);
}

/// As `as` of GCC: prose has the word, and only a whole constant counts, or one with arguments.
#[test]
fn a_program_with_a_short_name_is_a_whole_constant_or_has_arguments() {
    let lists = [("quux-minimal", "/usr/bin/quux\n/usr/bin/as\n/usr/bin/ar\n/usr/bin/ld\n")];
    let disk = sysroot(&lists)
        .elf("usr/bin/quux", tool().tail(b"\0ar\0%{!S:as %(options)}\0such as ld is old %s\0"))
        .elf("usr/bin/ar", tool())
        .elf("usr/bin/as", tool())
        .elf("usr/bin/ld", tool());
    expect(&packed(&disk), &["/usr/bin/ar", "/usr/bin/as"], &["/usr/bin/ld"]);
}

/// As pam-auth-update: debconf finds the questions of its package beside the list of files.
#[test]
fn a_script_that_asks_by_debconf_has_its_questions() {
    let list = [("quux-minimal", "/usr/bin/quux\n")];
    let with = |text: &[u8]| {
        sysroot(&list).bytes("usr/bin/quux", text, 0o755).bytes(
            "var/lib/dpkg/info/quux-minimal.templates",
            b"Template: quux/x\n",
            0o644,
        )
    };
    let templates = "/var/lib/dpkg/info/quux-minimal.templates";
    expect(&packed(&with(b"#!/bin/sh\n. /usr/share/debconf/confmodule\n")), &[templates], &[]);
    expect(&packed(&with(b"#!/bin/sh\n")), &[], &[templates]);
}

#[test]
fn what_scripts_put_into_an_empty_directory_of_a_package_comes_along() {
    let list = [("quux-minimal", "/usr/bin/quux\n/etc/quux.d\n")];
    let disk = sysroot(&list).elf("usr/bin/quux", tool().tail(b"\0/etc/quux.d\0")).bytes("etc/quux.d/made", b"", 0o644);
    expect(&packed(&disk), &["/etc/quux.d/made"], &[]);
}

/// As dovecot's `!include conf.d/*.conf`, and apache2's /var/lock/apache2$SUFFIX: scripts of the package made the files.
#[test]
fn configuration_that_a_script_has_made_includes_its_directory() {
    let list = [("quux-minimal", "/usr/bin/quux\n/etc/quux\n/etc/quux/conf.d\n")];
    let main = b"# include comment.d/*\n!include conf.d/*.conf\nlock = /var/lock/quux$SUFFIX\ninclude = ../other\n";
    let disk = sysroot(&list)
        .elf("usr/bin/quux", tool().tail(b"\0/etc/quux/quux.conf\0"))
        .bytes("etc/quux/quux.conf", main, 0o644)
        .bytes("etc/quux/conf.d/10-auth.conf", b"x", 0o644)
        .bytes("etc/quux/comment.d/x", b"x", 0o644)
        .bytes("etc/other", b"x", 0o644)
        .bytes("var/lock/other", b"x", 0o644);
    let absent = ["/etc/quux/comment.d", "/etc/other", "/var/lock/other"];
    expect(&packed(&disk), &["/etc/quux/conf.d/10-auth.conf", "/var/lock"], &absent);
}

/// Without a database of packages: as gpg-agent beside gpg, and perl's modules in the directory of the machine.
#[test]
fn a_tool_without_a_package_has_its_siblings_and_its_files() {
    let disk = Disk::merged()
        .elf("usr/bin/quux", tool().tail(b"\0quux-agent\0ungzip\0").imports("execvp"))
        .elf("usr/bin/quux-agent", tool())
        .elf("usr/bin/quux-other", tool())
        .elf("usr/bin/gzip", tool())
        .bytes("usr/lib/x86_64-linux-gnu/quux/5.36/POSIX.pm", b"1;\n", 0o644);
    let there = ["/usr/bin/quux-agent", "/usr/bin/gzip", "/usr/lib/x86_64-linux-gnu/quux/5.36/POSIX.pm"];
    expect(&packed(&disk), &there, &["/usr/bin/quux-other"]);
}

/// execvp(3) gives it to /bin/sh, the kernel refuses it.
#[test]
fn an_executable_text_without_a_first_line_is_a_script_of_the_shell() {
    let disk = Disk::merged().bytes("usr/bin/quux", b"# a part of others\nx=1\n", 0o755);
    let assembly = packed(&disk);
    expect(&assembly, &["/usr/bin/quux", "/usr/bin/sh"], &[]);
    let said: Vec<_> = assembly.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(said, ["`/usr/bin/quux` has no first line `#!`: a shell runs it, and the kernel does not"]);
}

/// gnupg has no files of its own; a library's package depends on it, and the library starts gpg.
#[test]
fn programs_behind_a_package_of_documentation() {
    let status = "Package: quux\nStatus: install ok installed\nArchitecture: amd64\nDepends: meta, whole\n\n\
        Package: meta\nStatus: install ok installed\nArchitecture: all\nDepends: behind\n\n\
        Package: whole\nStatus: install ok installed\nArchitecture: all\nDepends: far\n\n\
        Package: behind\nStatus: install ok installed\nArchitecture: amd64\n\n\
        Package: far\nStatus: install ok installed\nArchitecture: amd64\n";
    let lists = [
        ("quux", "/usr/bin/quux\n"),
        ("meta", "/.\n/usr\n/usr/share\n/usr/share/doc\n/usr/share/doc/meta\n/usr/share/doc/meta/copyright\n"),
        ("whole", "/usr/lib/whole/data\n/usr/share/doc/whole/copyright\n"),
        ("behind", "/usr/bin/behindctl\n"),
        ("far", "/usr/bin/farctl\n"),
    ];
    let disk = sysroot(&lists)
        .bytes("var/lib/dpkg/status", status.as_bytes(), 0o644)
        .elf("usr/bin/quux", tool().tail(b"\0behindctl\0farctl\0"))
        .elf("usr/bin/behindctl", tool())
        .elf("usr/bin/farctl", tool());
    expect(&packed(&disk), &["/usr/bin/behindctl"], &["/usr/bin/farctl"]);
}

/// As postdrop: what runs as another user is packed by request only.
#[test]
fn a_setgid_program_that_a_tool_starts_is_suggested() {
    let lists = [("quux-minimal", "/usr/bin/quux\n/usr/bin/quuxdrop\n")];
    let disk = sysroot(&lists)
        .elf("usr/bin/quux", tool().tail(b"\0quuxdrop\0"))
        .elf("usr/bin/quuxdrop", tool())
        .mode("usr/bin/quuxdrop", 0o2755);
    let assembly = packed(&disk);
    expect(&assembly, &[], &["/usr/bin/quuxdrop"]);
    let offered: Vec<_> = assembly.suggestions.iter().map(|it| it.tool.as_str()).collect();
    assert_eq!(offered, ["quuxdrop"]);
}

/// As select-editor, which lists the editors that are there.
#[test]
fn choices_of_alternatives_that_a_script_names() {
    let database = b"auto\n/usr/bin/chosen\n\n/usr/bin/sorter\n10\n/usr/share/x\n/usr/bin/absent\n20\n\n";
    let said = |text: &[u8]| {
        let disk = sysroot(&[("quux", "/usr/bin/quux\n")])
            .bytes("usr/bin/quux", text, 0o755)
            .link("usr/bin/chosen", "lister")
            .bytes("usr/share/x", b"x", 0o644)
            .bytes("var/lib/dpkg/alternatives/chosen", database, 0o644)
            .bytes("var/lib/dpkg/alternatives/other", b"auto\n/usr/bin/x\n\n/usr/bin/lister\n10\n", 0o644);
        let assembly = packed(&disk);
        let about = |warning: &&crate::Warning| warning.message.contains("/usr/bin/sorter");
        let warnings: Vec<_> = assembly.warnings.iter().filter(about).map(|it| it.help.clone()).collect();
        assert!(!assembly.warnings.iter().any(|it| it.message.contains("lister")));
        warnings
    };
    let help = Some("to pack them: --with sorter".to_owned());
    assert_eq!(said(b"#!/bin/sh\nupdate-alternatives --list chosen\n"), [help]);
    assert!(said(b"#!/bin/sh\necho chosen\n").is_empty());
}

/// getaddrinfo(3) may be given the name of a service; only its caller knows.
#[test]
fn programs_that_look_up_addresses_know_services() {
    let sysroot = Disk::merged().elf("usr/bin/net", tool().imports("getaddrinfo")).elf("usr/bin/plain", tool()).bytes(
        "etc/services",
        b"http 80/tcp\n",
        0o644,
    );
    for (name, is_there) in [("net", true), ("plain", false)] {
        assert_eq!(Ask::tools(&[name]).rootfs(&sysroot).get(&path("/etc/services")).is_some(), is_there, "{name}");
    }
}

/// As mariadbd-multi, which keeps its log there.
#[test]
fn a_directory_of_state_comes_empty() {
    let disk = sysroot(&[("quux", "/usr/bin/quux\n")])
        .bytes("usr/bin/quux", b"#!/bin/sh\nls /var/lib/mysql\n", 0o755)
        .bytes("var/lib/mysql/data", b"x", 0o600);
    expect(&packed(&disk), &["/var/lib/mysql"], &["/var/lib/mysql/data"]);
    let rules = Ask::tools(&["quux"]).runtime(Runtime::Rules).assemble(&disk).unwrap();
    expect(&rules, &[], &["/var/lib/mysql"]);
}
