//! Refusals of registries, as errors that show the registry's own code and a remedy.

use serde_json::Value;

use super::credentials::Found;
use super::reference::Reference;
use crate::error::Error;

/// The number of shown characters of a registry's own text.
const WORDS: usize = 200;

/// A response with an error status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// The codes of the specification, such as `NAME_UNKNOWN`, each with the registry's text.
    pub(super) codes: Vec<(String, String)>,
}

impl Refused {
    /// Parses the body of a response: the specification's JSON, or any other text, which has no code.
    pub(super) fn new(status: u16, body: &str) -> Self {
        let parsed: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let text = |value: &Value| value.as_str().unwrap_or_default().chars().take(WORDS).collect::<String>();
        let errors = parsed["errors"].as_array().into_iter().flatten();
        Self { status, codes: errors.map(|error| (text(&error["code"]), text(&error["message"]))).collect() }
    }

    /// Returns whether `code` is among the registry's codes.
    pub(super) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|(known, _)| known == code)
    }

    /// The error that `verb` failed for `reference`. `found` is the result of the search for credentials.
    pub(super) fn error(&self, verb: &str, reference: &Reference, found: &Found) -> Error {
        let host = &reference.host;
        let codes: Vec<String> = self.codes.iter().map(|(code, message)| format!("{code}: {message}")).collect();
        let said = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join("; ")) };
        let mut error = Error::failed(format!("cannot {verb} `{reference}`: {host} answered {}{said}", self.status));
        let is_limit = self.status == 429 || self.has("TOOMANYREQUESTS");
        let is_refusal = matches!(self.status, 401 | 403) || self.has("UNAUTHORIZED") || self.has("DENIED");
        if is_refusal || is_limit {
            error = found.lines(host).into_iter().fold(error, Error::detail);
        }
        let (repository, login) = (&reference.repository, format!("docker login {host}"));
        match self.status {
            _ if is_limit => error.help(format!("wait until {host} allows more requests, or log in: {login}")),
            401 => error.help(login),
            _ if self.has("UNAUTHORIZED") => error.help(login),
            _ if self.has("NAME_UNKNOWN") => {
                error.help(format!("create the repository `{repository}` in {host} first"))
            }
            _ if is_refusal => error.help(format!(
                "create the repository `{repository}` in {host} first, or log in as a user who may push to it: {login}"
            )),
            _ => error,
        }
    }
}
