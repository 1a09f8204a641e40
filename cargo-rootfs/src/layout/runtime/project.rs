//! Constants of the project's own files: paths, programs that Rust code starts by name, and libraries that it opens.
//!
//! A program of the project belongs to no package: what it names is suggested, and packed only by a rule.

use std::collections::BTreeSet;

use super::constants::{self, Named};
use super::evidence::Weighing;
use super::offers::Unknown;
use super::subjects::{Reach, Subject};
use crate::elf::{Bytes, PathText};
use crate::path::RootfsPath;
use crate::resolve::{FileId, Files};
use crate::sysroot::{End, Sysroot};

impl Weighing<'_, '_, '_, '_> {
    /// The paths among the constants of a file of the project; suggests the programs that it starts.
    pub(super) fn texts_of_project(&mut self, subject: &Subject, file: FileId) -> BTreeSet<PathText> {
        let started = self.worklist.view.started(file);
        let has_tools = !self.worklist.tools().is_empty();
        let mut may_start = || !self.worklist.view.imports_of(file, self.evidence.judge.starters()).is_empty();
        let unknown = match &started {
            None => Some(Unknown::Stripped).filter(|_| !has_tools && may_start()),
            Some(names) => Some(Unknown::AtRunTime).filter(|_| !has_tools && names.contains(&b""[..])),
        };
        self.evidence.offers.unknown.extend(unknown.map(|unknown| (subject.name.clone(), unknown)));
        let mut started = started.unwrap_or_default();
        started.remove(&b""[..]);
        self.offer(&started.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(), subject);
        // Rust does not end its constants.
        let texts = self.worklist.view.path_texts(file).into_iter();
        texts.map(|text| PathText { may_run_on: true, ..text }).collect()
    }

    /// Libraries that the project opens by their names, and that packages have outside of the loader's directories, such as
    /// libjvm.so.
    pub(super) fn elsewhere(&mut self, subjects: &[Subject]) -> Vec<(usize, Named)> {
        /// More names are a table, or pieces of text.
        const MOST: usize = 32;
        let mut found = Vec::new();
        for (at, subject) in subjects.iter().enumerate().filter(|(_, it)| it.reach == Reach::Project) {
            let view = &mut *self.worklist.view;
            let mut names = subject.file.and_then(|file| view.names_to_open(file)).unwrap_or_default();
            let is_usual = |view: &mut Sysroot, name: &Bytes| {
                let directories = self.runtime.lib.iter().filter_map(|directory| RootfsPath::parse(directory).ok());
                directories.map(|it| it.child(name)).any(|path| matches!(view.walk(&path).end, End::File(_)))
            };
            // The end of a name is uncertain: libx.so may be the beginning of libx.so.1.
            let usual: Vec<Bytes> = names.iter().filter(|name| is_usual(view, name)).cloned().collect();
            let is_known = |name: &Bytes| usual.iter().any(|it| it.starts_with(name) || name.starts_with(it));
            let is_whole = |name: &Bytes| !name.iter().any(|byte| b"/*".contains(byte));
            names.retain(|name| name.starts_with(b"lib") && is_whole(name) && !is_known(name));
            if names.is_empty() || names.len() > MOST {
                continue;
            }
            let database = self.runtime.installed.database(view);
            let paths = database
                .map(|database| database.listed_under(view, &names.iter().map(|name| &**name).collect::<Vec<_>>()))
                .unwrap_or_default();
            let Some(scout) = &mut self.evidence.scout else { continue };
            found.extend(paths.into_iter().filter_map(|path| Some((at, constants::at(scout, path)?))));
        }
        found
    }
}
