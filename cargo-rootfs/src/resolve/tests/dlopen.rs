//! Dlopen notes: which are followed, where their libraries are looked for, what comes along.
//!
//! The rules are those of UAPI.12 and of dlopen(3): `dl_open_worker_begin` in glibc's elf/dl-open.c,
//! `_dl_map_object` in elf/dl-load.c, `dlopen` in musl's ldso/dynlink.c. That a library is opened cannot be seen in
//! the loader's trace, so `cargo xtask e2e` has the programs that are run.

use super::tree::{Tree, lines, program, soname};
use crate::elf::DF_1_NOOPEN;
use crate::elf::fixture::Fixture;
use crate::resolve::{Closure, Opening, Priority, Versions};

/// A note's text, the priority being the first word.
fn note(text: &str) -> String {
    let (priority, names) = text.split_once(' ').unwrap();
    let names: Vec<_> = names.split(' ').map(|name| format!("\"{name}\"")).collect();
    format!("[{{\"soname\":[{}],\"priority\":\"{priority}\"}}]", names.join(","))
}

impl Tree {
    /// What is added after the start, then what came of the notes.
    #[track_caller]
    fn opens(mut self, priority: Priority, expected: &str) -> Closure {
        let closure = self.closure_following("/app", priority);
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let found: Vec<String> = lines(&closure).drain(closure.at_start..).collect();
        assert_eq!(found, expected);
        closure
    }
}

fn app() -> Fixture {
    program().needs("libc.so.6")
}

/// glibc's loader, a libc, and libraries that need it in a default folder.
fn tree(libraries: &[&str]) -> Tree {
    let tree = Tree::glibc().elf("/lib/libc.so.6", soname("libc.so.6").needs("ld-linux-x86-64.so.2"));
    libraries.iter().fold(tree, |tree, name| tree.elf(&format!("/lib/{name}"), soname(name).needs("libc.so.6")))
}

/// UAPI.12, priority definition: what works without is left out until it is asked for.
#[test]
fn notes_are_followed_by_priority() {
    let app =
        || app().note(&note("suggested libs.so")).note(&note("recommended libr.so")).note(&note("required libq.so"));
    let tree = || tree(&["libs.so", "libr.so", "libq.so"]).elf("/app", app());
    tree().opens(
        Priority::Required,
        "libq.so => /lib/libq.so [default]
         /app opens libs.so left out
         /app opens libr.so left out
         /app opens libq.so => /lib/libq.so",
    );
    let closure = tree().opens(
        Priority::Recommended,
        "libr.so => /lib/libr.so [default]
         libq.so => /lib/libq.so [default]
         /app opens libs.so left out
         /app opens libr.so => /lib/libr.so
         /app opens libq.so => /lib/libq.so",
    );
    assert_eq!((closure.at_start, closure.objects.len()), (2, 4));
    tree().opens(
        Priority::Suggested,
        "libs.so => /lib/libs.so [default]
         libr.so => /lib/libr.so [default]
         libq.so => /lib/libq.so [default]
         /app opens libs.so => /lib/libs.so
         /app opens libr.so => /lib/libr.so
         /app opens libq.so => /lib/libq.so",
    );
}

/// UAPI.12, well-known keys: without a priority it is recommended.
#[test]
fn the_usual_priority_is_recommended() {
    tree(&["liba.so"]).elf("/app", app().note("[{\"soname\":[\"liba.so\"]}]")).opens(
        Priority::Recommended,
        "liba.so => /lib/liba.so [default]
         /app opens liba.so => /lib/liba.so",
    );
}

/// UAPI.12, well-known keys: the first soname that is there is taken, and no other.
#[test]
fn the_first_soname_that_is_there_is_taken() {
    tree(&["libbpf.so.0", "libbpf.so.1"])
        .elf("/app", app().note(&note("recommended libbpf.so.2 libbpf.so.1 libbpf.so.0")))
        .opens(
            Priority::Recommended,
            "libbpf.so.1 => /lib/libbpf.so.1 [default]
             /app opens libbpf.so.1 => /lib/libbpf.so.1",
        );
}

