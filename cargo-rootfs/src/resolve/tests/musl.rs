//! musl's rules, which are not glibc's (ldso/dynlink.c).

use super::tree::{MUSL_LOADER, Tree, library, lines, path, soname};
use crate::elf::DF_1_NODEFLIB;
use crate::elf::fixture::{Fixture, machine};

fn program() -> Fixture {
    Fixture::program().interpreter(MUSL_LOADER).needs("libc.so")
}

/// The first line of every closure: libc is the loader itself.
const LIBC: &str = "libc.so => /lib/ld-musl-x86_64.so.1 [loaded]\n";

fn expect(tree: Tree, expected: &str) {
    tree.expect("/bin/app", &(LIBC.to_owned() + expected));
}

/// libc and what was once beside it are the loader, whatever the name goes on with (`load_library`).
#[test]
fn reserved_names_are_the_loader() {
    Tree::musl()
        .elf(
            "/bin/app",
            [
                "libm.so.6",
                "libpthread.so.0",
                "librt.so",
                "libdl.so.2",
                "libutil.so",
                "libxnet.so",
                "libc.musl-x86_64.so.1",
            ]
            .iter()
            .fold(program(), |file, name| file.needs(name)),
        )
        .elf("/lib/libm.so.6", library())
        .expect("/bin/app", LIBC);
}

/// What only begins as one of them is looked for.
#[test]
fn names_that_begin_as_a_reserved_one_are_looked_for() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().needs("libmagic.so").needs("libcrypt.so"))
            .elf("/lib/libmagic.so", library()),
        "libmagic.so => /lib/libmagic.so [default]
         libcrypt.so missing for /bin/app",
    );
}

/// The loader's own path is the loader (`strcmp(name, ldso.name)`).
#[test]
fn the_loaders_path_is_the_loader() {
    Tree::musl()
        .elf("/bin/app", Fixture::program().interpreter(MUSL_LOADER).needs(MUSL_LOADER))
        .expect("/bin/app", &format!("{MUSL_LOADER} => {MUSL_LOADER} [loaded]"));
}

/// /lib:/usr/local/lib:/usr/lib (`sys_path`).
#[test]
fn default_folders_in_order() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libd.so"))
            .elf("/lib/liba.so", library())
            .elf("/usr/local/lib/liba.so", library())
            .elf("/usr/local/lib/libb.so", library())
            .elf("/usr/lib/libb.so", library())
            .elf("/usr/lib/libd.so", library())
            .elf("/lib64/libd.so", library()),
        "liba.so => /lib/liba.so [default]
         libb.so => /usr/local/lib/libb.so [default]
         libd.so => /usr/lib/libd.so [default]",
    );
}

/// /etc/ld-musl-ARCH.path takes the place of the built-in folders, separated by newlines or colons.
#[test]
fn the_path_file_takes_the_place_of_the_default_folders() {
    expect(
        Tree::musl()
            .bytes("/etc/ld-musl-x86_64.path", b"/one:/two\n/three\n")
            .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libd.so").needs("libe.so"))
            .elf("/one/liba.so", library())
            .elf("/two/libb.so", library())
            .elf("/three/libd.so", library())
            .elf("/lib/libe.so", library()),
        "liba.so => /one/liba.so [default]
         libb.so => /two/libb.so [default]
         libd.so => /three/libd.so [default]
         libe.so missing for /bin/app",
    );
}

/// An empty path file leaves no folders at all.
#[test]
fn an_empty_path_file_leaves_no_folders() {
    expect(
        Tree::musl()
            .bytes("/etc/ld-musl-x86_64.path", b"")
            .elf("/bin/app", program().needs("liba.so"))
            .elf("/lib/liba.so", library()),
        "liba.so missing for /bin/app",
    );
}

/// DT_RUNPATH is inherited as DT_RPATH is (`p->needed_by` in `load_library`).
#[test]
fn runpath_is_inherited_as_rpath_is() {
    for file in [program().runpath("/opt"), program().rpath("/opt")] {
        expect(
            Tree::musl()
                .elf("/bin/app", file.needs("liba.so"))
                .elf("/opt/liba.so", library().needs("libb.so").runpath("/own"))
                .elf("/opt/libb.so", library()),
            "liba.so => /opt/liba.so [rpath]
             libb.so => /opt/libb.so [rpath]",
        );
    }
}

/// Where both are there, DT_RUNPATH is the one (`decode_dyn`).
#[test]
fn runpath_wins_over_rpath() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().needs("liba.so").rpath("/old").runpath("/new"))
            .elf("/old/liba.so", library()),
        "liba.so missing for /bin/app",
    );
}

