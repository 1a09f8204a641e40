//! A build script packs bash with the library, the program embeds the tar, unpacks it and runs it.

use anyhow::{Result, ensure};
use camino::Utf8Path;
use fs_err as fs;

use super::lab::Lab;
use crate::host;
use crate::process::{Done, command};

pub(super) fn embed(lab: &Lab) -> Result<()> {
    let project = lab.fixture("embed")?;
    let manifest = project.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    let crate_dir = host::repo().join("cargo-rootfs");
    lab.file("embed/Cargo.toml", &text.replace("../../../cargo-rootfs", crate_dir.as_str()))?;
    // The versions that the workspace builds with, so that nothing else is downloaded.
    fs::copy(host::repo().join("Cargo.lock"), project.join("Cargo.lock"))?;

    let built = build(lab, &project)?;
    built.says(&["Compiling embed"])?;
    for heavy in ["clap", "duct", "cargo_metadata", "indicatif", "serde_json"] {
        ensure!(
            !built.stderr.contains(&format!("Compiling {heavy} ")),
            "{}",
            built.report("a build script compiles it")
        );
    }
    let crates = built.stderr.lines().filter(|line| line.trim_start().starts_with("Compiling")).count();
    println!("    {crates} crates compiled");
    let away = lab.folder("away")?;
    let program = project.join("target/release/embed");
    let said = command([program.as_str()]).dir(&away).run()?;
    let version = command(["bash", "-c", "echo bash ${BASH_VERSION}"]).run()?.stdout;
    ensure!(said.stdout == format!("{version}An input of the build script.\n"), "{}", said.report(&version));

    let printed = command(["sh", "-c", "cat target/release/build/embed-*/output"]).dir(&project).run()?;
    let watched = printed.stdout.lines().filter_map(|line| line.strip_prefix("cargo::rerun-if-changed="));
    let watched: Vec<&str> = watched.collect();
    for expected in ["/usr/bin/bash", "files/note"] {
        ensure!(watched.iter().any(|path| path.ends_with(expected)), "{}", printed.report(&format!("no {expected}")));
    }
    let other = printed.stdout.lines().find(|line| !line.starts_with("cargo::rerun-if-"));
    ensure!(other.is_none(), "{}", printed.report("more is printed than what to watch"));
    // cargo walks each named directory at every build, and runs the script again after any change in it.
    let walked = command(["find", "-L"]).args(watched).args(["-maxdepth", "9"]).finish()?.stdout.lines().count();
    ensure!(walked < 10_000, "cargo has to look at {walked} files at every build: {}", printed.stdout);

    // After no change the build script does not run again; after a changed input it does.
    let again = build(lab, &project)?;
    ensure!(!again.stderr.contains("Compiling") && !again.stderr.contains("Dirty"), "{}", again.report("built again"));
    lab.file("embed/files/note", "Another input.\n")?;
    build(lab, &project)?.says(&["Compiling embed"])?;
    let said = command([program.as_str()]).dir(&away).run()?;
    ensure!(
        said.stdout == format!("{version}Another input.\n"),
        "{}",
        said.report("the changed input is not embedded")
    );
    Ok(())
}

fn build(lab: &Lab, project: &Utf8Path) -> Result<Done> {
    // Compiling the library takes longest; its objects stay in the tasks' cache for the next run.
    lab.cargo(project, ["build", "--release"]).run()
}
