//! The selection of packages and binaries in a workspace, and the errors for an ambiguous one.

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::lab::Lab;
use super::tarball;
use crate::process::Done;

pub(super) fn selection(lab: &Lab) -> Result<()> {
    let workspace = lab.fixture("workspace")?;
    let at = |folder: &str, args: &[&str]| lab.rootfs(&workspace.join(folder), args.iter().copied());

    // One package, from the root and from its own directory: the output is the same file.
    let one = holds(&at("", &["-p", "alpha"]).run()?, &["alpha"])?;
    let expected = workspace.join("target/rootfs/alpha-x86_64-unknown-linux-gnu.tar");
    ensure!(one == expected, "expected {expected} on stdout, got {one}");
    holds(&at("alpha/src", &[]).run()?, &["alpha"])?;
    // [workspace.metadata.rootfs] has `with = ["ls"]`.
    tarball::at(&tarball::list(&one)?, "/usr/bin/ls")?;

    // Of several binaries: the default-run, all, or some.
    holds(&at("", &["-p", "beta"]).run()?, &["beta"])?;
    holds(&at("beta", &["--bins"]).run()?, &["beta", "beta-admin"])?;
    holds(&at("", &["-p", "beta", "--bin", "beta-admin"]).run()?, &["beta-admin"])?;
    holds(&at("", &["-p", "gamma", "--bin", "gamma-one", "--bin", "gamma-two"]).run()?, &["gamma-one", "gamma-two"])?;
    let out = lab.path("all.tar");
    let members = ["--workspace", "--exclude", "gamma", "--tar", out.as_str()];
    holds(&at("", &members).run()?, &["alpha", "beta"])?;
    holds(&at("", &members).arg("--bins").run()?, &["alpha", "beta", "beta-admin"])?;

    // An ambiguous selection, or one without a binary, is an error that lists the binaries.
    at("", &["-p", "gamma"]).fail(&[1, 2])?.says(&["gamma-one", "gamma-two"])?;
    let manifest = workspace.join("shared/Cargo.toml");
    at("", &["--manifest-path", manifest.as_str()]).fail(&[1, 2])?.says(&["shared", "binary"])?;
    at("", &["-p", "beta", "--bin", "nowhere"]).fail(&[1, 2, 101])?.says(&["beta-admin"])?;
    at("", &["-p", "nowhere"]).fail(&[1, 2, 101])?.says(&["nowhere"])?;

    // cargo chooses the target directory.
    let elsewhere = lab.path("elsewhere");
    let done = at("", &["-p", "alpha"]).env("CARGO_TARGET_DIR", elsewhere.as_str()).run()?;
    ensure!(holds(&done, &["alpha"])?.starts_with(&elsewhere), "{}", done.report("CARGO_TARGET_DIR is not honoured"));
    lab.file(
        "workspace/.cargo/config.toml",
        "[build]\ntarget-dir = \"made\"\ntarget = \"x86_64-unknown-linux-gnu\"\n",
    )?;
    let done = at("alpha", &[]).run()?;
    ensure!(holds(&done, &["alpha"])?.starts_with(workspace.join("made")), "{}", done.report("build.target-dir"));
    Ok(())
}

/// The tar named on stdout, after a check of the binaries in it.
fn holds(done: &Done, binaries: &[&str]) -> Result<Utf8PathBuf> {
    let tar = Utf8PathBuf::from(done.line()?);
    let entries = tarball::list(&tar)?;
    let installed = entries.iter().map(|entry| Utf8Path::new(&entry.path));
    let installed = installed.filter(|path| path.parent() == Some(Utf8Path::new("/usr/local/bin")));
    let names: Vec<&str> = installed.filter_map(|path| path.file_name()).collect();
    ensure!(names == binaries, "{}", done.report(&format!("expected the binaries {binaries:?}, got {names:?}")));
    Ok(tar)
}
