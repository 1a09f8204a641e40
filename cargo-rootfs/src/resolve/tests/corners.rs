//! Names that are no names, files where folders should be, texts that are too long: which errors of open(2) end the
//! search of a list, and which do not (`open_path`, elf/dl-load.c; `path_open`, ldso/dynlink.c of musl).

use super::tree::{MUSL_LOADER, Tree, library, program};
use crate::elf::fixture::Fixture;

const NEXT: &str = "liba.so => /second/liba.so [runpath]";
const MISSING: &str = "liba.so missing for /bin/app";

/// A program that looks into a folder of its own first.
fn searched(tree: Tree) -> Tree {
    let app = program().needs("liba.so").runpath("/first:/second");
    tree.elf("/bin/app", app).elf("/second/liba.so", library())
}

/// ENOTDIR where the folder is there ends the list, until glibc 2.39 (bug 31035).
#[test]
fn a_link_through_a_file_ends_the_list() {
    let tree = |release| {
        let tree = Tree::glibc_of(release).before(2, 39).link("/first/liba.so", "/file/liba.so");
        searched(tree.bytes("/file", b"text"))
    };
    tree("2.36").expect("/bin/app", MISSING);
    tree("2.39").only_here("another release").expect("/bin/app", NEXT);
    let tree = |release| {
        let tree = Tree::glibc_of(release).before(2, 39).link("/first/liba.so", "../lib/liba.so/");
        searched(tree.elf("/lib/libz.so", library()).link("/lib/liba.so", "libz.so"))
    };
    tree("2.36").elf("/lib/x/liba.so", library()).expect("/bin/app", MISSING_BUT_DEFAULT);
    tree("2.39").only_here("another release").expect("/bin/app", NEXT);
}

/// The default folders are the next list.
const MISSING_BUT_DEFAULT: &str = "liba.so => /lib/liba.so [default]";

/// A relative folder is never found not to be there (`fillin_rpath`), so ENOTDIR below it ends the list, ENOENT does not.
#[test]
fn a_relative_element_that_is_a_file_ends_the_list() {
    let tree = |release| {
        Tree::glibc_of(release)
            .before(2, 39)
            .current("/work")
            .elf("/bin/app", program().needs("liba.so").runpath("first:/second"))
            .elf("/second/liba.so", library())
    };
    tree("2.36").bytes("/work/first", b"text").expect("/bin/app", MISSING);
    tree("2.36").dir("/work").expect("/bin/app", NEXT);
    tree("2.39").bytes("/work/first", b"text").only_here("another release").expect("/bin/app", NEXT);
}

/// ENXIO.
#[test]
fn a_socket_ends_the_list() {
    searched(Tree::glibc().special("/first/liba.so", "socket")).expect("/bin/app", MISSING);
}

/// ENAMETOOLONG: of a name no folder can hold, and of a path, which is made of the folder's own text.
#[test]
fn what_is_too_long_ends_the_list() {
    let long = "l".repeat(256);
    Tree::glibc()
        .elf("/bin/app", program().needs(&long).needs("liba.so").runpath("/first"))
        .elf("/first/liba.so", library())
        .expect("/bin/app", &format!("liba.so => /first/liba.so [runpath]\n{long} missing for /bin/app"));
    // With `/liba.so` the longest path there is has 4095 bytes.
    let fits = format!("/{}first", "./".repeat(2041));
    assert_eq!(fits.len() + "/liba.so".len(), 4096);
    let tree = |folder: &str| {
        Tree::glibc()
            .elf("/bin/app", program().needs("liba.so").runpath(&format!("{folder}:/second")))
            .elf("/first/liba.so", library())
            .elf("/second/liba.so", library())
    };
    tree(&fits[1..]).current("/").expect("/bin/app", "liba.so => /first/liba.so [runpath]");
    tree(&fits).expect("/bin/app", MISSING);
    // A folder that is too long itself is as good as none.
    tree(&format!("{fits}{}", "/.".repeat(10))).expect("/bin/app", NEXT);
}

/// The root folder as an element: until glibc 2.38 the loader loses it with the first name that is not there (bug
/// 30435), unless it found one there before.
#[test]
fn the_root_folder_is_lost_with_the_first_name_that_is_not_there() {
    let tree = |release, first: &str| {
        let app = program().needs(first).needs("libb.so").needs("libd.so").runpath("//:/y");
        Tree::glibc_of(release)
            .before(2, 38)
            .elf("/bin/app", app)
            .elf("/libb.so", library())
            .elf("/libd.so", library())
            .elf("/y/libd.so", library())
            .elf("/y/liba.so", library())
    };
    tree("2.37", "liba.so").expect(
        "/bin/app",
        "liba.so => /y/liba.so [runpath]
         libd.so => /y/libd.so [runpath]
         libb.so missing for /bin/app",
    );
    tree("2.37", "libb.so").expect(
        "/bin/app",
        "libb.so => /libb.so [runpath]
         libd.so => /libd.so [runpath]",
    );
    tree("2.38", "liba.so").only_here("another release").expect(
        "/bin/app",
        "liba.so => /y/liba.so [runpath]
         libb.so => /libb.so [runpath]
         libd.so => /libd.so [runpath]",
    );
    // What came of it is each program's own.
    let app = |first: &str, then: &str| program().needs(first).needs(then).runpath("/");
    let mut tree = Tree::glibc_of("2.37")
        .elf("/libb.so", library())
        .elf("/bin/one", app("liba.so", "libb.so"))
        .elf("/bin/two", app("libb.so", "liba.so"));
    let mut resolver = crate::resolve::Resolver::new(Vec::new(), None);
    for (name, count) in [("one", 0), ("two", 1), ("one", 0)] {
        let path = super::tree::path(&format!("/bin/{name}"));
        assert_eq!(resolver.closure(&mut tree, &path).unwrap().objects.len(), count, "{name}");
    }
}

