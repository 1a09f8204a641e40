//! Compares two releases of one small image; the texts are golden files.

use std::io::Write;

use super::*;
use crate::inspect::Limits;
use crate::inspect::tests::{Layout, Made, read_with};

/// An ELF file that contains only its list of crates.
fn auditable(crates: &[(&str, &str)]) -> Vec<u8> {
    let list: Vec<_> =
        crates.iter().map(|(name, version)| serde_json::json!({"name": name, "version": version})).collect();
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(serde_json::json!({"packages": list}).to_string().as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let names = b"\0.shstrtab\0.dep-v0\0";
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16] = 3;
    file[18] = 62;
    let (names_at, packed_at) = (file.len() as u64, (file.len() + names.len()) as u64);
    file.extend(names);
    file.extend(&packed);
    let table = file.len() as u64;
    for (name, offset, size) in [(0u32, 0, 0), (1, names_at, names.len() as u64), (11, packed_at, packed.len() as u64)]
    {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[24..32].copy_from_slice(&offset.to_le_bytes());
        header[32..40].copy_from_slice(&size.to_le_bytes());
        file.extend(header);
    }
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    file[0x3a..0x40].copy_from_slice(&[64, 0, 3, 0, 1, 0]);
    file
}

fn record(name: &str, version: &str) -> Vec<u8> {
    format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n").into_bytes()
}

fn sums(files: &[&str]) -> Vec<u8> {
    files.iter().map(|file| format!("{}  {file}\n", "0".repeat(32))).collect::<String>().into_bytes()
}

fn base() -> Made {
    let made = Made::new().dir("./").dir("usr/").dir("usr/bin/").dir("usr/lib/").symlink("lib", "usr/lib");
    made.dir("var/").dir("var/lib/").dir("var/lib/dpkg/").dir("var/lib/dpkg/status.d/")
}

fn packaged(made: Made, name: &str, version: &str, files: &[&str]) -> Made {
    let at = format!("var/lib/dpkg/status.d/{name}");
    made.file(&at, &record(name, version)).file(&format!("{at}.md5sums"), &sums(files))
}

fn side(name: &str, made: Made) -> Side {
    let layer = made.bytes();
    let layout = Layout::new(&[(layer.clone(), &layer)], serde_json::json!({}));
    let mut side = Side::new(name, &read_with(layout.name(), Limits::default()).unwrap());
    // The digests of these layouts are not compared.
    (side.digest, side.stored) = (None, if name.ends_with('1') { 4096 } else { 5000 });
    side
}

fn releases() -> (Side, Side) {
    let old = packaged(base(), "libc6", "2.36-9+deb12u9", &["lib/libc.so.6"]);
    let old = packaged(old, "bash", "5.2.15-2", &["usr/bin/bash"]);
    let old = packaged(old, "zlib1g", "1:1.2.13.dfsg-1", &["usr/lib/libz.so.1"]);
    let old = old.file("usr/lib/libc.so.6", &[1; 2000]).program("usr/bin/bash", &[2; 900]);
    let old = old.file("usr/lib/libz.so.1", &[3; 500]).file("usr/same", b"0").symlink("usr/link", "same");
    let old = old.program("usr/bin/app", &auditable(&[("serde", "1.0.9"), ("rand", "0.8.5"), ("old", "0.1.0")]));

    let new = packaged(base(), "libc6", "2.36-9+deb12u10", &["lib/libc.so.6"]);
    let new = packaged(new, "bash", "5.2.15-1", &["usr/bin/bash"]);
    let new = packaged(new, "curl", "7.88.1-10", &["usr/bin/curl"]);
    let new = new.file("usr/lib/libc.so.6", &[1; 2100]).member(b'0', "usr/bin/bash", 0o4755, "", &[7; 900]);
    let new = new.program("usr/bin/curl", &[4; 3000]).file("usr/same", b"1").symlink("usr/link", "bin");
    let new = new.file("usr/a|b`<i>\n", b"hostile");
    let app = auditable(&[("serde", "1.0.10"), ("rand", "0.8.5"), ("rand", "0.9.0"), ("new", "1.0.0-rc.1")]);
    (side("app:1", old), side("app:2", new.program("usr/bin/app", &app)))
}

fn diff() -> Diff {
    let (old, new) = releases();
    compare(&old, &new).unwrap()
}

#[test]
fn two_releases_as_text() {
    snapbox::assert_data_eq!(text(&diff()), snapbox::file!["tests/releases.txt"].raw());
}

#[test]
fn two_releases_as_markdown() {
    let markdown = markdown(&diff());
    assert!(!markdown.contains("<i>") && markdown.len() < 65_536);
    snapbox::assert_data_eq!(markdown, snapbox::file!["tests/releases.md"].raw());
}

#[test]
fn two_releases_as_json() {
    let json = serde_json::to_string_pretty(&json(&diff())).unwrap() + "\n";
    snapbox::assert_data_eq!(json, snapbox::file!["tests/releases.json"].raw());
}

