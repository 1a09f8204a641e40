//! Symbol versions: what glibc's loader refuses to start, and what it warns of (elf/dl-version.c).

use super::tree::{LOADER, Tree, library, program, soname};
use crate::elf::fixture::{Fixture, elf_hash};
use crate::path::RootfsPath;
use crate::resolve::Resolver;

/// Every version that is needed must be defined by the library that was chosen; a weak one may be
/// lacking, and a library without any versions serves all (`_dl_check_map_versions`, `match_symbol`).
#[test]
fn needed_versions_must_be_defined() {
    let tree = |versions: &[&str], library| {
        Tree::glibc()
            .elf("/bin/app", program().needs("liba.so.1").needs_versions("liba.so.1", versions))
            .elf("/lib/liba.so.1", library)
    };
    let versioned = || soname("liba.so.1").defines_versions(&["liba.so.1", "A_1", "A_2"]);
    tree(&["A_1", "A_2"], versioned()).expect_versions("/bin/app", &[]);
    tree(&["A_1", "A_3"], versioned()).expect_versions("/bin/app", &["A_3 of /lib/liba.so.1 needed by /bin/app"]);
    tree(&["A_1", "?A_3"], versioned()).expect_versions("/bin/app", &[]);
    // The base definition, the library's own name, counts as one.
    tree(&["liba.so.1"], versioned()).expect_versions("/bin/app", &[]);
}

/// The library is found by any name that it was needed by, and by each of them its versions count.
#[test]
fn versions_are_checked_by_every_name_of_the_library() {
    Tree::glibc()
        .elf(
            "/bin/app",
            program()
                .needs("liba.so")
                .needs("libalias.so")
                .needs_versions("liba.so", &["A_1"])
                .needs_versions("libalias.so", &["A_2"]),
        )
        .elf("/lib/liba.so", library().defines_versions(&["base", "A_1"]))
        .link("/lib/libalias.so", "liba.so")
        .expect_versions("/bin/app", &["A_2 of /lib/liba.so needed by /bin/app"]);
}

/// What a library needs of the program itself is checked as well.
#[test]
fn versions_that_the_program_defines_count() {
    let tree = |defined| {
        Tree::glibc()
            .elf("/bin/app", program().soname("app").needs("liba.so").defines_versions(&["app", defined]))
            .elf("/lib/liba.so", library().needs("app").needs_versions("app", &["APP_1"]))
    };
    tree("APP_1").expect_versions("/bin/app", &[]);
    tree("APP_0").expect_versions("/bin/app", &["APP_1 of /bin/app needed by /lib/liba.so"]);
}

/// A library without any version serves all, and is warned of once; weak or not (`match_symbol`).
#[test]
fn a_library_without_versions_is_warned_of() {
    let tree = |versions: &[&str]| {
        Tree::glibc()
            .elf("/bin/app", program().needs("liba.so.1").needs_versions("liba.so.1", versions))
            .elf("/lib/liba.so.1", soname("liba.so.1"))
    };
    tree(&["A_1", "A_2"]).expect_versions("/bin/app", &["any of /lib/liba.so.1 for /bin/app"]);
    tree(&["?A_1"]).expect_versions("/bin/app", &["any of /lib/liba.so.1 for /bin/app"]);
}

/// Two that lack something, and one that has nothing to check: all is told, not the first thing.
#[test]
fn everything_that_is_lacking_is_told() {
    Tree::glibc()
        .elf(
            "/bin/app",
            program()
                .needs("liba.so")
                .needs("libb.so")
                .needs_versions("liba.so", &["A_2", "A_3", "?A_4"])
                .needs_versions("libb.so", &["B_1"]),
        )
        .elf(
            "/lib/liba.so",
            library().defines_versions(&["base", "A_1"]).needs("libb.so").needs_versions("libb.so", &["B_2"]),
        )
        .elf("/lib/libb.so", library())
        .expect_versions(
            "/bin/app",
            &[
                "A_2 A_3 of /lib/liba.so needed by /bin/app",
                "any of /lib/libb.so for /bin/app",
                "any of /lib/libb.so for /lib/liba.so",
            ],
        );
}

