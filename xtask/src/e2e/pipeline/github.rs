//! The pipelines for GitHub, from a tag to a release.

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use fs_err as fs;
use serde_json::Value;

use super::faults::Proxy;
use super::{Names, Released, Runner, next, yaml};
use crate::e2e::lab::Lab;

/// A variation of one run: its names and variables, the workflow's text, the checkout.
pub(super) struct Change<'c> {
    pub(super) tag: &'c str,
    pub(super) names: &'c [(&'c str, &'c str)],
    pub(super) env: &'c [(&'c str, &'c str)],
    pub(super) workflow: &'c dyn Fn(&mut Value),
    pub(super) checkout: &'c (dyn Fn(&Utf8Path) -> Result<()> + Sync),
}

impl<'c> Change<'c> {
    pub(super) fn none(tag: &'c str) -> Change<'c> {
        Change { tag, names: &[], env: &[], workflow: &|_| {}, checkout: &|_| Ok(()) }
    }
}

impl Released<'_> {
    /// A runner for a tag.
    pub(super) fn runner<'r>(&'r self, change: &Change<'r>) -> Result<Runner<'r>> {
        let work = self.lab.folder(&format!("run-{}", next()))?;
        let mut env = self.env()?;
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REF_TYPE", "tag"),
            ("GITHUB_REF_NAME", change.tag),
            ("GITHUB_REF", &format!("refs/tags/{}", change.tag)),
        ];
        let env_of = github.iter().chain(change.env).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        env.extend(env_of);
        let names = [
            ("github.repository", "me/app"),
            ("github.actor", "me"),
            ("github.token", "secret"),
            ("secrets.GITHUB_TOKEN", "secret"),
            ("runner.os", "Linux"),
        ];
        let names = names.iter().chain(change.names).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let stand_ins = vec![("ghcr.io".to_owned(), self.host.clone())];
        println!("    ghcr.io: {} stands in", self.host);
        Ok(Runner {
            lab: self.lab,
            work,
            origin: &self.origin,
            tag: change.tag,
            names: names.collect::<Names>(),
            env,
            stand_ins,
            after_checkout: change.checkout,
        })
    }

    /// Runs these jobs of a workflow in order; the runner has the outputs.
    pub(super) fn workflow<'r>(&'r self, file: &Utf8Path, jobs: &[&str], change: &Change<'r>) -> Result<Runner<'r>> {
        let mut workflow = yaml(file)?;
        (change.workflow)(&mut workflow);
        let mut runner = self.runner(change)?;
        for job in jobs {
            runner.job(&workflow, job)?;
        }
        Ok(runner)
    }

    fn run<'r>(&'r self, change: &Change<'r>) -> Result<Runner<'r>> {
        self.workflow(&self.origin.join(".github/workflows/release.yml"), &["release"], change)
    }

    /// A run that must fail with these words, and must publish nothing.
    fn fails(&self, change: &Change<'_>, says: &str) -> Result<()> {
        let error = self.run(change).err().with_context(|| format!("a run succeeded that should say `{says}`"))?;
        ensure!(format!("{error:#}").contains(says), "expected `{says}`: {error:#}");
        self.has_nothing("1.0.0")
    }
}

