//! The rules of glibc's loader, one program each: ld.so(8), and elf/dl-load.c, dl-deps.c and dl-cache.c of its source.
//! What a rule leads to is written down beside it, so that a program which does not show its rule is found out.

use super::forge::{Flavor, Tree};
use super::{Rule, corners, filters, hardware, headers, library_path};

/// A rule, the files that show it, and what the loader then does.
fn rule(says: &'static str, files: impl Fn(&mut Tree), then: &[&str]) -> Rule {
    Rule::new(says, files, then)
}

/// All of them.
pub(super) fn rules(flavor: &Flavor) -> Vec<Rule> {
    let mut rules = search_paths();
    rules.extend(defaults(flavor));
    rules.extend(tokens(flavor));
    rules.extend(names());
    rules.extend(order());
    rules.extend(candidates());
    rules.extend(library_path::rules(flavor));
    rules.extend(filters::rules());
    rules.extend(headers::rules(flavor));
    rules.extend(hardware::rules(flavor));
    rules.extend(corners::rules(flavor));
    if !flavor.ldconfig.is_empty() {
        rules.extend(cache(flavor));
    }
    rules
}

fn search_paths() -> Vec<Rule> {
    vec![
        rule(
            "RPATH is searched for what the object needs",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "RPATH is inherited through the chain of objects",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so");
                t.library("/r/x/libb.so").needs("libd.so");
                t.library("/r/x/libd.so");
            },
            &["/r/x/liba.so", "/r/x/libb.so", "/r/x/libd.so"],
        ),
        rule(
            "RPATH of a library is inherited by what it loads",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so").rpath("/r/y");
                t.library("/r/y/libb.so").needs("libd.so");
                t.library("/r/y/libd.so");
            },
            &["/r/x/liba.so", "/r/y/libb.so", "/r/y/libd.so"],
        ),
        rule(
            "RPATH of the object comes before that of its loader",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so").rpath("/r/y");
                t.libraries(&["/r/x/libb.so", "/r/y/libb.so"]);
            },
            &["/r/x/liba.so", "/r/y/libb.so"],
        ),
        rule(
            "RPATH is not inherited by what a sibling loads",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so").rpath("/r/y");
                t.library("/r/x/libb.so").needs("libd.so");
                t.library("/r/y/libd.so");
            },
            &["/r/x/liba.so", "/r/x/libb.so", "!libd.so"],
        ),
        rule(
            "RUNPATH is searched for what the object needs",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "RUNPATH is not inherited",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so");
                t.library("/r/x/libb.so");
            },
            &["/r/x/liba.so", "!libb.so"],
        ),
        rule(
            "RPATH is ignored beside RUNPATH",
            |t| {
                t.app().needs("liba.so").needs("libb.so").rpath_and_runpath("/r/x", "/r/y");
                t.libraries(&["/r/x/liba.so", "/r/y/liba.so", "/r/x/libb.so"]);
            },
            &["/r/y/liba.so", "!libb.so"],
        ),
        rule(
            "RPATH beside RUNPATH is not inherited",
            |t| {
                t.app().needs("liba.so").rpath_and_runpath("/r/x", "/r/y");
                t.library("/r/y/liba.so").needs("libb.so");
                t.library("/r/x/libb.so");
            },
            &["/r/y/liba.so", "!libb.so"],
        ),
        rule(
            "RUNPATH of an object shuts out inherited RPATH",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so").runpath("/r/y");
                t.library("/r/x/libb.so");
            },
            &["/r/x/liba.so", "!libb.so"],
        ),
        rule(
            "RPATH is inherited past an object with RUNPATH",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so").runpath("/r/y");
                t.library("/r/y/libb.so").needs("libd.so");
                t.library("/r/x/libd.so");
            },
            &["/r/x/liba.so", "/r/y/libb.so", "/r/x/libd.so"],
        ),
        rule(
            "RPATH comes before LD_LIBRARY_PATH",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/l/liba.so"]);
                t.library_path = Some("/r/l".to_owned());
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "LD_LIBRARY_PATH comes before RUNPATH",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/l/liba.so"]);
                t.library_path = Some("/r/l".to_owned());
            },
            &["/r/l/liba.so"],
        ),
        rule(
            "LD_LIBRARY_PATH holds for every object, in its order",
            |t| {
                t.app().needs("liba.so");
                t.library("/r/l/liba.so").needs("libb.so");
                t.libraries(&["/r/m/liba.so", "/r/m/libb.so"]);
                t.library_path = Some("/r/l:/r/m".to_owned());
            },
            &["/r/l/liba.so", "/r/m/libb.so"],
        ),
        rule(
            "a relative element of LD_LIBRARY_PATH starts from the current folder",
            |t| {
                t.app().needs("liba.so");
                t.library("/r/now/l/liba.so");
                t.library_path = Some("/r/none:l".to_owned());
                t.current = Some("/r/now".to_owned());
            },
            &["/r/now/l/liba.so"],
        ),
        rule(
            "folders of a path are searched in its order",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/none:/r/x:/r/y//");
                t.libraries(&["/r/x/liba.so", "/r/y/liba.so", "/r/y/libb.so"]);
            },
            &["/r/x/liba.so", "/r/y/libb.so"],
        ),
        rule(
            "an empty path element is the current folder",
            |t| {
                t.app().needs("liba.so").runpath("/r/x::/r/y");
                t.libraries(&["/r/now/liba.so", "/r/y/liba.so"]);
                t.current = Some("/r/now".to_owned());
            },
            &["/r/now/liba.so"],
        ),
        rule(
            "a relative path element starts from the current folder",
            |t| {
                t.app().needs("liba.so").rpath("../y:x");
                t.libraries(&["/r/now/x/liba.so", "/r/y/libb.so"]);
                t.current = Some("/r/now".to_owned());
            },
            &["/r/now/x/liba.so"],
        ),
        rule(
            "a path element may lead through links and ..",
            |t| {
                t.app().needs("liba.so").runpath("/r/x/../link");
                t.folder("/r/x");
                t.link("/r/link", "far/y");
                t.library("/r/far/y/liba.so");
            },
            &["/r/far/y/liba.so"],
        ),
    ]
}

