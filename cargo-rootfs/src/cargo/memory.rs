//! Remembered answers of `cargo metadata` with dependencies.
//!
//! The key of a record covers everything that determines the answer: the arguments, cargo's answer without dependencies
//! (the manifests of the workspace), Cargo.lock (packages of registries and repositories, which never change), the
//! configuration, the environment and the programs. An answer that depends on more is not recorded.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use camino::Utf8Path;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::hex::hex;
use crate::write::records;
use crate::{host_files, programs};

/// The maximum number of records. One has some 300 bytes for each package.
const MOST: usize = 64;

/// The format of records and keys.
const FORMAT: &str = "cargo-rootfs metadata 1";

/// Records in a directory of the user's cache.
#[derive(Debug, Clone)]
pub(crate) struct Memory(PathBuf);

impl Memory {
    /// Records in the directory `metadata` of the cache at `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self(root.join("metadata"))
    }

    /// The recorded answer for the key, else the one of `ask`, which is recorded if nothing else determines it.
    pub(super) fn answer(&self, key: Option<String>, ask: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let Some(key) = key else { return ask() };
        if let Some(answer) = records::find(&self.0, FORMAT, &key) {
            return Ok(answer);
        }
        let answer = ask()?;
        if is_determined(&answer) {
            let _ = records::write(&self.0, FORMAT, &key, &essential(&answer), MOST);
        }
        Ok(answer)
    }
}

/// The key of an answer; `None` if more than these determine it. `plain` is cargo's answer without dependencies.
pub(super) fn key(arguments: &[String], plain: &[u8], workspace: &Utf8Path, current_dir: &Path) -> Option<String> {
    // Values of both may be names of files.
    if arguments.iter().any(|argument| ["--config", "-Z"].contains(&argument.as_str()) || argument.ends_with(".json")) {
        return None;
    }
    let mut digest = Sha256::new_with_prefix(FORMAT);
    let mut add = |bytes: &[u8]| {
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    };
    arguments.iter().for_each(|argument| add(argument.as_bytes()));
    add(plain);
    add(&host_files::bytes(&workspace.join("Cargo.lock")).ok()?);
    let homes = current_dir.ancestors().map(|directory| directory.join(".cargo"));
    for home in homes.chain(super::cargo_home().map(PathBuf::from)) {
        for name in ["config", "config.toml"] {
            let path = home.join(name);
            let Some(text) = host_files::bytes(&path).ok() else { continue };
            // The key `include` names further files.
            if memchr::memmem::find(&text, b"include").is_some() {
                return None;
            }
            add(path.as_os_str().as_encoded_bytes());
            add(&text);
        }
    }
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables
        .retain(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("CARGO") || name.starts_with("RUST")));
    variables.sort();
    for (name, value) in variables {
        add(name.as_encoded_bytes());
        add(value.as_encoded_bytes());
    }
    for program in [super::program(), "rustc".into()] {
        let path = programs::find(&program, &std::env::var_os("PATH").unwrap_or_default());
        let Some(file) = path.and_then(|path| host_files::metadata(&path).ok()) else { continue };
        add(&[file.ino(), file.len()].map(u64::to_le_bytes).concat());
        add(&[file.mtime(), file.mtime_nsec()].map(i64::to_le_bytes).concat());
    }
    Some(hex(&digest.finalize()))
}

/// Returns whether a key covers everything that determines the answer: a package in a directory outside of the workspace
/// has a manifest of its own.
fn is_determined(answer: &Value) -> bool {
    let members = answer["workspace_members"].as_array().map_or(&[][..], Vec::as_slice);
    let packages = answer["packages"].as_array().map_or(&[][..], Vec::as_slice);
    packages.iter().all(|package| !package["source"].is_null() || members.contains(&package["id"]))
}

