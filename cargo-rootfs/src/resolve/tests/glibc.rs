//! glibc: where a name is looked for, and what an object is known by.

use super::tree::{LOADER, Tree, library, lines, path, program, soname};
use crate::elf::DF_1_NODEFLIB;

/// The default folders, in their order (ld.so(8); `_dl_init_paths`, elf/dl-load.c).
#[test]
fn default_folders_are_searched_in_order() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libc.so"))
        .elf("/lib/x86_64-linux-gnu/liba.so", library())
        .elf("/lib/liba.so", library())
        .elf("/lib/libb.so", library())
        .elf("/usr/lib/libb.so", library())
        .elf("/usr/lib/libc.so", library())
        .expect(
            "/bin/app",
            "liba.so => /lib/x86_64-linux-gnu/liba.so [default]
             libb.so => /lib/libb.so [default]
             libc.so => /usr/lib/libc.so [default]",
        );
}

/// DT_RUNPATH holds for the object's own needs alone (ld.so(8); `_dl_map_object`, elf/dl-load.c).
#[test]
fn runpath_is_not_inherited() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").runpath("/opt"))
        .elf("/opt/liba.so", library().needs("libb.so"))
        .elf("/opt/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/liba.so [runpath]
             libb.so missing for /opt/liba.so",
        );
}

/// DT_RPATH holds for all that is loaded below (ld.so(8): "the DT_RPATH of the ... chain"; the loop over
/// `l_loader` in `_dl_map_object`).
#[test]
fn rpath_is_inherited_through_the_chain() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").rpath("/opt/a"))
        .elf("/opt/a/liba.so", library().needs("libb.so").rpath("/opt/b"))
        .elf("/opt/b/libb.so", library().needs("libc.so").needs("libd.so"))
        .elf("/opt/b/libc.so", library())
        .elf("/opt/a/libd.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/a/liba.so [rpath]
             libb.so => /opt/b/libb.so [rpath]
             libc.so => /opt/b/libc.so [rpath]
             libd.so => /opt/a/libd.so [rpath]",
        );
}

/// The nearest DT_RPATH is searched first: the object's own, then its loader's, and on up.
#[test]
fn rpath_of_the_object_comes_before_that_of_its_loader() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").rpath("/opt/a"))
        .elf("/opt/a/liba.so", library().needs("libb.so").rpath("/opt/b"))
        .elf("/opt/a/libb.so", library())
        .elf("/opt/b/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/a/liba.so [rpath]
             libb.so => /opt/b/libb.so [rpath]",
        );
}

/// It is inherited from who loaded the object first, not from others that need it (`l_loader`).
#[test]
fn rpath_is_inherited_from_the_first_that_needs_the_object() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").runpath("/opt"))
        .elf("/opt/liba.so", library().needs("libshared.so").runpath("/opt"))
        .elf("/opt/libb.so", library().needs("libshared.so").rpath("/opt:/deep"))
        .elf("/opt/libshared.so", library().needs("libdeep.so"))
        .elf("/deep/libdeep.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/liba.so [runpath]
             libb.so => /opt/libb.so [runpath]
             libshared.so => /opt/libshared.so [runpath]
             libdeep.so missing for /opt/libshared.so",
        );
}

/// DT_RPATH is ignored where the same object has a DT_RUNPATH (ld.so(8); `elf_get_dynamic_info`).
#[test]
fn rpath_is_ignored_beside_runpath() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").rpath("/old").runpath("/new"))
        .elf("/old/liba.so", library())
        .elf("/new/liba.so", library())
        .elf("/old/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /new/liba.so [runpath]
             libb.so missing for /bin/app",
        );
}

/// The same where the object is the loader of another: what is ignored is not inherited either.
#[test]
fn rpath_beside_runpath_is_not_inherited() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").rpath("/old").runpath("/new"))
        .elf("/new/liba.so", library().needs("libb.so"))
        .elf("/old/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /new/liba.so [runpath]
             libb.so missing for /new/liba.so",
        );
}

