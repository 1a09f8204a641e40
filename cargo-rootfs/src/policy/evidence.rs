//! Exceptions to evidence from constants and packages: self-contained ELF files, general paths, and files of packages
//! that no rootfs needs.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use crate::glob::{Bindings, Glob, any_matches, bind};
use crate::path::RootfsPath;
use crate::rows::{Reader, embedded};

/// Patterns of names, by the text before their first wildcard: there are hundreds.
#[derive(Debug, Default)]
struct Names {
    globs: FxHashMap<Box<[u8]>, Vec<Glob>>,
    /// The verdicts so far: names are queried repeatedly.
    known: RefCell<FxHashMap<Box<[u8]>, bool>>,
}

/// The rows of `templates/policy/evidence.toml`, bound to one sysroot.
#[derive(Debug)]
pub(crate) struct Judge {
    self_contained: Names,
    common: Names,
    self_contained_packages: Vec<Glob>,
    general: Vec<Glob>,
    programs: Vec<Glob>,
    left_out: Vec<Glob>,
    offered: Vec<Glob>,
    started: Vec<Glob>,
    starters: Vec<Box<[u8]>>,
    runners: Vec<Box<[u8]>>,
    essential: Vec<Box<[u8]>>,
    modules: Vec<RootfsPath>,
}

impl Judge {
    pub(crate) fn new(bindings: &Bindings<'_>) -> Self {
        let fields = embedded(include_str!("../../templates/policy/evidence.toml"));
        let texts = |key: &str| {
            let mut reader = Reader::of("evidence.toml");
            let lists = fields.iter().filter(|(known, _)| known == key);
            lists.flat_map(|(key, datum)| reader.texts(key, datum)).collect::<Vec<_>>()
        };
        let list = |key: &str| {
            let texts = texts(key).into_iter().flat_map(|text| bind(&text, bindings));
            texts.flat_map(|text| Glob::parse(&text).unwrap_or_default()).collect::<Vec<_>>()
        };
        let names = |key: &str| {
            let mut names = Names::default();
            list(key).into_iter().for_each(|glob| names.globs.entry(glob.prefix().into()).or_default().push(glob));
            names
        };
        Self {
            self_contained: names("self-contained"),
            common: names("common"),
            self_contained_packages: list("self-contained-packages"),
            general: list("general"),
            programs: list("programs"),
            left_out: list("left-out"),
            offered: list("offered"),
            started: list("started"),
            modules: texts("modules")
                .into_iter()
                .flat_map(|text| bind(&text, bindings))
                .filter_map(|text| RootfsPath::from_bytes(text.as_bytes()))
                .collect(),
            starters: texts("starters").into_iter().map(|text| text.as_bytes().into()).collect(),
            essential: texts("essential").into_iter().map(|text| text.as_bytes().into()).collect(),
            runners: texts("runners").into_iter().map(|text| text.as_bytes().into()).collect(),
        }
    }

    /// Returns whether an ELF file of this name needs nothing beyond its closure, except by rules.
    pub(crate) fn is_self_contained(&self, name: &[u8]) -> bool {
        self.self_contained.have(name)
    }

    /// Returns whether a library of this name is common: most programs that load it use none of its data, unless they
    /// are linked with it.
    pub(crate) fn is_common(&self, name: &[u8]) -> bool {
        self.common.have(name)
    }

    /// The same for a package.
    pub(crate) fn is_self_contained_package(&self, name: &[u8]) -> bool {
        self.self_contained_packages.iter().any(|glob| glob.matches_name(name).is_some())
    }

    /// Returns whether a path among constants is too general: many files contain it without a use.
    pub(crate) fn is_general(&self, path: &RootfsPath) -> bool {
        any_matches(&self.general, path)
    }

    /// Judges a program among constants: it is one that the file starts only if it imports one of [`Judge::starters`].
    pub(crate) fn is_started(&self, path: &RootfsPath) -> bool {
        self.started.iter().any(|glob| glob.matches(path).is_some())
    }

    /// The directories of modules.
    pub(crate) fn modules(&self) -> &[RootfsPath] {
        &self.modules
    }

    /// The functions that start programs.
    pub(crate) fn starters(&self) -> &[Box<[u8]>] {
        &self.starters
    }

    /// The functions that run a command line.
    pub(crate) fn runners(&self) -> &[Box<[u8]>] {
        &self.runners
    }

    /// The commands of every system whose names are hardly other words.
    pub(crate) fn essential(&self) -> impl Iterator<Item = &[u8]> {
        self.essential.iter().map(|name| &**name)
    }

    /// Judges a directory: programs in it do not come along unasked.
    pub(crate) fn has_programs(&self, directory: &RootfsPath) -> bool {
        self.programs.iter().any(|glob| glob.matches_name(directory.file_name()).is_some())
    }

    /// Returns whether a command that a script calls is only suggested, and not packed without a request.
    pub(crate) fn is_offered(&self, name: &[u8]) -> bool {
        self.offered.iter().any(|glob| glob.matches_name(name).is_some())
    }

    /// The files of packages that are not packed without a request.
    pub(crate) fn left_out(&self) -> &[Glob] {
        &self.left_out
    }
}

impl Names {
    fn have(&self, name: &[u8]) -> bool {
        if let Some(known) = self.known.borrow().get(name) {
            return *known;
        }
        let with = |length| self.globs.get(&name[..length]).into_iter().flatten();
        let is_among = (0..=name.len()).flat_map(with).any(|glob| glob.matches_name(name).is_some());
        self.known.borrow_mut().insert(name.into(), is_among);
        is_among
    }
}
