//! Folders for particular hardware, on the baseline: glibc-hwcaps, and those that loaders before 2.37 search as well
//! (`_dl_important_hwcaps`, elf/dl-hwcaps.c, and `search_cache`, elf/dl-cache.c). The judges run as on the baseline.

use super::Rule;
use super::forge::{Flavor, Tree};

fn rule(says: &'static str, files: impl Fn(&mut Tree), then: &[&str]) -> Rule {
    Rule::new(says, files, then)
}

/// All of them.
pub(super) fn rules(flavor: &Flavor) -> Vec<Rule> {
    let mut rules = every_release();
    if flavor.release >= (2, 37) {
        rules.extend(later());
        return rules;
    }
    rules.extend(earlier(flavor));
    if !flavor.ldconfig.is_empty() {
        rules.extend(cached());
    }
    rules
}

fn every_release() -> Vec<Rule> {
    vec![
        rule(
            "what is for better processors alone is missing on the baseline",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&["/r/x/glibc-hwcaps/x86-64-v2/liba.so", "/r/x/haswell/liba.so", "/r/x/avx512_1/liba.so"]);
                t.libraries(&["/r/x/atomics/liba.so", "/r/x/sse2/liba.so"]);
            },
            &["!liba.so"],
        ),
        rule(
            "a folder glibc-hwcaps itself holds nothing",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/glibc-hwcaps/liba.so");
            },
            &["!liba.so"],
        ),
    ]
}

/// Since 2.37 the names mean nothing.
fn later() -> Vec<Rule> {
    vec![rule(
        "folders tls and x86_64 are searched for nothing",
        |t| {
            t.app().needs("liba.so").runpath("/r/x");
            t.libraries(&["/r/x/tls/liba.so", "/r/x/x86_64/liba.so", "/r/x/aarch64/liba.so"]);
        },
        &["!liba.so"],
    )]
}

fn earlier(flavor: &Flavor) -> Vec<Rule> {
    let platform = flavor.platform;
    let at = |folder: &str| format!("/r/x/{folder}/liba.so");
    let (in_tls, in_platform) = (at("tls"), at(platform));
    let (in_both, in_default) = (at(&format!("tls/{platform}")), format!("/usr/lib/{platform}/liba.so"));
    vec![
        rule(
            "a folder tls comes before the folder that holds it",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", &in_tls]);
            },
            &[&in_tls],
        ),
        rule(
            "so does one of the platform's name",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.libraries(&["/r/x/liba.so", &in_platform]);
            },
            &[&in_platform],
        ),
        rule(
            "tls comes before the platform",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&[&in_tls, &in_platform]);
            },
            &[&in_tls],
        ),
        rule(
            "and the platform below it before both",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&[&in_tls, &in_platform, &in_both]);
            },
            &[&in_both],
        ),
        rule(
            "all of a folder's come before the next folder",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x:/r/y");
                t.libraries(&["/r/x/liba.so", "/r/y/tls/liba.so", "/r/y/tls/libb.so", "/r/y/libb.so"]);
            },
            &["/r/x/liba.so", "/r/y/tls/libb.so"],
        ),
        rule(
            "they are searched below folders of LD_LIBRARY_PATH",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.libraries(&["/r/l/liba.so", "/r/l/tls/liba.so", "/r/now/tls/libb.so", "/r/now/libb.so"]);
                t.library_path = Some("/r/l::".to_owned());
                t.current = Some("/r/now".to_owned());
            },
            &["/r/l/tls/liba.so", "/r/now/tls/libb.so"],
        ),
        rule(
            "they are searched below the default folders",
            |t| {
                t.app().needs("liba.so");
                t.libraries(&["/usr/lib/liba.so", &in_default]);
            },
            &[&in_default],
        ),
        rule(
            "$ORIGIN of a library there is that folder",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/tls/liba.so").needs("libb.so").runpath("$ORIGIN");
                t.libraries(&["/r/x/libb.so", "/r/x/tls/libb.so"]);
            },
            &["/r/x/tls/liba.so", "/r/x/tls/libb.so"],
        ),
        rule(
            "what is no good there makes the loader give up",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.file(&in_tls, "text");
                t.library("/r/x/liba.so");
            },
            &["gives up"],
        ),
        rule(
            "what is for another machine there is passed over",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library(&in_tls).of_another_machine();
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "a loop of links there ends no search",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.link(&in_tls, "liba.so");
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "such a folder may be a link",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.link("/r/x/tls", "../far");
                t.libraries(&["/r/x/liba.so", "/r/far/liba.so"]);
            },
            &["/r/far/liba.so"],
        ),
        rule(
            "a file of such a name is nothing",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.file("/r/x/tls", "text");
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
    ]
}

/// ldconfig(8) looks into folders of these names too.
fn cached() -> Vec<Rule> {
    vec![
        rule(
            "an entry of ld.so.cache below tls comes before a plain one",
            |t| {
                t.app().needs("liba.so");
                for path in ["/opt/lib/liba.so", "/opt/lib/tls/liba.so"] {
                    t.library(path).soname("liba.so");
                }
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["/opt/lib/tls/liba.so"],
        ),
        rule(
            "an entry for better processors is passed over",
            |t| {
                t.app().needs("liba.so");
                for folder in ["", "/haswell", "/avx512_1", "/atomics", "/glibc-hwcaps/x86-64-v3"] {
                    t.library(&format!("/opt/lib{folder}/liba.so")).soname("liba.so");
                }
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["/opt/lib/liba.so"],
        ),
    ]
}
