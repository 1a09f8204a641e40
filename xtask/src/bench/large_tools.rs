//! The list of large tools, which is data: `large-tools.txt` beside this file. `setup --all` installs them.

use anyhow::{Context, Result};
use camino::Utf8Path;

const LIST: &str = include_str!("large-tools.txt");

/// The tools' paths with their packages.
fn listed() -> Result<Vec<(&'static str, &'static str)>> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let split = |line: &'static str| line.split_once(' ').map(|(path, package)| (path, package.trim()));
    lines.map(|line| split(line).with_context(|| format!("large-tools.txt: `{line}` is not PATH PACKAGE"))).collect()
}

/// The tools' paths.
pub(crate) fn paths() -> Result<Vec<&'static str>> {
    Ok(listed()?.into_iter().map(|(path, _)| path).collect())
}

/// The packages of the tools that are missing here, once each.
pub(crate) fn missing_packages() -> Result<Vec<String>> {
    let missing = listed()?.into_iter().filter(|(path, _)| !Utf8Path::new(path).exists());
    let mut packages: Vec<String> = missing.map(|(_, package)| package.to_owned()).collect();
    packages.sort();
    packages.dedup();
    Ok(packages)
}
