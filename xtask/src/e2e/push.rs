//! Pushes to Debian's docker-registry with passwords and tokens, and runs the pulled images.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::Value;

use super::arm64;
use super::lab::Lab;
use super::proxy::Proxy;
use super::registry::Registry;
use crate::host;
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

    // Without credentials nothing is sent, and the error lists the searched files.
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
        if host::has("podman") {
            let auth = docker.join("config.json");
            let pull = ["podman", "pull", "--quiet", "--tls-verify=false", "--authfile", auth.as_str(), "--platform"];
            let pulled = command(pull).args([platform, &name]).run()?;
            let said = super::engine::run_by("podman").args(["--platform", platform, pulled.line()?]).finish()?;
            command(["podman", "rmi", "--force", pulled.line()?]).run()?;
            ensure!(said.stdout.starts_with(&format!("hello from {machine}\n")), "{}", said.report(machine));
        }
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

/// A registry that takes the tokens of another server, both by https with certificates of their own authority.
pub(super) fn tokens_and_tls(lab: &Lab) -> Result<()> {
    need("skopeo")?;
    let registry = Registry::with_tokens(lab)?;
    let (docker, authority) = (registry.login(lab)?, registry.certificates.join("ca.pem"));
    let name = format!("{}/me/tools:1", registry.host);
    let push = |more: &[&str]| {
        let push = lab.tools(["--with", "true", "--push", &name]).args(more.iter().copied());
        push.env("DOCKER_CONFIG", docker.as_str()).env("SSL_CERT_FILE", authority.as_str())
    };
    push(&[]).env("SSL_CERT_FILE", "").fail(&[1])?.says(&["certificate", "SSL_CERT_FILE"])?;
    let refused = push(&[]).env("DOCKER_CONFIG", lab.folder("nobody")?.as_str()).fail(&[1])?;
    refused.says(&["UNAUTHORIZED", &format!("docker login {}", registry.host)])?;
    registry.requests()?;
    registry.token_requests()?;

    let done = push(&[]).run()?;
    let digest = done.line()?.strip_prefix(&format!("{name}@")).with_context(|| done.report("REF@DIGEST"))?.to_owned();
    ensure!(registry.token_requests()? == 1, "one token is enough for four uploads at once");
    // skopeo takes authorities from a directory of `*.crt`.
    let trusted = lab.folder("trusted")?;
    fs::copy(&authority, trusted.join("ca.crt"))?;
    let inspect = command(["skopeo", "inspect", "--cert-dir", trusted.as_str(), "--creds", "me:secret"]);
    let inspected = inspect.args(["--format", "{{.Digest}}", &format!("docker://{name}")]).run()?;
    ensure!(inspected.stdout.trim() == digest, "{}", inspected.report(&digest));
    registry.requests()?;
    registry.token_requests()?;

    let again = push(&["--message-format", "json"]).run()?;
    let message: Value = serde_json::from_str(again.line()?).context("a message")?;
    ensure!(message["digest"] == digest && message["sent"] == 0, "{}", again.report("nothing is sent twice"));
    let (asked, tokens) = (registry.requests()?, registry.token_requests()?);
    let blobs = asked.iter().filter(|line| line.contains("/blobs/") || line.starts_with("PUT")).count();
    ensure!(
        blobs == 0 && asked.len() <= 5 && tokens == 1,
        "4 requests, and 2 to authenticate: {asked:#?} and {tokens} tokens"
    );

    // A later run mounts the blobs into another repository; without the cache it sends them.
    for (repository, more, mounts) in [("me/other", "-q", true), ("me/another", "--no-cache", false)] {
        let name = format!("{}/{repository}:1", registry.host);
        let push = lab.tools(["--with", "true", "--message-format", "json", more, "--push", &name]);
        let done = push.env("DOCKER_CONFIG", docker.as_str()).env("SSL_CERT_FILE", authority.as_str()).run()?;
        let message: Value = serde_json::from_str(done.line()?).context("a message")?;
        ensure!(message["digest"] == digest, "{}", done.report("another image"));
        ensure!((message["sent"] == 0) == mounts, "{}", done.report("mounted, or sent"));
    }
    Ok(())
}

