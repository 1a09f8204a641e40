//! The commands that a shell script calls, guessed from its text: to be offered. Which of them are packed is for rules to
//! say.
//!
//! What is a command in the end only a shell can say; this reads words where a command begins, and knows quotes,
//! comments and here-documents well enough not to take prose for commands. What is there is for others to look up.

use std::collections::BTreeSet;

/// The longest script that is looked through.
pub(crate) const MAX_LENGTH: usize = 1 << 20;

/// Whether an interpreter of this name takes scripts of the shell's language.
pub(crate) fn is_shell(name: &[u8]) -> bool {
    matches!(name, b"sh" | b"bash" | b"dash" | b"ash" | b"ksh" | b"mksh" | b"zsh" | b"yash" | b"busybox" | b"rbash")
}

/// Words behind which another command begins.
const BEFORE: [&[u8]; 19] = [
    b"if", b"then", b"else", b"elif", b"while", b"until", b"do", b"!", b"{", b"exec", b"command", b"time", b"nohup",
    b"xargs", b"env", b"sudo", b"nice", b"eval", b"trap",
];

/// Those among them that are programs.
const RUNNERS: [&[u8]; 5] = [b"nohup", b"xargs", b"env", b"sudo", b"nice"];

/// What shells do themselves, and words of their language.
const BUILT_IN: [&str; 75] = [
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "command",
    "compgen",
    "complete",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
    "[",
];

/// The commands of a script, without those that the shell has itself and its own functions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// The names of all.
    pub(crate) all: BTreeSet<String>,
    /// Of those behind `exec`, in the place of which the script goes on.
    pub(crate) execs: BTreeSet<String>,
}

/// What the script `text` calls.
pub(crate) fn commands(text: &[u8]) -> Calls {
    let mut scan = Scan::default();
    scan.text(text);
    let Scan { mut calls, functions, .. } = scan;
    calls.all.retain(|name| !functions.contains(name));
    // A function is none to exec: it is looked up in PATH.
    calls
}

#[derive(Default)]
struct Scan {
    calls: Calls,
    functions: BTreeSet<String>,
    /// Whether the next command is what the script becomes.
    is_exec: bool,
    /// How many substitutions it is in.
    depth: usize,
}

/// As deep as substitutions are looked into; nobody writes deeper ones.
const MAX_DEPTH: usize = 16;

impl Scan {
    fn text(&mut self, text: &[u8]) {
        if self.depth == MAX_DEPTH {
            return;
        }
        self.depth += 1;
        self.lines(text);
        self.depth -= 1;
    }

