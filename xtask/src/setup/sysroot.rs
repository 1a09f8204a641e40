//! Makes the Debian arm64 root that the cross scenarios take libraries and tools from.
//! Nothing in it is run to make it: mmdebstrap only extracts the packages.

use anyhow::{Context, Result};

use crate::host;
use crate::process::command;
use crate::stage::need;

const SUITE: &str = "bookworm";
const PACKAGES: &str = "bash,coreutils,libgcc-s1,libstdc++6,ca-certificates,tzdata,curl";

pub(super) fn make() -> Result<()> {
    let root = host::sysroot_arm64();
    let made = root.with_file_name("sysroot-arm64.made-of");
    let recipe = format!("{SUITE} {PACKAGES}");
    if std::fs::read_to_string(&made).is_ok_and(|text| text == recipe) && root.join("bin/bash").exists() {
        return Ok(());
    }
    need("mmdebstrap")?;
    println!("  extracting {SUITE} for arm64 to {root}");
    remove(&root)?;
    std::fs::create_dir_all(host::cache_dir()).with_context(|| format!("make {}", host::cache_dir()))?;
    let mmdebstrap = command(["mmdebstrap", "--quiet", "--arch=arm64", "--variant=extract"])
        .arg("--aptopt=Acquire::Retries \"3\"")
        .args([format!("--include={PACKAGES}"), SUITE.to_owned(), root.to_string()]);
    if let Err(error) = mmdebstrap.run() {
        println!("  once more, for a mirror can hiccup: {error:#}");
        remove(&root)?;
        mmdebstrap.run()?;
    }
    std::fs::write(&made, recipe).with_context(|| format!("write {made}"))
}

fn remove(root: &camino::Utf8Path) -> Result<()> {
    if root.exists() {
        std::fs::remove_dir_all(root).with_context(|| format!("remove {root}"))?;
    }
    Ok(())
}
