//! The commands that a script of Perl, Python, PHP or Ruby calls, guessed from its text, as in [`super::calls`] for
//! shells.
//!
//! A string counts only if it is an argument of a function that runs commands, if it names a program by path, or if it
//! is assigned to a variable that is such an argument.

use std::collections::{BTreeMap, BTreeSet};

use super::calls;
use super::data::{self, DATA};
use crate::rows;

/// Returns whether an interpreter of this name runs one of these languages.
pub(crate) fn is_known(name: &[u8]) -> bool {
    let known: [&[u8]; 5] = [b"perl", b"python", b"pypy", b"php", b"ruby"];
    known.iter().any(|known| name.starts_with(known)) || is_tcl(name)
}

/// Returns whether an interpreter of this name runs Tcl scripts.
pub(crate) fn is_tcl(name: &[u8]) -> bool {
    [&b"tclsh"[..], b"wish", b"expect"].iter().any(|known| name.starts_with(known))
}

/// The interpreter of a script of Tcl that a shell hands over: its first command is a comment for Tcl, as of tclsh(1).
pub(crate) fn tcl_behind_shell(head: &[u8]) -> Option<&str> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).skip(1);
    let comment = lines.find(|line| !line.starts_with(b"#") || line.ends_with(b"\\"))?;
    if !comment.ends_with(b"\\") {
        return None;
    }
    let mut words = lines.next()?.split(u8::is_ascii_whitespace);
    let name = words.next().filter(|word| *word == b"exec").and(words.next())?;
    std::str::from_utf8(name).ok().filter(|name| is_tcl(name.as_bytes()))
}

/// The commands that a Tcl script starts by exec(n), by Expect's spawn, or through a pipe of open(n).
pub(crate) fn commands_of_tcl(text: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let lines = text.split(|byte| matches!(byte, b'\n' | b';' | b'[' | b'{'));
    for line in lines.map(<[u8]>::trim_ascii).filter(|line| !line.starts_with(b"#")) {
        let mut words =
            line.split(|byte| byte.is_ascii_whitespace() || b"]}\"".contains(byte)).filter(|it| !it.is_empty());
        let command = match words.next() {
            Some(b"exec" | b"spawn" | b"system") => words.find(|word| !word.starts_with(b"-")),
            Some(b"open") => words.next().and_then(|word| match word.strip_prefix(b"|") {
                Some(b"") => words.next(),
                rest => rest,
            }),
            _ => None,
        };
        names.extend(command.map(calls::commands).into_iter().flat_map(|calls| calls.all));
    }
    names
}

/// The commands in the script `text`: names, and paths outside the directories of programs.
pub(crate) fn commands(text: &[u8]) -> BTreeSet<String> {
    let mut scan =
        Scan { text, names: BTreeSet::new(), assigned: BTreeMap::new(), given: BTreeSet::new(), listed: None };
    scan.all();
    let Scan { mut names, assigned, given, .. } = scan;
    if rows::list(&DATA, "perldoc").any(|text_of_it| memchr::memmem::find(text, text_of_it.as_bytes()).is_some()) {
        names.insert("perldoc".to_owned());
    }
    for variable in given {
        names.extend(assigned.get(variable).into_iter().flatten().cloned());
    }
    names
}

/// The files that the modules which a script imports by their names may be, each below a directory of modules. Perl also
/// requires modules within a line, as in `eval { require JSON::XS }`.
pub(crate) fn imports(text: &[u8]) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line.trim_ascii()) else { continue };
        let is_inside = |at: &usize| matches!(line.as_bytes()[at - 1], b'{' | b' ' | b'"' | b'(' | b';');
        let inside = line.match_indices("require ").map(|(at, _)| at).filter(|at| *at > 0).find(is_inside);
        let line = inside.filter(|_| !line.starts_with('#')).map_or(line, |at| &line[at..]);
        let Some((word, rest)) = line.split_once(' ') else { continue };
        let is_name = |name: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(is_part)
        };
        let name = || rest.trim_start().split([';', ' ', '(', '}', '"']).next().unwrap_or_default();
        match word {
            // In upper case; others are pragmas.
            "use" | "require"
                if name().starts_with(|first: char| first.is_ascii_uppercase()) && name().split("::").all(is_name) =>
            {
                files.insert(format!("{}.pm", name().replace("::", "/")));
            }
            "import" | "from" => {
                let names = if word == "from" { name() } else { rest };
                let tops = names.split(',').filter_map(|name| name.trim().split(['.', ' ']).next());
                for top in tops.filter(|name| is_name(name)) {
                    files.extend([format!("{top}/__init__.py"), format!("{top}.py")]);
                }
            }
            _ => {}
        }
    }
    files
}

