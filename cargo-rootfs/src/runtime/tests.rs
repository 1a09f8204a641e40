//! Rules from text to matches.

use toml::de::DeTable;

use super::*;
use crate::glob::Bindings;
use crate::path::RootfsPath;
use crate::rows::Problem;

fn read(text: &str) -> Result<Vec<Rule>, Vec<Problem>> {
    let document = DeTable::parse(text).unwrap();
    from_toml(document.get_ref().get("rule").unwrap())
}

#[test]
fn every_key_is_read() {
    let text = r##"
[[rule]]
name = "a"
why = "b"
when = ["/usr/bin/git", "libx.so.*", "#!perl*"]
calls = ["system"]
unless = ["/x"]
before-glibc = "2.34"
take = ["/usr/lib/git-core"]
first-of = [["/a", "/b"], ["/c"]]
modules = ["/usr/share/perl5/**"]
exclude = ["*.a"]
tools = ["sh"]
called = ["cat"]
mentions = ["/etc/git"]
partial = true
libraries = ["libnss_dns.so.2"]
suggest = ["ssh"]
words-of = { file = "/etc/nsswitch.conf", form = "nsswitch", except = ["files"], libraries = ["libnss_{}.so.2"], take = ["{lib}/{}"], tools = ["{}"] }
files = [{ path = "/etc/x", text = "y" }, { path = "/z", link = "x" }, { path = "/d", dir = true }, { path = "/j", join = ["/k"] }, { path = "/l", line = "m:", mode = "0440" }]
required = true
packages = ["git"]
learned-from = ["debian"]
"##;
    let texts = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let expected = Rule {
        name: "a".into(),
        why: "b".into(),
        when: texts(&["/usr/bin/git", "libx.so.*", "#!perl*"]),
        calls: texts(&["system"]),
        mentions: texts(&["/etc/git"]),
        partial: true,
        unless: texts(&["/x"]),
        before_glibc: Some((2, 34)),
        take: texts(&["/usr/lib/git-core"]),
        first_of: vec![texts(&["/a", "/b"]), texts(&["/c"])],
        modules: texts(&["/usr/share/perl5/**"]),
        exclude: texts(&["*.a"]),
        tools: texts(&["sh"]),
        called: texts(&["cat"]),
        libraries: texts(&["libnss_dns.so.2"]),
        suggest: texts(&["ssh"]),
        words_of: vec![WordsOf {
            file: "/etc/nsswitch.conf".to_owned(),
            form: Form::Nsswitch,
            except: texts(&["files"]),
            libraries: texts(&["libnss_{}.so.2"]),
            tools: texts(&["{}"]),
            take: texts(&["{lib}/{}"]),
        }],
        files: vec![
            NewFile { path: "/etc/x".to_owned(), body: NewBody::Text("y".to_owned()), mode: None },
            NewFile { path: "/z".to_owned(), body: NewBody::Link("x".to_owned()), mode: None },
            NewFile { path: "/d".to_owned(), body: NewBody::Dir, mode: None },
            NewFile { path: "/j".to_owned(), body: NewBody::Join(texts(&["/k"])), mode: None },
            NewFile { path: "/l".to_owned(), body: NewBody::Line("m:".to_owned()), mode: Some(0o440) },
        ],
        required: true,
        packages: texts(&["git"]),
        learned_from: texts(&["debian"]),
    };
    assert_eq!(read(text).unwrap(), [expected]);
}

