//! The selection of binaries, and the errors for an ambiguous one.

use snapbox::str;

use crate::project::Project;

#[test]
fn several_packages_with_binaries_are_listed() {
    Project::workspace("").run(&[]).fails(
        2,
        str![[r#"
error: several packages of the workspace have binaries
  app: admin, app
  tool: tool
  help: choose one with `-p app`, or take all with `--workspace`

"#]],
    );
}

#[test]
fn several_binaries_are_listed() {
    Project::workspace("").run(&["-p", "app"]).fails(
        2,
        str![[r#"
error: `app` has several binaries, and no `default-run` in its Cargo.toml
  app: admin, app
  help: choose with `--bin admin` (repeatable), or take all with `--bins`

"#]],
    );
    // In a member's directory that member is selected.
    Project::workspace("").run_in("app", &[], &[]).fails(
        2,
        str![[r#"
error: `app` has several binaries, and no `default-run` in its Cargo.toml
  app: admin, app
  help: choose with `--bin admin` (repeatable), or take all with `--bins`

"#]],
    );
}

#[test]
fn a_package_without_binaries_is_said() {
    Project::workspace("").run(&["-p", "lib"]).fails(
        2,
        str![[r#"
error: `lib` has no binary to package
  help: package a prebuilt file with `--binary PATH`, or only tools with `--tools-only`

"#]],
    );
    let examples =
        Project::empty().package(".", "lib", "").file("src/lib.rs", "").file("examples/demo.rs", "fn main() {}");
    examples.run(&[]).fails(
        2,
        str![[r#"
error: `lib` has no binary to package
  help: package an example with `--example demo`

"#]],
    );
}

#[test]
fn names_that_are_not_there_have_near_ones() {
    let workspace = Project::workspace("");
    workspace.run(&["-p", "tol"]).fails(
        2,
        str![[r#"
error: `tol` is not a package of the workspace
  there are app, tool, lib
  help: did you mean `-p tool`?

"#]],
    );
    workspace.run(&["--bin", "admn"]).fails(
        2,
        str![[r#"
error: `admn` is not a binary of `app`, `tool`, `lib`
  there are admin, app, tool
  help: did you mean `--bin admin`?

"#]],
    );
    workspace.run(&["--example", "x"]).fails(
        2,
        str![[r#"
error: `x` is not an example of `app`, `tool`, `lib`

"#]],
    );
    workspace.run(&["--exclude", "app"]).fails(
        2,
        str![[r#"
error: `--exclude` can only be used together with `--workspace`

"#]],
    );
}

#[test]
fn one_name_for_two_executables_is_an_error() {
    let twice = Project::workspace("").file("tool/src/bin/admin.rs", "fn main() {}");
    twice.run(&["--workspace", "--bin", "admin"]).fails(
        2,
        str![[r#"
error: `admin` is an executable of both `app` and `tool`
  help: choose the package with `-p app` or `-p tool`

"#]],
    );
}

/// Reported before a build of minutes. A file that the build makes is not looked up before it.
#[test]
fn an_unknown_tool_is_told_before_the_build() {
    let project = Project::app("").file("src/main.rs", "compile_error!(\"built\");\n");
    project.run(&["--with", "sh,no-such-tool"]).fails(
        1,
        str![[r#"
error: tool `no-such-tool` not found in the sysroot `/`

"#]],
    );
    let run = project.run(&["--with", "/no-such-tool"]);
    assert!(run.code == 101 && run.stderr.contains("built"), "{run:#?}");
}