/// An object with a DT_RUNPATH uses no DT_RPATH at all, of no one (`_dl_map_object`: "When the object has
/// the RUNPATH information we don't use any RPATHs").
#[test]
fn runpath_of_the_loader_shuts_out_inherited_rpath() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").rpath("/opt"))
        .elf("/opt/liba.so", library().needs("libb.so").runpath("/elsewhere"))
        .elf("/opt/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/liba.so [rpath]
             libb.so missing for /opt/liba.so",
        );
}

/// An empty DT_RUNPATH is one still: it shuts out DT_RPATH (the test is `l_info[DT_RUNPATH] == NULL`).
#[test]
fn an_empty_runpath_shuts_out_rpath_too() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").rpath("/opt").runpath(""))
        .elf("/opt/liba.so", library())
        .expect("/bin/app", "liba.so missing for /bin/app");
}

/// DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH (ld.so(8)).
#[test]
fn library_path_comes_between_rpath_and_runpath() {
    Tree::glibc()
        .library_path("/env")
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").rpath("/r"))
        .elf("/r/liba.so", library())
        .elf("/env/liba.so", library())
        .elf("/env/libb.so", library().needs("libc.so").runpath("/r"))
        .elf("/env/libc.so", library())
        .elf("/r/libc.so", library())
        .expect(
            "/bin/app",
            "liba.so => /r/liba.so [rpath]
             libb.so => /env/libb.so [library-path]
             libc.so => /env/libc.so [library-path]",
        );
}

/// DT_RUNPATH, /etc/ld.so.cache, the default folders (ld.so(8)).
#[test]
fn cache_comes_after_runpath_and_before_defaults() {
    Tree::glibc()
        .cache(&[("liba.so", "/cached/liba.so"), ("libb.so", "/cached/libb.so")])
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libc.so").runpath("/run"))
        .elf("/run/liba.so", library())
        .elf("/cached/liba.so", library())
        .elf("/cached/libb.so", library())
        .elf("/usr/lib/libb.so", library())
        .elf("/usr/lib/libc.so", library())
        .expect(
            "/bin/app",
            "liba.so => /run/liba.so [runpath]
             libb.so => /cached/libb.so [ld.so.cache]
             libc.so => /usr/lib/libc.so [default]",
        );
}

/// A cache entry whose file is gone is passed over (`open_verify` gives -1, and the search goes on).
#[test]
fn a_stale_cache_entry_is_passed_over() {
    Tree::glibc()
        .cache(&[("liba.so", "/gone/liba.so"), ("libb.so", "/gone/libb.so")])
        .elf("/bin/app", program().needs("liba.so").needs("libb.so"))
        .elf("/usr/lib/liba.so", library())
        .expect(
            "/bin/app",
            "liba.so => /usr/lib/liba.so [default]
             libb.so missing for /bin/app",
        );
}

/// The loader reads the cache and never ld.so.conf; what the cache lacks is not there.
#[test]
fn conf_is_not_read_where_there_is_a_cache() {
    Tree::glibc()
        .cache(&[("liba.so", "/conf/liba.so")])
        .bytes("/etc/ld.so.conf", b"/conf\n")
        .elf("/bin/app", program().needs("liba.so").needs("libb.so"))
        .elf("/conf/liba.so", library())
        .elf("/conf/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /conf/liba.so [ld.so.cache]
             libb.so missing for /bin/app",
        );
}

