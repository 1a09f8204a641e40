//! Where a loader looks for one name, in order: the search lists of glibc and of musl.

use std::sync::Arc;

use crate::elf::{Bytes, DF_1_NODEFLIB, Object};
use crate::path::RootfsPath;
use crate::target::Machine;

use super::candidate::{self, Verdict};
use super::loader::{Libc, Loader};
use super::tokens::{Tokens, expand};
use super::{FileId, Files, Find, FoundBy, hwcaps};

/// What searching for a name came to.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Found {
        path: RootfsPath,
        realpath: RootfsPath,
        file: FileId,
        by: FoundBy,
        /// The glibc-hwcaps subdirectory that it is in.
        hwcaps: Option<Bytes>,
    },
    Missing,
    /// The loader takes this file, finds it bad and gives up.
    Bad {
        path: RootfsPath,
        reason: String,
    },
}

/// One place that was searched in vain, for the message that a library is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which of the loader's sources.
    pub by: FoundBy,
    /// Where: the folder, or the file itself where the name is a path or stood in the cache.
    /// `None` where the source has nothing under the name.
    pub place: Option<RootfsPath>,
    /// Why a file that was there was not taken.
    pub why_not: Option<String>,
}

/// A list of folders, shared by all that search it.
pub(super) type Folders = Arc<[RootfsPath]>;

/// The search lists that hold for what one object needs: equal for all objects that have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// RPATH of the object, of the one that loaded it, and so on up to the program: each a list.
    pub(super) rpath: Vec<Folders>,
    /// The same for all objects of a closure.
    pub(super) library_path: Folders,
    pub(super) runpath: Folders,
    /// DF_1_NODEFLIB.
    pub(super) no_default: bool,
}