#[test]
fn everything_wrong_is_told() {
    let text = r##"
[[rule]]
why = "x"
[[rule]]
name = "a"
why = "x"
when = ["usr/bin/x", "/{tripel}", "/a{", "#!/usr/bin/x", "#!{dri}"]
unless = ["#!x"]
tkae = []
take = ["x"]
files = [{ path = "/a" }]
words-of = { form = "x" }
before-glibc = "new"
required = "yes"
[[rule]]
name = "b"
when = ["/b"]
[[rule]]
name = "c"
why = "x"
"##;
    let problems = read(text).unwrap_err();
    let said: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.help {
            Some(help) => format!("{} ({help})", problem.message),
            None => problem.message.clone(),
        })
        .collect();
    // In the order of the keys.
    assert_eq!(
        said,
        [
            "a rule has no `name`",
            "`before-glibc` of rule `a` must be a release of glibc, as \"2.34\"",
            "`files` of rule `a` needs a `path`, and one of `text`, `link`, `line`, `join`, `dir` and `dir-of`",
            "`required` of rule `a` must be true or false",
            "`x` in `take` of rule `a`: it must begin with a slash",
            "unknown key `tkae` of rule `a` (did you mean `take`?)",
            "`#!x` in `unless` of rule `a`: `#!` is for `when` alone",
            "`usr/bin/x` in `when` of rule `a`: it must begin with a slash, or be a name without one",
            "`/{tripel}` in `when` of rule `a`: there is no variable `{tripel}` (the variables are {triplet}, {lib}, {prefix}, {dir}, {exec}, {1} to {9}, {})",
            "`/a{` in `when` of rule `a`: a `{` is not closed",
            "`#!/usr/bin/x` in `when` of rule `a`: `#!` needs a name, without a slash",
            "`#!{dri}` in `when` of rule `a`: there is no variable `{dri}` (the variables are {triplet}, {lib}, {prefix}, {dir}, {exec}, {1} to {9}, {})",
            "rule `a` has an unknown `form` (choose one of lines, nsswitch, pam, libraries)",
            "`words-of` of rule `a` has no `file`",
            "rule `b` has no `why`",
            "rule `c` has neither `when`, `calls` nor `mentions`",
        ]
    );
    let text = "[[rule]]\nname = 'a'\nwhy = 'x'\nwhen = ['/a']\n";
    assert_eq!(read(&format!("{text}{text}")).unwrap_err()[0].message, "there is a rule `a` already");
}

fn rule(name: &str, when: &[&str]) -> Rule {
    let when = when.iter().map(|it| (*it).to_owned()).collect();
    Rule { name: name.into(), why: "because".into(), when, ..Rule::default() }
}

#[test]
fn files_and_names_call_for_rules() {
    let lib = ["/usr/lib/x".to_owned(), "/usr/lib".to_owned()];
    let bindings = Bindings { triplet: "x", lib: &lib, ..Bindings::default() };
    let own = vec![
        rule("replaced", &["/never"]),
        rule("own", &["/usr/bin/python*"]),
        rule("lib", &["{lib}/gio/*.so", "libz-own*.so.1"]),
        rule("replaced", &["/replaced"]),
    ];
    let mut rules = Rules::new(own, &bindings);
    let mut called = |path: &str, name: &str| -> Vec<String> {
        let mut triggered = Vec::new();
        if let Ok(path) = RootfsPath::parse(path) {
            rules.of_path(&path, &mut triggered);
        }
        rules.of_name(name.as_bytes(), &mut triggered);
        let one = |it: &Triggered| {
            let captures: Vec<_> = it.captures.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
            format!("{} {}", rules.get(it.rule).unwrap().name, captures.join(" "))
        };
        let called: Vec<String> = triggered.iter().map(one).collect();
        called.into_iter().filter(|it| ["replaced ", "own ", "lib "].iter().any(|own| it.starts_with(own))).collect()
    };
    assert_eq!(called("/usr/bin/python3.11", ""), ["own 3.11"]);
    assert_eq!(called("/opt/bin/python3.11", ""), [""; 0]);
    assert_eq!(called("/usr/lib/gio/a.so", ""), ["lib a"]);
    assert_eq!(called("/usr/lib/x/gio/a.so", ""), ["lib a"]);
    assert_eq!(called("", "libz-own-x.so.1"), ["lib -x"]);
    assert_eq!(called("/replaced", ""), ["replaced "]);
    assert_eq!(called("/never", ""), [""; 0]);
}

#[test]
fn what_runs_a_script_calls_for_rules() {
    let rules = Rules::new(vec![rule("own", &["#!{snake,adder}*"])], &Bindings::default());
    let called = |name: &str| {
        let (mut by_interpreter, mut by_name) = (Vec::new(), Vec::new());
        rules.of_interpreter(name.as_bytes(), &mut by_interpreter);
        rules.of_name(name.as_bytes(), &mut by_name);
        (by_interpreter.len(), by_name.len())
    };
    assert_eq!((called("snake3"), called("adder"), called("cobra")), ((1, 0), (1, 0), (0, 0)));
}
