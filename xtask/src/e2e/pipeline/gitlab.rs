//! A job of GitLab CI: its lines in one shell, as root in a container, with GitLab's variables.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::machine::{Machine, User};
use super::{Released, has_archives, next, yaml};
use crate::e2e::lab::Lab;
use crate::process::{Done, command};

/// The lines of these parts as one text.
fn lines(job: &Value, parts: &[&str]) -> Result<String> {
    let mut text = String::new();
    for part in parts {
        for line in job[part].as_array().with_context(|| format!("no {part}"))? {
            text.push_str(line.as_str().context("a line of a script")?);
            text.push('\n');
        }
    }
    Ok(text)
}

/// `before_script` and `script` as one text.
pub(super) fn script(job: &Value) -> Result<String> {
    lines(job, &["before_script", "script"])
}

impl Released<'_> {
    /// Runs the job `release` for a tag on its own machine, and returns the directory of its files.
    fn gitlab(&self, tag: &str, password: &str) -> Result<(Done, camino::Utf8PathBuf)> {
        let work = self.lab.folder(&format!("run-{}", next()))?;
        let checkout = work.join("checkout");
        let origin = format!("file://{}", self.origin);
        let clone = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--depth", "20", "--branch", tag];
        command(clone).args([origin.as_str(), checkout.as_str()]).run()?;
        println!("    checkout: git clone --depth 20 stands in");

        let pipeline = yaml(&checkout.join(".gitlab-ci.yml"))?;
        let job = &pipeline["release"];
        println!("    image: {}: a Debian root stands in", job["image"].as_str().unwrap_or_default());
        println!("    cache: the product's cache of the task stands in; cargo's is empty");
        println!("    release: {}: nothing stands in", job["release"]["tag_name"].as_str().unwrap_or_default());
        let mut env = self.env()?;
        let set = [
            ("CI_COMMIT_TAG", tag),
            ("CI_PROJECT_DIR", checkout.as_str()),
            ("CI_REGISTRY", &self.host),
            ("CI_REGISTRY_IMAGE", &format!("{}/me/app", self.host)),
            ("CI_REGISTRY_USER", "me"),
            ("CI_REGISTRY_PASSWORD", password),
            ("HOME", User::Root.home()),
            ("PATH", &format!("{}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.lab.path("stand-ins"))),
        ];
        env.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (name, value) in pipeline["variables"].as_object().context("variables")? {
            let value = value.as_str().unwrap_or_default().replace("$CI_PROJECT_DIR", checkout.as_str());
            env.insert(name.clone(), value);
        }
        let cache = camino::Utf8PathBuf::from(env.get("CARGO_ROOTFS_CACHE").context("CARGO_ROOTFS_CACHE")?);
        let machine = Machine::new(self.lab, work.file_name().context("a name")?, User::Root, &cache)?;
        let main = format!("set -eo pipefail\n{}", script(job)?);
        let done = machine.command(&checkout, &env, &["bash", "-c", &main])?.finish()?;
        let after = format!("set -eo pipefail\n{}", lines(job, &["after_script"])?);
        machine.command(&checkout, &env, &["bash", "-c", &after])?.run()?;
        ensure!(!checkout.join(".docker").exists(), "credentials are left in {checkout}");
        Ok((done, checkout.join("dist")))
    }
}

/// From a tag to a release, in two runs.
pub(in crate::e2e) fn gitlab(lab: &Lab) -> Result<()> {
    let released = Released::new(lab, "gitlab")?;
    released.git(&["tag", "v9.9.9"]).run()?;
    for (tag, password, says) in [("v9.9.9", "secret", "Cargo.toml has version 1.0.0"), ("v1.0.0", "wrong", "error: ")]
    {
        let (done, _) = released.gitlab(tag, password)?;
        ensure!(done.code != Some(0) && done.stderr.contains(says), "{}", done.report(says));
        released.has_nothing("1.0.0")?;
    }
    for tag in ["v1.0.0", "v1.1.0"] {
        let (done, dist) = released.gitlab(tag, "secret")?;
        ensure!(done.code == Some(0), "{}", done.report("the pipeline failed"));
        released.has_both(&format!("me/app:{}", &tag[1..]))?;
        has_archives(&dist)?;
        if tag == "v1.0.0" {
            released.change()?;
        }
    }
    released.sent_the_last_layers()
}
