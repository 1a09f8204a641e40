//! Which rules what is in a rootfs calls for.
//!
//! Each file is looked at once, whatever the number of rules: by the last component of its names.

use std::cell::OnceCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::built_in::{self, Sketch};
use super::{Bindings, Captures, Glob, Rule, bind};
use crate::path::RootfsPath;

/// What a pattern of `when` begins with that is for scripts, by what runs them.
pub(super) const RUN_BY: &str = "#!";

/// All rules that may apply.
#[derive(Default)]
pub(crate) struct Rules {
    rules: Vec<Stored>,
    paths: Index,
    names: Index,
    /// By what runs a script.
    scripts: Index,
    /// By the function that is imported.
    calls: FxHashMap<Box<[u8]>, Vec<usize>>,
}

enum Stored {
    BuiltIn(Sketch),
    Parsed(Arc<Rule>),
}

/// Patterns by what the last component of their paths begins with, each taken apart when a name begins so: of some
/// hundred that stand ready few are asked for.
#[derive(Default)]
struct Index {
    patterns: Vec<Pattern>,
    /// By the first byte; each with the whole beginning.
    begin: FxHashMap<u8, Vec<Beginning>>,
    /// Those that may end in anything.
    any: Vec<usize>,
}

/// What the last component begins with, and which pattern that is.
type Beginning = (Box<[u8]>, usize);

struct Pattern {
    rule: usize,
    /// With its variables bound.
    text: String,
    globs: OnceCell<Vec<Glob>>,
}

/// A rule that is called for, and by what its stars matched.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Triggered {
    pub(crate) rule: usize,
    pub(crate) captures: Captures,
}

impl Rules {
    /// The built-in ones and `own`, of which a later one takes the place of an earlier one of its name.
    pub(crate) fn new(own: Vec<Rule>, bindings: &Bindings<'_>) -> Self {
        let mut rules = Self::default();
        let is_own = |name: &str| own.iter().any(|rule| *rule.name == *name);
        for (sketch, waits) in built_in::ALL.iter().flat_map(built_in::sketches) {
            if !is_own(sketch.name) {
                rules.add(Stored::BuiltIn(sketch), waits.when.into_iter(), waits.calls.into_iter(), bindings);
            }
        }
        for (index, rule) in own.iter().enumerate() {
            if !own[index + 1..].iter().any(|later| later.name == rule.name) {
                let rule = Arc::new(rule.clone());
                let (when, calls) = (rule.when.iter(), rule.calls.iter());
                let stored = Stored::Parsed(Arc::clone(&rule));
                rules.add(stored, when.map(String::as_str), calls.map(String::as_str), bindings);
            }
        }
        rules
    }

    fn add<'w>(
        &mut self,
        rule: Stored,
        when: impl Iterator<Item = &'w str>,
        calls: impl Iterator<Item = &'w str>,
        bindings: &Bindings<'_>,
    ) {
        let number = self.rules.len();
        self.rules.push(rule);
        for text in when.flat_map(|text| bound(text, bindings)) {
            match text.strip_prefix(RUN_BY) {
                Some(name) => self.scripts.add(number, name.to_owned()),
                None if text.contains('/') => self.paths.add(number, text),
                None => self.names.add(number, text),
            }
        }
        for function in calls {
            self.calls.entry(function.as_bytes().into()).or_default().push(number);
        }
    }

    /// The rule, parsed where it was not.
    pub(crate) fn get(&mut self, rule: usize) -> Option<Arc<Rule>> {
        if let Stored::BuiltIn(sketch) = self.rules[rule] {
            self.rules[rule] = Stored::Parsed(Arc::new(sketch.parse()?));
        }
        match &self.rules[rule] {
            Stored::Parsed(rule) => Some(Arc::clone(rule)),
            Stored::BuiltIn(_) => None,
        }
    }

    /// Adds the rules that a file at `path` calls for.
    pub(crate) fn of_path(&self, path: &RootfsPath, triggered: &mut Vec<Triggered>) {
        self.paths.look_up(path.file_name(), |glob| glob.matches(path), triggered);
    }

    /// Adds the rules that a script which a program of this name runs calls for.
    pub(crate) fn of_interpreter(&self, name: &[u8], triggered: &mut Vec<Triggered>) {
        self.scripts.look_up(name, |glob| glob.matches_name(name), triggered);
    }

    /// The functions that some rule waits for.
    pub(crate) fn calls(&self) -> Vec<Box<[u8]>> {
        let mut functions: Vec<_> = self.calls.keys().cloned().collect();
        functions.sort_unstable();
        functions
    }

    /// Adds the rules that a call of `function` calls for.
    pub(crate) fn of_call(&self, function: &[u8], triggered: &mut Vec<Triggered>) {
        let rules = self.calls.get(function).into_iter().flatten();
        triggered.extend(rules.map(|rule| Triggered { rule: *rule, captures: Captures::new() }));
    }

    /// Adds the rules that an ELF file of this name, or soname, calls for.
    pub(crate) fn of_name(&self, name: &[u8], triggered: &mut Vec<Triggered>) {
        self.names.look_up(name, |glob| glob.matches_name(name), triggered);
    }
}