fn defaults(flavor: &Flavor) -> Vec<Rule> {
    let (first, second) = (format!("/lib/{}", flavor.triplet), format!("/usr/lib/{}", flavor.triplet));
    vec![
        rule(
            "the loader's default folders, in its order",
            |t| {
                t.app().needs("liba.so").needs("libb.so").needs("libd.so").needs("libe.so");
                for (folder, names) in [
                    (first.as_str(), &["liba.so"][..]),
                    (second.as_str(), &["liba.so", "libb.so"]),
                    ("/lib", &["liba.so", "libb.so", "libd.so"]),
                    ("/usr/lib", &["liba.so", "libb.so", "libd.so", "libe.so"]),
                ] {
                    for name in names {
                        t.library(&format!("{folder}/{name}"));
                    }
                }
            },
            &[&format!("{first}/liba.so"), &format!("{second}/libb.so"), "/lib/libd.so", "/usr/lib/libe.so"],
        ),
        rule(
            "a default folder of another distribution is none here",
            |t| {
                t.app().needs("liba.so").needs("libb.so");
                t.libraries(&["/usr/lib64/liba.so", "/usr/local/lib/libb.so"]);
            },
            &["!liba.so", "!libb.so"],
        ),
        rule(
            "RUNPATH comes before the default folders",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/usr/lib/liba.so"]);
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "an object with DF_1_NODEFLIB is not searched for in default folders",
            |t| {
                t.app().needs("liba.so").needs("libb.so").without_default_folders().runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/usr/lib/libb.so"]);
            },
            &["/r/x/liba.so", "!libb.so"],
        ),
        rule(
            "DF_1_NODEFLIB holds for the object's own needs alone",
            |t| {
                t.app().needs("liba.so").without_default_folders().runpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so");
                t.library("/usr/lib/libb.so");
            },
            &["/r/x/liba.so", "/usr/lib/libb.so"],
        ),
        rule(
            "on the baseline no glibc-hwcaps folder counts",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/x/glibc-hwcaps/x86-64-v3/liba.so"]);
                t.libraries(&["/usr/lib/libb.so", "/usr/lib/glibc-hwcaps/x86-64-v2/libb.so"]);
            },
            &["/r/x/liba.so", "/usr/lib/libb.so"],
        ),
        rule(
            "what /etc/ld.so.preload names is mapped first",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/p/libp.so", "/usr/lib/libq.so"]);
                t.file("/etc/ld.so.preload", "/r/p/libp.so libq.so\n");
            },
            &["/r/x/liba.so", "/r/p/libp.so", "/usr/lib/libq.so"],
        ),
    ]
}

