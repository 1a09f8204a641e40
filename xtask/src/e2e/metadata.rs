//! `[package.metadata.rootfs]`: keys named like the flags, extended and overridden by the command line.

use anyhow::{Result, ensure};
use camino::Utf8PathBuf;

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;

pub(super) fn configured(lab: &Lab) -> Result<()> {
    let project = lab.fixture("metadata")?;
    // Run in another directory: paths in metadata are relative to the manifest.
    let tar = Utf8PathBuf::from(lab.rootfs(&project.join("src"), ["--with", "/usr/bin/env"]).run()?.line()?);
    let entries = tarball::list(&tar)?;
    for path in ["/usr/bin/bash", "/usr/bin/ls", "/usr/bin/env", "/opt/metadata/bin/metadata"] {
        tarball::at(&entries, path)?;
    }
    ensure!(tarball::at(&entries, "/etc/motd")?.mode == "-rw-r-----", "the mode of the included file");
    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    root.run(&["/opt/metadata/bin/metadata"])?;
    root.run(&["bash", "-c", "[[ $(< /etc/motd) == 'Welcome to the root.' ]]"])?;

    let overridden = lab.rootfs(&project, ["--install-dir", "/srv"]).run()?;
    tarball::at(&tarball::list(overridden.line()?.into())?, "/srv/metadata")?;

    let manifest = project.join("Cargo.toml");
    let text = fs_err::read_to_string(&manifest)?;
    lab.file("metadata/Cargo.toml", &text.replace("install-dir", "instal-dir"))?;
    lab.rootfs(&project, [""; 0]).fail(&[1, 2])?.says(&["instal-dir", "install-dir"])?;
    // The unrelated cargo-rootfs 0.2.2 of crates.io has an array of tables under this key.
    lab.file("metadata/Cargo.toml", &text.replace("[package.metadata.rootfs]", "[[package.metadata.rootfs]]"))?;
    lab.rootfs(&project, [""; 0]).fail(&[1, 2])?.says(&["package.metadata.rootfs", "0.2.2"])?;
    Ok(())
}