/// A version of a library that nothing is mapped by the name of: `find_needed` finds none, and the loader
/// ends with an assertion. So does one of a soname that no DT_NEEDED has.
#[test]
fn a_version_of_what_is_not_loaded_is_refused() {
    Tree::glibc()
        .elf("/bin/app", program().needs_versions("liba.so", &["A_1"]).needs("libb.so"))
        .elf("/lib/libb.so", library())
        .elf("/lib/liba.so", library().defines_versions(&["base", "A_1"]))
        .expect_versions("/bin/app", &["A_1 of liba.so, not loaded, needed by /bin/app"]);
    let by_soname = |other: Fixture| {
        Tree::glibc()
            .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs_versions("liba.so.1", &["A_1"]))
            .elf("/lib/liba.so", soname("liba.so.1").defines_versions(&["base", "A_1"]))
            .elf("/lib/libb.so", other)
    };
    by_soname(library()).expect_versions("/bin/app", &["A_1 of liba.so.1, not loaded, needed by /bin/app"]);
    by_soname(library().needs("liba.so.1")).expect_versions("/bin/app", &[]);
    // A name with a token was looked up without it.
    Tree::glibc()
        .elf("/bin/app", program().needs("$ORIGIN/liba.so").needs_versions("$ORIGIN/liba.so", &["A_1"]))
        .elf("/bin/liba.so", soname("$ORIGIN/liba.so").defines_versions(&["base", "A_1"]))
        .expect_versions("/bin/app", &["A_1 of $ORIGIN/liba.so, not loaded, needed by /bin/app"]);
}

/// A library is found by the path that it was found at, too (`_dl_name_match_p` compares `l_name`).
#[test]
fn a_version_may_be_needed_of_a_path() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs_versions("/lib/liba.so", &["A_1"]))
        .elf("/lib/liba.so", library().defines_versions(&["base", "A_2"]))
        .expect_versions("/bin/app", &["A_1 of /lib/liba.so needed by /bin/app"]);
}

/// The loader is known by its soname and as PT_INTERP has it, but only where anything needs it by name: before
/// versions are checked it is taken out of the list of what is loaded (`dl_main`, elf/rtld.c).
#[test]
fn versions_of_the_loader_are_checked() {
    const SONAME: &str = "ld-linux-x86-64.so.2";
    let tree = |file: &str, version: &str, liba: Fixture| {
        // The stand-in defines what Debian's does.
        Tree::glibc()
            .loader_is(soname(SONAME).defines_versions(&[SONAME, "GLIBC_2.3"]))
            .elf("/bin/app", program().needs("liba.so").needs_versions(file, &[version]))
            .elf("/lib/liba.so", liba)
    };
    for name in [SONAME, LOADER] {
        for needed in [SONAME, LOADER] {
            tree(name, "GLIBC_2.3", library().needs(needed)).expect_versions("/bin/app", &[]);
            let lacking = format!("GLIBC_2.99 of {LOADER} needed by /bin/app");
            tree(name, "GLIBC_2.99", library().needs(needed)).expect_versions("/bin/app", &[&lacking]);
        }
        let nowhere = format!("GLIBC_2.3 of {name}, not loaded, needed by /bin/app");
        tree(name, "GLIBC_2.3", library()).expect_versions("/bin/app", &[&nowhere]);
    }
}

