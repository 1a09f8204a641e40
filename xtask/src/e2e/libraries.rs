//! Shared objects that cargo built: they are not in the sysroot, and are packed with the binary.

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;
use crate::host;
use crate::process::Command;

/// A build script links the binary with a library in OUT_DIR.
pub(super) fn of_a_build_script(lab: &Lab) -> Result<()> {
    let project = lab.fixture("shared-library")?;
    let entries = runs(lab, &project, &lab.rootfs(&project, ["--with", "ls"]), "shared-library", "greet 42\n")?;
    tarball::at(&entries, "/usr/local/lib/libgreet.so.1")?;

    // An absolute RUNPATH into the build tree resolves here, but the root must not need it.
    let own = "-Clink-arg=-Wl,-rpath,$ORIGIN/../lib".to_owned();
    let build_tree = format!("-Clink-arg=-Wl,-rpath,{project}/target/release/build");
    for flags in [own, build_tree] {
        let rootfs = lab.rootfs(&project, ["--with", "ls"]).env("RUSTFLAGS", flags);
        runs(lab, &project, &rootfs, "shared-library", "greet 42\n")?;
    }
    Ok(())
}

/// A dependency that is a `dylib`, with `-C prefer-dynamic`: libstd comes from the toolchain.
pub(super) fn of_rust(lab: &Lab) -> Result<()> {
    let project = lab.fixture("dylib")?;
    let entries = runs(lab, &project, &lab.rootfs(&project, ["--with", "ls"]), "uses-dylib", "plugged in\n")?;
    tarball::at(&entries, "/usr/local/lib/libplug.so")?;
    let std = entries.iter().find(|entry| entry.path.starts_with("/usr/local/lib/libstd-"));
    ensure!(std.is_some(), "no libstd in /usr/local/lib");
    let home = std::env::var("HOME").unwrap_or_default();
    tarball::never_names(&entries, &Utf8PathBuf::from(home).join(".rustup"))?;
    Ok(())
}

/// Packs the project, runs it in a chroot, and checks that the root has no path of the build tree.
fn runs(lab: &Lab, project: &Utf8Path, rootfs: &Command, name: &str, says: &str) -> Result<Vec<tarball::Entry>> {
    let done = rootfs.run()?;
    let tar = Utf8PathBuf::from(done.line()?);
    let entries = tarball::list(&tar)?;
    tarball::never_names(&entries, project)?;
    tarball::never_names(&entries, host::repo())?;
    let root = tarball::unpack(lab, &tar, "root")?;
    let program = format!("/usr/local/bin/{name}");
    let said = Chroot::new(&root)?.run(&[&program])?;
    ensure!(said.stdout == says, "{}", said.report(says));
    std::fs::remove_dir_all(root)?;
    Ok(entries)
}
