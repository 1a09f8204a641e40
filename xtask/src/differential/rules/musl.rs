//! The rules of musl's loader, one program each: ldso/dynlink.c of its source.
//! What they have in common with glibc's is judged again, for the code that answers is another.

use super::Rule;
use super::forge::Tree;

fn rule(says: &'static str, files: impl Fn(&mut Tree), then: &[&str]) -> Rule {
    Rule::new(says, files, then)
}

const PATH_FILE: &str = "/etc/ld-musl-x86_64.path";

/// All of them.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules = searches();
    rules.extend(library_path());
    rules.extend(names());
    rules.extend(errors());
    rules.extend(headers());
    rules
}

fn searches() -> Vec<Rule> {
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

/// LD_LIBRARY_PATH, which `path_open` takes apart as it stands.
fn library_path() -> Vec<Rule> {
    let with = |says, text: &'static str, files: fn(&mut Tree), then: &[&str]| {
        let with_text = move |t: &mut Tree| {
            files(t);
            t.library_path = Some(text.to_owned());
            t.current = Some("/r/now".to_owned());
            t.folder("/r/now");
        };
        rule(says, with_text, then)
    };
    vec![
        with(
            "musl: empty elements of LD_LIBRARY_PATH mean nothing",
            "::/r/x:",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.libraries(&["/r/now/liba.so", "/r/x/libb.so"]);
            },
            &["!liba.so", "/r/x/libb.so"],
        ),
        with(
            "musl: a newline separates there, a semicolon does not",
            "/r/x;/r/y\n/r/z",
            |t| {
                t.app().needs("liba.so").needs("libb.so").needs("libd.so");
                t.libraries(&["/r/x;/r/y/liba.so", "/r/y/libb.so", "/r/z/libd.so"]);
            },
            &["/r/x;/r/y/liba.so", "!libb.so", "/r/z/libd.so"],
        ),
        with(
            "musl: tokens there are text",
            "$ORIGIN/x:/r/$LIB",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.libraries(&["/r/x/liba.so", "/r/now/$ORIGIN/x/liba.so", "/r/$LIB/libb.so"]);
            },
            &["/r/now/$ORIGIN/x/liba.so", "/r/$LIB/libb.so"],
        ),
        with(
            "musl: a relative element starts from the current folder",
            "x:../y",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.libraries(&["/r/now/x/liba.so", "/r/y/libb.so"]);
            },
            &["/r/now/x/liba.so", "/r/y/libb.so"],
        ),
        rule(
            "musl: a colon in what $ORIGIN stands for separates",
            |t| {
                t.program("/r/a:r/b/app").needs("liba.so").needs("libb.so").runpath("$ORIGIN/x");
                t.libraries(&["/r/a:r/b/x/liba.so", "/r/b/x/libb.so"]);
                t.run = Some("/r/a:r/b/app".to_owned());
            },
            &["!liba.so", "/r/b/x/libb.so"],
        ),
        rule(
            "musl: $ORIGIN needs nothing after it",
            |t| {
                t.app().needs("liba.so").runpath("$ORIGINAL");
                t.library("/rAL/liba.so");
            },
            &["/rAL/liba.so"],
        ),
        rule(
            "musl: $ORIGIN of a library is the folder that it was found in",
            |t| {
                t.app().needs("liba.so").runpath("$ORIGIN/x");
                t.link("/r/x/liba.so", "../far/liba.so");
                t.library("/r/far/liba.so").needs("libb.so").runpath("$ORIGIN/y");
                t.libraries(&["/r/far/y/libb.so", "/r/x/y/libb.so"]);
            },
            &["/r/far/liba.so", "/r/x/y/libb.so"],
        ),
        rule(
            "musl: the path file may name relative folders",
            |t| {
                t.app().needs("liba.so");
                t.library("/r/now/sub/liba.so");
                t.file(PATH_FILE, "sub:/none");
                t.current = Some("/r/now".to_owned());
            },
            &["/r/now/sub/liba.so"],
        ),
        rule(
            "musl: a path file that cannot be read leaves no folders",
            |t| {
                t.app().needs("liba.so");
                t.link(PATH_FILE, "ld-musl-x86_64.path");
                t.library("/usr/lib/liba.so");
            },
            &["!liba.so"],
        ),
        rule(
            "musl: one that is a link to nowhere is none",
            |t| {
                t.app().needs("liba.so");
                t.link(PATH_FILE, "none");
                t.library("/usr/lib/liba.so");
            },
            &["/usr/lib/liba.so"],
        ),
    ]
}

