//! A job of GitLab CI: its lines in one shell, with the variables that GitLab sets.

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::Value;

use super::workflow::{Names, yaml};
use crate::process::{Done, command};

/// `before_script` and `script` as one text.
pub(super) fn script(job: &Value) -> Result<String> {
    let mut text = String::new();
    for part in ["before_script", "script"] {
        for line in job[part].as_array().with_context(|| format!("no {part}"))? {
            text.push_str(line.as_str().context("a line of a script")?);
            text.push('\n');
        }
    }
    Ok(text)
}

/// Runs the job `release` of the checkout for a tag.
pub(super) fn run(checkout: &Utf8Path, env: &Names, tag: &str, registry: &str) -> Result<Done> {
    let pipeline = yaml(&checkout.join(".gitlab-ci.yml"))?;
    let job = &pipeline["release"];
    println!("    image: {}: this machine stands in for it", job["image"].as_str().unwrap_or_default());
    let script = format!("set -eo pipefail\n{}", script(job)?);
    let mut run = command(["bash", "-c", &script]).dir(checkout);
    for (name, value) in env {
        run = run.env(name, value);
    }
    let variables = pipeline["variables"].as_object().context("variables")?;
    for (name, value) in variables {
        let value = value.as_str().unwrap_or_default().replace("$CI_PROJECT_DIR", checkout.as_str());
        // What cargo and the product keep is the machine's here: nothing is downloaded again.
        if !matches!(name.as_str(), "CARGO_HOME" | "CARGO_ROOTFS_CACHE") {
            run = run.env(name, value);
        }
    }
    let home = std::env::var("CARGO_HOME").ok().filter(|home| !home.is_empty());
    let home = home.unwrap_or_else(|| format!("{}/.cargo", std::env::var("HOME").unwrap_or_default()));
    let set = [
        ("CARGO_HOME", home.as_str()),
        ("CI", "true"),
        ("CI_COMMIT_TAG", tag),
        ("CI_PROJECT_DIR", checkout.as_str()),
        ("CI_REGISTRY", registry),
        ("CI_REGISTRY_IMAGE", &format!("{registry}/me/app")),
        ("CI_REGISTRY_USER", "me"),
        ("CI_REGISTRY_PASSWORD", "secret"),
    ];
    for (name, value) in set {
        run = run.env(name, value);
    }
    run.finish()
}
