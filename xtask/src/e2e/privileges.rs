//! File capabilities and set-ID bits: each is kept or dropped, and reported.

use anyhow::{Result, ensure};

use super::lab::Lab;
use super::tarball;
use crate::host;
use crate::process::command;
use crate::stage::{cannot, need};

pub(super) fn kept_or_dropped(lab: &Lab) -> Result<()> {
    if !host::is_root() {
        return cannot("only root can make setuid programs and file capabilities");
    }
    need("setcap")?;
    let sysroot = lab.path("sysroot");
    let bin = sysroot.join("usr/bin");
    let names = ["capable", "setuid-root", "setgid-root", "setgid-other", "setuid-other"];
    for name in names {
        lab.cc("cc", "hello.c", &bin.join(name), &["-static"])?;
    }
    let modes = [
        ("setuid-root", "0:0", "4755"),
        ("setgid-root", "0:0", "2755"),
        ("setgid-other", "0:42", "2755"),
        ("setuid-other", "42:0", "4755"),
    ];
    for (name, owner, mode) in modes {
        let file = bin.join(name);
        command(["chown", owner, file.as_str()]).run()?;
        command(["chmod", mode, file.as_str()]).run()?;
    }
    command(["setcap", "cap_net_bind_service=ep", bin.join("capable").as_str()]).run()?;

    let (tar, dir) = (lab.path("out.tar"), lab.path("out"));
    let with = names.join(",");
    let done = lab.tools(["--sysroot", sysroot.as_str(), "--template", "none", "--with", &with]).args([
        "--tar",
        tar.as_str(),
        "--dir",
        dir.as_str(),
    ]);
    let done = done.run()?;
    for name in names {
        done.says(&[name])?;
    }
    done.says(&["setuid", "setgid", "capabilities"])?;

    let unpacked = tarball::unpack(lab, &tar, "unpacked")?;
    for root in [&unpacked, &dir] {
        let capabilities = command(["getcap", root.join("usr/bin/capable").as_str()]).run()?;
        ensure!(
            capabilities.stdout.contains("cap_net_bind_service=ep"),
            "{}",
            capabilities.report("the capability is lost")
        );
        for (name, mode) in
            [("setuid-root", "4755"), ("setgid-root", "2755"), ("setgid-other", "755"), ("setuid-other", "755")]
        {
            let stat = command(["stat", "-c", "%u:%g %a", root.join("usr/bin").join(name).as_str()]).run()?;
            ensure!(stat.line()? == format!("0:0 {mode}"), "{}", stat.report(&format!("expected 0:0 {mode}")));
        }
    }
    Ok(())
}