/// Without a cache the folders are taken that ldconfig(8) would put into one, includes, comments and all.
#[test]
fn conf_with_its_includes_stands_in_for_a_missing_cache() {
    Tree::glibc()
        .only_here("the real loader never reads ld.so.conf")
        .bytes("/etc/ld.so.conf", b"# first\ninclude ld.so.conf.d/*.conf\n  /last  # here\nhwcap 0 nosegneg\n")
        .bytes("/etc/ld.so.conf.d/b.conf", b"/b\n")
        .bytes("/etc/ld.so.conf.d/a.conf", b"/a=libc6\n\n")
        .bytes("/etc/ld.so.conf.d/c.config", b"/not\n")
        .bytes("/etc/ld.so.conf.d/.hidden.conf", b"/not\n")
        .bytes("/etc/ld.so.conf.d/loop.conf", b"include /etc/ld.so.conf\n")
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libl.so").needs("libn.so"))
        .elf("/a/liba.so", library())
        .elf("/b/liba.so", library())
        .elf("/b/libb.so", library())
        .elf("/last/libl.so", library())
        .elf("/usr/lib/libl.so", library())
        .elf("/not/libn.so", library())
        .expect(
            "/bin/app",
            "liba.so => /a/liba.so [ld.so.conf]
             libb.so => /b/libb.so [ld.so.conf]
             libl.so => /last/libl.so [ld.so.conf]
             libn.so missing for /bin/app",
        );
}

/// DF_1_NODEFLIB: no default folders for what this object needs, and for it alone (ld.so(8)).
#[test]
fn nodeflib_refuses_the_default_folders() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").runpath("/opt").flags_1(DF_1_NODEFLIB))
        .elf("/opt/liba.so", library().needs("libc.so"))
        .elf("/usr/lib/libb.so", library())
        .elf("/usr/lib/libc.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/liba.so [runpath]
             libc.so => /usr/lib/libc.so [default]
             libb.so missing for /bin/app",
        );
}

/// DF_1_NODEFLIB refuses cache entries that begin as a default folder does, subfolders among them
/// (the `memcmp` with `system_dirs` in `_dl_map_object`).
#[test]
fn nodeflib_refuses_cache_entries_in_default_folders() {
    Tree::glibc()
        .cache(&[
            ("liba.so", "/usr/lib/liba.so"),
            ("libb.so", "/opt/libb.so"),
            ("libc.so", "/usr/lib/blas/libc.so"),
            ("libd.so", "/usr/library/libd.so"),
        ])
        .elf(
            "/bin/app",
            program().needs("liba.so").needs("libb.so").needs("libc.so").needs("libd.so").flags_1(DF_1_NODEFLIB),
        )
        .elf("/usr/lib/liba.so", library())
        .elf("/opt/libb.so", library())
        .elf("/usr/lib/blas/libc.so", library())
        .elf("/usr/library/libd.so", library())
        .expect(
            "/bin/app",
            "libb.so => /opt/libb.so [ld.so.cache]
             libd.so => /usr/library/libd.so [ld.so.cache]
             liba.so missing for /bin/app
             libc.so missing for /bin/app",
        );
}

/// What is loaded answers to its soname, whatever its file is called (`_dl_map_object`).
#[test]
fn loaded_objects_are_known_by_soname_though_the_file_is_called_otherwise() {
    Tree::glibc()
        .elf("/bin/app", program().needs("libreal-1.2.so").needs("libname.so.1").runpath("/opt"))
        .elf("/opt/libreal-1.2.so", soname("libname.so.1"))
        .elf("/opt/libname.so.1", soname("libname.so.1"))
        .expect("/bin/app", "libreal-1.2.so => /opt/libreal-1.2.so [runpath]");
}

/// A file's name is nothing to the loader: another name that is needed is looked for.
#[test]
fn a_soname_is_no_promise_that_the_file_has_that_name() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libsoname.so").runpath("/opt"))
        .elf("/opt/liba.so", soname("libother.so"))
        .expect(
            "/bin/app",
            "liba.so => /opt/liba.so [runpath]
             libsoname.so missing for /bin/app",
        );
}

/// What was found is known by its path (`_dl_name_match_p`: `l_name`).
#[test]
fn loaded_objects_are_known_by_path() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("/opt/liba.so").runpath("/opt"))
        .elf("/opt/liba.so", library())
        .expect("/bin/app", "liba.so => /opt/liba.so [runpath]");
}

