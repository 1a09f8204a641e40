//! Candidates that are no good: which are passed over, and which make the loader give up.

use goblin::elf::header::{EI_CLASS, EI_DATA, EI_VERSION, ET_EXEC, ET_REL};

use super::tree::{Tree, library, path, program};
use crate::elf::fixture::{Fixture, machine};
use crate::resolve::{Resolver, Skipped};

/// A program that finds `candidate` first, and a good library after it.
fn with_candidate(candidate: &[u8]) -> Tree {
    searched(Tree::glibc().bytes("/first/liba.so", candidate))
}

/// The first folder of the search is made already.
fn searched(tree: Tree) -> Tree {
    tree.elf("/bin/app", program().needs("liba.so").runpath("/first:/second")).elf("/second/liba.so", library())
}

const TAKEN_NEXT: &str = "liba.so => /second/liba.so [runpath]";
const BAD: &str = "liba.so bad at /first/liba.so for /bin/app";

/// Another class or machine is passed over (`open_verify`, elf/dl-load.c: "Another non-fatal error").
#[test]
fn candidates_of_another_machine_are_passed_over() {
    for name in ["i686", "aarch64", "s390x", "powerpc64", "armv7", "riscv64gc"] {
        with_candidate(&library().machine(machine(name)).build()).expect("/bin/app", TAKEN_NEXT);
    }
}

/// ... by its class and machine alone, whatever else is wrong with it.
#[test]
fn candidates_of_another_machine_are_passed_over_though_they_are_broken() {
    let foreign = library().machine(machine("aarch64")).build();
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    with_candidate(&foreign[..64]).expect("/bin/app", TAKEN_NEXT);
    with_candidate(&with(&foreign, EI_VERSION, 9)).expect("/bin/app", TAKEN_NEXT);
    with_candidate(&with(&library().build(), EI_CLASS, 9)).expect("/bin/app", TAKEN_NEXT);
}

/// What is for this machine and broken is taken, and the loader gives up.
#[test]
fn broken_candidates_make_the_loader_give_up() {
    let good = library().build();
    for (at, value) in [(EI_VERSION, 9), (EI_DATA, 9), (20, 9), (54, 57)] {
        let mut bytes = good.clone();
        bytes[at] = value;
        with_candidate(&bytes).expect("/bin/app", BAD);
    }
    with_candidate(&good[..100]).expect("/bin/app", BAD);
}

/// So does what is no ELF file at all: an empty file, a text, a linker script.
#[test]
fn candidates_that_are_not_elf_make_the_loader_give_up() {
    with_candidate(b"").expect("/bin/app", BAD);
    with_candidate(b"short").expect("/bin/app", BAD);
    with_candidate(&b"/* GNU ld script */ ".repeat(9)).expect("/bin/app", BAD);
}

/// A folder can be opened, and not read.
#[test]
fn a_folder_as_a_candidate_makes_the_loader_give_up() {
    searched(Tree::glibc().dir("/first/liba.so")).expect("/bin/app", BAD);
}

#[test]
fn a_fifo_as_a_candidate_is_bad() {
    searched(Tree::glibc().fifo("/first/liba.so")).expect("/bin/app", BAD);
}

/// Executables and objects cannot be loaded as libraries (`open_verify`, `_dl_map_object_from_fd`).
#[test]
fn executables_as_candidates_are_bad() {
    const DF_1_PIE: u64 = 0x0800_0000;
    for file in [
        library().e_type(ET_EXEC),
        library().e_type(ET_REL),
        library().flags_1(DF_1_PIE),
        library().without_dynamic_section(),
    ] {
        with_candidate(&file.build()).expect("/bin/app", BAD);
    }
}

/// ENOENT: nothing there, a link that leads nowhere, a folder that is none, is passed over (`open_path`).
#[test]
fn what_is_not_there_is_passed_over() {
    searched(Tree::glibc().link("/first/liba.so", "nowhere")).expect("/bin/app", TAKEN_NEXT);
    searched(Tree::glibc().bytes("/first", b"a file")).expect("/bin/app", TAKEN_NEXT);
    searched(Tree::glibc()).expect("/bin/app", TAKEN_NEXT);
}

