//! Parts of a closure besides mapped objects: the interpreter, the places tried, and the edges. Also the results of one
//! resolver for several programs.

use super::tree::{LOADER, Tree, library, lines, path, program};
use crate::elf::fixture::{Fixture, machine};
use crate::elf::{Bytes, DF_1_NOOPEN};
use crate::path::RootfsPath;
use crate::resolve::{LibraryPath, Opening, Priority, Resolver, Skipped, cache};

/// An interpreter that no object needs by name is not among the objects.
#[test]
fn the_interpreter_is_an_object_only_where_it_is_needed() {
    let mut tree = Tree::glibc().elf("/bin/app", program().needs("liba.so")).elf("/lib/liba.so", library());
    let closure = tree.closure("/bin/app");
    assert_eq!(lines(&closure), ["liba.so => /lib/liba.so [default]"]);
    let (interpreter, found) = closure.interpreter.unwrap();
    assert_eq!((interpreter, found.map(|(real, _)| real)), (path(LOADER), Some(path(LOADER))));
}

/// The closure has both the interpreter's path and its real path.
#[test]
fn the_interpreter_may_be_a_link() {
    let mut tree = Tree::glibc()
        .link("/alias/ld.so", "../lib64/ld-linux-x86-64.so.2")
        .elf("/bin/app", program().interpreter("/alias/ld.so").needs("ld-linux-x86-64.so.2"));
    let closure = tree.closure("/bin/app");
    assert_eq!(lines(&closure), ["ld-linux-x86-64.so.2 => /alias/ld.so [loaded]"]);
    assert_eq!(closure.interpreter.unwrap().1.unwrap().0, path(LOADER));
}

/// A static executable maps no other object.
#[test]
fn a_static_executable_has_no_closure() {
    let mut tree = Tree::glibc().elf("/bin/static", library().without_dynamic_section()).elf("/bin/pie", library());
    for file in ["/bin/static", "/bin/pie"] {
        let closure = tree.closure(file);
        assert!(closure.objects.is_empty() && closure.missing.is_empty() && closure.interpreter.is_none());
        assert!(closure.loader.is_none());
    }
}

/// A missing interpreter is reported, and everything else too.
#[test]
fn a_missing_interpreter_is_missing() {
    let mut tree = Tree::glibc()
        .elf("/bin/app", program().interpreter("/gone/ld.so").needs("liba.so").needs("libb.so"))
        .elf("/lib/liba.so", library());
    let closure = tree.closure("/bin/app");
    assert_eq!(
        lines(&closure),
        ["liba.so => /lib/liba.so [default]", "/gone/ld.so missing for /bin/app", "libb.so missing for /bin/app"]
    );
    assert_eq!(closure.interpreter.unwrap().1, None);
}

/// The kernel starts no interpreter that is for another machine or not ELF (execve(2): ELIBBAD).
#[test]
fn an_interpreter_that_cannot_be_started_is_bad() {
    let foreign = crate::elf::fixture::machine("aarch64");
    let mut tree = Tree::glibc()
        .elf("/ld/foreign.so", library().machine(foreign))
        .bytes("/ld/text.so", &[b'x'; 100])
        .dir("/ld/folder.so")
        .elf("/bin/foreign", program().interpreter("/ld/foreign.so"))
        .elf("/bin/text", program().interpreter("/ld/text.so"))
        .elf("/bin/folder", program().interpreter("/ld/folder.so"));
    for name in ["foreign", "text", "folder"] {
        let closure = tree.closure(&format!("/bin/{name}"));
        assert_eq!(lines(&closure), [format!("/ld/{name}.so bad at /ld/{name}.so for /bin/{name}")]);
    }
}