/// LD_LIBRARY_PATH, the search paths up the chain, the folders of the system (`load_library`).
#[test]
fn library_path_comes_first() {
    expect(
        Tree::musl()
            .library_path("/env")
            .elf("/bin/app", program().needs("liba.so").needs("libb.so").rpath("/opt"))
            .elf("/env/liba.so", library())
            .elf("/opt/liba.so", library())
            .elf("/opt/libb.so", library())
            .elf("/lib/libb.so", library()),
        "liba.so => /env/liba.so [library-path]
         libb.so => /opt/libb.so [rpath]",
    );
}

/// There is no ld.so.cache and no ld.so.conf, and DF_1_NODEFLIB means nothing.
#[test]
fn what_glibc_has_besides_means_nothing() {
    expect(
        Tree::musl()
            .cache(&[("liba.so", "/cached/liba.so")])
            .bytes("/etc/ld.so.conf", b"/conf\n")
            .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libd.so").flags_1(DF_1_NODEFLIB))
            .elf("/cached/liba.so", library())
            .elf("/conf/libb.so", library())
            .elf("/lib/libd.so", library()),
        "libd.so => /lib/libd.so [default]
         liba.so missing for /bin/app
         libb.so missing for /bin/app",
    );
}

/// DT_AUXILIARY and DT_FILTER mean nothing (`load_direct_deps` looks at DT_NEEDED alone).
#[test]
fn filters_mean_nothing() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().auxiliary("libaux.so").filter("libfilter.so"))
            .elf("/lib/libaux.so", library()),
        "",
    );
}

/// A soname is nothing to musl: a library is known by the name of its file (`shortname`).
#[test]
fn sonames_mean_nothing() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().needs("libreal.so").needs("libname.so"))
            .elf("/lib/libreal.so", soname("libname.so"))
            .elf("/lib/libname.so", soname("libname.so")),
        "libreal.so => /lib/libreal.so [default]
         libname.so => /lib/libname.so [default]",
    );
}

/// Two names of one file are one object all the same (`p->dev == st.st_dev && p->ino == st.st_ino`).
#[test]
fn one_inode_is_one_object() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().needs("liba.so").needs("libb.so"))
            .elf("/lib/liba.so", library())
            .link("/lib/libb.so", "liba.so"),
        "liba.so => /lib/liba.so [default]",
    );
}

/// `$ORIGIN` and `${ORIGIN}`, of the program by its real path and of a library where it was found.
#[test]
fn origin() {
    Tree::musl()
        .only_here("--list takes the program's $ORIGIN from its name, not from /proc/self/exe")
        .elf("/opt/bin/app", program().needs("liba.so").rpath("$ORIGIN/../lib"))
        .link("/bin/app", "/opt/bin/app")
        .link("/opt/lib/liba.so", "../store/liba.so")
        .elf("/opt/store/liba.so", library().needs("libb.so").rpath("${ORIGIN}/sub"))
        .elf("/opt/lib/sub/libb.so", library())
        .expect(
            "/bin/app",
            &(LIBC.to_owned()
                + "liba.so => /opt/bin/../lib/liba.so [rpath]
                   libb.so => /opt/bin/../lib/sub/libb.so [rpath]"),
        );
}

/// Any other `$` voids the whole path (`fixup_rpath`).
#[test]
fn an_unknown_token_voids_the_whole_path() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().needs("liba.so").rpath("/opt:/opt/$LIB:$ORIGIN"))
            .elf("/opt/liba.so", library())
            .elf("/bin/liba.so", library()),
        "liba.so missing for /bin/app",
    );
}

/// `$ORIGIN` needs no end: what follows is appended (`fixup_rpath` compares seven bytes).
#[test]
fn origin_has_no_end() {
    expect(
        Tree::musl().elf("/bin/app", program().needs("liba.so").rpath("$ORIGINAL")).elf("/binAL/liba.so", library()),
        "liba.so => /binAL/liba.so [rpath]",
    );
}

/// In DT_NEEDED no token is replaced.
#[test]
fn needed_names_are_taken_as_they_stand() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().needs("$ORIGIN/liba.so").needs("/opt/libb.so"))
            .elf("/bin/liba.so", library())
            .elf("/opt/libb.so", library()),
        "/opt/libb.so => /opt/libb.so [absolute]
         $ORIGIN/liba.so missing for /bin/app",
    );
}

/// Empty elements mean nothing (`path_open` skips them); relative ones start from the current folder.
#[test]
fn empty_elements_mean_nothing_and_relative_ones_start_from_the_current_folder() {
    expect(
        Tree::musl()
            .current("/work")
            .elf("/bin/app", program().needs("liba.so").needs("libb.so").rpath("::/opt:sub"))
            .elf("/work/liba.so", library())
            .elf("/work/sub/libb.so", library()),
        "libb.so => /work/sub/libb.so [rpath]
         liba.so missing for /bin/app",
    );
}

/// musl maps what it finds first, whatever machine it is for.
#[test]
fn other_machines_are_bad_and_not_passed_over() {
    let mut tree = Tree::musl()
        .elf("/bin/app", program().needs("liba.so").rpath("/first:/second"))
        .elf("/first/liba.so", library().machine(machine("aarch64")))
        .elf("/second/liba.so", library());
    assert_eq!(lines(&tree.closure("/bin/app"))[1], "liba.so bad at /first/liba.so for /bin/app");
}

