//! A small runner of workflows: `run:` steps in order, with env, working-directory, outputs, GITHUB_ENV and
//! GITHUB_PATH.
//!
//! Each job, and each row of its matrix, has its own machine and checkout. The output lists each `uses:` step with its
//! replacement; an unknown action, and an `if:`, are errors.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json::Value;

use super::machine::{Machine, User};
use crate::e2e::lab::Lab;
use crate::host;
use crate::process::{Done, command};

/// The values of expressions, such as `github.repository`.
pub(super) type Names = BTreeMap<String, String>;

/// One run of a workflow.
pub(super) struct Runner<'r> {
    pub(super) lab: &'r Lab,
    /// A directory of the lab for this run: checkouts, scripts, artifacts.
    pub(super) work: Utf8PathBuf,
    /// The repository that `actions/checkout` clones, and the tag.
    pub(super) origin: &'r Utf8Path,
    pub(super) tag: &'r str,
    pub(super) names: Names,
    pub(super) env: Names,
    /// Texts of workflows, with their replacements.
    pub(super) stand_ins: Vec<(String, String)>,
    /// Damages the checkout of a bad run, after `actions/checkout`.
    pub(super) after_checkout: &'r (dyn Fn(&Utf8Path) -> Result<()> + Sync),
}

/// One job of a run.
struct Job<'j> {
    machine: Machine,
    /// The directory of the checkout.
    checkout: Utf8PathBuf,
    /// The directory for scripts and outputs.
    temp: Utf8PathBuf,
    env: Names,
    path: Vec<String>,
    defaults: &'j Value,
}

/// A file as JSON: YAML 1.2, as forges read it.
pub(super) fn yaml(file: &Utf8Path) -> Result<Value> {
    let python = host::schemas().join("bin/python");
    let script =
        "import json, sys, ruamel.yaml\nprint(json.dumps(ruamel.yaml.YAML(typ='safe').load(open(sys.argv[1]))))";
    let done = command([python.as_str(), "-c", script, file.as_str()]).run()?;
    serde_json::from_str(&done.stdout).with_context(|| format!("read {file}"))
}

