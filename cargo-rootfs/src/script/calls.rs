//! The commands that a shell script calls, guessed from its text, for suggestions. Rules decide which of them are
//! packed.
//!
//! Only a shell can determine all commands. This parser reads words at the beginnings of commands, and knows quotes,
//! comments, here-documents, `case` and the script's assignments well enough not to mistake prose for commands. Callers
//! look up the commands.

mod language;
mod pieces;
mod runners;
mod variables;
mod words;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::data;
use language::{BEFORE, BUILT_IN};
use runners::Runner;
use words::{Piece, Word, here_document, is_assignment, next};

pub(crate) use language::is_shell;

/// The maximum size of a script.
pub(crate) const MAX_LENGTH: usize = 1 << 20;

/// The commands of a script, without the shell's own and the script's functions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// The names of all commands, and the paths of those called by path outside the directories of programs.
    pub(crate) all: BTreeSet<String>,
    /// The commands after `exec`, which replace the script.
    pub(crate) execs: BTreeSet<String>,
    /// Files that it sources or calls by a path of which only the end is known, such as `lib/x.sh` of `.
    /// "$dir/lib/x.sh"`.
    pub(crate) ends: BTreeSet<String>,
    /// Files that it sources by absolute paths.
    pub(crate) sourced: BTreeSet<String>,
}

/// The commands that the script `text` calls.
pub(crate) fn commands(text: &[u8]) -> Calls {
    commands_of(b"", text)
}

/// The same for a script that is started by `name`, from which it may make the names of commands.
pub(crate) fn commands_of(name: &[u8], text: &[u8]) -> Calls {
    let mut scan = Scan { own: name.to_vec(), ..Scan::default() };
    scan.text(text);
    scan.finish()
}

/// A call of a program: its name, and its arguments, each with all values that it may have; one that is unknown has none.
#[cfg(feature = "cli")]
pub(crate) type Call = (String, Vec<Vec<String>>);

/// The calls of the programs `names` in the script `text`, in their order.
#[cfg(feature = "cli")]
pub(crate) fn arguments(text: &[u8], names: &'static [&'static str]) -> Vec<Call> {
    let mut scan = Scan { keeps: names, ..Scan::default() };
    scan.text(text);
    let values = |word: &Word| {
        let known = scan.expand(word, 0).into_iter().filter_map(Result::ok);
        known.map(|value| String::from_utf8_lossy(&value).into_owned()).collect()
    };
    scan.kept.iter().map(|(name, words)| ((*name).to_owned(), words.iter().map(values).collect())).collect()
}

#[derive(Default)]
struct Scan {
    calls: Calls,
    /// The name of the script; empty if it is unknown.
    own: Vec<u8>,
    /// Programs whose calls are kept with their arguments, and these calls.
    keeps: &'static [&'static str],
    kept: Vec<(&'static str, Vec<Word>)>,
    functions: BTreeSet<String>,
    /// The programs that other programs start.
    started: BTreeSet<String>,
    /// The function whose body is being read, and the functions that run their arguments, as `run() { "$@"; }` does, or
    /// search for them, as `have() { which "$1"; }`; each with the use of the argument.
    open: Option<String>,
    wrappers: BTreeMap<String, Use>,
    /// The values that are assigned anywhere in the script.
    values: BTreeMap<Vec<u8>, Vec<Word>>,
    /// Commands that are a variable, or begin with one.
    computed: Vec<(Word, Use)>,
    /// Texts of `eval` that contain variables.
    evaluated: Vec<Word>,
    /// The depth of the current substitution.
    depth: usize,
    /// The number of expanded values.
    spent: Cell<usize>,
}

/// The use of a word: a called command, or a sourced file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Call,
    Exec,
    /// By another program, such as xargs(1), which knows no built-in commands and no functions.
    Start,
    Source,
}

/// The maximum depth of substitutions; real scripts are less deep.
const MAX_DEPTH: usize = 16;

