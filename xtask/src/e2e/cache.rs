//! The generated `/etc/ld.so.cache`, read by the root's own loader, on both architectures that run here.

use anyhow::{Result, ensure};
use fs_err as fs;

use super::chroot::Chroot;
use super::lab::Lab;
use super::{arm64, tarball};
use crate::differential;
use crate::process::command;

/// This machine's.
pub(super) fn accepted(lab: &Lab) -> Result<()> {
    let ldconfig = ["/sbin/ldconfig".to_owned()];
    leads_to_the_library(lab, "cc", &[], &ldconfig)
}

/// aarch64's, and ldconfig(8) of the same through qemu-user.
pub(super) fn accepted_arm64(lab: &Lab) -> Result<()> {
    arm64::can_run()?;
    let ldconfig = differential::ldconfig_arm64()?;
    leads_to_the_library(lab, "aarch64-linux-gnu-gcc", &arm64::target()?, &[ldconfig.into_string()])
}

/// A library outside the default directories, which only a cache finds.
fn leads_to_the_library(lab: &Lab, compiler: &str, target: &[String], ldconfig: &[String]) -> Result<()> {
    // A sysroot of our own, whose ld.so.conf names the directory: the original sysroot stays unchanged.
    let sysroot = lab.path("sysroot");
    lab.tools(target.iter().cloned()).args(["--with", "bash,ls", "--dir", sysroot.as_str()]).run()?;
    let target = target.iter().take(2).cloned().chain(["--sysroot".to_owned(), sysroot.to_string()]);
    let target: Vec<String> = target.collect();
    let lib = sysroot.join("opt/deep/lib");
    lab.cc(compiler, "deep.c", &lib.join("libdeep.so.1"), &["-shared", "-fPIC", "-Wl,-soname,libdeep.so.1"])?;
    let program = sysroot.join("usr/bin/uses-deep");
    lab.cc(compiler, "uses-deep.c", &program, &[&format!("-L{lib}"), "-l:libdeep.so.1"])?;
    lab.file("sysroot/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")?;
    lab.file("sysroot/etc/ld.so.conf.d/deep.conf", "# where deep things are\n/opt/deep/lib\n")?;

    for cached in [false, true] {
        if cached {
            command(ldconfig.iter().cloned()).args(["-r", sysroot.as_str()]).run()?;
        }
        let tar = lab.path("out.tar");
        lab.tools(target.iter().cloned()).args(["--with", "uses-deep,bash", "--tar", tar.as_str()]).run()?;
        let dir = tarball::unpack(lab, &tar, if cached { "cached" } else { "configured" })?;
        let cache = dir.join("etc/ld.so.cache");
        let printed = command(ldconfig.iter().cloned()).args(["-p", "-C", cache.as_str()]).run()?;
        let listed = printed.stdout.contains("libdeep.so.1") && printed.stdout.contains("/opt/deep/lib/libdeep.so.1");
        ensure!(listed, "{}", printed.report("libdeep.so.1 is not in the cache"));
        let root = Chroot::new(&dir)?;
        let said = root.run(&["/usr/bin/uses-deep"])?;
        ensure!(said.line()? == "deep 7", "{}", said.report("another library"));
        // Without the cache the library is not found.
        fs::remove_file(&cache)?;
        root.command(&["/usr/bin/uses-deep"]).fail(&[127])?.says(&["libdeep.so.1"])?;
    }

    Ok(())
}

/// The same by --library-path, from a directory outside of any root.
pub(super) fn of_a_library_path(lab: &Lab) -> Result<()> {
    let beside = lab.path("beside");
    let (library, program) = (beside.join("libdeep.so.1"), lab.path("uses-deep"));
    lab.cc("cc", "deep.c", &library, &["-shared", "-fPIC", "-Wl,-soname,libdeep.so.1"])?;
    lab.cc("cc", "uses-deep.c", &program, &[library.as_str()])?;
    let tar = lab.path("beside.tar");
    let args = ["--binary", program.as_str(), "--library-path", beside.as_str(), "--tar", tar.as_str()];
    lab.rootfs(&lab.folder("away")?, args).run()?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "beside-root")?)?;
    let said = root.run(&["/usr/local/bin/uses-deep"])?;
    ensure!(said.line()? == "deep 7", "{}", said.report("another library"));
    Ok(())
}
