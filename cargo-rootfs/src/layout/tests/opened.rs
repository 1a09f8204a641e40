//! Dlopen notes in a rootfs: their additions and origins, the reports about the others, and the proof.

use super::disk::{Ask, Disk, library, path, tool};
use crate::error::Warning;
use crate::layout::{Assembly, may_open_warning};
use crate::report::{self, Show};
use crate::resolve::Priority;

fn note(priority: &str, sonames: &str, feature: &str) -> String {
    let sonames: Vec<_> = sonames.split(' ').map(|name| format!("\"{name}\"")).collect();
    let sonames = sonames.join(",");
    format!(
        r#"[{{"soname":[{sonames}],"priority":"{priority}","feature":"{feature}","description":"Enables {feature}"}}]"#
    )
}

/// A tool that opens three libraries: one is present under its second name and needs another one, one is only
/// suggested, one is missing; and a malformed note.
fn sysroot() -> Disk {
    let opens = tool()
        .note(&note("recommended", "libzip.so.5 libzip.so.4", "zip"))
        .note(&note("suggested", "libbpf.so.1 libbpf.so.0", "bpf"))
        .note(&note("recommended", "libgone.so.3", "gone"))
        .note("[");
    Disk::merged()
        .elf("usr/bin/opens", opens)
        .elf("usr/lib/libzip.so.4.2", library("libzip.so.4").needs("libhelp.so"))
        .link("usr/lib/libzip.so.4", "libzip.so.4.2")
        .elf("usr/lib/libhelp.so", library("libhelp.so").note(&note("required", "libdeep.so", "deep")))
        .elf("usr/lib/libdeep.so", library("libdeep.so"))
        .elf("usr/lib/libbpf.so.0", library("libbpf.so.0"))
}

fn tree(assembly: &Assembly) -> String {
    let mut text = Vec::new();
    for (name, closure) in &assembly.closures {
        report::tree(&mut text, name, &Ok(closure.clone()), Show::Once);
    }
    String::from_utf8(text).unwrap()
}

fn why(assembly: &Assembly, at: &str) -> String {
    let mut text = Vec::new();
    assert!(report::why(&mut text, &assembly.rootfs, &path(at)).unwrap());
    String::from_utf8(text).unwrap()
}

/// The additions of a note are shown below it, and so are libraries that are left out or missing.
#[test]
fn a_tree_shows_what_notes_add_and_leave_out() {
    let assembly = Ask::tools(&["opens"]).assemble(&sysroot()).unwrap();
    let expected = "\
opens
    interpreter /lib64/ld-linux-x86-64.so.2 -> /usr/lib64/ld-linux-x86-64.so.2
    runs on glibc >= 2.34 (needed by /usr/bin/opens)
    libc.so.6 => /lib/libc.so.6 -> /usr/lib/libc.so.6 [default]
        ld-linux-x86-64.so.2 => /lib64/ld-linux-x86-64.so.2 -> /usr/lib64/ld-linux-x86-64.so.2 [loaded]
    dlopen libzip.so.4 => /lib/libzip.so.4 -> /usr/lib/libzip.so.4.2 [default] (recommended, zip: Enables zip)
        libhelp.so => /lib/libhelp.so -> /usr/lib/libhelp.so [default]
            dlopen libdeep.so => /lib/libdeep.so -> /usr/lib/libdeep.so [default] (required, deep: Enables deep)
    dlopen libbpf.so.1 or libbpf.so.0 left out (suggested, bpf: Enables bpf)
    dlopen libgone.so.3 not found (recommended, gone: Enables gone)
    a dlopen note cannot be read: it ends too early
";
    assert_eq!(tree(&assembly), expected);
}

