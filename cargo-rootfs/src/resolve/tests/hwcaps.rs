//! glibc-hwcaps subdirectories: where they are searched, and that the baseline needs none of them.
//!
//! ld.so(8), since glibc 2.33; `_dl_important_hwcaps` of elf/dl-hwcaps.c, `open_path` of elf/dl-load.c and
//! `search_cache` of elf/dl-cache.c. The loader of this machine is asked with `--glibc-hwcaps-mask`.

use super::tree::{Tree, library, program, soname};
use crate::elf::Bytes;
use crate::elf::fixture::machine;
use crate::path::RootfsPath;
use crate::resolve::cache;

const V4: &str = "x86-64-v4";
const V3: &str = "x86-64-v3";
const V2: &str = "x86-64-v2";

/// A default folder with liba.so for every hardware and for two levels.
fn tree() -> Tree {
    Tree::glibc()
        .elf("/app", program().needs("liba.so"))
        .elf("/lib/liba.so", library())
        .elf("/lib/glibc-hwcaps/x86-64-v2/liba.so", library())
        .elf("/lib/glibc-hwcaps/x86-64-v3/liba.so", library())
}

/// The baseline searches the folders themselves.
#[test]
fn the_baseline_has_no_subdirectories() {
    tree().on(&[]).expect("/app", "liba.so => /lib/liba.so [default]");
}

/// `_dl_important_hwcaps`: the best one that the hardware can do comes first.
#[test]
fn the_best_subdirectory_comes_first() {
    tree().on(&[V3, V2]).expect("/app", "liba.so => /lib/glibc-hwcaps/x86-64-v3/liba.so [default]");
    tree().on(&[V2]).expect("/app", "liba.so => /lib/glibc-hwcaps/x86-64-v2/liba.so [default]");
    tree().on(&[V4, V2]).expect("/app", "liba.so => /lib/glibc-hwcaps/x86-64-v2/liba.so [default]");
    tree().on(&[V4]).expect("/app", "liba.so => /lib/liba.so [default]");
}

/// `open_path`: all subdirectories of one folder, then itself, then the next folder.
#[test]
fn a_folder_comes_before_the_subdirectories_of_the_next() {
    let tree = || {
        Tree::glibc()
            .elf("/app", program().needs("liba.so").needs("libb.so").runpath("/one:/two"))
            .elf("/one/liba.so", library())
            .elf("/two/glibc-hwcaps/x86-64-v3/liba.so", library())
            .elf("/one/glibc-hwcaps/x86-64-v2/libb.so", library())
            .elf("/two/glibc-hwcaps/x86-64-v3/libb.so", library())
            .elf("/two/libb.so", library())
    };
    tree().on(&[V3, V2]).expect(
        "/app",
        "liba.so => /one/liba.so [runpath]
         libb.so => /one/glibc-hwcaps/x86-64-v2/libb.so [runpath]",
    );
    tree().on(&[V3]).expect(
        "/app",
        "liba.so => /one/liba.so [runpath]
         libb.so => /two/glibc-hwcaps/x86-64-v3/libb.so [runpath]",
    );
}

/// Every list of folders has them: RPATH, LD_LIBRARY_PATH, RUNPATH (`fillin_rpath`).
#[test]
fn every_list_of_folders_has_subdirectories() {
    Tree::glibc()
        .elf("/app", program().needs("liba.so").needs("libb.so").rpath("/r"))
        .elf("/r/glibc-hwcaps/x86-64-v2/liba.so", library().needs("libc.so").runpath("$ORIGIN"))
        .elf("/r/glibc-hwcaps/x86-64-v2/glibc-hwcaps/x86-64-v2/libc.so", library())
        .elf("/p/glibc-hwcaps/x86-64-v2/libb.so", library())
        .library_path("/p")
        .on(&[V2])
        .expect(
            "/app",
            "liba.so => /r/glibc-hwcaps/x86-64-v2/liba.so [rpath]
             libb.so => /p/glibc-hwcaps/x86-64-v2/libb.so [library-path]
             libc.so => /r/glibc-hwcaps/x86-64-v2/glibc-hwcaps/x86-64-v2/libc.so [runpath]",
        );
}

/// A path is opened as it stands.
#[test]
fn a_path_has_no_subdirectories() {
    tree()
        .elf("/app", program().needs("/lib/liba.so"))
        .on(&[V3])
        .expect("/app", "/lib/liba.so => /lib/liba.so [absolute]");
}

/// A bad library in a subdirectory is taken and found bad (`open_verify`); one for another machine is passed over.
#[test]
fn what_is_bad_in_a_subdirectory_is_bad() {
    tree()
        .bytes(
            "/lib/glibc-hwcaps/x86-64-v3/liba.so",
            b"no library, though it is long enough for an ELF header to be there",
        )
        .on(&[V3, V2])
        .expect("/app", "liba.so bad at /lib/glibc-hwcaps/x86-64-v3/liba.so for /app");
    tree()
        .elf("/lib/glibc-hwcaps/x86-64-v3/liba.so", library().machine(machine("i686")))
        .on(&[V3, V2])
        .expect("/app", "liba.so => /lib/glibc-hwcaps/x86-64-v2/liba.so [default]");
}

