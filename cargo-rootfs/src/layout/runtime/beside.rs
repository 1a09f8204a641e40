//! Tools outside of packages: the files that lie beside a tool under its name, and the programs that it starts.

use super::super::root::Root;
use super::super::tools;
use super::evidence::{MOST, Weigh, Weighing, origin};
use super::prefixes::prefix_of;
use super::subjects::Subject;
use crate::elf::words_in;
use crate::path::RootfsPath;

impl Weighing<'_, '_, '_, '_> {
    /// Adds the files of a tool without a package.
    pub(super) fn prefix(&mut self, subject: &Subject) {
        self.start_without_packages(subject);
        if let Some(product) = product_of(&subject.realpath).filter(|_| subject.is_named) {
            if self.runtime.paths.contains(&product) || self.beside(subject, &product) {
                return;
            }
        }
        let Some(prefix) = prefix_of(&subject.realpath) else { return };
        let of_machine = format!("lib/{}", self.runtime.triplet);
        for folder in ["lib", &of_machine, "libexec", "share", "etc"].map(|name| prefix.join(name.as_bytes())) {
            for name in self.worklist.view.names(&folder) {
                let path = folder.child(&name);
                let rest = name.strip_prefix(subject.name.as_bytes());
                let is_its = rest.is_some_and(|rest| rest.first().is_none_or(|byte| !byte.is_ascii_alphabetic()));
                if is_its && !self.runtime.paths.contains(&path) {
                    self.beside(subject, &path);
                }
            }
        }
    }

    /// Adds the programs that a tool without a package starts: those beside it whose names begin with its own, as
    /// gpg-agent beside gpg, and essential ones.
    fn start_without_packages(&mut self, subject: &Subject) {
        let Some(directory) = subject.realpath.parent() else { return };
        let is_beside = |name: &[u8]| {
            let rest = name.strip_prefix(subject.name.as_bytes());
            rest.and_then(<[u8]>::first).is_some_and(|byte| !byte.is_ascii_alphanumeric())
        };
        let names: Vec<Box<[u8]>> =
            self.worklist.view.names(&directory).into_iter().filter(|name| is_beside(name)).collect();
        let (words, mut commands) = match subject.file {
            _ if self.evidence.weigh == Weigh::Tell => return,
            Some(file) => (self.worklist.view.words_of(file, &names), self.commands(file)),
            None => (words_in(&self.text(&subject.realpath), &names), Default::default()),
        };
        commands.retain(|name| self.evidence.judge.essential().any(|known| known == name.as_bytes()));
        let view = &mut *self.worklist.view;
        let essential = commands.iter().filter_map(|name| tools::find(view, name)).collect::<Vec<_>>();
        for path in words.into_iter().map(|at| directory.child(&names[at])).chain(essential) {
            let walk = self.worklist.view.walk(&path);
            if !tools::is_executable(self.worklist.view, &path) || self.runtime.paths.contains(&walk.path) {
                continue;
            }
            let (text, (count, size)) = (path.to_string(), self.measure(&walk.path));
            self.evidence.brought.named(&text, &subject.name, count, size);
            let origin = origin(&text, &subject.name, "which runs it");
            let name = String::from_utf8_lossy(path.file_name()).into_owned();
            self.roots.push(Root::tool(name, origin, path).optional());
        }
    }

    /// Takes what is a tool's own, outside of packages; returns whether it is within the limit.
    pub(super) fn beside(&mut self, subject: &Subject, path: &RootfsPath) -> bool {
        let (count, size) = self.measure(path);
        let text = path.to_string();
        if size > MOST {
            self.evidence.offers.large(&text, &subject.name, size);
        } else if count > 0 {
            self.evidence.brought.package(&text, &subject.name, count, size);
            if self.evidence.weigh == Weigh::Take {
                let origin = origin(&text, &subject.name, "which it lies beside");
                self.taking(&origin, |taking| taking.path(path));
            }
        }
        size <= MOST
    }
}

/// The directory of the product that a program belongs to: /opt/acme of /opt/acme/bin/acmed. The administrator has
/// /opt/bin (FHS 3.0, 3.13).
fn product_of(program: &RootfsPath) -> Option<RootfsPath> {
    let mut components = program.components();
    let (first, name) = (components.next()?, components.next()?);
    let is_in_product = first == b"opt" && !matches!(name, b"bin" | b"sbin") && components.next().is_some();
    is_in_product.then(|| RootfsPath::root().child(first).child(name))
}
