//! Folders for particular hardware: on the baseline, by loaders before glibc 2.37 and since (`_dl_important_hwcaps`,
//! elf/dl-hwcaps.c).

use super::tree::{Tree, library, program};

const FOLDERS: &[&str] = &["/x", "/x/x86_64", "/x/x86_64/x86_64", "/x/tls", "/x/tls/x86_64", "/x/tls/x86_64/x86_64"];

/// Each of them comes before those that come before it here, wherever the folder is named.
#[test]
fn the_baselines_folders_come_before_the_one_that_holds_them() {
    for count in 1..=FOLDERS.len() {
        let tree = || {
            let tree = Tree::glibc().before(2, 37).elf("/bin/app", program().needs("liba.so").runpath("/x"));
            FOLDERS[..count].iter().fold(tree, |tree, folder| tree.elf(&format!("{folder}/liba.so"), library()))
        };
        let last = FOLDERS[count - 1];
        tree().expect("/bin/app", &format!("liba.so => {last}/liba.so [runpath]"));
        tree()
            .elf("/bin/app", program().needs("liba.so"))
            .library_path("/x")
            .expect("/bin/app", &format!("liba.so => {last}/liba.so [library-path]"));
    }
    Tree::glibc()
        .before(2, 37)
        .elf("/bin/app", program().needs("liba.so"))
        .elf("/usr/lib/liba.so", library())
        .elf("/usr/lib/tls/liba.so", library())
        .expect("/bin/app", "liba.so => /usr/lib/tls/liba.so [default]");
}

/// What no baseline has is not searched, so that the image runs everywhere.
#[test]
fn folders_of_better_processors_are_not_searched() {
    let tree = Tree::glibc().before(2, 37).elf("/bin/app", program().needs("liba.so").runpath("/x"));
    ["haswell", "avx512_1", "sse2", "glibc-hwcaps/x86-64-v2"]
        .iter()
        .fold(tree, |tree, folder| tree.elf(&format!("/x/{folder}/liba.so"), library()))
        .only_here("this processor may be better than the baseline")
        .expect("/bin/app", "liba.so missing for /bin/app");
}

/// Since glibc 2.37 the names mean nothing.
#[test]
fn later_loaders_search_no_such_folder() {
    let tree = |release| {
        Tree::glibc_of(release)
            .only_here("the real loader is of one release")
            .elf("/bin/app", program().needs("liba.so").runpath("/x"))
            .elf("/x/liba.so", library())
            .elf("/x/tls/liba.so", library())
    };
    tree("2.36").expect("/bin/app", "liba.so => /x/tls/liba.so [runpath]");
    tree("2.37").expect("/bin/app", "liba.so => /x/liba.so [runpath]");
    tree("2.41").expect("/bin/app", "liba.so => /x/liba.so [runpath]");
}

/// One that cannot be opened there is asked for once more below; a bad one ends all.
#[test]
fn errors_there_end_nothing_and_bad_files_all() {
    let tree = || {
        Tree::glibc()
            .before(2, 37)
            .elf("/bin/app", program().needs("liba.so").runpath("/x"))
            .elf("/x/liba.so", library())
    };
    tree().link("/x/tls/liba.so", "liba.so").expect("/bin/app", "liba.so => /x/liba.so [runpath]");
    tree().bytes("/x/tls", b"a file").expect("/bin/app", "liba.so => /x/liba.so [runpath]");
    tree().bytes("/x/tls/liba.so", b"text").expect("/bin/app", "liba.so bad at /x/tls/liba.so for /bin/app");
}

/// They are named where a library was looked for in vain, if they are there.
#[test]
fn such_folders_are_told_of_where_they_are_there() {
    let mut tree = Tree::glibc().elf("/bin/app", program().needs("liba.so").runpath("/x:/y")).dir("/x/tls");
    let tried = tree.closure("/bin/app").missing.remove(0).tried;
    let places: Vec<String> = tried.iter().filter_map(|attempt| Some(attempt.place.as_ref()?.to_string())).collect();
    assert_eq!(places[..3], ["/x/tls", "/x", "/y"]);
}