/// What cannot be mapped is an error, and no other folder is searched.
#[test]
fn bad_candidates_are_not_passed_over() {
    for bytes in [&b""[..], b"text", &[b'x'; 300]] {
        let mut tree = Tree::musl()
            .elf("/bin/app", program().needs("liba.so").rpath("/first:/second"))
            .bytes("/first/liba.so", bytes)
            .elf("/second/liba.so", library());
        assert_eq!(lines(&tree.closure("/bin/app"))[1], "liba.so bad at /first/liba.so for /bin/app");
    }
}

/// An errno that is none of ENOENT, ENOTDIR, EACCES and ENAMETOOLONG ends the whole search (`path_open`).
#[test]
fn a_link_loop_ends_the_whole_search() {
    expect(
        Tree::musl()
            .elf("/bin/app", program().needs("liba.so").rpath("/first:/second"))
            .link("/first/liba.so", "liba.so")
            .elf("/second/liba.so", library())
            .elf("/lib/liba.so", library()),
        "liba.so missing for /bin/app",
    );
}

/// There are no symbol versions to lack.
#[test]
fn versions_are_not_checked() {
    Tree::musl()
        .only_here("--list says nothing of versions")
        .elf("/bin/app", program().needs("liba.so").needs_versions("liba.so", &["A_9"]))
        .elf("/lib/liba.so", library().defines_versions(&["liba.so", "A_1"]))
        .expect_versions("/bin/app", &[]);
}

/// The path file stands beside the prefix of the loader: `/opt/musl/lib/ld-musl...`, `/opt/musl/etc`.
#[test]
fn the_path_file_follows_the_loaders_prefix() {
    let mut tree = Tree::musl()
        .link("/opt/musl/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-x86_64.so.1")
        .bytes("/opt/musl/etc/ld-musl-x86_64.path", b"/opt/musl/lib")
        .elf("/bin/app", Fixture::program().interpreter("/opt/musl/lib/ld-musl-x86_64.so.1").needs("liba.so"))
        .elf("/opt/musl/lib/liba.so", library());
    let closure = tree.closure("/bin/app");
    assert_eq!(lines(&closure), ["liba.so => /opt/musl/lib/liba.so [default]"]);
    assert_eq!(closure.loader.unwrap().musl_path_file(), Some(path("/opt/musl/etc/ld-musl-x86_64.path")));
}

/// What is searched for is known by the last part of its path; what is opened by its path has no such name until its
/// file is found by a search, and then has that of its own path. No other name is kept (`shortname`, `load_library`).
#[test]
fn an_object_has_one_name_or_none() {
    let tree = || {
        Tree::musl()
            .elf("/x/real.so", library())
            .link("/x/liba.so", "real.so")
            .elf("/y/real.so", library())
            .elf("/y/liba.so", library())
            .elf("/d/libd.so", library().needs("real.so").needs("liba.so").runpath("/y"))
    };
    let app = || program().runpath("/x");
    expect(
        tree().elf("/bin/app", app().needs("/x/real.so").needs("/d/libd.so")),
        "/x/real.so => /x/real.so [absolute]
         /d/libd.so => /d/libd.so [absolute]
         real.so => /y/real.so [rpath]
         liba.so => /y/liba.so [rpath]",
    );
    expect(
        tree().elf("/bin/app", app().needs("/x/real.so").needs("liba.so").needs("/d/libd.so")),
        "/x/real.so => /x/real.so [absolute]
         /d/libd.so => /d/libd.so [absolute]
         liba.so => /y/liba.so [rpath]",
    );
    expect(
        tree().elf("/bin/app", app().needs("real.so").needs("liba.so").needs("/d/libd.so")),
        "real.so => /x/real.so [rpath]
         /d/libd.so => /d/libd.so [absolute]
         liba.so => /y/liba.so [rpath]",
    );
}

/// Any libc that is found is the one that is there (`load_library`: "Avoid the danger of getting two versions of
/// libc").
#[test]
fn another_libc_is_the_loader() {
    let symbols = library().tail(b"\0__libc_start_main\0stdin\0");
    let mut tree = Tree::musl()
        .elf("/bin/app", Fixture::program().interpreter(MUSL_LOADER).needs("liba.so").needs("libb.so").needs("libd.so"))
        .elf("/lib/liba.so", soname("libc.so.6"))
        .elf("/lib/libb.so", symbols.clone())
        .elf("/lib/libd.so", symbols.needs("libc.so"));
    let loader = format!("liba.so => {MUSL_LOADER} [loaded]");
    assert_eq!(lines(&tree.closure("/bin/app")), [&loader[..], "libd.so => /lib/libd.so [default]"]);
}
