//! A template like `base`, without rules that name a tool: `--runtime auto` must replace them. Rules for libraries,
//! functions and kinds of scripts remain.

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;
use fs_err as fs;

use crate::host;
use crate::process::command;

/// The template's directory.
pub(super) fn template() -> Utf8PathBuf {
    host::cache_dir().join("template-without-rules")
}

/// Makes it anew from the current templates.
pub(super) fn make() -> Result<()> {
    let (templates, made) = (host::repo().join("templates"), template());
    if made.exists() {
        fs::remove_dir_all(&made)?;
    }
    command(["cp", "-r", templates.join("base").as_str(), made.as_str()]).run()?;
    let mut text = fs::read_to_string(made.join("template.toml"))?;
    let mut count = 0;
    for entry in templates.join("runtime").read_dir_utf8().context("read the rules")? {
        let entry = entry.context("read the rules")?;
        let rules: toml::Table = toml::from_str(&fs::read_to_string(entry.path())?).context("read a rule")?;
        for rule in rules["rule"].as_array().context("rules")? {
            let mut rule = rule.as_table().context("a rule is a table")?.clone();
            let Some(when) = rule.get_mut("when").and_then(toml::Value::as_array_mut) else { continue };
            let before = when.len();
            when.retain(|text| !text.as_str().is_some_and(names_tools));
            if when.len() == before {
                continue;
            }
            if when.is_empty() {
                when.push("/put/aside".into());
            }
            let rules = toml::Table::from_iter([("rule".to_owned(), toml::Value::Array(vec![rule.into()]))]);
            text.push('\n');
            text.push_str(&toml::to_string(&rules).context("write a rule")?);
            count += 1;
        }
    }
    ensure!(count > 50, "{count} rules wait for tools");
    println!("  {count} rules wait for no tool");
    fs::write(made.join("template.toml"), text).context("write the template")
}

/// Returns whether a pattern is a file in a directory of programs, by more than `*`.
fn names_tools(pattern: &str) -> bool {
    pattern.contains("bin") && pattern.starts_with('/') && !pattern.ends_with("/*")
}
