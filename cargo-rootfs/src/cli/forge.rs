//! Results and errors for GitHub Actions: GITHUB_OUTPUT, GITHUB_STEP_SUMMARY, annotations.
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::terminal::bytes;
use crate::error::{Error, Result};
use crate::host_files;
use crate::output::Written;

/// True in a step of GitHub Actions.
fn is_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Appends outputs of the step and a table of the run to the files that the environment names.
pub(super) fn results(written: &[Written]) -> Result<()> {
    if !is_github() {
        return Ok(());
    }
    let fields: Vec<Value> = written.iter().filter_map(Written::json).collect();
    append("GITHUB_OUTPUT", &outputs(&fields))?;
    append("GITHUB_STEP_SUMMARY", &summary(&fields))
}

/// The annotation of an error.
pub(super) fn annotation(error: &Error) -> Option<String> {
    is_github().then(|| annotated(error))
}

fn annotated(error: &Error) -> String {
    let mut text = error.message().to_owned();
    for line in error.details() {
        let _ = write!(text, "\n  {line}");
    }
    if let Some(help) = error.help_line() {
        let _ = write!(text, "\n  help: {help}");
    }
    format!("::error title=cargo rootfs::{}\n", text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"))
}

/// `image`, `digest` and `subject-name` of the last image in a registry, and all archives.
fn outputs(written: &[Value]) -> String {
    let mut text = String::new();
    if let Some((name, digest)) = written.iter().rev().find_map(pushed) {
        let subject = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        };
        let _ = writeln!(text, "image={subject}@{digest}\ndigest={digest}\nsubject-name={subject}");
    }
    let archives: Vec<&str> = written.iter().filter_map(|one| one["path"].as_str()).collect();
    if !archives.is_empty() {
        // A path contains a letter or a slash, so it never equals this line.
        let _ = writeln!(text, "archives<<===\n{}\n===", archives.join("\n"));
    }
    text
}

fn summary(written: &[Value]) -> String {
    let mut text = "### cargo rootfs\n\n| output | target | |\n| --- | --- | --- |\n".to_owned();
    for one in written {
        let target = one["target"].as_str().unwrap_or_default();
        let (name, about) = match pushed(one) {
            Some((name, digest)) => {
                let sent = one["sent"].as_u64().unwrap_or_default();
                (name.to_owned(), format!("`{digest}`, {} sent", bytes(sent)))
            }
            None => match one["path"].as_str() {
                Some(path) => {
                    let size = host_files::metadata(path).ok().filter(std::fs::Metadata::is_file);
                    (path.to_owned(), size.map_or_else(String::new, |file| bytes(file.len()).to_string()))
                }
                None => (
                    one["name"].as_str().unwrap_or_default().to_owned(),
                    format!("`{}`", one["id"].as_str().unwrap_or_default()),
                ),
            },
        };
        let _ = writeln!(text, "| `{name}` | {target} | {about} |");
    }
    text
}

/// The name and digest of an image in a registry.
fn pushed(written: &Value) -> Option<(&str, &str)> {
    Some((written["name"].as_str()?, written["digest"].as_str()?))
}

#[expect(clippy::disallowed_methods, reason = "the error is given its path")]
fn append(variable: &str, text: &str) -> Result<()> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(());
    };
    let file = OpenOptions::new().append(true).create(true).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| Error::io("append to", &path, error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_get_what_attestations_take() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let written = [
            json!({"kind": "tar", "path": "dist/a.tar"}),
            json!({"kind": "push", "name": "localhost:5000/me/app:1.2", "digest": digest, "sent": 0}),
        ];
        let expected = format!(
            "image=localhost:5000/me/app@{digest}\ndigest={digest}\nsubject-name=localhost:5000/me/app\n\
             archives<<===\ndist/a.tar\n===\n"
        );
        assert_eq!(outputs(&written), expected);
        let untagged = json!({"kind": "push", "name": "localhost:5000/me/app", "digest": "d"});
        assert!(outputs(&[untagged]).contains("subject-name=localhost:5000/me/app\n"));
        assert!(summary(&written).contains("| `dist/a.tar` |"));
    }

    #[test]
    fn an_annotation_is_one_line() {
        let text = annotated(&Error::failed("100% of it").detail("a").help("b"));
        assert_eq!(text, "::error title=cargo rootfs::100%25 of it%0A  a%0A  help: b\n");
    }
}