/// Two names of one file are one object, by device and inode (`_dl_map_object_from_fd`).
#[test]
fn one_inode_under_two_names_is_one_object() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libhard.so").needs("liblink.so").runpath("/opt"))
        .elf("/opt/liba.so", library())
        .same_file("/opt/libhard.so", "/opt/liba.so")
        .link("/opt/liblink.so", "liba.so")
        .expect("/bin/app", "liba.so => /opt/liba.so [runpath]");
}

/// ... and answers to both from then on (`add_name_to_object`).
#[test]
fn the_other_name_of_a_loaded_inode_is_known_everywhere() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libother.so").runpath("/opt"))
        .elf("/opt/liba.so", library().needs("libother.so"))
        .link("/opt/libother.so", "liba.so")
        .expect("/bin/app", "liba.so => /opt/liba.so [runpath]");
}

/// Level by level: all that the program needs comes before what those need (`_dl_map_object_deps`).
#[test]
fn order_is_breadth_first() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libb.so"))
        .elf("/lib/liba.so", library().needs("libaa.so").needs("libab.so"))
        .elf("/lib/libb.so", library().needs("libba.so").needs("libaa.so"))
        .elf("/lib/libaa.so", library().needs("libdeep.so"))
        .elf("/lib/libab.so", library())
        .elf("/lib/libba.so", library())
        .elf("/lib/libdeep.so", library())
        .expect(
            "/bin/app",
            "liba.so => /lib/liba.so [default]
             libb.so => /lib/libb.so [default]
             libaa.so => /lib/libaa.so [default]
             libab.so => /lib/libab.so [default]
             libba.so => /lib/libba.so [default]
             libdeep.so => /lib/libdeep.so [default]",
        );
}

/// Breadth first decides: what is needed near the program is taken where the program finds it, also for
/// those that would find another one of the name.
#[test]
fn the_first_that_is_found_serves_all() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libx.so").runpath("/opt"))
        .elf("/opt/liba.so", library().needs("libx.so").runpath("/own"))
        .elf("/opt/libx.so", library())
        .elf("/own/libx.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/liba.so [runpath]
             libx.so => /opt/libx.so [runpath]",
        );
}

/// The main program answers to its own soname too.
#[test]
fn the_programs_own_soname_is_loaded_already() {
    Tree::glibc()
        .elf("/bin/app", program().soname("libapp.so").needs("liba.so"))
        .elf("/lib/liba.so", library().needs("libapp.so"))
        .elf("/lib/libapp.so", soname("libapp.so"))
        .expect("/bin/app", "liba.so => /lib/liba.so [default]");
}

/// Only by its soname: the file of the program, found under a name that is needed, is mapped once more,
/// for its device and inode are not known (`_dl_map_object_from_fd`, "To match the kernel behavior").
#[test]
fn the_programs_file_is_mapped_again_where_a_library_needs_it() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so"))
        .elf("/lib/liba.so", library().needs("app").runpath("/bin"))
        .expect(
            "/bin/app",
            "liba.so => /lib/liba.so [default]
             app => /bin/app [runpath]",
        );
}

/// The same with the loader, by a name that is not its own.
#[test]
fn the_loaders_file_is_mapped_again_under_another_name() {
    Tree::glibc()
        .elf("/bin/app", program().needs("ld-linux-x86-64.so.2").needs("libalias.so"))
        .link("/lib/libalias.so", LOADER)
        .expect(
            "/bin/app",
            &format!(
                "ld-linux-x86-64.so.2 => {LOADER} [loaded]
                 libalias.so => /lib/libalias.so [default]"
            ),
        );
}

/// An empty DT_NEEDED is the main program, whose name (`l_name`) is empty.
#[test]
fn an_empty_name_is_the_program() {
    Tree::glibc()
        .elf("/bin/app", program().needs("").needs("liba.so"))
        .elf("/lib/liba.so", library().needs(""))
        .expect("/bin/app", "liba.so => /lib/liba.so [default]");
}