/// A slash at the end of a needed path, and a dot as a name, ask for a folder.
#[test]
fn names_that_ask_for_a_folder() {
    Tree::glibc()
        .elf("/bin/app", program().needs("/x/liba.so/").needs("/x/liba.so/."))
        .elf("/x/liba.so", library())
        .expect("/bin/app", "/x/liba.so/ missing for /bin/app\n/x/liba.so/. missing for /bin/app");
    let dot = || Tree::glibc().elf("/bin/app", program().needs(".").runpath("/x").flags_1(crate::elf::DF_1_NODEFLIB));
    dot().elf("/x", library()).expect("/bin/app", ". missing for /bin/app");
    dot().dir("/x").expect("/bin/app", ". bad at /x for /bin/app");
}

/// The kernel starts no program whose PT_INTERP has no end; to a library one is nothing (execve(2): ENOEXEC).
#[test]
fn an_interpreter_without_end() {
    let endless = library().interpreter(&"i".repeat(5000));
    let mut tree = Tree::glibc().elf("/bin/app", endless.clone());
    let app = super::tree::path("/bin/app");
    let skipped = crate::resolve::Resolver::new(Vec::new(), None).closure(&mut tree, &app);
    assert!(matches!(skipped, Err(crate::resolve::Skipped::Bad { .. })));
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so"))
        .elf("/lib/liba.so", endless)
        .expect("/bin/app", "liba.so => /lib/liba.so [default]");
}

/// In place of a cache that is no good comes nothing, not even ld.so.conf.
#[test]
fn a_bad_cache_is_as_good_as_none() {
    Tree::glibc()
        .bytes("/etc/ld.so.cache", b"glibc-ld.so.cache1.1 and then text")
        .bytes("/etc/ld.so.conf", b"/conf\n")
        .elf("/bin/app", program().needs("liba.so").needs("libb.so"))
        .elf("/conf/liba.so", library())
        .elf("/lib/libb.so", library())
        .expect("/bin/app", "libb.so => /lib/libb.so [default]\nliba.so missing for /bin/app");
}

fn musl() -> Fixture {
    Fixture::program().interpreter(MUSL_LOADER)
}

/// musl searches on for ENOENT, ENOTDIR, EACCES and ENAMETOOLONG, and gives up for anything else.
#[test]
fn musl_has_errors_of_its_own() {
    let tree = || {
        Tree::musl()
            .elf("/bin/app", musl().needs("liba.so").runpath("/first:/second"))
            .elf("/second/liba.so", library())
    };
    let next = "liba.so => /second/liba.so [rpath]";
    tree().bytes("/first", b"text").expect("/bin/app", next);
    tree().bytes("/file", b"text").link("/first/liba.so", "/file/liba.so").expect("/bin/app", next);
    tree().link("/first/liba.so", "liba.so").expect("/bin/app", MISSING);
    tree().special("/first/liba.so", "socket").expect("/bin/app", MISSING);
    tree().link("/first", "first").expect("/bin/app", MISSING);
}

/// Its buffer for a path has 512 bytes, which no folder's text may fill; and it looks for no name over 255.
#[test]
fn musl_has_lengths_of_its_own() {
    // With `/liba.so` and a zero it has 512.
    let fits = format!("/{}first", "./".repeat(249));
    assert_eq!(fits.len() + "/liba.so".len(), 512);
    let tree = |folder: &str| {
        Tree::musl()
            .current("/")
            .elf("/bin/app", musl().needs("liba.so").runpath(&format!("{folder}:/second")))
            .elf("/first/liba.so", library())
            .elf("/second/liba.so", library())
    };
    tree(&fits[1..]).expect("/bin/app", "liba.so => /first/liba.so [rpath]");
    tree(&fits).expect("/bin/app", "liba.so => /second/liba.so [rpath]");
}

/// An empty name is an error of musl's (`load_library`: EINVAL).
#[test]
fn an_empty_name_is_bad_for_musl() {
    let mut tree = Tree::musl().elf("/bin/app", musl().needs(""));
    assert!(tree.closure("/bin/app").missing[0].bad.is_some());
}

/// The path file may name relative folders; one that cannot be read leaves none at all.
#[test]
fn musls_path_file() {
    let tree = || {
        Tree::musl()
            .current("/work")
            .elf("/bin/app", musl().needs("liba.so").needs("libb.so"))
            .elf("/work/sub/liba.so", library())
            .elf("/lib/libb.so", library())
    };
    tree()
        .bytes("/etc/ld-musl-x86_64.path", b"sub:\n")
        .expect("/bin/app", "liba.so => /work/sub/liba.so [default]\nlibb.so missing for /bin/app");
    let none = "liba.so missing for /bin/app\nlibb.so missing for /bin/app";
    tree().dir("/etc/ld-musl-x86_64.path").expect("/bin/app", none);
    tree().link("/etc/ld-musl-x86_64.path", "ld-musl-x86_64.path").expect("/bin/app", none);
    let default = "libb.so => /lib/libb.so [default]\nliba.so missing for /bin/app";
    tree().link("/etc/ld-musl-x86_64.path", "none").expect("/bin/app", default);
}
