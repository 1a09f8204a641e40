//! Pipelines that `cargo rootfs init` writes, run step by step against a registry of the scenario's own.
//!
//! `docker-registry` stands in for the forge's registry, and scripts stand in for `sudo`, `rustup`, `apt-get`, `gh` and the
//! installation from git; each says so when it is called.

mod gitlab;
mod workflow;

use std::fs;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::arm64;
use super::lab::Lab;
use super::registry::Registry;
use crate::host;
use crate::process::{Command, command};
use crate::stage::{cannot, need};
use workflow::{Names, Runner, yaml};

/// Tools of a runner that something stands in for, as shell scripts.
const STAND_INS: [(&str, &str); 5] = [
    ("sudo", "exec \"$@\"\n"),
    ("rustup", "echo \"stand-in for rustup $*\"\n"),
    // What it should install must be there.
    (
        "apt-get",
        "echo \"stand-in for apt-get $*\"\ncase $1 in install) shift; for p; do case $p in -*) ;; *) dpkg -s \"$p\" >/dev/null || exit 1;; esac; done;; esac\n",
    ),
    (
        "gh",
        "echo \"$*\" >> \"$GH_LOG\"\ncase \"$1 $2\" in 'release view') [ -e \"$GH_LOG.created\" ];; 'release create') touch \"$GH_LOG.created\";; esac\n",
    ),
    (
        "cargo",
        "case \" $* \" in *' install '*' --git '*' cargo-rootfs '*) echo \"stand-in for cargo $*\";; *' install '*) echo 'not from git' >&2; exit 1;; *) exec \"$REAL_CARGO\" \"$@\";; esac\n",
    ),
];

/// A project of the scenario, with a pipeline, committed and tagged.
struct Released<'l> {
    lab: &'l Lab,
    checkout: Utf8PathBuf,
    registry: Registry,
    bin: Utf8PathBuf,
}

/// Every file is what its schema says, and every script passes shellcheck.
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
    // SC2016: `${{ }}` in single quotes is the forge's, not the shell's.
    let all = command([shellcheck.as_str(), "--shell", "bash", "--exclude", "SC2016"]);
    all.args(scripts.iter().map(|script| script.as_str())).run().map(drop)
}