/// `$ORIGIN`, with and without braces, in search paths (ld.so(8)).
#[test]
fn origin_in_search_paths() {
    Tree::glibc()
        .elf("/opt/bin/app", program().needs("liba.so").runpath("$ORIGIN/../lib"))
        .elf("/opt/lib/liba.so", library().needs("libb.so").rpath("${ORIGIN}/deep"))
        .elf("/opt/lib/deep/libb.so", library())
        .expect(
            "/opt/bin/app",
            "liba.so => /opt/bin/../lib/liba.so [runpath]
             libb.so => /opt/bin/../lib/deep/libb.so [rpath]",
        );
}

/// `$LIB` is what the loader was built with, `$PLATFORM` what the kernel says (ld.so(8)).
#[test]
fn lib_and_platform_in_search_paths() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").runpath("/opt/$LIB:/opt/${PLATFORM}"))
        .elf("/opt/lib/x86_64-linux-gnu/liba.so", library())
        .elf("/opt/x86_64/libb.so", library())
        .only_here("the real loader's $PLATFORM is that of this processor, as haswell")
        .expect(
            "/bin/app",
            "liba.so => /opt/lib/x86_64-linux-gnu/liba.so [runpath]
             libb.so => /opt/x86_64/libb.so [runpath]",
        );
}

#[test]
fn lib_in_search_paths() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").runpath("/opt/$LIB:/more/${LIB}x"))
        .elf("/opt/lib/x86_64-linux-gnu/liba.so", library())
        .elf("/more/lib/x86_64-linux-gnux/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/lib/x86_64-linux-gnu/liba.so [runpath]
             libb.so => /more/lib/x86_64-linux-gnux/libb.so [runpath]",
        );
}

/// What only begins as a token does is text (`is_dst`: the whole name, up to what no name can hold).
#[test]
fn names_that_begin_as_tokens_are_text() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs("libb.so").runpath("/$ORIGINAL:/${LIB:/$LIBS"))
        .elf("/$ORIGINAL/liba.so", library())
        .elf("/${LIB/libb.so", library())
        .expect(
            "/bin/app",
            "liba.so => /$ORIGINAL/liba.so [runpath]
             libb.so => /${LIB/libb.so [runpath]",
        );
}

/// Tokens are replaced in DT_NEEDED too (`expand_dst`, elf/dl-deps.c).
#[test]
fn tokens_in_needed_names() {
    Tree::glibc()
        .elf("/opt/bin/app", program().needs("$ORIGIN/../lib/liba.so").needs("/opt/${LIB}/libb.so"))
        .elf("/opt/lib/liba.so", library())
        .elf("/opt/lib/x86_64-linux-gnu/libb.so", library())
        .expect(
            "/opt/bin/app",
            "/opt/bin/../lib/liba.so => /opt/bin/../lib/liba.so [absolute]
             /opt/lib/x86_64-linux-gnu/libb.so => /opt/lib/x86_64-linux-gnu/libb.so [absolute]",
        );
}

/// The program's `$ORIGIN` is free of links: it comes from /proc/self/exe (`_dl_get_origin`).
#[test]
fn origin_of_the_program_is_its_real_folder() {
    Tree::glibc()
        .elf("/opt/app/bin/app", program().needs("liba.so").needs("libb.so").runpath("$ORIGIN/../own"))
        .link("/usr/bin/app", "../../opt/app/bin/app")
        .elf("/opt/app/own/liba.so", library())
        .elf("/usr/own/libb.so", library())
        .expect(
            "/usr/bin/app",
            "liba.so => /opt/app/bin/../own/liba.so [runpath]
             libb.so missing for /opt/app/bin/app",
        );
}

/// A library's `$ORIGIN` is the folder that it was found in, links and all (`_dl_new_object`).
#[test]
fn origin_of_a_library_is_the_folder_it_was_found_in() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").runpath("/links"))
        .link("/links/liba.so", "../store/liba.so")
        .elf("/store/liba.so", library().needs("libb.so").needs("libc.so").runpath("$ORIGIN"))
        .elf("/links/libb.so", library())
        .elf("/store/libc.so", library())
        .expect(
            "/bin/app",
            "liba.so => /links/liba.so [runpath]
             libb.so => /links/libb.so [runpath]
             libc.so missing for /links/liba.so",
        );
}