/// Requests to a registry by https go through the proxy of HTTPS_PROXY, except to the hosts of NO_PROXY.
pub(super) fn proxy(lab: &Lab) -> Result<()> {
    let registry = Registry::with_tokens(lab)?;
    let (docker, authority) = (registry.login(lab)?, registry.certificates.join("ca.pem"));
    let proxy = Proxy::start()?;
    let push = |tag: &str, not: &str| {
        let name = format!("{}/me/tools:{tag}", registry.host);
        let push = lab.tools(["--with", "true", "--push", &name]).env("DOCKER_CONFIG", docker.as_str());
        let push = push.env("SSL_CERT_FILE", authority.as_str()).env("HTTPS_PROXY", format!("http://{}", proxy.host));
        push.env("NO_PROXY", not).run()
    };
    push("1", "example.org")?;
    let asked = proxy.asked();
    ensure!(asked.contains(&registry.host), "the proxy was not asked for {}: {asked:?}", registry.host);
    push("2", "example.org,127.0.0.1")?;
    let asked = proxy.asked();
    ensure!(asked.is_empty(), "in spite of NO_PROXY the proxy was asked for {asked:?}");
    Ok(())
}

/// Pushes that are killed at any moment. The tag has the earlier image or the new one, each complete.
pub(super) fn killed(lab: &Lab) -> Result<()> {
    /// The number of killed pushes, at moments spread over the duration of one.
    const KILLED: u32 = 100;
    need("skopeo")?;
    let (registry, name) = (Registry::start(lab)?, "me/tools:1");
    let (docker, name) = (registry.login(lab)?, format!("{}/{name}", registry.host));
    // Each image has a layer and a configuration of its own.
    let push = |number: u32| -> Result<Command> {
        let text = (0..4000).map(|at| format!("{number} {}\n", at * number)).collect::<String>();
        let include = format!("{}:/srv/number", lab.file(&format!("numbers/{number}"), &text)?);
        let label = format!("number={number}");
        let push = lab.tools(["--with", "true", "--include", &include, "--label", &label, "--push", &name]);
        Ok(push.env("DOCKER_CONFIG", docker.as_str()))
    };
    // Every blob is verified while it is copied.
    let pulled = |number: u32| -> Result<u32> {
        let to = format!("dir:{}", lab.folder(&format!("pulled/{number}"))?);
        let copy = command(["skopeo", "copy", "--src-tls-verify=false", "--src-creds", "me:secret"]);
        copy.args([&format!("docker://{name}"), &to]).run()?;
        let inspected = command(["skopeo", "inspect", "--config", &to]).run()?;
        let config: Value = serde_json::from_str(&inspected.stdout).context("a configuration")?;
        let label = config["config"]["Labels"]["number"].as_str().context("a label")?;
        label.parse().context("a number")
    };
    let started = Instant::now();
    push(0)?.run()?;
    let whole = started.elapsed();
    let (mut earlier, mut changed) = (0, 0);
    for number in 1..=KILLED {
        let handle = push(number)?.start()?;
        std::thread::sleep(whole * number / KILLED + Duration::from_millis(u64::from(number % 5)));
        handle.kill().context("kill a push")?;
        let now = pulled(number)?;
        // The registry may handle the last request of an earlier push after that push was killed.
        ensure!((earlier..=number).contains(&now), "push {number} was killed, and {now} is there, not {earlier}");
        changed += u32::from(now == number);
        earlier = now;
    }
    println!("    {changed} of {KILLED} pushes had set the tag when they were killed");
    push(KILLED + 1)?.run()?;
    ensure!(pulled(KILLED + 1)? == KILLED + 1, "the next push is whole");
    Ok(())
}
