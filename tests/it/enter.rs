//! `run` and `shell`: errors before anything is made, and a command's surroundings.
//!
//! `cargo xtask e2e` tests namespaces, with other users, signals and terminals.

use snapbox::str;

use crate::project::Project;

#[test]
fn a_command_that_is_not_there_is_told_with_the_exit_code_of_shells() {
    let folder = Project::empty();
    folder.run(&["run", "-q", "--tools-only", "--with", "true", "--", "ls", "-l"]).fails(
        127,
        str![[r#"
error: `ls` is not in the rootfs
  help: add it: --with ls

"#]],
    );
    folder.run(&["run", "-q", "--tools-only", "--with", "true", "--", "--version"]).fails(
        127,
        str![[r#"
error: `--version` is not in the rootfs
  help: the command comes first: `cargo rootfs run -- COMMAND ARGUMENTS`

"#]],
    );
    folder.run(&["run", "-q", "--tools-only", "--with", "true", "--", "/etc/passwd"]).fails(
        126,
        str![[r#"
error: `/etc/passwd` is not executable

"#]],
    );
    folder.run(&["shell", "-q", "--tools-only", "--with", "true"]).fails(
        127,
        str![[r#"
error: the rootfs has no shell, neither `bash` nor `sh`
  help: add one: --with bash

"#]],
    );
}

#[test]
fn what_an_image_would_not_start_is_not_guessed() {
    let workspace = Project::workspace("");
    workspace.run(&["run", "-q", "-p", "app", "--bins"]).fails(
        2,
        str![[r#"
error: no program to run is chosen: there are several binaries, or none
  help: name it: `cargo rootfs run ... -- /usr/local/bin/admin`

"#]],
    );
}

#[test]
fn one_rootfs_is_entered() {
    let targets = ["--target", "x86_64-unknown-linux-gnu", "--target", "aarch64-unknown-linux-gnu"];
    Project::empty().run(&[["shell", "--tools-only", "--with", "sh"].as_slice(), &targets].concat()).fails(
        2,
        str![[r#"
error: one rootfs is entered at a time
  the targets are x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu
  help: choose one with `--target x86_64-unknown-linux-gnu`

"#]],
    );
}

#[test]
fn standard_output_is_the_commands() {
    let run = Project::empty().run(&["run", "--tools-only", "--with", "true", "--message-format", "json"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("the command and `--message-format json` both claim standard output"), "{run:#?}");
}

#[test]
fn binds_are_looked_at_before_the_build() {
    // A build would fail.
    let app = Project::app("").file("src/main.rs", "nonsense");
    app.run(&["run", "--bind", "absent", "--bind", "none:/x:ro", "--bind", "/"]).fails(
        2,
        str![[r#"
error: cannot find `absent`
  caused by: No such file or directory (os error 2)
error: cannot find `none`
  caused by: No such file or directory (os error 2)
error: `/` would hide the whole rootfs
  help: --bind /:/host

"#]],
    );
    app.run(&["run", "--bind", "src:/a:rx"]).fails(
        2,
        str![[r#"
error: invalid value 'src:/a:rx' for '--bind <SRC[:DST[:ro]]>': `src:/a:rx` is not SRC[:DST[:ro]]

For more information, try '--help'.

"#]],
    );
}

#[test]
fn how_to_enter_is_not_configured() {
    let run = Project::app("[package.metadata.rootfs]\nnetwork = 'none'\n").run(&["run"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("is for the command line alone"), "{run:#?}");
}

#[test]
// A skip is printed.
#[allow(clippy::print_stderr)]
fn a_command_has_the_images_surroundings_and_its_own_exit_code() {
    let app = Project::app(
        "[package.metadata.rootfs]\nwith = 'sh'\nenv = {A = 'configured', B = 'b'}\nworkdir = '/tmp'\n\
         entrypoint = ['sh', '-c', 'echo entry; exit 4']\n",
    );
    let run = app.run(&["run", "-q"]);
    if run.stderr.contains("does not let a rootfs be entered") && std::env::var_os("CI").is_none() {
        eprintln!("skipped: {}", run.stderr);
        return;
    }
    assert_eq!((run.code, run.stdout.as_str()), (4, "entry\n"), "{run:#?}");

    let words = ["--", "sh", "-c", "echo $A $B $HOME $PWD; echo more > file; exec sh -c 'kill -TERM $$'"];
    let run = app.run_in(".", &[["run", "-q", "--env", "A=typed"].as_slice(), &words].concat(), &[("C", "host")]);
    assert_eq!((run.code, run.stdout.as_str()), (143, "typed b /root /tmp\n"), "{run:#?}");
    let run = app.run(&["run", "-q", "--", "sh", "-c", "test -e file"]);
    assert_eq!(run.code, 1, "what was written is thrown away: {run:#?}");
}
