//! The pipelines that `cargo rootfs init` writes, and this project's own, run step by step against a registry of the
//! scenario.
//!
//! Each job has its own Debian root. `docker-registry` replaces the forge's registry, and scripts replace `rustup`,
//! `gh`, `cargo install --git` and `cargo xtask release`; each prints a line when it is called.

mod faults;
mod github;
mod gitlab;
mod machine;
mod own;
mod workflow;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::lab::Lab;
use super::registry::Registry;
use crate::host;
use crate::process::{Command, command};
use crate::stage::{cannot, need};
use workflow::{Names, Runner, yaml};

pub(super) use github::{bad_input, github, native, two_at_once};
pub(super) use gitlab::gitlab;
pub(super) use own::{action, image, release};

/// Tools of a runner that are replaced by shell scripts.
const STAND_INS: [(&str, &str); 3] = [
    ("rustup", "echo \"stand-in for rustup $*\"\n"),
    ("gh", include_str!("gh.sh")),
    ("cargo", include_str!("cargo.sh")),
];

/// A project of the scenario with a pipeline, committed and tagged.
struct Released<'l> {
    lab: &'l Lab,
    /// The repository that runners clone.
    origin: Utf8PathBuf,
    registry: Registry,
    /// The registry's address for runners.
    host: String,
}

/// Every file follows its schema, and every script passes shellcheck.
pub(super) fn schemas(lab: &Lab) -> Result<()> {
    let tools = tools()?;
    let repo = host::repo();
    let check = |schema: &str, file: &Utf8Path| {
        let tool = tools.join("check-jsonschema");
        command([tool.as_str(), "--builtin-schema", schema, file.as_str()]).run().map(drop)
    };
    let mut scripts = vec![repo.join(".github/actions/setup/install.sh"), repo.join(".ci/run")];
    let mut files = Vec::new();
    for folder in ["app", "nested/app"] {
        let app = lab.folder(folder)?;
        lab.cargo(&app, ["init", "--quiet", "--vcs", "none", "--name", "app"]).run()?;
        if folder == "nested/app" {
            command(["git", "init", "--quiet", lab.path("nested").as_str()]).run()?;
        }
        let root = if folder == "app" { app.clone() } else { lab.path("nested") };
        for (forge, path) in [("github", ".github/workflows/release.yml"), ("gitlab", ".gitlab-ci.yml")] {
            lab.rootfs(&app, ["init", "--ci", forge]).run()?;
            files.push((
                format!("vendor.{}", if forge == "github" { "github-workflows" } else { "gitlab-ci" }),
                root.join(path),
            ));
        }
    }
    for file in repo.join(".github/workflows").read_dir_utf8().context("read .github/workflows")? {
        files.push(("vendor.github-workflows".to_owned(), file?.into_path()));
    }
    files.push(("vendor.github-actions".to_owned(), repo.join(".github/actions/setup/action.yml")));
    for (schema, file) in &files {
        check(schema, file)?;
        scripts.extend(scripts_of(lab, file)?);
    }
    let shellcheck = tools.join("shellcheck");
    // SC2016: the forge, not the shell, expands `${{ }}` in single quotes.
    let all = command([shellcheck.as_str(), "--shell", "bash", "--exclude", "SC2016"]);
    all.args(scripts.iter().map(|script| script.as_str())).run().map(drop)
}

