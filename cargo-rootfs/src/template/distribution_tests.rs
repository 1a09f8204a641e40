//! The template `web` with the certificates of each family of distributions, in the layout of their packages.

use std::fs;
use std::os::unix::fs::symlink;

use camino::Utf8Path;
use tempfile::TempDir;

use crate::error::Result;
use crate::layout::{Artifacts, Assembly, Content, assemble};
use crate::path::RootfsPath;
use crate::rootfs::{Body, Kind, Rootfs};
use crate::target::Target;

const BUNDLE: &str = "certificates";

/// Files (`None`), and links to a target.
type Layout = &'static [(&'static str, Option<&'static str>)];

#[rustfmt::skip]
const DISTRIBUTIONS: &[(&str, Layout, &str)] = &[
    ("Debian", &[
        ("etc/ssl/certs/ca-certificates.crt", None),
        ("usr/lib/ssl/certs", Some("/etc/ssl/certs")),
    ], "/usr/lib/ssl"),
    ("Alpine", &[
        ("etc/ssl/certs/ca-certificates.crt", None),
        ("etc/ssl/cert.pem", Some("certs/ca-certificates.crt")),
    ], "/etc/ssl"),
    ("Arch", &[
        ("etc/ca-certificates/extracted/tls-ca-bundle.pem", None),
        ("etc/ssl/certs/ca-certificates.crt", Some("../../ca-certificates/extracted/tls-ca-bundle.pem")),
        ("etc/ssl/cert.pem", Some("../ca-certificates/extracted/tls-ca-bundle.pem")),
    ], "/etc/ssl"),
    ("Fedora to 42", &[
        ("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", None),
        ("etc/pki/tls/certs/ca-bundle.crt", Some("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")),
        ("etc/ssl/certs", Some("../pki/tls/certs")),
    ], "/etc/pki/tls"),
    ("Fedora since 43", &[
        ("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", None),
        ("etc/pki/ca-trust/extracted/pem/directory-hash/ca-certificates.crt", None),
    ], "/etc/pki/tls"),
    ("openSUSE", &[
        ("var/lib/ca-certificates/ca-bundle.pem", None),
        ("var/lib/ca-certificates/pem/002c0b4f.0", None),
        ("etc/ssl/ca-bundle.pem", Some("/var/lib/ca-certificates/ca-bundle.pem")),
        ("etc/ssl/certs", Some("/var/lib/ca-certificates/pem")),
    ], "/etc/ssl"),
];

fn sysroot(layout: Layout) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, target) in layout {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match target {
            Some(target) => symlink(target, path).unwrap(),
            None => fs::write(path, BUNDLE).unwrap(),
        }
    }
    // Independent of the umask, other users can read a sysroot.
    let readable = std::process::Command::new("chmod").args(["-R", "go=rX"]).arg(root.path()).status();
    assert!(readable.unwrap().success());
    root
}

fn web(sysroot: &TempDir) -> Result<Assembly> {
    let content = Content { template: "web".to_owned(), ..Content::default() };
    Ok(assemble(Utf8Path::from_path(sysroot.path()).unwrap(), &Target::host(), &content, &Artifacts::default())?)
}

/// Returns whether a program that opens `path` in the rootfs reads the bundle.
fn reads_the_bundle(rootfs: &Rootfs, path: &str) -> bool {
    let mut left: Vec<Vec<u8>> = RootfsPath::parse(path).unwrap().components().rev().map(<[u8]>::to_vec).collect();
    let mut at = RootfsPath::root();
    for _ in 0..100 {
        let Some(part) = left.pop() else { break };
        if part == b".." {
            at = at.parent().unwrap_or_else(RootfsPath::root);
            continue;
        }
        let next = at.join(&part);
        match rootfs.get(&next).map(|entry| &entry.kind) {
            Some(Kind::Symlink(target)) => {
                if target.starts_with(b"/") {
                    at = RootfsPath::root();
                }
                left.extend(
                    target.split(|byte| *byte == b'/').rev().filter(|part| !part.is_empty()).map(<[u8]>::to_vec),
                );
            }
            Some(_) => at = next,
            None => return false,
        }
    }
    rootfs.get(&at).is_some_and(|entry| entry.size() == BUNDLE.len() as u64)
}