/// dlopen(3) fails where something that the library needs is missing, and the program tries the next.
#[test]
fn a_soname_that_lacks_what_it_needs_is_passed_over() {
    let closure = tree(&["liba.so.1", "libdeep.so"])
        .elf("/lib/liba.so.2", soname("liba.so.2").needs("libdeep.so").needs("libnone.so"))
        .elf("/app", app().note(&note("required liba.so.2 liba.so.1")))
        .opens(
            Priority::Recommended,
            "liba.so.1 => /lib/liba.so.1 [default]
             /app opens liba.so.1 => /lib/liba.so.1",
        );
    assert!(closure.edges.iter().all(|(_, child)| *child < closure.objects.len()));
    assert!(closure.missing.is_empty() && closure.other_names.is_empty());
}

/// What is required and cannot be opened is missing, once for all its names; what is recommended is not.
#[test]
fn what_is_required_is_missing_where_it_is_not_found() {
    let closure = tree(&[])
        .elf("/lib/libb.so", soname("libb.so").needs("libnone.so"))
        .elf("/app", app().note(&note("required liba.so.2 liba.so.1")).note(&note("recommended libb.so")))
        .opens(
            Priority::Recommended,
            "liba.so.2 missing for /app
             /app opens lacks liba.so.2 liba.so.1
             /app opens lacks libnone.so",
        );
    let missing = &closure.missing[0];
    assert_eq!(missing.opened.as_ref().unwrap().priority, Priority::Required);
    assert!(!missing.tried.is_empty());
    // One that is there is what to mend.
    tree(&[])
        .elf("/lib/liba.so.1", soname("liba.so.1").needs("libnone.so"))
        .elf("/app", app().note(&note("required liba.so.2 liba.so.1")))
        .opens(
            Priority::Recommended,
            "libnone.so missing for /lib/liba.so.1
             /app opens lacks liba.so.2 libnone.so",
        );
}

/// What is there already is what dlopen(3) gives, by its soname and by the name it was needed by.
#[test]
fn what_is_there_already_is_taken() {
    tree(&[])
        .elf("/lib/liba.so", soname("liba.so.1"))
        .elf("/app", app().needs("liba.so").note(&note("recommended liba.so.1")).note(&note("recommended liba.so")))
        .opens(
            Priority::Recommended,
            "/app opens liba.so.1 => /lib/liba.so
             /app opens liba.so => /lib/liba.so",
        );
}

/// `dl_open_worker_begin`: the object that calls is the one that it is searched for.
#[test]
fn the_callers_runpath_is_searched_and_the_programs_is_not() {
    tree(&[])
        .elf("/a/liba.so", soname("liba.so").runpath("/b").note(&note("required libb.so")))
        .elf("/a/libb.so", soname("libb.so"))
        .elf("/b/libb.so", soname("libb.so"))
        .elf("/app", app().needs("liba.so").runpath("/a"))
        .opens(
            Priority::Recommended,
            "libb.so => /b/libb.so [runpath]
             /a/liba.so opens libb.so => /b/libb.so",
        );
}

/// `_dl_map_object`: the RPATH of the caller, of what loaded it, up to the program's.
#[test]
fn the_callers_rpath_chain_is_searched() {
    tree(&[])
        .elf("/a/liba.so", soname("liba.so").needs("libb.so").rpath("/b"))
        .elf("/b/libb.so", soname("libb.so").note(&note("required libc1.so")).note(&note("required libc2.so")))
        .elf("/b/libc1.so", soname("libc1.so"))
        .elf("/a/libc2.so", soname("libc2.so"))
        .elf("/app", app().needs("liba.so").rpath("/a"))
        .opens(
            Priority::Recommended,
            "libc1.so => /b/libc1.so [rpath]
             libc2.so => /a/libc2.so [rpath]
             /b/libb.so opens libc1.so => /b/libc1.so
             /b/libb.so opens libc2.so => /a/libc2.so",
        );
}

