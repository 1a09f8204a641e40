//! Depth and width: long chains, cycles, and graphs that are exponential as a tree.

use super::tree::{Tree, library, lines, program, soname};

/// A cycle ends where it began (`_dl_map_object_deps`: each object once).
#[test]
fn cycles_end() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so"))
        .elf("/lib/liba.so", library().needs("libb.so"))
        .elf("/lib/libb.so", library().needs("libc.so").needs("libb.so"))
        .elf("/lib/libc.so", library().needs("liba.so"))
        .expect(
            "/bin/app",
            "liba.so => /lib/liba.so [default]
             libb.so => /lib/libb.so [default]
             libc.so => /lib/libc.so [default]",
        );
}

/// A diamond's foot is mapped once, and known to be needed by both sides.
#[test]
fn diamonds_are_mapped_once() {
    let tree = || {
        Tree::glibc()
            .elf("/bin/app", program().needs("libl.so").needs("libr.so"))
            .elf("/lib/libl.so", library().needs("libfoot.so"))
            .elf("/lib/libr.so", library().needs("libfoot.so"))
            .elf("/lib/libfoot.so", library())
    };
    tree().expect(
        "/bin/app",
        "libl.so => /lib/libl.so [default]
         libr.so => /lib/libr.so [default]
         libfoot.so => /lib/libfoot.so [default]",
    );
    let mut tree = tree();
    assert_eq!(tree.closure("/bin/app").edges, [(None, 0), (None, 1), (Some(0), 2), (Some(1), 2)]);
}

#[test]
fn a_chain_of_500_is_followed_to_its_end() {
    const LENGTH: usize = 500;
    let mut tree = Tree::glibc().elf("/bin/app", program().needs("lib0.so").rpath("$ORIGIN/../lib"));
    for index in 0..LENGTH {
        let mut file = soname(&format!("lib{index}.so")).rpath(&format!("$ORIGIN/{index}:$ORIGIN"));
        if index + 1 < LENGTH {
            file = file.needs(&format!("lib{}.so", index + 1));
        }
        tree = tree.elf(&format!("/lib/lib{index}.so"), file);
    }
    let expected: Vec<String> = (0..LENGTH).map(|it| format!("lib{it}.so => /bin/../lib/lib{it}.so [rpath]")).collect();
    tree.expect("/bin/app", &expected.join("\n"));
}

/// 40 levels of two libraries that need both of the next: 2^40 paths, 80 objects.
#[test]
fn an_exponential_diamond_takes_bounded_time() {
    const LEVELS: usize = 40;
    let mut tree = Tree::glibc().elf("/bin/app", program().needs("l0.so").needs("r0.so").rpath("/lib"));
    for level in 0..LEVELS {
        for side in ["l", "r"] {
            let mut file = library();
            if level + 1 < LEVELS {
                file = file.needs(&format!("l{}.so", level + 1)).needs(&format!("r{}.so", level + 1));
            }
            tree = tree.elf(&format!("/lib/{side}{level}.so"), file);
        }
    }
    let closure = tree.closure("/bin/app");
    assert_eq!((closure.objects.len(), closure.missing.len()), (2 * LEVELS, 0));
    assert_eq!(closure.edges.len(), 2 + 4 * (LEVELS - 1));
}

/// Every library needs every other: as many edges as there are pairs, and no more work than that.
#[test]
fn a_complete_graph_takes_bounded_time() {
    const SIZE: usize = 150;
    let name = |index: usize| format!("lib{index}.so");
    let mut tree = Tree::glibc().elf("/bin/app", program().needs(&name(0)));
    for index in 0..SIZE {
        let file = (0..SIZE).fold(library(), |file, other| file.needs(&name(other)));
        tree = tree.elf(&format!("/lib/{}", name(index)), file);
    }
    let closure = tree.closure("/bin/app");
    assert_eq!((closure.objects.len(), closure.edges.len()), (SIZE, 1 + SIZE * SIZE));
}

/// A thousand search folders for a hundred names that are nowhere.
#[test]
fn many_folders_and_missing_names_take_bounded_time() {
    let folders: Vec<String> = (0..1000).map(|index| format!("/folder{index}")).collect();
    let mut file = program().runpath(&folders.join(":"));
    for index in 0..100 {
        file = file.needs(&format!("libgone{index}.so"));
    }
    let mut tree = Tree::glibc().elf("/bin/app", file);
    let closure = tree.closure("/bin/app");
    assert_eq!(closure.missing.len(), 100);
    assert_eq!(closure.missing[99].tried.len(), 1000 + 4);
    assert_eq!(lines(&closure)[99], "libgone99.so missing for /bin/app");
}
