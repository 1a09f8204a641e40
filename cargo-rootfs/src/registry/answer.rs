//! Refusals of registries, as errors that show the registry's own code and what to do.

use std::path::PathBuf;

use serde_json::Value;

use super::reference::Reference;
use crate::error::Error;

/// Characters of a registry's own words that are shown.
const WORDS: usize = 200;

/// A response that is not what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// The codes of the specification, such as `NAME_UNKNOWN`, each with the registry's words.
    pub(super) codes: Vec<(String, String)>,
}

impl Refused {
    /// Reads the body of a response: the specification's JSON, or anything else, which then has no code.
    pub(super) fn new(status: u16, body: &str) -> Self {
        let parsed: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let text = |value: &Value| value.as_str().unwrap_or_default().chars().take(WORDS).collect::<String>();
        let errors = parsed["errors"].as_array().into_iter().flatten();
        Self { status, codes: errors.map(|error| (text(&error["code"]), text(&error["message"]))).collect() }
    }

    fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|(known, _)| known == code)
    }

    /// An error that says `verb` failed for `reference`. `read` are the files that were searched for credentials.
    pub(super) fn error(&self, verb: &str, reference: &Reference, read: &[PathBuf], broken: &[String]) -> Error {
        let host = &reference.host;
        let codes: Vec<String> = self.codes.iter().map(|(code, message)| format!("{code}: {message}")).collect();
        let said = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join("; ")) };
        let mut error = Error::failed(format!("cannot {verb} `{reference}`: {host} answered {}{said}", self.status));
        if matches!(self.status, 401 | 403) {
            let files: Vec<String> = read.iter().map(|file| format!("`{}`", file.display())).collect();
            let none = "credentials were read from no file".to_owned();
            error = error.detail(if files.is_empty() {
                none
            } else {
                format!("credentials were read from {}", files.join(", "))
            });
            error = broken.iter().fold(error, |error, line| error.detail(line.clone()));
        }
        match self.status {
            401 => error.help(format!("docker login {host}")),
            403 | 404 if self.has("NAME_UNKNOWN") || self.has("DENIED") => error.help(format!(
                "create the repository `{}` in {host} first, or log in with rights to it",
                reference.repository
            )),
            429 => error.help("wait until the registry's rate limit allows more, or log in for a higher one"),
            _ => error,
        }
    }
}
