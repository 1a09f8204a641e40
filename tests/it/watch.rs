//! `check` and `trace`: errors before anything runs, and the reports of runs.
//!
//! `cargo xtask e2e` tests the missing files of each rootfs, other users and machines.

use snapbox::str;

use crate::project::{Project, Run};

/// Returns whether this machine forbids tracing or namespaces; in CI that is a failure.
#[allow(clippy::print_stderr)]
fn cannot(run: &Run) -> bool {
    let refused = ["does not let a rootfs be entered", "does not let a command be watched"];
    let is_refused = refused.iter().any(|words| run.stderr.contains(words)) && std::env::var_os("CI").is_none();
    if is_refused {
        eprintln!("skipped: {}", run.stderr);
    }
    is_refused
}

#[test]
fn a_command_is_needed() {
    let folder = Project::empty();
    folder.run(&["trace", "-q", "--tools-only"]).fails(
        2,
        str![[r#"
error: no program to run is chosen: there are several binaries, or none
  help: name it: `cargo rootfs trace ... -- CMD`

"#]],
    );
    folder.run(&["check", "-q", "--tools-only", "--include", "/etc/passwd:/a"]).fails(
        2,
        str![[r#"
error: there is nothing to check: no binary, no tool, no command
  help: name a command: `cargo rootfs check ... -- CMD`

"#]],
    );
}

#[test]
fn a_tool_that_a_shell_calls_is_named() {
    let folder = Project::empty();
    let run = folder.run(&["check", "-q", "--tools-only", "--with", "sh", "--", "sh", "-c", "cat /etc/passwd"]);
    if cannot(&run) {
        return;
    }
    assert_eq!(run.stdout, "failed sh -c 'cat /etc/passwd'\nok     sh -c :\n", "{run:#?}");
    assert_eq!(run.code, 1);
    assert!(run.stderr.ends_with("\n  help: add the missing files: --with cat\n"), "{run:#?}");
    let run = folder.run(&["check", "-q", "--tools-only", "--with", "sh", "--", "nonesuch"]);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.stderr.contains("error: `nonesuch` is not in the rootfs"), "{run:#?}");
}

#[test]
fn standard_output_of_trace_is_metadata() {
    let folder = Project::empty();
    let script = "echo out; cat /dev/null; exit 5";
    let run = folder.run(&["trace", "-q", "--tools-only", "--runtime", "none", "--", "sh", "-c", script]);
    if cannot(&run) {
        return;
    }
    let expected = "[package.metadata.rootfs]\nwith = [\"sh\", \"cat\"]\n";
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (5, expected, "out\n"));
    let known = ["trace", "-q", "--tools-only", "--with", "sh,cat", "--message-format", "json", "--"];
    let run = folder.run(&[&known[..], &["sh", "-c", "cat /dev/null"]].concat());
    let begin = "{\"reason\":\"rootfs-trace\",";
    assert!(run.stdout.starts_with(begin) && run.stdout.contains("\"with\":[]"), "{run:#?}");
}