/// The folders of a search path between any of `separators`, tokens replaced. Empty and relative elements stand
/// for the current folder (ld.so(8)); without one, as in an image, they stand for nothing.
pub(super) fn elements(
    path: &[u8],
    separators: &[u8],
    tokens: &Tokens<'_>,
    current: Option<&RootfsPath>,
) -> Vec<RootfsPath> {
    // An empty path is no path, not one empty element (`decompose_rpath`).
    if path.is_empty() {
        return Vec::new();
    }
    let mut folders: Vec<RootfsPath> = Vec::new();
    for element in path.split(|byte| separators.contains(byte)) {
        let Some(element) = expand(element, tokens) else { continue };
        let folder = match element.first() {
            Some(b'/') => RootfsPath::from_bytes(&element),
            _ => current.map(|current| current.join(&element)),
        };
        if let Some(folder) = folder {
            // One that comes twice costs time and nothing else, and so would looking for it among thousands.
            if !folders.iter().take(64).any(|known| *known == folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

/// The lists of one object, before it is known who loaded it.
pub(super) fn own_lists(
    loader: &Loader,
    object: &Object,
    origin: &RootfsPath,
    current: Option<&RootfsPath>,
) -> (Folders, Folders) {
    let tokens = Tokens { origin: Some(origin.as_bytes()), ..Tokens::of(loader) };
    let none = || Folders::from([]);
    let lists = |path: Option<&Bytes>| path.map_or_else(none, |path| elements(path, b":", &tokens, current).into());
    match loader.libc {
        // ld.so ignores DT_RPATH when DT_RUNPATH is present (ld.so(8)).
        Libc::Glibc if object.runpath.is_some() => (none(), lists(object.runpath.as_ref())),
        Libc::Glibc => (lists(object.rpath.as_ref()), none()),
        // musl treats both alike, as inherited; RUNPATH wins where both are there (`decode_dyn`).
        Libc::Musl => (musl_list(object.runpath.as_ref().or(object.rpath.as_ref()), &tokens, current).into(), none()),
    }
}

/// `fixup_rpath` of musl's ldso/dynlink.c: it knows `$ORIGIN` alone; any other token voids the path. What the
/// token stands for may hold a separator too.
fn musl_list(path: Option<&Bytes>, tokens: &Tokens<'_>, current: Option<&RootfsPath>) -> Vec<RootfsPath> {
    let Some(path) = path else { return Vec::new() };
    let mut rest: &[u8] = path;
    let mut expanded = Vec::new();
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        expanded.extend_from_slice(&rest[..dollar]);
        let after = &rest[dollar..];
        let Some(after) = after.strip_prefix(b"$ORIGIN").or_else(|| after.strip_prefix(b"${ORIGIN}")) else {
            return Vec::new();
        };
        expanded.extend_from_slice(tokens.origin.unwrap_or_default());
        rest = after;
    }
    expanded.extend_from_slice(rest);
    musl_elements(&expanded, current)
}

/// The folders of a path of musl's (`path_open`): between colons and newlines, empty ones skipped.
pub(super) fn musl_elements(path: &[u8], current: Option<&RootfsPath>) -> Vec<RootfsPath> {
    let elements = path.split(|byte| matches!(byte, b':' | b'\n')).filter(|element| !element.is_empty());
    let folder = |element: &[u8]| match element.first() {
        Some(b'/') => RootfsPath::from_bytes(element),
        _ => current.map(|current| current.join(element)),
    };
    elements.filter_map(folder).collect()
}

impl Scope {
    /// Whether the object's flags say that nothing of the default folders may be used.
    pub(super) fn refuses_defaults(object: &Object) -> bool {
        object.flags_1 & DF_1_NODEFLIB != 0
    }
}

/// The most places that are searched for all names of one closure: a file can name more, though none does,
/// in few bytes, because names can share theirs, and each is looked for in every folder of a path.
pub(super) const MAX_PLACES: usize = 1 << 20;
/// The most places that are told of where a name was not found.
const MAX_TRAIL: usize = 1 << 10;

enum Candidate {
    Take(RootfsPath, FileId),
    /// Search on.
    Pass(Option<String>),
    /// Leave this list of folders, as for errors other than ENOENT and EACCES (`open_path`); with musl,
    /// give up (`path_open`).
    Leave(String),
    Bad(String),
}

pub(super) struct Search<'a> {
    pub(super) files: &'a mut dyn Files,
    pub(super) loader: &'a Loader,
    pub(super) current: Option<&'a RootfsPath>,
    /// Every place tried is written down where somebody wants to know.
    pub(super) trail: Option<&'a mut Vec<Attempt>>,
    /// How many places may still be tried.
    pub(super) places_left: &'a mut usize,
    /// Files of another class or machine that were passed over.
    pub(super) passed_over: Vec<(RootfsPath, Machine)>,
}

impl Search<'_> {
    /// Looks for `name`, which an object with these lists needs (`_dl_map_object`, elf/dl-load.c).
    pub(super) fn run(&mut self, scope: &Scope, name: &[u8]) -> Outcome {
        if name.contains(&b'/') {
            return self.by_path(name);
        }
        if self.loader.libc == Libc::Musl {
            // load_library of musl: LD_LIBRARY_PATH, the rpaths up the chain, the system's path.
            return self
                .in_folders(FoundBy::LibraryPath, &scope.library_path, name)
                .or_else(|| self.in_rpaths(scope, name))
                .or_else(|| self.in_folders(FoundBy::Default, &self.loader.default_dirs, name))
                .unwrap_or(Outcome::Missing);
        }
        self.in_rpaths(scope, name)
            .or_else(|| self.in_folders(FoundBy::LibraryPath, &scope.library_path, name))
            .or_else(|| self.in_folders(FoundBy::Runpath, &scope.runpath, name))
            .or_else(|| self.in_cache(scope, name))
            .or_else(|| self.in_conf_hwcaps(name))
            .or_else(|| self.in_folders(FoundBy::Conf, &self.loader.conf_dirs, name))
            .or_else(|| {
                let folders: &[RootfsPath] = if scope.no_default { &[] } else { &self.loader.default_dirs };
                self.in_folders(FoundBy::Default, folders, name)
            })
            .unwrap_or(Outcome::Missing)
    }

    fn by_path(&mut self, name: &[u8]) -> Outcome {
        let path = match (name.first(), self.current) {
            (Some(b'/'), _) => RootfsPath::from_bytes(name),
            (_, Some(current)) => Some(current.join(name)),
            // Relative to whatever folder the program is started in.
            (_, None) => None,
        };
        let Some(path) = path else {
            self.note(FoundBy::Absolute, None, Some("it is relative to the current folder".to_owned()));
            return Outcome::Missing;
        };
        match self.candidate(&path) {
            Candidate::Take(realpath, file) => {
                Outcome::Found { path, realpath, file, by: FoundBy::Absolute, hwcaps: None }
            }
            Candidate::Bad(reason) => Outcome::Bad { path, reason },
            Candidate::Pass(why) => {
                self.note(FoundBy::Absolute, Some(path), why);
                Outcome::Missing
            }
            Candidate::Leave(why) => {
                self.note(FoundBy::Absolute, Some(path), Some(why));
                Outcome::Missing
            }
        }
    }

    fn in_rpaths(&mut self, scope: &Scope, name: &[u8]) -> Option<Outcome> {
        scope.rpath.iter().find_map(|folders| self.in_folders(FoundBy::Rpath, folders, name))
    }

    fn in_folders(&mut self, by: FoundBy, folders: &[RootfsPath], name: &[u8]) -> Option<Outcome> {
        for folder in folders {
            if let Some(outcome) = self.in_hwcaps(by, folder, name) {
                return Some(outcome);
            }
            let path = folder.join(name);
            if *self.places_left == 0 {
                return Some(Outcome::Bad { path, reason: "there are too many places to look into".to_owned() });
            }
            *self.places_left -= 1;
            match self.candidate(&path) {
                Candidate::Take(realpath, file) => {
                    return Some(Outcome::Found { path, realpath, file, by, hwcaps: None });
                }
                Candidate::Bad(reason) => return Some(Outcome::Bad { path, reason }),
                Candidate::Pass(why) => self.note(by, Some(folder.clone()), why),
                Candidate::Leave(why) => {
                    self.note(by, Some(folder.clone()), Some(why));
                    if self.loader.libc == Libc::Musl {
                        return Some(Outcome::Missing);
                    }
                    // What is wrong with the folder itself counts as if it were not there.
                    if self.files.find(folder) == Find::Dir {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// The subdirectories of `folder` that are searched before itself (`open_path`). What is wrong with them does not
    /// count: the error that does is that of the last place.
    fn in_hwcaps(&mut self, by: FoundBy, folder: &RootfsPath, name: &[u8]) -> Option<Outcome> {
        let loader = self.loader;
        loader.active.iter().find_map(|level| self.in_level(by, folder, level, name))
    }

    fn in_level(&mut self, by: FoundBy, folder: &RootfsPath, level: &Bytes, name: &[u8]) -> Option<Outcome> {
        let path = hwcaps::below(folder, level).join(name);
        *self.places_left = self.places_left.saturating_sub(1);
        match self.candidate(&path) {
            Candidate::Take(realpath, file) => {
                Some(Outcome::Found { path, realpath, file, by, hwcaps: Some(level.clone()) })
            }
            Candidate::Bad(reason) => Some(Outcome::Bad { path, reason }),
            Candidate::Pass(_) | Candidate::Leave(_) => None,
        }
    }

    /// A cache of the folders of ld.so.conf would list the subdirectories of all of them, and of the default ones,
    /// before the folders themselves.
    fn in_conf_hwcaps(&mut self, name: &[u8]) -> Option<Outcome> {
        let loader = self.loader;
        if loader.conf_dirs.is_empty() {
            return None;
        }
        loader.active.iter().find_map(|level| {
            let mut folders = loader.conf_dirs.iter().chain(&loader.default_dirs);
            folders.find_map(|folder| self.in_level(FoundBy::Conf, folder, level, name))
        })
    }

    fn in_cache(&mut self, scope: &Scope, name: &[u8]) -> Option<Outcome> {
        let cache = self.loader.cache.as_ref()?;
        let Some((path, hwcaps)) = cache.lookup_on(name, self.loader.machine, &self.loader.active, |hwcap| hwcap == 0)
        else {
            self.note(FoundBy::Cache, None, None);
            return None;
        };
        // With DF_1_NODEFLIB an entry that begins as a default folder does does not count either.
        let by_default = self.loader.default_dirs.iter().any(|folder| path.is_within(folder));
        if scope.no_default && by_default {
            self.note(FoundBy::Cache, Some(path), Some("DF_1_NODEFLIB".to_owned()));
            return None;
        }
        match self.candidate(&path) {
            Candidate::Take(realpath, file) => {
                Some(Outcome::Found { path, realpath, file, by: FoundBy::Cache, hwcaps })
            }
            Candidate::Bad(reason) => Some(Outcome::Bad { path, reason }),
            // A stale entry; the loader goes on with the default folders.
            Candidate::Pass(why) => {
                self.note(FoundBy::Cache, Some(path), Some(why.unwrap_or_else(|| "stale entry".to_owned())));
                None
            }
            Candidate::Leave(why) => {
                self.note(FoundBy::Cache, Some(path), Some(why));
                None
            }
        }
    }

    /// What the loader makes of the file at `path` (`open_verify`, elf/dl-load.c).
    fn candidate(&mut self, path: &RootfsPath) -> Candidate {
        let (realpath, file) = match self.files.find(path) {
            Find::File { realpath, file } => (realpath, file),
            Find::Absent => return Candidate::Pass(None),
            Find::Dir => return Candidate::Bad("cannot read file data: is a directory".to_owned()),
            Find::Special(word) => return Candidate::Bad(format!("it is a {word}")),
            Find::Loop => return Candidate::Leave("too many levels of symbolic links".to_owned()),
            Find::Failed(why) => return Candidate::Pass(Some(why)),
        };
        match candidate::judge(&self.files.object(file), self.loader) {
            Verdict::Take => Candidate::Take(realpath, file),
            Verdict::Foreign(machine) => {
                self.passed_over.push((path.clone(), machine));
                Candidate::Pass(Some(format!("it is for {machine:?}")))
            }
            Verdict::Unreadable(why) => Candidate::Pass(Some(why)),
            Verdict::Bad(reason) => Candidate::Bad(reason),
        }
    }

    fn note(&mut self, by: FoundBy, place: Option<RootfsPath>, why_not: Option<String>) {
        if let Some(trail) = self.trail.as_mut().filter(|trail| trail.len() < MAX_TRAIL) {
            trail.push(Attempt { by, place, why_not });
        }
    }
}
