//! A template like `base`, with each rule that names tools put aside: `--runtime auto` is to do without them.
//! Rules for libraries, functions and kinds of scripts stay.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;

use crate::host;
use crate::process::command;

/// Where it is made.
pub(super) fn template() -> Utf8PathBuf {
    host::cache_dir().join("template-without-rules")
}

/// Makes it anew, of the templates that there are now.
pub(super) fn make() -> Result<()> {
    let (templates, made) = (host::repo().join("templates"), template());
    if made.exists() {
        fs::remove_dir_all(&made).with_context(|| format!("remove {made}"))?;
    }
    command(["cp", "-r", templates.join("base").as_str(), made.as_str()]).run()?;
    let mut text = fs::read_to_string(made.join("template.toml")).context("read the template")?;
    let mut count = 0;
    for entry in templates.join("runtime").read_dir_utf8().context("read the rules")? {
        let entry = entry.context("read the rules")?;
        let rules: toml::Table = toml::from_str(&fs::read_to_string(entry.path())?).context("read a rule")?;
        for rule in rules["rule"].as_array().context("rules")?.iter().filter(|rule| names_tools(rule)) {
            let name = rule["name"].as_str().context("a rule has a name")?;
            // Writing to a string does not fail.
            let _ = write!(text, "\n[[rule]]\nname = \"{name}\"\nwhy = \"put aside\"\nwhen = [\"/put/aside\"]\n");
            count += 1;
        }
    }
    ensure!(count > 50, "{count} rules are put aside");
    println!("  {count} rules are put aside");
    fs::write(made.join("template.toml"), text).context("write the template")
}

/// Whether a rule waits for a file in a directory of programs, by more than `*`.
fn names_tools(rule: &toml::Value) -> bool {
    let when = rule.get("when").and_then(toml::Value::as_array);
    let mut texts = when.into_iter().flatten().filter_map(toml::Value::as_str);
    texts.any(|text| text.contains("bin") && text.starts_with('/') && !text.ends_with("/*"))
}