/// `objects` has the objects mapped at the start, as before; additions of notes are in `dlopen`.
#[test]
fn json_has_what_notes_add_apart() {
    let assembly = Ask::tools(&["opens"]).assemble(&sysroot()).unwrap();
    let mut text = Vec::new();
    report::closure_json(&mut text, "opens", &Ok(assembly.closures[0].1.clone()));
    let expected = r#"{"reason":"closure","file":"opens","interpreter":"/lib64/ld-linux-x86-64.so.2",
        "objects":[{"needed":"libc.so.6","path":"/lib/libc.so.6","realpath":"/usr/lib/libc.so.6","found_by":"default"},
        {"needed":"ld-linux-x86-64.so.2","path":"/lib64/ld-linux-x86-64.so.2","realpath":"/usr/lib64/ld-linux-x86-64.so.2","found_by":"loaded"}],
        "missing":[],
        "dlopen":[{"needed":"libzip.so.4","path":"/lib/libzip.so.4","realpath":"/usr/lib/libzip.so.4.2","found_by":"default","needed_by":"/usr/bin/opens","priority":"recommended","feature":"zip","description":"Enables zip"},
        {"needed":"libhelp.so","path":"/lib/libhelp.so","realpath":"/usr/lib/libhelp.so","found_by":"default","needed_by":"/lib/libzip.so.4"},
        {"needed":"libdeep.so","path":"/lib/libdeep.so","realpath":"/usr/lib/libdeep.so","found_by":"default","needed_by":"/lib/libhelp.so","priority":"required","feature":"deep","description":"Enables deep"}],
        "dlopen_notes":[{"sonames":["libzip.so.5","libzip.so.4"],"priority":"recommended","feature":"zip","description":"Enables zip","needed_by":"/usr/bin/opens","taken":true,"needed":"libzip.so.4","path":"/lib/libzip.so.4"},
        {"sonames":["libbpf.so.1","libbpf.so.0"],"priority":"suggested","feature":"bpf","description":"Enables bpf","needed_by":"/usr/bin/opens","taken":false,"why":"left out"},
        {"sonames":["libgone.so.3"],"priority":"recommended","feature":"gone","description":"Enables gone","needed_by":"/usr/bin/opens","taken":false,"why":"not found","lacks":["libgone.so.3"]},
        {"sonames":["libdeep.so"],"priority":"required","feature":"deep","description":"Enables deep","needed_by":"/lib/libhelp.so","taken":true,"needed":"libdeep.so","path":"/lib/libdeep.so"},
        {"needed_by":"/usr/bin/opens","taken":false,"error":"it ends too early"}],
        "glibc":{"lowest":"2.34","needed_by":"/usr/bin/opens"},"kernel":null}"#;
    let expected: String = expected.lines().map(str::trim_start).collect();
    assert_eq!(String::from_utf8(text).unwrap(), expected + "\n");
}

/// A library is present because of the note, and the note because of its object.
#[test]
fn why_leads_through_notes() {
    let assembly = Ask::tools(&["opens"]).assemble(&sysroot()).unwrap();
    let expected = "\
/usr/lib/libdeep.so
    dlopen note (required, deep) of /usr/lib/libhelp.so
        needed by /usr/lib/libzip.so.4.2
            dlopen note (recommended, zip) of /usr/bin/opens
                --with opens
";
    assert_eq!(why(&assembly, "/usr/lib/libdeep.so"), expected);
}

/// A missing recommended library is reported, a missing suggested one is not.
#[test]
fn what_is_recommended_and_not_found_is_a_warning() {
    let warnings = |disk: &Disk, ask: Ask| ask.assemble(disk).unwrap().warnings;
    let said = warnings(&sysroot(), Ask::tools(&["opens", "/usr/bin/opens"]));
    let bad = Warning::new("a dlopen note of `/usr/bin/opens` cannot be read: it ends too early");
    let gone = Warning::new(
        "`libgone.so.3` not found; `/usr/bin/opens` opens it at run time (recommended, gone: Enables gone)",
    )
    .help("leave out recommended libraries: --dlopen required");
    assert_eq!(said, [bad.clone(), gone]);
    assert_eq!(warnings(&sysroot(), Ask::tools(&["opens"]).dlopen(Priority::Required)), [bad]);

    let lacking = Disk::merged()
        .elf("usr/bin/opens", tool().note(&note("recommended", "liba.so liba.so.0", "a")))
        .elf("usr/lib/liba.so", library("liba.so").needs("libnone.so"));
    let said = warnings(&lacking, Ask::tools(&["opens"]));
    let expected = "`liba.so` or `liba.so.0` cannot be opened, because `libnone.so` is missing; `/usr/bin/opens` opens it \
                    at run time (recommended, a: Enables a)";
    assert_eq!(said[0].message, expected);
    let rootfs = Ask::tools(&["opens"]).rootfs(&lacking);
    assert!(rootfs.get(&path("/usr/lib/liba.so")).is_none(), "{}", rootfs.dump());
}

/// A missing required library is an error, like a missing library that is needed at the start.
#[test]
fn what_is_required_and_not_found_is_an_error() {
    let opens = tool().note(&note("required", "libgone.so.3 libgone.so.2", "gone"));
    let error = Ask::tools(&["opens"]).dlopen(Priority::Required).error(&Disk::merged().elf("usr/bin/opens", opens));
    let expected = "\
`libgone.so.3` not found for x86_64
  needed by /usr/bin/opens (dlopen note: required, gone: Enables gone)
            any of libgone.so.3, libgone.so.2 will do
  tried  default     /lib, /usr/lib
  help: add its package to the sysroot, or pass --library-path DIR";
    assert_eq!(error.to_string(), expected);
}

