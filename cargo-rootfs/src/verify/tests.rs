//! Images with one fault each; end-to-end tests verify the host's own programs.

use serde_json::json;

use super::*;
use crate::inspect::Limits;
use crate::inspect::tests::{Layout, Made, read_with};

fn verified(layers: &[Vec<u8>], config: serde_json::Value) -> Verified {
    let layers: Vec<(Vec<u8>, &[u8])> = layers.iter().map(|layer| (layer.clone(), &layer[..])).collect();
    let layout = Layout::new(&layers, config);
    verify(&read_with(layout.name(), Limits::default()).unwrap(), 1, &TargetLibraries::default())
}

fn errors(layers: &[Vec<u8>], config: serde_json::Value) -> Vec<String> {
    verified(layers, config).errors.iter().map(|error| error.message().to_owned()).collect()
}

fn layer() -> Made {
    Made::new().dir("./").dir("bin/").dir("etc/").file("etc/passwd", b"app:x:1:1::/:\n")
}

#[test]
fn the_program_is_there_and_executable() {
    let config = |word: &str| json!({"config": {"Entrypoint": [word]}});
    let layers = [layer().program("bin/app", b"").file("bin/data", b"").symlink("bin/link", "/bin/app").bytes()];
    for word in ["/bin/app", "app", "bin/app", "/bin/link", "./bin/app"] {
        assert_eq!(errors(&layers, config(word)), [""; 0], "{word}");
    }
    for (word, why) in [
        ("/bin/absent", "`/bin/absent` is not in the image"),
        ("/bin/data", "`/bin/data` is not executable"),
        ("/bin", "`/bin` is not a regular file"),
        ("absent", "`absent` is in no directory of its PATH"),
    ] {
        let said = format!("the entrypoint of the image cannot start: {why}");
        assert_eq!(errors(&layers, config(word)), [said], "{word}");
    }
    let path = json!({"config": {"Cmd": ["app"], "Env": ["PATH=/etc"]}});
    assert!(errors(&layers, path)[0].starts_with("the cmd of the image cannot start"));
    assert_eq!(verified(&layers, json!({})).warnings[0].message, "the image names no program to start");
}

#[test]
fn users_groups_and_working_directories_are_known() {
    let layers = [layer().program("bin/app", b"").bytes()];
    let with = |key: &str, value: &str| {
        let mut config = json!({"config": {"Entrypoint": ["/bin/app"]}});
        config["config"][key] = value.into();
        verified(&layers, config)
    };
    for user in ["app", "1000", "1000:1000", "app:5"] {
        assert!(with("User", user).errors.is_empty(), "{user}");
    }
    for user in ["nobody", "app:staff"] {
        assert!(with("User", user).errors[0].message().contains("is not in its /etc/"), "{user}");
    }
    assert!(with("WorkingDir", "/etc/passwd").errors[0].message().ends_with("is no directory"));
    assert!(with("WorkingDir", "srv").errors[0].message().ends_with("is not absolute"));
    assert!(with("WorkingDir", "/srv").warnings[0].message.contains("engines make it"));
}

#[test]
fn scripts_have_their_interpreters() {
    let script = |first: &[u8]| layer().dir("usr/").dir("usr/bin/").program("usr/bin/s", first).bytes();
    let says = |first: &[u8]| errors(&[script(first)], json!({"config": {"Cmd": ["/usr/bin/s"]}}));
    assert!(says(b"#!/bin/sh\n")[0].contains("`/bin/sh` is not in the image"));
    assert!(says(b"#!/bin/sh\n")[1].starts_with("a script would not start"));
    assert_eq!(says(b"plain"), [""; 0]);
    let env = layer().program("bin/env", b"").program("bin/s", b"#!/bin/env python3\n").bytes();
    assert!(errors(&[env], json!({"config": {"Cmd": ["/bin/s"]}}))[0].contains("env does not find `python3`"));
}

#[test]
fn the_history_has_an_entry_for_each_layer() {
    let layers = [layer().bytes(), Made::new().dir("srv/").bytes()];
    assert_eq!(errors(&layers, json!({})), [""; 0]);
    let empty = json!({"history": [{}, {"empty_layer": true}, {}]});
    assert_eq!(errors(&layers, empty), [""; 0]);
    let short = errors(&layers, json!({"history": [{}]}));
    assert_eq!(short, ["the image has 2 layers, and its history describes 1"]);
}

#[test]
fn what_strict_loaders_refuse_is_an_error() {
    let lower = layer().file("f", b"x").symlink("sbin", "bin").bytes();
    for (upper, says) in [
        (Made::new().file("f", b"1").file("f", b"2"), "`f` in layer 2 is there more than once"),
        (Made::new().hardlink("g", "f"), "`g` in layer 2 is a hard link to a file of another layer"),
        (Made::new().file("sbin/x", b""), "`sbin/x` in layer 2 is put through a symlink, where loaders disagree"),
        (Made::new().file("../x", b""), "`../x` in layer 2 leads out by `..`, and was passed over"),
    ] {
        assert_eq!(errors(&[lower.clone(), upper.bytes()], json!({})), [says]);
    }
}

#[test]
fn lambda_is_told_apart() {
    let verified = verified(&[layer().bytes(), Made::new().file("bin/x", b"").bytes()], json!({}));
    let expected =
        ["not all of its layers are gzip", "`bin/x` in layer 2 is in a directory that its layer does not hold"];
    assert_eq!(verified.lambda, expected);
    assert!(verified.errors.is_empty());
}
