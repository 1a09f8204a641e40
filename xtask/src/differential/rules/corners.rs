//! What nobody does on purpose: names that are no names, files where folders should be and the other way round, texts
//! that are too long. All of it is `open_path`, `open_verify` and `_dl_map_object` of elf/dl-load.c.

use super::Rule;
use super::forge::{Flavor, Tree};

fn rule(says: &'static str, files: impl Fn(&mut Tree), then: &[&str]) -> Rule {
    Rule::new(says, files, then)
}

/// All of them.
pub(super) fn rules(flavor: &Flavor) -> Vec<Rule> {
    let mut rules = needed_names(flavor);
    rules.extend(errors(flavor));
    rules.extend(lengths());
    rules.extend(twice());
    rules.extend(paths(flavor));
    rules.extend(programs(flavor));
    if !flavor.ldconfig.is_empty() {
        rules.extend(caches());
    }
    rules
}

fn needed_names(flavor: &Flavor) -> Vec<Rule> {
    let mut rules = vec![
        rule(
            "an empty needed name is the program",
            |t| {
                t.app().needs_nothing().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs_nothing();
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "a dot as a needed name is a folder, which makes the loader give up",
            |t| {
                t.app().needs(".").runpath("/r/x");
                t.folder("/r/x");
            },
            &["gives up"],
        ),
        rule(
            "a dot below a file is passed over",
            |t| {
                t.app().needs(".").runpath("/r/file").without_default_folders();
                t.library("/r/file");
            },
            &["!."],
        ),
        rule(
            "two dots as a needed name make the loader give up",
            |t| {
                t.app().needs("..").runpath("/r/x");
                t.folder("/r/x");
            },
            &["gives up"],
        ),
        rule(
            "a needed path with a slash at its end is no file",
            |t| {
                t.app().needs("/r/x/liba.so/").needs("/r/x/libb.so/.").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/x/libb.so"]);
            },
            &["!/r/x/liba.so/", "!/r/x/libb.so/."],
        ),
        rule(
            "a needed path that is a folder makes the loader give up",
            |t| {
                t.app().needs("/r/x/");
                t.folder("/r/x");
            },
            &["gives up"],
        ),
        rule(
            "slashes and dots within a needed path are nothing",
            |t| {
                t.app().needs("//r/./x///liba.so").needs("/r/x/../x/libb.so");
                t.libraries(&["/r/x/liba.so", "/r/x/libb.so"]);
            },
            &["/r/x/liba.so", "/r/x/libb.so"],
        ),
        rule(
            "two dots behind a file lead nowhere",
            |t| {
                t.app().needs("/r/x/liba.so/../liba.so");
                t.library("/r/x/liba.so");
            },
            &["!/r/x/liba.so/../liba.so"],
        ),
        rule(
            "two dots behind a link lead out of where it leads",
            |t| {
                t.app().needs("/r/link/../liba.so");
                t.link("/r/link", "far/deep");
                t.folder("/r/far/deep");
                t.libraries(&["/r/far/liba.so", "/r/liba.so"]);
            },
            &["/r/far/liba.so"],
        ),
        rule(
            "two dots at the root stay there",
            |t| {
                t.app().needs("/../../r/x/liba.so").needs("libb.so").runpath("/r/../../../r/x");
                t.libraries(&["/r/x/liba.so", "/r/x/libb.so"]);
            },
            &["/r/x/liba.so", "/r/x/libb.so"],
        ),
        rule(
            "a name with a newline, a tab and an escape",
            |t| {
                t.app().needs("a\tb\u{1b}[1m.so").runpath("/r/x");
                t.library("/r/x/a\tb\u{1b}[1m.so");
            },
            &["/r/x/a\tb\u{1b}[1m.so"],
        ),
        rule(
            "a folder's own name may be a token of a needed path",
            |t| {
                t.program("/r/a$PLATFORM/app").needs("$ORIGIN/liba.so").needs("$ORIGIN/libb.so");
                t.library("/r/a$PLATFORM/liba.so");
                t.library(&format!("/r/a{}/libb.so", flavor.platform));
                t.run = Some("/r/a$PLATFORM/app".to_owned());
            },
            &[&format!("/r/a{}/libb.so", flavor.platform), "!/r/a$PLATFORM/liba.so"],
        ),
        rule(
            "but not of a search path",
            |t| {
                t.program("/r/a$PLATFORM/app").needs("liba.so").runpath("$ORIGIN/x");
                t.library("/r/a$PLATFORM/x/liba.so");
                t.run = Some("/r/a$PLATFORM/app".to_owned());
            },
            &["/r/a$PLATFORM/x/liba.so"],
        ),
        rule(
            "the loader needed by its path, and by its soname, is there",
            |t| {
                t.app().needs(flavor.interpreter).needs("liba.so").runpath("/r/x");
                let soname = flavor.interpreter.rsplit('/').next().expect("a path has a name");
                t.library("/r/x/liba.so").needs(soname).runpath("/r/x");
                t.library(&format!("/r/x/{soname}"));
            },
            &["/r/x/liba.so"],
        ),
    ];
    if flavor.emulator.is_none() {
        rules.push(rule(
            "the kernel's own object is there, by its soname",
            |t| {
                t.app().needs("linux-vdso.so.1").needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("linux-vdso.so.1").runpath("/r/x");
                t.library("/r/x/linux-vdso.so.1");
            },
            &["/r/x/liba.so"],
        ));
    }
    rules
}

/// Which errors of open(2) end the search of a list. Since 2.39 ENOTDIR is none of them.
fn errors(flavor: &Flavor) -> Vec<Rule> {
    let by_not_dir = |path: &'static str| if flavor.release >= (2, 39) { path } else { "!liba.so" };
    vec![
        rule(
            "a relative element that is a file ends the search of its list",
            |t| {
                t.app().needs("liba.so").runpath("file:/r/y");
                t.file("/r/now/file", "text");
                t.library("/r/y/liba.so");
                t.current = Some("/r/now".to_owned());
            },
            &[by_not_dir("/r/y/liba.so")],
        ),
        rule(
            "one that is not there does not",
            |t| {
                t.app().needs("liba.so").runpath("none:/r/y");
                t.library("/r/y/liba.so");
                t.current = Some("/r/now".to_owned());
                t.folder("/r/now");
            },
            &["/r/y/liba.so"],
        ),
        rule(
            "a link that leads through a file ends the search of its list",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.link("/r/x/liba.so", "/r/file/liba.so");
                t.file("/r/file", "text");
                t.library("/r/y/liba.so");
            },
            &[by_not_dir("/r/y/liba.so")],
        ),
        rule(
            "so does a link that wants a folder and leads to a file",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.link("/r/x/liba.so", "../z/libz.so/");
                t.libraries(&["/r/z/libz.so", "/r/y/liba.so"]);
            },
            &[by_not_dir("/r/y/liba.so")],
        ),
        rule(
            "what comes after such a list is searched",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.link("/r/x/liba.so", "/r/file/liba.so");
                t.file("/r/file", "text");
                t.libraries(&["/usr/lib/liba.so"]);
            },
            &["/usr/lib/liba.so"],
        ),
        rule(
            "a socket ends the search of its list",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.socket("/r/x/liba.so");
                t.library("/r/y/liba.so");
            },
            &["!liba.so"],
        ),
        rule(
            "a device that can be read makes the loader give up",
            |t| {
                t.app().needs("liba.so").runpath("/r/x:/r/y");
                t.link("/r/x/liba.so", "/.host/dev/null");
                t.library("/r/y/liba.so");
            },
            &["gives up"],
        ),
        rule(
            "41 links are too many and end the search of their list",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x:/r/y");
                for n in 0..41 {
                    t.link(&format!("/r/x/{n}"), &format!("{}", n + 1));
                }
                t.library("/r/x/41");
                t.link("/r/x/liba.so", "1");
                t.link("/r/x/libb.so", "2");
                t.library("/r/y/liba.so");
            },
            &["!liba.so", "/r/x/41"],
        ),
        rule(
            "a folder in the place of a needed library in a later list is seen only there",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.folder("/usr/lib/liba.so");
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
    ]
}

