//! The README's promises, from a clone that contains nothing else of this checkout.

use anyhow::{Result, ensure};
use camino::Utf8PathBuf;

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;
use crate::host;
use crate::process::command;
use crate::stage::need;

/// Clone, install, a new project, one command.
pub(super) fn flow(lab: &Lab) -> Result<()> {
    need("git")?;
    let clone = lab.path("clone");
    command(["git", "clone", "--quiet", host::repo().as_str(), clone.as_str()]).run()?;
    let root = lab.path("installed");
    let install = lab.cargo(
        &clone,
        ["install", "--debug", "--locked", "--offline", "--path", "cargo-rootfs", "--root", root.as_str()],
    );
    // Dependencies that the tests built are reused, and a debug build takes a quarter of the time.
    install.env("CARGO_TARGET_DIR", host::target_dir().as_str()).run()?;

    let work = lab.folder("work")?;
    lab.cargo(&work, ["new", "--quiet", "--vcs", "none", "myapp"]).run()?;
    let path = format!("{}:{}", root.join("bin"), std::env::var("PATH").unwrap_or_default());
    let myapp = work.join("myapp");
    let done = command([host::cargo()]).args(["rootfs", "--with", "bash,ls"]).dir(&myapp).env("PATH", path).run()?;
    let tar = Utf8PathBuf::from(done.line()?);
    let said = Chroot::new(tarball::unpack(lab, &tar, "root")?)?.run(&["/usr/local/bin/myapp"])?;
    ensure!(said.stdout == "Hello, world!\n", "{}", said.report("the new project says something else"));
    Ok(())
}
