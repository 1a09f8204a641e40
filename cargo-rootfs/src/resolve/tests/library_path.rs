//! `--library-path`, as LD_LIBRARY_PATH is taken apart.

use super::tree::{Tree, library, path, program};
use crate::resolve::{LibraryPath, Resolver};

/// An empty element is the current folder (ld.so(8): "a zero-length directory name"; `fillin_rpath`,
/// elf/dl-load.c); an empty text is no path.
#[test]
fn empty_elements_are_the_current_folder() {
    let tree = |text| {
        Tree::glibc()
            .library_path(text)
            .current("/work")
            .elf("/bin/app", program().needs("liba.so"))
            .elf("/work/liba.so", library())
    };
    for text in [":", "/x:", ":/x", "/x::/y", "/x;;/y", "."] {
        tree(text).expect("/bin/app", "liba.so => /work/liba.so [library-path]");
    }
    tree("").expect("/bin/app", "liba.so missing for /bin/app");
}

/// Without a current folder, as in an image, empty and relative elements stand for nothing.
#[test]
fn without_a_current_folder_such_elements_are_none() {
    Tree::glibc()
        .library_path(":x:/y")
        .only_here("a process has a current folder always")
        .elf("/bin/app", program().needs("liba.so").needs("libb.so"))
        .elf("/x/liba.so", library())
        .elf("/y/libb.so", library())
        .expect(
            "/bin/app",
            "libb.so => /y/libb.so [library-path]
             liba.so missing for /bin/app",
        );
}

/// Elements end at a colon or a semicolon (`_dl_init_paths`, elf/dl-load.c), those of DT_RUNPATH at a colon.
#[test]
fn a_semicolon_separates_elements() {
    Tree::glibc()
        .library_path("/x;/y:/z")
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libd.so").runpath("/v;/w"))
        .elf("/y/liba.so", library())
        .elf("/z/libb.so", library())
        .elf("/v;/w/libd.so", library())
        .expect(
            "/bin/app",
            "liba.so => /y/liba.so [library-path]
             libb.so => /z/libb.so [library-path]
             libd.so => /v;/w/libd.so [runpath]",
        );
}

/// Tokens are those of the program, whoever needs the library (`_dl_init_paths`: `l` is the main map).
#[test]
fn tokens_are_those_of_the_program() {
    Tree::glibc()
        .library_path("$ORIGIN/../x:${ORIGIN}/$LIB")
        .elf("/opt/bin/app", program().needs("liba.so"))
        .elf("/opt/x/liba.so", library().needs("libb.so").needs("libd.so"))
        .elf("/opt/x/x/libb.so", library())
        .elf("/opt/bin/lib/x86_64-linux-gnu/libd.so", library())
        .expect(
            "/opt/bin/app",
            "liba.so => /opt/bin/../x/liba.so [library-path]
             libd.so => /opt/bin/lib/x86_64-linux-gnu/libd.so [library-path]
             libb.so missing for /opt/bin/../x/liba.so",
        );
}

/// A name that is looked for without a program, as by `--with-lib`, has no `$ORIGIN`: such an element is dropped.
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
    let machine = crate::elf::fixture::machine("x86_64");
    let loader = resolver.loader_at(&mut tree, &path(super::tree::LOADER), machine).unwrap();
    let tried = resolver.library(&mut tree, &loader, b"libx.so").unwrap_err().tried;
    assert_eq!(tried[0].place, Some(path("/none")));
}

/// What only begins as a token is text, and is no reason to wait for the program.
#[test]
fn tokens_are_told_from_text() {
    for text in ["$ORIGIN", "/x/${LIB}/y", "a$PLATFORM", "$$LIB"] {
        assert!(LibraryPath::has_token(text), "{text}");
    }
    for text in ["", "/x", "$", "$ORIGINAL", "${LIB", "$lib", "/x$/y"] {
        assert!(!LibraryPath::has_token(text), "{text}");
    }
}

/// musl's elements end at a colon or a newline, empty ones are skipped, and tokens are text (`path_open`,
/// ldso/dynlink.c; LD_LIBRARY_PATH is never given to `fixup_rpath`).
#[test]
fn musl_takes_it_apart_in_its_own_way() {
    use super::tree::MUSL_LOADER;
    let program = || crate::elf::fixture::Fixture::program().interpreter(MUSL_LOADER);
    Tree::musl()
        .library_path("::$ORIGIN/x:/y;/z\n/w")
        .current("/work")
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libd.so").needs("libe.so").needs("libf.so"))
        .elf("/work/liba.so", library())
        .elf("/bin/x/libb.so", library())
        .elf("/y;/z/libd.so", library())
        .elf("/w/libe.so", library())
        .elf("/work/$ORIGIN/x/libf.so", library())
        .expect(
            "/bin/app",
            "libd.so => /y;/z/libd.so [library-path]
             libe.so => /w/libe.so [library-path]
             libf.so => /work/$ORIGIN/x/libf.so [library-path]
             liba.so missing for /bin/app
             libb.so missing for /bin/app",
        );
}

/// The folder of a musl program may have a separator in its name, and is then two elements (`fixup_rpath` gives one
/// text, which `path_open` takes apart).
#[test]
fn a_colon_in_an_origin_separates_with_musl_alone() {
    use super::tree::MUSL_LOADER;
    let musl = crate::elf::fixture::Fixture::program().interpreter(MUSL_LOADER);
    Tree::musl()
        .current("/")
        .elf("/a:b/app", musl.needs("liba.so").needs("libb.so").runpath("$ORIGIN/x"))
        .elf("/a:b/x/liba.so", library())
        .elf("/b/x/libb.so", library())
        .expect(
            "/a:b/app",
            "libb.so => /b/x/libb.so [rpath]
             liba.so missing for /a:b/app",
        );
    Tree::glibc()
        .elf("/a:b/app", program().needs("liba.so").runpath("$ORIGIN/x"))
        .elf("/a:b/x/liba.so", library())
        .expect("/a:b/app", "liba.so => /a:b/x/liba.so [runpath]");
}
