//! The commands that `check` runs in a rootfs, and the expected result of each.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::error::{Error, Result};
use crate::layout::Assembly;
use crate::path::RootfsPath;
use crate::wording::shell_word;

/// Smoke tests of tools, by name.
const SMOKE: &str = include_str!("../../templates/smoke.toml");

/// A command to run.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The command in words, such as `ssh -V`.
    pub(crate) shown: String,
    pub(crate) words: Vec<OsString>,
    pub(super) expects: Expects,
}

/// The minimum that a subject must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    /// End with status 0.
    Success,
    /// Start, and end with 0 or a usage error: the project's binary need not support `--version`.
    Own,
    /// Start: it is not known whether the tool supports `--version`.
    Start,
}

/// All subjects: the project's binary, or `given` in its place, then the tools in their order.
pub(super) fn subjects(given: &[OsString], assembly: &Assembly) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    if given.is_empty() {
        let own = |path| Subject { expects: Expects::Own, ..subject(path, None) };
        subjects.extend(assembly.executables.iter().map(own));
    } else {
        let shown: Vec<_> = given.iter().map(|word| shell_word(&word.to_string_lossy())).collect();
        subjects.push(Subject { shown: shown.join(" "), words: given.to_vec(), expects: Expects::Success });
    }
    let smoke: toml::Table =
        SMOKE.parse().map_err(|error| Error::failed("cannot read smoke.toml").with_source(error))?;
    subjects.extend(assembly.tools.iter().map(|path| subject(path, smoke_test(&smoke, path))));
    if subjects.is_empty() {
        return Err(Error::usage("there is nothing to check: no binary, no tool, no command")
            .help("name a command: `cargo rootfs check ... -- CMD`"));
    }
    Ok(subjects)
}

fn subject(path: &RootfsPath, arguments: Option<Vec<String>>) -> Subject {
    let expects = if arguments.is_some() { Expects::Success } else { Expects::Start };
    let arguments = arguments.unwrap_or_else(|| vec!["--version".to_owned()]);
    let name = String::from_utf8_lossy(path.file_name()).into_owned();
    let shown =
        std::iter::once(name).chain(arguments.iter().map(|word| shell_word(word))).collect::<Vec<_>>().join(" ");
    let words =
        std::iter::once(OsString::from_vec(path.as_bytes().to_vec())).chain(arguments.into_iter().map(Into::into));
    Subject { shown, words: words.collect(), expects }
}

/// The arguments of the smoke test for a tool of this name.
fn smoke_test(smoke: &toml::Table, path: &RootfsPath) -> Option<Vec<String>> {
    let name = std::str::from_utf8(path.file_name()).ok()?;
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let arguments = smoke.get(name).or_else(|| smoke.get(plain))?.as_array()?;
    arguments.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoke_tests_are_lists_of_words() {
        let smoke: toml::Table = SMOKE.parse().unwrap();
        assert!(smoke.len() > 30);
        for (name, _) in &smoke {
            let path = RootfsPath::root().join(name.as_bytes());
            assert!(smoke_test(&smoke, &path).is_some(), "{name}");
        }
    }

    #[test]
    fn a_version_in_a_name_is_passed_over() {
        let smoke: toml::Table = "python = ['-c']\nlua = []".parse().unwrap();
        let test = |name: &str| smoke_test(&smoke, &RootfsPath::root().join(name.as_bytes()));
        for name in ["python", "python3", "python3.11"] {
            assert_eq!(test(name).unwrap(), ["-c"], "{name}");
        }
        assert_eq!(test("lua5.4").unwrap(), Vec::<String>::new());
        assert_eq!(test("pythonic"), None);
    }
}
