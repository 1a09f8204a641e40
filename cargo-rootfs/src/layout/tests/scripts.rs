//! Scripts as tools and includes: their interpreters are packed, and scripts that cannot run are reported.

use super::disk::{Ask, Disk, expect_shape, library, path, tool};
use crate::elf::fixture::machine;
use crate::layout::{Assembly, suggestion_warning};
use crate::rootfs::Rootfs;
use crate::runtime::Runtime;

fn script(sysroot: Disk, name: &str, text: &str) -> Disk {
    sysroot.bytes(&format!("usr/bin/{name}"), text.as_bytes(), 0o755)
}

fn has(rootfs: &Rootfs, at: &str) -> bool {
    rootfs.get(&path(at)).is_some()
}

fn suggested(assembly: &Assembly) -> String {
    let one = |it: &crate::layout::Suggestion| format!("{} by {}", it.tool, it.by);
    assembly.suggestions.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_script_brings_its_interpreter_by_the_path_that_it_names() {
    let sysroot = script(Disk::merged(), "which.debianutils", "#! /bin/sh -e\necho\n")
        .link("etc/alternatives/which", "/usr/bin/which.debianutils")
        .link("usr/bin/which", "/etc/alternatives/which");
    let assembly = Ask::tools(&["which"]).assemble(&sysroot).unwrap();
    expect_shape(
        &assembly.rootfs,
        "/ d0755
        /bin l0777 -> usr/bin
        /etc d0755
        /etc/alternatives d0755
        /etc/alternatives/which l0777 -> /usr/bin/which.debianutils
        /lib l0777 -> usr/lib
        /lib64 l0777 -> usr/lib64
        /usr d0755
        /usr/bin d0755
        /usr/bin/dash f0755
        /usr/bin/sh l0777 -> dash
        /usr/bin/which l0777 -> /etc/alternatives/which
        /usr/bin/which.debianutils f0755
        /usr/lib d0755
        /usr/lib/libc.so.6 f0755
        /usr/lib64 d0755
        /usr/lib64/ld-linux-x86-64.so.2 f0755",
    );
    assert_eq!(assembly.tools, [path("/usr/bin/which")]);
}

/// An interpreter may be a script, up to five levels.
#[test]
fn scripts_run_by_scripts() {
    let chain = |length: usize| {
        let mut sysroot = script(Disk::merged(), "s1", "#!/bin/sh\n");
        for number in 2..=length {
            sysroot = script(sysroot, &format!("s{number}"), &format!("#!/usr/bin/s{}\n", number - 1));
        }
        sysroot
    };
    let rootfs = Ask::tools(&["s5"]).rootfs(&chain(5));
    assert!((1..=5).all(|number| has(&rootfs, &format!("/usr/bin/s{number}"))) && has(&rootfs, "/usr/bin/dash"));
    let error = Ask::tools(&["s6"]).error(&chain(6)).to_string();
    assert!(error.contains("`/usr/bin/s1` is a script again, the sixth in a row; Linux runs five"), "{error}");
    let circle = script(script(Disk::merged(), "a", "#!/usr/bin/b\n"), "b", "#!/usr/bin/a\n");
    assert!(Ask::tools(&["a"]).error(&circle).to_string().contains("the sixth in a row"));
}

#[test]
fn env_brings_what_it_runs() {
    let sysroot = || {
        Disk::merged()
            .elf("usr/local/bin/python3", tool().needs("libpy.so"))
            .elf("usr/bin/python3", tool())
            .elf("opt/bin/own", tool())
            .elf("usr/lib/libpy.so", library("libpy.so"))
    };
    for (line, brings) in [
        ("/usr/bin/env python3", "/usr/local/bin/python3 /usr/lib/libpy.so"),
        ("/usr/bin/env /usr/bin/python3", "/usr/bin/python3"),
        ("/usr/bin/env -S -i A=b python3 -u", "/usr/local/bin/python3"),
        ("/usr/bin/env -S PATH=/opt/bin own", "/opt/bin/own"),
    ] {
        let rootfs = Ask::tools(&["tool"]).rootfs(&script(sysroot(), "tool", &format!("#!{line}\n")));
        assert!(has(&rootfs, "/usr/bin/env"), "{line}");
        for path in brings.split(' ') {
            assert!(has(&rootfs, path), "{line}: {path}");
        }
    }
}

/// Each error names the remedy.
#[test]
fn what_cannot_run_is_told() {
    let sysroot = || {
        Disk::merged()
            .elf("usr/bin/foreign", tool().machine(machine("aarch64")))
            .bytes("usr/bin/data", b"x", 0o644)
            .bytes("usr/bin/text", b"x", 0o755)
    };
    for (text, expected) in [
        (
            "#!/bin/sh\r\n",
            "/usr/bin/tool begins with #!/bin/sh\n  it ends in a carriage return, which Linux takes for a part of the name\n  \
             help: convert its line ends: sed -i 's/\\r$//' /usr/bin/tool",
        ),
        ("#!/usr/bin/gone\n", "/usr/bin/tool begins with #!/usr/bin/gone\n  `/usr/bin/gone` is not in the sysroot"),
        (
            "#!bin/sh\n",
            "/usr/bin/tool begins with #!bin/sh\n  the interpreter is no absolute path, and would be looked for in the current directory",
        ),
        ("#!\n", "/usr/bin/tool begins with #!\n  it names no interpreter"),
        ("#!/usr/bin\n", "/usr/bin/tool begins with #!/usr/bin\n  `/usr/bin` is a directory"),
        ("#!/usr/bin/data\n", "/usr/bin/tool begins with #!/usr/bin/data\n  `/usr/bin/data` is not executable"),
        (
            "#!/usr/bin/foreign\n",
            "/usr/bin/tool begins with #!/usr/bin/foreign\n  `/usr/bin/foreign` is for aarch64, not for x86_64",
        ),
        (
            "#!/usr/bin/env gone-tool\n",
            "/usr/bin/tool begins with #!/usr/bin/env gone-tool\n  `gone-tool` is not in the PATH of the sysroot",
        ),
        ("#!/usr/bin/env\n", "/usr/bin/tool begins with #!/usr/bin/env\n  env is given no program"),
        (
            "#!/usr/bin/env a/b\n",
            "/usr/bin/tool begins with #!/usr/bin/env a/b\n  `a/b` is no absolute path, and would be looked for in the current directory",
        ),
    ] {
        let error = Ask::tools(&["tool"]).error(&script(sysroot(), "tool", text));
        assert_eq!(error.to_string(), format!("tool `tool` cannot be run\n  {expected}"), "{text}");
    }
    let error = Ask::tools(&["tool"]).error(&script(sysroot(), "tool", "#!/usr/bin/text\n"));
    assert_eq!(
        error.to_string(),
        "tool `tool` cannot be packed\n  /usr/bin/text: it is neither an ELF file nor a script"
    );
}

/// Commands of the sysroot that a shell script calls, without those that are packed.
#[test]
fn what_a_shell_script_calls_is_offered() {
    let sysroot = script(Disk::merged(), "own-cat", "#!/bin/sh\nown-zip -cd \"$@\" | own-tee x; absent; cat\n")
        .elf("usr/bin/own-zip", tool())
        .elf("usr/bin/own-tee", tool())
        .elf("usr/bin/cat", tool());
    let sysroot = script(sysroot, "other", "#!/usr/bin/env -S bash -e\nown-zip x\n").elf("usr/bin/bash", tool());
    let sysroot = script(sysroot, "odd-script", "#!/usr/bin/own-perl\ntee x\n").elf("usr/bin/own-perl", tool());
    let assembly = Ask::tools(&["own-cat", "cat", "other", "odd-script"]).assemble(&sysroot).unwrap();
    assert_eq!(
        suggested(&assembly),
        "own-tee by /usr/bin/own-cat, own-zip by /usr/bin/other, own-zip by /usr/bin/own-cat"
    );
    assert!(!has(&assembly.rootfs, "/usr/bin/own-zip"));
    let warning = suggestion_warning(&assembly.suggestions).unwrap();
    assert_eq!(
        warning.message,
        "`own-tee` (by `own-cat`) and `own-zip` (by `other`, `own-cat`) may be run, and are not packed"
    );
    assert_eq!(warning.help.as_deref(), Some("to pack them: --with own-tee,own-zip"));
}

/// A script that replaces itself by another program needs that program and its needs, at each level.
#[test]
fn what_a_shell_script_becomes_comes_along() {
    let sysroot = script(Disk::merged(), "own-cat", "#!/bin/sh\nexec own-zip -cd | own-tee x; sed y\n")
        .elf("usr/bin/sed", tool())
        .elf("usr/bin/own-zip", tool().needs("libzip.so"))
        .elf("usr/lib/libzip.so", library("libzip.so"))
        .elf("usr/bin/own-tee", tool());
    let sysroot = script(sysroot, "own-again", "#!/bin/sh\nexec own-cat; exec absent\n");
    let assembly = Ask::tools(&["own-again"]).assemble(&sysroot).unwrap();
    // Programs that every system has are packed too.
    for there in ["/usr/bin/sed", "/usr/bin/own-cat", "/usr/bin/own-zip", "/usr/lib/libzip.so"] {
        assert!(has(&assembly.rootfs, there), "{there}");
    }
    assert_eq!(suggested(&assembly), "own-tee by /usr/bin/own-cat");
    let bare = Ask::tools(&["own-again"]).runtime(Runtime::None).rootfs(&sysroot);
    assert!(has(&bare, "/usr/bin/dash") && !has(&bare, "/usr/bin/own-cat") && !has(&bare, "/usr/bin/sed"));
}

/// A container's entry point is a script of the project; if it is not executable, it is data.
#[test]
fn an_included_script_brings_what_it_becomes_and_what_every_system_has() {
    let sysroot = Disk::merged().elf("usr/bin/mkdir", tool()).elf("usr/bin/own-zip", tool());
    let text = b"#!/bin/sh\nmkdir -p /data\nexec own-zip\n";
    for (mode, brings) in [(0o755, true), (0o644, false)] {
        let project = Disk::empty().bytes("entry.sh", text, mode);
        let rootfs = Ask::nothing().include(project.at("entry.sh"), "/entry.sh").rootfs(&sysroot);
        assert_eq!((has(&rootfs, "/usr/bin/mkdir"), has(&rootfs, "/usr/bin/own-zip")), (brings, brings));
    }
}

/// A script of a rule without an interpreter is data; another script may read it.
#[test]
fn a_script_that_a_rule_takes_may_be_idle() {
    let sysroot = Disk::merged()
        .elf("usr/bin/tool", tool())
        .elf("usr/bin/lame", tool().needs("libgone.so"))
        .bytes("usr/lib/tool/runs", b"#!/bin/sh\nenv\n", 0o755)
        .bytes("usr/lib/tool/gone", b"#!/usr/bin/gone\n", 0o755)
        .bytes("usr/lib/tool/lame", b"#!/usr/bin/lame\n", 0o755)
        .bytes("usr/lib/tool/other", b"#!/usr/bin/gone\n", 0o755)
        .bytes("usr/lib/tool/module.py", b"#!/usr/bin/gone\n", 0o755)
        .bytes("usr/lib/tool/data", b"#!/usr/bin/gone\n", 0o644);
    let rules = "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/usr/bin/tool']\ntake = ['/usr/lib/tool']\n";
    let assembly = Ask::tools(&["tool"]).rules(rules).assemble(&sysroot).unwrap();
    for name in ["runs", "gone", "lame", "other", "module.py", "data"] {
        assert!(has(&assembly.rootfs, &format!("/usr/lib/tool/{name}")), "{name}");
    }
    assert!(has(&assembly.rootfs, "/usr/bin/sh") && !has(&assembly.rootfs, "/usr/bin/lame"));
    let said: Vec<_> = assembly.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "`/usr/lib/tool/gone` and 1 more (rule own: x, because of /usr/bin/tool) cannot be run: `/usr/bin/gone` is not in the sysroot",
            "`/usr/lib/tool/lame` (rule own: x, because of /usr/bin/tool) cannot be run: `/usr/bin/lame` lacks libgone.so in the sysroot",
        ]
    );
    assert_eq!(suggested(&assembly), "env by /usr/lib/tool/runs");
}