/// A library whose name is in an object that calls dlopen may be opened: it is reported but not added. A note has
/// precedence over names, and a present library is not suggested.
#[test]
fn libraries_that_are_named_and_not_noted_are_offered() {
    let names = b"\0libone.so.1\0libone.so\0libtwo.so.2:libnone.so.3\0libc.so.6\0libtool.so.1\0";
    let sysroot = Disk::merged()
        .elf("usr/bin/plain", tool().needs("liba.so").imports("dlopen").tail(names))
        .elf("usr/bin/noted", tool().imports("dlopen").tail(names).note(&note("suggested", "libx.so", "x")))
        .elf("usr/bin/never", tool().tail(names))
        .elf("usr/bin/quiet", tool().needs("libtool.so.1").imports("dlopen").tail(b"%s/lib%s.so"))
        .elf("usr/lib/libone.so.1.0", library("libone.so.1"))
        .link("usr/lib/libone.so.1", "libone.so.1.0")
        .link("usr/lib/libone.so", "libone.so.1")
        .elf("usr/lib/libtwo.so.2", library("libtwo.so.2"))
        .elf("usr/lib/libtool.so.1", library("libtool.so.1"))
        .elf("usr/lib/liba.so", library("liba.so").imports("dlmopen").tail(b"\0libtwo.so.2\0"));
    let assembly = Ask::tools(&["plain", "noted", "never", "quiet", "sh"]).assemble(&sysroot).unwrap();
    assert!(assembly.rootfs.get(&path("/usr/lib/libtwo.so.2")).is_none(), "{}", assembly.rootfs.dump());
    let warning = |assembly: &Assembly| may_open_warning(assembly.closures.iter().map(|(_, closure)| closure));
    let expected = Warning::new(
        "`libone.so.1` (by `plain`) and `libtwo.so.2` (by `liba.so`, `plain`) may be opened at run time, and are not \
         packed",
    )
    .help("to pack them: --with-lib libone.so.1,libtwo.so.2");
    assert_eq!(warning(&assembly), Some(expected));

    let shown = tree(&assembly);
    let lines: Vec<&str> = shown.lines().map(str::trim).filter(|line| line.contains("open")).collect();
    let (one, two) = (
        "may open libone.so.1 => /lib/libone.so.1 -> /usr/lib/libone.so.1.0 [default] (no note says so)",
        "may open libtwo.so.2 => /lib/libtwo.so.2 -> /usr/lib/libtwo.so.2 [default] (no note says so)",
    );
    let unnamed = "calls dlopen, and names no other library";
    assert_eq!(
        lines,
        [two, one, two, "dlopen libx.so left out (suggested, x: Enables x)", unnamed],
        "liba's, plain's, noted's, quiet's"
    );
    let mut json = Vec::new();
    report::closure_json(&mut json, "plain", &Ok(assembly.closures[0].1.clone()));
    let json = String::from_utf8(json).unwrap();
    let one = r#""may_open":[{"needed":"libone.so.1","path":"/lib/libone.so.1","realpath":"/usr/lib/libone.so.1.0","found_by":"default","named_by":"/usr/bin/plain"}"#;
    assert!(json.contains(one), "{json}");

    let asked =
        Ask::tools(&["plain", "quiet"]).library("libone.so.1").library("libtwo.so.2").assemble(&sysroot).unwrap();
    assert_eq!(warning(&asked), None);
}

/// The library that libselinux opens to load policies is useless for ls; and many libraries are counted.
#[test]
fn what_is_rarely_wanted_is_no_warning_and_many_are_counted() {
    let libraries: Vec<String> = (0..9).map(|index| format!("libn{index}.so.1")).collect();
    let mut sysroot = Disk::merged()
        .elf("usr/bin/many", tool().needs("libselinux.so.1").imports("dlopen").tail(libraries.join("\0").as_bytes()))
        .elf("usr/lib/libselinux.so.1", library("libselinux.so.1").imports("dlopen").tail(b"\0libsepol.so.2\0"))
        .elf("usr/lib/libsepol.so.2", library("libsepol.so.2"));
    for name in &libraries {
        sysroot = sysroot.elf(&format!("usr/lib/{name}"), library(name));
    }
    let assembly = Ask::tools(&["many"]).assemble(&sysroot).unwrap();
    let said = may_open_warning(assembly.closures.iter().map(|(_, closure)| closure)).unwrap();
    assert!(said.message.starts_with("`libn0.so.1` (by `many`), `libn1.so.1` (by `many`), "), "{said:?}");
    assert!(
        said.message.ends_with("`libn5.so.1` (by `many`) and 3 more may be opened at run time, and are not packed")
    );
    assert!(said.help.as_ref().is_some_and(|help| help.ends_with(&libraries.join(","))), "{said:?}");
    assert!(tree(&assembly).contains("may open libsepol.so.2"));
}

