//! DT_AUXILIARY and DT_FILTER: when filtees are loaded, whose turn that makes it, and what a missing one means
//! (`_dl_map_object_deps`, elf/dl-deps.c). What they do to the order of symbols is no concern of a closure.

use super::Rule;
use super::forge::Tree;

fn rule(says: &'static str, files: impl Fn(&mut Tree), then: &[&str]) -> Rule {
    Rule::new(says, files, then)
}

/// All of them.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules = turns();
    rules.extend(missing());
    rules
}

/// `libd.so` is another file for whoever asks first.
fn with_two_answers(t: &mut Tree, early: &str, late: &str) {
    t.library(&format!("/r/x/{early}")).needs("libd.so").runpath("/r/1");
    t.library(&format!("/r/x/{late}")).needs("libd.so").runpath("/r/2");
    t.libraries(&["/r/1/libd.so", "/r/2/libd.so"]);
}

fn turns() -> Vec<Rule> {
    vec![
        rule(
            "what a filtee needs comes before what its filter's siblings need",
            |t| {
                t.app().needs("libf.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").runpath("/r/x");
                with_two_answers(t, "liba.so", "libb.so");
            },
            &["/r/x/libf.so", "/r/x/libb.so", "/r/x/liba.so", "/r/1/libd.so"],
        ),
        rule(
            "the filtee of a DT_FILTER likewise",
            |t| {
                t.app().needs("libf.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/libf.so").filter("liba.so").runpath("/r/x");
                with_two_answers(t, "liba.so", "libb.so");
            },
            &["/r/x/libf.so", "/r/x/libb.so", "/r/x/liba.so", "/r/1/libd.so"],
        ),
        rule(
            "what its filter needs comes before that",
            |t| {
                t.app().needs("libf.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").needs("libd.so").runpath("/r/x:/r/2");
                t.library("/r/x/liba.so").needs("libd.so").runpath("/r/1");
                t.libraries(&["/r/x/libb.so", "/r/1/libd.so", "/r/2/libd.so"]);
            },
            &["/r/x/libf.so", "/r/x/libb.so", "/r/x/liba.so", "/r/2/libd.so"],
        ),
        rule(
            "a filtee that waits for its turn already has it at once",
            |t| {
                t.app().needs("libf.so").needs("libb.so").needs("liba.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").runpath("/r/x");
                with_two_answers(t, "liba.so", "libb.so");
            },
            &["/r/x/libf.so", "/r/x/libb.so", "/r/x/liba.so", "/r/1/libd.so"],
        ),
        rule(
            "several filtees have their turns in order",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").auxiliary("libb.so").runpath("/r/x");
                with_two_answers(t, "liba.so", "libb.so");
            },
            &["/r/x/libf.so", "/r/x/libb.so", "/r/x/liba.so", "/r/1/libd.so"],
        ),
        rule(
            "the filtee of a filtee comes first",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("libg.so").auxiliary("libb.so").runpath("/r/x");
                t.library("/r/x/libg.so").auxiliary("liba.so").runpath("/r/x");
                with_two_answers(t, "liba.so", "libb.so");
            },
            &["/r/x/libf.so", "/r/x/libg.so", "/r/x/libb.so", "/r/x/liba.so", "/r/1/libd.so"],
        ),
        rule(
            "a filtee that had its turn keeps it",
            |t| {
                t.app().needs("libb.so").needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("libb.so").auxiliary("liba.so").runpath("/r/x");
                with_two_answers(t, "libb.so", "liba.so");
            },
            &["/r/x/libf.so", "/r/x/libb.so", "/r/x/liba.so", "/r/1/libd.so"],
        ),
        rule(
            "RPATH is inherited from the filter",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").rpath("/r/y");
                t.library("/r/y/liba.so").needs("libb.so");
                t.library("/r/y/libb.so");
            },
            &["/r/x/libf.so", "/r/y/liba.so", "/r/y/libb.so"],
        ),
        rule(
            "a library may be its own filtee",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("libf.so").filter("libf.so").runpath("/r/x");
            },
            &["/r/x/libf.so"],
        ),
        rule(
            "a filtee may need its filter",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libf.so").runpath("/r/x");
            },
            &["/r/x/libf.so", "/r/x/liba.so"],
        ),
        rule(
            "a filter may need its filtee",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").needs("liba.so").filter("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so");
            },
            &["/r/x/libf.so", "/r/x/liba.so"],
        ),
        rule(
            "filters that go round end the loader",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("libg.so").runpath("/r/x");
                t.library("/r/x/libg.so").auxiliary("libf.so").runpath("/r/x");
            },
            &["gives up"],
        ),
        rule(
            "the program may be a filter itself",
            |t| {
                t.app().needs("libb.so").auxiliary_of_a_program("liba.so").runpath("/r/x");
                with_two_answers(t, "liba.so", "libb.so");
                // It comes before the program in the list of which the loader only tells what comes after.
                t.untold = Some("/r/x/liba.so".to_owned());
            },
            &["/r/x/libb.so", "/r/1/libd.so"],
        ),
    ]
}

fn missing() -> Vec<Rule> {
    vec![
        rule(
            "a DT_AUXILIARY that is no good is as good as missing",
            |t| {
                t.app().needs("libf.so").needs("libb.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").runpath("/r/x:/r/y");
                t.file("/r/x/liba.so", "text");
                t.libraries(&["/r/x/libb.so", "/r/y/liba.so"]);
            },
            &["/r/x/libf.so", "/r/x/libb.so"],
        ),
        rule(
            "a DT_FILTER that is no good makes the loader give up",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").filter("liba.so").runpath("/r/x");
                t.file("/r/x/liba.so", "text");
            },
            &["gives up"],
        ),
        rule(
            "a DT_AUXILIARY for another machine is searched for on",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").runpath("/r/x:/r/y");
                t.library("/r/x/liba.so").of_another_machine();
                t.library("/r/y/liba.so");
            },
            &["/r/x/libf.so", "/r/y/liba.so"],
        ),
        rule(
            "what a filtee misses is missing",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("liba.so").runpath("/r/x");
                t.library("/r/x/liba.so").needs("libnone.so");
            },
            &["/r/x/libf.so", "/r/x/liba.so", "!libnone.so"],
        ),
        rule(
            "tokens in DT_AUXILIARY and DT_FILTER",
            |t| {
                t.app().needs("libf.so").runpath("/r/x");
                t.library("/r/x/libf.so").auxiliary("$ORIGIN/y/liba.so").filter("${ORIGIN}/y/libb.so");
                t.libraries(&["/r/x/y/liba.so", "/r/x/y/libb.so"]);
            },
            &["/r/x/libf.so", "/r/x/y/liba.so", "/r/x/y/libb.so"],
        ),
        rule(
            "a filtee is known by its soname as others are",
            |t| {
                t.app().needs("liba.so").needs("libf.so").runpath("/r/x");
                t.library("/r/x/liba.so").soname("libb.so");
                t.library("/r/x/libf.so").auxiliary("libb.so").filter("libb.so").runpath("/r/x");
                t.library("/r/x/libb.so");
            },
            &["/r/x/liba.so", "/r/x/libf.so"],
        ),
    ]
}
