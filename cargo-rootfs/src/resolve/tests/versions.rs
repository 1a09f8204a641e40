//! Version records that no table row can express: overwritten hashes and revisions (elf/dl-version.c). Also the
//! releases on which a closure runs.

use super::tree::{Tree, library, path, program, soname, verdict_lines};
use crate::elf::fixture::{Fixture, elf_hash};
use crate::resolve::Resolver;

/// Asserts the messages about the versions of `/bin/app`.
#[track_caller]
fn expect(mut tree: Tree, expected: &[&str]) {
    let closure = tree.closure("/bin/app");
    assert_eq!(verdict_lines(&tree.verdict(&closure)), expected);
}

/// The fixture with `value` written at `offset` from the hash of the version `name`.
fn edited(file: &Fixture, name: &str, offset: isize, value: &[u8]) -> Vec<u8> {
    let mut bytes = file.build();
    let hash = elf_hash(name).to_le_bytes();
    let at = bytes.windows(4).position(|window| window == hash).unwrap().checked_add_signed(offset).unwrap();
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

/// The loader compares names and hashes, and computes no hash: an overwritten name in one file matches no version.
#[test]
fn versions_are_compared_by_hash_and_name() {
    let app = program().needs("liba.so").needs_versions("liba.so", &["A_1"]);
    let liba = library().defines_versions(&["base", "A_1", "A_2"]);
    let lacking = ["A_1 of /lib/liba.so needed by /bin/app"];
    let wrong = elf_hash("A_2").to_le_bytes();
    let tree = |app: &[u8], liba: &[u8]| Tree::glibc().bytes("/bin/app", app).bytes("/lib/liba.so", liba);
    expect(tree(&edited(&app, "A_1", 0, &wrong), &liba.build()), &lacking);
    expect(tree(&app.build(), &edited(&liba, "A_1", 0, &wrong)), &lacking);
    // The same wrong hash in both files matches.
    expect(tree(&edited(&app, "A_1", 0, &[9; 4]), &edited(&liba, "A_1", 0, &[9; 4])), &[]);
}

/// The records have one revision. For needs, the first record is checked; for definitions, each record up to the
/// matching one.
#[test]
fn version_records_have_a_revision() {
    let app = program().needs("liba.so").needs_versions("liba.so", &["A_1"]);
    let liba = library().defines_versions(&["base", "A_1", "A_2"]);
    let tree = |app: &[u8], liba: &[u8]| Tree::glibc().bytes("/bin/app", app).bytes("/lib/liba.so", liba);
    let needs = edited(&app, "A_1", -16, &[7, 0]);
    expect(tree(&needs, &liba.build()), &["revision 7 in /bin/app needed by /bin/app"]);
    let early = edited(&liba, "base", -8, &[7, 0]);
    expect(tree(&app.build(), &early), &["revision 7 in /lib/liba.so needed by /bin/app"]);
    let late = edited(&liba, "A_2", -8, &[7, 0]);
    expect(tree(&app.build(), &late), &[]);
}

/// The oldest glibc is the newest release that any object outside of glibc needs, compared by number, without weak
/// versions, with the first object that needs it.
#[test]
fn a_closure_runs_on_the_newest_release_that_it_needs() {
    let libc = || soname("libc.so.6").needs("ld-linux-x86-64.so.2");
    let libc = || libc().needs_versions("ld-linux-x86-64.so.2", &["GLIBC_2.35"]);
    let libc = || libc().defines_versions(&["libc.so.6", "GLIBC_2.2.5", "GLIBC_2.36", "GLIBC_PRIVATE"]);
    let runs_on = |app: &[&str], liba: Fixture| {
        let mut tree = Tree::glibc()
            .elf("/bin/app", program().needs("libc.so.6").needs("liba.so").needs_versions("libc.so.6", app))
            .elf("/lib/libc.so.6", libc())
            .elf("/lib/liba.so", liba.needs("libc.so.6"));
        let closure = Resolver::new(Vec::new(), None).closure(&mut tree, &path("/bin/app")).unwrap();
        let (release, by) = closure.runs_on.glibc?;
        Some(format!("{release} {}", closure.path(by)))
    };
    let liba = |versions: &[&str]| library().needs_versions("libc.so.6", versions);
    let expect = |app: &[&str], liba, expected| assert_eq!(runs_on(app, liba).as_deref(), expected);
    expect(&["GLIBC_2.2.5", "GLIBC_2.4"], liba(&["GLIBC_2.14"]), Some("2.14 /lib/liba.so"));
    expect(&["GLIBC_2.34", "?GLIBC_2.36", "GLIBC_PRIVATE"], liba(&["GLIBC_2.34"]), Some("2.34 /bin/app"));
    expect(&["GLIBC_2.34", "GLIBC_ABI_DT_RELR"], liba(&[]), Some("2.36 /bin/app"));
    expect(&["GLIBC_PRIVATE"], library(), None);
    // A library with versions of its own besides glibc's is not part of glibc.
    let own = |versions: &[&str]| liba(&["GLIBC_2.36"]).defines_versions(versions);
    expect(&["GLIBC_2.4"], own(&["base", "GLIBC_2.2.5", "OWN_1"]).soname("base"), Some("2.36 /lib/liba.so"));
    expect(&["GLIBC_2.4"], own(&["base", "GLIBC_2.2.5"]).soname("base"), Some("2.4 /bin/app"));
    // The requested file itself counts, even if it is glibc's.
    let mut tree = Tree::glibc().elf("/lib/libc.so.6", libc());
    let closure = tree.closure("/lib/libc.so.6");
    assert_eq!(closure.runs_on.glibc.unwrap().0.to_string(), "2.35");
}