/// What an object is known by: the last part of the path that a search found, once.
fn names() -> Vec<Rule> {
    vec![
        rule(
            "musl: an object that was opened by its path is not known by its name",
            |t| {
                t.app().needs("/r/x/liba.so").needs("liba.so").runpath("/r/y");
                t.libraries(&["/r/x/liba.so", "/r/y/liba.so"]);
            },
            &["/r/x/liba.so", "/r/y/liba.so"],
        ),
        rule(
            "musl: one that was searched for is known to all",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so");
                t.library("/r/x/libb.so").needs("liba.so").runpath("/r/y");
                t.library("/r/y/liba.so");
            },
            &["/r/x/liba.so", "/r/x/libb.so"],
        ),
        rule(
            "musl: another name of its file is forgotten",
            |t| {
                t.app().needs("liba.so").needs("/r/x/libz.so").needs("libd.so").runpath("/r/x");
                t.library("/r/x/liba.so");
                t.hard_link("/r/x/libz.so", "/r/x/liba.so");
                t.library("/r/x/libd.so").needs("libz.so").runpath("/r/y");
                t.library("/r/y/libz.so");
            },
            &["/r/x/liba.so", "/r/x/libd.so", "/r/y/libz.so"],
        ),
        rule(
            "musl: a link's name is forgotten, and searched for again",
            |t| {
                t.app().needs("liba.so").needs("libz.so").needs("/r/d/libd.so").runpath("/r/x");
                t.library("/r/x/liba.so");
                t.link("/r/x/libz.so", "liba.so");
                t.library("/r/d/libd.so").needs("libz.so").runpath("/r/y");
                t.library("/r/y/libz.so");
            },
            &["/r/x/liba.so", "/r/d/libd.so", "/r/y/libz.so"],
        ),
        rule(
            "musl: one that was opened by its path, and then found, is known by the path's name",
            |t| {
                t.app().needs("/r/x/real.so").needs("liba.so").needs("/r/d/libd.so").runpath("/r/x");
                t.library("/r/x/real.so");
                t.link("/r/x/liba.so", "real.so");
                t.library("/r/d/libd.so").needs("real.so").needs("liba.so").runpath("/r/y");
                t.libraries(&["/r/y/real.so", "/r/y/liba.so"]);
            },
            &["/r/x/real.so", "/r/d/libd.so", "/r/y/liba.so"],
        ),
        rule(
            "musl: an empty needed name makes the loader give up",
            |t| {
                t.app().needs_nothing();
            },
            &["gives up"],
        ),
        rule(
            "musl: a name of 256 bytes is searched for nowhere",
            |t| {
                t.app().needs(&"l".repeat(256)).needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so", &format!("!{}", "l".repeat(256))],
        ),
        rule(
            "musl: a needed path with a slash at its end is no file",
            |t| {
                t.app().needs("/r/x/liba.so/");
                t.library("/r/x/liba.so");
            },
            &["!/r/x/liba.so/"],
        ),
        rule(
            "musl: a folder makes the loader give up",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.folder("/r/x/liba.so");
                t.library("/r/y/liba.so");
            },
            &["gives up"],
        ),
        rule(
            "musl: the loader's own file is the loader, whatever its name",
            |t| {
                t.app().needs("/r/x/other.so").needs("liba.so").runpath("/r/x");
                t.hard_link("/r/x/other.so", "/lib/ld-musl-x86_64.so.1");
                t.link("/r/x/liba.so", "/lib/ld-musl-x86_64.so.1");
            },
            &[],
        ),
        rule(
            "musl: a copy of it is the loader too",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.copy_of_loader("/r/x/liba.so");
                t.library("/r/x/libb.so");
            },
            &["/r/x/libb.so"],
        ),
        rule(
            "musl: the program's own file, under a name that is needed, is another object",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libself.so").runpath("/r/x");
                t.hard_link("/r/x/libself.so", "/r/app");
                t.untold = Some("/r/x/libself.so".to_owned());
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "musl: the kernel's object is not there",
            |t| {
                t.app().needs("linux-vdso.so.1").needs("linux-gate.so.1");
            },
            &["!linux-vdso.so.1", "!linux-gate.so.1"],
        ),
    ]
}

