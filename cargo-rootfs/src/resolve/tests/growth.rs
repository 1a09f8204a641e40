//! Chains, exponential graphs, and huge numbers of names: the work stays bounded.

use super::tree::{Tree, library, lines, program, soname};
use crate::elf::fixture::Fixture;
use crate::resolve::{Opening, Priority};

/// 40 levels of two libraries that both need both libraries of the next level: 2^40 paths, 80 objects.
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

/// Every library needs every other: the work is proportional to the number of edges.
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

/// A thousand search directories for a hundred missing names.
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

/// A note for these libraries.
fn note(names: &[String]) -> String {
    format!("[{{\"soname\":[\"{}\"]}}]", names.join("\",\""))
}

/// Libraries that open one another in every order: each is read once, and opened from each present one.
#[test]
fn libraries_that_open_one_another_take_bounded_time() {
    const SIZE: usize = 60;
    let names: Vec<_> = (0..SIZE).map(|index| format!("lib{index}.so")).collect();
    let each = |file: Fixture| names.iter().fold(file, |file, name| file.note(&note(std::slice::from_ref(name))));
    let tree = names.iter().fold(Tree::glibc(), |tree, name| tree.elf(&format!("/lib/{name}"), each(soname(name))));
    let closure = tree.elf("/app", each(program())).closure_following("/app", Priority::Suggested);
    assert_eq!(closure.objects.len() - closure.at_start, SIZE);
    assert_eq!(closure.notes.len(), SIZE * (SIZE + 1));
}

/// A file with a huge number of names is given up with a message.
#[test]
fn names_without_end_are_given_up() {
    let names: Vec<_> = (0..90_000).map(|index| format!("n{index}")).collect();
    let libraries: Vec<_> = (0..20).map(|index| format!("lib{index}.so")).collect();
    let tree = libraries.iter().fold(Tree::glibc(), |tree, name| tree.elf(&format!("/lib/{name}"), soname(name)));
    let app = libraries.iter().fold(program(), |app, name| app.needs(name));
    let app = app.note(&note(&names));
    let closure = tree.elf("/app", app).closure_following("/app", Priority::Suggested);
    assert_eq!(closure.bad_notes, [(None, "there are too many libraries to open".to_owned())]);
    let Opening::NotFound(missing) = &closure.notes[0].opening else { panic!("{:?}", closure.notes[0]) };
    assert!(missing.len() < 100, "{}", missing.len());
}