fn tokens(flavor: &Flavor) -> Vec<Rule> {
    let lib = format!("lib/{}", flavor.triplet);
    let (in_lib, in_platform) = (format!("/r/{lib}/liba.so"), format!("/r/{}/liba.so", flavor.platform));
    let needed_lib = format!("/r/{lib}/x/liba.so");
    vec![
        rule(
            "$ORIGIN is the object's folder",
            |t| {
                t.app().needs("liba.so").runpath("$ORIGIN/x");
                t.library("/r/x/liba.so").needs("libb.so").runpath("$ORIGIN/../y");
                t.library("/r/y/libb.so");
            },
            &["/r/x/liba.so", "/r/y/libb.so"],
        ),
        rule(
            "${ORIGIN} may stand in braces",
            |t| {
                t.app().needs("liba.so").rpath("${ORIGIN}x:${ORIGIN}/x");
                t.library("/rx/liba.so");
            },
            &["/rx/liba.so"],
        ),
        rule(
            "$ORIGIN of an inherited RPATH is its owner's",
            |t| {
                t.app().needs("liba.so").rpath("$ORIGIN/x");
                t.library("/r/x/liba.so").needs("libb.so");
                t.libraries(&["/r/x/libb.so", "/r/x/x/libb.so"]);
            },
            &["/r/x/liba.so", "/r/x/libb.so"],
        ),
        rule(
            "$ORIGIN of the program is its real folder",
            |t| {
                t.program("/r/real/app").needs("liba.so").runpath("$ORIGIN/x");
                t.link("/r/bin/app", "../real/app");
                t.libraries(&["/r/real/x/liba.so", "/r/bin/x/liba.so"]);
                t.run = Some("/r/bin/app".to_owned());
            },
            &["/r/real/x/liba.so"],
        ),
        rule(
            "$ORIGIN of a library is the folder that it was found in",
            |t| {
                t.app().needs("liba.so").runpath("/r/link");
                t.library("/r/far/deep/liba.so").needs("libb.so").runpath("$ORIGIN/y");
                t.link("/r/link/liba.so", "../far/deep/liba.so");
                t.libraries(&["/r/link/y/libb.so", "/r/far/deep/y/libb.so"]);
            },
            &["/r/far/deep/liba.so", "/r/link/y/libb.so"],
        ),
        rule(
            "$LIB and ${LIB} are what the loader was built with",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/$LIB:/s/${LIB}");
                t.library(&in_lib);
                t.library(&format!("/s/{lib}/libb.so"));
            },
            &[&in_lib, &format!("/s/{lib}/libb.so")],
        ),
        rule(
            "$PLATFORM and ${PLATFORM} are the machine",
            |t| {
                t.app().needs("liba.so").needs("libb.so").rpath("/r/$PLATFORM:/s/${PLATFORM}");
                t.library(&in_platform);
                t.library(&format!("/s/{}/libb.so", flavor.platform));
            },
            &[&in_platform, &format!("/s/{}/libb.so", flavor.platform)],
        ),
        rule(
            "what only begins as a token is text",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/$ORIGINAL:/r/${LIB");
                t.libraries(&["/r/$ORIGINAL/liba.so", "/r/${LIB/libb.so"]);
            },
            &["/r/$ORIGINAL/liba.so", "/r/${LIB/libb.so"],
        ),
        rule(
            "tokens in DT_NEEDED",
            |t| {
                t.app().needs("$ORIGIN/x/liba.so").needs("/r/${LIB}/x/liba.so");
                t.library("/r/x/liba.so");
                t.library(&needed_lib);
            },
            &["/r/x/liba.so", &needed_lib],
        ),
    ]
}

