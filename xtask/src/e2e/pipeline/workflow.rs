//! A small runner of workflows: `run:` steps in order, with env, working-directory, outputs, GITHUB_ENV and GITHUB_PATH.
//!
//! Each `uses:` step is listed in the output, and something that is named stands in for it; an unknown one is an error.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::host;
use crate::process::{Done, command};

/// The values of expressions, such as `github.repository`.
pub(super) type Names = BTreeMap<String, String>;

/// One run of one job.
pub(super) struct Runner<'r> {
    /// The directory of the checkout.
    pub(super) checkout: &'r Utf8Path,
    /// The directory for scripts, outputs and the home of the runner.
    pub(super) work: Utf8PathBuf,
    pub(super) names: Names,
    pub(super) env: Names,
    /// Text of workflows that something here stands in for.
    pub(super) stand_ins: Vec<(String, String)>,
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
    /// Runs the steps of a job of the workflow. Fails with the first step that fails; `Ok` has the output of the last one.
    pub(super) fn job(&mut self, workflow: &Value, job: &str) -> Result<Done> {
        let job = &workflow["jobs"][job];
        let steps = job["steps"].as_array().context("a job with steps")?.clone();
        let defaults = &workflow["defaults"]["run"];
        for table in [&workflow["env"], &job["env"]] {
            self.enter_env(table)?;
        }
        let include = job["strategy"]["matrix"]["include"].as_array().cloned().unwrap_or_else(|| vec![Value::Null]);
        let mut last = None;
        for values in &include {
            for (name, value) in values.as_object().into_iter().flatten() {
                println!("    matrix.{name}: {value}");
                self.names.insert(format!("matrix.{name}"), value.as_str().unwrap_or_default().to_owned());
            }
            last = Some(self.steps(&steps, defaults)?);
        }
        last.context("an empty matrix")
    }

    fn enter_env(&mut self, table: &Value) -> Result<()> {
        for (name, value) in table.as_object().into_iter().flatten() {
            let value = self.text(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
            self.names.insert(format!("env.{name}"), value.clone());
            self.env.insert(name.clone(), value);
        }
        Ok(())
    }

    fn steps(&mut self, steps: &[Value], defaults: &Value) -> Result<Done> {
        let mut last = None;
        for (at, step) in steps.iter().enumerate() {
            match (step["uses"].as_str(), step["run"].as_str()) {
                (Some(uses), _) => self.uses(uses, step)?,
                (None, Some(script)) => last = Some(self.script(at, step, script, defaults)?),
                _ => bail!("a step has neither `uses` nor `run`: {step}"),
            }
        }
        last.context("no step runs anything")
    }

    /// Stands in for an action.
    fn uses(&mut self, uses: &str, step: &Value) -> Result<()> {
        let (name, _) = uses.split_once('@').context("an action without a version")?;
        let stands_in = match name {
            "actions/checkout" => "the checkout of the scenario",
            "actions/cache" => "nothing: a cache may be empty",
            // Jobs share the checkout here.
            "actions/upload-artifact" | "actions/download-artifact" => {
                let path = self.checkout.join(self.text(step["with"]["path"].as_str().unwrap_or_default())?);
                ensure!(
                    path.read_dir_utf8().is_ok_and(|mut files| files.next().is_some()),
                    "{uses}: `{path}` is empty"
                );
                "the checkout, which jobs share here"
            }
            "docker/login-action" => "DOCKER_CONFIG of the scenario",
            "actions/attest-build-provenance" => {
                let digest = self.text(step["with"]["subject-digest"].as_str().unwrap_or_default())?;
                let subject = self.text(step["with"]["subject-name"].as_str().unwrap_or_default())?;
                let is_digest = digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64);
                ensure!(
                    is_digest && !subject.is_empty() && !subject.contains('@'),
                    "attest: `{subject}` at `{digest}`"
                );
                "a look at its inputs"
            }
            _ => bail!("nothing stands in for `uses: {uses}`"),
        };
        println!("    uses: {uses}: {stands_in}");
        Ok(())
    }

    fn script(&mut self, at: usize, step: &Value, script: &str, defaults: &Value) -> Result<Done> {
        let name = step["name"].as_str().unwrap_or(script);
        println!("    run: {}", name.lines().next().unwrap_or_default());
        let file = self.work.join(format!("step-{at}.sh"));
        fs::write(&file, self.text(script)?).with_context(|| format!("write {file}"))?;
        let shell = step["shell"].as_str().or(defaults["shell"].as_str());
        let words: &[&str] = match shell {
            Some("bash") => &["bash", "--noprofile", "--norc", "-eo", "pipefail"],
            None => &["bash", "-e"],
            Some(other) => bail!("shell `{other}`"),
        };
        let dir = step["working-directory"].as_str().or(defaults["working-directory"].as_str()).unwrap_or(".");
        let mut run = command(words.iter().copied()).arg(file.as_str()).dir(self.checkout.join(self.text(dir)?));
        for (name, value) in &self.env {
            run = run.env(name, value);
        }
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            run = run.env(name, self.text(value.as_str().unwrap_or_default())?);
        }
        let files = ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"];
        for file in files {
            let path = self.work.join(format!("{at}-{file}"));
            fs::write(&path, "").with_context(|| format!("write {path}"))?;
            run = run.env(file, path.as_str());
        }
        let done = run.finish()?;
        ensure!(done.code == Some(0), "{}", done.report(&format!("step `{name}` failed")));
        for (key, value) in self.commands(at, "GITHUB_OUTPUT")? {
            let id = step["id"].as_str().unwrap_or_default();
            self.names.insert(format!("steps.{id}.outputs.{key}"), value);
        }
        for (key, value) in self.commands(at, "GITHUB_ENV")? {
            self.env.insert(key, value);
        }
        Ok(done)
    }

    /// `NAME=VALUE` lines, and values between two lines of `NAME<<END`.
    fn commands(&self, at: usize, file: &str) -> Result<Vec<(String, String)>> {
        let path = self.work.join(format!("{at}-{file}"));
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
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

    /// `text` with the values of its expressions.
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
        if expression.starts_with("hashFiles(") {
            return Ok("hash".to_owned());
        }
        let value = self.names.get(expression).cloned();
        value.with_context(|| format!("`${{{{ {expression} }}}}` has no value here"))
    }
}