/// The `run:` and `script:` texts of a file, as files; expressions of the forge are words in them.
fn scripts_of(lab: &Lab, file: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let value = yaml(file)?;
    let mut texts = Vec::new();
    let jobs = value["jobs"].as_object().into_iter().flatten().flat_map(|(_, job)| job["steps"].as_array());
    for step in jobs.chain(value["runs"]["steps"].as_array()).flatten() {
        texts.extend(step["run"].as_str().map(str::to_owned));
    }
    if file.file_name() == Some(".gitlab-ci.yml") {
        // As GitLab starts it.
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
        tools()?;
        for tool in ["git", "jq", "docker-registry", "skopeo"] {
            need(tool)?;
        }
        arm64::can_run()?;
        let bin = lab.folder("stand-ins")?;
        for (name, text) in STAND_INS {
            let file = lab.file(&format!("stand-ins/{name}"), &format!("#!/bin/sh\n{text}"))?;
            command(["chmod", "755", file.as_str()]).run()?;
        }
        let checkout = lab.folder("app")?;
        lab.cargo(&checkout, ["init", "--quiet", "--name", "app"]).run()?;
        lab.cargo(&checkout, ["generate-lockfile", "--offline"]).run()?;
        lab.rootfs(&checkout, ["init", "--ci", forge]).run()?;
        let released = Self { lab, checkout, registry: Registry::start(lab)?, bin };
        released.commit("1.0.0")?;
        Ok(released)
    }

    /// Commits everything as this version, and tags it.
    fn commit(&self, version: &str) -> Result<()> {
        let manifest = self.checkout.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| format!("read {manifest}"))?;
        let lines = text.lines().map(|line| {
            if line.starts_with("version = ") { format!("version = \"{version}\"") } else { line.to_owned() }
        });
        fs::write(&manifest, lines.collect::<Vec<_>>().join("\n") + "\n")
            .with_context(|| format!("write {manifest}"))?;
        fs::write(self.checkout.join(".gitignore"), "/target\n/dist\n")?;
        self.lab.cargo(&self.checkout, ["generate-lockfile", "--offline"]).run()?;
        for words in
            [&["add", "--all"][..], &["commit", "--quiet", "--message", version], &["tag", &format!("v{version}")]]
        {
            self.git(words).run()?;
        }
        Ok(())
    }

    fn git(&self, words: &[&str]) -> Command {
        let who = ["-c", "user.name=me", "-c", "user.email=me@example.org"];
        command(["git"]).args(who).args(words.iter().copied()).dir(&self.checkout)
    }

    /// The environment of a runner: tools that stand in for others, credentials, compilers.
    fn env(&self) -> Result<Names> {
        let lab = self.lab;
        let path = format!("{}:{}:{}", self.bin, lab.path("bin"), std::env::var("PATH").unwrap_or_default());
        let rustc = crate::made::debian_rustc()?;
        let env = [
            ("PATH", path),
            ("REAL_CARGO", host::cargo()),
            ("RUSTC", rustc.to_string()),
            ("DOCKER_CONFIG", self.registry.login(lab)?.to_string()),
            ("GH_LOG", lab.path("gh.log").to_string()),
            ("CARGO_NET_OFFLINE", "true".to_owned()),
        ];
        Ok(env.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// One run of the workflow for a tag.
    fn github(&self, tag: &str, change: impl FnOnce(&mut Names)) -> Result<crate::process::Done> {
        self.workflow("release.yml", &["release"], tag, change)
    }

    /// One run of these jobs of a workflow.
    fn workflow(
        &self,
        file: &str,
        jobs: &[&str],
        tag: &str,
        change: impl FnOnce(&mut Names),
    ) -> Result<crate::process::Done> {
        let work = self.lab.folder(&format!("work-{tag}-{}", fastest()))?;
        let mut env = self.env()?;
        let github = [("GITHUB_ACTIONS", "true"), ("CI", "true"), ("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", tag)];
        env.extend(github.map(|(name, value)| (name.to_owned(), value.to_owned())));
        env.insert("GITHUB_REF".to_owned(), format!("refs/tags/{tag}"));
        env.insert("RUNNER_TEMP".to_owned(), work.to_string());
        change(&mut env);
        let names = [
            ("github.repository", "me/app"),
            ("github.actor", "me"),
            ("github.token", "token"),
            ("secrets.GITHUB_TOKEN", "token"),
            ("runner.os", "Linux"),
        ];
        let names = names.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let stand_ins = vec![("ghcr.io".to_owned(), self.registry.host.clone())];
        println!("    ghcr.io: {} stands in for it", self.registry.host);
        let workflow = yaml(&self.checkout.join(".github/workflows").join(file))?;
        let mut runner = Runner { checkout: &self.checkout, work, names, env, stand_ins };
        let mut last = None;
        for job in jobs {
            last = Some(runner.job(&workflow, job)?);
        }
        last.context("no job")
    }

    /// The tags of the image in the registry.
    fn tags(&self, image: &str) -> Result<String> {
        let list = command(["skopeo", "list-tags", "--tls-verify=false", "--creds", "me:secret"]);
        Ok(list.arg(format!("docker://{}/{image}", self.registry.host)).finish()?.stdout)
    }

    /// Both platforms are in the index of the tag.
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

    /// The archives of the checkout are what their sums say.
    fn has_archives(&self) -> Result<()> {
        let dist = self.checkout.join("dist");
        let sums = command(["sha256sum", "--check", "SHA256SUMS"]).dir(&dist).run()?;
        ensure!(sums.stdout.lines().count() >= 2, "{}", sums.report("an archive for each architecture"));
        Ok(())
    }
}

/// A number that no earlier run of this process had.
fn fastest() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// A run that must fail: its tag, the change of its environment, and the error.
type BadRun<'b> = (&'b str, &'b dyn Fn(&mut Names), &'b str);