fn names() -> Vec<Rule> {
    vec![
        rule(
            "a needed name with a slash is a path",
            |t| {
                t.app().needs("/r/x/liba.so").runpath("/r/y");
                t.libraries(&["/r/x/liba.so", "/r/y/liba.so"]);
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "a relative needed path starts from the current folder",
            |t| {
                t.app().needs("x/liba.so").needs("./libb.so");
                t.libraries(&["/r/now/x/liba.so", "/r/now/libb.so", "/r/x/liba.so"]);
                t.current = Some("/r/now".to_owned());
            },
            &["/r/now/x/liba.so", "/r/now/libb.so"],
        ),
        rule(
            "a needed path that is not there is searched for nowhere",
            |t| {
                t.app().needs("/r/none/liba.so").runpath("/r/x");
                t.library("/r/x/liba.so");
            },
            &["!/r/none/liba.so"],
        ),
        rule(
            "a loaded object is known by its soname, whatever its file's name",
            |t| {
                t.app().needs("/r/x/other.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/other.so").soname("liba.so");
                t.library("/r/x/libb.so").needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so");
            },
            &["/r/x/other.so", "/r/x/libb.so"],
        ),
        rule(
            "a loaded object is known by the name it was found by",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so").soname("libother.so");
                t.library("/r/x/libb.so").needs("liba.so").runpath("/r/y");
                t.library("/r/y/liba.so");
            },
            &["/r/x/liba.so", "/r/x/libb.so"],
        ),
        rule(
            "a soname that no loaded object has is searched for as a file",
            |t| {
                t.app().needs("liba.so").needs("libreal.so").runpath("/r/x");
                t.library("/r/x/liba.so");
                t.library("/r/x/file.so").soname("libreal.so");
            },
            &["/r/x/liba.so", "!libreal.so"],
        ),
        rule(
            "the program's own soname is loaded already",
            |t| {
                t.app().soname("libself.so").needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libself.so").runpath("/r/x");
                t.library("/r/x/libself.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "one inode under two names is one object",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so");
                t.hard_link("/r/x/libb.so", "/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "names with spaces, quotes and no prefix",
            |t| {
                t.app().needs("a b.so").needs("it's").needs("näme").runpath("/r/x");
                t.libraries(&["/r/x/a b.so", "/r/x/it's", "/r/x/näme"]);
            },
            &["/r/x/a b.so", "/r/x/it's", "/r/x/näme"],
        ),
        rule(
            "DT_AUXILIARY is loaded where it is found",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").auxiliary("libaux.so").runpath("/r/x");
                t.library("/r/x/libaux.so");
            },
            &["/r/x/liba.so", "/r/x/libaux.so"],
        ),
        rule(
            "DT_AUXILIARY may be missing",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").auxiliary("libaux.so");
                t.may_be_missing = Some("libaux.so".to_owned());
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "DT_FILTER is loaded too",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").filter("libfilter.so").runpath("/r/x");
                t.library("/r/x/libfilter.so");
            },
            &["/r/x/liba.so", "/r/x/libfilter.so"],
        ),
        rule(
            "DT_FILTER may not be missing",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").filter("libfilter.so");
            },
            &["/r/x/liba.so", "!libfilter.so"],
        ),
    ]
}

