//! LD_LIBRARY_PATH, and our `--library-path`, as glibc's loader takes them apart: ld.so(8), and `_dl_init_paths` and
//! `fillin_rpath` of elf/dl-load.c. Its place among the other lists is judged with those.

use super::Rule;
use super::forge::{Flavor, Tree};

/// A rule of a variable with this text.
fn rule(says: &'static str, text: &str, files: impl Fn(&mut Tree), then: &[&str]) -> Rule {
    let with_text = |t: &mut Tree| {
        files(t);
        t.library_path = Some(text.to_owned());
    };
    Rule::new(says, with_text, then)
}

/// All of them.
pub(super) fn rules(flavor: &Flavor) -> Vec<Rule> {
    let mut rules = elements();
    rules.extend(tokens(flavor));
    rules
}

fn elements() -> Vec<Rule> {
    /// A program that finds `liba.so` in the current folder, `/r/now`.
    fn in_current(t: &mut Tree) {
        t.app().needs("liba.so");
        t.library("/r/now/liba.so");
        t.current = Some("/r/now".to_owned());
    }
    vec![
        rule(
            "an empty element of LD_LIBRARY_PATH is the current folder",
            "/r/x::/r/y",
            in_current,
            &["/r/now/liba.so"],
        ),
        rule("so is one at its beginning", ":/r/x", in_current, &["/r/now/liba.so"]),
        rule("so is one at its end", "/r/x:", in_current, &["/r/now/liba.so"]),
        rule("a lone colon is two of them", ":", in_current, &["/r/now/liba.so"]),
        rule("an empty LD_LIBRARY_PATH is none", "", in_current, &["!liba.so"]),
        rule("a dot is the current folder too", "./", in_current, &["/r/now/liba.so"]),
        rule(
            "empty elements have their place in the order",
            "/r/x::/r/y",
            |t| {
                t.app().needs("liba.so").needs("libb.so").needs("libd.so");
                t.libraries(&["/r/x/liba.so", "/r/now/liba.so", "/r/now/libb.so", "/r/y/libb.so", "/r/y/libd.so"]);
                t.current = Some("/r/now".to_owned());
            },
            &["/r/x/liba.so", "/r/now/libb.so", "/r/y/libd.so"],
        ),
        rule(
            "a semicolon separates elements of LD_LIBRARY_PATH",
            "/r/x;/r/y:/r/z",
            |t| {
                t.app().needs("liba.so").needs("libb.so").needs("libd.so");
                t.libraries(&["/r/x/liba.so", "/r/y/libb.so", "/r/z/libd.so"]);
            },
            &["/r/x/liba.so", "/r/y/libb.so", "/r/z/libd.so"],
        ),
        Rule::new(
            "a semicolon separates nothing in RUNPATH",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x;/r/y");
                t.libraries(&["/r/x;/r/y/liba.so", "/r/x/liba.so", "/r/y/libb.so"]);
            },
            &["/r/x;/r/y/liba.so", "!libb.so"],
        ),
        rule(
            "folders that are not there are passed over",
            "/none:/r/none/deep:/r/file:/r/x///",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.library("/r/x/liba.so").needs("libb.so");
                t.library("/r/x/libb.so");
                t.file("/r/file", "text");
            },
            &["/r/x/liba.so", "/r/x/libb.so"],
        ),
        rule(
            "a link in LD_LIBRARY_PATH may lead anywhere",
            "/r/link:/r/loop",
            |t| {
                t.app().needs("liba.so");
                t.link("/r/link", "/r/far/../far/x");
                t.link("/r/loop", "loop");
                t.library("/r/far/x/liba.so");
            },
            &["/r/far/x/liba.so"],
        ),
        rule(
            "DF_1_NODEFLIB does not shut LD_LIBRARY_PATH out",
            "/r/x",
            |t| {
                t.app().needs("liba.so").without_default_folders();
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "what /etc/ld.so.preload names is searched for there too",
            "/r/x",
            |t| {
                t.app().needs("liba.so");
                t.libraries(&["/r/x/libp.so", "/r/x/liba.so"]);
                t.file("/etc/ld.so.preload", "libp.so\n");
            },
            &["/r/x/libp.so", "/r/x/liba.so"],
        ),
    ]
}

fn tokens(flavor: &Flavor) -> Vec<Rule> {
    let lib = format!("lib/{}", flavor.triplet);
    let (in_lib, in_platform) = (format!("/r/{lib}/liba.so"), format!("/s/{}/libb.so", flavor.platform));
    vec![
        rule(
            "$ORIGIN in LD_LIBRARY_PATH is the program's folder, whoever needs the library",
            "$ORIGIN/x:${ORIGIN}/y",
            |t| {
                t.app().needs("liba.so");
                t.library("/r/x/liba.so").needs("libb.so");
                t.libraries(&["/r/y/libb.so", "/r/x/x/libb.so", "/r/x/y/libb.so"]);
            },
            &["/r/x/liba.so", "/r/y/libb.so"],
        ),
        rule(
            "there too it is free of links",
            "$ORIGIN/x",
            |t| {
                t.program("/r/real/app").needs("liba.so");
                t.link("/r/bin/app", "../real/app");
                t.libraries(&["/r/real/x/liba.so", "/r/bin/x/liba.so"]);
                t.run = Some("/r/bin/app".to_owned());
            },
            &["/r/real/x/liba.so"],
        ),
        rule(
            "$LIB and $PLATFORM in LD_LIBRARY_PATH",
            "/r/$LIB:/s/${PLATFORM}",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.libraries(&[&in_lib, &in_platform]);
            },
            &[&in_lib, &in_platform],
        ),
        rule(
            "what only begins as a token is text there too",
            "/r/$ORIGINAL:/r/$$LIB:/r/${LIB",
            |t| {
                t.app().needs("liba.so").needs("libb.so").needs("libd.so");
                t.libraries(&["/r/$ORIGINAL/liba.so", "/r/${LIB/libb.so"]);
                t.library(&format!("/r/${lib}/libd.so"));
            },
            &["/r/$ORIGINAL/liba.so", "/r/${LIB/libb.so", &format!("/r/${lib}/libd.so")],
        ),
        rule(
            "a colon in what $ORIGIN stands for separates nothing",
            "$ORIGIN/x",
            |t| {
                t.program("/r/a:b/app").needs("liba.so").needs("libb.so").runpath("$ORIGIN/y");
                t.libraries(&["/r/a:b/x/liba.so", "/r/a:b/y/libb.so"]);
                t.run = Some("/r/a:b/app".to_owned());
            },
            &["/r/a:b/x/liba.so", "/r/a:b/y/libb.so"],
        ),
        rule(
            "a relative element with a token starts from the current folder",
            "$LIB:x$PLATFORM",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.library(&format!("/r/now/{lib}/liba.so"));
                t.library(&format!("/r/now/x{}/libb.so", flavor.platform));
                t.current = Some("/r/now".to_owned());
            },
            &[&format!("/r/now/{lib}/liba.so"), &format!("/r/now/x{}/libb.so", flavor.platform)],
        ),
    ]
}