struct Scan<'t> {
    text: &'t [u8],
    names: BTreeSet<String>,
    /// The commands in the strings that are assigned to each variable.
    assigned: BTreeMap<&'t [u8], BTreeSet<String>>,
    /// Variables that are arguments of functions which run commands.
    given: BTreeSet<&'t [u8]>,
    /// The end of the last string, and its context: a list may go on.
    listed: Option<(usize, Context<'t>)>,
}

/// The maximum length of a string.
const MAX_STRING: usize = 4096;

/// The maximum length of the handles before a command.
const MAX_HANDLES: usize = 256;

impl<'t> Scan<'t> {
    fn all(&mut self) {
        let text = self.text;
        let (mut at, mut is_line_start) = (0, true);
        while at < text.len() {
            let byte = text[at];
            let starts_line = std::mem::replace(&mut is_line_start, byte == b'\n');
            match byte {
                b'#' if at == 0 || text[at - 1].is_ascii_whitespace() => at = end_of_line(text, at),
                // Perl's documentation (perlpod(1)).
                b'=' if starts_line && text.get(at + 1).is_some_and(u8::is_ascii_alphabetic) => {
                    let end = memchr::memmem::find(&text[at..], b"\n=cut").map_or(text.len(), |end| at + end + 1);
                    at = end_of_line(text, end);
                }
                b'"' | b'\'' if text[at..].starts_with(&[byte; 3]) => {
                    let end = memchr::memmem::find(&text[at + 3..], &[byte; 3]);
                    at = end.map_or(text.len(), |end| at + 3 + end + 3);
                }
                // `$'` and `$"` are variables of Perl.
                b'"' | b'\'' | b'`' if at > 0 && text[at - 1] == b'$' => at += 1,
                b'"' | b'\'' | b'`' => {
                    let end = end_of_string(text, at);
                    self.string(at, end, byte == b'`');
                    at = end + 1;
                }
                byte if is_word(byte) => {
                    let end = at + text[at..].iter().take_while(|byte| is_word(**byte)).count();
                    at = self.word(at, end);
                }
                _ => at += 1,
            }
        }
    }

    /// Handles a word: a function with a variable as its argument, or `qx`.
    fn word(&mut self, start: usize, end: usize) -> usize {
        let text = self.text;
        let word = &text[start..end];
        if word == b"qx" || word == b"qw" {
            let open = end + text[end..].iter().take_while(|byte| **byte == b' ').count();
            let close = match text.get(open) {
                Some(b'{') => b'}',
                Some(b'(') => b')',
                Some(b'[') => b']',
                Some(other @ (b'/' | b'|' | b'!')) => *other,
                _ => return end,
            };
            let stop = memchr::memchr(close, &text[open + 1..]).map_or(text.len(), |at| open + 1 + at);
            let inside = &text[open + 1..stop];
            if word == b"qx" {
                self.begun(inside);
                self.names.extend(calls::commands(inside).all);
            } else if matches!(context(&text[..start]), Context::Assigned(variable) if lists_commands(variable)) {
                let words = inside.split(u8::is_ascii_whitespace).map(calls::commands);
                self.names.extend(words.flat_map(|calls| calls.all));
            }
            return stop.min(text.len());
        }
        if runs(word) {
            let rest = &text[end..];
            let skipped =
                rest.iter().take_while(|byte| matches!(byte, b' ' | b'(' | b'[' | b'$' | b'@' | b'*')).count();
            let is_call = skipped > 0 && rest.get(skipped).is_some_and(u8::is_ascii_alphabetic);
            if is_call {
                let name = &rest[skipped..];
                let length = name.iter().take_while(|byte| is_word(**byte)).count();
                self.given.insert(&name[..length]);
            }
        }
        end
    }