/// A variant may need more than what it stands for.
#[test]
fn variants_have_needs_of_their_own() {
    let tree = || {
        tree()
            .elf("/lib/glibc-hwcaps/x86-64-v3/liba.so", soname("liba.so").needs("libfast.so"))
            .elf("/lib/libfast.so", library())
    };
    tree().on(&[V3]).expect(
        "/app",
        "liba.so => /lib/glibc-hwcaps/x86-64-v3/liba.so [default]
         libfast.so => /lib/libfast.so [default]",
    );
    tree().on(&[V2]).expect("/app", "liba.so => /lib/glibc-hwcaps/x86-64-v2/liba.so [default]");
}

/// `search_cache`: an entry for a subdirectory is better than any other, wherever its folder is.
#[test]
fn the_cache_prefers_entries_for_subdirectories() {
    let entry = |hwcaps: Option<&str>, at: &str| {
        (Bytes::from(b"libc1.so"), hwcaps.map(|name| Bytes::from(name.as_bytes())), RootfsPath::parse(at).unwrap())
    };
    let entries = [
        entry(None, "/opt/a/libc1.so"),
        entry(Some(V3), "/opt/b/glibc-hwcaps/x86-64-v3/libc1.so.3"),
        entry(Some(V2), "/opt/b/glibc-hwcaps/x86-64-v2/libc1.so.stale"),
    ];
    let tree = || {
        Tree::glibc()
            .bytes("/etc/ld.so.cache", &cache::write_with_hwcaps(machine("x86_64"), &entries))
            .elf("/app", program().needs("libc1.so"))
            .elf("/opt/a/libc1.so", library())
            .elf("/opt/b/glibc-hwcaps/x86-64-v3/libc1.so.3", library())
            .elf("/lib/libc1.so", library())
    };
    tree().on(&[]).expect("/app", "libc1.so => /opt/a/libc1.so [ld.so.cache]");
    tree().on(&[V3, V2]).expect("/app", "libc1.so => /opt/b/glibc-hwcaps/x86-64-v3/libc1.so.3 [ld.so.cache]");
    // The best entry alone is tried; a stale one leads to the default folders.
    tree().on(&[V2]).expect("/app", "libc1.so => /lib/libc1.so [default]");
}

/// A tree without a cache stands for one whose cache is made later, of the folders of ld.so.conf and the default
/// ones (ldconfig(8)): there subdirectories come first as well.
#[test]
fn without_a_cache_it_is_as_ldconfig_would_make_it() {
    let tree = || {
        Tree::glibc()
            .bytes("/etc/ld.so.conf", b"/opt/a\n/opt/b\n")
            .elf("/app", program().needs("liba.so").needs("libb.so"))
            .elf("/opt/a/liba.so", library())
            .elf("/opt/b/glibc-hwcaps/x86-64-v2/liba.so", library())
            .elf("/opt/a/libb.so", library())
            .elf("/lib/glibc-hwcaps/x86-64-v2/libb.so", library())
            .only_here("a loader reads no ld.so.conf")
    };
    tree().on(&[]).expect(
        "/app",
        "liba.so => /opt/a/liba.so [ld.so.conf]
         libb.so => /opt/a/libb.so [ld.so.conf]",
    );
    tree().on(&[V2]).expect(
        "/app",
        "liba.so => /opt/b/glibc-hwcaps/x86-64-v2/liba.so [ld.so.conf]
         libb.so => /lib/glibc-hwcaps/x86-64-v2/libb.so [ld.so.conf]",
    );
}

/// What only some hardware finds is missing, and which that is is told.
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
    assert_eq!(only(tree()), [Some(V3.to_owned()), None]);
    // An entry of the cache that leads nowhere is for no hardware; one for a subdirectory tells which.
    let entry = |name: &[u8], hwcaps: Option<&str>| {
        let hwcaps = hwcaps.map(|name| Bytes::from(name.as_bytes()));
        (Bytes::from(name), hwcaps, RootfsPath::parse("/gone").unwrap())
    };
    let entries = [entry(b"liba.so", None), entry(b"libb.so", Some(V2))];
    let cached = cache::write_with_hwcaps(machine("x86_64"), &entries);
    let only = only(tree().bytes("/etc/ld.so.cache", &cached));
    assert_eq!(only, [Some(V3.to_owned()), Some(V2.to_owned())]);
    tree().on(&[]).expect(
        "/app",
        "liba.so missing for /app
         libb.so missing for /app",
    );
    tree().on(&[V3]).expect(
        "/app",
        "liba.so => /lib/glibc-hwcaps/x86-64-v3/liba.so [default]
         libb.so missing for /app",
    );
}
