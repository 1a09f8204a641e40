//! Libraries for particular hardware, and the choice of the root's loader among them, on this machine and on lesser
//! ones.

use anyhow::{Result, ensure};

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;
use crate::process::command;
use crate::stage::cannot;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// One library in a default directory and one that only a cache finds, each for all hardware and for two levels.
pub(super) fn variants(lab: &Lab) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return cannot("glibc-hwcaps are tried on x86_64");
    }
    let sysroot = lab.path("sysroot");
    lab.tools(["--with", "bash,ls", "--dir", sysroot.as_str()]).run()?;
    for (folder, soname) in [("usr/lib", "libnear.so.1"), ("opt/far", "libfar.so.1")] {
        for (subdirectory, level) in [("", 1), ("glibc-hwcaps/x86-64-v2/", 2), ("glibc-hwcaps/x86-64-v3/", 3)] {
            let to = sysroot.join(format!("{folder}/{subdirectory}{soname}"));
            let (level, soname) = (format!("-DLEVEL={level}"), format!("-Wl,-soname,{soname}"));
            lab.cc("cc", "level.c", &to, &["-shared", "-fPIC", &level, &soname])?;
        }
        let program = sysroot.join("usr/bin").join(&soname[3..soname.len() - 5]);
        let (folder, name) = (format!("-L{}", sysroot.join(folder)), format!("-l:{soname}"));
        lab.cc("cc", "uses-deep.c", &program, &[&folder, &name])?;
    }
    lab.file("sysroot/etc/ld.so.conf", "/opt/far\n")?;

    let help = command([LOADER, "--help"]).run()?.stdout;
    let can = |level: &str| help.lines().any(|line| line.trim_start().starts_with(&format!("{level} (supported")));
    let best = if can("x86-64-v3") { 3 } else { 1 + i32::from(can("x86-64-v2")) };
    // Without a cache in the sysroot, and with the cache that ldconfig(8) makes.
    for cached in ["no-cache", "cache"] {
        if cached == "cache" {
            command(["/sbin/ldconfig", "-r", sysroot.as_str()]).run()?;
        }
        for (hwcaps, best) in [("none", 1), ("all", best)] {
            let tar = lab.path(&format!("{cached}-{hwcaps}.tar"));
            let args = ["--sysroot", sysroot.as_str(), "--with", "near,far", "--hwcaps", hwcaps, "--tar", tar.as_str()];
            lab.tools(args).run()?;
            let root = Chroot::new(tarball::unpack(lab, &tar, &format!("{cached}-{hwcaps}"))?)?;
            for program in ["/usr/bin/near", "/usr/bin/far"] {
                says(&root, &[program], best)?;
                for (mask, level) in [("none", 1), ("x86-64-v2", 2), ("x86-64-v3", 3), ("x86-64-v3:x86-64-v2", 3)] {
                    // The loader takes the best level that the mask keeps and this machine has.
                    let level = if hwcaps == "none" || (level == 3 && !mask.contains("v2") && best < 3) {
                        1
                    } else {
                        level.min(best)
                    };
                    says(&root, &[LOADER, "--glibc-hwcaps-mask", mask, program], level)?;
                }
                // Simulates hardware without AVX2, which x86-64-v3 requires.
                let tunable = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2";
                let said = root.with(&[tunable], &[program]).run()?;
                ensure!(said.stdout == format!("deep {}\n", best.min(2)), "{}", said.report("without AVX2"));
            }
        }
    }

    // A library that only some hardware would find is missing.
    std::fs::remove_file(sysroot.join("usr/lib/libnear.so.1"))?;
    let args = ["--sysroot", sysroot.as_str(), "--with", "near", "--tar", "x.tar"];
    lab.tools(args).fail(&[1])?.says(&["`libnear.so.1` not found", "only glibc-hwcaps/x86-64-v3 has it"])?;
    Ok(())
}

fn says(root: &Chroot, argv: &[&str], level: i32) -> Result<()> {
    let said = root.run(argv)?;
    ensure!(said.stdout == format!("deep {level}\n"), "{}", said.report(&format!("level {level}")));
    Ok(())
}