fn order() -> Vec<Rule> {
    let chain = |n: usize| format!("/r/x/lib{n}.so");
    let all = |n: std::ops::Range<usize>| n.map(chain).collect::<Vec<_>>();
    let strings = |names: &[String]| names.to_vec();
    let (long, wide, layers) = (strings(&all(0..300)), strings(&all(0..300)), strings(&all(0..60)));
    fn refs(names: &[String]) -> Vec<&str> {
        names.iter().map(String::as_str).collect()
    }
    vec![
        rule(
            "breadth first: the nearer object decides which file a name is",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("liblow.so").runpath("/r/x");
                t.library("/r/x/liblow.so").needs("libd.so").runpath("/r/1");
                t.library("/r/x/libb.so").needs("libd.so").runpath("/r/2");
                t.libraries(&["/r/1/libd.so", "/r/2/libd.so"]);
            },
            &["/r/x/liba.so", "/r/x/libb.so", "/r/x/liblow.so", "/r/2/libd.so"],
        ),
        rule(
            "the first that is found serves all",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libd.so").runpath("/r/1");
                t.library("/r/x/libb.so").needs("libd.so").runpath("/r/2");
                t.libraries(&["/r/1/libd.so", "/r/2/libd.so"]);
            },
            &["/r/x/liba.so", "/r/x/libb.so", "/r/1/libd.so"],
        ),
        rule(
            "what one object misses, another may find",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libd.so");
                t.library("/r/x/libb.so").needs("libd.so").runpath("/r/2");
                t.library("/r/2/libd.so");
            },
            &["/r/x/liba.so", "/r/x/libb.so", "/r/2/libd.so", "!libd.so"],
        ),
        rule(
            "objects that need each other",
            |t| {
                t.app().needs("liba.so").rpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so");
                t.library("/r/x/libb.so").needs("liba.so").needs("libb.so");
            },
            &["/r/x/liba.so", "/r/x/libb.so"],
        ),
        rule(
            "a chain of 300 objects",
            |t| {
                t.app().needs("lib0.so").rpath("/r/x");
                for n in 0..300 {
                    let library = t.library(&chain(n));
                    if n < 299 {
                        library.needs(&format!("lib{}.so", n + 1));
                    }
                }
            },
            &refs(&long),
        ),
        rule(
            "300 objects needed by one",
            |t| {
                let app = t.app().rpath("/r/x");
                (0..300).for_each(|n| {
                    app.needs(&format!("lib{n}.so"));
                });
                (0..300).for_each(|n| {
                    t.library(&chain(n));
                });
            },
            &refs(&wide),
        ),
        rule(
            "30 layers of two, each needing both of the next: 2^30 paths",
            |t| {
                t.app().needs("lib0.so").needs("lib1.so").rpath("/r/x");
                for n in 0..60 {
                    let library = t.library(&chain(n));
                    if n < 58 {
                        let next = n / 2 * 2 + 2;
                        library.needs(&format!("lib{next}.so")).needs(&format!("lib{}.so", next + 1));
                    }
                }
            },
            &refs(&layers),
        ),
    ]
}

/// A program whose first folder holds a bad `liba.so`, and whose second a good one.
fn with_candidate(t: &mut Tree) {
    t.app().needs("liba.so").runpath("/r/x:/r/y");
    t.library("/r/y/liba.so");
}

fn candidates() -> Vec<Rule> {
    const SEARCHES_ON: &[&str] = &["/r/y/liba.so"];
    const GIVES_UP: &[&str] = &["gives up"];
    vec![
        rule(
            "a candidate for another machine is passed over",
            |t| {
                with_candidate(t);
                t.library("/r/x/liba.so").of_another_machine();
            },
            SEARCHES_ON,
        ),
        rule(
            "a candidate of another class is passed over",
            |t| {
                with_candidate(t);
                t.library("/r/x/liba.so").of_another_class();
            },
            SEARCHES_ON,
        ),
        rule(
            "a candidate of another class is passed over in LD_LIBRARY_PATH too",
            |t| {
                t.app().needs("liba.so").runpath("/r/y");
                t.library("/r/y/liba.so");
                t.library("/r/l/liba.so").of_another_class();
                t.library_path = Some("/r/l".to_owned());
            },
            SEARCHES_ON,
        ),
        rule(
            "candidates for other machines alone are as good as none",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").of_another_machine();
            },
            &["!liba.so"],
        ),
        rule(
            "a link that leads nowhere is passed over",
            |t| {
                with_candidate(t);
                t.link("/r/x/liba.so", "nowhere");
            },
            SEARCHES_ON,
        ),
        rule(
            "a link that leads to itself ends the search of its path",
            |t| {
                with_candidate(t);
                t.link("/r/x/liba.so", "liba.so");
            },
            &["!liba.so"],
        ),
        rule(
            "a file where a folder should be is passed over",
            |t| {
                with_candidate(t);
                t.file("/r/x", "text");
            },
            SEARCHES_ON,
        ),
        rule(
            "a folder as a candidate makes the loader give up",
            |t| {
                with_candidate(t);
                t.folder("/r/x/liba.so");
            },
            GIVES_UP,
        ),
        rule(
            "an empty file as a candidate makes the loader give up",
            |t| {
                with_candidate(t);
                t.file("/r/x/liba.so", "");
            },
            GIVES_UP,
        ),
        rule(
            "a linker script as a candidate makes the loader give up",
            |t| {
                with_candidate(t);
                t.file("/r/x/liba.so", "/* GNU ld script */\nINPUT ( /r/y/liba.so )\n".repeat(4));
            },
            GIVES_UP,
        ),
        rule(
            "a file cut off in its ELF header makes the loader give up",
            |t| {
                with_candidate(t);
                t.library("/r/x/liba.so").cut_to(40);
            },
            GIVES_UP,
        ),
        rule(
            "a file cut off in its program headers makes the loader give up",
            |t| {
                with_candidate(t);
                t.library("/r/x/liba.so").cut_to(100);
            },
            GIVES_UP,
        ),
        rule(
            "a position-dependent executable as a candidate makes the loader give up",
            |t| {
                with_candidate(t);
                t.library("/r/x/liba.so").made_executable(false);
            },
            GIVES_UP,
        ),
        rule(
            "a bad file that no search comes to does no harm",
            |t| {
                t.app().needs("liba.so").runpath("/r/y:/r/x");
                t.library("/r/y/liba.so");
                t.file("/r/x/liba.so", "text");
            },
            SEARCHES_ON,
        ),
    ]
}