/// A name with a slash is a path, and looked for nowhere else (ld.so(8)).
#[test]
fn a_needed_name_with_a_slash_is_a_path() {
    Tree::glibc()
        .elf("/bin/app", program().needs("/opt/liba.so").needs("/gone/libb.so").runpath("/opt"))
        .elf("/opt/liba.so", library())
        .elf("/opt/libb.so", library())
        .expect(
            "/bin/app",
            "/opt/liba.so => /opt/liba.so [absolute]
             /gone/libb.so missing for /bin/app",
        );
}

/// A relative one starts from the current folder.
#[test]
fn a_relative_needed_name_starts_from_the_current_folder() {
    let tree = || {
        Tree::glibc()
            .elf("/bin/app", program().needs("sub/liba.so"))
            .elf("/work/sub/liba.so", library())
            .elf("/bin/sub/liba.so", library())
    };
    tree().current("/work").expect("/bin/app", "sub/liba.so => /work/sub/liba.so [absolute]");
    tree().expect("/bin/app", "sub/liba.so missing for /bin/app");
}

/// Empty and relative elements of a search path start from the current folder (ld.so(8): "a zero-length
/// directory name indicates the current working directory").
#[test]
fn empty_and_relative_path_elements_start_from_the_current_folder() {
    let tree = || {
        Tree::glibc()
            .elf("/bin/app", program().needs("liba.so").needs("libb.so").needs("libc.so").runpath("/opt::sub"))
            .elf("/work/liba.so", library())
            .elf("/work/sub/libb.so", library())
            .elf("/opt/libc.so", library())
    };
    tree().current("/work").expect(
        "/bin/app",
        "liba.so => /work/liba.so [runpath]
         libb.so => /work/sub/libb.so [runpath]
         libc.so => /opt/libc.so [runpath]",
    );
    // An image has no current folder to speak of.
    tree().expect(
        "/bin/app",
        "libc.so => /opt/libc.so [runpath]
         liba.so missing for /bin/app
         libb.so missing for /bin/app",
    );
}

/// What `/etc/ld.so.preload` names is mapped before what the program needs, by path or as the program's own
/// needs are searched for; what is missing or bad there is ignored (`do_preload`, elf/rtld.c).
#[test]
fn preloads_are_mapped_first() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").runpath("/opt"))
        .elf("/opt/liba.so", library().needs("libb.so"))
        .elf("/opt/libb.so", library())
        .elf("/pre/libp.so", library().needs("libc.so"))
        .elf("/lib/libc.so", library())
        .bytes("/lib/libtext.so", b"text")
        .bytes("/etc/ld.so.preload", b"/pre/libp.so:libb.so # libx.so\nlibnone.so libtext.so")
        .expect(
            "/bin/app",
            "/pre/libp.so => /pre/libp.so [preload]
             libb.so => /opt/libb.so [preload]
             liba.so => /opt/liba.so [runpath]
             libc.so => /lib/libc.so [default]",
        );
}

/// The loader that is needed by name is mapped already, by its soname as well as by its path.
#[test]
fn the_interpreter_needed_by_name_is_loaded() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so").needs(LOADER))
        .elf("/lib/liba.so", library().needs("ld-linux-x86-64.so.2"))
        .elf("/lib/ld-linux-x86-64.so.2", soname("ld-linux-x86-64.so.2"))
        .expect(
            "/bin/app",
            &format!(
                "liba.so => /lib/liba.so [default]
                 {LOADER} => {LOADER} [loaded]"
            ),
        );
}

/// An interpreter that no one needs by name is none of the objects.
#[test]
fn the_interpreter_is_an_object_only_where_it_is_needed() {
    let mut tree = Tree::glibc().elf("/bin/app", program().needs("liba.so")).elf("/lib/liba.so", library());
    let closure = tree.closure("/bin/app");
    assert_eq!(lines(&closure), ["liba.so => /lib/liba.so [default]"]);
    let (interpreter, found) = closure.interpreter.unwrap();
    assert_eq!((interpreter, found.map(|(real, _)| real)), (path(LOADER), Some(path(LOADER))));
}