/// Which errors of open(2) end all searching (`path_open`).
fn errors() -> Vec<Rule> {
    let fits = format!("/{}deep", "./".repeat(249));
    let (short, long) = (fits[1..].to_owned(), format!("./{fits}"));
    vec![
        rule(
            "musl: a file where a folder should be is passed over",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/file:/r/x:/r/y");
                t.file("/r/file", "text");
                t.link("/r/x/libb.so", "/r/file/libb.so");
                t.libraries(&["/r/y/liba.so", "/r/y/libb.so"]);
            },
            &["/r/y/liba.so", "/r/y/libb.so"],
        ),
        rule(
            "musl: a loop of links ends all searching",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.link("/r/x/liba.so", "liba.so");
                t.library("/usr/lib/liba.so");
            },
            &["!liba.so"],
        ),
        rule(
            "musl: so does a socket",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.socket("/r/x/liba.so");
                t.library("/r/y/liba.so");
            },
            &["!liba.so"],
        ),
        rule(
            "musl: a path of 511 bytes can be opened",
            |t| {
                t.app().needs("liba.so").runpath(&format!("{short}:/r/y"));
                t.libraries(&["/deep/liba.so", "/r/y/liba.so"]);
                t.current = Some("/".to_owned());
            },
            &["/deep/liba.so"],
        ),
        rule(
            "musl: one of more is passed over",
            |t| {
                t.app().needs("liba.so").runpath(&format!("{long}:/r/y"));
                t.libraries(&["/deep/liba.so", "/r/y/liba.so"]);
            },
            &["/r/y/liba.so"],
        ),
    ]
}

/// It checks less than glibc does (`map_library`).
fn headers() -> Vec<Rule> {
    let with = |says, change: fn(&mut super::forge::Object), then: &[&str]| {
        let files = move |t: &mut Tree| {
            t.app().needs("liba.so").runpath("/r/x:/r/y");
            change(t.library("/r/x/liba.so").needs("libb.so").runpath("/r/x"));
            t.libraries(&["/r/y/liba.so", "/r/x/libb.so"]);
        };
        rule(says, files, then)
    };
    const TAKES: &[&str] = &["/r/x/liba.so", "/r/x/libb.so"];
    const GIVES_UP: &[&str] = &["gives up"];
    vec![
        with(
            "musl: versions, OS ABI and padding are nothing",
            |o| {
                o.write(6, &[9, 9, 9, 9, 9, 9]);
                o.write(20, &[9]);
            },
            TAKES,
        ),
        with("musl: DT_STRSZ is nothing", |o| o.entry(10, 10, 0), TAKES),
        with("musl: the dynamic section is found by its address, not its offset", |o| o.segment(2, 8, 0), TAKES),
        with("musl: it ends at its end, not after its size", |o| o.segment(2, 32, 16), TAKES),
        with("musl: a relocatable object makes the loader give up", |o| o.write(16, &[1]), GIVES_UP),
        with("musl: a library without a dynamic section makes the loader give up", |o| o.without_segments(2), GIVES_UP),
        with("musl: a file that ends in its ELF header makes the loader give up", |o| o.cut_to(63), GIVES_UP),
    ]
}
