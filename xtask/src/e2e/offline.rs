//! Sysroots without the network.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::arm64::TRIPLE;
use super::lab::Lab;
use super::provisioned::Try;
use crate::host;
use crate::process::command;
use crate::stage::cannot;

/// What a run may take to say that there is no network.
const AT_MOST: Duration = Duration::from_secs(30);

/// In a network namespace of its own, which has not even a loopback interface that is up.
const CUT_OFF: [&str; 2] = ["unshare", "--net"];

/// What is in the cache is packed as before; what is not is said, soon.
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

    // A lock that says of which packages, and none of them there; and neither, with the system's own sources.
    let started = Instant::now();
    let words = ["the mirror cannot be reached", "--offline"];
    let locked = it.path("cold", &["--with", "bash,ls"]).by(CUT_OFF).fail(&[1])?;
    locked.says(&words)?;
    let took = started.elapsed();
    ensure!(took < AT_MOST, "{}", locked.report(&format!("it took {took:?}")));
    let started = Instant::now();
    let own = pack("c.tar", "own").env("APT_CONFIG", "/dev/null").by(CUT_OFF).fail(&[1])?;
    own.says(&words)?;
    let took = started.elapsed();
    ensure!(took < AT_MOST, "{}", own.report(&format!("it took {took:?}")));
    ensure!(it.made("cold").is_empty() && it.made("own").is_empty(), "it left something");
    ensure!(it.mirror.asked().is_empty(), "there was a network");
    ensure!(!lab.path("c.tar").exists(), "it was written");
    // The network is there again.
    it.path("cold", &["--with", "bash,ls"]).run().map(drop)
}

fn same(lab: &Lab, one: &str, other: &str) -> Result<()> {
    command(["cmp", lab.path(one).as_str(), lab.path(other).as_str()]).run().map(drop)
}
