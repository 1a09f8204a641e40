//! Libraries that a program opens at run time: with compiled-in notes, and the suggestions without notes.

use anyhow::{Result, ensure};

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;
use crate::process::command;

/// Libraries in a directory of the program's RUNPATH, in one that only ld.so.conf names, and in a default one.
pub(super) fn noted(lab: &Lab) -> Result<()> {
    let sysroot = lab.path("sysroot");
    lab.tools(["--with", "bash,ls", "--dir", sysroot.as_str()]).run()?;
    let library = |at: &str, flags: &[&str]| {
        let to = sysroot.join(at);
        let soname = format!("-Wl,-soname,{}", to.file_name().unwrap_or_default());
        lab.cc("cc", "deep.c", &to, &[&["-shared", "-fPIC", &soname], flags].concat())
    };
    library("opt/deep/lib/libdeep.so.1", &[])?;
    library("opt/cached/libhelp.so.1", &[])?;
    let folder = format!("-L{}", sysroot.join("opt/cached"));
    library("opt/cached/libcached.so.1", &["-Wl,--no-as-needed", &folder, "-l:libhelp.so.1"])?;
    library("usr/lib/libextra.so.1", &[])?;
    lab.cc("cc", "opens.c", &sysroot.join("usr/bin/opens"), &["-DNOTES", "-Wl,-rpath,/opt/deep/lib"])?;
    lab.cc("cc", "opens.c", &sysroot.join("usr/bin/silent"), &[])?;
    lab.cc("cc", "opens.c", &sysroot.join("usr/bin/names"), &["-DNAMED=\"libcached.so.1\""])?;
    lab.file("sysroot/etc/ld.so.conf", "/opt/cached\n")?;
    command(["/sbin/ldconfig", "-r", sysroot.as_str()]).run()?;

    let (deep, cached, extra) = ("libdeep.so.1", "libcached.so.1", "libextra.so.1");
    for (priority, values) in [("required", [7, 0, 0]), ("recommended", [7, 7, 0]), ("suggested", [7, 7, 7])] {
        let tar = lab.path(&format!("{priority}.tar"));
        let args = ["--sysroot", sysroot.as_str(), "--with", "opens", "--dlopen", priority, "--tar", tar.as_str()];
        let done = lab.tools(args).run()?;
        ensure!(!done.stderr.contains("warning"), "{}", done.report("no warning"));
        let root = Chroot::new(tarball::unpack(lab, &tar, priority)?)?;
        let said = root.run(&["/usr/bin/opens", deep, cached, extra])?;
        let expected = format!("{deep} {}\n{cached} {}\n{extra} {}\n", values[0], values[1], values[2]);
        ensure!(said.stdout == expected, "{}", said.report(&expected));
    }

    // Without notes nothing is added, and libraries among the constants are suggested. The program works with the
    // suggestion.
    let tar = lab.path("silent.tar");
    let args = ["--sysroot", sysroot.as_str(), "--with", "silent,names,ls", "--tar", tar.as_str()];
    let done = lab.tools(args).run()?;
    let offered = format!("  help: to pack it: --with-lib {cached}\n");
    let is_told = done.stderr.matches("warning: ").count() == 1
        && done.stderr.contains("warning: `libcached.so.1` (by `names`) may be opened at run time")
        && done.stderr.contains(&offered);
    ensure!(is_told, "{}", done.report(&offered));
    let said = Chroot::new(tarball::unpack(lab, &tar, "silent")?)?.run(&["/usr/bin/names"])?;
    ensure!(said.stdout == format!("{cached} 0\n"), "{}", said.report("nothing is added unasked"));
    let named = ["--sysroot", sysroot.as_str(), "--with", "names,silent", "--with-lib", cached, "--tar", tar.as_str()];
    let done = lab.tools(named).run()?;
    ensure!(!done.stderr.contains("warning"), "{}", done.report("no warning"));
    let root = Chroot::new(tarball::unpack(lab, &tar, "named")?)?;
    for words in [&["/usr/bin/names"][..], &["/usr/bin/silent", cached]] {
        let said = root.run(words)?;
        ensure!(said.stdout == format!("{cached} 7\n"), "{}", said.report("the library that was named"));
    }

    // A missing required library is an error, and nothing is written.
    std::fs::remove_file(sysroot.join("opt/deep/lib/libdeep.so.1"))?;
    let tar = lab.path("missing.tar");
    let args = ["--sysroot", sysroot.as_str(), "--with", "opens", "--tar", tar.as_str()];
    lab.tools(args).fail(&[1])?.says(&["`libdeep.so.1` not found", "dlopen note: required, deep"])?;
    ensure!(!tar.exists(), "a failed run wrote {tar}");
    Ok(())
}