/// Files that a script sources are parts of it, wherever it searches for them.
#[test]
fn a_script_brings_the_files_that_it_reads() {
    let text = "#!/bin/sh\nhere=$(dirname \"$0\")\n. \"$here/../share/tool/common.sh\"\n. /usr/lib/tool/more.sh\n\
                . /etc/default/tool\n\"$here/tool-helper\" x\n. /usr/lib/tool/gone.sh\n";
    let sysroot = script(Disk::merged(), "tool", text)
        .bytes("usr/share/tool/common.sh", b"frob x\n. \"$here/../lib/tool/third.sh\"\n", 0o644)
        .bytes("usr/lib/tool/more.sh", b"own() { :; }\n", 0o644)
        .bytes("usr/lib/tool/third.sh", b"", 0o644)
        .bytes("etc/default/tool", b"", 0o644)
        .elf("usr/bin/tool-helper", tool())
        .elf("usr/bin/frob", tool());
    let assembly = Ask::tools(&["tool"]).assemble(&sysroot).unwrap();
    let parts = ["/usr/share/tool/common.sh", "/usr/lib/tool/more.sh", "/usr/lib/tool/third.sh"];
    for name in parts.into_iter().chain(["/usr/bin/tool-helper"]) {
        assert!(has(&assembly.rootfs, name), "{name}");
    }
    assert!(!has(&assembly.rootfs, "/etc/default/tool"), "the machine's own");
    assert_eq!(suggested(&assembly), "frob by /usr/bin/tool");
}