fn lengths() -> Vec<Rule> {
    // A name that no folder can hold, and one that any can.
    let (long, longest) = ("l".repeat(256), "l".repeat(255));
    // With `/liba.so` it has 4095 bytes, which is as long as a path can be; and one more.
    let fits = format!("/r{}/deep", "/.".repeat(2040));
    let too_long = format!("/{fits}");
    vec![
        rule(
            "a name of 255 bytes can be found",
            |t| {
                t.app().needs(&longest).runpath("/r/x");
                t.library(&format!("/r/x/{longest}"));
            },
            &[&format!("/r/x/{longest}")],
        ),
        rule(
            "a name of 256 bytes is missing",
            |t| {
                t.app().needs(&long).needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so", &format!("!{long}")],
        ),
        rule(
            "a path of 4095 bytes can be opened",
            |t| {
                t.app().needs("liba.so").runpath(&format!("/r/none:{fits}"));
                t.library("/r/deep/liba.so");
            },
            &["/r/deep/liba.so"],
        ),
        rule(
            "one of 4096 bytes cannot, and ends the search of its list",
            |t| {
                t.app().needs("liba.so").runpath(&format!("{too_long}:/r/y"));
                t.libraries(&["/r/deep/liba.so", "/r/y/liba.so"]);
            },
            &["!liba.so"],
        ),
        rule(
            "a folder that is too long itself is passed over",
            |t| {
                t.app().needs("liba.so").runpath(&format!("{too_long}{}:/r/y", "/.".repeat(10)));
                t.library("/r/y/liba.so");
            },
            &["/r/y/liba.so"],
        ),
        rule(
            "a thousand folders",
            |t| {
                let folders: Vec<String> = (0..1000).map(|n| format!("/r/{n}")).collect();
                t.app().needs("liba.so").needs("libb.so").runpath(&folders.join(":"));
                t.libraries(&["/r/999/liba.so", "/r/500/libb.so", "/r/501/libb.so"]);
            },
            &["/r/999/liba.so", "/r/500/libb.so"],
        ),
    ]
}

/// One file, or one name, met twice.
fn twice() -> Vec<Rule> {
    vec![
        rule(
            "a name that is needed twice is loaded once",
            |t| {
                t.app().needs("liba.so").needs("liba.so").needs("/r/x/liba.so").runpath("/r/x");
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "a link and what it leads to are one object, under both names",
            |t| {
                t.app().needs("libb.so").needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libd.so");
                t.link("/r/x/libb.so", "liba.so");
                t.link("/r/x/libd.so", "libb.so");
            },
            &["/r/x/liba.so", "!libd.so"],
        ),
        rule(
            "the other name of a loaded file is known from then on",
            |t| {
                t.app().needs("liba.so").needs("libb.so").needs("libd.so").runpath("/r/x");
                t.library("/r/x/liba.so");
                t.hard_link("/r/x/libb.so", "/r/x/liba.so");
                t.library("/r/x/libd.so").needs("libb.so");
            },
            &["/r/x/liba.so", "/r/x/libd.so"],
        ),
        rule(
            "a copy is another object",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/x/libb.so"]);
            },
            &["/r/x/liba.so", "/r/x/libb.so"],
        ),
        rule(
            "two copies of one soname are two objects, where both are needed by name",
            |t| {
                t.app().needs("liba.so.1").needs("liba.so.2").runpath("/r/x");
                t.library("/r/x/liba.so.1").soname("liba.so");
                t.library("/r/x/liba.so.2").soname("liba.so");
            },
            &["/r/x/liba.so.1", "/r/x/liba.so.2"],
        ),
        rule(
            "a soname may be another file's name",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/liba.so").soname("libb.so");
                t.library("/r/x/libb.so").soname("liba.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "a soname may be a path, which then is not opened",
            |t| {
                t.app().needs("liba.so").needs("/r/y/libb.so").runpath("/r/x");
                t.library("/r/x/liba.so").soname("/r/y/libb.so");
                t.library("/r/y/libb.so");
            },
            &["/r/x/liba.so"],
        ),
        rule(
            "the program's own file, under a name that is needed, is another object, which cannot be loaded",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libself.so").runpath("/r/x");
                t.hard_link("/r/x/libself.so", "/r/app");
            },
            &["gives up"],
        ),
        rule(
            "a library that needs itself",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("liba.so").soname("libother.so");
            },
            &["/r/x/liba.so"],
        ),
    ]
}

