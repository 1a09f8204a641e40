//! Documents of one bill, compared with the files of `tests/golden/`, and the sources of its crates.
//! `SNAPSHOTS=overwrite cargo test --package cargo-rootfs sbom` rewrites those files; review the diff.

use serde_json::json;
use snapbox::data::DataFormat;
use snapbox::{Data, assert_data_eq};

use super::*;

fn file(path: &str, package: Option<usize>, reason: &str) -> File {
    File {
        path: path.to_owned(),
        sha1: "a".repeat(40),
        sha256: sha256(path),
        package,
        reasons: vec![reason.to_owned()],
        compiled_of: None,
    }
}

/// A program of two crates, a partly packed libc, and a file of the project.
fn bill() -> Bill {
    let text = |text: &str| Some(text.to_owned());
    let libc = Package {
        kind: "deb",
        name: "libc6".to_owned(),
        version: "2.36-9+deb12u14".to_owned(),
        architecture: "amd64".to_owned(),
        source: Some(("glibc".to_owned(), "2.36-9+deb12u14".to_owned())),
        licences: vec!["LGPL-2.1+".to_owned(), "public-domain".to_owned()],
        texts: BTreeMap::from([("public-domain".to_owned(), "Nobody owns it.\n".to_owned())]),
        maintainer: text("GNU Libc Maintainers <debian-glibc@lists.debian.org>"),
        homepage: text("https://www.gnu.org/software/libc/libc.html"),
        depends: vec![1],
        files: 280,
        ..Package::default()
    };
    let gcc = Package {
        kind: "deb",
        name: "libgcc-s1".to_owned(),
        version: "12.2.0-14".to_owned(),
        licences: vec![COPYRIGHT.to_owned()],
        texts: BTreeMap::from([(COPYRIGHT.to_owned(), "It is free.\n".to_owned())]),
        common: vec!["GPL-3".to_owned()],
        ..Package::default()
    };
    let krate = |name: &str, source, licence, depends: &[usize], is_root| Crate {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        source,
        licence,
        depends: depends.to_vec(),
        is_root,
    };
    Bill {
        name: "app".to_owned(),
        version: text("1.0.0"),
        triple: "x86_64-unknown-linux-gnu".to_owned(),
        licence: text("MIT OR Apache-2.0"),
        authors: vec!["A. Author <a@example.org>".to_owned()],
        created: 1_700_000_000,
        distribution: Some(Distribution {
            id: "debian".to_owned(),
            version: text("12"),
            name: text("Debian GNU/Linux 12 (bookworm)"),
        }),
        packages: vec![libc, gcc],
        crates: vec![
            krate("app", CrateSource::Local, text("MIT OR Apache-2.0"), &[1, 2], true),
            krate("itoa", CrateSource::CratesIo, text("MIT/Apache-2.0"), &[], false),
            krate("own", CrateSource::Git("git+https://example.org/own?branch=x#0123".to_owned()), None, &[1], false),
        ],
        files: vec![
            file("/etc/os-release", None, "template base"),
            file("/usr/lib/libc.so.6", Some(0), "needed by /usr/local/bin/app"),
            file("/usr/lib/libgcc_s.so.1", Some(1), "needed by /usr/local/bin/app"),
            File { compiled_of: Some(0), ..file("/usr/local/bin/app", None, "binary app") },
        ],
    }
}

#[test]
fn documents() {
    for format in Format::ALL {
        let path = format!("{}/../tests/golden/sbom.{}", env!("CARGO_MANIFEST_DIR"), format.ending());
        let expected = Data::read_from(path.as_ref(), Some(DataFormat::Text)).raw();
        // The documents contain the version of this program.
        let document = format.document(&bill()).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let digest = |line: &&str| line.contains("documentNamespace") || line.contains("serialNumber");
        let without: String = document.lines().filter(|line| !digest(line)).flat_map(|line| [line, "\n"]).collect();
        assert_data_eq!(Data::text(without).raw(), expected);
    }
}

#[test]
fn the_same_bill_is_the_same_document_and_another_has_another_name() {
    for format in Format::ALL {
        let (one, again) = (format.document(&bill()), format.document(&bill()));
        assert_eq!(one, again);
        let mut changed = bill();
        changed.files[0].sha256 = sha256("another");
        changed.files[0].sha1 = "b".repeat(40);
        let name = |text: &str| {
            let document: serde_json::Value = serde_json::from_str(text).unwrap();
            let name = document.get("documentNamespace").or_else(|| document.get("serialNumber"));
            name.unwrap().as_str().unwrap().to_owned()
        };
        assert_ne!(name(&one), name(&format.document(&changed)), "{format:?}");
    }
}

#[test]
fn times() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (8_589_934_591, "2242-03-16T12:56:31Z"),
    ] {
        assert_eq!(time(seconds), expected);
    }
}

