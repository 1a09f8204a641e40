//! `--hwcaps`: libraries for particular hardware, from a sysroot with this machine's own libc in such a directory.

use snapbox::str;

use crate::project::Project;

/// A sysroot `root` with `true`, and a second libc for x86-64-v3; `None` on other architectures.
fn sysroot() -> Option<Project> {
    let folder = Project::empty();
    let made = folder.run(&["--tools-only", "--template", "none", "--with", "true", "--dir", "root"]);
    assert_eq!(made.code, 0, "{made:#?}");
    let libc = folder.files().into_iter().find(|file| file.ends_with("x86_64-linux-gnu/libc.so.6"))?;
    let libc = folder.path().join(libc);
    let variants = libc.parent().unwrap().join("glibc-hwcaps/x86-64-v3");
    std::fs::create_dir_all(&variants).unwrap();
    std::fs::copy(&libc, variants.join("libc.so.6")).unwrap();
    Some(folder)
}

const VARIANT: &str = "/glibc-hwcaps/x86-64-v3/libc.so.6";

#[test]
fn variants_come_when_they_are_asked_for() {
    let Some(folder) = sysroot() else { return };
    let tools = ["--tools-only", "--template", "none", "--sysroot", "./root", "--with", "true"];
    let written = |hwcaps: &[&str]| {
        let run = folder.run(&[&tools[..], &["--dir", "out"], hwcaps].concat());
        assert_eq!(run.code, 0, "{run:#?}");
        folder.files().iter().any(|file| file.starts_with("out") && file.to_str().unwrap().ends_with(VARIANT))
    };
    assert!(!written(&[]));
    assert!(written(&["--hwcaps", "all"]));
    assert!(!written(&["--hwcaps", "none"]));

    let why = folder.run(&[&["why"], &tools[..], &["-q", "--hwcaps", "all", "libc.so.6"]].concat());
    assert!(why.stdout.contains("    needed on x86-64-v3 by /usr/bin/true\n        --with true\n"), "{why:#?}");
    let absent = folder.run(&[&["why"], &tools[..], &["-q", &format!("/lib/x86_64-linux-gnu{VARIANT}")]].concat());
    assert_eq!(absent.code, 1, "{absent:#?}");
}

#[test]
fn trees_show_variants_when_they_are_asked_for() {
    let Some(folder) = sysroot() else { return };
    let tree = |more: &[&str]| folder.run(&[&["tree", "--sysroot", "./root", "/bin/true"], more].concat());
    assert!(!tree(&[]).stdout.contains("hwcaps"));
    let lines = tree(&["--hwcaps", "all"]).stdout;
    let line = lines.lines().find(|line| line.starts_with("    hwcaps x86-64-v3: libc.so.6 => ")).unwrap();
    assert!(line.contains(VARIANT), "{lines}");
    let json = tree(&["--hwcaps=all", "--message-format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["hwcaps"][0]["hwcaps"], "x86-64-v3");
    assert!(json["objects"][0]["path"].as_str().is_some_and(|path| !path.contains("hwcaps")));
}

#[test]
fn variants_are_all_or_none() {
    Project::empty().run(&["--tools-only", "--tar", "x.tar", "--hwcaps", "x86-64-v3"]).fails(
        2,
        str![[r#"
error: invalid value 'x86-64-v3' for '--hwcaps <VARIANTS>'
  [possible values: none, all]

For more information, try '--help'.

"#]],
    );
    Project::app("[package.metadata.rootfs]\nhwcaps = true\n").run(&[]).fails(
        2,
        str![[r#"
error: `package.metadata.rootfs.hwcaps` in `[ROOT]/Cargo.toml` is a boolean, and must be a string

"#]],
    );
}
