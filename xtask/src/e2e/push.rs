//! Pushing to Debian's docker-registry, with a password, and running what is pulled from it.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::arm64;
use super::lab::Lab;
use super::registry::Registry;
use crate::process::{Command, command};
use crate::stage::need;

/// One command makes an index of two architectures, the engine runs both, and a second push sends nothing.
pub(super) fn two_architectures(lab: &Lab) -> Result<()> {
    arm64::can_run()?;
    super::ready("docker")?;
    need("skopeo")?;
    let (registry, hello) = (Registry::start(lab)?, lab.fixture("hello")?);
    let name = format!("{}/me/hello:1", registry.host);
    let native = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let docker = registry.login(lab)?;
    let push = |more: &[&str]| -> Result<Command> {
        let sysroot = format!("target.{}.sysroot = \"{}\"\n", arm64::TRIPLE, crate::host::sysroot_arm64());
        let manifest = fs::read_to_string(crate::host::repo().join("tests/fixtures/hello/Cargo.toml"))?;
        lab.file("hello/Cargo.toml", &format!("{manifest}\n[package.metadata.rootfs]\n{sysroot}"))?;
        let words = ["--target", &native, "--target", arm64::TRIPLE, "--with", "bash", "--push", &name];
        let rootfs = lab.rootfs(&hello, words).args(more.iter().copied()).env("DOCKER_CONFIG", docker.as_str());
        arm64::with_compilers(rootfs)
    };

    // Without credentials nothing is sent, and the error says where they were looked for.
    let refused = push(&[])?.env("DOCKER_CONFIG", lab.folder("nobody")?.as_str()).fail(&[1])?;
    refused.says(&["UNAUTHORIZED", &format!("docker login {}", registry.host)])?;
    registry.requests()?;

    let done = push(&[])?.run()?;
    let pushed = done.line()?.to_owned();
    let digest = pushed.strip_prefix(&format!("{name}@")).with_context(|| done.report("REF@DIGEST"))?;
    let sent = registry.requests()?;
    ensure!(sent.last() == Some(&"PUT /v2/me/hello/manifests/1".to_owned()), "the tag is not last: {sent:#?}");

    let raw = command(["skopeo", "inspect", "--raw", "--tls-verify=false", "--creds", "me:secret"]);
    let raw = raw.arg(format!("docker://{name}")).run()?;
    let index: Value = serde_json::from_str(&raw.stdout).context("the index")?;
    let platforms: Vec<&Value> =
        index["manifests"].as_array().context("manifests")?.iter().map(|it| &it["platform"]["architecture"]).collect();
    ensure!(platforms == ["amd64", "arm64"], "{}", raw.report("one manifest an architecture"));
    let summed = duct::cmd!("sha256sum").stdin_bytes(raw.bytes).read().context("sum the index")?;
    ensure!(summed.starts_with(digest.trim_start_matches("sha256:")), "printed {digest}, the registry has {summed}");

    for (platform, machine) in [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")] {
        let engine = |words: &[&str]| command(["docker", "--config", docker.as_str()]).args(words.iter().copied());
        engine(&["pull", "--quiet", "--platform", platform, &name]).run()?;
        let said = engine(&["run", "--rm", "--network", "none", "--platform", platform, &name]).finish()?;
        engine(&["rmi", "--force", &name]).run()?;
        ensure!(said.stdout.starts_with(&format!("hello from {machine}\n")), "{}", said.report(machine));
    }
    registry.requests()?;

    let again = push(&["--message-format", "json"])?.run()?;
    let message: Value = serde_json::from_str(again.line()?).context("a message")?;
    ensure!(message["digest"] == digest && message["sent"] == 0, "{}", again.report("nothing is sent twice"));
    let asked = registry.requests()?;
    let blobs = asked.iter().filter(|line| line.contains("/blobs/") || line.starts_with("PUT")).count();
    ensure!(blobs == 0 && asked.len() <= 10, "two platforms need 4 requests each, and 2 to authenticate: {asked:#?}");
    Ok(())
}