/// The fixture with `value` written at `offset` from where the hash of the version `name` stands.
fn edited(file: &Fixture, name: &str, offset: isize, value: &[u8]) -> Vec<u8> {
    let mut bytes = file.build();
    let hash = elf_hash(name).to_le_bytes();
    let at = bytes.windows(4).position(|window| window == hash).unwrap().checked_add_signed(offset).unwrap();
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

/// Names and hashes are compared, and no hash is worked out: a name that was written over in a file is no
/// version that anybody has.
#[test]
fn versions_are_compared_by_hash_and_name() {
    let app = program().needs("liba.so").needs_versions("liba.so", &["A_1"]);
    let liba = library().defines_versions(&["base", "A_1", "A_2"]);
    let lacking = ["A_1 of /lib/liba.so needed by /bin/app"];
    let wrong = elf_hash("A_2").to_le_bytes();
    let tree = |app: &[u8], liba: &[u8]| Tree::glibc().bytes("/bin/app", app).bytes("/lib/liba.so", liba);
    tree(&edited(&app, "A_1", 0, &wrong), &liba.build()).expect_versions("/bin/app", &lacking);
    tree(&app.build(), &edited(&liba, "A_1", 0, &wrong)).expect_versions("/bin/app", &lacking);
    // Wrong in both, and so the same.
    tree(&edited(&app, "A_1", 0, &[9; 4]), &edited(&liba, "A_1", 0, &[9; 4])).expect_versions("/bin/app", &[]);
}

/// There is one revision of the records. Of the needs the first record is looked at; of the definitions each
/// up to the one that is looked for.
#[test]
fn version_records_have_a_revision() {
    let app = program().needs("liba.so").needs_versions("liba.so", &["A_1"]);
    let liba = library().defines_versions(&["base", "A_1", "A_2"]);
    let tree = |app: &[u8], liba: &[u8]| Tree::glibc().bytes("/bin/app", app).bytes("/lib/liba.so", liba);
    let needs = edited(&app, "A_1", -16, &[7, 0]);
    tree(&needs, &liba.build()).expect_versions("/bin/app", &["revision 7 in /bin/app needed by /bin/app"]);
    let early = edited(&liba, "base", -8, &[7, 0]);
    tree(&app.build(), &early).expect_versions("/bin/app", &["revision 7 in /lib/liba.so needed by /bin/app"]);
    let late = edited(&liba, "A_2", -8, &[7, 0]);
    tree(&app.build(), &late).expect_versions("/bin/app", &[]);
}

/// Since glibc 2.36 an object with DT_RELR that needs libc must name GLIBC_ABI_DT_RELR, by which an older
/// loader refuses it (end of `_dl_check_map_versions`).
#[test]
fn compact_relocations_need_their_version() {
    // DT_RELR, and DT_RELRSZ and DT_RELRENT beside it (elf.h).
    let relr = |app: Fixture| app.patch(36, 0).patch(35, 0).patch(37, 8);
    let tree = |versions: &[&str], defined: &[&str]| {
        let libc = soname("libc.so.6").defines_versions(&["libc.so.6", "GLIBC_2.34"]).defines_versions(defined);
        let app = program().needs("libc.so.6").needs_versions("libc.so.6", versions);
        Tree::glibc().elf("/bin/app", relr(app)).elf("/lib/libc.so.6", libc)
    };
    let new = &["GLIBC_ABI_DT_RELR"][..];
    tree(&["GLIBC_2.34", "GLIBC_ABI_DT_RELR"], new).expect_versions("/bin/app", &[]);
    tree(&["GLIBC_2.34"], new).expect_versions("/bin/app", &["GLIBC_ABI_DT_RELR needed by /bin/app"]);
    tree(&["GLIBC_2.34"], &[]).only_here("an older loader than this machine's").expect_versions("/bin/app", &[]);
}

/// The oldest glibc is the newest release that anything needs but glibc itself, which comes with it;
/// compared as numbers, weak versions apart, by whoever needs it first.
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
        let closure =
            Resolver::new(Vec::new(), None).closure(&mut tree, &RootfsPath::parse("/bin/app").unwrap()).unwrap();
        let (release, by) = closure.runs_on.glibc?;
        Some(format!("{release} {}", closure.path(by)))
    };
    let liba = |versions: &[&str]| library().needs_versions("libc.so.6", versions);
    let expect = |app: &[&str], liba, expected| assert_eq!(runs_on(app, liba).as_deref(), expected);
    expect(&["GLIBC_2.2.5", "GLIBC_2.4"], liba(&["GLIBC_2.14"]), Some("2.14 /lib/liba.so"));
    expect(&["GLIBC_2.34", "?GLIBC_2.36", "GLIBC_PRIVATE"], liba(&["GLIBC_2.34"]), Some("2.34 /bin/app"));
    expect(&["GLIBC_2.34", "GLIBC_ABI_DT_RELR"], liba(&[]), Some("2.36 /bin/app"));
    expect(&["GLIBC_PRIVATE"], library(), None);
    // One with glibc's versions among its own is not glibc's.
    let own = |versions: &[&str]| liba(&["GLIBC_2.36"]).defines_versions(versions);
    expect(&["GLIBC_2.4"], own(&["base", "GLIBC_2.2.5", "OWN_1"]).soname("base"), Some("2.36 /lib/liba.so"));
    expect(&["GLIBC_2.4"], own(&["base", "GLIBC_2.2.5"]).soname("base"), Some("2.4 /bin/app"));
    // What is asked about counts, be it glibc's.
    let mut tree = Tree::glibc().elf("/lib/libc.so.6", libc());
    let closure = tree.closure("/lib/libc.so.6");
    assert_eq!(closure.runs_on.glibc.unwrap().0.to_string(), "2.35");
}
