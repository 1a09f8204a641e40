//! The rules of musl's loader, one program each: ldso/dynlink.c of its source.
//! What they have in common with glibc's is judged again, for the code that answers is another.

use super::Rule;
use super::forge::Tree;

fn rule(says: &'static str, files: impl Fn(&mut Tree), then: &[&str]) -> Rule {
    Rule::new(says, files, then)
}

/// All of them.
pub(super) fn rules() -> Vec<Rule> {
    const PATH_FILE: &str = "/etc/ld-musl-x86_64.path";
    vec![
        rule(
            "musl: RUNPATH is inherited as RPATH is",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so").rpath("/r/y");
                t.library("/r/y/libb.so").needs("libd.so").needs("libe.so");
                t.libraries(&["/r/x/libd.so", "/r/y/libe.so"]);
            },
            &["/r/x/liba.so", "/r/y/libb.so", "/r/x/libd.so", "/r/y/libe.so"],
        ),
        rule(
            "musl: RUNPATH wins over RPATH",
            |t| {
                t.app().needs("liba.so").rpath_and_runpath("/r/x", "/r/y");
                t.libraries(&["/r/x/liba.so", "/r/y/liba.so"]);
            },
            &["/r/y/liba.so"],
        ),
        rule(
            "musl: LD_LIBRARY_PATH comes first",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/l/liba.so"]);
                t.library_path = Some("/r/l".to_owned());
            },
            &["/r/l/liba.so"],
        ),
        rule(
            "musl: the path file takes the place of the default folders",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.libraries(&["/opt/m/liba.so", "/usr/lib/liba.so", "/usr/lib/libb.so"]);
                t.file(PATH_FILE, "/opt/none\n/opt/m\n");
            },
            &["/opt/m/liba.so", "!libb.so"],
        ),
        rule(
            "musl: rpaths come before the path file",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&["/opt/m/liba.so", "/r/x/liba.so"]);
                t.file(PATH_FILE, "/opt/m");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "musl: libc.so and its kin are the loader",
            |t| {
                t.app().needs("libc.so").needs("libpthread.so.0").needs("libm.so").runpath("/r/x");
                t.libraries(&["/r/x/libc.so", "/r/x/libpthread.so.0", "/r/x/libm.so"]);
            },
            &[],
        ),
        rule(
            "musl: sonames mean nothing",
            |t| {
                t.app().needs("/r/x/other.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/other.so").soname("libb.so");
                t.library("/r/x/libb.so");
            },
            &["/r/x/other.so", "/r/x/libb.so"],
        ),
        rule(
            "musl: one inode under two names is one object",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so");
                t.hard_link("/r/x/libb.so", "/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "musl: $ORIGIN and ${ORIGIN}",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("$ORIGIN/x:${ORIGIN}/y");
                t.libraries(&["/r/x/liba.so", "/r/y/libb.so"]);
            },
            &["/r/x/liba.so", "/r/y/libb.so"],
        ),
        rule(
            "musl: any other token voids the path",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/$LIB");
                t.library("/r/x/liba.so");
            },
            &["!liba.so"],
        ),
        rule(
            "musl: a needed name with a slash is a path, tokens and all",
            |t| {
                t.app().needs("/r/x/liba.so").needs("./libb.so").needs("$ORIGIN/libd.so");
                t.libraries(&["/r/x/liba.so", "/r/now/libb.so", "/r/libd.so"]);
                t.current = Some("/r/now".to_owned());
            },
            &["/r/x/liba.so", "/r/now/libb.so", "!$ORIGIN/libd.so"],
        ),
        rule(
            "musl: empty path elements mean nothing, relative ones the current folder",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("::x");
                t.libraries(&["/r/now/x/liba.so", "/r/now/libb.so"]);
                t.current = Some("/r/now".to_owned());
            },
            &["/r/now/x/liba.so", "!libb.so"],
        ),
        rule(
            "musl: a candidate for another machine makes the loader give up",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.library("/r/x/liba.so").of_another_class();
                t.library("/r/y/liba.so");
            },
            &["gives up"],
        ),
        rule(
            "musl: a text file makes the loader give up",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.file("/r/x/liba.so", "text");
                t.library("/r/y/liba.so");
            },
            &["gives up"],
        ),
        rule(
            "musl: breadth first, the first that is found serves all",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libd.so").runpath("/r/1");
                t.library("/r/x/libb.so").needs("libd.so").runpath("/r/2");
                t.libraries(&["/r/1/libd.so", "/r/2/libd.so"]);
            },
            &["/r/x/liba.so", "/r/x/libb.so", "/r/1/libd.so"],
        ),
        rule(
            "musl: filters, NODEFLIB and ld.so.preload mean nothing",
            |t| {
                t.app().needs("liba.so").without_default_folders();
                t.library("/usr/lib/liba.so").filter("libf.so").auxiliary("libg.so").runpath("/r/x");
                t.libraries(&["/r/x/libf.so", "/r/x/libg.so"]);
                t.file("/etc/ld.so.preload", "/r/x/libf.so");
            },
            &["/usr/lib/liba.so"],
        ),
    ]
}
