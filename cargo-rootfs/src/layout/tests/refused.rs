//! Requests that cannot be satisfied: each has an error with the reason.

use super::disk::{Ask, Disk, library, tool};
use crate::elf::fixture::{Fixture, machine};
use crate::error::Error;

fn said(error: &Error, sysroot: &Disk) -> String {
    let root = sysroot.root().canonicalize_utf8().unwrap();
    error.to_string().replace(root.as_str(), "ROOT")
}

#[test]
fn an_unknown_tool_comes_with_the_one_that_was_meant() {
    let sysroot = Disk::merged().elf("usr/bin/rsync", tool()).elf("usr/sbin/rsyncd", tool());
    let error = Ask::tools(&["rsnyc", "sh"]).error(&sysroot);
    let text = said(&error, &sysroot);
    assert_eq!(text, "tool `rsnyc` not found in the sysroot `ROOT`\n  help: did you mean `rsync`?");
    assert_eq!(error.exit_code(), 1);
}

/// An alternative after its package was removed.
#[test]
fn a_tool_that_is_a_link_to_nothing_is_told_with_where_it_leads() {
    let sysroot = Disk::merged()
        .link("usr/bin/editor", "/etc/alternatives/editor")
        .link("etc/alternatives/editor", "/usr/bin/vim.basic");
    for tool in ["editor", "/bin/editor"] {
        let text = said(&Ask::tools(&[tool]).error(&sysroot), &sysroot);
        let (first, second) = text.split_once('\n').unwrap();
        assert_eq!(first, format!("tool `{tool}` not found in the sysroot `ROOT`"));
        let why = "bin/editor is a link that leads to /usr/bin/vim.basic, which is not there";
        assert!(second.lines().next().unwrap().ends_with(why), "{text}");
    }
}

