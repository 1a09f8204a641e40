//! Credentials in the files of `docker login` and `podman login`, and from the helper programs that these name.
//!
//! Secrets have no `Debug` output, and are sent only to their own host.

use std::env;
use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::reference::Reference;
use crate::host_files;

/// A name and a password, or a token that is exchanged for others.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// An identity token (`identitytoken`, or the user `<token>` of a helper).
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// The result of a search: the credentials, and the files that were read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) credentials: Option<Credentials>,
    /// Existing files, in the order of the search.
    pub(super) read: Vec<PathBuf>,
    /// Unusable entries, one line each, without secrets.
    pub(super) broken: Vec<String>,
}

impl Found {
    /// The search as lines for an error: the file with credentials for `host`, or the files without them.
    pub(super) fn lines(&self, host: &str) -> Vec<String> {
        let files: Vec<String> = self.read.iter().map(|file| format!("`{}`", file.display())).collect();
        let outcome = match (&self.credentials, files.split_last()) {
            (Some(_), Some((last, _))) => format!("the credentials for {host} are those of {last}"),
            (_, Some(_)) => format!("no credentials for {host} are in {}", files.join(", ")),
            (_, None) => "credentials were read from no file: there is none".to_owned(),
        };
        [outcome].into_iter().chain(self.broken.iter().cloned()).collect()
    }
}

/// The files in the order of containers-auth.json(5), followed by docker's.
pub(super) fn files() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("HOME");
    let docker = variable("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let candidates = [
        variable("REGISTRY_AUTH_FILE"),
        variable("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        home.map(|home| home.join(".config/containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ];
    candidates.into_iter().flatten().collect()
}

/// Searches `files` for the credentials of `reference`. A broken entry or file does not hide a valid one after it.
pub(super) fn find(reference: &Reference, files: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for file in files {
        let text = match host_files::text(file).result() {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                found.broken.push(format!("cannot read `{}`: {error}", file.display()));
                continue;
            }
        };
        found.read.push(file.clone());
        match serde_json::from_str::<Value>(&text) {
            Ok(config) => found.credentials = in_file(&config, reference, &mut found.broken),
            Err(error) => {
                // A position in the file, without any of its text.
                found.broken.push(format!("`{}` is not JSON at line {}", file.display(), error.line()));
            }
        }
        if found.credentials.is_some() {
            break;
        }
    }
    found
}

/// The order in one file: a helper for the host, an entry, the helper for all hosts.
fn in_file(config: &Value, reference: &Reference, broken: &mut Vec<String>) -> Option<Credentials> {
    let keys = reference.credential_keys();
    let helpers = config["credHelpers"].as_object();
    for key in &keys {
        let helper = helpers.and_then(|helpers| helpers.iter().find(|(name, _)| normalized(name) == *key));
        if let Some((name, Value::String(helper))) = helper {
            match ask(&program(helper), name) {
                Ok(Some(credentials)) => return Some(credentials),
                Ok(None) => {}
                Err(error) => broken.push(error),
            }
        }
    }
    let entries = config["auths"].as_object();
    for key in &keys {
        let matching = entries.into_iter().flatten().filter(|(name, _)| normalized(name) == *key);
        for (name, entry) in matching {
            match of_entry(entry) {
                Some(credentials) => return Some(credentials),
                // An empty entry means that a helper has the credentials.
                None if entry.as_object().is_none_or(|entry| !entry.is_empty()) => {
                    broken.push(format!("the entry `{name}` holds no credentials"));
                }
                None => {}
            }
        }
    }
    let store = config["credsStore"].as_str().filter(|store| !store.is_empty())?;
    let hub = reference.host == "docker.io";
    let server = if hub { "https://index.docker.io/v1/" } else { &reference.host };
    match ask(&program(store), server) {
        Ok(credentials) => credentials,
        Err(error) => {
            broken.push(error);
            None
        }
    }
}

/// A key without its scheme and trailing slash: older versions of docker wrote `https://HOST/v1/`.
fn normalized(key: &str) -> &str {
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    match key.strip_suffix("/v1").or(key.strip_suffix("/v2")) {
        Some(host) if !host.contains('/') && host != "index.docker.io" => host,
        _ => key,
    }
}

fn of_entry(entry: &Value) -> Option<Credentials> {
    if let Some(token) = entry["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Some(Credentials::Identity(token.to_owned()));
    }
    if let (Some(user), Some(password)) = (entry["username"].as_str(), entry["password"].as_str()) {
        return Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() });
    }
    let decoded = STANDARD.decode(entry["auth"].as_str()?.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    // docker on Windows pads the password with NUL.
    let password = password.trim_end_matches('\0').to_owned();
    Some(Credentials::Password { user: user.to_owned(), password })
}

/// The program of a helper (docker/docker-credential-helpers).
fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

/// Runs `PROGRAM get` for the credentials of `server`; `Ok(None)` if it has none.
pub(super) fn ask(program: &str, server: &str) -> Result<Option<Credentials>, String> {
    let run = duct::cmd(program, ["get"]).stdin_bytes(server).stdout_capture().stderr_capture().unchecked().run();
    let output = run.map_err(|error| format!("cannot run `{program}`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let is_miss = text.to_lowercase().contains("not found");
        return if is_miss { Ok(None) } else { Err(format!("`{program} get` failed for {server}")) };
    }
    let answer: Value = serde_json::from_str(&text).map_err(|_| format!("`{program} get` did not answer with JSON"))?;
    let (Some(user), Some(secret)) = (answer["Username"].as_str(), answer["Secret"].as_str()) else {
        return Err(format!("`{program} get` did not answer with Username and Secret"));
    };
    Ok(Some(match user {
        "<token>" => Credentials::Identity(secret.to_owned()),
        _ => Credentials::Password { user: user.to_owned(), password: secret.to_owned() },
    }))
}