    /// A command that begins with a variable.
    fn begun(&mut self, command: &'t [u8]) {
        if let Some(name) = command.trim_ascii_start().strip_prefix(b"$") {
            let length = name.iter().take_while(|byte| is_word(**byte)).count();
            self.given.insert(&name[..length]);
        }
    }

    /// A string from one quote to the next.
    fn string(&mut self, start: usize, end: usize, is_command: bool) {
        let text = &self.text[(start + 1).min(end)..end];
        if text.is_empty() || text.len() > MAX_STRING {
            return;
        }
        let before = &self.text[..start];
        // Prefixes of Python's strings.
        let prefix = before.iter().rev().take_while(|byte| matches!(byte, b'r' | b'b' | b'f' | b'u')).count();
        let before = match before.len().checked_sub(prefix + 1).map(|at| before[at]) {
            Some(byte) if prefix > 0 && !is_word(byte) => &before[..before.len() - prefix],
            _ => before,
        };
        let called = || calls::commands(text).all;
        let trimmed = text.trim_ascii();
        // open(F, "command |") and open(F, "| command") of Perl.
        let piped = trimmed.strip_suffix(b"|").or_else(|| trimmed.strip_prefix(b"|")).filter(|rest| rest.len() > 1);
        if let Some(piped) = piped {
            self.names.extend(calls::commands(piped).all);
        } else if is_command {
            self.begun(text);
            self.names.extend(called());
        } else {
            match self.context(before, end) {
                Context::Run => self.names.extend(called()),
                Context::Assigned(variable) if lists_commands(variable) => self.names.extend(called()),
                Context::Assigned(variable) => {
                    self.names.extend(program(text));
                    self.assigned.entry(variable).or_default().extend(called());
                }
                Context::None => self.names.extend(program(text)),
            }
        }
    }
}

impl<'t> Scan<'t> {
    /// The context of the string after `before`, which ends at `end`.
    fn context(&mut self, before: &'t [u8], end: usize) -> Context<'t> {
        let listed = self.listed.take().filter(|(last, _)| {
            let between = before.get(last + 1..).unwrap_or_default();
            between.contains(&b',') && between.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b',')
        });
        let context = match (context(before), listed) {
            (Context::None, Some((_, listed))) => listed,
            (context, _) => context,
        };
        let text = self.text.get(before.len()..end).unwrap_or_default();
        self.listed = match context {
            Context::Assigned(variable) if lists_commands(variable) => Some((end, context)),
            // A function by its name, as in `call('exec', 'ls')`.
            _ if runs(&text[text.iter().take_while(|byte| !is_word(**byte)).count()..]) => Some((end, Context::Run)),
            _ => None,
        };
        context
    }
}

/// Returns whether a variable of this name has a list of commands, as `@selected_os_cmds` of Perl.
fn lists_commands(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    [&b"cmds"[..], b"progs", b"_programs"].iter().any(|end| name.ends_with(end))
}

/// The text before a string.
#[derive(Clone, Copy)]
enum Context<'t> {
    /// A function that runs commands.
    Run,
    /// The variable to which the string is assigned.
    Assigned(&'t [u8]),
    None,
}

