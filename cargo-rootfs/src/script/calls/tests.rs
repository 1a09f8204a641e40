//! Scripts, and the commands in them.

use super::*;

fn found(text: &str) -> String {
    commands(text.as_bytes()).all.into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_script_becomes() {
    for (text, expected) in [
        ("cmd=${0##*/}\nexec grep -E \"$@\"", "grep"),
        ("if x; then exec a y | b; else exec c; fi; d", "a c"),
        ("exec env A=b make; exec\nls", "env make"),
        ("A=b exec nice -5 sleep 1", "nice sleep"),
        ("exec 3>&1\nls; exec >log; cat", ""),
        ("exec \"$PAGER\"\nls", ""),
        ("exec $x ls", ""),
        ("x=$(exec date) id", "date"),
        ("(exec tar c) | gzip", "tar"),
        ("# exec ls\necho exec rm", ""),
    ] {
        let execs = commands(text.as_bytes()).execs.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(execs, expected, "{text}");
    }
}

/// As gdbtui, which starts gdb.
#[test]
fn names_that_are_made_of_the_scripts_own() {
    for (text, expected) in [
        ("prog=$(basename $0 tui)\ndir=$(dirname $0)\nprog=$dir/$prog\nexec $prog --tui", "basename dirname gdb"),
        ("exec /usr/lib/x/`basename \"$0\"`", "/usr/lib/x/gdbtui basename"),
        ("me=${0##*/}; \"x-$me\" a", "x-gdbtui"),
        ("$(basename $0 .sh .x); $(basename $1)", "basename"),
    ] {
        let found: Vec<String> = commands_of(b"gdbtui", text.as_bytes()).all.into_iter().collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }
    assert_eq!(found("exec x-${0##*/}"), "");
}

/// As zgrep has it.
#[test]
fn texts_that_eval_reads() {
    for (text, expected) in [
        ("grep='${GREP-'\\''grep'\\''}'\ngrep=\"$grep -H\"\neval \"$grep$args\" >x", "grep"),
        ("x='sort | uniq'; eval \"$x -c\"", "sort uniq"),
        ("eval \"cat $x | wc\"", "cat wc"),
        ("eval \"$(date)\"", "date"),
        ("a=${B:-'it'}; $a; ${C-it's}", "it"),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
    let _ = found(&"x=\"$x $x\"; eval \"$x\"; ".repeat(10_000));
}

#[test]
fn commands_where_they_begin() {
    for (text, expected) in [
        ("#!/bin/sh\n# ls is great\nls -l | grep x && cat y; rm z &\n", "cat grep ls rm"),
        ("if ! test -f x; then mkdir y; else touch z; fi", "mkdir touch"),
        ("A=b C=\"d\" make all > log 2>&1 < in", "make"),
        ("x=$(date +%s) y=`uname -m` z=\"a $(hostname -f) b\" echo", "date hostname uname"),
        ("echo 'ls; rm' \"cat | wc\" # tr", ""),
        ("for f in a b; do sed s/a/b/ \"$f\"; done", "sed"),
        ("cat <<EOF >x\nls; rm\nEOF\ntar c", "cat tar"),
        ("cat <<-'E O'\n\tls\n\tE\ntar c", "cat"),
        ("usage() {\n awk x\n}\nusage\nown_thing () { id; }\nown_thing", "awk id"),
        ("exec gzip -cd \"$@\"", "gzip"),
        ("x=`which 7za 2>/dev/null` || type -p 7zr", "7za 7zr which"),
        ("d=`cd \\`dirname $0\\` && pwd`; a `b \\`c \\\\\\`d\\\\\\`\\``", "a b c d dirname"),
        ("run() {\n \"$@\"\n}\nrun ${A:-${B:-ed}} x || run vi x; say() { echo \"$@\"; }\nsay rm", "ed vi"),
        (
            "have() { command -v \"$1\" || which $1; }\nx=\"$(have printf)\"; have rev && f() { which \"x$1\"; }; f vi",
            "printf rev which",
        ),
        ("know() { command -v \"$1\"; }; know printf; know tac; do_it() { \"$1\" -x; }; do_it cut", "cut tac"),
        ("find . | xargs -0 chmod 644", "chmod find xargs"),
        ("$TOOL x; \"$a/b\" y; ${PAGER:-less} z", "b less"),
        ("/usr/bin/id; /bin/stat; /opt/x/y", "/opt/x/y id stat"),
        ("case $1 in\n -h) head x;;\n *) tail y;;\nesac", "head tail"),
        ("n=$((1 + (2 * 3))); tee x", "tee"),
        ("a \\\n b; c", "a c"),
        ("cmd <(sort x)", "cmd sort"),
        ("x=$'\\n\\''; a 'b;c'", "a"),
        ("grep \"x$\" y; b", "b grep"),
        ("echo \"$\"'; c'; a", "a"),
        ("f \"$@\" $# $$; a", "a f"),
        ("usage () {\n    cat <<EOF\nUsage: $P x\nEOF\n}\na", "a cat"),
        ("'unclosed", "unclosed"),
        ("\"unclosed $(x", "x"),
        ("", ""),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

/// Variables have all values that are assigned anywhere in the script.
#[test]
fn commands_that_variables_stand_for() {
    for (text, expected) in [
        ("GZ=gzip\n$GZ -d", "gzip"),
        ("f() { \"$GZ\" -d; }\nGZ='gzip -9'", "gzip"),
        ("GZ=/usr/bin/gzip; ${GZ} x", "gzip"),
        ("GZ=/opt/z/gzip; ${GZ} x", "/opt/z/gzip"),
        ("exec \"${GZIP_PROGRAM:-gzip}\" x", "gzip"),
        ("${A-b -c} x", "b"),
        (": \"${A:=make}\"; $A all", "make"),
        ("A=\"${B:-cc}\"; export C=${D-$A}; $C x", "cc"),
        ("for t in gzip 'bzip2' xz; do $t -d; done", "bzip2 gzip xz"),
        ("for t in a b; do echo $t; done", ""),
        ("local x=tar y; $x c; $y", "tar"),
        ("cmd=(tar -c x); \"${cmd[@]}\" y", "tar"),
        ("cmd+=( nice tar ); ${cmd[0]}", "nice"),
        ("d=/opt/x; \"$d/run\" a; \"$d\"/lib/y", "/opt/x/lib/y /opt/x/run"),
        ("A=$B; B=$A; $A", ""),
        ("X=\"$X -v\"; $X", ""),
        ("A=echo; $A x; ls=1", ""),
        ("${0##*/} x; $1 y; $@", ""),
        ("A=b; B=\"$A-c\"; $B", "b-c"),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

/// Programs that run others, each with its own options.
#[test]
fn commands_behind_runners() {
    for (text, expected) in [
        ("nice -n 5 gzip x", "gzip nice"),
        ("nice --adjustment=5 gzip; ionice -c 2 -n 3 tar", "gzip ionice nice tar"),
        ("find . -maxdepth 1 -exec gzip -9 {} \\; -execdir sed p {} +; rm x", "find gzip rm sed"),
        ("find . -name x", "find"),
        ("find . | xargs -0 -n 1 -I {} chmod 644 {}", "chmod find xargs"),
        ("sh -c 'gzip x; tar y'", "gzip sh tar"),
        ("bash -ec \"cd x && make\" a b", "bash make"),
        ("eval 'gzip x' '; id'; trap 'rm -f x' EXIT INT", "gzip id rm"),
        ("timeout -k 1 5 curl x", "curl timeout"),
        ("env -u A -i B=c make", "env make"),
        ("sudo -u me -- id", "id sudo"),
        ("chroot /x ls; flock -w 1 f cat; flock f -c 'wc x'", "cat chroot flock ls wc"),
        ("su - me -c 'id -u'", "id su"),
        ("start-stop-daemon --start --exec /usr/sbin/cron -- -f", "cron start-stop-daemon"),
        ("command -v gzip >/dev/null && gzip", "gzip"),
        ("exec -a name sleep 1", "sleep"),
        ("nohup setsid cat &", "cat nohup setsid"),
        ("! time -p ls", "ls"),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

/// Programs that run others know neither built-in commands nor functions.
#[test]
fn commands_that_programs_start_are_no_built_in_ones() {
    for (text, expected) in [
        ("find . -exec test -e {} \\; -print; find . -execdir [ -f {} ] \\;", "[ find test"),
        (
            "x | xargs printf '%s\\n'; env true; nice kill -l; timeout 5 echo",
            "echo env kill nice printf timeout true x xargs",
        ),
        ("nice env A=b time ls", "env nice time"),
        ("exec nice pwd; sudo -u me test -f x; which kill", "kill nice pwd sudo test which"),
        ("command printf x; builtin kill; type test; test -f x || echo", ""),
        ("xargs sh -c 'test -f x && printf y'; nice x; test y", "nice sh x xargs"),
        ("sort() { command sort; }; sort; xargs -n1 sort", "sort xargs"),
        ("P='printf %s'; xargs $P; $P", "printf xargs"),
        ("find . -type f; test -f x; [ -f y ]", "find"),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn patterns_of_case_are_no_commands() {
    for (text, expected) in [
        ("case \"$1\" in gzip|tar) echo z ;; esac", ""),
        ("case `uname -m` in\n    i386|x86_64) head pc ;;\n  *) tail x;;\nesac; id", "head id tail uname"),
        ("case $(uname -m) in gzip|tar) cat z ;; esac", "cat uname"),
        ("case \"$1\" in (gzip|tar) echo z ;; (b) wc; esac\nid", "id wc"),
        (
            "case $a in\n# comment\nx) case $b in y) ls;; esac ;;\n\"a b\"|z) sed;;& w) tr;& *) ;;\nesac && cut",
            "cut ls sed tr",
        ),
        ("case x in esac\nls", "ls"),
        ("case $1 in\n  a) if x; then y; fi ;;\n  b)\n    id\nesac", "id x y"),
        ("f() { case $1 in a) ls ;; esac; }; cat", "cat ls"),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn words_of_the_language_are_no_commands() {
    for (text, expected) in [
        ("if [[ -x /usr/bin/gzip && $a == tar || b ]]; then id; fi", "id"),
        ("for ((i = 0; i < 3; i++)); do ls; done; ((a = b | c)); x=$((d & e))", "ls"),
        ("function run { id; }\nrun; function a() { tr; }; a", "id tr"),
        ("for gzip; do ls; done; select x in tar; do wc; done", "ls wc"),
        ("export gzip tar; readonly bzip2", ""),
        ("until a; do b; done < file", "a b"),
        ("[ -n x ] && test -f y || cat <&3 2>err", "cat"),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn files_that_are_read() {
    for (text, sourced, ends) in [
        (
            ". /usr/share/x/common.sh; source /lib/lsb/init-functions",
            "/lib/lsb/init-functions /usr/share/x/common.sh",
            "",
        ),
        (". \"$dir/lib/x.sh\"", "", "lib/x.sh"),
        ("dir=/usr/lib/x; . \"$dir/y.sh\"", "/usr/lib/x/y.sh", ""),
        ("here=$(dirname \"$0\"); . \"$here/../lib/y\"; \"${0%/*}/z\" a", "", "../lib/y z"),
        (". git-sh-setup", "", "git-sh-setup"),
        ("sh \"$dir/run.sh\" x; bash -x /opt/y.sh", "/opt/y.sh", "run.sh"),
        ("dir=`echo $0 | sed 's,[^/]*$,,'`; exec \"${dir}\"ed --restricted", "", "ed"),
        ("echo . /x", "", ""),
    ] {
        let calls = commands(text.as_bytes());
        let join = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!((join(&calls.sourced), join(&calls.ends)), (sourced.to_owned(), ends.to_owned()), "{text}");
    }
}

/// The number of combined values is limited.
#[test]
fn many_values_are_bounded() {
    let mut text = String::new();
    for name in 0..200 {
        for value in 0..100 {
            text.push_str(&format!("v{name}=$v{}$v{}x{value}\n", (name + 1) % 200, (name + 7) % 200));
        }
        text.push_str(&format!("$v{name}\n"));
    }
    let _ = commands(text.as_bytes());
}

/// The scan ends for any text.
#[test]
fn odd_texts_end() {
    for text in [
        "$",
        "$(",
        "${",
        "`",
        "\\",
        "<<",
        "<<-",
        "<",
        ">",
        "\"",
        "'",
        "$((",
        "(((",
        "\0\0",
        "<<X",
        "$(`\"$(",
        "case",
        "case x in ",
        "case x in (",
        "${a:-",
        "${a[",
        "a=(",
        "((",
        "[[ ",
        "for ",
        "find -exec ",
        "${a:-${a:-",
    ] {
        let _ = found(text);
        let _ = found(&text.repeat(50_000));
    }
}

/// Arguments with their quotes, variables and continued lines; redirections are none.
#[test]
fn calls_of_some_programs_with_their_arguments() {
    let text = br#"
set -e
USER=_chrony
HOME_DIR="${CONF:-/var/lib/x}"
case "$1" in
  configure)
    if ! getent passwd a > /dev/null; then
      adduser --system --home "$HOME_DIR" \
        --gecos "Some one" \
        a 2> /dev/null || true
    fi
    /usr/sbin/useradd -r $USER -c ""; groupadd "$2" && echo adduser
    for one in b c; do adduser "$one" video; done
    ;;
esac
"#;
    let found = arguments(text, &["adduser", "useradd", "groupadd"]);
    let shown = |(name, words): &Call| {
        let words = words.iter().map(|values| format!("[{}]", values.join("|"))).collect::<String>();
        format!("{name} {words}")
    };
    assert_eq!(
        found.iter().map(shown).collect::<Vec<_>>(),
        [
            "adduser [--system][--home][/var/lib/x][--gecos][Some one][a]",
            "useradd [-r][_chrony][-c][]",
            "groupadd []",
            "adduser [b|c][video]",
        ]
    );
}
