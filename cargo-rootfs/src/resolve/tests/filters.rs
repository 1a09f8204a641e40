//! DT_AUXILIARY and DT_FILTER (`_dl_map_object_deps`, elf/dl-deps.c), and names that are replaced.

use super::tree::{LOADER, Tree, library, lines, path, program};
use crate::elf::fixture::machine;

/// The filtee's needs are seen to before those of what was mapped earlier and waits ("We want to insert the new map
/// before the current one").
#[test]
fn a_filtee_has_its_turn_before_its_filters_siblings() {
    for filter in [library().auxiliary("liba.so"), library().filter("liba.so")] {
        Tree::glibc()
            .elf("/bin/app", program().needs("libf.so").needs("libb.so"))
            .elf("/lib/libf.so", filter)
            .elf("/lib/libb.so", library().needs("libx.so").runpath("/late"))
            .elf("/lib/liba.so", library().needs("libx.so").runpath("/early"))
            .elf("/early/libx.so", library())
            .elf("/late/libx.so", library())
            .expect(
                "/bin/app",
                "libf.so => /lib/libf.so [default]
                 libb.so => /lib/libb.so [default]
                 liba.so => /lib/liba.so [default]
                 libx.so => /early/libx.so [runpath]",
            );
    }
}

/// One that waits already is put ahead ("The object is somewhere behind the current position").
#[test]
fn a_filtee_that_waits_is_put_ahead() {
    Tree::glibc()
        .elf("/bin/app", program().needs("libf.so").needs("libb.so").needs("liba.so"))
        .elf("/lib/libf.so", library().auxiliary("liba.so"))
        .elf("/lib/libb.so", library().needs("libx.so").runpath("/late"))
        .elf("/lib/liba.so", library().needs("libx.so").runpath("/early"))
        .elf("/early/libx.so", library())
        .elf("/late/libx.so", library())
        .expect(
            "/bin/app",
            "libf.so => /lib/libf.so [default]
             libb.so => /lib/libb.so [default]
             liba.so => /lib/liba.so [default]
             libx.so => /early/libx.so [runpath]",
        );
}

/// Filters that are each other's filtee are put ahead of each other until the loader's stack is full.
#[test]
fn filters_that_go_round_are_refused() {
    Tree::glibc()
        .only_here("the real loader ends by a signal, without a word")
        .elf("/bin/app", program().needs("libf.so"))
        .elf("/lib/libf.so", library().auxiliary("libg.so"))
        .elf("/lib/libg.so", library().filter("libf.so"))
        .expect(
            "/bin/app",
            "libf.so => /lib/libf.so [default]
             libg.so => /lib/libg.so [default]
             libf.so bad at /lib/libf.so for /lib/libg.so",
        );
}

/// An auxiliary filtee that is no good is passed by as one that is missing is ("Simply ignore this error").
#[test]
fn a_bad_auxiliary_filtee_is_ignored_and_another_filtee_is_not() {
    let tree = |filter| {
        Tree::glibc()
            .elf("/bin/app", program().needs("libf.so"))
            .elf("/lib/libf.so", filter)
            .bytes("/lib/liba.so", b"text")
    };
    tree(library().auxiliary("liba.so")).expect("/bin/app", "libf.so => /lib/libf.so [default]");
    tree(library().filter("liba.so")).expect(
        "/bin/app",
        "libf.so => /lib/libf.so [default]
         liba.so bad at /lib/liba.so for /lib/libf.so",
    );
}

/// Where a token has no value, what is needed is passed by without a word, and what is auxiliary ends all
/// (`expand_dst`; `fatal` is set for DT_AUXILIARY). The kernel names no platform on riscv64.
#[test]
fn names_with_a_token_that_has_no_value() {
    let riscv = machine("riscv64gc");
    let tree = |file: crate::elf::fixture::Fixture| {
        Tree::glibc()
            .only_here("riscv64")
            .elf(LOADER, library().machine(riscv))
            .elf("/bin/app", file.machine(riscv).needs("liba.so"))
            .elf("/lib/liba.so", library().machine(riscv))
    };
    for file in [program().needs("$PLATFORM/libb.so"), program().filter("${PLATFORM}.so")] {
        tree(file).expect("/bin/app", "liba.so => /lib/liba.so [default]");
    }
    tree(program().auxiliary("$PLATFORM.so")).expect("/bin/app", "$PLATFORM.so bad at /bin/app for /bin/app");
}

/// In a path tokens are replaced twice, so that a folder's own name may be one (`expand_dst`, elf/dl-deps.c, and
/// then `_dl_map_object`); it is missing by the name that came of the first time.
#[test]
fn tokens_in_needed_paths_are_replaced_twice() {
    Tree::glibc()
        .elf("/a$LIB/app", program().needs("$ORIGIN/liba.so").needs("$ORIGIN/libb.so"))
        .elf("/a$LIB/liba.so", library())
        .elf("/alib/x86_64-linux-gnu/libb.so", library())
        .expect(
            "/a$LIB/app",
            "/a$LIB/libb.so => /alib/x86_64-linux-gnu/libb.so [absolute]
             /a$LIB/liba.so missing for /a$LIB/app",
        );
}

/// The kernel's own object is there, by its soname (`setup_vdso`, elf/setup-vdso.h).
#[test]
fn the_kernels_object_is_there() {
    let mut tree = Tree::glibc().elf("/bin/app", program().needs("linux-vdso.so.1").needs("linux-gate.so.1"));
    assert_eq!(lines(&tree.closure("/bin/app")), ["linux-gate.so.1 missing for /bin/app"]);
    tree.expect("/bin/app", "linux-gate.so.1 missing for /bin/app");
}

/// In `/etc/ld.so.preload` tokens are replaced in paths alone, with the program's values (`do_preload`, elf/rtld.c).
#[test]
fn tokens_in_preloads() {
    let mut tree = Tree::glibc()
        .elf("/opt/app", program().needs("liba.so"))
        .elf("/lib/liba.so", library())
        .elf("/opt/x/libp.so", library())
        .elf("/lib/lib/x86_64-linux-gnu.so", library())
        .bytes("/etc/ld.so.preload", b"$ORIGIN/x/libp.so $LIB.so");
    let closure = tree.closure("/opt/app");
    assert_eq!(closure.objects[0].path, path("/opt/x/libp.so"));
    tree.expect(
        "/opt/app",
        "$ORIGIN/x/libp.so => /opt/x/libp.so [preload]
         liba.so => /lib/liba.so [default]",
    );
}
