//! Programs of another C library than the host's.

use anyhow::{Result, ensure};

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;

/// A static program needs nothing, one that is linked with musl needs musl's loader, which is its libc too.
pub(super) fn programs(lab: &Lab) -> Result<()> {
    let (fixed, dynamic) = (lab.path("in/static"), lab.path("in/dynamic"));
    lab.cc("musl-gcc", "hello.c", &fixed, &["-static"])?;
    lab.cc("musl-gcc", "hello.c", &dynamic, &[])?;
    let away = lab.folder("away")?;
    for (program, name) in [(&fixed, "static"), (&dynamic, "dynamic")] {
        let tar = lab.path(&format!("{name}.tar"));
        let args = ["--binary", program.as_str(), "--template", "none", "--tar", tar.as_str()];
        lab.rootfs(&away, args).run()?;
        let root = Chroot::new(tarball::unpack(lab, &tar, name)?)?;
        let said = root.run(&[&format!("/usr/local/bin/{name}")])?;
        ensure!(said.line()? == "hello from C", "{}", said.report("the program says something else"));
        let entries = tarball::list(&tar)?;
        let loader = entries.iter().any(|entry| entry.path == "/lib/ld-musl-x86_64.so.1");
        let loader = loader || entries.iter().any(|entry| entry.path == "/usr/lib/ld-musl-x86_64.so.1");
        ensure!(loader == (name == "dynamic"), "musl's loader for a {name} program: {loader}");
        let glibc = entries.iter().find(|entry| entry.path.ends_with("/libc.so.6"));
        ensure!(glibc.is_none(), "glibc beside musl: {glibc:?}");
    }
    Ok(())
}
