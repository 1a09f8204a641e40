//! Applies one rule: takes, makes or looks up the files that it names.

use super::super::root::Root;
use super::super::take::Taking;
use super::super::worklist::Worklist;
use super::super::{libraries, tools};
use super::{Runtime, image_file, prefixes};
use crate::error::Error;
use crate::glob::{Bindings, Glob, bind};
use crate::packages;
use crate::path::RootfsPath;
use crate::rootfs::Origin;
use crate::runtime::{Rule, WordsOf};
use crate::shortage::{Fault, Shortage};
use crate::sysroot::End;
/// One rule during its application.
pub(super) struct Firing<'f, 't, 'w> {
    pub(super) runtime: &'f mut Runtime<'t>,
    pub(super) worklist: &'f mut Worklist<'w>,
    pub(super) rule: &'f Rule,
    pub(super) because: &'f RootfsPath,
    pub(super) origin: Origin,
    pub(super) bindings: Bindings<'f>,
    pub(super) roots: Vec<Root>,
}

impl Firing<'_, '_, '_> {
    /// Applies `take`, `first-of` and `files`.
    pub(super) fn files(&mut self) {
        let mut count = 0;
        for text in &self.rule.take {
            count += self.take(text, &self.bindings.clone());
        }
        for list in &self.rule.first_of {
            count +=
                list.iter().map(|text| self.take(text, &self.bindings.clone())).find(|count| *count > 0).unwrap_or(0);
        }
        if self.rule.required && count == 0 {
            let first = self.rule.take.iter().chain(self.rule.first_of.iter().flatten());
            let Rule { name, why, .. } = self.rule;
            let mut error = Error::failed(format!("rule {name} found nothing in the sysroot"))
                .detail(format!("{why}, because of {}", self.because));
            for text in first {
                error = error.detail(format!("tried  {text}"));
            }
            let package = self.rule.packages.first();
            let error = match package {
                Some(package) => {
                    let remedy = packages::remedy(self.worklist.view.root(), Some(package));
                    error.help(format!("{remedy}, or pass `--runtime none`"))
                }
                None => error.help("add what it names to the sysroot, or pass `--runtime none`"),
            };
            let shortage = package.cloned().map(Shortage::Package);
            self.runtime.faults.push(Fault::short(error, shortage));
        }
        for file in &self.rule.files {
            for path in bind(&prefixes::below(&file.path, self.bindings.prefix), &self.bindings) {
                let path = RootfsPath::from_bytes(unescape(&path).as_bytes());
                self.runtime.made.extend(path.map(|path| (path, file.body.clone(), file.mode, self.origin.clone())));
            }
        }
    }

    /// Applies `modules`.
    pub(super) fn modules(&mut self) {
        // No package owns a file of the project.
        if self.rule.modules.is_empty() || self.worklist.view.is_outside(self.because) {
            return;
        }
        let modules = globs(&self.rule.modules, &self.bindings);
        let exclude = globs(&self.rule.exclude, &self.bindings);
        let (runtime, view) = (&mut *self.runtime, &mut *self.worklist.view);
        let Some(database) = runtime.installed.database(view) else { return };
        let Some(id) = database.owners(view, std::slice::from_ref(self.because))[0] else { return };
        let is_module = |path: &RootfsPath| modules.iter().any(|glob| glob.matches(path).is_some());
        for (id, files) in database.modules(view, id, is_module) {
            let name = &database.package(id).name;
            let mut taking = Taking {
                view: &mut *view,
                taken: &mut runtime.taken,
                machine: runtime.machine,
                exclude: &exclude,
                origin: &self.origin,
                roots: &mut self.roots,
                count: 0,
            };
            taking.package(name, &files);
        }
    }

    /// Takes the matches of a pattern; returns their number.
    fn take(&mut self, text: &str, bindings: &Bindings<'_>) -> usize {
        let exclude = globs(&self.rule.exclude, bindings);
        let text = &prefixes::below(text, bindings.prefix);
        let mut taking = Taking {
            view: self.worklist.view,
            taken: &mut self.runtime.taken,
            machine: self.runtime.machine,
            exclude: &exclude,
            origin: &self.origin,
            roots: &mut self.roots,
            count: 0,
        };
        for text in bind(text, bindings) {
            for glob in Glob::parse(&text).unwrap_or_default() {
                for path in taking.view.expand(&glob) {
                    taking.path(&path);
                }
            }
        }
        taking.count
    }

    pub(super) fn tools(&mut self, texts: &[String], bindings: &Bindings<'_>) {
        self.named(texts.iter().flat_map(|text| bind(text, bindings)).map(|text| unescape(&text)));
    }

    /// Adds the existing tools, looked up like those of `--with`.
    pub(super) fn named(&mut self, names: impl Iterator<Item = String>) {
        for name in names {
            let view = &mut *self.worklist.view;
            let path = match RootfsPath::from_bytes(name.as_bytes()) {
                Some(path) => Some(path).filter(|path| matches!(view.walk(path).end, End::File(_))),
                None => tools::find(view, &name),
            };
            let root = path.map(|path| Root::tool(name, self.origin.clone(), path));
            self.roots.extend(root.map(Root::optional));
        }
    }

    pub(super) fn libraries(&mut self, texts: &[String], bindings: &Bindings<'_>) {
        for name in texts.iter().flat_map(|text| bind(text, bindings)).map(|text| unescape(&text)) {
            let (view, machine) = (&mut *self.worklist.view, self.runtime.machine);
            let resolver = &mut self.worklist.resolvers.tools;
            let root = libraries::by_name(view, resolver, &name, self.origin.clone(), machine);
            self.roots.extend(root.ok().map(Root::optional));
        }
    }

    /// Applies `words-of`.
    pub(super) fn words(&mut self, words: &WordsOf) {
        for file in bind(&words.file, &self.bindings) {
            let Some(path) = RootfsPath::from_bytes(unescape(&file).as_bytes()) else { continue };
            let template = self.runtime.template;
            let is_taken = self.runtime.paths.contains(&path);
            let Some(bytes) = image_file::read(self.worklist.view, template, is_taken, &path) else { continue };
            let read = words.form.read(&bytes);
            let folder = path.parent().unwrap_or_else(RootfsPath::root);
            for name in &read.includes {
                let text = folder.join(name.as_bytes()).to_string();
                self.take(&text, &self.bindings.clone());
            }
            for word in read.words.iter().filter(|word| !words.except.contains(word)) {
                let bindings = Bindings { word: Some(word), ..self.bindings };
                self.libraries(&words.libraries, &bindings);
                self.tools(&words.tools, &bindings);
                for text in &words.take {
                    // A module by its complete path, as pam.d(5) allows.
                    let text = if word.starts_with('/') && text.ends_with("/{}") { "{}" } else { text };
                    self.take(text, &bindings);
                }
            }
        }
    }
}

/// The patterns of a rule's texts.
fn globs(texts: &[String], bindings: &Bindings<'_>) -> Vec<Glob> {
    texts.iter().flat_map(|text| bind(text, bindings)).flat_map(|text| Glob::parse(&text).unwrap_or_default()).collect()
}

/// The text of a pattern without wildcards.
fn unescape(text: &str) -> String {
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}
