//! Programs of another C library than the host's.

use anyhow::{Result, ensure};

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;
use crate::process::command;

/// A musl root like Alpine's: a program that loads musl and a musl tool. No glibc of the host is packed; with the
/// host's tools nothing is written, unless their root is named.
pub(super) fn sysroot(lab: &Lab) -> Result<()> {
    let (program, tool) = (lab.path("in/program"), lab.path("alpine/bin/tool"));
    lab.cc("musl-gcc", "hello.c", &program, &[])?;
    lab.cc("musl-gcc", "hello.c", &tool, &[])?;
    // As in Debian's package of musl, one file is both loader and libc.
    let loader = format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH);
    lab.folder("alpine/lib")?;
    command(["cp", "-L", &loader, lab.path("alpine").join(loader.trim_start_matches('/')).as_str()]).run()?;
    lab.file("alpine/etc/os-release", "ID=alpine\n")?;
    let (alpine, away) = (lab.path("alpine"), lab.folder("away")?);
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let args = ["--binary", program.as_str(), "--target", &target, "--dir", "root", "--with"];

    let refused = lab.rootfs(&away, args).arg("ls").fail(&[1])?;
    refused.says(&["`ls` is linked with glibc", "--sysroot"])?;
    lab.rootfs(&away, args).args(["tool", "--sysroot", alpine.as_str()]).run()?;
    let root = away.join("root");
    let found = command(["find", root.as_str(), "-name", "libc.so.6"]).run()?;
    ensure!(found.stdout.is_empty(), "{}", found.report("glibc beside musl"));
    let chroot = Chroot::new(&root)?;
    for path in ["/usr/local/bin/program", "/bin/tool"] {
        let said = chroot.run(&[path])?;
        ensure!(said.line()? == "hello from C", "{}", said.report("the program says something else"));
    }
    // Without the loader the error names a place to get it.
    std::fs::remove_file(alpine.join(loader.trim_start_matches('/')))?;
    let args = ["--binary", program.as_str(), "--target", &target, "--dir", "other", "--sysroot", alpine.as_str()];
    lab.rootfs(&away, args).fail(&[1])?.says(&[&loader, "take musl's from a root that has it"])?;
    Ok(())
}

/// A static position-independent program is a root of its own, without a sysroot of its machine.
pub(super) fn static_pie(lab: &Lab) -> Result<()> {
    let program = lab.path("in/pie");
    lab.cc("aarch64-linux-gnu-gcc", "hello.c", &program, &["-static-pie"])?;
    let away = lab.folder("away")?;
    let args = ["--binary", program.as_str(), "--target", "aarch64-unknown-linux-musl", "--template", "none"];
    // The other files of glibc programs are not tested here.
    let args = args.into_iter().chain(["--runtime", "none", "--records", "none", "--licenses", "none"]);
    let done = lab.rootfs(&away, args).args(["--dir", "root"]).run()?;
    ensure!(!done.stderr.contains("Extracting"), "{}", done.report("packages for a static program"));
    let files = command(["find", away.join("root").as_str(), "-type", "f"]).run()?;
    ensure!(files.stdout.lines().count() == 1, "{}", files.report("one file"));
    let said = Chroot::new(away.join("root"))?.run(&["/usr/local/bin/pie"])?;
    ensure!(said.line()? == "hello from C", "{}", said.report("the program says something else"));
    Ok(())
}

/// A static program needs nothing. One linked with musl needs musl's loader, which is also its libc.
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