/// Search paths that are odd.
fn paths(flavor: &Flavor) -> Vec<Rule> {
    // Until 2.38 the loader loses the root folder with the first name that it does not find there (bug 30435).
    let by_lost_root = if flavor.release >= (2, 38) { "/libb.so" } else { "!libb.so" };
    vec![
        rule(
            "the root folder may be an element of a path",
            |t| {
                t.app().needs("liba.so").needs("libb.so").needs("libd.so").runpath("//:/r/x");
                t.libraries(&["/liba.so", "/libb.so", "/r/x/libb.so", "/r/x/libd.so"]);
            },
            &["/liba.so", "/libb.so", "/r/x/libd.so"],
        ),
        rule(
            "before 2.38 it is lost with the first name that is not there",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/:/r/x");
                t.libraries(&["/r/x/liba.so", "/libb.so"]);
            },
            &["/r/x/liba.so", by_lost_root],
        ),
        rule(
            "a RUNPATH of a colon is the current folder",
            |t| {
                t.app().needs("liba.so").runpath(":");
                t.library("/r/now/liba.so");
                t.current = Some("/r/now".to_owned());
            },
            &["/r/now/liba.so"],
        ),
        rule(
            "RPATH of the program counts for all, DF_1_NODEFLIB for itself alone",
            |t| {
                t.app().needs("liba.so").needs("libz.so").rpath("/r/x").without_default_folders();
                t.library("/r/x/liba.so").needs("libb.so").needs("libd.so");
                t.libraries(&["/r/x/libb.so", "/usr/lib/libd.so", "/usr/lib/libz.so"]);
            },
            &["/r/x/liba.so", "/r/x/libb.so", "/usr/lib/libd.so", "!libz.so"],
        ),
        rule(
            "DF_1_NODEFLIB of a library holds for what it needs",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so").without_default_folders();
                t.library("/usr/lib/libb.so");
            },
            &["/r/x/liba.so", "!libb.so"],
        ),
        rule(
            "a path that names the default folders is not shut out by DF_1_NODEFLIB",
            |t| {
                t.app().needs("liba.so").runpath("/usr/lib").without_default_folders();
                t.library("/usr/lib/liba.so");
            },
            &["/usr/lib/liba.so"],
        ),
        rule(
            "a folder of the path may be a loop of links",
            |t| {
                t.app().needs("liba.so").runpath("/r/loop:/r/y");
                t.link("/r/loop", "loop");
                t.library("/r/y/liba.so");
            },
            &["/r/y/liba.so"],
        ),
        rule(
            "a tilde, a wildcard and a variable are text",
            |t| {
                t.app().needs("liba.so").needs("libb.so").needs("libd.so").runpath("/r/~:/r/*:/r/$HOME");
                t.libraries(&["/r/~/liba.so", "/r/*/libb.so", "/r/$HOME/libd.so"]);
            },
            &["/r/~/liba.so", "/r/*/libb.so", "/r/$HOME/libd.so"],
        ),
        rule(
            "tokens may follow each other, and stand in any place",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/x${ORIGIN}$ORIGIN:$ORIGIN.d");
                t.libraries(&["/x/r/r/liba.so", "/r.d/libb.so"]);
            },
            &["/x/r/r/liba.so", "/r.d/libb.so"],
        ),
        rule(
            "the name of a token is in capitals",
            |t| {
                t.app().needs("liba.so").runpath("$origin/x:${Origin}/x");
                t.library("/r/x/liba.so");
            },
            &["!liba.so"],
        ),
        rule(
            "a digit or an underscore goes on with a token's name",
            |t| {
                t.app().needs("liba.so").needs("libb.so").runpath("/r/$ORIGIN_/x:/r/$LIB2");
                t.libraries(&["/r/$ORIGIN_/x/liba.so", "/r/$LIB2/libb.so"]);
            },
            &["/r/$ORIGIN_/x/liba.so", "/r/$LIB2/libb.so"],
        ),
    ]
}