/// By priority: suggested libraries are packed on request.
#[test]
fn what_is_suggested_comes_when_it_is_asked_for() {
    let has = |priority| {
        let rootfs = Ask::tools(&["opens"]).dlopen(priority).rootfs(&sysroot());
        ["libzip.so.4.2", "libbpf.so.0"].map(|name| rootfs.get(&path("/usr/lib").join(name.as_bytes())).is_some())
    };
    assert_eq!(has(Priority::Required), [false, false]);
    assert_eq!(has(Priority::Recommended), [true, false]);
    assert_eq!(has(Priority::Suggested), [true, true]);
}

/// The notes of a library of `--with-lib` are followed too.
#[test]
fn notes_of_a_library_asked_for_by_name_are_followed() {
    let rootfs = Ask::nothing().library("libhelp.so").rootfs(&sysroot());
    assert!(rootfs.get(&path("/usr/lib/libdeep.so")).is_some(), "{}", rootfs.dump());
}

/// A loaded soname is not searched for again, so the system's library of that name is not suggested.
#[test]
fn a_soname_that_is_loaded_is_not_offered_from_elsewhere() {
    let sysroot = Disk::merged()
        .elf("opt/app/app", tool().needs("libz.so.1").needs("liby.so").runpath("$ORIGIN"))
        .elf("opt/app/libz.so.1", library("libz.so.1"))
        .elf("opt/app/liby.so", library("liby.so").imports("dlopen").tail(b"\0libz.so.1\0libw.so.1\0"))
        .elf("usr/lib/libz.so.1", library("libz.so.1"))
        .elf("usr/lib/libw.so.1", library("libw.so.1"));
    let assembly = Ask::tools(&["/opt/app/app"]).assemble(&sysroot).unwrap();
    let closures = assembly.closures.iter().map(|(_, closure)| closure);
    let names: Vec<_> = closures.flat_map(|it| &it.may_open).map(|it| it.library.needed.to_vec()).collect();
    assert_eq!(names, [b"libw.so.1".to_vec()]);
}

/// A plugin need not be called `lib*`, and Rust's constants are not separated.
#[test]
fn a_plugin_of_any_name_is_offered() {
    let sysroot = Disk::merged()
        .elf("usr/bin/plain", tool().imports("dlopen").tail(b"cannot openmod_spatial.sofailed"))
        .elf("usr/lib/mod_spatial.so", library("mod_spatial.so"))
        .elf("usr/lib/mod_other.so", library("mod_other.so"));
    let assembly = Ask::tools(&["plain"]).assemble(&sysroot).unwrap();
    let closures = assembly.closures.iter().map(|(_, closure)| closure);
    let names: Vec<_> = closures.flat_map(|it| &it.may_open).map(|it| it.library.needed.to_vec()).collect();
    assert_eq!(names, [b"mod_spatial.so".to_vec()]);
}

/// A cdylib of the workspace that its program opens is packed if it was built, and otherwise reported.
#[test]
fn a_plugin_of_the_workspace_is_packed_where_it_was_built() {
    let opens = tool().imports("dlopen").tail(b"\0libgreeter.so\0");
    let project = Disk::empty().elf("target/app", opens).elf("target/deps/libgreeter.so", library("libgreeter.so"));
    let plugin = |path| crate::layout::Plugin { file: "libgreeter.so".to_owned(), package: "greeter".to_owned(), path };
    let ask = || Ask::nothing().executable(project.at("target/app")).build_tree(project.root());
    let mut built = ask().library_dir(project.at("target/deps"));
    built.artifacts.plugins = vec![plugin(Some(project.at("target/deps/libgreeter.so")))];
    let rootfs = built.rootfs(&Disk::merged());
    assert!(
        rootfs.get(&path("/usr/local/lib/libgreeter.so")).is_some() && rootfs.get(&path("/etc/ld.so.cache")).is_some()
    );
    let mut missing = ask();
    missing.artifacts.plugins = vec![plugin(None)];
    let warning = &missing.assemble(&Disk::merged()).unwrap().warnings[0];
    let expected = "`libgreeter.so`, which `app` opens, is built from the workspace's package `greeter`, and is not packed: \
                    this build did not make it";
    assert_eq!(warning.message, expected);
}
