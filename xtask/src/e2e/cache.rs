//! The generated `/etc/ld.so.cache`, read by the loader that the root itself has.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;
use crate::process::command;

/// A library outside the default directories, which only a cache leads to.
pub(super) fn accepted(lab: &Lab) -> Result<()> {
    // A sysroot of our own, whose ld.so.conf names the folder: the host's is left alone.
    let sysroot = lab.path("sysroot");
    lab.tools(["--with", "bash,ls", "--dir", sysroot.as_str()]).run()?;
    let lib = sysroot.join("opt/deep/lib");
    lab.cc("cc", "deep.c", &lib.join("libdeep.so.1"), &["-shared", "-fPIC", "-Wl,-soname,libdeep.so.1"])?;
    let program = sysroot.join("usr/bin/uses-deep");
    lab.cc("cc", "uses-deep.c", &program, &[&format!("-L{lib}"), "-l:libdeep.so.1"])?;
    lab.file("sysroot/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")?;
    lab.file("sysroot/etc/ld.so.conf.d/deep.conf", "# where deep things are\n/opt/deep/lib\n")?;

    for cached in [false, true] {
        if cached {
            command(["/sbin/ldconfig", "-r", sysroot.as_str()]).run()?;
        }
        let tar = lab.path("out.tar");
        let tools = ["--sysroot", sysroot.as_str(), "--with", "uses-deep,bash", "--tar", tar.as_str()];
        lab.tools(tools).run()?;
        let dir = tarball::unpack(lab, &tar, if cached { "cached" } else { "configured" })?;
        let cache = dir.join("etc/ld.so.cache");
        let printed = command(["/sbin/ldconfig", "-p", "-C", cache.as_str()]).run()?;
        let listed = printed.stdout.contains("libdeep.so.1") && printed.stdout.contains("/opt/deep/lib/libdeep.so.1");
        ensure!(listed, "{}", printed.report("libdeep.so.1 is not in the cache"));
        let root = Chroot::new(&dir)?;
        let said = root.run(&["/usr/bin/uses-deep"])?;
        ensure!(said.line()? == "deep 7", "{}", said.report("another library"));
        // It was the cache that led there.
        fs::remove_file(&cache).with_context(|| format!("remove {cache}"))?;
        root.command(&["/usr/bin/uses-deep"]).fail(&[127])?.says(&["libdeep.so.1"])?;
    }

    // The same by --library-path, from a folder that is no folder of any root's.
    let beside = lab.path("beside");
    lab.cc("cc", "deep.c", &beside.join("libdeep.so.1"), &["-shared", "-fPIC", "-Wl,-soname,libdeep.so.1"])?;
    let tar = lab.path("beside.tar");
    let args = ["--binary", program.as_str(), "--library-path", beside.as_str(), "--tar", tar.as_str()];
    lab.rootfs(&lab.folder("away")?, args).run()?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "beside-root")?)?;
    let said = root.run(&["/usr/local/bin/uses-deep"])?;
    ensure!(said.line()? == "deep 7", "{}", said.report("another library"));
    Ok(())
}