fn programs(flavor: &Flavor) -> Vec<Rule> {
    let mut rules = vec![
        rule(
            "a program in the root folder",
            |t| {
                t.program("/app").needs("liba.so").needs("$ORIGIN/libb.so").runpath("$ORIGIN/x");
                t.libraries(&["/x/liba.so", "/libb.so"]);
                t.run = Some("/app".to_owned());
            },
            &["/x/liba.so", "/libb.so"],
        ),
        rule(
            "what /etc/ld.so.preload names and is missing, or no good, is ignored",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/x/libp.so"]);
                t.file("/r/x/libtext.so", "text");
                t.file("/etc/ld.so.preload", "libnone.so:libtext.so\t/r/none/x.so\nlibp.so # libq.so\n");
            },
            &["/r/x/liba.so", "/r/x/libp.so"],
        ),
        rule(
            "a preload serves by its soname",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/p/libp.so").soname("liba.so");
                t.library("/r/x/liba.so");
                t.file("/etc/ld.so.preload", "/r/p/libp.so");
            },
            &["/r/p/libp.so"],
        ),
        rule(
            "tokens in /etc/ld.so.preload are replaced in paths alone",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.libraries(&["/r/x/liba.so", "/r/p/libp.so", "/r/x/$ORIGIN.so"]);
                t.file("/etc/ld.so.preload", "$ORIGIN/p/libp.so $ORIGIN.so");
            },
            &["/r/x/liba.so", "/r/p/libp.so", "/r/x/$ORIGIN.so"],
        ),
        rule(
            "what a preload needs comes after what the program needs",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/p/libp.so").needs("libd.so").runpath("/r/1");
                t.library("/r/x/liba.so").needs("libe.so").runpath("/r/2");
                t.library("/r/1/libd.so").needs("libe.so").runpath("/r/1");
                t.libraries(&["/r/1/libe.so", "/r/2/libe.so"]);
                t.file("/etc/ld.so.preload", "/r/p/libp.so");
            },
            &["/r/x/liba.so", "/r/p/libp.so", "/r/1/libd.so", "/r/2/libe.so"],
        ),
    ];
    // The emulator has rules of its own for what it starts.
    if flavor.emulator.is_none() {
        rules.push(rule(
            "ELF's version, OS ABI and padding of a program are nothing",
            |t| {
                let app = t.app().needs("liba.so").runpath("/r/x");
                app.write(6, &[9, 9, 9, 9, 9]);
                app.write(20, &[9]);
                t.library("/r/x/liba.so");
            },
            &["/r/x/liba.so"],
        ));
    }
    rules
}