#[test]
fn openssl_finds_the_bundle_whatever_the_distribution() {
    for (name, layout, openssl_dir) in DISTRIBUTIONS {
        let sysroot = sysroot(layout);
        let rootfs = web(&sysroot).unwrap().rootfs;
        for path in
            [&format!("{openssl_dir}/cert.pem"), "/etc/ssl/certs/ca-certificates.crt", "/usr/local/ssl/cert.pem"]
        {
            assert!(reads_the_bundle(&rootfs, path), "{name}: {path}\n{}", rootfs.dump());
        }
        let copies = rootfs.iter().filter(|(_, entry)| entry.size() == BUNDLE.len() as u64).count();
        assert_eq!(copies, 1, "{name} has the bundle more than once\n{}", rootfs.dump());
    }
}

#[test]
fn certificates_that_were_only_extracted_are_joined() {
    let sysroot = sysroot(&[
        ("usr/share/ca-certificates/mozilla/B.crt", None),
        ("usr/share/ca-certificates/mozilla/A.crt", None),
        ("usr/local/share/ca-certificates/ours.crt", None),
        ("usr/lib/ssl/certs", Some("/etc/ssl/certs")),
    ]);
    fs::write(sysroot.path().join("usr/share/ca-certificates/mozilla/A.crt"), "first\n").unwrap();
    fs::write(sysroot.path().join("usr/local/share/ca-certificates/ours.crt"), "ours").unwrap();
    let rootfs = web(&sysroot).unwrap().rootfs;
    let bundle = rootfs.get(&RootfsPath::parse("/etc/ssl/certs/ca-certificates.crt").unwrap()).unwrap();
    let Kind::File(Body::Bytes(bytes)) = &bundle.kind else { panic!("{bundle:?}") };
    assert_eq!(String::from_utf8_lossy(bytes), format!("ours\nfirst\n{BUNDLE}\n"));
    let link = rootfs.get(&RootfsPath::parse("/usr/lib/ssl/cert.pem").unwrap()).unwrap();
    assert!(matches!(&link.kind, Kind::Symlink(target) if target.ends_with(b"/certs/ca-certificates.crt")), "{link:?}");
}

#[test]
fn a_sysroot_without_a_bundle_names_the_package() {
    let empty = TempDir::new().unwrap();
    let error = web(&empty).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("help: install ca-certificates in the sysroot"), "{error}");
}

#[test]
fn a_sysroot_without_time_zones_is_a_warning_that_names_the_package() {
    let sysroot = sysroot(DISTRIBUTIONS[0].1);
    let warnings = web(&sysroot).unwrap().warnings;
    let help: Vec<&str> = warnings.iter().filter_map(|warning| warning.help.as_deref()).collect();
    assert_eq!(help, ["install tzdata in the sysroot"], "{warnings:?}");
}

#[test]
fn the_hosts_time_zone_stays_out() {
    let sysroot = sysroot(&[
        ("etc/ssl/certs/ca-certificates.crt", None),
        ("etc/localtime", Some("/usr/share/zoneinfo/Asia/Seoul")),
        ("usr/share/zoneinfo/Asia/Seoul", None),
        ("usr/share/zoneinfo/ROK", Some("Asia/Seoul")),
        ("usr/share/zoneinfo/localtime", Some("/etc/localtime")),
        ("usr/share/zoneinfo/right/Asia/Seoul", None),
    ]);
    let rootfs = web(&sysroot).unwrap().rootfs;
    let zones = RootfsPath::parse("/usr/share/zoneinfo").unwrap();
    let paths: Vec<String> = rootfs.below(&zones).map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["/usr/share/zoneinfo/Asia", "/usr/share/zoneinfo/Asia/Seoul", "/usr/share/zoneinfo/ROK"]);
    assert!(rootfs.get(&RootfsPath::parse("/etc/localtime").unwrap()).is_none());
}
