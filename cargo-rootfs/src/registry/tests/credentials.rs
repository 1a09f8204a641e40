//! Credentials files as real tools write them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::registry::Reference;
use crate::registry::credentials::{Credentials, ask, find};

fn found(reference: &str, texts: &[&str]) -> (Option<(String, String)>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..=texts.len()).map(|at| folder.path().join(at.to_string())).collect();
    for (file, text) in files.iter().zip(texts) {
        fs::write(file, text).unwrap();
    }
    let found = find(&Reference::parse(reference).unwrap(), &files);
    let credentials = found.credentials.map(|credentials| match credentials {
        Credentials::Password { user, password } => (user, password),
        Credentials::Identity(token) => ("<token>".to_owned(), token),
    });
    (credentials, found.broken.len())
}

fn pair(user: &str, password: &str) -> Option<(String, String)> {
    Some((user.to_owned(), password.to_owned()))
}

#[test]
fn entries_have_hosts_schemes_paths_and_prefixes() {
    // The encoded text is `me:secret`.
    for key in ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v1/", "ghcr.io/me", "ghcr.io/me/app"] {
        let text = format!(r#"{{"auths":{{"{key}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#);
        assert_eq!(found("ghcr.io/me/app", &[&text]).0, pair("me", "secret"), "{key}");
        assert_eq!(found("quay.io/me/app", &[&text]).0, None, "{key}");
    }
    for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io"] {
        let text = format!(r#"{{"auths":{{"{key}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#);
        assert_eq!(found("me/app", &[&text]).0, pair("me", "secret"), "{key}");
    }
    let both =
        r#"{"auths":{"ghcr.io":{"username":"a","password":"b"},"ghcr.io/me":{"identitytoken":"t","auth":"bWU6"}}}"#;
    assert_eq!(found("ghcr.io/me/app", &[both]).0, pair("<token>", "t"));
    assert_eq!(found("ghcr.io/you/app", &[both]).0, pair("a", "b"));
}

#[test]
fn what_is_broken_does_not_hide_what_is_good() {
    let good = r#"{"auths":{"ghcr.io":{"username":"a","password":"b"}}}"#;
    for broken in [
        "{",
        r#"{"auths":{"ghcr.io":{"auth":"%%%"}}}"#,
        r#"{"auths":{"ghcr.io":{"auth":"bm9jb2xvbg=="}}}"#,
        r#"{"credHelpers":{"ghcr.io":"no-such-helper-of-cargo-rootfs"}}"#,
        r#"{"credsStore":"no-such-helper-of-cargo-rootfs"}"#,
    ] {
        assert_eq!(found("ghcr.io/me/app", &[broken, good]), (pair("a", "b"), 1), "{broken}");
    }
    // docker writes an empty entry if a credentials store has the secret.
    assert_eq!(found("ghcr.io/me/app", &[r#"{"auths":{"ghcr.io":{}}}"#, good]), (pair("a", "b"), 0));
}

#[test]
fn helpers_answer_for_their_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let helper = folder.path().join("docker-credential-test");
    let script = "#!/bin/sh\nhost=$(cat)\ncase $host in\n\
        ghcr.io) echo '{\"ServerURL\":\"x\",\"Username\":\"<token>\",\"Secret\":\"s\"}' ;;\n\
        quay.io) echo 'credentials not found in native keychain'; exit 1 ;;\n\
        *) echo oops; exit 1 ;;\nesac\n";
    // By another process: a child that another thread starts at that time would hold the file open, "Text file busy".
    let make = "printf %s \"$1\" > \"$0\"; chmod 755 \"$0\"";
    assert!(Command::new("sh").args(["-c", make]).arg(&helper).arg(script).status().unwrap().success());
    let ask = |host: &str| ask(helper.to_str().unwrap(), host);
    assert_eq!(ask("ghcr.io"), Ok(Some(Credentials::Identity("s".to_owned()))));
    assert_eq!(ask("quay.io"), Ok(None));
    assert!(ask("docker.io").unwrap_err().contains("docker.io"));
}