fn context(before: &[u8]) -> Context<'_> {
    let rest = trim_end(before, |byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b'[' | b'&'));
    if rest.ends_with(b"'-|',") || rest.ends_with(b"\"-|\",") {
        return Context::Run;
    }
    // A list in a table, as in `progs => [ qw/make tar/ ]` of Perl.
    if let Some(left) = rest.strip_suffix(b"=>") {
        let left = trim_end(left, |byte| byte == b' ');
        let name = &left[left.len() - left.iter().rev().take_while(|byte| is_word(**byte)).count()..];
        return if lists_commands(name) { Context::Assigned(name) } else { Context::None };
    }
    if let Some(left) = rest.strip_suffix(b"=") {
        let left = trim_end(left, |byte| byte == b' ' || byte == b'|' || byte == b':');
        let length = left.iter().rev().take_while(|byte| is_word(**byte)).count();
        let name = &left[left.len() - length..];
        return if name.is_empty() { Context::None } else { Context::Assigned(name) };
    }
    // A default, as in `my $cc = $ENV{CC} || 'gcc'`.
    if rest.ends_with(b"||") || rest.ends_with(b"//") {
        let line = rest.rsplit(|byte| matches!(byte, b'\n' | b';')).next().unwrap_or_default();
        let left = trim_end(&line[..memchr::memchr(b'=', line).unwrap_or(0)], |byte| byte == b' ');
        let length = left.iter().rev().take_while(|byte| is_word(**byte)).count();
        let name = &left[left.len() - length..];
        return if name.is_empty() { Context::None } else { Context::Assigned(name) };
    }
    // The handles come first, as in `open2($out, $in, 'md5sum')` of Perl (IPC::Open2(3)).
    let near = &rest[rest.len().saturating_sub(MAX_HANDLES)..];
    let statement = near.rsplit(|byte| matches!(byte, b'\n' | b';')).next().unwrap_or_default();
    if [&b"open2("[..], b"open3("].iter().any(|it| memchr::memmem::find(statement, it).is_some()) {
        return Context::Run;
    }
    let length = rest.iter().rev().take_while(|byte| is_word(**byte)).count();
    if runs(&rest[rest.len() - length..]) { Context::Run } else { Context::None }
}

fn trim_end(text: &[u8], is_dropped: impl Fn(u8) -> bool) -> &[u8] {
    let length = text.iter().rev().take_while(|byte| is_dropped(**byte)).count();
    &text[..text.len() - length]
}

/// Returns whether a function of this name runs commands.
fn runs(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let name = name.to_ascii_lowercase();
    data::has("functions", name.as_bytes()) || rows::list(&DATA, "function-parts").any(|part| name.contains(part))
}

/// The name of a program in a string that is its path in a directory of programs.
fn program(text: &[u8]) -> Option<String> {
    let is_path = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/');
    if !text.starts_with(b"/") || !text.iter().all(is_path) {
        return None;
    }
    calls::commands(text).all.into_iter().find(|name| !name.starts_with('/'))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of_line(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at.min(text.len())..]).map_or(text.len(), |end| at + end)
}

