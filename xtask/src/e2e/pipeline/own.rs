//! This project's own workflows and action.

use anyhow::{Context, Result, ensure};

use super::Released;
use super::github::Change;
use crate::e2e::lab::Lab;
use crate::process::command;
use crate::{host, made};

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// Commits and tags the files of this checkout in a new repository.
fn ours<'l>(lab: &'l Lab) -> Result<(Released<'l>, String)> {
    let released = Released::at(lab, lab.folder("cargo-rootfs")?)?;
    let copy = "git ls-files -z | tar --null --files-from - --create | tar --extract --directory \"$1\"";
    command(["sh", "-ec", copy, "sh", released.origin.as_str()]).dir(host::repo()).run()?;
    let program = lab.path("bin/cargo-rootfs");
    let version = command([program.as_str(), "--version"]).run()?;
    let tag = format!("v{}", version.line()?.rsplit(' ').next().context("a version")?);
    for words in
        [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message", "all"], &["tag", &tag]]
    {
        released.git(words).run()?;
    }
    Ok((released, tag))
}

/// The release of this project: archives, an image for two architectures, and a release of the forge.
pub(in crate::e2e) fn release(lab: &Lab) -> Result<()> {
    let (released, tag) = ours(lab)?;
    let file = released.origin.join(".github/workflows/release.yml");
    let change = Change::none(&tag);
    released.workflow(&file, &["archives", "publish"], &change)?;
    released.has_both(&format!("me/app:{}", &tag[1..]))?;
    released.has_release(&tag)
}

/// The reusable workflow, for a project of another repository.
pub(in crate::e2e) fn image(lab: &Lab) -> Result<()> {
    let released = Released::new(lab, "github")?;
    // The lock of the tools, which a project commits.
    let lock = ["--with", "ls", "--template", "web", "--tar", "target/{arch}.tar"];
    let lock = lab.rootfs(&released.origin, lock).args(TARGETS.map(|target| format!("--target={target}")));
    let lock = lock.env("CARGO_ROOTFS_CACHE", host::packages().as_str());
    lock.env("RUSTC", made::debian_rustc()?.as_str()).run()?;
    for words in [&["add", "--all"][..], &["commit", "--quiet", "--message", "lock"], &["tag", "--force", "v1.0.0"]] {
        released.git(words).run()?;
    }
    let push = format!("{}/me/app:1.0.0", released.host);
    let names = [
        ("inputs.push", push.as_str()),
        ("inputs.target", &TARGETS.join(" ")),
        ("inputs.with", "ls"),
        ("inputs.template", "web"),
        ("inputs.tar", "dist/{package}-{arch}.tar.gz"),
        ("inputs.cargo-rootfs-git", "https://example.org/cargo-rootfs"),
        ("inputs.cargo-rootfs-tag", "v0.1.0"),
    ];
    let change = Change { names: &names, ..Change::none("v1.0.0") };
    let run = released.workflow(&host::repo().join(".github/workflows/image.yml"), &["image"], &change)?;
    released.has_both("me/app:1.0.0")?;
    let output = |name: &str| run.names.get(&format!("jobs.image.outputs.{name}")).cloned().unwrap_or_default();
    ensure!(
        output("image") == format!("{}@{}", push.trim_end_matches(":1.0.0"), output("digest")),
        "{}",
        output("image")
    );
    ensure!(output("archives").lines().count() == 2, "archives: {}", output("archives"));
    Ok(())
}

/// The action installs the program of an archive, and refuses an archive with another digest.
pub(in crate::e2e) fn action(lab: &Lab) -> Result<()> {
    let (released, tag) = ours(lab)?;
    let make = "mkdir ours && cp \"$1\" ours/ && tar -czf ours.tar.gz ours && sha256sum ours.tar.gz | cut -d ' ' -f 1";
    let program = lab.path("bin/cargo-rootfs");
    let sum = command(["sh", "-ec", make, "sh", program.as_str()]).dir(lab.path("")).run()?;
    let archive = lab.path("ours.tar.gz");
    let run = |sha256: &str| {
        let names = [("inputs.archive", archive.as_str()), ("inputs.sha256", sha256)];
        let change = Change { names: &names, ..Change::none(&tag) };
        let mut runner = released.runner(&change)?;
        runner.action(".github/actions/setup", "cargo rootfs --version && cargo rootfs help pipelines")
    };
    let done = run(sum.line()?)?;
    ensure!(done.stdout.contains(&format!("cargo-rootfs {}", &tag[1..])), "{}", done.report("another version"));
    let wrong = run(&"0".repeat(64)).err().context("a wrong archive was installed")?;
    ensure!(format!("{wrong:#}").contains("::error title=cargo rootfs::the archive is not the one"), "{wrong:#}");
    Ok(())
}