/// `_dl_map_object` forgets the caller (`__RTLD_CALLMAP`): what is opened inherits the program's RPATH alone.
#[test]
fn what_is_opened_inherits_the_programs_rpath_and_not_the_callers() {
    let tree = |needs: &str| {
        tree(&[])
            .elf("/a/liba.so", soname("liba.so").rpath("/b").note(&note("required libb.so")))
            .elf("/b/libb.so", soname("libb.so").needs(needs))
            .elf("/b/libcaller.so", soname("libcaller.so"))
            .elf("/a/libprogram.so", soname("libprogram.so"))
            .elf("/app", app().needs("liba.so").rpath("/a"))
    };
    tree("libprogram.so").opens(
        Priority::Recommended,
        "libb.so => /b/libb.so [rpath]
         libprogram.so => /a/libprogram.so [rpath]
         /a/liba.so opens libb.so => /b/libb.so",
    );
    tree("libcaller.so").opens(
        Priority::Recommended,
        "libcaller.so missing for /b/libb.so
         /a/liba.so opens lacks libcaller.so",
    );
}

/// `dlopen` in musl's ldso/dynlink.c searches for the program, whoever calls.
#[test]
fn musl_searches_as_for_the_program() {
    let library = |name: &str| soname(name);
    Tree::musl()
        .elf("/a/liba.so", library("liba.so").rpath("/b").note(&note("recommended libb.so")))
        .elf("/b/libb.so", library("libb.so"))
        .elf("/app", program().interpreter("/lib/ld-musl-x86_64.so.1").needs("liba.so").rpath("/a"))
        .opens(Priority::Recommended, "/a/liba.so opens lacks libb.so");
    Tree::musl()
        .elf("/a/liba.so", library("liba.so").note(&note("recommended libb.so")))
        .elf("/a/libb.so", library("libb.so").needs("libd.so"))
        .elf("/a/libd.so", library("libd.so"))
        .elf("/app", program().interpreter("/lib/ld-musl-x86_64.so.1").needs("liba.so").rpath("/a"))
        .opens(
            Priority::Recommended,
            "libb.so => /a/libb.so [rpath]
             libd.so => /a/libd.so [rpath]
             /a/liba.so opens libb.so => /a/libb.so",
        );
}

/// A soname may be a path, tokens in it are replaced (`expand_dynamic_string_token`) after it has named the object;
/// a name's are not.
#[test]
fn paths_are_opened_as_they_stand() {
    tree(&[])
        .elf(
            "/opt/p/liba.so",
            soname("liba.so").note(&note("required $ORIGIN/libb.so")).note(&note("recommended $LIB")),
        )
        .elf("/opt/p/libb.so", soname("libb.so"))
        .elf("/app", app().needs("liba.so").rpath("/opt/p"))
        .opens(
            Priority::Recommended,
            "$ORIGIN/libb.so => /opt/p/libb.so [absolute]
             /opt/p/liba.so opens $ORIGIN/libb.so => /opt/p/libb.so
             /opt/p/liba.so opens lacks $LIB",
        );
}

/// The notes of what is opened, and of what that needs, are followed as well; each file's once.
#[test]
fn notes_are_followed_through_what_is_opened() {
    tree(&[])
        .elf("/lib/liba.so", soname("liba.so").needs("libb.so").note(&note("required libd.so")))
        .elf("/lib/libb.so", soname("libb.so").note(&note("required liba.so")).note(&note("required libd.so")))
        .elf("/lib/libd.so", soname("libd.so").note(&note("required liba.so")).note(&note("recommended libnone.so")))
        .elf("/app", app().note(&note("recommended liba.so")))
        .opens(
            Priority::Recommended,
            "liba.so => /lib/liba.so [default]
             libb.so => /lib/libb.so [default]
             libd.so => /lib/libd.so [default]
             /app opens liba.so => /lib/liba.so
             /lib/liba.so opens libd.so => /lib/libd.so
             /lib/libb.so opens liba.so => /lib/liba.so
             /lib/libb.so opens libd.so => /lib/libd.so
             /lib/libd.so opens liba.so => /lib/liba.so
             /lib/libd.so opens lacks libnone.so",
        );
}