/// The position of the quote that ends the string at `at`, or of the end of its line.
fn end_of_string(text: &[u8], at: usize) -> usize {
    let quote = text[at];
    let mut end = at + 1;
    while end < text.len() && text[end] != quote && text[end] != b'\n' {
        end += if text[end] == b'\\' { 2 } else { 1 };
    }
    end.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::{commands, commands_of_tcl, imports, tcl_behind_shell};

    #[test]
    fn commands_of_tcl_and_expect() {
        for (text, expected) in [
            ("set h [exec hostname]\nspawn -noecho ed /etc/x", "ed hostname"),
            ("# exec ls\nif {1} {exec stty raw; puts x}", "stty"),
            ("open \"|gzip -dc $f\" r\nset f [open |sort w]\nopen /etc/x", "gzip sort"),
            ("exec $program x", ""),
        ] {
            let found: Vec<_> = commands_of_tcl(text.as_bytes()).into_iter().collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
        let head = b"#!/bin/sh\n# -*- tcl -*-\n# the shell \\\nexec tclsh8.6 \"$0\" \"$@\"\n";
        assert_eq!(tcl_behind_shell(head), Some("tclsh8.6"));
        for head in ["#!/bin/sh\nexec tclsh x\n", "#!/bin/sh\n# \\\nexec perl \"$0\"\n", ""] {
            assert_eq!(tcl_behind_shell(head.as_bytes()), None, "{head}");
        }
    }

    #[test]
    fn modules_that_are_imported() {
        for (text, expected) in [
            (
                "use strict;\nuse Debian::Debhelper::Dh_Lib;\n  require Fizz::X();",
                "Debian/Debhelper/Dh_Lib.pm Fizz/X.pm",
            ),
            (
                "import os, yaml.x as y\nfrom apt.cache import Cache",
                "apt.py apt/__init__.py os.py os/__init__.py yaml.py yaml/__init__.py",
            ),
            ("from . import x\nimport $x\nuse 5.010;\nuser X", ""),
            (
                "f(sub {require A::B;\n  1}); eval \"require C; 1\"; # x\n# they require D\n$require E; prerequire F",
                "A/B.pm C.pm",
            ),
            ("  eval { require JSON::XS } or die;", "JSON/XS.pm"),
        ] {
            let found: Vec<_> = imports(text.as_bytes()).into_iter().collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn commands_of_perl_and_python() {
        for (text, expected) in [
            ("my $g = &which('groupadd');\n&systemcall($g, '-g', $id);", "groupadd"),
            ("&systemcall('/usr/sbin/usermod', '-a');", "usermod"),
            ("my $cmd = \"gzip\"; system($cmd, \"-9\");", "gzip"),
            ("my %h = ('date' => 1, 'sort' => 2);", ""),
            ("my $x = `uname -m`; my @l = qx{ls -l}; exec 'tar', 'c';", "ls tar uname"),
            ("open(F, \"gzip -dc $f |\"); open(my $p, '-|', 'sort', 'x'); open(G, '| tee y');", "gzip sort tee"),
            ("# system('rm')\n=head1 X\n\nsystem('rm')\n\n=cut\nsystem 'cat x | wc';", "cat wc"),
            ("import subprocess\nsubprocess.run(['git', 'log'])\nos.system(f\"tar c {x}\")", "git tar"),
            ("cmd = ['apt-get', 'update']\nsubprocess.check_call(cmd)\nother = 'sort'", "apt-get"),
            ("shutil.which(\"xz\"); os.execvp('nice', a); Popen((\"sed\", x))", "nice sed xz"),
            ("\"\"\"Calls run('rm').\"\"\"\nsh = '/bin/sh'\nx = {'a': '/usr/bin/env'}", "env sh"),
            ("print('ls'); re.compile('find'); 'cat'", ""),
            ("subprocess.run(['/opt/x/y', 'z'])", "/opt/x/y"),
            ("my $cc = $ENV{CC} || 'gcc';\n$x = qx($cc -v); my $y = $z || 'ls';", "gcc"),
            ("$ld = 'ld'; `$ld -v`", "ld"),
            ("$'; $\"; 'unclosed\nsystem(\"id\")", "id"),
            ("my @os_cmds = qw (cat ls\n uname); my @x = qw(rm mv);", "cat ls uname"),
            ("f(x, { progs => [ qw/tar ed/ ], names => [ qw/rm/ ] });", "ed tar"),
            ("@cmds = ('cat',\n 'ls'); f('rm', 'mv'); @x = ('cp', 'dd');", "cat ls"),
            ("X::call('exec', 'tar c'); f('x', 'ls');", "tar"),
            ("my $pid = open2($out, my $in, 'md5sum -b'); open(F, '<', 'ls'); f(open2($x), $y);\nf('rm');", "md5sum"),
            ("shell_exec('stty -g'); $this->readFromProcess('stty -a | grep columns');", "grep stty"),
        ] {
            let found: Vec<_> = commands(text.as_bytes()).into_iter().collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn odd_texts_end() {
        for text in ["\"", "'", "`", "\"\"\"", "qx", "qx{", "=x", "system(", "\\", "='", "r'", "|", "$'"] {
            let _ = commands(text.as_bytes());
            let _ = commands(text.repeat(20_000).as_bytes());
        }
    }
}