#[test]
fn the_same_output_does_not_differ() {
    let (old, _) = releases();
    let (again, _) = releases();
    let diff = compare(&old, &again).unwrap();
    assert!(diff.is_empty());
    assert!(text(&diff).ends_with("nothing else differs\n") && markdown(&diff).contains("no difference"));
    let all = ["grow:0%", "grow:0", "setuid", "package", "crate", "glibc", "kernel"];
    let all: Vec<Forbidden> = all.iter().map(|word| parse_forbidden(word).unwrap()).collect();
    assert_eq!(violations(&diff, &all).len(), 0);
}

#[test]
fn what_is_forbidden_fails() {
    let said = |word: &str| {
        let errors = violations(&diff(), &[parse_forbidden(word).unwrap()]);
        errors.first().map(|error| (error.message().to_owned(), error.details().join(" ")))
    };
    assert!(said("grow:5%").unwrap().0.ends_with("and 5% is allowed"));
    assert_eq!(said("grow:500%"), None);
    assert!(said("grow:1KiB").is_some() && said("grow:1MiB").is_none());
    assert_eq!(said("setuid").unwrap().1, "/usr/bin/bash");
    assert_eq!(said("package").unwrap().1, "curl 7.88.1-10");
    assert_eq!(said("crate").unwrap().1, "new 1.0.0-rc.1 rand 0.9.0");
    assert_eq!(said("glibc"), None);
    for word in ["grow", "grow:", "grow:x%", "grow:-1%", "grow:5T", "setgid", ""] {
        assert_eq!(parse_forbidden(word).unwrap_err().exit_code(), 2, "{word}");
    }
}

#[test]
fn a_newer_glibc_is_a_floor_that_rises() {
    let floor = |version: &str, numbers: &[u32]| {
        Some(Floor { version: version.to_owned(), numbers: numbers.to_vec(), by: RootfsPath::root().join(b"bin/app") })
    };
    let mut diff = diff();
    let says = |diff: &Diff| violations(diff, &[Forbidden::Glibc]).first().map(|error| error.message().to_owned());
    diff.totals.as_mut().unwrap().glibc = (floor("2.9", &[2, 9]), floor("2.36", &[2, 36]));
    assert_eq!(says(&diff).unwrap(), "a newer glibc is needed: 2.36, and 2.9 before");
    diff.totals.as_mut().unwrap().glibc = (floor("2.36", &[2, 36]), floor("2.9", &[2, 9]));
    assert_eq!(says(&diff), None);
    assert!(text(&diff).contains("glibc    2.36 -> 2.9  (for /bin/app)\n"));
}

#[test]
fn locks_are_compared_by_their_packages() {
    let lock = |version: &str| {
        let text = format!(
            "version = 1\n[[sysroot]]\ndistribution = \"debian\"\nsuite = \"bookworm\"\narchitecture = \"arm64\"\n\
             [[sysroot.package]]\nname = \"libc6\"\nversion = \"{version}\"\nsha256 = \"\"\n"
        );
        sides_of_lock("rootfs.lock", &text).unwrap().remove(0)
    };
    let diff = compare(&lock("2.36-9"), &lock("2.36-10")).unwrap();
    let expected =
        "rootfs.lock -> rootfs.lock (debian:bookworm arm64)\n\npackages: 1 up\n  ^ libc6 2.36-9 -> 2.36-10\n";
    assert_eq!(text(&diff), expected);
    assert!(sides_of_lock("x.lock", "<<<<<<<").is_err());
}

/// A pipeline that relies on a limit must not pass because nothing was compared.
#[test]
fn limits_that_cannot_be_judged_fail() {
    let said = |diff: &Diff, word: &str| {
        let errors = violations(diff, &[parse_forbidden(word).unwrap()]);
        errors.first().map(|error| error.message().to_owned())
    };
    let text = "version = 1\n[[sysroot]]\ndistribution = \"debian\"\nsuite = \"bookworm\"\narchitecture = \"arm64\"\n";
    let lock = || sides_of_lock("rootfs.lock", text).unwrap().remove(0);
    let of_locks = compare(&lock(), &lock()).unwrap();
    assert_eq!(said(&of_locks, "package"), None);
    for word in ["grow:5%", "grow:1", "setuid", "crate", "glibc", "kernel"] {
        let kind = word.split(':').next().unwrap();
        let expected = format!("cannot judge `{kind}` of --fail-on: a lock has only packages");
        assert_eq!(said(&of_locks, word), Some(expected));
    }
    let without = || side("app:0", base().program("usr/bin/app", &[1; 10]));
    let (old, _) = releases();
    for (diff, of) in [(compare(&without(), &old), "app:0"), (compare(&old, &without()), "app:0")] {
        let diff = diff.unwrap();
        assert_eq!(diff.crates.len(), 0);
        let expected = format!("cannot judge `crate` of --fail-on: `{of}` has no list of crates");
        assert_eq!(said(&diff, "crate"), Some(expected));
        assert!(super::text(&diff).contains("crates: not compared, `app:0` has no list of them\n"));
    }
    let neither = compare(&without(), &without()).unwrap();
    let expected = "cannot judge `crate` of --fail-on: neither `app:0` nor `app:0` has a list of crates";
    assert_eq!(said(&neither, "crate").as_deref(), Some(expected));
    assert!(!super::text(&neither).contains("crates"), "an image without Rust programs");
}