/// A tag becomes an image for two architectures and archives; the same commit sends nothing the second time; and nothing is
/// released of a tag, a checkout or a registry that is wrong.
pub(super) fn github(lab: &Lab) -> Result<()> {
    let released = Released::new(lab, "github")?;
    // Nothing of these reaches the registry.
    let bad: [BadRun<'_>; 3] = [
        ("v1.0.0", &|env| drop(env.insert("GITHUB_REF_TYPE".into(), "branch".into())), "this pipeline releases tags"),
        ("v9.9.9", &|_| {}, "Cargo.toml has version 1.0.0"),
        (
            "v1.0.0",
            &|env| drop(env.insert("DOCKER_CONFIG".into(), "/nonexistent".into())),
            "::error title=cargo rootfs::",
        ),
    ];
    for (tag, change, says) in bad {
        let error = released.github(tag, change).err().context("a bad run succeeded")?;
        ensure!(format!("{error:#}").contains(says), "expected `{says}`: {error:#}");
    }
    fs::write(released.checkout.join("stray"), "x")?;
    let error = released.github("v1.0.0", |_| {}).err().context("a dirty tree was released")?;
    ensure!(format!("{error:#}").contains("::error::the checkout has changes"), "{error:#}");
    fs::remove_file(released.checkout.join("stray"))?;
    ensure!(!released.tags("me/app")?.contains("1.0.0"), "a bad run has a tag");
    ensure!(!lab.path("gh.log").exists(), "a bad run has a release");

    released.github("v1.0.0", |_| {})?;
    released.has_both("me/app:1.0.0")?;
    released.has_archives()?;
    let log = fs::read_to_string(lab.path("gh.log")).context("no release")?;
    let (draft, end) = (log.find("release create v1.0.0 --draft"), log.find("release edit v1.0.0 --draft=false"));
    ensure!(draft.is_some() && draft < end, "the release is not a draft until its end: {log}");
    released.registry.requests()?;

    // The same commit again, as after a runner that was lost: nothing is uploaded.
    released.github("v1.0.0", |_| {})?;
    let uploads = |requests: &[String]| {
        requests.iter().filter(|line| line.starts_with("PUT") && line.contains("/blobs/")).count()
    };
    let requests = released.registry.requests()?;
    ensure!(uploads(&requests) == 0, "the second run uploads: {requests:#?}");

    // Two runners that finish at once.
    std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| released.github("v1.0.0", |_| {})));
        runs.into_iter().try_for_each(|run| run.join().map_err(|_| anyhow::anyhow!("a run panicked"))?.map(drop))
    })?;
    released.has_both("me/app:1.0.0")?;

    fs::write(released.checkout.join("src/main.rs"), "fn main() { println!(\"two\"); }\n")?;
    released.commit("1.1.0")?;
    released.registry.requests()?;
    released.github("v1.1.0", |_| {})?;
    let requests = released.registry.requests()?;
    println!("    the second release uploads {} blobs", uploads(&requests));
    released.has_both("me/app:1.1.0")?;
    let changes = command(["sh", "-c", "cat \"$0\"/work-v1.1.0-*/changes.md", lab.path("").as_str()]).run()?;
    ensure!(
        changes.stdout.contains("Compared with v1.0.0") && changes.stdout.contains("/usr/local/bin/app"),
        "{}",
        changes.report("what changed")
    );
    Ok(())
}

/// Each architecture on a runner of its own, and the images joined; this machine stands in for both runners.
pub(super) fn native(lab: &Lab) -> Result<()> {
    let released = Released::new(lab, "github")?;
    released.workflow("release-native.yml", &["build", "release"], "v1.0.0", |_| {})?;
    released.has_both("me/app:1.0.0")?;
    released.has_archives()
}

/// The same on GitLab.
pub(super) fn gitlab(lab: &Lab) -> Result<()> {
    let released = Released::new(lab, "gitlab")?;
    let run = |tag: &str| gitlab::run(&released.checkout, &released.env()?, tag, &released.registry.host);
    let error = run("v9.9.9")?;
    ensure!(
        error.code != Some(0) && error.stderr.contains("Cargo.toml has version 1.0.0"),
        "{}",
        error.report("a wrong tag")
    );
    let done = run("v1.0.0")?;
    ensure!(done.code == Some(0), "{}", done.report("the pipeline failed"));
    released.has_both("me/app:1.0.0")?;
    released.has_archives()
}