/// Caches that ldconfig(8) does not make today.
fn caches() -> Vec<Rule> {
    let formats = |format: &'static str| {
        move |t: &mut Tree| {
            t.app().needs("liba.so").needs("libb.so.2").needs("libz.so");
            for name in ["liba.so", "libb.so.2", "libc0.so", "libd.so"] {
                t.library(&format!("/opt/lib/{name}")).soname(name);
            }
            t.file("/etc/ld.so.conf", "/opt/lib\n");
            t.cached_as(format);
        }
    };
    const FOUND: &[&str] = &["/opt/lib/liba.so", "/opt/lib/libb.so.2", "!libz.so"];
    vec![
        rule("ld.so.cache in the old format and the new one together", formats("compat"), FOUND),
        rule("ld.so.cache in the old format", formats("old"), FOUND),
        rule(
            "an ld.so.cache that is cut off is ignored",
            |t| {
                formats("new")(t);
                t.cache_length = Some(60);
                t.library("/usr/lib/liba.so");
            },
            &["/usr/lib/liba.so", "!libb.so.2", "!libz.so"],
        ),
        rule(
            "an ld.so.cache that is no cache is ignored",
            |t| {
                t.app().needs("liba.so");
                t.file("/etc/ld.so.cache", "text".repeat(100));
                t.library("/usr/lib/liba.so");
            },
            &["/usr/lib/liba.so"],
        ),
        rule(
            "an ld.so.cache that is a folder is ignored",
            |t| {
                t.app().needs("liba.so");
                t.folder("/etc/ld.so.cache");
                t.library("/usr/lib/liba.so");
            },
            &["/usr/lib/liba.so"],
        ),
        rule(
            "an entry of ld.so.cache that leads to a folder makes the loader give up",
            |t| {
                t.app().needs("liba.so");
                t.library("/opt/lib/liba.so").soname("liba.so");
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached_then_removed = Some(vec!["/opt/lib/liba.so".to_owned()]);
                t.library("/usr/lib/liba.so").soname("libother.so");
                t.then_link("/opt/lib/liba.so", "/usr/lib");
            },
            &["gives up"],
        ),
        rule(
            "the first folder of ld.so.conf wins",
            |t| {
                t.app().needs("liba.so");
                t.library("/opt/b/liba.so").soname("liba.so");
                t.library("/opt/a/liba.so").soname("liba.so");
                t.file("/etc/ld.so.conf", "/opt/b\n/opt/a\n");
                t.cached();
            },
            &["/opt/b/liba.so"],
        ),
        rule(
            "ld.so.cache is searched for libraries of libraries",
            |t| {
                t.app().needs("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libb.so").runpath("/r/none");
                t.library("/opt/lib/libb.so").soname("libb.so").needs("libd.so");
                t.library("/opt/lib/libd.so").soname("libd.so");
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached();
            },
            &["/r/x/liba.so", "/opt/lib/libb.so", "/opt/lib/libd.so"],
        ),
        rule(
            "a cached file for another machine is passed over",
            |t| {
                t.app().needs("liba.so");
                t.library("/opt/lib/liba.so").soname("liba.so");
                t.library("/r/foreign.so").of_another_machine();
                t.file("/etc/ld.so.conf", "/opt/lib\n");
                t.cached_then_removed = Some(vec!["/opt/lib/liba.so".to_owned()]);
                t.then_link("/opt/lib/liba.so", "/r/foreign.so");
                t.library("/usr/lib/liba.so").soname("libother.so");
            },
            &["/usr/lib/liba.so"],
        ),
    ]
}
