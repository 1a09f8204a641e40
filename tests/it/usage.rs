//! Usage errors: exit code 2, one clear error, and nothing written.

use snapbox::str;

use crate::project::Project;

#[test]
fn help_is_printed_for_both_ways_to_call() {
    let folder = Project::empty();
    let help = folder.run(&["-h"]);
    assert_eq!(help.code, 0);
    snapbox::assert_data_eq!(help.stdout, snapbox::file!["help.txt"].raw());
    assert_eq!(folder.run(&["help"]).code, 0);
}

#[test]
fn promised_flags_are_not_taken_for_typing_errors() {
    let folder = Project::empty();
    for flag in ["--cpio", "--squashfs", "--cpio=x"] {
        let run = folder.run(&[flag, "x"]);
        let name = flag.split('=').next().unwrap();
        assert_eq!(run.code, 2);
        assert!(run.stderr.starts_with(&format!("error: `{name}` is not supported yet\n")), "{run:#?}");
    }
    assert!(folder.files().is_empty());
}

#[test]
fn options_before_a_command_are_not_lost() {
    Project::empty().run(&["--with", "bash", "tree"]).fails(
        2,
        str![[r#"
error: `--with` must come after `tree`

Usage: cargo rootfs [OPTIONS]
       cargo rootfs <COMMAND>

For more information, try '--help'.

"#]],
    );
    Project::empty().run(&["--with", "bash", "man"]).fails(
        2,
        str![[r#"
error: `--with` means nothing to `man`

Usage: cargo rootfs [OPTIONS]
       cargo rootfs <COMMAND>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn what_builds_nothing_takes_no_options_of_a_build() {
    Project::empty().run(&["--tools-only", "--bin", "x"]).fails(
        2,
        str![[r#"
error: the argument '--tools-only' cannot be used with '--bin <NAME>'

Usage: cargo rootfs [OPTIONS]
       cargo rootfs <COMMAND>

For more information, try '--help'.

"#]],
    );
    assert_eq!(Project::empty().run(&["--binary", "/bin/true", "--release"]).code, 2);
    assert_eq!(Project::empty().run(&["--binary", "/bin/true", "--tools-only"]).code, 2);
}

#[test]
fn without_a_project_an_output_must_be_named() {
    Project::empty().run(&["--tools-only", "--with", "true"]).fails(
        2,
        str![[r#"
error: the rootfs has no destination: there is no project to put it beside
  help: name an output: --tar PATH, --dir PATH, --docker-import NAME or --oci-archive FILE

"#]],
    );
    assert_eq!(Project::empty().run(&["--binary", "/bin/true"]).code, 2);
}

#[test]
fn a_compressed_archive_is_not_written_uncompressed() {
    for end in ["bz2", "lz4", "txz", "xz"] {
        let folder = Project::empty();
        let run = folder.run(&["--tools-only", "--tar", &format!("x.tar.{end}")]);
        assert_eq!(run.code, 2, "{run:#?}");
        assert!(folder.files().is_empty());
    }
    let short = Project::empty().run(&["--tools-only", "--tar", "x.txz"]);
    assert!(short.stderr.contains("write `x.tar`"), "{short:#?}");
    Project::empty().run(&["--tools-only", "--tar", "x.tar.xz"]).fails(
        2,
        str![[r#"
error: a compressed archive, `x.tar.xz`, is not supported yet
  help: write `x.tar`, and compress that

"#]],
    );
}

#[test]
fn standard_output_carries_one_thing() {
    let folder = Project::empty();
    let json = folder.run(&["--tools-only", "--tar", "-", "--message-format", "json"]);
    assert_eq!(json.code, 2);
    assert!(json.stdout.starts_with("{\"reason\":\"rootfs-error\","), "{json:#?}");
    folder.run(&["--tools-only", "--tar", "-", "--tar", "-"]).fails(
        2,
        str![[r#"
error: `--tar -` is named twice

"#]],
    );
    for (options, both) in [
        (["--tar", "-", "--sbom", "spdx=-"], "`--tar -` and `--sbom spdx=-`"),
        (["--sbom", "spdx=-", "--sbom", "cyclonedx=/dev/stdout"], "`--sbom spdx=-` and `--sbom cyclonedx=/dev/stdout`"),
        (["--sbom", "spdx=-", "--checksums", "/dev/stdout"], "`--sbom spdx=-` and `--checksums /dev/stdout`"),
        (["--sbom", "spdx=-", "--message-format", "json"], "`--sbom spdx=-` and `--message-format json`"),
    ] {
        let run = folder.run(&[&["--tools-only", "--with", "true", "--oci-archive", "x"], &options[..]].concat());
        let expected = format!("error: {both} both claim standard output\n");
        assert!(run.code == 2 && run.stderr.contains(&expected), "{run:#?}");
    }
    let targets = ["--target", "x86_64-unknown-linux-gnu", "--target", "aarch64-unknown-linux-gnu"];
    // One of the two may have no sysroot, but this error comes first.
    let several = [["--tools-only", "--tar", "-"].as_slice(), &targets].concat();
    folder.run(&several).fails(
        2,
        str![[r#"
error: `--tar -` is named for both x86_64-unknown-linux-gnu and aarch64-unknown-linux-gnu
  help: write a file for each: --tar '{triple}.tar'

"#]],
    );
}

#[test]
fn no_output_overwrites_another() {
    let folder = Project::empty();
    let targets = [
        "--tools-only",
        "--sysroot",
        "./",
        "--target",
        "x86_64-unknown-linux-gnu",
        "--target",
        "aarch64-unknown-linux-gnu",
    ];
    folder.run(&[targets.as_slice(), &["--tar", "a.tar"]].concat()).fails(
        2,
        str![[r#"
error: the output `a.tar` is named for both x86_64-unknown-linux-gnu and aarch64-unknown-linux-gnu
  help: put {triple} or {arch} into the name

"#]],
    );
    folder.run(&["--tools-only", "--tar", "a.tar", "--tar", "./b/../a.tar"]).fails(
        2,
        str![[r#"
error: the output `./b/../a.tar` is named twice

"#]],
    );
    folder.run(&["--tools-only", "--docker-import", "app", "--docker-import", "app:latest"]).fails(
        2,
        str![[r#"
error: the image `app:latest` is named twice

"#]],
    );
    folder.run(&["--tools-only", "--dir", "out", "--tar", "out/a.tar"]).fails(
        2,
        str![[r#"
error: output `[ROOT]/out/a.tar` is inside output `[ROOT]/out`

"#]],
    );
    assert!(folder.files().is_empty());
}

#[test]
fn placeholders_are_known_ones_with_a_value() {
    let folder = Project::empty();
    folder.run(&["--tools-only", "--tar", "{name}.tar"]).fails(
        2,
        str![[r#"
error: `{name}` in `{name}.tar` is not known
  help: a name may hold {package}, {version}, {triple} and {arch}

"#]],
    );
    folder.run(&["--tools-only", "--tar", "{package}.tar"]).fails(
        2,
        str![[r#"
error: `{package}` in `{package}.tar` has no value here: no package is built

"#]],
    );
    folder.run(&["--tools-only", "--tar", "{arch.tar"]).fails(
        2,
        str![[r#"
error: the `{` in `{arch.tar` is not closed

"#]],
    );
}

#[test]
fn names_of_images_are_checked_before_the_build() {
    let folder = Project::empty();
    folder.run(&["--tools-only", "--docker-import", "MyApp:1"]).fails(
        2,
        str![[r#"
error: `MyApp:1` is not a name for an image: it must be lower-case
  help: myapp:1

"#]],
    );
    for name in ["app:", "app:a/b", "-app", "a//b", "app:.x", "app "] {
        assert_eq!(folder.run(&["--tools-only", "--docker-import", name]).code, 2, "{name}");
    }
}

#[test]
fn destinations_stay_inside() {
    let folder = Project::empty();
    folder.run(&["--tools-only", "--include", "a:/../b"]).fails(2, str![[r#"
error: invalid value 'a:/../b' for '--include <SRC:DST[:MODE[:UID:GID]]>': `/../b` holds `..`, which may lead out of the rootfs

For more information, try '--help'.

"#]]);
    folder.run(&["--tools-only", "--include", "a:b"]).fails(
        2,
        str![[r#"
error: invalid value 'a:b' for '--include <SRC:DST[:MODE[:UID:GID]]>': `b` is not an absolute path inside the rootfs

For more information, try '--help'.

"#]],
    );
    folder.run(&["--install-dir", "/opt/../../bin"]).fails(2, str![[r#"
error: invalid value '/opt/../../bin' for '--install-dir <DIR>': `/opt/../../bin` holds `..`, which may lead out of the rootfs

For more information, try '--help'.

"#]]);
}

#[test]
fn the_epoch_is_a_number() {
    let run = Project::empty().run_in(".", &["--tools-only", "--tar", "x.tar"], &[("SOURCE_DATE_EPOCH", "yesterday")]);
    run.fails(
        2,
        str![[r#"
error: SOURCE_DATE_EPOCH is `yesterday`, which is not a time in seconds since 1970
  help: export SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct)

"#]],
    );
}

#[test]
fn sysroots_are_folders_or_suites() {
    let folder = Project::empty();
    folder.run(&["--tools-only", "--sysroot", "arm64", "--tar", "x.tar"]).fails(
        2,
        str![[r#"
error: `arm64` is not a sysroot: a directory is written with a slash
  help: --sysroot ./arm64

"#]],
    );
    folder.run(&["--tools-only", "--sysroot", "fedora:41", "--tar", "x.tar"]).fails(
        2,
        str![[r#"
error: `fedora:41` is not a sysroot: the distribution `fedora` is not known
  known are debian and ubuntu
  help: extract its packages to a directory, and pass --sysroot DIR

"#]],
    );
    let absent = folder.run(&["--tools-only", "--with", "ls", "--sysroot", "./absent", "--tar", "x.tar"]);
    absent.fails(
        1,
        str![[r#"
error: cannot open the sysroot `./absent`
  caused by: No such file or directory (os error 2)

"#]],
    );
    assert!(folder.files().is_empty());
}

#[test]
fn not_a_project() {
    Project::empty().run(&[]).fails(
        2,
        str![[r#"
error: `[ROOT]` is not in a Cargo project: there is no Cargo.toml in it or above
  help: name one with `--manifest-path`, a prebuilt file with `--binary PATH`, or take only tools with `--tools-only`

"#]],
    );
    Project::empty().run(&["--manifest-path", "absent/Cargo.toml"]).fails(
        2,
        str![[r#"
error: `--manifest-path absent/Cargo.toml` names no file

"#]],
    );
}

#[test]
fn nothing_to_package() {
    let folder = Project::empty();
    folder.run(&["--tools-only", "--tar", "x.tar"]).fails(
        2,
        str![[r#"
error: there is nothing to package: no tool, no library, no file, no template
  help: name tools: --tools-only --with bash,ls

"#]],
    );
    assert!(folder.files().is_empty());
}

#[test]
fn other_systems_have_no_rootfs() {
    Project::empty().run(&["--tools-only", "--target", "x86_64-pc-windows-msvc", "--tar", "x"]).fails(
        2,
        str![[r#"
error: target `x86_64-pc-windows-msvc` is not one that a rootfs can be made for
  it does not name Linux

"#]],
    );
}

#[test]
fn completions_and_manual_are_made_from_the_same_definitions() {
    let folder = Project::empty();
    for shell in ["bash", "zsh", "fish"] {
        let run = folder.run(&["completions", shell]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.contains("docker-import"), "{shell}");
        assert!(!run.stdout.contains("squashfs"), "{shell}");
    }
    let manual = folder.run(&["man"]);
    assert!(manual.stdout.contains(".TH CARGO-ROOTFS 1"), "{manual:#?}");
    assert!(manual.stdout.contains("SOURCE_DATE_EPOCH"), "{manual:#?}");
    assert!(folder.run(&["man", "tree"]).stdout.contains(".TH CARGO-ROOTFS-TREE 1"));
    folder.run(&["man", "nothing"]).fails(
        2,
        str![[r#"
error: `nothing` is neither a command nor a topic of cargo rootfs
  help: the topics are quick-start, tools, targets, images, debugging, configuration, build-script, templates, pipelines, reproducible, security-updates, limits, questions

"#]],
    );
}