/// A command that a script calls by path is suggested by that path.
#[test]
fn commands_by_paths_are_offered_by_their_paths() {
    let sysroot = script(Disk::merged(), "tool", "#!/bin/sh\nD=/opt/x\n$D/run y\n").elf("opt/x/run", tool());
    let assembly = Ask::tools(&["tool"]).assemble(&sysroot).unwrap();
    assert_eq!(suggested(&assembly), "/opt/x/run by /usr/bin/tool");
    let help = suggestion_warning(&assembly.suggestions).unwrap().help.unwrap();
    assert_eq!(help, "to pack it: --with /opt/x/run");
}

/// The shell has `test` itself, and find(1) does not.
#[test]
fn built_in_commands_are_packed_for_the_programs_that_start_them() {
    let disk = || Disk::merged().elf("usr/bin/find", tool()).elf("usr/bin/test", tool()).elf("usr/bin/[", tool());
    for (text, test, bracket) in [
        ("#!/bin/sh\nfind . -exec test -e {} \\;\n", true, false),
        ("#!/bin/sh\nfind . -exec [ -e {} ] \\;\n", false, true),
        ("#!/bin/sh\nfind . -print; test -e x; [ -e x ]\n", false, false),
    ] {
        let rootfs = Ask::tools(&["tool"]).rootfs(&script(disk(), "tool", text));
        assert_eq!((has(&rootfs, "/usr/bin/test"), has(&rootfs, "/usr/bin/[")), (test, bracket), "{text}");
        assert!(has(&rootfs, "/usr/bin/find"));
    }
}