/// Links on the interpreter's way are told apart from where it is.
#[test]
fn the_interpreter_may_be_a_link() {
    let mut tree = Tree::glibc()
        .link("/alias/ld.so", "../lib64/ld-linux-x86-64.so.2")
        .elf("/bin/app", program().interpreter("/alias/ld.so").needs("ld-linux-x86-64.so.2"));
    let closure = tree.closure("/bin/app");
    assert_eq!(lines(&closure), ["ld-linux-x86-64.so.2 => /alias/ld.so [loaded]"]);
    assert_eq!(closure.interpreter.unwrap().1.unwrap().0, path(LOADER));
}

/// DT_AUXILIARY may be missing (`_dl_map_object_deps`: "We are not interested in the error message").
#[test]
fn an_auxiliary_filtee_may_be_missing() {
    let tree = |file| Tree::glibc().elf("/bin/app", program().needs("liba.so")).elf("/lib/liba.so", file);
    tree(library().auxiliary("libgone.so"))
        .only_here("the real loader lists it as not found, and starts the program")
        .expect("/bin/app", "liba.so => /lib/liba.so [default]");
    tree(library().auxiliary("libthere.so").needs("libb.so"))
        .elf("/lib/libthere.so", library().needs("libc.so"))
        .elf("/lib/libb.so", library())
        .elf("/lib/libc.so", library())
        .expect(
            "/bin/app",
            "liba.so => /lib/liba.so [default]
             libthere.so => /lib/libthere.so [default]
             libb.so => /lib/libb.so [default]
             libc.so => /lib/libc.so [default]",
        );
}

/// DT_FILTER may not (the same: "For filter objects the dependency must be available").
#[test]
fn a_filtee_may_not_be_missing() {
    Tree::glibc()
        .elf("/bin/app", program().needs("liba.so"))
        .elf("/lib/liba.so", library().filter("libgone.so"))
        .expect(
            "/bin/app",
            "liba.so => /lib/liba.so [default]
             libgone.so missing for /lib/liba.so",
        );
}

/// A static executable maps nothing else.
#[test]
fn a_static_executable_has_no_closure() {
    let mut tree = Tree::glibc().elf("/bin/static", library().without_dynamic_section()).elf("/bin/pie", library());
    for file in ["/bin/static", "/bin/pie"] {
        let closure = tree.closure(file);
        assert!(closure.objects.is_empty() && closure.missing.is_empty() && closure.interpreter.is_none());
        assert!(closure.loader.is_none());
    }
}

/// An interpreter that is not there is missing, and everything else is told all the same.
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

/// The kernel starts no interpreter for another machine, and none that is not ELF (execve(2): ELIBBAD).
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

/// Every object that needs a missing name is told, each with every place that was tried, in order.
#[test]
fn missing_names_are_told_for_each_that_needs_them() {
    let mut tree = Tree::glibc()
        .library_path("/env")
        .cache(&[("libother.so", "/x/libother.so")])
        .elf("/bin/app", program().needs("libgone.so").needs("liba.so").rpath("/r1:/r2"))
        .elf("/lib/liba.so", library().needs("libgone.so").runpath("$ORIGIN/sub"));
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

/// A name that was not found for one is looked for anew for the next, who may find it (`l_faked`).
#[test]
fn what_one_misses_another_may_find() {
    Tree::glibc()
        .only_here("the real loader lists the name twice, once as not found")
        .elf("/bin/app", program().needs("libx.so").needs("liba.so").runpath("/opt"))
        .elf("/opt/liba.so", library().needs("libx.so").runpath("/own"))
        .elf("/own/libx.so", library())
        .expect(
            "/bin/app",
            "liba.so => /opt/liba.so [runpath]
             libx.so => /own/libx.so [runpath]
             libx.so missing for /bin/app",
        );
}
