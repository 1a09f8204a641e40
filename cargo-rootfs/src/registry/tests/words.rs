//! References and challenges, as text.

use crate::registry::Reference;
use crate::registry::challenge::{Challenge, parse};

#[test]
fn references_have_a_host_a_repository_and_a_version() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for (text, host, repository, version) in [
        ("app", "docker.io", "library/app", "latest"),
        ("me/app:1", "docker.io", "me/app", "1"),
        ("ghcr.io/me/app:1.2", "ghcr.io", "me/app", "1.2"),
        ("localhost/app", "localhost", "app", "latest"),
        ("127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000", "a/b/c", "x"),
        (&format!("ghcr.io/me/app@{digest}"), "ghcr.io", "me/app", digest.as_str()),
    ] {
        let reference = Reference::parse(text).unwrap();
        assert_eq!(
            (
                reference.host.as_str(),
                reference.repository.as_str(),
                reference.digest.as_deref().unwrap_or(&reference.tag)
            ),
            (host, repository, version)
        );
    }
    for text in ["", "Bad Name", "a:b:c", "ghcr.io/me/app@sha256:0", "ghcr.io/me/app@md5:0"] {
        assert_eq!(Reference::parse(text).unwrap_err().exit_code(), 2, "{text}");
    }
}

#[test]
fn challenges_may_share_a_header_and_quote_commas() {
    let bearer = |scope: Option<&str>| Challenge::Bearer {
        realm: "https://auth/token".to_owned(),
        service: Some("it".to_owned()),
        scope: scope.map(str::to_owned),
    };
    for (header, expected) in [
        (
            r#"Bearer realm="https://auth/token",service="it",scope="a:b:pull,push""#,
            vec![bearer(Some("a:b:pull,push"))],
        ),
        (
            r#"Basic realm="x, y", Bearer realm="https://auth/token", service="it""#,
            vec![Challenge::Basic, bearer(None)],
        ),
        (r#"Negotiate, bearer service="it" , realm="https://auth/\token""#, vec![bearer(None)]),
        ("Basic", vec![Challenge::Basic]),
        (r#"Bearer service="it""#, vec![]),
        (r#"Digest realm="basic""#, vec![]),
        ("", vec![]),
    ] {
        assert_eq!(parse([header].into_iter()), expected, "{header}");
    }
}