/// The fields of an answer that a bill of materials needs, at most a tenth of it.
fn essential(answer: &Value) -> Value {
    let only = |value: &Value, keys: &[&str]| -> Value {
        keys.iter().map(|key| ((*key).to_owned(), value[*key].clone())).collect::<Map<_, _>>().into()
    };
    let all = |value: &Value, one: &dyn Fn(&Value) -> Value| -> Value {
        value.as_array().into_iter().flatten().map(one).collect()
    };
    let package = |package: &Value| {
        let mut one = only(package, &["id", "name", "version", "source", "license"]);
        one["targets"] = all(&package["targets"], &|target| only(target, &["kind"]));
        one
    };
    let node = |node: &Value| {
        let mut one = only(node, &["id"]);
        one["deps"] = all(&node["deps"], &|needed| only(needed, &["pkg", "dep_kinds"]));
        one
    };
    serde_json::json!({
        "packages": all(&answer["packages"], &package),
        "resolve": { "nodes": all(&answer["resolve"]["nodes"], &node) },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::error::Error;

    const MEMBER: &str = "path+file:///ws#app@0.1.0";
    const LOG: &str = "registry+https://github.com/rust-lang/crates.io-index#log@0.4.1";

    fn full(source_of_log: Value) -> Value {
        let package = |id: &str, source: Value| {
            json!({"id": id, "name": "n", "version": "1.0.0", "source": source, "license": "MIT", "description": "long",
                   "targets": [{"kind": ["lib"], "src_path": "/x"}]})
        };
        json!({
            "packages": [package(MEMBER, Value::Null), package(LOG, source_of_log)],
            "workspace_members": [MEMBER],
            "resolve": {"root": MEMBER, "nodes": [
                {"id": MEMBER, "features": ["a"],
                 "deps": [{"name": "log", "pkg": LOG, "dep_kinds": [{"kind": null, "target": null}]}]},
            ]},
        })
    }

    fn forbidden() -> Result<Value> {
        Err(Error::failed("cargo was called"))
    }

    #[test]
    fn an_answer_is_asked_for_once() {
        let temp = tempfile::tempdir().unwrap();
        let memory = Memory::new(temp.path());
        let key = || Some("key".to_owned());
        let source = json!("registry+https://github.com/rust-lang/crates.io-index");
        assert_eq!(memory.answer(key(), || Ok(full(source.clone()))).unwrap(), full(source));
        let package = |id: &str, source: &Value| {
            json!({"id": id, "name": "n", "version": "1.0.0", "source": source, "license": "MIT",
                   "targets": [{"kind": ["lib"]}]})
        };
        let registry = json!("registry+https://github.com/rust-lang/crates.io-index");
        let expected = json!({
            "packages": [package(MEMBER, &Value::Null), package(LOG, &registry)],
            "resolve": {"nodes": [
                {"id": MEMBER, "deps": [{"pkg": LOG, "dep_kinds": [{"kind": null, "target": null}]}]},
            ]},
        });
        assert_eq!(memory.answer(key(), forbidden).unwrap(), expected);
        assert!(memory.answer(Some("other".to_owned()), forbidden).is_err());
        assert!(memory.answer(None, forbidden).is_err());
    }

    #[test]
    fn an_answer_that_depends_on_a_manifest_elsewhere_is_not_recorded() {
        let temp = tempfile::tempdir().unwrap();
        let memory = Memory::new(temp.path());
        let key = || Some("key".to_owned());
        memory.answer(key(), || Ok(full(Value::Null))).unwrap();
        assert!(memory.answer(key(), forbidden).is_err());
    }

    #[test]
    fn a_key_covers_arguments_lock_and_configuration() {
        let temp = tempfile::tempdir().unwrap();
        let workspace = Utf8Path::from_path(temp.path()).unwrap();
        let member = temp.path().join("member");
        fs::create_dir_all(member.join(".cargo")).unwrap();
        let arguments = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let key = |texts: &[&str], plain: &[u8]| super::key(&arguments(texts), plain, workspace, &member);
        assert_eq!(key(&["metadata"], b"{}"), None, "there is no Cargo.lock");
        fs::write(workspace.join("Cargo.lock"), "version = 4\n").unwrap();
        let mut keys = vec![key(&["metadata"], b"{}"), key(&["metadata", "--all-features"], b"{}")];
        keys.push(key(&["metadata"], b"{ }"));
        assert_eq!(key(&["metadata"], b"{}"), keys[0]);
        fs::write(workspace.join("Cargo.lock"), "version = 3\n").unwrap();
        keys.push(key(&["metadata"], b"{}"));
        fs::write(member.join(".cargo/config.toml"), "[build]\nrustflags = ['--cfg', 'a']\n").unwrap();
        keys.push(key(&["metadata"], b"{}"));
        fs::write(member.join(".cargo/config.toml"), "[build]\nrustflags = ['--cfg', 'b']\n").unwrap();
        keys.push(key(&["metadata"], b"{}"));
        assert!(keys.iter().all(Option::is_some));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count, "each is another one");
        for texts in [&["--config", "a.toml"][..], &["-Z", "x"], &["--filter-platform", "board.json"]] {
            assert_eq!(key(texts, b"{}"), None, "{texts:?}");
        }
        fs::write(member.join(".cargo/config.toml"), "include = ['other.toml']\n").unwrap();
        assert_eq!(key(&["metadata"], b"{}"), None);
    }
}
