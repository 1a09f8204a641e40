//! `verify`: accepts outputs of this program, and refuses a changed one.

use std::fs;

use crate::project::Project;

#[test]
fn outputs_are_read_back_and_proved() {
    let folder = Project::empty();
    let outputs = ["--tar", "a.tar", "--tar", "a.tar.zst", "--dir", "a", "--oci-archive", "a.oci.tar"];
    let run = folder.run(&[["--tools-only", "--with", "true"].as_slice(), &outputs].concat());
    assert_eq!(run.code, 0, "{run:#?}");
    let run = folder.run(&["verify", "a.tar", "a.tar.zst", "a", "a.oci.tar"]);
    assert_eq!(run.code, 0, "{run:#?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines.len() == 4 && lines.iter().all(|line| line.ends_with(" programs resolve")), "{run:#?}");
    assert!(lines[3].starts_with("a.oci.tar@sha256:"), "{run:#?}");
    let json = folder.run(&["verify", "a.oci.tar", "--message-format", "json"]);
    assert!(json.stdout.starts_with("{\"reason\":\"rootfs-verified\","), "{json:#?}");
    assert!(json.stdout.contains("\"errors\":[]") && json.stdout.contains("\"lambda\":[]"), "{json:#?}");
}

#[test]
fn what_is_missing_or_tampered_with_fails() {
    let folder = Project::empty();
    let outputs = ["--dir", "a", "--oci-archive", "a.oci.tar"];
    let run = folder.run(&[["--tools-only", "--with", "true"].as_slice(), &outputs].concat());
    assert_eq!(run.code, 0, "{run:#?}");
    let libc = folder.files().into_iter().find(|path| path.ends_with("libc.so.6")).unwrap();
    fs::remove_file(folder.path().join(libc)).unwrap();
    let run = folder.run(&["verify", "a"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:#?}");
    assert!(run.stderr.contains("error: `libc.so.6` not found for "), "{run:#?}");
    assert!(run.stderr.contains("; if the target provides it: --allow-missing libc.so.6\n"), "{run:#?}");
    for (list, code) in [("libx.so,libc.so.6", 0), ("libc.*", 0), ("libx.so", 1), ("a/b", 2)] {
        assert_eq!(folder.run(&["verify", "a", "--allow-missing", list]).code, code, "{list}");
    }
    // A name from a hostile image is one word of the suggested command.
    let program = folder.files().into_iter().find(|path| path.ends_with("bin/true")).unwrap();
    let program = folder.path().join(program);
    let mut bytes = fs::read(&program).unwrap();
    let at = bytes.windows(10).position(|bytes| bytes == b"libc.so.6\0").unwrap();
    bytes[at..at + 9].copy_from_slice(b"l;rm x.so");
    fs::write(&program, bytes).unwrap();
    let run = folder.run(&["verify", "a"]);
    assert!(run.stderr.contains(" --allow-missing 'l;rm x.so'\n"), "{run:#?}");

    let archive = folder.path().join("a.oci.tar");
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    assert_eq!(folder.run(&["verify", "a.oci.tar"]).code, 1);
    folder.run(&["verify", "absent.tar"]).fails(
        1,
        snapbox::str![[r#"
error: cannot read `absent.tar`
  caused by: No such file or directory (os error 2)

"#]],
    );
}

#[test]
fn differences_are_printed_and_what_is_forbidden_fails() {
    let folder = Project::empty();
    for (tools, name) in [("true", "a.tar"), ("true,ls", "b.tar.gz")] {
        let run = folder.run(&["--tools-only", "--with", tools, "--tar", name]);
        assert_eq!(run.code, 0, "{run:#?}");
    }
    let run = folder.run(&["diff", "a.tar", "b.tar.gz"]);
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(run.stdout.starts_with("a.tar -> b.tar.gz\nsize ") && run.stdout.contains("/bin/ls  "), "{run:#?}");
    let run = folder.run(&["diff", "a.tar", "b.tar.gz", "--format", "markdown", "--fail-on", "grow:1%,setuid"]);
    assert!(run.code == 1 && run.stdout.starts_with("### Root filesystem: +"), "{run:#?}");
    assert!(run.stderr.contains("error: the size grew by "), "{run:#?}");
    let same = folder.run(&["diff", "a.tar", "a.tar", "--fail-on", "grow:0%,package,glibc,kernel"]);
    assert!(same.code == 0 && same.stdout.ends_with("nothing else differs\n"), "{same:#?}");
    let crates = folder.run(&["diff", "a.tar", "a.tar", "--fail-on", "crate"]);
    assert!(crates.code == 1 && crates.stderr.contains("neither `a.tar` nor `a.tar` has a list"), "{crates:#?}");
    assert_eq!(folder.run(&["diff", "a.tar", "a.tar", "--fail-on", "nonsense"]).code, 2);
}

#[test]
fn terminal_commands_in_locks_are_shown_and_not_obeyed() {
    let folder = Project::empty();
    let lock = |name: &str, package: &str| {
        let text = format!(
            "version = 1\n[[sysroot]]\ndistribution = \"debian\"\nsuite = \"b\\u001b[2J\"\narchitecture = \"arm64\"\n\
             [[sysroot.package]]\nname = \"{package}\"\nversion = \"1\\u001b[2J\"\nsha256 = \"\"\n"
        );
        fs::write(folder.path().join(name), text).unwrap();
    };
    lock("a.lock", "old");
    lock("b.lock", "new\\u001b[2J");
    let run = folder.run(&["diff", "a.lock", "b.lock", "--fail-on", "package"]);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(!run.stdout.contains('\u{1b}') && run.stdout.matches("\\u{1b}[2J").count() == 4, "{run:#?}");
    assert!(run.stderr.contains("\n  new\\u{1b}[2J 1\\u{1b}[2J\n"), "{run:#?}");
}

/// A limit is not kept by an image that is not compared.
#[test]
fn a_platform_without_another_side_fails_a_limit() {
    let folder = Project::empty();
    let section = |architecture: &str| {
        format!("[[sysroot]]\ndistribution = \"debian\"\nsuite = \"bookworm\"\narchitecture = \"{architecture}\"\n")
    };
    fs::write(folder.path().join("a.lock"), format!("version = 1\n{}", section("arm64"))).unwrap();
    fs::write(folder.path().join("b.lock"), format!("version = 1\n{}{}", section("arm64"), section("amd64"))).unwrap();
    let said = "`a.lock` has nothing for debian:bookworm amd64";
    let free = folder.run(&["diff", "a.lock", "b.lock"]);
    assert!(free.code == 0 && free.stderr.contains(&format!("warning: {said}")), "{free:#?}");
    let limited = folder.run(&["diff", "a.lock", "b.lock", "--fail-on", "package"]);
    assert!(limited.code == 1 && limited.stderr.contains(said), "{limited:#?}");
}

#[test]
fn a_report_is_one_page_and_why_tells_the_size_and_the_layer() {
    let folder = Project::empty();
    let run = folder.run(&["report", "--tools-only", "--with", "true", "--output", "x.html"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "x.html\n"), "{run:#?}");
    let page = fs::read_to_string(folder.path().join("x.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    let run = folder.run(&["why", "--tools-only", "--with", "true", "/usr/bin/true"]);
    assert!(run.stdout.contains("\n    size    ") && run.stdout.contains("\n    layer   "), "{run:#?}");
    let run = folder.run(&["why", "--tools-only", "--with", "true", "/usr/bin"]);
    assert!(run.stdout.contains(" in 1 file\n"), "{run:#?}");
}