impl Index {
    fn add(&mut self, rule: usize, text: String) {
        let pattern = self.patterns.len();
        match beginnings(&text) {
            Some(beginnings) => {
                for begin in beginnings {
                    self.begin.entry(begin[0]).or_default().push((begin.into(), pattern));
                }
            }
            None => self.any.push(pattern),
        }
        self.patterns.push(Pattern { rule, text, globs: OnceCell::new() });
    }

    fn look_up(&self, name: &[u8], matches: impl Fn(&Glob) -> Option<Captures>, triggered: &mut Vec<Triggered>) {
        let begin = name.first().and_then(|byte| self.begin.get(byte)).into_iter().flatten();
        let begin = begin.filter(|(begin, _)| name.starts_with(begin)).map(|(_, pattern)| *pattern);
        let mut asked: Vec<usize> = begin.chain(self.any.iter().copied()).collect();
        asked.sort_unstable();
        asked.dedup();
        for pattern in asked.into_iter().map(|index| &self.patterns[index]) {
            let globs = pattern.globs.get_or_init(|| Glob::parse(&pattern.text).unwrap_or_default());
            let captures = globs.iter().filter(|glob| name.starts_with(glob.prefix())).find_map(&matches);
            triggered.extend(captures.map(|captures| Triggered { rule: pattern.rule, captures }));
        }
    }
}

/// What the last component of a pattern may begin with, where that can be told without taking it apart; never nothing.
fn beginnings(text: &str) -> Option<Vec<&[u8]>> {
    const SPECIAL: [char; 6] = ['*', '?', '{', '}', ',', '\\'];
    let plain = |text: &str| text.find(SPECIAL).unwrap_or(text.len());
    let last = text.rfind('/').map_or(text, |at| &text[at + 1..]);
    // A slash among alternatives would have been taken for the last one.
    if last.matches('{').count() != last.matches('}').count() || last.contains('\\') {
        return None;
    }
    let starts = match last.strip_prefix('{') {
        None => vec![last],
        Some(rest) => {
            let alternatives = &rest[..rest.find('}')?];
            if alternatives.contains('{') {
                return None;
            }
            alternatives.split(',').collect()
        }
    };
    let starts: Vec<&[u8]> = starts.into_iter().map(|start| &start.as_bytes()[..plain(start)]).collect();
    (!starts.iter().any(|start| start.is_empty())).then_some(starts)
}

/// A text of a rule with its variables bound.
fn bound(text: &str, bindings: &Bindings<'_>) -> Vec<String> {
    // Nearly all have none.
    if text.contains('{') { bind(text, bindings) } else { vec![text.to_owned()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_last_components_begin_with() {
        for (text, expected) in [
            ("/usr/bin/git", Some("git")),
            ("/usr/bin/python*", Some("python")),
            ("/usr/bin/{git,hg*}", Some("git hg")),
            ("/usr/bin/{z,xz}{e,f}grep", Some("z xz")),
            ("libx*.so.1", Some("libx")),
            ("/usr/{bin/a,lib/b}", None),
            ("/usr/bin/{a,{b,c}}", None),
            ("/usr/bin/{a,}x", None),
            ("/usr/bin/*x", None),
            ("/usr/**", None),
            ("/usr/bin/\\*x", None),
        ] {
            let found = beginnings(text)
                .map(|it| it.iter().map(|it| String::from_utf8_lossy(it)).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
