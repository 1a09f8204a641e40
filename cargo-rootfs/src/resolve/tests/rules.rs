//! The loader rules of `tests/rules`, on files in memory. `cargo xtask differential` compares with the loaders
//! themselves.

// Another user of this file needs the rest of it.
#[allow(dead_code)]
#[path = "../../../../tests/rules/schema.rs"]
mod schema;

use std::path::Path;

use schema::{Body, Libc, Loader, Row};

use super::tree::{Tree, lines, path, verdict_lines};
use crate::elf::fixture::{Fixture, forge, machine};
use crate::resolve::{Priority, bytes, cache};

#[test]
fn rules_of_glibc() {
    check("glibc", &[schema::GLIBC, schema::GLIBC_ARM64]);
}

#[test]
fn rules_of_musl() {
    check("musl", &[schema::MUSL]);
}

/// Checks every rule of the directory `name` for each of the loaders, and reports all failures.
fn check(name: &str, loaders: &[Loader]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/rules").join(name);
    let rows = schema::rows(&dir).unwrap();
    assert!(rows.len() > 10, "no rules in {}", dir.display());
    let mut wrong = Vec::new();
    for row in rows.iter().filter(|row| row.not_in_memory.is_none()) {
        for loader in loaders.iter().filter(|loader| row.is_for(loader)) {
            let (found, expected) = (found(row, loader), expected(row, loader));
            if found != expected {
                let [found, expected] = [found, expected].map(|lines| lines.join("\n    "));
                wrong.push(format!("`{}` on {}\n  is\n    {found}\n  not\n    {expected}", row.says, loader.machine));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn expected(row: &Row, loader: &Loader) -> Vec<String> {
    let mut all = row.then(loader);
    all.extend(row.versions(loader).unwrap_or_default());
    all
}

fn found(row: &Row, loader: &Loader) -> Vec<String> {
    let mut tree = tree(row, loader);
    let run = row.text(&row.run, loader);
    let closure = match row.follow.as_deref() {
        None => tree.closure(&run),
        Some("required") => tree.closure_following(&run, Priority::Required),
        Some("recommended") => tree.closure_following(&run, Priority::Recommended),
        Some("suggested") => tree.closure_following(&run, Priority::Suggested),
        Some(other) => panic!("`{}` follows {other}", row.says),
    };
    let mut found = lines(&closure);
    if row.versions(loader).is_some() {
        found.extend(verdict_lines(&tree.verdict(&closure)));
    }
    found
}

/// The files of a rule, with a substitute for its loader.
fn tree(row: &Row, loader: &Loader) -> Tree {
    let mut tree = stand_in(row, loader);
    let put = |tree: Tree, (at, body): (String, Body)| match body {
        Body::Bytes(bytes) => tree.bytes(&at, &bytes),
        Body::Link(target) => tree.link(&at, &target),
        Body::HardLink(other) => tree.same_file(&at, &other),
        Body::Directory => tree.dir(&at),
        Body::Socket => tree.special(&at, "socket"),
        Body::Fifo => tree.special(&at, "FIFO"),
        Body::Denied => tree.denied(&at),
        Body::Loader => tree.copy(&at, loader.interpreter),
        Body::Gone => tree.without(&at),
    };
    tree = row.files(loader).unwrap().into_iter().fold(tree, put);
    if let Some(format) = &row.ldconfig {
        assert_eq!(format, "new", "`{}`", row.says);
        let entry = |(soname, hwcaps, at): (String, Option<String>, String)| {
            (bytes(soname.as_bytes()), hwcaps.map(|name| bytes(name.as_bytes())), path(&at))
        };
        let entries = row.cached(loader).into_iter().map(entry);
        let mut bytes = cache::write_with_hwcaps(machine(loader.machine), &entries.collect::<Vec<_>>());
        bytes.truncate(row.cache_length.map_or(usize::MAX, |length| length as usize));
        tree = tree.bytes("/etc/ld.so.cache", &bytes);
    }
    tree = row.later(loader).unwrap().into_iter().fold(tree, put);
    tree.library_path.extend(row.library_path.as_ref().map(|text| row.text(text, loader)));
    tree.current = row.current.as_ref().map(|text| row.text(text, loader));
    tree.hwcaps = row.on.clone();
    tree
}

/// A tree with only a loader, made from its built-in constants.
fn stand_in(row: &Row, loader: &Loader) -> Tree {
    let (soname, constants) = match loader.libc {
        Libc::Musl => ("libc.so", "/lib:/usr/local/lib:/usr/lib\0__libc_start_main\0stdin".to_owned()),
        Libc::Glibc => {
            let folders = match row.debian {
                Some(false) => "/lib64/\0/usr/lib64/".to_owned(),
                _ => format!("/lib/{0}/\0/usr/lib/{0}/\0/lib/\0/usr/lib/", loader.triplet),
            };
            let before = |release: &String| {
                let (major, minor) = release.split_once('.').unwrap();
                format!("{major}.{}", minor.parse::<u32>().unwrap() - 1)
            };
            let release = row.since.clone().or(row.before.as_ref().map(before));
            let release =
                release.map_or(String::new(), |it| format!("ld.so (GNU libc) stable release version {it}.\0"));
            let levels = "x86-64-v4:x86-64-v3:x86-64-v2\0/etc/ld.so.cache";
            (loader.interpreter.rsplit('/').next().unwrap(), format!("{levels}\0{folders}\0{release}"))
        }
    };
    let file = Fixture::library().machine(machine(loader.machine)).soname(soname);
    let file = file.defines_versions(&[soname, "GLIBC_PRIVATE"]);
    Tree::with_loader(loader.interpreter, file.tail(format!("\0{constants}\0").as_bytes()))
}
