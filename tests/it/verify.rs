//! `verify`: outputs of this program are sound, and one that was tampered with is not.

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
