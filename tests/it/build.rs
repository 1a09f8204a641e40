//! The build by cargo: exit codes, messages, and the commands that install missing tools.

use snapbox::str;

use crate::project::{Project, Run};

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

/// Variables of `cargo run -- rootfs` would make cargo build dependencies twice.
#[test]
fn variables_of_another_package_do_not_reach_the_build() {
    let script = "fn main() { println!(\"cargo::rerun-if-env-changed=CARGO_PKG_NAME\"); }";
    let app = Project::app("").file("build.rs", script);
    let arguments = ["--tar", "app.tar"];
    assert!(app.run(&arguments).stderr.contains("Compiling app"));
    let again = app.run_in(".", &arguments, &[("CARGO_PKG_NAME", "another"), ("CARGO_MANIFEST_DIR", "/nowhere")]);
    assert_eq!(again.code, 0, "{again:#?}");
    assert!(!again.stderr.contains("Compiling app"), "{again:#?}");
}

#[test]
fn a_target_that_is_not_installed_comes_with_the_commands() {
    // Nothing is compiled: the build does not start.
    let broken = Project::app("").file("src/main.rs", "this would not compile");
    let target = "s390x-unknown-linux-gnu";
    let run = broken.run(&["--target", target, "--sysroot", "./"]);
    assert_eq!(run.code, 1, "{run:#?}");
    let lacks = "error: the standard library for s390x-unknown-linux-gnu is not installed\n  rustc's is in ";
    assert!(run.stderr.starts_with(lacks), "{run:#?}");
    let commands = ["rustup target add s390x-unknown-linux-gnu", "apt-get install libstd-rust-dev:s390x"];
    assert!(commands.iter().any(|command| run.stderr.contains(command)), "{run:#?}");
    assert!(!broken.path().join("target").exists());
}

#[test]
fn a_linker_that_is_configured_and_not_there_is_found_out_before_the_build() {
    let target = "s390x-unknown-linux-gnu";
    let lacks = "error: the linker `nowhere-gcc`, which is configured for s390x-unknown-linux-gnu, is not in PATH\n";
    let arguments = ["--target", target, "--sysroot", "./"];
    let file = "[target.s390x-unknown-linux-gnu]\nlinker = 'nowhere-gcc'\n";
    let configured = Project::app("").file(".cargo/config.toml", file);
    assert!(configured.run(&arguments).stderr.contains(lacks));
    let flags = Project::app("")
        .file(".cargo/config.toml", &file.replace("linker = 'nowhere-gcc'", "rustflags = ['-Clinker=nowhere-gcc']"));
    assert!(flags.run(&arguments).stderr.contains(lacks));

    let app = Project::app("");
    let variable = app.run_in(".", &arguments, &[("CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER", "nowhere-gcc")]);
    assert!(variable.stderr.contains(lacks), "{variable:#?}");
    let typed = ["--config", "target.s390x-unknown-linux-gnu.linker='nowhere-gcc'"];
    let typed = app.run(&[arguments.as_slice(), &typed].concat());
    assert!(typed.stderr.contains(lacks), "{typed:#?}");
}

#[test]
fn a_glibc_behind_a_target_is_zigbuilds() {
    let app = Project::app("");
    app.run(&["--target", "x86_64-unknown-linux-gnu.2.17", "--sysroot", "/"]).fails(
        2,
        str![[r#"
error: `--target x86_64-unknown-linux-gnu.2.17` ends in a glibc, which cargo does not know
  help: cargo-zigbuild does: --build-with zigbuild --target x86_64-unknown-linux-gnu.2.17

"#]],
    );
    let zigbuild = Project::app("[package.metadata.rootfs]\nbuild-with = 'zigbuild'");
    let both = ["--target", "x86_64-unknown-linux-gnu.2.17", "--target", "x86_64-unknown-linux-gnu", "--sysroot", "/"];
    zigbuild.run(&both).fails(
        2,
        str![[r#"
error: `x86_64-unknown-linux-gnu.2.17` and `x86_64-unknown-linux-gnu` are one target, and cannot be built at once

"#]],
    );
    // Its PATH has no cargo-zigbuild, and neither has its cargo home.
    let path = [("PATH", "/usr/bin:/bin"), ("CARGO_HOME", "/nowhere"), ("CARGO", env!("CARGO"))];
    let absent = zigbuild.run_in(".", &[], &path);
    assert_eq!(absent.code, 1, "{absent:#?}");
    assert!(absent.stderr.starts_with("error: cargo-zigbuild, which `--build-with zigbuild` calls, is not in PATH\n"));
    assert!(absent.stderr.contains("  help: pip install cargo-zigbuild"), "{absent:#?}");
}

#[test]
fn the_target_is_cargos_own() {
    let foreign = if cfg!(target_arch = "aarch64") { "x86_64-unknown-linux-gnu" } else { "aarch64-unknown-linux-gnu" };
    // The variable applies to other architectures only, and its directory is missing: a run that fails for it has the
    // target. cargo's needs for the target are checked before it.
    let elsewhere = ("CARGO_ROOTFS_SYSROOT", "./absent");
    let absent = ["error: cannot open the sysroot `./absent`\n", &format!("for {foreign}")];
    let fails = |run: &Run| run.code == 1 && absent.iter().any(|words| run.stderr.contains(words));
    let configured = Project::app("").file(".cargo/config.toml", &format!("[build]\ntarget = '{foreign}'\n"));
    assert!(fails(&configured.run_in(".", &[], &[elsewhere])));

    let app = Project::app("");
    let variable = app.run_in(".", &[], &[("CARGO_BUILD_TARGET", foreign), elsewhere]);
    assert!(fails(&variable), "{variable:#?}");
    let typed = app.run_in(".", &["--config", &format!("build.target='{foreign}'")], &[elsewhere]);
    assert!(fails(&typed), "{typed:#?}");
    let specification = app.run_in(".", &["--target", &format!("targets/{foreign}.json")], &[elsewhere]);
    assert!(fails(&specification), "{specification:#?}");
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