#[test]
fn reasons_are_those_of_the_bill_and_of_the_configuration() {
    let layer = base().program("usr/bin/app", &[1; 10]).program("usr/bin/jq", &[2; 10]).file("usr/data", b"x").bytes();
    let config = serde_json::json!({"config": {"Entrypoint": ["/usr/bin/app", "-v"], "Cmd": ["/usr/bin/jq"]}});
    let layout = Layout::new(&[(layer.clone(), &layer)], config);
    let mut image = read_with(layout.name(), Limits::default()).unwrap();
    let reasons = |image: &crate::inspect::Inspected| {
        let side = Side::new("app", image);
        let paths = ["/usr/bin/app", "/usr/bin/jq", "/usr/data"].map(|path| RootfsPath::parse(path).unwrap());
        paths.map(|path| side.files[&path].reason.clone())
    };
    let texts = |texts: [&str; 3]| texts.map(|text| (!text.is_empty()).then(|| text.to_owned()));
    assert_eq!(reasons(&image), texts(["the image's entrypoint", "the image's command", ""]));
    let of_another = serde_json::json!({"creationInfo": {"creators": ["Tool: syft-1"]}, "files": [
        {"fileName": "./usr/bin/jq", "comment": "layerID: sha256:00"},
    ]});
    let creators = serde_json::json!({"creators": ["Tool: cargo-rootfs-0.1.0"]});
    let spdx = serde_json::json!({"creationInfo": creators, "files": [{"fileName": "./usr/bin/jq", "comment": "tool jq"}, {"fileName": 1}]});
    let property = |value: &str| serde_json::json!({"name": "cargo-rootfs:reason", "value": value});
    let other = serde_json::json!({"name": "aquasecurity:trivy:Class", "value": "x"});
    let cyclonedx = serde_json::json!({"components": [
        {"name": "/usr/data", "properties": [property("needed by jq"), other, property("tool jq")]},
        {"name": "serde", "properties": []},
    ]});
    image.documents = vec![
        b"[".to_vec(),
        of_another.to_string().into_bytes(),
        spdx.to_string().into_bytes(),
        cyclonedx.to_string().into_bytes(),
    ];
    assert_eq!(reasons(&image), texts(["the image's entrypoint", "tool jq", "needed by jq; tool jq"]));
}

#[test]
fn databases_of_other_distributions_are_read() {
    let apk = Made::new().dir("lib/").dir("lib/apk/").dir("lib/apk/db/").dir("bin/").program("bin/busybox", &[1; 10]);
    let database = b"P:busybox\nV:1.36.1-r2\nA:x86_64\nF:bin\nR:busybox\n\nP:musl\nV:1.2.4-r1\nA:x86_64\n\n";
    let apk = side("apk", apk.file("lib/apk/db/installed", database));
    assert_eq!(apk.packages["busybox"], side::PackageSeen { version: "1.36.1-r2".to_owned(), size: 10 });
    assert_eq!(apk.packages["musl"].version, "1.2.4-r1");

    let at = "var/lib/pacman/local/bash-5";
    let pacman = ["var/", "var/lib/", "var/lib/pacman/", "var/lib/pacman/local/", "var/lib/pacman/local/bash-5/"];
    let pacman = pacman.iter().fold(Made::new(), |made, name| made.dir(name)).dir("usr/").file("usr/bash", &[1; 7]);
    let pacman = pacman.file(&format!("{at}/desc"), b"%NAME%\nbash\n\n%VERSION%\n5.2-1\n");
    let pacman = side("pacman", pacman.file(&format!("{at}/files"), b"%FILES%\nusr/\nusr/bash\n"));
    assert_eq!(pacman.packages["bash"], side::PackageSeen { version: "5.2-1".to_owned(), size: 7 });

    let status = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2\n\n\
        Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n";
    let dpkg = base().dir("var/lib/dpkg/info/").file("var/lib/dpkg/status", status).program("usr/bin/bash", &[1; 9]);
    let dpkg = side("dpkg", dpkg.file("var/lib/dpkg/info/bash.list", b"/.\n/usr\n/usr/bin/bash\n"));
    assert_eq!(dpkg.packages.len(), 1);
    assert_eq!(dpkg.packages["bash"], side::PackageSeen { version: "5.2".to_owned(), size: 9 });
}