    fn lines(&mut self, text: &[u8]) {
        let mut at = 0;
        let (mut begins, mut ends): (bool, Vec<Vec<u8>>) = (true, Vec::new());
        while at < text.len() {
            match text[at] {
                b'\n' => {
                    at += 1;
                    (begins, self.is_exec) = (true, false);
                    for end in std::mem::take(&mut ends) {
                        at = behind_document(text, at, &end);
                    }
                }
                b' ' | b'\t' | b'\r' => at += 1,
                b'#' => at = next(text, at, b'\n'),
                b';' | b'|' | b'&' | b'(' | b')' | b'`' => {
                    (begins, self.is_exec) = (true, false);
                    at += 1;
                }
                b'<' | b'>' => {
                    if let Some((end, behind)) = here_document(text, at) {
                        ends.push(end);
                        at = behind;
                    } else {
                        // What follows is a file; `>&2` is none.
                        at += text[at..].iter().take_while(|byte| matches!(byte, b'<' | b'>' | b'&' | b'|')).count();
                        at += text[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                        at = self.word(text, at).1;
                    }
                }
                _ => {
                    let (word, behind) = self.word(text, at);
                    let behind = behind.max(at + 1);
                    at = behind;
                    let Some(word) = word else {
                        begins = false;
                        continue;
                    };
                    let rest = &text[behind..];
                    if matches!(rest.first(), Some(b'<' | b'>')) && word.iter().all(u8::is_ascii_digit) {
                        // A descriptor that is redirected.
                    } else if begins && rest.starts_with(b"()") || rest.starts_with(b" ()") {
                        self.functions.extend(String::from_utf8(word));
                    } else if word.is_empty() || BEFORE.contains(&&word[..]) || is_assignment(&word) {
                        // Options of `xargs` and the like come before their command.
                        self.is_exec |= begins && word == b"exec";
                        if begins && RUNNERS.contains(&&word[..]) {
                            let is_exec = self.is_exec;
                            self.command(word);
                            self.is_exec = is_exec;
                        }
                    } else if begins && word.starts_with(b"-") {
                    } else if begins {
                        self.command(word);
                        begins = false;
                    }
                }
            }
        }
    }

    fn command(&mut self, word: Vec<u8>) {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'[');
        let name = match word.strip_prefix(b"/usr/bin/").or(word.strip_prefix(b"/bin/")) {
            Some(name) => name.to_vec(),
            None => word,
        };
        if name.iter().all(is_name) && name.first().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            let Some(name) = String::from_utf8(name).ok().filter(|name| !BUILT_IN.contains(&name.as_str())) else {
                return;
            };
            if std::mem::take(&mut self.is_exec) {
                self.calls.execs.insert(name.clone());
            }
            self.calls.all.insert(name);
        }
    }

    /// A word, `None` where a part of it is computed, and where it ends. What is run to compute it is looked into.
    fn word(&mut self, text: &[u8], mut at: usize) -> (Option<Vec<u8>>, usize) {
        let (mut word, mut is_known) = (Vec::new(), true);
        while at < text.len() {
            match text[at] {
                b'\'' => {
                    let end = next(text, at + 1, b'\'');
                    word.extend(&text[at + 1..end]);
                    at = end + 1;
                }
                b'"' => {
                    let (inside, end) = self.quoted(text, at + 1);
                    match inside {
                        Some(inside) => word.extend(inside),
                        None => is_known = false,
                    }
                    at = end;
                }
                b'\\' => {
                    word.extend(text.get(at + 1).filter(|byte| **byte != b'\n'));
                    at += 2;
                }
                // `$'...'`, in which a backslash keeps what follows it.
                b'$' if text.get(at + 1) == Some(&b'\'') => {
                    is_known = false;
                    at += 2;
                    while at < text.len() && text[at] != b'\'' {
                        at += if text[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                b'$' => {
                    is_known = false;
                    at = self.dollar(text, at);
                }
                b'`' => {
                    is_known = false;
                    let end = next(text, at + 1, b'`');
                    self.text(&text[at + 1..end]);
                    at = end + 1;
                }
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'|' | b'&' | b'(' | b')' | b'<' | b'>' => break,
                other => {
                    word.push(other);
                    at += 1;
                }
            }
        }
        (is_known.then_some(word), at.min(text.len()))
    }

    /// What double quotes hold, `None` where a part of it is computed, and where it goes on behind them.
    fn quoted(&mut self, text: &[u8], mut at: usize) -> (Option<Vec<u8>>, usize) {
        let (mut inside, mut is_known) = (Vec::new(), true);
        while at < text.len() {
            match text[at] {
                b'"' => return (is_known.then_some(inside), at + 1),
                b'\\' => {
                    inside.extend(text.get(at + 1));
                    at += 2;
                }
                b'$' => {
                    is_known = false;
                    at = self.dollar(text, at);
                }
                b'`' => {
                    is_known = false;
                    let end = next(text, at + 1, b'`');
                    self.text(&text[at + 1..end]);
                    at = end + 1;
                }
                other => {
                    inside.push(other);
                    at += 1;
                }
            }
        }
        (None, text.len())
    }

    /// Where it goes on behind `$name`, `${...}` or `$(...)`, into the last of which it looks.
    fn dollar(&mut self, text: &[u8], at: usize) -> usize {
        let (open, close) = match text.get(at + 1) {
            Some(b'(') => (b'(', b')'),
            Some(b'{') => (b'{', b'}'),
            Some(byte) if byte.is_ascii_alphanumeric() || *byte == b'_' => {
                return at
                    + 1
                    + text[at + 1..].iter().take_while(|it| it.is_ascii_alphanumeric() || **it == b'_').count();
            }
            Some(b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => return at + 2,
            // No more than a dollar.
            _ => return at + 1,
        };
        let end = matching(text, at + 2, open, close);
        let is_sum = text[at + 2..].starts_with(b"(");
        if open == b'(' && !is_sum {
            self.text(&text[at + 2..end]);
        }
        end + 1
    }
}

/// Where the bracket is that closes what opened before `at`, by counting: quotes among it are told apart.
fn matching(text: &[u8], mut at: usize, open: u8, close: u8) -> usize {
    let mut depth = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'\'' if open == b'(' => at = next(text, at + 1, b'\''),
            byte if byte == open => depth += 1,
            byte if byte == close => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Where `byte` is from `at` on, or the end.
fn next(text: &[u8], at: usize, byte: u8) -> usize {
    text.get(at..).and_then(|rest| memchr::memchr(byte, rest)).map_or(text.len(), |found| at + found)
}

/// The word that ends the here-document that `<<` begins at `at`, and where it goes on in the line.
fn here_document(text: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let rest = text[at..].strip_prefix(b"<<").filter(|rest| !rest.starts_with(b"<"))?;
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let length = rest[blanks..].iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b';').count();
    let word: Vec<u8> =
        rest[blanks..blanks + length].iter().copied().filter(|byte| !matches!(byte, b'"' | b'\'' | b'\\')).collect();
    let behind = text.len() - rest.len() + blanks + length;
    (!word.is_empty()).then_some((word, behind))
}

/// Where the line begins behind the one that is `end`, which may have tabs before it.
fn behind_document(text: &[u8], mut at: usize, end: &[u8]) -> usize {
    while at < text.len() {
        let stop = next(text, at, b'\n');
        let line = &text[at..stop];
        at = (stop + 1).min(text.len());
        if line.trim_ascii() == end {
            break;
        }
    }
    at
}

fn is_assignment(word: &[u8]) -> bool {
    let Some(at) = word.iter().position(|byte| *byte == b'=') else { return false };
    let name = word[..at].strip_suffix(b"+").unwrap_or(&word[..at]);
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
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
            ("find . | xargs -0 chmod 644", "chmod find xargs"),
            ("$TOOL x; \"$a/b\" y; ${PAGER:-less} z", ""),
            ("/usr/bin/id; /bin/stat; /opt/x/y", "id stat"),
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

    /// Whatever is in it, it ends.
    #[test]
    fn odd_texts_end() {
        for text in
            ["$", "$(", "${", "`", "\\", "<<", "<<-", "<", ">", "\"", "'", "$((", "(((", "\0\0", "<<X", "$(`\"$("]
        {
            let _ = found(text);
            let _ = found(&text.repeat(50_000));
        }
    }
}
