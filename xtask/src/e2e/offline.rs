//! Sysroots without the network, for users without rights, and for several runs at once.

use anyhow::{Result, ensure};

use super::arm64::TRIPLE;
use super::lab::Lab;
use super::provisioned::Try;
use super::tarball;
use crate::host;
use crate::process::command;
use crate::stage::cannot;

/// Starts a command in a network namespace, in which even the loopback interface is down.
const CUT_OFF: [&str; 2] = ["unshare", "--net"];

/// Cached packages are packed as before; others are an error.
pub(super) fn without_network(lab: &Lab) -> Result<()> {
    if !host::is_root() {
        return cannot("only root can take the network away, and stay who it is");
    }
    let it = Try::new(lab)?;
    let pack = |tar: &str, cache: &str| {
        let words = ["--target", TRIPLE, "--sysroot", "debian:bookworm", "--with", "bash,ls", "--tar", tar];
        it.with(lab.tools(words), cache)
    };
    pack("a.tar", "cache").run()?;
    let path = it.path("cache", &["--with", "bash,ls"]).run()?;
    it.mirror.asked();
    pack("b.tar", "cache").by(CUT_OFF).run()?;
    same(lab, "a.tar", "b.tar")?;
    let again = it.path("cache", &["--with", "bash,ls"]).by(CUT_OFF).run()?;
    ensure!(again.line()? == path.line()?, "{}", again.report("another sysroot"));

    // With a lock but without its packages; and with neither, from the system's own sources.
    let words = ["the mirror cannot be reached", "--offline"];
    let locked = it.path("cold", &["--with", "bash,ls"]).by(CUT_OFF).fail(&[1])?;
    locked.says(&words)?;
    let own = pack("c.tar", "own").env("APT_CONFIG", "/dev/null").by(CUT_OFF).fail(&[1])?;
    own.says(&words)?;
    ensure!(it.made("cold").is_empty() && it.made("own").is_empty(), "it left something");
    ensure!(it.mirror.asked().is_empty(), "there was a network");
    ensure!(!lab.path("c.tar").exists(), "it was written");
    // With the network again.
    it.path("cold", &["--with", "bash,ls"]).run().map(drop)
}

/// A user without rights packs from the same versions the same bytes as root.
pub(super) fn unprivileged(lab: &Lab) -> Result<()> {
    if !host::is_root() {
        return cannot("only root can be somebody else");
    }
    let it = Try::new(lab)?;
    let (home, cache) = (lab.folder("home")?, "home/.cache/cargo-rootfs");
    let pack = |tar: &str, cache: &str| {
        let words = ["--target", TRIPLE, "--sysroot", "debian:bookworm", "--with", "bash,ls,su,wall", "--tar", tar];
        it.with(lab.tools(words), cache)
    };
    pack("home/root.tar", "cache").run()?;
    let theirs = lab.folder(cache)?;
    command(["cp", "-R", lab.path("cache/requests").as_str(), theirs.as_str()]).run()?;
    command(["chown", "-R", "65532:65532", home.as_str()]).run()?;

    // With the variables of a user's shell, and none of ours.
    let user =
        ["setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups", "env", "--unset=CARGO_ROOTFS_CACHE"];
    let packed = pack("home/user.tar", cache).by(user).env("HOME", home.as_str()).run()?;
    packed.says(&["downloading", "extracting"])?;
    let entries = tarball::list(&lab.path("home/user.tar"))?;
    for (tool, mode) in [("/usr/bin/su", "-rwsr-xr-x"), ("/usr/bin/wall", "-rwxr-xr-x")] {
        let entry = tarball::at(&entries, tool)?;
        ensure!(entry.mode == mode && entry.owner == "0/0", "expected {mode} of root: {entry:?}");
    }
    ensure!(it.made(cache).len() == 1, "it is not in {cache}: {:?}", it.made(cache));
    same(lab, "home/root.tar", "home/user.tar")
}

fn same(lab: &Lab, one: &str, other: &str) -> Result<()> {
    command(["cmp", lab.path(one).as_str(), lab.path(other).as_str()]).run().map(drop)
}