/// Every object that needs a missing name is reported, each with every place tried, in order.
#[test]
fn missing_names_are_told_for_each_that_needs_them() {
    let mut tree = Tree::glibc()
        .bytes(
            "/etc/ld.so.cache",
            &cache::write(machine("x86_64"), &[(Bytes::from(b"libother.so"), path("/x/libother.so"))]),
        )
        .elf("/bin/app", program().needs("libgone.so").needs("liba.so").rpath("/r1:/r2"))
        .elf("/lib/liba.so", library().needs("libgone.so").runpath("$ORIGIN/sub"));
    tree.library_path.push("/env".to_owned());
    let closure = tree.closure("/bin/app");
    assert_eq!(
        lines(&closure),
        ["liba.so => /lib/liba.so [default]", "libgone.so missing for /bin/app", "libgone.so missing for /lib/liba.so"]
    );
    let tried: Vec<Vec<String>> = closure
        .missing
        .iter()
        .map(|missing| {
            let attempt = |it: &crate::resolve::Attempt| {
                format!("{} {}", it.by, it.place.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string))
            };
            missing.tried.iter().map(attempt).collect()
        })
        .collect();
    let defaults = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"];
    let after = |first: &[&str]| -> Vec<String> {
        let defaults = defaults.iter().map(|folder| format!("default {folder}"));
        first.iter().map(|text| (*text).to_owned()).chain(defaults).collect()
    };
    assert_eq!(tried[0], after(&["rpath /r1", "rpath /r2", "library-path /env", "ld.so.cache -"]));
    assert_eq!(tried[1], after(&["library-path /env", "runpath /lib/sub", "ld.so.cache -"]));
}

/// A file that is no executable has no closure, but a reason.
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

/// A candidate that was skipped for its machine is reported.
#[test]
fn foreign_candidates_are_told() {
    let mut tree = Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").runpath("/first"))
        .elf("/first/liba.so", library().machine(machine("aarch64")));
    let closure = tree.closure("/bin/app");
    assert_eq!(closure.passed_over, [(path("/first/liba.so"), machine("aarch64"))]);
}

/// The kernel starts no program with an unterminated PT_INTERP (execve(2): ENOEXEC).
#[test]
fn an_interpreter_without_end() {
    let mut tree = Tree::glibc().elf("/bin/app", library().interpreter(&"i".repeat(5000)));
    let skipped = Resolver::new(Vec::new(), None).closure(&mut tree, &path("/bin/app"));
    assert!(matches!(skipped, Err(Skipped::Bad { .. })));
}

/// Existing directories for hardware are listed among the places tried.
#[test]
fn such_folders_are_told_of_where_they_are_there() {
    let mut tree = Tree::glibc().elf("/bin/app", program().needs("liba.so").runpath("/x:/y")).dir("/x/tls");
    let tried = tree.closure("/bin/app").missing.remove(0).tried;
    let places: Vec<String> = tried.iter().filter_map(|attempt| Some(attempt.place.as_ref()?.to_string())).collect();
    assert_eq!(places[..3], ["/x/tls", "/x", "/y"]);
}

/// A library that only some hardware finds is missing, and the report names the hardware.
#[test]
fn what_only_a_subdirectory_has_is_missing() {
    let tree = || {
        Tree::glibc()
            .elf("/app", program().needs("liba.so").needs("libb.so"))
            .elf("/lib/glibc-hwcaps/x86-64-v3/liba.so", library())
    };
    let only = |mut tree: Tree| -> Vec<Option<String>> {
        let text = |level: &Bytes| String::from_utf8(level.to_vec()).unwrap();
        tree.closure("/app").missing.iter().map(|missing| missing.only_for.as_deref().map(text)).collect()
    };
    assert_eq!(only(tree()), [Some("x86-64-v3".to_owned()), None]);
    // A dangling cache entry counts for no hardware; an entry for a subdirectory names it.
    let entry = |name: &[u8], hwcaps: Option<&str>| {
        let hwcaps = hwcaps.map(|name| Bytes::from(name.as_bytes()));
        (Bytes::from(name), hwcaps, RootfsPath::parse("/gone").unwrap())
    };
    let entries = [entry(b"liba.so", None), entry(b"libb.so", Some("x86-64-v2"))];
    let cached = cache::write_with_hwcaps(machine("x86_64"), &entries);
    let only = only(tree().bytes("/etc/ld.so.cache", &cached));
    assert_eq!(only, [Some("x86-64-v3".to_owned()), Some("x86-64-v2".to_owned())]);
}

