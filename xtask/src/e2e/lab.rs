//! A scenario's temporary directory, with the product installed beside it. Other users can read it, and it is removed
//! at the end of the scenario.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use fs_err as fs;

use crate::host;
use crate::process::{Command, command};
use crate::stage::need;

/// The working directory of one scenario.
pub(crate) struct Lab(Utf8TempDir);

impl Lab {
    /// Makes a new directory, with `binary` in its `bin`.
    pub(crate) fn new(binary: &Utf8Path) -> Result<Lab> {
        let lab = Lab(camino_tempfile::Builder::new().prefix("cargo-rootfs-e2e.").tempdir()?);
        fs::set_permissions(lab.0.path(), std::fs::Permissions::from_mode(0o755))?;
        lab.folder("bin")?;
        let to = lab.path("bin/cargo-rootfs");
        fs::copy(binary, &to)?;
        Ok(lab)
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        self.0.path().join(name)
    }

    /// A new empty directory.
    pub(crate) fn folder(&self, name: &str) -> Result<Utf8PathBuf> {
        let dir = self.path(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// A new file.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<Utf8PathBuf> {
        let file = self.path(name);
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&file, text)?;
        Ok(file)
    }

    /// A copy of the fixture `name`, without files built in it by hand.
    pub(crate) fn fixture(&self, name: &str) -> Result<Utf8PathBuf> {
        let to = self.path(name);
        let from = host::repo().join("tests/fixtures").join(name);
        command(["cp", "-R", from.as_str(), to.as_str()]).run()?;
        let built = to.join("target");
        if built.exists() {
            fs::remove_dir_all(&built)?;
        }
        Ok(to)
    }

    /// `cargo ARGS` in `dir`, as for a user with the product installed.
    pub(crate) fn cargo<I: IntoIterator<Item: Into<String>>>(&self, dir: &Utf8Path, args: I) -> Command {
        let path = format!("{}:{}", self.path("bin"), std::env::var("PATH").unwrap_or_default());
        command([host::cargo()]).args(args).dir(dir).env("PATH", path)
    }

    /// `cargo rootfs ARGS` in `dir`.
    pub(crate) fn rootfs<I: IntoIterator<Item: Into<String>>>(&self, dir: &Utf8Path, args: I) -> Command {
        self.cargo(dir, ["rootfs"]).args(args)
    }

    /// `cargo-rootfs rootfs --tools-only ARGS`, without cargo, in the lab's directory.
    pub(crate) fn tools<I: IntoIterator<Item: Into<String>>>(&self, args: I) -> Command {
        let binary = self.path("bin/cargo-rootfs");
        command([binary.as_str(), "rootfs", "--tools-only"]).args(args).dir(self.0.path())
    }

    /// Compiles a C program or library of the fixture `c` into `to`.
    pub(crate) fn cc(&self, compiler: &str, source: &str, to: &Utf8Path, flags: &[&str]) -> Result<()> {
        need(compiler)?;
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir)?;
        }
        let source = host::repo().join("tests/fixtures/c").join(source);
        command([compiler, "-o", to.as_str(), source.as_str()]).args(flags.iter().copied()).run().map(drop)
    }
}
