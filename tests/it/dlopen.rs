//! `--dlopen`: a program whose notes name the libraries that it opens at run time (UAPI.12).

use snapbox::str;

use crate::project::{Project, without_sizes};

/// A Rust program with a note, for libraries that every glibc has.
fn app(more: &str) -> Project {
    let note = r#"[{"soname":["libnone.so.9","libm.so.6"],"feature":"sums","description":"Adds up","priority":"recommended"},{"soname":["libresolv.so.2"],"feature":"names","priority":"suggested"},{"soname":["libgone.so.1"],"feature":"gone"}]"#;
    let length = note.len() + 1;
    let main = format!(
        "#[repr(C, align(4))]\n\
         struct Note(u32, u32, u32, [u8; 4], [u8; {length}]);\n\
         #[used]\n\
         #[link_section = \".note.dlopen\"]\n\
         static NOTE: Note = Note(4, {length}, 0x407c0c0a, *b\"FDO\\0\", *b{:?});\n\
         fn main() {{}}\n",
        format!("{note}\0")
    );
    Project::empty().package(".", "app", more).file("src/main.rs", &main)
}

/// The lines of libraries from notes, without directories of this machine.
fn noted(tree: &str) -> Vec<&str> {
    let lines = tree.lines().map(str::trim).filter(|line| line.starts_with("dlopen "));
    lines.map(|line| line.split(" => ").next().unwrap()).collect()
}

#[test]
fn notes_are_followed_as_far_as_is_asked_for() {
    let project = app("");
    let run = project.run(&["tree", "-q"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:#?}");
    let (names, gone) = ("dlopen libresolv.so.2 left out (suggested, names)", "dlopen libgone.so.1 not found");
    let gone = format!("{gone} (recommended, gone)");
    assert_eq!(noted(&run.stdout), ["dlopen libm.so.6", names, &gone]);
    assert!(run.stdout.contains("(recommended, sums: Adds up)"), "{run:#?}");

    let run = project.run(&["tree", "-q", "--dlopen", "suggested"]);
    assert_eq!(noted(&run.stdout), ["dlopen libm.so.6", "dlopen libresolv.so.2", &gone]);
    let run = project.run(&["tree", "-q", "--dlopen=required"]);
    assert_eq!(run.stdout.matches(" left out (").count(), 3, "{run:#?}");

    let configured = app("[package.metadata.rootfs]\ndlopen = 'suggested'\n");
    assert_eq!(configured.run(&["tree", "-q"]).stdout.matches(" left out (").count(), 0);
    assert_eq!(configured.run(&["tree", "-q", "--dlopen", "required"]).stdout.matches(" left out (").count(), 3);
}

#[test]
fn trees_of_files_follow_notes_too() {
    let project = app("");
    assert_eq!(project.run(&["-q", "--dlopen", "required"]).code, 0);
    let built = "target/release/app";
    let run = project.run(&["tree", built]);
    assert_eq!((run.code, noted(&run.stdout).len()), (0, 3), "{run:#?}");
    let run = project.run(&["tree", "--message-format", "json", built, "--dlopen", "suggested"]);
    let line: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let names = |list: &str| -> Vec<String> {
        let items = line[list].as_array().unwrap().iter();
        items.map(|item| item["needed"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names("dlopen"), ["libm.so.6", "libresolv.so.2"]);
    assert_eq!(names("dlopen_notes"), ["libm.so.6", "libresolv.so.2", ""]);
    assert!(!names("objects").contains(&"libm.so.6".to_owned()));
}

#[test]
fn what_is_missing_is_a_warning_and_what_is_there_has_its_reason() {
    let project = app("");
    let run = project.run(&["-q"]);
    assert_eq!(run.code, 0, "{run:#?}");
    let run = project.run(&[]);
    let warning = "\
warning: `libgone.so.1` not found; `/usr/local/bin/app` opens it at run time (recommended, gone)
  help: leave out recommended libraries: --dlopen required
";
    assert!(run.stderr.contains(warning), "{run:#?}");

    let run = project.run(&["why", "-q", "libm.so.6"]);
    let reason = "    dlopen note (recommended, sums) of /usr/local/bin/app\n        binary app\n";
    assert!(run.stdout.ends_with(reason), "{run:#?}");
    let run = project.run(&["why", "-q", "app"]);
    let expected = "\
/usr/local/bin/app
    layer   the project's own files
    binary app
    leaves out libresolv.so.2 (suggested, names)
    leaves out libgone.so.1 (recommended, gone)
";
    assert_eq!(without_sizes(&run.stdout), expected);
    let run = project.run(&["why", "-q", "libresolv.so.2"]);
    let help = "help: add it by `--dlopen suggested`\n";
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("left out: a dlopen note of /usr/local/bin/app names it"), "{run:#?}");
    assert!(run.stderr.ends_with(help), "{run:#?}");
}

#[test]
fn a_priority_is_one_of_three() {
    Project::empty().run(&["--tools-only", "--tar", "x.tar", "--dlopen", "none"]).fails(
        2,
        str![[r#"
error: invalid value 'none' for '--dlopen <PRIORITY>'
  [possible values: required, recommended, suggested]

For more information, try '--help'.

"#]],
    );
}
