//! Which rules what is in a rootfs calls for.
//!
//! Each file is looked at once, whatever the number of rules: by the last component of its names.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::built_in::{self, Sketch};
use super::{Bindings, Captures, Glob, Rule, bind};
use crate::path::RootfsPath;

/// All rules that may apply.
pub(crate) struct Rules {
    rules: Vec<Stored>,
    paths: Index,
    names: Index,
    /// By the function that is imported.
    calls: FxHashMap<Box<[u8]>, Vec<usize>>,
}

enum Stored {
    BuiltIn(Sketch),
    Parsed(Arc<Rule>),
}

/// Patterns by the last component that they ask for.
#[derive(Default)]
struct Index {
    exact: FxHashMap<Box<[u8]>, Vec<(usize, Glob)>>,
    /// With wildcards in it.
    other: Vec<(usize, Glob)>,
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
        let mut rules =
            Self { rules: Vec::new(), paths: Index::default(), names: Index::default(), calls: FxHashMap::default() };
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
        for glob in when.flat_map(|text| globs(text, bindings)) {
            let index = if glob.is_name() { &mut self.names } else { &mut self.paths };
            index.add(number, glob);
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
    fn add(&mut self, rule: usize, glob: Glob) {
        match glob.file_name() {
            Some(name) => self.exact.entry(name.into()).or_default().push((rule, glob)),
            None => self.other.push((rule, glob)),
        }
    }

    fn look_up(&self, name: &[u8], matches: impl Fn(&Glob) -> Option<Captures>, triggered: &mut Vec<Triggered>) {
        let exact = self.exact.get(name).into_iter().flatten();
        let other = self.other.iter().filter(|(_, glob)| name.starts_with(glob.prefix()));
        for (rule, glob) in exact.chain(other) {
            if let Some(captures) = matches(glob) {
                triggered.push(Triggered { rule: *rule, captures });
            }
        }
    }
}

/// What a text of a rule stands for. Texts were checked when the rule was read.
fn globs(text: &str, bindings: &Bindings<'_>) -> Vec<Glob> {
    // Nearly all have no variable.
    if !text.contains('{') {
        return Glob::parse(text).unwrap_or_default();
    }
    bind(text, bindings).iter().flat_map(|text| Glob::parse(text).unwrap_or_default()).collect()
}