impl Runner<'_> {
    /// Runs the steps of a job, once for each row of its matrix, and keeps its outputs. The first step that fails ends
    /// it.
    pub(super) fn job(&mut self, workflow: &Value, name: &str) -> Result<()> {
        let job = &workflow["jobs"][name];
        let include = job["strategy"]["matrix"]["include"].as_array().cloned().unwrap_or_else(|| vec![Value::Null]);
        ensure!(!include.is_empty(), "an empty matrix");
        for (at, values) in include.iter().enumerate() {
            for (name, value) in values.as_object().into_iter().flatten() {
                println!("    matrix.{name}: {value}");
                self.names.insert(format!("matrix.{name}"), value.as_str().unwrap_or_default().to_owned());
            }
            println!(
                "    runs-on: {}: a Debian root stands in",
                self.text(job["runs-on"].as_str().unwrap_or_default())?
            );
            let mut run = self.start(&format!("{name}-{at}"), &workflow["defaults"]["run"])?;
            for table in [&workflow["env"], &job["env"]] {
                for (name, value) in table.as_object().into_iter().flatten() {
                    let value = self.text(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
                    self.names.insert(format!("env.{name}"), value.clone());
                    run.env.insert(name.clone(), value);
                }
            }
            self.steps(&mut run, job["steps"].as_array().context("a job with steps")?)?;
        }
        for (output, value) in job["outputs"].as_object().into_iter().flatten() {
            let value = self.text(value.as_str().unwrap_or_default())?;
            self.names.insert(format!("jobs.{name}.outputs.{output}"), value);
        }
        Ok(())
    }

    /// Runs the steps of a composite action of the checkout on its own machine, and then a command.
    pub(super) fn action(&mut self, action: &str, then: &str) -> Result<Done> {
        let mut run = self.start("action", &Value::Null)?;
        self.checkout(&run, &Value::Null)?;
        let directory = run.checkout.join(action);
        let value = yaml(&directory.join("action.yml"))?;
        for (name, input) in value["inputs"].as_object().into_iter().flatten() {
            let default = input["default"].as_str().unwrap_or_default();
            self.names.entry(format!("inputs.{name}")).or_insert_with(|| default.to_owned());
        }
        run.env.insert("GITHUB_ACTION_PATH".to_owned(), directory.to_string());
        self.steps(&mut run, value["runs"]["steps"].as_array().context("an action with steps")?)?;
        self.script(&mut run, 99, &serde_json::json!({ "run": then, "shell": "bash" }), then)
    }

    fn start<'j>(&self, name: &str, defaults: &'j Value) -> Result<Job<'j>> {
        let id = format!("{}/{name}", self.work.file_name().unwrap_or_default());
        let user = User::Runner;
        let machine = Machine::new(self.lab, &id, user, &Utf8Path::new(user.home()).join(".cache/cargo-rootfs"))?;
        let (checkout, temp) = (self.work.join(name).join("checkout"), self.work.join(name).join("temp"));
        for directory in [&checkout, &temp] {
            fs::create_dir_all(directory)?;
        }
        let mut env = self.env.clone();
        env.insert("HOME".to_owned(), user.home().to_owned());
        env.insert("RUNNER_TEMP".to_owned(), temp.to_string());
        env.insert("GITHUB_WORKSPACE".to_owned(), checkout.to_string());
        let path = [self.lab.path("stand-ins").as_str(), &format!("{}/.cargo/bin", user.home())].map(str::to_owned);
        let job = Job { machine, checkout, temp, env, path: path.into(), defaults };
        job.own(&self.work.join(name))?;
        Ok(job)
    }

    fn steps(&mut self, job: &mut Job<'_>, steps: &[Value]) -> Result<()> {
        for (at, step) in steps.iter().enumerate() {
            ensure!(step["if"].is_null(), "no `if:` is read here: {step}");
            match (step["uses"].as_str(), step["run"].as_str()) {
                (Some(uses), _) => self.uses(job, uses, step)?,
                (None, Some(script)) => drop(self.script(job, at, step, script)?),
                _ => bail!("a step has neither `uses` nor `run`: {step}"),
            }
        }
        Ok(())
    }

    /// Does the work of an action.
    fn uses(&self, job: &Job<'_>, uses: &str, step: &Value) -> Result<()> {
        let (name, _) = uses.split_once('@').context("an action without a version")?;
        let with = |key: &str| self.text(step["with"][key].as_str().unwrap_or_default());
        let artifacts = self.work.join("artifacts");
        let stands_in = match name {
            "actions/checkout" => {
                self.checkout(job, &step["with"]["fetch-depth"])?;
                "git clone"
            }
            "actions/cache" => "the product's cache of the task",
            "actions/upload-artifact" => {
                let (from, to) = (job.checkout.join(with("path")?), artifacts.join(with("name")?));
                ensure!(
                    from.read_dir_utf8().is_ok_and(|mut files| files.next().is_some()),
                    "{uses}: `{from}` is empty"
                );
                fs::create_dir_all(&artifacts)?;
                command(["cp", "-R", from.as_str(), to.as_str()]).run()?;
                "a copy"
            }
            "actions/download-artifact" => {
                let to = job.checkout.join(with("path")?);
                let merge = step["with"]["merge-multiple"].as_bool() == Some(true);
                let copy = if merge { "cp -R \"$1\"/*/. \"$2\"" } else { "cp -R \"$1\"/. \"$2\"" };
                fs::create_dir_all(&to)?;
                command(["sh", "-ec", copy, "sh", artifacts.as_str(), to.as_str()]).run()?;
                job.own(&job.checkout)?;
                "a copy"
            }
            "docker/login-action" => {
                let words = format!("{}:{}", with("username")?, with("password")?);
                let auth = command(["base64", "--wrap=0"]).stdin(words).run()?.stdout;
                let registry = with("registry")?;
                let text = format!("{{\"auths\":{{\"{registry}\":{{\"auth\":\"{auth}\"}}}}}}");
                job.machine.secret(&format!("{}/.docker/config.json", job.machine.user.home()), &text)?;
                "the file that docker login writes"
            }
            "actions/attest-build-provenance" => {
                let subject = with("subject-name")?;
                let digest = with("subject-digest")?;
                let sums = with("subject-checksums")?;
                let is_digest = digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64);
                let is_image = is_digest && !subject.is_empty() && !subject.contains('@');
                let is_sums = !sums.is_empty() && job.checkout.join(&sums).exists();
                ensure!(is_image || is_sums, "attest: `{subject}` at `{digest}`, sums `{sums}`");
                "a look at its inputs"
            }
            _ => bail!("nothing stands in for `uses: {uses}`"),
        };
        println!("    uses: {uses}: {stands_in} stands in");
        Ok(())
    }

    /// Clones as `actions/checkout` does: only the newest commit, unless `fetch-depth` is 0.
    fn checkout(&self, job: &Job<'_>, depth: &Value) -> Result<()> {
        let origin = format!("file://{}", self.origin);
        let mut words = vec!["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--branch", self.tag];
        if depth.as_u64() != Some(0) {
            words.extend(["--depth", "1"]);
        }
        command(words).args([origin.as_str(), job.checkout.as_str()]).run()?;
        (self.after_checkout)(&job.checkout)?;
        job.own(&job.checkout)
    }

    fn script(&mut self, job: &mut Job<'_>, at: usize, step: &Value, script: &str) -> Result<Done> {
        let name = step["name"].as_str().unwrap_or(script);
        println!("    run: {}", name.lines().next().unwrap_or_default());
        let file = job.temp.join(format!("step-{at}.sh"));
        fs::write(&file, self.text(script)?)?;
        let shell = step["shell"].as_str().or(job.defaults["shell"].as_str());
        let words: &[&str] = match shell {
            Some("bash") => &["bash", "--noprofile", "--norc", "-eo", "pipefail"],
            None => &["bash", "-e"],
            Some(other) => bail!("shell `{other}`"),
        };
        let dir = step["working-directory"].as_str().or(job.defaults["working-directory"].as_str()).unwrap_or(".");
        let mut env = job.env.clone();
        env.insert("PATH".to_owned(), format!("{}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", job.path.join(":")));
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            env.insert(name.clone(), self.text(value.as_str().unwrap_or_default())?);
        }
        for file in ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"] {
            let path = job.temp.join(format!("{at}-{file}"));
            fs::write(&path, "")?;
            env.insert(file.to_owned(), path.to_string());
        }
        job.own(&job.temp)?;
        let argv = [words, &[file.as_str()]].concat();
        let done = job.machine.command(&job.checkout.join(self.text(dir)?), &env, &argv)?.finish()?;
        ensure!(done.code == Some(0), "{}", done.report(&format!("step `{name}` failed")));
        for (key, value) in job.commands(at, "GITHUB_OUTPUT")? {
            let id = step["id"].as_str().unwrap_or_default();
            self.names.insert(format!("steps.{id}.outputs.{key}"), value);
        }
        for (key, value) in job.commands(at, "GITHUB_ENV")? {
            self.names.insert(format!("env.{key}"), value.clone());
            job.env.insert(key, value);
        }
        let path = fs::read_to_string(job.temp.join(format!("{at}-GITHUB_PATH")))?;
        job.path.splice(..0, path.lines().map(str::to_owned));
        Ok(done)
    }

    /// Replaces the expressions of `text` by their values.
    fn text(&self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, after) = after.split_once("}}").context("an expression without an end")?;
            filled.push_str(before);
            filled.push_str(&self.value(expression.trim())?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(self.stand_ins.iter().fold(filled, |text, (shown, here)| text.replace(shown, here)))
    }

    fn value(&self, expression: &str) -> Result<String> {
        let value = self.names.get(expression).cloned();
        value.with_context(|| format!("`${{{{ {expression} }}}}` has no value here"))
    }
}

impl Job<'_> {
    /// Gives the runner's files to the account of its steps.
    fn own(&self, directory: &Utf8Path) -> Result<()> {
        command(["chown", "--recursive", self.machine.user.ids(), directory.as_str()]).run().map(drop)
    }

    /// `NAME=VALUE` lines, and values between two lines of `NAME<<END`.
    fn commands(&self, at: usize, file: &str) -> Result<Vec<(String, String)>> {
        let path = self.temp.join(format!("{at}-{file}"));
        let text = fs::read_to_string(&path)?;
        let mut lines = text.lines();
        let mut found = Vec::new();
        while let Some(line) = lines.next() {
            match (line.split_once("<<"), line.split_once('=')) {
                (Some((name, end)), _) if !name.contains('=') => {
                    let body: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
                    found.push((name.to_owned(), body.join("\n")));
                }
                (_, Some((name, value))) => found.push((name.to_owned(), value.to_owned())),
                _ => bail!("{file}: `{line}` is not NAME=VALUE"),
            }
        }
        Ok(found)
    }
}