/// A program may open one and not the other: what one brings along serves no other.
#[test]
fn what_is_opened_does_not_lean_on_what_another_brings() {
    tree(&["libhelp.so"])
        .elf("/opt/libhelp.so", soname("libhelp.so"))
        .elf("/lib/liba.so", soname("liba.so").needs("libhelp.so").runpath("/opt"))
        .elf("/lib/libb.so", soname("libb.so").needs("libhelp.so"))
        .elf("/lib/libd.so", soname("libd.so").needs("libhelp.so"))
        .elf(
            "/app",
            app().note(&note("required liba.so")).note(&note("required libb.so")).note(&note("required libd.so")),
        )
        .opens(
            Priority::Recommended,
            "liba.so => /lib/liba.so [default]
             libhelp.so => /opt/libhelp.so [runpath]
             libb.so => /lib/libb.so [default]
             libhelp.so => /lib/libhelp.so [default]
             libd.so => /lib/libd.so [default]
             /app opens liba.so => /lib/liba.so
             /app opens libb.so => /lib/libb.so
             /app opens libd.so => /lib/libd.so",
        );
}

/// Of two libraries of one name, each is asked for the versions that those need who were given it.
#[test]
fn versions_are_looked_for_in_what_each_was_given() {
    let unsatisfied = |version: &str| {
        let needs = |name: &str, version| soname(name).needs("libhelp.so").needs_versions("libhelp.so", &[version]);
        let mut tree = tree(&[])
            .elf("/opt/libhelp.so", soname("libhelp.so").defines_versions(&["libhelp.so", "V_1"]))
            .elf("/lib/libhelp.so", soname("libhelp.so").defines_versions(&["libhelp.so", "V_2"]))
            .elf("/lib/liba.so", needs("liba.so", "V_1").runpath("/opt"))
            .elf("/lib/libb.so", needs("libb.so", version))
            .elf("/app", app().note(&note("required liba.so")).note(&note("required libb.so")));
        let closure = tree.closure_following("/app", Priority::Recommended);
        let lacking = Versions::default().check(&mut tree, &closure).unsatisfied;
        lacking.iter().map(|it| it.needed_by.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(unsatisfied("V_2"), Vec::<String>::new());
    assert_eq!(unsatisfied("V_1"), ["/lib/libb.so"]);
}

/// What led to a library is there when that opens another.
#[test]
fn what_led_to_a_library_is_there() {
    tree(&[])
        .elf("/lib/liba.so", soname("liba.so").needs("libhelp.so").runpath("/opt"))
        .elf("/opt/libhelp.so", soname("libhelp.so").note(&note("required libb.so")))
        .elf("/lib/libb.so", soname("libb.so").needs("libhelp.so"))
        .elf("/app", app().note(&note("required liba.so")))
        .opens(
            Priority::Recommended,
            "liba.so => /lib/liba.so [default]
             libhelp.so => /opt/libhelp.so [runpath]
             libb.so => /lib/libb.so [default]
             /app opens liba.so => /lib/liba.so
             /opt/libhelp.so opens libb.so => /lib/libb.so",
        );
}

/// What is left out and is there for another reason is not said to be left out.
#[test]
fn what_another_note_adds_is_not_left_out() {
    tree(&["liba.so"]).elf("/app", app().note(&note("suggested liba.so")).note(&note("recommended liba.so"))).opens(
        Priority::Recommended,
        "liba.so => /lib/liba.so [default]
         /app opens liba.so => /lib/liba.so
         /app opens liba.so => /lib/liba.so",
    );
}

/// `_dl_map_object_from_fd`: an object with DF_1_NOOPEN is not opened, nor one that needs one.
#[test]
fn what_refuses_to_be_opened_is_not_opened() {
    let closure = tree(&[])
        .elf("/lib/liba.so", soname("liba.so").flags_1(DF_1_NOOPEN))
        .elf("/lib/libb.so", soname("libb.so").needs("liba.so"))
        .elf("/app", app().note(&note("recommended liba.so")).note(&note("recommended libb.so")))
        .opens(
            Priority::Recommended,
            "/app opens lacks liba.so
             /app opens lacks libb.so",
        );
    let Opening::NotFound(missing) = &closure.notes[0].opening else { panic!("{:?}", closure.notes[0]) };
    assert_eq!(missing[0].bad.as_ref().unwrap().1, "shared object cannot be dlopen()ed");
}

/// A note that cannot be read is told, and spares the others; equal ones are one.
#[test]
fn bad_notes_are_told_and_equal_ones_are_one() {
    let app = app().note("[").note(&note("required liba.so")).note(&note("required liba.so")).note("[{},{}]");
    tree(&["liba.so"]).elf("/app", app).opens(
        Priority::Recommended,
        "liba.so => /lib/liba.so [default]
         /app opens liba.so => /lib/liba.so
         /app bad: it ends too early
         /app bad: it has no `soname`",
    );
}

/// Of a static executable's notes those are followed that its machine's usual loader would find.
#[test]
fn a_static_executable_may_have_notes() {
    tree(&["liba.so"]).elf("/app", Fixture::program().without_dynamic_section().note(&note("required liba.so"))).opens(
        Priority::Recommended,
        "liba.so => /lib/liba.so [default]
             libc.so.6 => /lib/libc.so.6 [default]
             ld-linux-x86-64.so.2 => /lib64/ld-linux-x86-64.so.2 [loaded]
             /app opens liba.so => /lib/liba.so",
    );
}

/// Libraries that open one another in every order: each is read once, and opened from each that is there.
#[test]
fn libraries_that_open_one_another_take_bounded_time() {
    const SIZE: usize = 60;
    let names: Vec<_> = (0..SIZE).map(|index| format!("lib{index}.so")).collect();
    let each = |file: Fixture| names.iter().fold(file, |file, name| file.note(&note(&format!("required {name}"))));
    let tree = names
        .iter()
        .fold(tree(&[]), |tree, name| tree.elf(&format!("/lib/{name}"), each(soname(name).needs("libc.so.6"))));
    let closure = tree.elf("/app", each(app())).closure_following("/app", Priority::Suggested);
    assert_eq!(closure.objects.len() - closure.at_start, SIZE);
    assert_eq!(closure.notes.len(), SIZE * (SIZE + 1));
}

/// Names without end in a file that has many libraries: it is given up, and said.
#[test]
fn names_without_end_are_given_up() {
    let names: Vec<_> = (0..90_000).map(|index| format!("n{index}")).collect();
    let libraries: Vec<_> = (0..20).map(|index| format!("lib{index}.so")).collect();
    let libraries: Vec<_> = libraries.iter().map(String::as_str).collect();
    let app = libraries.iter().fold(app(), |app, name| app.needs(name));
    let app = app.note(&note(&format!("recommended {}", names.join(" "))));
    let closure = tree(&libraries).elf("/app", app).closure_following("/app", Priority::Suggested);
    assert_eq!(closure.bad_notes, [(None, "there are too many libraries to open".to_owned())]);
    let Opening::NotFound(missing) = &closure.notes[0].opening else { panic!("{:?}", closure.notes[0]) };
    assert!(missing.len() < 100, "{}", missing.len());
}
