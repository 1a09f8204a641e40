//! Finds the rules that the contents of a rootfs fire.
//!
//! Each file is looked up once for all rules, by the last component of its names.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Rule;
use super::built_in::{self, Sketch};
use crate::glob::{Bindings, Captures, Index, bind};
use crate::path::RootfsPath;

/// The prefix of a pattern of `when` that matches scripts by their interpreter.
pub(super) const RUN_BY: &str = "#!";

/// The prefix of a pattern of `when` for the packages of packed files.
pub(super) const PACKAGE: &str = "package:";

/// The prefix of a function in `calls`, or of a path in `mentions`, that counts only in the project's own files; a function
/// counts in requested tools of the C library's source too.
pub(super) const PROJECT: &str = "project:";

/// All rules that may fire.
#[derive(Default)]
pub(crate) struct Rules {
    rules: Vec<Stored>,
    paths: Index,
    names: Index,
    /// By the interpreter of a script.
    scripts: Index,
    /// By the package of a file.
    packages: Index,
    /// By the beginning of a path among constants.
    mentions: Vec<Mention>,
    /// By the imported function.
    calls: FxHashMap<Box<[u8]>, Vec<usize>>,
    /// By the function that a program of the project itself imports.
    project_calls: FxHashMap<Box<[u8]>, Vec<usize>>,
}

/// The beginning of a path that fires a rule.
struct Mention {
    begin: Box<[u8]>,
    rule: usize,
    /// True if it counts only in the project's own files.
    is_of_project: bool,
}

impl Mention {
    fn new(text: &str, rule: usize) -> Self {
        let of_project = text.strip_prefix(PROJECT);
        let begin = of_project.unwrap_or(text).as_bytes().into();
        Self { begin, rule, is_of_project: of_project.is_some() }
    }
}

enum Stored {
    BuiltIn(Sketch),
    Parsed(Arc<Rule>),
}

/// A rule that fires, and the texts that its stars matched.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Triggered {
    pub(crate) rule: usize,
    pub(crate) captures: Captures,
}

impl Triggered {
    fn into(triggered: &mut Vec<Self>) -> impl FnMut(usize, Captures) {
        |rule, captures| triggered.push(Self { rule, captures })
    }
}

impl Rules {
    /// The built-in rules and `own`; a later rule replaces an earlier one of the same name.
    pub(crate) fn new(own: Vec<Rule>, bindings: &Bindings<'_>) -> Self {
        let mut rules = Self::default();
        let is_own = |name: &str| own.iter().any(|rule| *rule.name == *name);
        for (sketch, waits) in built_in::ALL.iter().flat_map(built_in::sketches) {
            if !is_own(sketch.name) {
                let number = rules.rules.len();
                rules.add(Stored::BuiltIn(sketch), waits.when.into_iter(), waits.calls.into_iter(), bindings);
                rules.mentions.extend(waits.mentions.into_iter().map(|text| Mention::new(text, number)));
            }
        }
        for (index, rule) in own.iter().enumerate() {
            if !own[index + 1..].iter().any(|later| later.name == rule.name) {
                let rule = Arc::new(rule.clone());
                let (when, calls) = (rule.when.iter(), rule.calls.iter());
                let stored = Stored::Parsed(Arc::clone(&rule));
                let number = rules.rules.len();
                rules.mentions.extend(rule.mentions.iter().map(|text| Mention::new(text, number)));
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
                None if text.starts_with(PACKAGE) => self.packages.add(number, text[PACKAGE.len()..].to_owned()),
                None if text.contains('/') => self.paths.add(number, text),
                None => self.names.add(number, text),
            }
        }
        for function in calls {
            let (calls, function) = match function.strip_prefix(PROJECT) {
                Some(function) => (&mut self.project_calls, function),
                None => (&mut self.calls, function),
            };
            calls.entry(function.as_bytes().into()).or_default().push(number);
        }
    }

    /// Returns the rule, and parses it on demand.
    pub(crate) fn get(&mut self, rule: usize) -> Option<Arc<Rule>> {
        if let Stored::BuiltIn(sketch) = self.rules[rule] {
            self.rules[rule] = Stored::Parsed(Arc::new(sketch.parse()?));
        }
        match &self.rules[rule] {
            Stored::Parsed(rule) => Some(Arc::clone(rule)),
            Stored::BuiltIn(_) => None,
        }
    }

    /// Adds the rules that a file at `path` fires.
    pub(crate) fn of_path(&self, path: &RootfsPath, triggered: &mut Vec<Triggered>) {
        self.paths.look_up(path.file_name(), |glob| glob.matches(path), Triggered::into(triggered));
    }

    /// Adds the rules that a script fires whose interpreter has this name.
    pub(crate) fn of_interpreter(&self, name: &[u8], triggered: &mut Vec<Triggered>) {
        self.scripts.look_up(name, |glob| glob.matches_name(name), Triggered::into(triggered));
    }

    /// Passes the rules that a packed file of this package fires to `found`.
    pub(crate) fn of_package(&self, package: &[u8], found: &mut dyn FnMut(Triggered)) {
        let found = |rule, captures| found(Triggered { rule, captures });
        self.packages.look_up(package, |glob| glob.matches_name(package), found);
    }

    /// Passes the rules that a path among the constants of a packed file fires to `found`.
    pub(crate) fn of_mention(&self, text: &[u8], is_of_project: bool, found: &mut dyn FnMut(Triggered)) {
        let is_it = |it: &&Mention| (is_of_project || !it.is_of_project) && text.starts_with(&it.begin);
        for mention in self.mentions.iter().filter(is_it) {
            found(Triggered { rule: mention.rule, captures: Captures::new() });
        }
    }

    /// The functions in the conditions of rules.
    pub(crate) fn calls(&self) -> Vec<Box<[u8]>> {
        let mut functions: Vec<_> = self.calls.keys().cloned().collect();
        functions.sort_unstable();
        functions
    }

    /// Adds the rules that a call of `function` fires.
    pub(crate) fn of_call(&self, function: &[u8], triggered: &mut Vec<Triggered>) {
        let rules = self.calls.get(function).into_iter().flatten();
        triggered.extend(rules.map(|rule| Triggered { rule: *rule, captures: Captures::new() }));
    }

    /// The functions in the conditions of rules about programs of the project, each with its rules.
    pub(crate) fn project_calls(&self) -> (Vec<Box<[u8]>>, Vec<&[usize]>) {
        let mut calls: Vec<_> = self.project_calls.iter().collect();
        calls.sort_unstable();
        calls.into_iter().map(|(function, rules)| (function.clone(), &rules[..])).unzip()
    }

    /// Adds the rules that an ELF file with this name, or soname, fires.
    pub(crate) fn of_name(&self, name: &[u8], triggered: &mut Vec<Triggered>) {
        self.names.look_up(name, |glob| glob.matches_name(name), Triggered::into(triggered));
    }
}

/// The values of a rule's text with its variables bound.
fn bound(text: &str, bindings: &Bindings<'_>) -> Vec<String> {
    // Nearly no text has variables.
    if text.contains('{') { bind(text, bindings) } else { vec![text.to_owned()] }
}
