//! The table's rows, which are data: one TOML file for each kind of tool, in `rows/`. Packing and running are
//! elsewhere.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The kinds of tools, in the order of the table, with their rows.
const KINDS: &[(&str, &str)] = &[
    ("shells", include_str!("rows/shells.toml")),
    ("text", include_str!("rows/text.toml")),
    ("files", include_str!("rows/files.toml")),
    ("editors", include_str!("rows/editors.toml")),
    ("version control", include_str!("rows/version-control.toml")),
    ("interpreters", include_str!("rows/interpreters.toml")),
    ("programs", include_str!("rows/programs.toml")),
    ("network", include_str!("rows/network.toml")),
    ("databases", include_str!("rows/databases.toml")),
    ("archives", include_str!("rows/archives.toml")),
    ("building", include_str!("rows/building.toml")),
    ("media", include_str!("rows/media.toml")),
    ("desktop", include_str!("rows/desktop.toml")),
    ("terminals", include_str!("rows/terminals.toml")),
    ("accounts", include_str!("rows/accounts.toml")),
    ("system", include_str!("rows/system.toml")),
];

/// A tool that must do a job.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    #[serde(skip)]
    pub(super) kind: &'static str,
    /// The value of `--with`.
    pub(super) tools: String,
    /// The Debian packages of the tools.
    pub(super) packages: Words,
    /// Packages that the tools' names alone do not imply; they are named when a sysroot is made.
    #[serde(default, rename = "with-packages")]
    pub(super) with_packages: Vec<String>,
    /// True if `cargo xtask test` does it, with tools that every Debian has.
    #[serde(default)]
    pub(super) quick: bool,
    /// True if it is also done from the arm64 sysroot.
    #[serde(default)]
    pub(super) arm64: bool,
    /// Files of the user, by their paths in the root.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

/// One program of a row's job, and its expected result.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Step {
    pub(super) run: Vec<String>,
    pub(super) stdin: String,
    pub(super) env: BTreeMap<String, String>,
    /// Text typed on its terminal; without text, it has no terminal.
    pub(super) keys: Option<String>,
    pub(super) status: i32,
    /// Its whole stdout, without space at both ends.
    pub(super) is: Option<String>,
    /// Parts of its stdout.
    pub(super) says: Vec<String>,
    /// Parts of its stderr.
    pub(super) tells: Vec<String>,
}

/// One word, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Words::One(word) => std::slice::from_ref(word),
            Words::Many(words) => words,
        }
    }
}

/// A file of `rows/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    row: Vec<Row>,
}

/// All rows, or an error with the place of a fault in the data.
pub(super) fn all() -> Result<Vec<Row>> {
    let of = |(kind, text): &(&'static str, &str)| {
        let rows: Rows = toml::from_str(text).with_context(|| format!("read the rows `{kind}`"))?;
        Ok(rows.row.into_iter().map(|row| Row { kind, ..row }).collect::<Vec<_>>())
    };
    Ok(KINDS.iter().map(of).collect::<Result<Vec<_>>>()?.concat())
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn the_table_is_as_broad_as_promised() {
        let rows = all().unwrap();
        assert!(rows.len() >= 60, "{} rows", rows.len());
        assert!(rows.iter().filter(|row| row.arm64).count() >= 12);
        // A job that checks nothing of the tool's result could not fail.
        for row in &rows {
            let judged = |step: &super::Step| {
                step.is.is_some() || !step.says.is_empty() || !step.tells.is_empty() || step.status != 0
            };
            assert!(row.steps.iter().any(judged), "{}", row.tools);
        }
    }
}