fn cache(flavor: &Flavor) -> Vec<Rule> {
    let first = format!("/lib/{}", flavor.triplet);
    let in_first = format!("{first}/liba.so");
    vec![
        rule(
            "ld.so.cache comes before the default folders",
            |t| {
                t.app().needs("liba.so");
                t.library("/opt/lib/liba.so").soname("liba.so");
                t.library(&in_first).soname("liba.so");
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["/opt/lib/liba.so"],
        ),
        rule(
            "RUNPATH comes before ld.so.cache",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/opt/lib/liba.so").soname("liba.so");
                t.library("/r/x/liba.so");
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "an entry of ld.so.cache whose file is gone is passed over",
            |t| {
                t.app().needs("liba.so");
                t.library("/opt/lib/liba.so").soname("liba.so");
                t.library("/usr/lib/liba.so").soname("liba.so");
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached_then_removed = Some(vec!["/opt/lib/liba.so".to_owned()]);
            },
            &["/usr/lib/liba.so"],
        ),
        rule(
            "on the baseline no entry of ld.so.cache for a glibc-hwcaps folder counts",
            |t| {
                t.app().needs("liba.so");
                t.library("/opt/lib/liba.so").soname("liba.so");
                t.library("/opt/lib/glibc-hwcaps/x86-64-v3/liba.so").soname("liba.so");
                t.library("/opt/lib/glibc-hwcaps/x86-64-v2/liba.so").soname("liba.so");
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["/opt/lib/liba.so"],
        ),
        rule(
            "beside ld.so.cache nobody reads ld.so.conf",
            |t| {
                // ldconfig(8) takes what is called `lib*.so*` alone.
                t.app().needs("plugin.so").needs("liba.so");
                t.libraries(&["/opt/lib/plugin.so", "/opt/lib/liba.so"]);
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["/opt/lib/liba.so", "!plugin.so"],
        ),
        rule(
            "ld.so.cache knows 8, 9 and 10 apart",
            |t| {
                t.app().needs("liba.so.9").needs("liba.so.10").needs("liba.so.8");
                for n in [8, 9, 10] {
                    t.library(&format!("/opt/lib/liba.so.{n}")).soname(&format!("liba.so.{n}"));
                }
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["/opt/lib/liba.so.8", "/opt/lib/liba.so.9", "/opt/lib/liba.so.10"],
        ),
        rule(
            "DF_1_NODEFLIB shuts out cached files of default folders, and no others",
            |t| {
                t.app().needs("liba.so").needs("libb.so").without_default_folders();
                t.library(&in_first).soname("liba.so");
                t.library("/opt/lib/libb.so").soname("libb.so");
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["!liba.so", "/opt/lib/libb.so"],
        ),
    ]
}