#[test]
fn commands_of_perl_and_python_are_offered() {
    let sysroot = script(Disk::merged(), "tool", "#!/usr/bin/perl\nsystem('sort', 'x');\nmy $x = 'env';\n")
        .elf("usr/bin/perl", tool())
        .elf("usr/bin/sort", tool());
    assert_eq!(suggested(&Ask::tools(&["tool"]).assemble(&sysroot).unwrap()), "sort by /usr/bin/tool");
}

#[test]
fn included_scripts_bring_what_runs_them() {
    let project = Disk::empty()
        .bytes("bin/start", b"#!/opt/own/run\n", 0o755)
        .bytes("bin/notes", b"#!/usr/bin/gone\n", 0o644)
        .elf("own/run", tool().needs("libx.so"));
    let sysroot = Disk::merged().elf("usr/lib/libx.so", library("libx.so"));
    let ask = Ask::nothing().include(project.at("bin"), "/srv/bin").include(project.at("own"), "/opt/own");
    let rootfs = ask.rootfs(&sysroot);
    assert!(has(&rootfs, "/usr/lib/libx.so") && has(&rootfs, "/srv/bin/start"));
    let error = Ask::nothing().include(project.at("bin/start"), "/srv/bin/start").error(&sysroot);
    assert_eq!(error.message(), "`/srv/bin/start` cannot be run");
    assert!(error.details()[1].starts_with("`/opt/own/run` is not in the sysroot"), "{error}");
}

/// As luarocks, whose interpreter becomes one of several, and whose name begins as that of Lua.
#[test]
fn a_script_of_lua_any_has_a_lua_and_its_own_package() {
    let status = "Package: luarocks\nStatus: install ok installed\nArchitecture: all\n";
    let list = "/usr/bin/luarocks\n/usr/share/lua/5.4/luarocks/core.lua\n";
    let sysroot = script(Disk::merged(), "luarocks", "#!/usr/bin/lua-any\n-- Lua-Versions: 5.4\n")
        .elf("usr/bin/lua-any", tool())
        .elf("usr/bin/lua5.4", tool())
        .bytes("usr/share/lua/5.4/luarocks/core.lua", b"x", 0o644)
        .bytes("usr/share/lua/5.1/other.lua", b"x", 0o644)
        .bytes("var/lib/dpkg/status", status.as_bytes(), 0o644)
        .bytes("var/lib/dpkg/info/luarocks.list", list.as_bytes(), 0o644);
    let rootfs = Ask::tools(&["luarocks"]).rootfs(&sysroot);
    assert!(has(&rootfs, "/usr/bin/lua5.4") && has(&rootfs, "/usr/share/lua/5.4/luarocks/core.lua"));
    assert!(!has(&rootfs, "/usr/share/lua/5.1"));
}

/// Pages are documentation: they are counted in a line about files that are left out.
#[test]
fn man_tells_of_the_pages_that_it_lacks() {
    let sysroot = Disk::merged().elf("usr/bin/man", tool()).bytes("usr/share/man/man1/ls.1.gz", b"x", 0o644);
    let assembly = Ask::tools(&["man"]).assemble(&sysroot).unwrap();
    assert!(!has(&assembly.rootfs, "/usr/share/man/man1/ls.1.gz"));
    let line = assembly.left_out.unwrap();
    assert!(line.contains("--include ") && line.ends_with(":/usr/share/man/man1"), "{line}");
}
