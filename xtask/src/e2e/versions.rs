//! Symbol versions of real programs: a root that its loader refuses is not written, and each warning of the loader is a
//! warning of ours.

use anyhow::{Result, ensure};
use camino::Utf8Path;
use fs_err as fs;

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;

/// A program that is linked with one library and started with others of that name.
pub(super) fn as_the_loader(lab: &Lab) -> Result<()> {
    let sysroot = lab.path("sysroot");
    lab.tools(["--with", "bash,ls", "--dir", sysroot.as_str()]).run()?;
    let (library, program) = (sysroot.join("usr/lib/libdeep.so.1"), sysroot.join("usr/bin/uses-deep"));
    versioned(lab, &library, "DEEP_1")?;
    lab.cc("cc", "uses-deep.c", &program, &[library.as_str()])?;

    let tar = lab.path("out.tar");
    let pack = lab.tools(["--sysroot", sysroot.as_str(), "--with", "uses-deep,bash", "--tar", tar.as_str()]);
    let packed = pack.run()?;
    ensure!(!packed.stderr.contains("no version information"), "{}", packed.report("expected no such warning"));
    let dir = tarball::unpack(lab, &tar, "root")?;
    let root = Chroot::new(&dir)?;
    ensure!(root.run(&["/usr/bin/uses-deep"])?.line()? == "deep 7", "another library");
    let inside = dir.join("usr/lib/libdeep.so.1");

    // Without version definitions both print the same words.
    let words = "no version information available (required by /usr/bin/uses-deep)";
    library_of(lab, "deep-of-libc.c", &library, &[])?;
    pack.run()?.says(&["warning: ", words])?;
    fs::copy(&library, &inside)?;
    let said = root.run(&["/usr/bin/uses-deep"])?;
    ensure!(said.line()? == "deep 7", "{}", said.report("another library"));
    said.says(&[words])?;

    // Without any version, not even libc's: the loader continues until the symbol is missing.
    library_of(lab, "deep.c", &library, &["-nostdlib"])?;
    pack.run()?.says(&["warning: ", words, "ld.so ends where it looks up a symbol of it"])?;
    fs::copy(&library, &inside)?;
    root.command(&["/usr/bin/uses-deep"]).fail(&[127])?.says(&[words, "Inconsistency detected by ld.so"])?;

    // With another version the loader does not start the program, and nothing is written.
    versioned(lab, &library, "DEEP_0")?;
    fs::remove_file(&tar)?;
    let told = pack.fail(&[1])?;
    told.says(&[
        "version `DEEP_1` not found in `/lib/libdeep.so.1`",
        "needed by /usr/bin/uses-deep",
        "linked for glibc 2.",
    ])?;
    ensure!(!tar.exists(), "{}", told.report("it was written"));
    fs::copy(&library, &inside)?;
    root.command(&["/usr/bin/uses-deep"]).fail(&[1])?.says(&["version `DEEP_1' not found"])
}

fn versioned(lab: &Lab, to: &Utf8Path, version: &str) -> Result<()> {
    let script = lab.file("deep.map", &format!("{version} {{ deep; }};\n"))?;
    library_of(lab, "deep.c", to, &[&format!("-Wl,--version-script={script}")])
}

fn library_of(lab: &Lab, source: &str, to: &Utf8Path, flags: &[&str]) -> Result<()> {
    let fixed = ["-shared", "-fPIC", "-Wl,-soname,libdeep.so.1"];
    lab.cc("cc", source, to, &[&fixed[..], flags].concat())
}