#[test]
fn crates_that_only_the_build_used_are_no_part_of_a_binary() {
    let listed = json!({"packages": [
        {"name": "app", "version": "0.1.0", "source": "local", "dependencies": [1, 2, 3], "root": true},
        {"name": "cc", "version": "1.2.0", "source": "crates.io", "kind": "build", "dependencies": [2]},
        {"name": "libc", "version": "0.2.1", "source": "crates.io"},
        {"name": "own", "version": "0.3.0", "source": "git", "kind": "runtime", "dependencies": [2]},
    ]});
    let crates = of_binary(listed.to_string().as_bytes()).unwrap();
    let shown: Vec<_> = crates.iter().map(|it| (it.name.as_str(), &it.depends[..], it.is_root)).collect();
    assert_eq!(shown, [("app", &[1, 2][..], true), ("libc", &[], false), ("own", &[1], false)]);
    assert_eq!(crates[2].source, CrateSource::Git(String::new()));
    for wrong in ["", "{}", "{\"packages\": [{\"name\": 1}]}", "{\"packages\": [{\"name\": \"x\"}]}"] {
        assert!(of_binary(wrong.as_bytes()).is_none(), "{wrong}");
    }
    let far = json!({"packages": [{"name": "a", "version": "1", "dependencies": [7, -1]}]});
    assert_eq!(of_binary(far.to_string().as_bytes()).unwrap()[0].depends, [0; 0]);
}

#[test]
fn cargos_metadata_gives_what_is_compiled_into_a_binary() {
    let package = |name: &str, kind: &str, licence| {
        json!({"id": name, "name": name, "version": "1.0.0", "license": licence, "targets": [{"kind": [kind]}],
               "source": "registry+https://github.com/rust-lang/crates.io-index"})
    };
    let needs = |name: &str, kind| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
    let normal = serde_json::Value::Null;
    let metadata = json!({
        "packages": [package("app", "bin", json!("MIT")), package("macros", "proc-macro", normal.clone()),
                     package("syn", "lib", normal.clone()), package("cc", "lib", normal.clone()),
                     package("log", "lib", json!("MIT/Apache-2.0"))],
        "resolve": {"nodes": [
            {"id": "app", "deps": [needs("macros", normal.clone()), needs("cc", json!("build")), needs("log", normal.clone())]},
            {"id": "macros", "deps": [needs("syn", normal.clone())]},
            {"id": "log", "deps": []},
        ]},
    });
    let crates = of_metadata(&metadata, "app").unwrap();
    let shown: Vec<_> = crates.iter().map(|it| (it.name.as_str(), &it.depends[..], it.licence.as_deref())).collect();
    assert_eq!(shown, [("app", &[1][..], Some("MIT")), ("log", &[], Some("MIT/Apache-2.0"))]);
    assert!(of_metadata(&metadata, "other").is_none());
    let mut known = vec![Crate { name: "log".to_owned(), version: "1.0.0".to_owned(), ..Crate::default() }];
    licences(&mut known, &metadata);
    assert_eq!(known[0].licence.as_deref(), Some("MIT/Apache-2.0"));
}

/// Cargo resolves a workspace as a whole; the build of one member has fewer packages.
#[test]
fn packages_that_the_build_did_not_compile_are_no_part_of_a_binary() {
    let package = |name: &str| json!({"id": format!("id of {name}"), "name": name, "version": "1.0.0"});
    let needs = |name: &str| json!({"pkg": format!("id of {name}"), "dep_kinds": [{"kind": null}]});
    let mut metadata = json!({
        "packages": [package("app"), package("shared"), package("extra"), package("log")],
        "resolve": {"nodes": [
            {"id": "id of app", "deps": [needs("shared"), needs("log")]},
            {"id": "id of shared", "deps": [needs("extra")]},
        ]},
    });
    let listed = |name: &str, depends: &[usize]| Crate {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        depends: depends.to_owned(),
        ..Crate::default()
    };
    let shown = |crates: &[Crate]| crates.iter().map(|it| (it.name.clone(), it.depends.clone())).collect::<Vec<_>>();
    let compiled = ["app", "shared", "log"].map(|name| format!("id of {name}"));
    retain_compiled(&mut metadata, &compiled.into());
    let crates = of_metadata(&metadata, "id of app").unwrap();
    assert_eq!(shown(&crates), shown(&[listed("app", &[1, 2]), listed("shared", &[]), listed("log", &[])]));
    let embedded = vec![listed("app", &[2, 3]), listed("extra", &[]), listed("shared", &[1]), listed("log", &[])];
    let left = [listed("app", &[1, 2]), listed("shared", &[]), listed("log", &[])];
    assert_eq!(shown(&retain_known(embedded, &metadata)), shown(&left));
}