/// Writes the `run:` and `script:` texts of a file to files, with words in place of the forge's expressions.
fn scripts_of(lab: &Lab, file: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let value = yaml(file)?;
    let mut texts = Vec::new();
    let jobs = value["jobs"].as_object().into_iter().flatten().flat_map(|(_, job)| job["steps"].as_array());
    for step in jobs.chain(value["runs"]["steps"].as_array()).flatten() {
        texts.extend(step["run"].as_str().map(str::to_owned));
    }
    if file.file_name() == Some(".gitlab-ci.yml") {
        // The options with which GitLab starts it.
        texts.push(format!("set -eo pipefail\n{}", gitlab::script(&value["release"])?));
    }
    let mut scripts = Vec::new();
    for (at, text) in texts.into_iter().enumerate() {
        let mut plain = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${{") {
            plain += &format!("{before}expression");
            rest = after.split_once("}}").map_or("", |(_, after)| after);
        }
        plain += rest;
        let name = file.as_str().replace('/', "-");
        scripts.push(lab.file(&format!("scripts/{name}-{at}.sh"), &plain)?);
    }
    Ok(scripts)
}

fn tools() -> Result<Utf8PathBuf> {
    let bin = host::schemas().join("bin");
    if bin.join("shellcheck").exists() { Ok(bin) } else { cannot(format!("no {bin}: run `cargo xtask setup --all`")) }
}

impl<'l> Released<'l> {
    /// A new project with the pipeline of `forge`, at version 1.0.0.
    fn new(lab: &'l Lab, forge: &str) -> Result<Self> {
        let released = Self::at(lab, lab.folder("app")?)?;
        lab.cargo(&released.origin, ["init", "--quiet", "--name", "app"]).run()?;
        lab.cargo(&released.origin, ["generate-lockfile", "--offline"]).run()?;
        lab.rootfs(&released.origin, ["init", "--ci", forge]).run()?;
        released.commit("1.0.0")?;
        Ok(released)
    }

    /// A registry and runners for the repository `origin`.
    fn at(lab: &'l Lab, origin: Utf8PathBuf) -> Result<Self> {
        tools()?;
        for tool in ["git", "docker-registry", "skopeo"] {
            need(tool)?;
        }
        crate::made::runner()?;
        for (name, text) in STAND_INS {
            let file = lab.file(&format!("stand-ins/{name}"), text)?;
            command(["chmod", "755", file.as_str()]).run()?;
        }
        let forge = lab.folder("forge")?;
        command(["chmod", "777", forge.as_str()]).run()?;
        let registry = Registry::start(lab)?;
        let host = registry.host.clone();
        Ok(Self { lab, origin, registry, host })
    }

    /// Commits everything as this version, and tags it.
    fn commit(&self, version: &str) -> Result<()> {
        let manifest = self.origin.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let lines = text.lines().map(|line| {
            if line.starts_with("version = ") { format!("version = \"{version}\"") } else { line.to_owned() }
        });
        fs::write(&manifest, lines.collect::<Vec<_>>().join("\n") + "\n")?;
        fs::write(self.origin.join(".gitignore"), "/target\n/dist\n/.c*\n/.docker\n!/.gitlab-ci.yml\n")?;
        self.lab.cargo(&self.origin, ["generate-lockfile", "--offline"]).run()?;
        for words in
            [&["add", "--all"][..], &["commit", "--quiet", "--message", version], &["tag", &format!("v{version}")]]
        {
            self.git(words).run()?;
        }
        Ok(())
    }

    /// Commits version 1.1.0 with a changed program.
    fn change(&self) -> Result<()> {
        fs::write(self.origin.join("src/main.rs"), "fn main() { println!(\"two\"); }\n")?;
        self.commit("1.1.0")?;
        self.registry.requests().map(drop)
    }

    fn git(&self, words: &[&str]) -> Command {
        let who = ["-c", "user.name=me", "-c", "user.email=me@example.org"];
        command(["git"]).args(who).args(words.iter().copied()).dir(&self.origin)
    }

    /// The environment of every runner: the compiler, and variables of the replaced tools.
    fn env(&self) -> Result<Names> {
        let env = [
            ("REAL_CARGO", machine::CARGO.to_owned()),
            ("RUSTC", machine::RUSTC.to_owned()),
            ("PROGRAM", self.lab.path("bin/cargo-rootfs").to_string()),
            ("FORGE", self.lab.path("forge").to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            ("CI", "true".to_owned()),
        ];
        Ok(env.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The number of blobs that were sent since the last call.
    fn uploads(&self) -> Result<usize> {
        let requests = self.registry.requests()?;
        Ok(requests.iter().filter(|line| line.starts_with("PUT") && line.contains("/blobs/")).count())
    }

    /// Checks that a second release sent the last layer, the configuration and the bill of materials, for each of two
    /// architectures.
    fn sent_the_last_layers(&self) -> Result<()> {
        let uploads = self.uploads()?;
        println!("    the second release uploads {uploads} blobs");
        ensure!(uploads == 6, "the second release uploads {uploads} blobs, and not 6");
        Ok(())
    }

    /// The tags of the image in the registry.
    fn tags(&self, image: &str) -> Result<String> {
        let list = command(["skopeo", "list-tags", "--tls-verify=false", "--creds", "me:secret"]);
        Ok(list.arg(format!("docker://{}/{image}", self.registry.host)).finish()?.stdout)
    }

    /// Checks that the tag's index has both platforms.
    fn has_both(&self, reference: &str) -> Result<()> {
        let raw = command(["skopeo", "inspect", "--raw", "--tls-verify=false", "--creds", "me:secret"]);
        let raw = raw.arg(format!("docker://{}/{reference}", self.registry.host)).run()?;
        for architecture in ["amd64", "arm64"] {
            ensure!(
                raw.stdout.contains(&format!("\"architecture\":\"{architecture}\"")),
                "{}",
                raw.report(architecture)
            );
        }
        Ok(())
    }

    /// Checks that the forge's release is published, with an archive and a bill of materials for each architecture, as
    /// its sums say.
    fn has_release(&self, tag: &str) -> Result<()> {
        let release = self.lab.path("forge").join(tag);
        ensure!(!release.join(".draft").exists(), "{release} is a draft still");
        has_archives(&release)
    }

    /// Checks that neither the registry nor the forge has published anything of this version.
    fn has_nothing(&self, version: &str) -> Result<()> {
        let tags = self.tags("me/app")?;
        ensure!(!tags.contains(version), "a bad run has a tag: {tags}");
        let release = self.lab.path("forge").join(format!("v{version}"));
        ensure!(!release.exists() || release.join(".draft").exists(), "a bad run has a release: {release}");
        Ok(())
    }
}

/// Checks that archives and bills of two architectures exist, and that the archives match their sums.
fn has_archives(dist: &Utf8Path) -> Result<()> {
    let sums = command(["sha256sum", "--check", "SHA256SUMS"]).dir(dist).run()?;
    ensure!(sums.stdout.lines().count() == 2, "{}", sums.report("an archive for each architecture"));
    let names: Vec<String> =
        dist.read_dir_utf8()?.map(|file| Ok(file?.file_name().to_owned())).collect::<Result<_>>()?;
    for arch in ["amd64", "arm64"] {
        let bill = names.iter().any(|name| name.ends_with(&format!("-{arch}.spdx.json")));
        ensure!(bill, "no bill for {arch}: {names:?}");
    }
    Ok(())
}

/// A new number in this process.
fn next() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
