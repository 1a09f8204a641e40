//! Reads existing images back, from Debian's registry and as skopeo stores them: proved, tampered with, and compared.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::lab::Lab;
use super::registry::Registry;
use crate::process::{Command, command};
use crate::stage::need;

/// An image in a registry, its copies in other formats, and changed copies.
pub(super) fn read_back(lab: &Lab) -> Result<()> {
    need("skopeo")?;
    let registry = Registry::start(lab)?;
    let docker = registry.login(lab)?;
    let name = |tag: &str| format!("{}/me/tools:{tag}", registry.host);
    let with_login = |command: Command| command.env("DOCKER_CONFIG", docker.as_str());
    let push = |tag: &str, tools: &str| -> Result<String> {
        let done = with_login(lab.tools(["--with", tools, "--push", &name(tag)])).run()?;
        done.line().map(str::to_owned)
    };
    let (one, two) = (push("1", "true")?, push("2", "true,ls")?);
    let binary = lab.path("bin/cargo-rootfs");
    let rootfs = |words: &[&str]| with_login(command([binary.as_str(), "rootfs"]).args(words.iter().copied()));

    // By tag and by digest; the digest must be the registry's.
    for reference in [&name("1"), &one] {
        let done = rootfs(&["verify", reference]).run()?;
        ensure!(done.stdout.starts_with(&one), "{}", done.report(&one));
    }
    let without = rootfs(&["verify", &one]).env("DOCKER_CONFIG", lab.folder("nobody")?.as_str()).fail(&[1])?;
    without.says(&["UNAUTHORIZED"])?;

    // Layouts and archives that skopeo makes of it.
    let from = format!("docker://{}", name("1"));
    for (place, path) in [("oci:", "layout"), ("oci-archive:", "oci.tar"), ("docker-archive:", "docker.tar")] {
        let path = lab.path(path);
        let copy = command(["skopeo", "copy", "--src-tls-verify=false", "--src-creds", "me:secret"]);
        copy.args([from.clone(), format!("{place}{path}")]).run()?;
        let done = rootfs(&["verify", path.as_str()]).run()?;
        ensure!(done.stdout.contains("programs resolve"), "{}", done.report(place));
        let same = rootfs(&["diff", path.as_str(), &name("1")]).run()?;
        ensure!(same.stdout.ends_with("nothing else differs\n"), "{}", same.report("the same image"));
    }

    let done = rootfs(&["diff", &one, &two, "--message-format", "json", "--fail-on", "grow:1000%"]).run()?;
    let diff: Value = serde_json::from_str(done.line()?).context("a message")?;
    let files = diff["files"].as_array().context("files")?;
    let ls = files.iter().find(|file| file["path"] == "/usr/bin/ls");
    ensure!(ls.is_some_and(|ls| ls["old_size"].is_null()), "{}", done.report("ls is new"));
    let libraries = files.iter().filter(|file| file["because"] == "needed by /usr/bin/ls").count();
    ensure!(libraries > 0, "{}", done.report("its libraries have their reason"));
    rootfs(&["diff", &one, &two, "--fail-on", "grow:0%"]).fail(&[1])?.says(&["the size grew by"])?;

    // One byte of the largest blob is changed.
    let stored = lab.path("registry/docker/registry/v2/blobs/sha256");
    let listed = command(["find", stored.as_str(), "-name", "data", "-size", "+100k"]).run()?;
    for blob in listed.stdout.lines() {
        let mut bytes = fs::read(blob)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(blob, bytes)?;
    }
    ensure!(listed.stdout.lines().count() > 0, "{}", listed.report("no blob"));
    rootfs(&["verify", &one]).fail(&[1])?.says(&["error: "])?;
    Ok(())
}
