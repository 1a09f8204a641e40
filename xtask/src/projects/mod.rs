//! Published crates of other authors: fetched, built unchanged for two machines in one call, packed, and run in the
//! root, where they do their jobs.
//!
//! The [table] lists each crate and its job. Nothing of a crate is changed, and its own lock file is used.

mod source;
mod table;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::e2e::arm64::{self, TRIPLE};
use crate::e2e::chroot::Chroot;
use crate::e2e::lab::Lab;
use crate::process::command;
use crate::stage::{self, Tier, need};
use crate::{host, made};
use table::{PROJECTS, Project};

pub(crate) use source::lay_out_crate;

/// `cargo xtask projects [FILTER]`.
pub(crate) fn run(filter: &str) -> Result<()> {
    let chosen: Vec<&Project> = PROJECTS.iter().filter(|project| project.name.contains(filter)).collect();
    ensure!(!chosen.is_empty(), "no project's name has `{filter}` in it");
    let binary = made::program(Tier::Full)?;
    let binary = &binary;
    let works = chosen.into_iter().map(|project| (project.name, move || check(project, &Lab::new(binary)?)));
    let done = stage::run("projects", works.collect());
    // Compiled dependencies are for the next project, and for who repeats one of them.
    if filter.is_empty() && target_dir().exists() {
        fs_err::remove_dir_all(target_dir())?;
    }
    done
}

fn target_dir() -> Utf8PathBuf {
    host::cache_dir().join("projects")
}

fn check(project: &Project, lab: &Lab) -> Result<()> {
    need("aarch64-linux-gnu-gcc")?;
    need("pkg-config")?;
    arm64::can_run()?;
    let folder = source::lay_out(project, lab)?;
    begins(project, lab, &folder)?;
    let native = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    // Compiled dependencies are reused: many crates have the same ones.
    let target_dir = target_dir();
    let args = ["--target", &native, "--target", TRIPLE, "--profile", "dev", "--locked", "--with", "bash,cat"];
    let rootfs = lab.rootfs(&folder, args).args(["--target-dir", target_dir.as_str(), "--dir", "root-{arch}"]);
    let mut rootfs = rootfs.args(project.arguments.iter().copied());
    for (name, value) in project.environment {
        rootfs = rootfs.env(name, *value);
    }
    // One compiler for both targets, so that build scripts and macros are compiled once. The sysroot is for the other
    // machine.
    let rootfs = rootfs.env("RUSTC", made::debian_rustc()?.as_str());
    let rootfs = rootfs.env("CARGO_ROOTFS_SYSROOT", made::development_sysroot()?.as_str());
    // Debug symbols would take time and space.
    let done = rootfs.env("CARGO_PROFILE_DEV_DEBUG", "0").run()?;
    ensure!(done.stdout == "root-amd64\nroot-arm64\n", "{}", done.report("two folders"));
    for said in project.says {
        ensure!(done.stderr.contains(said), "{}", done.report(said));
    }
    for arch in ["amd64", "arm64"] {
        works(project, &folder.join(format!("root-{arch}"))).with_context(|| format!("in the root for {arch}"))?;
    }
    Ok(())
}

/// `init` writes a table, with which the project is packed, and pipelines for its version; for a crate without a binary
/// it prints that.
fn begins(project: &Project, lab: &Lab, folder: &Utf8Path) -> Result<()> {
    let init = |forge: &str| lab.rootfs(folder, ["init", "--ci", forge]);
    if project.arguments.contains(&"--example") {
        return init("github").fail(&[1])?.says(&["has a binary"]);
    }
    let written = [init("github").run()?, init("gitlab").run()?].map(|done| done.stdout).concat();
    for file in
        ["Cargo.toml", ".github/workflows/release.yml", ".github/workflows/release-native.yml", ".gitlab-ci.yml"]
    {
        ensure!(written.lines().any(|line| line.ends_with(file)), "init wrote no {file}:\n{written}");
    }
    let manifest = folder.join("Cargo.toml");
    let text = fs_err::read_to_string(&manifest)?;
    for line in project.table {
        ensure!(text.lines().any(|written| written == *line), "init did not write `{line}`:\n{text}");
    }
    // The pipeline reads the tag's expected version from cargo, and the package by jq.
    let pipeline = folder.join(".gitlab-ci.yml");
    let pipeline = fs_err::read_to_string(&pipeline)?;
    let version = pipeline.lines().find_map(|line| line.trim().strip_prefix("version=")).context("no version")?;
    let asked = command(["sh", "-ec", &format!("v={version}; echo \"$v\"")]).dir(folder).run()?;
    let is_known = project.crates.iter().any(|(_, version)| *version == asked.stdout.trim());
    ensure!(is_known, "{}", asked.report("the version of the crate"));
    Ok(())
}

/// Runs the project's commands in the root.
fn works(project: &Project, root: &Utf8Path) -> Result<()> {
    let chroot = Chroot::new(root)?;
    let shown = chroot.run(&["/bin/bash", "-euc", project.job])?;
    ensure!(shown.stdout == project.prints, "{}", shown.report(project.prints));
    for file in project.holds {
        let inside = root.join(file.trim_start_matches('/'));
        ensure!(inside.exists(), "no {file} in the root");
    }
    Ok(())
}
