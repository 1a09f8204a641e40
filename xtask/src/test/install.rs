//! Tests an installation from the checkout, and from the files that `cargo package` publishes. Neither may need the
//! checkout afterwards. Earlier stages have downloaded every dependency, so no network is used.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use crate::host;
use crate::made::cargo;
use crate::process::command;

pub(super) fn check() -> Result<()> {
    let temp = camino_tempfile::Builder::new().prefix("cargo-rootfs-install.").tempdir()?;
    from_checkout(temp.path())?;
    from_package(temp.path())
}

fn from_checkout(temp: &Utf8Path) -> Result<()> {
    let root = temp.join("checkout-root");
    cargo(["install", "--locked", "--offline", "--path", "cargo-rootfs", "--root", root.as_str()]).show()?;
    works(&root, temp)
}

fn from_package(temp: &Utf8Path) -> Result<()> {
    // `cargo package` would build it too, but the unpacked package is built below; --allow-dirty, because a laptop's
    // tree is dirty.
    cargo(["package", "--package", "cargo-rootfs", "--locked", "--offline", "--no-verify", "--allow-dirty"]).show()?;
    let version = package_version()?;
    let name = format!("cargo-rootfs-{version}");
    let file = host::target_dir().join(format!("package/{name}.crate"));
    command(["tar", "-xzf", file.as_str(), "-C", temp.as_str()]).run()?;
    let unpacked = temp.join(&name);
    let root = temp.join("package-root");
    let built = host::target_dir().join("debug/deps");
    let names = || -> BTreeSet<PathBuf> {
        std::fs::read_dir(&built).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let before = names();
    // A debug build tests the contents of the package equally, in a quarter of the time.
    cargo(["install", "--debug", "--locked", "--offline", "--path", unpacked.as_str(), "--root", root.as_str()])
        .show()?;
    // Nothing else uses what was compiled for this path.
    names().difference(&before).try_for_each(fs_err::remove_file)?;
    // The binary must contain its data, above all the templates.
    fs_err::remove_dir_all(&unpacked)?;
    works(&root, temp)
}

fn package_version() -> Result<String> {
    let pkgid = command([host::cargo()]).args(["pkgid", "--package", "cargo-rootfs"]).dir(host::repo()).run()?;
    let line = pkgid.line()?;
    Ok(line.rsplit(['#', '@']).next().context("cargo pkgid has no version")?.to_owned())
}

/// The installed `cargo rootfs` packs a tool with a template, in a directory without a project.
fn works(root: &Utf8Path, elsewhere: &Utf8Path) -> Result<()> {
    let bin = root.join("bin");
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let out = elsewhere.join("out.tar");
    let rootfs =
        command([host::cargo()]).args(["rootfs", "--tools-only", "--with", "ls", "--template", "base", "--tar"]);
    let done = rootfs.arg(out.as_str()).dir(elsewhere).env("PATH", path).run()?;
    ensure!(done.line()? == out, "{}", done.report(&format!("expected {out} on stdout")));
    let names = command(["tar", "-tf", out.as_str()]).run()?.stdout;
    for expected in ["usr/bin/ls", "etc/passwd", "etc/nsswitch.conf", "tmp/"] {
        let has = names.lines().any(|name| name.trim_start_matches("./").trim_start_matches('/') == expected);
        ensure!(has, "{out} lacks {expected}; it has\n{names}");
    }
    Ok(fs_err::remove_file(&out)?)
}