/// A search without a program, as for `--with-lib`, has no `$ORIGIN`: elements with it are dropped.
#[test]
fn each_program_has_its_own_folders_and_no_program_has_none() {
    let mut tree = Tree::glibc()
        .elf("/a/app", program().needs("libx.so"))
        .elf("/b/app", program().needs("libx.so"))
        .elf("/a/libx.so", library())
        .elf("/b/libx.so", library());
    let text = LibraryPath::Text(b"$ORIGIN".into());
    let mut resolver = Resolver::new(vec![text, LibraryPath::Folder(path("/none"))], None);
    for folder in ["/a", "/b"] {
        let closure = resolver.closure(&mut tree, &path(&format!("{folder}/app"))).unwrap();
        assert_eq!(closure.objects[0].path, path(&format!("{folder}/libx.so")));
    }
    let machine = machine("x86_64");
    let loader = resolver.loader_at(&mut tree, &path(LOADER), machine).unwrap();
    let tried = resolver.library(&mut tree, &loader, b"libx.so").unwrap_err().tried;
    assert_eq!(tried[0].place, Some(path("/none")));
}

/// Text that only begins like a token is no token, and does not depend on the program.
#[test]
fn tokens_are_told_from_text() {
    for text in ["$ORIGIN", "/x/${LIB}/y", "a$PLATFORM", "$$LIB"] {
        assert!(LibraryPath::has_token(text), "{text}");
    }
    for text in ["", "/x", "$", "$ORIGINAL", "${LIB", "$lib", "/x$/y"] {
        assert!(!LibraryPath::has_token(text), "{text}");
    }
}

/// Before glibc 2.38, an object found in the root directory is valid for that program only.
#[test]
fn what_came_of_the_root_folder_is_each_programs_own() {
    let app = |first: &str, then: &str| program().needs(first).needs(then).runpath("/");
    let mut tree = Tree::glibc()
        .elf("/libb.so", library())
        .elf("/bin/one", app("liba.so", "libb.so"))
        .elf("/bin/two", app("libb.so", "liba.so"));
    let mut resolver = Resolver::new(Vec::new(), None);
    for (name, count) in [("one", 0), ("two", 1), ("one", 0)] {
        let closure = resolver.closure(&mut tree, &path(&format!("/bin/{name}"))).unwrap();
        assert_eq!(closure.objects.len(), count, "{name}");
    }
}

/// Both sides of a diamond need its last object.
#[test]
fn edges_tell_who_needs_what() {
    let mut tree = Tree::glibc()
        .elf("/bin/app", program().needs("libl.so").needs("libr.so"))
        .elf("/lib/libl.so", library().needs("libfoot.so"))
        .elf("/lib/libr.so", library().needs("libfoot.so"))
        .elf("/lib/libfoot.so", library());
    assert_eq!(tree.closure("/bin/app").edges, [(None, 0), (None, 1), (Some(0), 2), (Some(1), 2)]);
}

/// Objects of dlopen notes come after those mapped at the start; their missing libraries are reported with the note.
#[test]
fn what_notes_add_is_told_apart() {
    let note = |text: &str| format!("[{{\"soname\":[\"{text}\"],\"priority\":\"required\"}}]");
    let app = program().needs("libb.so").note(&note("liba.so")).note(&note("libnone.so")).note(&note("libno.so"));
    let mut tree = Tree::glibc()
        .elf("/app", app)
        .elf("/lib/liba.so", library())
        .elf("/lib/libb.so", library())
        .elf("/lib/libno.so", library().flags_1(DF_1_NOOPEN));
    let closure = tree.closure_following("/app", Priority::Recommended);
    assert_eq!((closure.at_start, closure.objects.len()), (1, 2));
    let missing = &closure.missing[0];
    assert_eq!(missing.opened.as_ref().unwrap().priority, Priority::Required);
    assert!(!missing.tried.is_empty());
    let Opening::NotFound(missing) = &closure.notes[2].opening else { panic!("{:?}", closure.notes[2]) };
    assert_eq!(missing[0].bad.as_ref().unwrap().1, "shared object cannot be dlopen()ed");
}
