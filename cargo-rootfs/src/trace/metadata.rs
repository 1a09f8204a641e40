//! The configuration that packs the used files: TOML for a project's manifest.

use std::collections::BTreeSet;
use std::path::Path;

use super::Rule;
use super::worth::Worth;
use crate::runtime::Runtime;
use crate::wording::toml_string;

impl Worth<'_> {
    /// TOML for Cargo.toml; empty if nothing is to be added.
    pub(super) fn metadata(&self, root: &Path) -> String {
        let mut text = String::new();
        let uses_rules = self.rooted.plan.content.runtime != Runtime::None;
        let is_rule = |rule: &&Rule| uses_rules && rule.when.is_some();
        let included = self.rules.iter().filter(|rule| !is_rule(rule)).flat_map(|rule| &rule.take);
        let include: Vec<String> = included
            .map(|path| format!("{}:{path}", root.join(path.trim_start_matches('/')).display()))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if !(self.with.is_empty() && self.with_lib.is_empty() && include.is_empty()) {
            text.push_str("[package.metadata.rootfs]\n");
            list(&mut text, "with", &self.with);
            list(&mut text, "with-lib", &self.with_lib);
            list(&mut text, "include", &include);
        }
        let triplet = self.rooted.plan.target.machine().multiarch();
        for rule in self.rules.iter().filter(is_rule) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str("[[package.metadata.rootfs.rule]]\n");
            text.push_str(&format!("name = {}\n", toml_string(&rule.name)));
            let why = format!("{} opened them under `cargo rootfs trace`", rule.program);
            text.push_str(&format!("why = {}\n", toml_string(&why)));
            list(&mut text, "when", &[pattern(rule.when.as_deref().unwrap_or_default(), triplet)]);
            list(&mut text, "take", &rule.take.iter().map(|path| pattern(path, triplet)).collect::<Vec<_>>());
            let links = rule.links.iter().map(|(path, to)| {
                format!("{{ path = {}, link = {} }}", toml_string(&pattern(path, triplet)), toml_string(to))
            });
            let folders = rule.folders.iter();
            let folders =
                folders.map(|path| format!("{{ path = {}, dir = true }}", toml_string(&pattern(path, triplet))));
            let made: Vec<String> = links.chain(folders).map(|file| format!("    {file},\n")).collect();
            if !made.is_empty() {
                text.push_str(&format!("files = [\n{}]\n", made.concat()));
            }
        }
        text
    }
}

/// A glob that matches only this path, on every machine for which Debian has a multiarch tuple.
fn pattern(path: &str, triplet: &str) -> String {
    let mut text = String::new();
    for part in path.split_inclusive('/') {
        if part.strip_suffix('/') == Some(triplet) {
            text.push_str("{triplet}/");
            continue;
        }
        for c in part.chars() {
            if "*?{}\\".contains(c) {
                text.push('\\');
            }
            text.push(c);
        }
    }
    text
}

/// The maximum width of a list on one line.
const WIDTH: usize = 100;

fn list(text: &mut String, key: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let items: Vec<String> = items.iter().map(|item| toml_string(item)).collect();
    let line = format!("{key} = [{}]\n", items.join(", "));
    if line.len() <= WIDTH {
        text.push_str(&line);
    } else {
        let lines: String = items.iter().map(|item| format!("    {item},\n")).collect();
        text.push_str(&format!("{key} = [\n{lines}]\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_glob_of_itself() {
        let debian = "x86_64-linux-gnu";
        assert_eq!(pattern("/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", debian), "/usr/lib/{triplet}/gconv/UTF-16.so");
        assert_eq!(pattern("/usr/share/a*b/{c}?", debian), "/usr/share/a\\*b/\\{c\\}\\?");
        assert_eq!(pattern("/usr/lib/x86_64-linux-gnu", debian), "/usr/lib/x86_64-linux-gnu");
    }

    #[test]
    fn lists_are_toml() {
        let mut text = String::new();
        let long: Vec<String> = (0..9).map(|number| format!("/usr/share/a \"folder\"/{number}")).collect();
        list(&mut text, "take", &long);
        list(&mut text, "with", &["a\\b".to_owned(), "c\n".to_owned()]);
        list(&mut text, "include", &[]);
        let table: toml::Table = text.parse().unwrap();
        let words = |key: &str| {
            table[key].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(words("take"), long);
        assert_eq!(words("with"), ["a\\b", "c\n"]);
        assert!(!table.contains_key("include"));
    }
}
