//! `[package.metadata.rootfs]`: errors name the key and the file.

use snapbox::str;

use crate::project::Project;

#[test]
fn unknown_keys_have_near_ones_and_all_are_told() {
    Project::app("[package.metadata.rootfs]\nwiht = 'bash'\ndocker-imprt = 'x'\n").run(&[]).fails(
        2,
        str![[r#"
error: `package.metadata.rootfs.docker-imprt` in `[ROOT]/Cargo.toml` is not a key of cargo rootfs
  help: did you mean `docker-import`?
error: `package.metadata.rootfs.wiht` in `[ROOT]/Cargo.toml` is not a key of cargo rootfs
  help: did you mean `with`?

"#]],
    );
}

#[test]
fn wrong_types_and_reserved_keys() {
    Project::app("[package.metadata.rootfs]\nwith = 3\nsquashfs = 'x'\nforce = true\n").run(&[]).fails(2, str![[r#"
error: `package.metadata.rootfs.force` in `[ROOT]/Cargo.toml` is for the command line alone: what may be replaced is decided at each run
error: `package.metadata.rootfs.squashfs` in `[ROOT]/Cargo.toml` is not supported yet
error: `package.metadata.rootfs.with` in `[ROOT]/Cargo.toml` is a number, and must be a string or a list of strings

"#]]);
}

#[test]
fn the_workspace_is_checked_as_well() {
    let workspace = Project::workspace("[workspace.metadata.rootfs]\ntemplat = 'web'\n");
    workspace.run_in("tool", &[], &[]).fails(
        2,
        str![[r#"
error: `workspace.metadata.rootfs.templat` in `[ROOT]/Cargo.toml` is not a key of cargo rootfs
  help: did you mean `template`?

"#]],
    );
}

#[test]
fn another_programs_table_is_explained() {
    Project::app("[[package.metadata.rootfs]]\nname = 'x'\n").run(&[]).fails(
        2,
        str![[r#"
error: `[[package.metadata.rootfs]]` in `[ROOT]/Cargo.toml` is an array of tables, not a table
  it was written for another program of this name, cargo-rootfs 0.2.2 on crates.io, and means nothing here
  help: move it away, and write what this one is to do into a table, `[package.metadata.rootfs]`

"#]],
    );
}

#[test]
fn configured_binaries_are_chosen() {
    let configured = "[workspace.metadata.rootfs]\nbin = ['absent']\n";
    Project::workspace(configured).run(&[]).fails(
        2,
        str![[r#"
error: `absent` is not a binary of `app`, `tool`, `lib`
  there are admin, app, tool

"#]],
    );
}

#[test]
fn values_of_two_packages_must_agree() {
    let table = |template| format!("[package.metadata.rootfs]\nbin = '*'\ntemplate = '{template}'\n");
    let workspace = Project::workspace("").package("app", "app", &table("web")).package("tool", "tool", &table("base"));
    workspace.run(&["--workspace"]).fails(
        2,
        str![[r#"
error: `tool` sets another `template` in `package.metadata.rootfs` than `app`
  help: give `--template`, or choose one package with `-p tool`

"#]],
    );
}