/// EACCES too (`open_path`: errno is neither ENOENT nor EACCES).
#[test]
fn what_may_not_be_read_is_passed_over() {
    searched(Tree::glibc().denied("/first/liba.so")).expect("/bin/app", TAKEN_NEXT);
}

/// Any other errno, as ELOOP, ends the search of this list of folders, and the next list is searched.
#[test]
fn a_link_loop_ends_the_search_of_its_list() {
    Tree::glibc()
        .link("/first/liba.so", "liba.so")
        .elf("/bin/app", program().needs("liba.so").runpath("/first:/second"))
        .elf("/second/liba.so", library())
        .elf("/usr/lib/liba.so", library())
        .expect("/bin/app", "liba.so => /usr/lib/liba.so [default]");
}

/// Each object's DT_RPATH is a list of its own.
#[test]
fn a_link_loop_in_one_rpath_leaves_the_next() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").rpath("/opt:/second"))
        .elf("/opt/liba.so", library().needs("libb.so").rpath("/first:/third"))
        .link("/first/libb.so", "libb.so")
        .elf("/third/libb.so", library())
        .elf("/second/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/liba.so [rpath]
             libb.so => /second/libb.so [rpath]",
        );
}

/// A folder that is a loop itself is a folder that is not there (`open_path`: `nonexisting`).
#[test]
fn a_folder_that_is_a_link_loop_is_passed_over() {
    searched(Tree::glibc().link("/first", "first")).expect("/bin/app", TAKEN_NEXT);
}

/// In the cache a bad file is as bad as elsewhere.
#[test]
fn a_bad_file_in_the_cache_makes_the_loader_give_up() {
    Tree::glibc()
        .cache(&[("liba.so", "/cached/liba.so")])
        .elf("/bin/app", program().needs("liba.so"))
        .bytes("/cached/liba.so", b"no ELF file")
        .elf("/lib/liba.so", library())
        .expect("/bin/app", "liba.so bad at /cached/liba.so for /bin/app");
}

/// A foreign one is passed over there as well.
#[test]
fn a_foreign_file_in_the_cache_is_passed_over() {
    Tree::glibc()
        .cache(&[("liba.so", "/cached/liba.so")])
        .elf("/bin/app", program().needs("liba.so"))
        .elf("/cached/liba.so", library().machine(machine("i686")))
        .elf("/lib/liba.so", library())
        .expect("/bin/app", "liba.so => /lib/liba.so [default]");
}

/// A file whose path is needed is bad or missing by the same rules.
#[test]
fn a_needed_path_is_judged_alike() {
    let tree = |file: &[u8]| Tree::glibc().elf("/bin/app", program().needs("/x/liba.so")).bytes("/x/liba.so", file);
    tree(b"text").expect("/bin/app", "/x/liba.so bad at /x/liba.so for /bin/app");
    tree(&library().machine(machine("i686")).build()).expect("/bin/app", "/x/liba.so missing for /bin/app");
}

/// What was passed over for its machine is told.
#[test]
fn foreign_candidates_are_told() {
    let mut tree = with_candidate(&library().machine(machine("aarch64")).build());
    let closure = tree.closure("/bin/app");
    assert_eq!(closure.passed_over, [(path("/first/liba.so"), machine("aarch64"))]);
}

/// A file that is no executable has no closure, and why is said.
#[test]
fn files_without_a_closure_are_skipped() {
    let mut tree = Tree::glibc()
        .bytes("/bin/script", b"#!/bin/sh\n")
        .bytes("/bin/half", &Fixture::program().build()[..70])
        .dir("/bin/dir")
        .link("/bin/loop", "loop");
    let mut skipped = |text| match Resolver::new(Vec::new(), None).closure(&mut tree, &path(text)) {
        Err(Skipped::Absent(found)) => format!("{found:?}"),
        Err(Skipped::Bad { why, .. }) => why.to_string(),
        Ok(_) => "a closure".to_owned(),
    };
    assert_eq!(skipped("/bin/script"), "file too short");
    assert_eq!(skipped("/bin/half"), "program headers past the end of the file");
    assert_eq!(skipped("/bin/dir"), "Dir");
    assert_eq!(skipped("/bin/loop"), "Loop");
    assert_eq!(skipped("/bin/none"), "Absent");
}
