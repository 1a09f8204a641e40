//! Installs Debian packages with apt-get, as root or through sudo.
//! It removes nothing and adds neither sources nor architectures to the machine.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::process::{Command, command};
use crate::stage::cannot;
use crate::{host, process};

/// Words before a command that needs root.
pub(super) fn as_root<const N: usize>(argv: [&str; N]) -> Result<Command> {
    if host::is_root() {
        return Ok(command(argv));
    }
    if !host::has("sudo") {
        return cannot(format!("`{}` needs root, and sudo is not installed", argv.join(" ")));
    }
    Ok(command(["sudo"]).args(argv))
}

/// Installs `packages`; an empty list returns at once.
pub(crate) fn install(packages: &[String]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !host::has("apt-get") {
        return cannot(format!("install by hand what Debian calls {}", packages.join(" ")));
    }
    println!("  installing {}", packages.join(" "));
    // sudo(8) drops the environment, so env(1) sets the variable behind it.
    let apt_get = as_root(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "Acquire::Retries=3"])?;
    // Another part of the set-up may be running apt.
    let apt_get = apt_get.args(["-o", "DPkg::Lock::Timeout=600"]);
    quietly(&apt_get.clone().arg("update"))?;
    quietly(&apt_get.args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// An apt-get with its own lists: of this machine's sources, for its architecture and arm64. It downloads arm64
/// packages without root, even if dpkg has no such architecture.
pub(super) struct PrivateApt {
    conf: Utf8PathBuf,
}

impl PrivateApt {
    pub(super) fn new() -> Result<PrivateApt> {
        let dir = host::cache_dir().join("apt");
        let lists = dir.join("lists");
        fs_err::create_dir_all(lists.join("partial"))?;
        let conf = dir.join("apt.conf");
        let text = format!(
            "Dir::State::Lists \"{lists}\";\n#clear APT::Architectures;\nAPT::Architectures {{ \"amd64\"; \"arm64\"; }};\n\
             Acquire::Languages \"none\";\nAcquire::Retries \"3\";\nAPT::Sandbox::User \"root\";\n"
        );
        fs_err::write(&conf, text)?;
        let apt = PrivateApt { conf };
        quietly(&apt.command(["apt-get", "-q", "update"]))?;
        Ok(apt)
    }

    pub(super) fn command<const N: usize>(&self, argv: [&str; N]) -> process::Command {
        command(argv).env("APT_CONFIG", self.conf.as_str())
    }
}

/// Runs a command, and prints its output only if it fails.
fn quietly(command: &Command) -> Result<()> {
    command.run().map(drop)
}