/// The position in an open `case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Before its `in`.
    Word,
    Patterns,
    Commands,
}

/// The meaning of the next word, on one level of the script.
struct State {
    /// True if it begins a command.
    begins: bool,
    how: Use,
    /// The program that runs another one, if such a program was called.
    runner: Option<Runner>,
    cases: Vec<Case>,
    /// The variable of a `for` whose words follow.
    list: Option<Vec<u8>>,
    /// True if the next word is the variable of a `for`.
    is_variable: bool,
    /// True for the words of `[[ ... ]]`.
    is_test: bool,
    /// True if the next word is a function's name.
    is_function: bool,
    /// True after `export`, `local` and similar words, whose arguments may be assignments.
    declares: bool,
    /// The number of following words that are texts of scripts, after `eval` and `trap`.
    texts: usize,
    /// True if words such as `-exec` precede a command.
    finds: bool,
    /// True if the arguments of the command are kept.
    is_kept: bool,
}

impl State {
    fn new() -> Self {
        Self {
            begins: true,
            how: Use::Call,
            runner: None,
            cases: Vec::new(),
            list: None,
            is_variable: false,
            is_test: false,
            is_function: false,
            declares: false,
            texts: 0,
            finds: false,
            is_kept: false,
        }
    }

    /// Starts another command.
    fn restart(&mut self) {
        (self.begins, self.how, self.runner) = (true, Use::Call, None);
        (self.list, self.is_variable, self.declares) = (None, false, false);
        (self.texts, self.finds, self.is_kept) = (0, false, false);
    }
}

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
        let (mut state, mut ends): (State, Vec<Vec<u8>>) = (State::new(), Vec::new());
        while at < text.len() {
            if state.cases.last() == Some(&Case::Patterns) {
                at = self.patterns(text, at, &mut state);
                continue;
            }
            match text[at] {
                b'\n' => {
                    at += 1;
                    if state.cases.last() != Some(&Case::Word) && !state.is_test {
                        state.restart();
                    }
                    for end in std::mem::take(&mut ends) {
                        at = words::behind_document(text, at, &end);
                    }
                }
                b' ' | b'\t' | b'\r' => at += 1,
                b'\\' if text.get(at + 1) == Some(&b'\n') => at += 2,
                b'#' => at = next(text, at, b'\n'),
                b';' if state.cases.last() == Some(&Case::Commands)
                    && matches!(text.get(at + 1), Some(b';' | b'&')) =>
                {
                    state.restart();
                    state.cases.pop();
                    state.cases.push(Case::Patterns);
                    at += text[at..].iter().take_while(|byte| matches!(byte, b';' | b'&')).count();
                }
                b'(' if (state.begins || state.is_variable) && text.get(at + 1) == Some(&b'(') => {
                    at = words::behind_sum(text, at + 2)
                }
                b';' | b'|' | b'&' | b'(' | b')' => {
                    if !state.is_test {
                        state.restart();
                    }
                    at += 1;
                }
                b'<' | b'>' => {
                    if let Some((end, behind)) = here_document(text, at) {
                        ends.push(end);
                        at = behind;
                    } else {
                        // A file follows, but not after `>&2`.
                        at += text[at..].iter().take_while(|byte| matches!(byte, b'<' | b'>' | b'&' | b'|')).count();
                        at += text[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                        at = self.word(text, at).1;
                    }
                }
                _ => {
                    let (word, behind) = self.word(text, at);
                    at = behind.max(at + 1);
                    at = self.take(word, text, at, &mut state);
                }
            }
        }
    }

    /// Reads the patterns of a `case` up to the closing parenthesis, or the end of the `case`.
    fn patterns(&mut self, text: &[u8], mut at: usize, state: &mut State) -> usize {
        let mut is_first = true;
        while at < text.len() {
            match text[at] {
                b' ' | b'\t' | b'\r' | b'\n' => at += 1,
                b'#' if is_first => at = next(text, at, b'\n'),
                b'(' | b'|' => at += 1,
                b')' => {
                    state.restart();
                    state.cases.pop();
                    state.cases.push(Case::Commands);
                    return at + 1;
                }
                b';' | b'&' | b'<' | b'>' => at += 1,
                _ => {
                    let (word, behind) = self.word(text, at);
                    at = behind.max(at + 1);
                    if is_first && word.literal().as_deref() == Some(b"esac") {
                        state.cases.pop();
                        state.restart();
                        state.begins = false;
                        return at;
                    }
                    is_first = false;
                }
            }
        }
        at
    }

    /// Handles one word; returns the position after it.
    fn take(&mut self, word: Word, text: &[u8], at: usize, state: &mut State) -> usize {
        let literal = word.literal();
        let rest = &text[at..];
        if state.is_test {
            state.is_test = literal.as_deref() != Some(b"]]");
            return at;
        }
        match (state.cases.last(), literal.as_deref()) {
            (Some(Case::Word), Some(b"in")) => {
                state.cases.pop();
                state.cases.push(Case::Patterns);
                return at;
            }
            (Some(Case::Word), _) => return at,
            _ => {}
        }
        if state.is_variable {
            (state.is_variable, state.list) = (false, literal);
            return at;
        }
        if let Some(variable) = state.list.clone() {
            if literal.as_deref() != Some(b"in") {
                self.assign(variable, word);
            }
            return at;
        }
        if std::mem::take(&mut state.is_function) {
            self.define(literal);
            state.restart();
            return at;
        }
        if matches!(rest.first(), Some(b'<' | b'>'))
            && literal.as_ref().is_some_and(|it| it.iter().all(u8::is_ascii_digit))
        {
            // A redirected file descriptor.
            return at;
        }
        if state.begins && (rest.starts_with(b"()") || rest.starts_with(b" ()")) {
            self.define(literal);
            return at;
        }
        if (state.begins || state.declares) && is_assignment(&word) {
            return self.assignment(word, text, at);
        }
        if state.texts > 0 {
            let is_first = state.texts == 1 || state.texts == usize::MAX;
            state.texts -= 1;
            match literal {
                Some(script) => self.text(&script),
                // Of a text with variables, only the beginning is certainly a command.
                None if is_first => self.evaluate_later(word),
                None => {}
            }
            return at;
        }
        if !state.begins && state.finds && literal.as_deref().is_some_and(|flag| data::has("before-command", flag)) {
            (state.begins, state.runner, state.how) = (true, None, Use::Start);
            return at;
        }
        if let Some(runner) = &mut state.runner {
            match runner.take(literal.as_deref(), is_assignment(&word)) {
                runners::Next::Argument => return at,
                runners::Next::Command => {
                    state.begins = true;
                    if state.how == Use::Call && runner.starts_program() {
                        state.how = Use::Start;
                    }
                }
                runners::Next::Text => literal.iter().for_each(|script| self.text(script)),
                runners::Next::File => self.computed.push((word.clone(), Use::Source)),
            }
            state.runner = None;
        }
        if !state.begins {
            if let Some((_, words)) = self.kept.last_mut().filter(|_| state.is_kept) {
                words.push(word);
            }
            return at;
        }
        let begun = text[..at].trim_ascii_end();
        let ends = |words: &[&[u8]]| words.iter().any(|word| begun.ends_with(word));
        let is_argument = word.pieces.iter().all(|piece| *piece == Piece::Unknown || *piece == Piece::Text(Vec::new()));
        if literal.is_none() && is_argument && ends(&[b"\"$1\"", b"$1"]) {
            self.wraps(state.how);
        } else if literal.is_none() && ends(&[b"\"$@\"", b"$@", b"\"$*\"", b"$*"]) {
            self.wraps(Use::Call);
        }
        self.begin(word, literal, state);
        at
    }

    /// Begins the definition of a function.
    fn define(&mut self, name: Option<Vec<u8>>) {
        self.open = name.and_then(|name| String::from_utf8(name).ok());
        self.functions.extend(self.open.clone());
    }

    /// Records that the function which is being read runs its argument.
    fn wraps(&mut self, how: Use) {
        let Some(name) = self.open.clone() else { return };
        let known = self.wrappers.entry(name).or_insert(Use::Call);
        if how == Use::Start {
            *known = how;
        }
    }

    /// The use of its argument by a function that runs it.
    fn wrapper(&self, name: &[u8]) -> Option<Use> {
        std::str::from_utf8(name).ok().and_then(|name| self.wrappers.get(name)).copied()
    }

    /// Handles a word that begins a command.
    fn begin(&mut self, word: Word, literal: Option<Vec<u8>>, state: &mut State) {
        let how = state.how;
        let Some(name) = literal else {
            state.begins = false;
            self.computed.push((word, how));
            return;
        };
        if let Some(how) = self.wrapper(&name).filter(|_| how != Use::Start) {
            state.how = how;
            return;
        }
        match &name[..] {
            b"" => {}
            name if how == Use::Start => self.program(name, how, state),
            b"}" => self.open = None,
            name if BEFORE.contains(&name) => {}
            b"exec" => (state.how, state.runner, state.begins) = (Use::Exec, Runner::of(b"exec"), false),
            b"case" => state.cases.push(Case::Word),
            b"for" | b"select" => (state.is_variable, state.begins) = (true, false),
            b"[[" => (state.is_test, state.begins) = (true, false),
            b"function" => (state.is_function, state.begins) = (true, false),
            b"eval" => (state.texts, state.begins) = (usize::MAX, false),
            b"trap" => (state.texts, state.begins) = (1, false),
            b"." | b"source" => (state.runner, state.begins) = (Runner::of(b"."), false),
            b"export" | b"local" | b"readonly" | b"declare" | b"typeset" => {
                (state.declares, state.begins) = (true, false)
            }
            name if name.starts_with(b"-") => {}
            name => self.program(name, how, state),
        }
    }

    /// Handles the name of a program, or its path.
    fn program(&mut self, name: &[u8], how: Use, state: &mut State) {
        let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        let runner = Runner::of(base);
        let kept = self.keeps.iter().find(|kept| kept.as_bytes() == base);
        state.is_kept = kept.is_some();
        self.kept.extend(kept.map(|kept| (*kept, Vec::new())));
        (state.begins, state.how) = (false, if runner.is_some() { how } else { Use::Call });
        state.runner = runner;
        state.finds |= data::has("finders", name);
        self.command(name, how);
    }

    /// Records a command, by its name or its path.
    fn command(&mut self, word: &[u8], how: Use) {
        let is_name =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'[' | b'@');
        let Ok(text) = std::str::from_utf8(word) else { return };
        if how == Use::Source {
            let is_absolute = text.starts_with('/');
            let files = if is_absolute { &mut self.calls.sourced } else { &mut self.calls.ends };
            files.insert(text.trim_start_matches("./").to_owned());
            return;
        }
        let name = words::in_program_directory(text).unwrap_or(text);
        let is_path = name.starts_with('/') && name.bytes().all(|byte| is_name(&byte) || byte == b'/');
        let is_plain = name.bytes().all(|byte| is_name(&byte)) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if is_path || is_plain || name == "[" {
            self.note(name, how);
        }
    }

    fn note(&mut self, name: &str, how: Use) {
        match how {
            Use::Call if BUILT_IN.contains(&name) => return,
            Use::Exec => self.calls.execs.extend([name.to_owned()]),
            Use::Start => self.started.extend([name.to_owned()]),
            _ => {}
        }
        self.calls.all.insert(name.to_owned());
    }
}

#[cfg(test)]
mod tests;