/// A tag becomes an image for two architectures and a release. A second run of the same commit sends nothing, and the
/// next commit sends only its last layers.
pub(in crate::e2e) fn github(lab: &Lab) -> Result<()> {
    let released = Released::new(lab, "github")?;
    released.run(&Change::none("v1.0.0"))?;
    released.has_both("me/app:1.0.0")?;
    released.has_release("v1.0.0")?;
    let log = fs::read_to_string(lab.path("forge/log")).context("no release")?;
    let (draft, end) = (log.find("release create v1.0.0 --draft"), log.find("release edit v1.0.0 --draft=false"));
    ensure!(draft.is_some() && draft < end, "the release is not a draft until its end: {log}");
    released.uploads()?;

    // The same commit again, as after a lost runner.
    released.run(&Change::none("v1.0.0"))?;
    let uploads = released.uploads()?;
    ensure!(uploads == 0, "the second run uploads {uploads} blobs");

    released.change()?;
    let run = released.run(&Change::none("v1.1.0"))?;
    released.sent_the_last_layers()?;
    released.has_both("me/app:1.1.0")?;
    released.has_release("v1.1.0")?;
    let changes = run.work.join("release-0/temp/changes.md");
    let changes = fs::read_to_string(&changes)?;
    ensure!(changes.contains("Compared with v1.0.0") && changes.contains("/usr/local/bin/app"), "{changes}");

    // A shallow clone lacks the tags: the release is made, and says that nothing was compared.
    let shallow = |workflow: &mut Value| {
        let checkout = &mut workflow["jobs"]["release"]["steps"][0];
        checkout["with"]["fetch-depth"] = 1.into();
    };
    let run = released.run(&Change { workflow: &shallow, ..Change::none("v1.1.0") })?;
    let changes = fs::read_to_string(run.work.join("release-0/temp/changes.md"))?;
    ensure!(changes.contains("fetch-depth: 0"), "{changes}");
    Ok(())
}

/// Each architecture on its own runner, and then the joined images.
pub(in crate::e2e) fn native(lab: &Lab) -> Result<()> {
    let released = Released::new(lab, "github")?;
    let file = released.origin.join(".github/workflows/release-native.yml");
    for tag in ["v1.0.0", "v1.1.0"] {
        released.workflow(&file, &["build", "release"], &Change::none(tag))?;
        released.has_both(&format!("me/app:{}", &tag[1..]))?;
        released.has_release(tag)?;
        if tag == "v1.0.0" {
            released.change()?;
        }
    }
    released.sent_the_last_layers()
}

/// Nothing is released with a wrong tag, checkout or credentials, or while the registry is down.
pub(in crate::e2e) fn bad_input(lab: &Lab) -> Result<()> {
    let mut released = Released::new(lab, "github")?;
    released.git(&["tag", "v9.9.9"]).run()?;
    let good = || Change::none("v1.0.0");
    let branch = [("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF", "refs/heads/main")];
    released.fails(
        &Change { env: &branch, ..good() },
        "::error::this pipeline releases tags, and refs/heads/main is none",
    )?;
    released.fails(&Change::none("v9.9.9"), "Cargo.toml has version 1.0.0")?;
    let stray = |checkout: &Utf8Path| fs::write(checkout.join("stray"), "x").context("write stray");
    released.fails(&Change { checkout: &stray, ..good() }, "::error::the checkout has changes")?;
    let password = [("secrets.GITHUB_TOKEN", "wrong")];
    released.fails(&Change { names: &password, ..good() }, "::error title=cargo rootfs::")?;
    let logged_out = |workflow: &mut Value| {
        let steps = workflow["jobs"]["release"]["steps"].as_array_mut().expect("steps");
        steps.retain(|step| !step["uses"].as_str().is_some_and(|uses| uses.starts_with("docker/login-action")));
    };
    released.fails(&Change { workflow: &logged_out, ..good() }, "docker login")?;
    ensure!(!lab.path("forge/log").exists(), "a bad run called the forge");

    // The registry fails in the middle of a layer, stays down, and then works again.
    let down = Proxy::new(&released.registry.host, 600_000)?;
    released.host.clone_from(&down.host);
    released.fails(&good(), "::error title=cargo rootfs::")?;
    ensure!(!lab.path("forge/log").exists(), "a bad run called the forge");
    down.mend();
    released.run(&good())?;
    released.has_both("me/app:1.0.0")?;
    released.has_release("v1.0.0")
}

/// Two runners finish at once: both succeed, or one reports that the other was faster. One complete release exists.
pub(in crate::e2e) fn two_at_once(lab: &Lab) -> Result<()> {
    let released = Released::new(lab, "github")?;
    let ends = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| released.run(&Change::none("v1.0.0")).map(drop)));
        runs.map(|run| run.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a run panicked"))))
    });
    for end in ends {
        end?;
    }
    released.has_both("me/app:1.0.0")?;
    released.has_release("v1.0.0")
}