/// All errors of all tools together.
#[test]
fn every_tool_that_is_wrong_is_told() {
    let sysroot = Disk::merged()
        .bytes("usr/bin/script", b"#!/bin/gone\necho\n", 0o755)
        .bytes("usr/bin/text", b"hello\0", 0o755)
        .bytes("usr/bin/half", &tool().build()[..90], 0o755)
        .bytes("usr/bin/data", b"not executable", 0o644)
        .dir("usr/bin/folder")
        .link("usr/bin/loop", "loop")
        .fifo("usr/bin/fifo");
    let error =
        Ask::tools(&["script", "text", "half", "data", "/usr/bin/folder", "/usr/bin/loop", "/usr/bin/fifo", "", "a/b"])
            .error(&sysroot);
    let messages: Vec<_> = error.each().map(|it| said(&Error::failed(it.message()), &sysroot)).collect();
    assert_eq!(
        messages,
        [
            "tool `data` cannot be packed",
            "tool `/usr/bin/folder` is a directory",
            "tool `/usr/bin/loop` leads through too many symbolic links",
            "tool `/usr/bin/fifo` is a FIFO",
            "--with was given an empty name",
            "tool `a/b` is neither a name nor an absolute path",
            // Found tools are inspected after all look-ups.
            "tool `script` cannot be run",
            "tool `text` cannot be packed",
            "tool `half` cannot be packed",
        ]
    );
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_tool_of_another_architecture_is_told_with_both() {
    let sysroot = Disk::merged().elf("usr/bin/foreign", Fixture::library().machine(machine("aarch64")));
    let error = Ask::tools(&["foreign"]).error(&sysroot);
    assert_eq!(error.message(), "`foreign` is for aarch64, not for x86_64");
    assert!(error.help_line().unwrap().contains("--sysroot"), "{error}");
}

#[test]
fn a_binary_of_another_architecture_is_told_with_both() {
    let project = Disk::empty().elf("app", Fixture::library().machine(machine("riscv64gc")));
    let error = Ask::nothing().executable(project.at("app")).error(&Disk::merged());
    assert_eq!(error.message(), "`app` is for riscv64gc, not for x86_64");
}

/// Every missing library once, with all objects that need it; those with the same search places are grouped.
#[test]
fn missing_libraries_are_all_told() {
    let sysroot = Disk::merged()
        .elf("usr/bin/one", tool().needs("libgone.so.1").needs("libhalf.so").runpath("/opt/one"))
        .elf("usr/bin/two", tool().needs("libgone.so.1").needs("libhalf.so"))
        .elf("usr/bin/three", tool().needs("libgone.so.1"))
        .elf("usr/lib/libhalf.so", library("libhalf.so").needs("libalso.so"));
    let error = Ask::tools(&["one", "two", "three"]).error(&sysroot);
    let told: Vec<String> = error.each().map(|it| format!("{}\n{}", it.message(), it.details().join("\n"))).collect();
    let gone = "`libgone.so.1` not found for x86_64\n\
                needed by /usr/bin/one\n\
                tried  RUNPATH     /opt/one\n       default     /lib, /usr/lib\n\
                needed by /usr/bin/two\n          /usr/bin/three\n\
                tried  default     /lib, /usr/lib";
    let also = "`libalso.so` not found for x86_64\nneeded by /lib/libhalf.so\ntried  default     /lib, /usr/lib";
    assert_eq!(told, [gone, also]);
    assert!(error.each().all(|it| it.help_line().is_some()));
}

/// An invalid library is reported once too, separate from a missing one.
#[test]
fn a_library_that_is_no_good_is_told_once() {
    let sysroot = Disk::merged()
        .elf("usr/bin/one", tool().needs("libbad.so"))
        .elf("usr/bin/two", tool().needs("libbad.so"))
        .elf("usr/bin/three", tool().needs("libbad.so").runpath("/opt"))
        .bytes("usr/lib/libbad.so", &[b'x'; 80], 0o644)
        .bytes("opt/libbad.so", &[b'x'; 80], 0o644);
    let error = Ask::tools(&["one", "two", "three"]).error(&sysroot);
    let told: Vec<_> = error.each().map(|it| (it.message().to_owned(), it.details().join("\n"))).collect();
    let bad = |at: &str, users: &str| {
        let message = format!("`libbad.so` cannot be loaded for x86_64: `{at}`: invalid ELF header");
        (message, format!("needed by {users}"))
    };
    let expected =
        [bad("/lib/libbad.so", "/usr/bin/one\n          /usr/bin/two"), bad("/opt/libbad.so", "/usr/bin/three")];
    assert_eq!(told, expected);
}

#[test]
fn a_missing_interpreter_is_told() {
    let sysroot = Disk::merged().elf("usr/bin/odd", Fixture::program().interpreter("/lib/ld-odd.so"));
    assert_eq!(Ask::tools(&["odd"]).error(&sysroot).message(), "`/lib/ld-odd.so` not found for x86_64");
}

#[test]
fn a_missing_library_of_with_lib_is_told() {
    let error = Ask::nothing().library("libgone.so").error(&Disk::merged());
    assert_eq!(error.message(), "`libgone.so` not found for x86_64");
    let error = Ask::nothing().library("libgone.so").error(&Disk::empty());
    assert!(error.message().contains("no dynamic loader for x86_64"), "{error}");
}

/// A tool may not be taken from the build tree.
#[test]
fn a_tool_of_the_build_tree_is_refused() {
    let project = Disk::empty().elf("target/tool", tool());
    let at = project.at("target/tool").canonicalize_utf8().unwrap();
    let mut ask = Ask::tools(&[at.as_str()]).build_tree(project.root());
    ask.target = crate::target::Target::host();
    let error =
        super::super::assemble("/".into(), &ask.target, &ask.content, &ask.artifacts).map_err(Error::from).unwrap_err();
    assert!(error.message().contains("lies in the project's own build tree"), "{error}");
    assert!(error.help_line().unwrap().starts_with("take it as a file: --include"), "{error}");
}

#[test]
fn two_executables_of_one_name_are_refused() {
    let project = Disk::empty().elf("a/app", tool()).elf("b/app", tool());
    let error = Ask::nothing().executable(project.at("a/app")).executable(project.at("b/app")).error(&Disk::merged());
    assert_eq!(error.message(), "two executables would be `/usr/local/bin/app`");
}

/// Two libraries with the same soname, which one cache cannot distinguish.
#[test]
fn two_libraries_of_one_soname_are_refused() {
    let project = Disk::empty().elf("app", tool().needs("libx.so")).elf("libs/libx.so", library("libx.so"));
    let sysroot = Disk::merged()
        .elf("usr/bin/tool", tool().needs("libx.so"))
        .bytes("etc/ld.so.conf", b"/opt/x\n", 0o644)
        .elf("opt/x/libx.so", library("libx.so"));
    let ask =
        Ask::tools(&["tool"]).executable(project.at("app")).library_dir(project.at("libs")).build_tree(project.root());
    let error = ask.error(&sysroot);
    assert_eq!(error.message(), "two libraries are called `libx.so`");
    assert_eq!(error.details(), ["/usr/local/lib/libx.so and /opt/x/libx.so"]);
}

/// The project's library is found by a cache, which would give it to the tool too, in place of the system's.
#[test]
fn a_library_that_would_take_the_place_of_anothers_is_refused() {
    let project = Disk::empty().elf("app", tool().needs("libx.so")).elf("libs/libx.so", library("libx.so"));
    let sysroot =
        Disk::merged().elf("usr/bin/tool", tool().needs("libx.so")).elf("usr/lib/libx.so", library("libx.so"));
    let ask =
        Ask::tools(&["tool"]).executable(project.at("app")).library_dir(project.at("libs")).build_tree(project.root());
    let error = ask.error(&sysroot);
    assert_eq!(error.message(), "`/usr/bin/tool` would be given other libraries in the rootfs");
    assert!(error.details()[0].contains("libx.so would be /usr/local/lib/libx.so [ld.so.cache]"), "{error}");
}

#[test]
fn a_library_of_another_architecture_is_passed_over_and_said() {
    let sysroot = Disk::merged()
        .elf("usr/bin/tool", tool().needs("libx.so").runpath("/opt/x"))
        .elf("opt/x/libx.so", library("libx.so").machine(machine("aarch64")));
    let error = Ask::tools(&["tool"]).error(&sysroot);
    assert!(error.to_string().contains("/opt/x (it is for aarch64 (64-bit, little-endian))"), "{error}");
    let sysroot = sysroot.elf("usr/lib/libx.so", library("libx.so"));
    let assembly = Ask::tools(&["tool"]).assemble(&sysroot).unwrap();
    assert_eq!(assembly.warnings[0].message, "passed over `/opt/x/libx.so`: it is for aarch64, not for x86_64");
}

#[test]
fn a_broken_library_is_told_with_why() {
    let sysroot = Disk::merged().elf("usr/bin/tool", tool().needs("libx.so")).bytes(
        "usr/lib/libx.so",
        &library("libx.so").build()[..100],
        0o644,
    );
    assert_eq!(
        Ask::tools(&["tool"]).error(&sysroot).message(),
        "`libx.so` cannot be loaded for x86_64: `/lib/libx.so`: program headers past the end of the file"
    );
}

#[test]
fn a_sysroot_that_is_not_there_is_told() {
    let ask = Ask::tools(&["sh"]);
    let error = super::super::assemble("/no/such/sysroot".into(), &ask.target, &ask.content, &ask.artifacts)
        .map_err(Error::from)
        .unwrap_err();
    assert_eq!(error.message(), "cannot open the sysroot `/no/such/sysroot`");
}

/// The name of an unknown template is an error, and not a panic.
#[test]
fn an_unknown_template_is_told() {
    let error = Ask::tools(&["sh"]).template("bsae").error(&Disk::merged());
    assert!(error.to_string().contains("base"), "{error}");
}

/// The shortages are all missing things; without shortages, no other sysroot would help.
#[test]
fn shortages_are_told_apart_from_other_faults() {
    use super::super::{Incomplete, Refusal, Shortage, assemble};
    let refusal = |ask: &Ask, sysroot: &Disk| {
        assemble(sysroot.root(), &ask.target, &ask.content, &ask.artifacts).map(|_| ()).unwrap_err()
    };
    let sysroot = Disk::merged().elf("usr/bin/app", tool().needs("libgone.so.1").needs("libbad.so"));
    let sysroot = sysroot.bytes("usr/lib/libbad.so", b"\x7fELF", 0o755);
    let Refusal::Incomplete(Incomplete { shortages, report }) = refusal(&Ask::tools(&["app", "nope"]), &sysroot) else {
        panic!("a missing tool and a missing library are shortages");
    };
    let expected = [Shortage::Tool("nope".to_owned()), Shortage::Library("libgone.so.1".to_owned())];
    assert!(shortages.iter().eq(&expected), "{shortages:?}");
    assert_eq!(report.each().count(), 3, "a library that cannot be loaded is reported, and is no shortage: {report}");
    let failed = refusal(&Ask::tools(&["/usr/bin"]), &sysroot);
    assert!(matches!(failed, Refusal::Failed(_)), "{failed:?}");
}
