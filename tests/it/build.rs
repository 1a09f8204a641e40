//! Cargo's part: its code, its words, and what to install where something is missing.

use snapbox::str;

use crate::project::Project;

#[test]
fn cargos_code_and_words_pass_through() {
    let broken = Project::app("").file("src/main.rs", "fn main() { let x: u8 = \"\"; }");
    let run = broken.run(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (101, ""), "{run:#?}");
    assert!(run.stderr.contains("error[E0308]: mismatched types"), "{run:#?}");
    assert!(run.stderr.trim_end().ends_with("due to 1 previous error"), "no second error: {run:#?}");
}

#[test]
fn a_manifest_that_cargo_cannot_read_is_told_once() {
    let run = Project::empty().file("Cargo.toml", "[package]\n").run(&[]);
    assert_eq!(run.code, 101);
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{run:#?}");
    assert!(run.stderr.contains("failed to parse manifest at `[ROOT]/Cargo.toml`"), "{run:#?}");
}

#[test]
fn a_target_that_is_not_installed_comes_with_the_commands() {
    let target = "s390x-unknown-linux-gnu";
    let run = Project::app("").run(&["--target", target, "--sysroot", "./"]);
    assert_eq!(run.code, 101, "{run:#?}");
    assert_eq!(run.stderr.matches("help: the standard library for").count(), 1, "{run:#?}");
    assert!(run.stderr.contains("`rustup target add s390x-unknown-linux-gnu`"), "{run:#?}");
    assert!(run.stderr.contains("apt-get install libstd-rust-dev:s390x"), "{run:#?}");
}

#[test]
fn the_target_is_cargos_own() {
    let foreign = if cfg!(target_arch = "aarch64") { "x86_64-unknown-linux-gnu" } else { "aarch64-unknown-linux-gnu" };
    // It is for other architectures than this one, and is not there: a run that fails for it has the target.
    let elsewhere = ("CARGO_ROOTFS_SYSROOT", "./absent");
    let absent = "error: cannot open the sysroot `./absent`\n";
    let configured = Project::app("").file(".cargo/config.toml", &format!("[build]\ntarget = '{foreign}'\n"));
    assert!(configured.run_in(".", &[], &[elsewhere]).stderr.starts_with(absent));

    let app = Project::app("");
    let variable = app.run_in(".", &[], &[("CARGO_BUILD_TARGET", foreign), elsewhere]);
    assert!(variable.stderr.starts_with(absent), "{variable:#?}");
    let typed = app.run_in(".", &["--config", &format!("build.target='{foreign}'")], &[elsewhere]);
    assert!(typed.stderr.starts_with(absent), "{typed:#?}");
    let specification = app.run_in(".", &["--target", &format!("targets/{foreign}.json")], &[elsewhere]);
    assert!(specification.stderr.starts_with(absent), "{specification:#?}");
    let native = app.run_in(".", &["--tar", "x.tar"], &[elsewhere]);
    assert_eq!(native.code, 0, "{native:#?}");
}

#[test]
fn a_missing_sysroot_is_found_out_before_the_build() {
    let broken = Project::app("").file("src/main.rs", "this would not compile");
    broken.run(&["--sysroot", "./absent"]).fails(
        1,
        str![[r#"
error: cannot open the sysroot `./absent`
  caused by: No such file or directory (os error 2)

"#]],
    );
}
