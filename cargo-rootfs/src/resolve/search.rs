//! The search for one name in the places of a loader, in order: the search lists of glibc and of musl.

use crate::elf::{Bytes, DF_1_NODEFLIB, Object};
use crate::path::RootfsPath;
use crate::target::Machine;

use super::candidate::{self, Verdict};
use super::folders::{Folder, Folders, Kind};
use super::loader::{Libc, Loader};
use super::{FileId, Files, Find, FoundBy};

/// The result of a search for one name.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Found {
        path: RootfsPath,
        realpath: RootfsPath,
        file: FileId,
        by: FoundBy,
        /// The glibc-hwcaps subdirectory that contains it.
        hwcaps: Option<Bytes>,
    },
    Missing,
    /// The loader accepts this file, but cannot load it, and fails.
    Bad {
        path: RootfsPath,
        reason: String,
    },
}

/// One place without the library, for the message about a missing library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The source of the loader's search.
    pub by: FoundBy,
    /// The place tried: the directory, or the file itself if the name is a path or was in the cache. `None` if the
    /// source has no entry for the name.
    pub place: Option<RootfsPath>,
    /// The reason why a file was rejected.
    pub why_not: Option<String>,
}

/// The search lists for the needs of one object; objects with the same lists share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// RPATH of the object, of the object that loaded it, and so on up to the program: each a list.
    pub(super) rpath: Vec<Folders>,
    /// The same for all objects of a closure.
    pub(super) library_path: Folders,
    pub(super) runpath: Folders,
    /// DF_1_NODEFLIB.
    pub(super) no_default: bool,
}

impl Scope {
    /// Returns whether the object's flags exclude the default directories.
    pub(super) fn refuses_defaults(object: &Object) -> bool {
        object.flags_1 & DF_1_NODEFLIB != 0
    }
}

/// The limit of places that are searched for all names of one closure. A hostile file can have a huge number of names
/// in few bytes, because names can overlap, and each is searched for in every directory of a path.
pub(super) const MAX_PLACES: usize = 1 << 20;
/// The maximum number of reported places for a missing name.
const MAX_TRAIL: usize = 1 << 10;

/// Constants of limits.h.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errno {
    NotDir,
    NameTooLong,
    Other,
}

enum Candidate {
    Take(RootfsPath, FileId),
    /// The search continues.
    Pass(Option<String>),
    /// It cannot be opened for a reason other than a missing file or missing permission.
    Fail(Errno, String),
    Bad(String),
}

/// The state of all searches for one program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// The number of places that may still be tried.
    pub(super) places_left: usize,
    root: RootFolder,
    /// True if the last search reached the root directory, so that its result is valid for this program only.
    pub(super) met_root: bool,
}

/// The state of the directory `/` in the loader before glibc 2.38. It checks by an empty name whether `/` is a
/// directory, and wrongly concludes that it is not (bug 30435): it finds files in `/` at first, and none after the
/// first missing name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RootFolder {
    Unknown,
    There,
    Lost,
}

impl Default for Progress {
    fn default() -> Self {
        Self { places_left: MAX_PLACES, root: RootFolder::Unknown, met_root: false }
    }
}

pub(super) struct Search<'a> {
    pub(super) files: &'a mut dyn Files,
    pub(super) loader: &'a Loader,
    pub(super) current: Option<&'a RootfsPath>,
    /// Receives every place tried, if requested.
    pub(super) trail: Option<&'a mut Vec<Attempt>>,
    pub(super) progress: &'a mut Progress,
    /// Files of another class or machine that were skipped.
    pub(super) passed_over: Vec<(RootfsPath, Machine)>,
}

impl Search<'_> {
    /// Searches for `name`, which an object with these lists needs (`_dl_map_object`, elf/dl-load.c).
    pub(super) fn run(&mut self, scope: &Scope, name: &[u8]) -> Outcome {
        if name.contains(&b'/') {
            return self.by_path(name);
        }
        if self.loader.libc == Libc::Musl {
            // musl rejects names that no directory can contain (`load_library`, ldso/dynlink.c).
            if name.is_empty() {
                return Outcome::Bad { path: RootfsPath::root(), reason: "a needed name is empty".to_owned() };
            }
            if name.len() > NAME_MAX {
                return Outcome::Missing;
            }
            // load_library of musl: LD_LIBRARY_PATH, the rpaths up the chain, the system's path.
            return self
                .in_folders(FoundBy::LibraryPath, &scope.library_path, name)
                .or_else(|| self.in_rpaths(scope, name))
                .or_else(|| self.in_folders(FoundBy::Default, &self.loader.default_folders, name))
                .unwrap_or(Outcome::Missing);
        }
        self.in_rpaths(scope, name)
            .or_else(|| self.in_folders(FoundBy::LibraryPath, &scope.library_path, name))
            .or_else(|| self.in_folders(FoundBy::Runpath, &scope.runpath, name))
            .or_else(|| self.in_cache(scope, name))
            .or_else(|| self.in_folders(FoundBy::Conf, &self.loader.conf_folders, name))
            .or_else(|| {
                let folders: &[Folder] = if scope.no_default { &[] } else { &self.loader.default_folders };
                self.in_folders(FoundBy::Default, folders, name)
            })
            .unwrap_or(Outcome::Missing)
    }

    fn by_path(&mut self, name: &[u8]) -> Outcome {
        let path = match (name.first(), self.current) {
            (Some(b'/'), _) => RootfsPath::from_bytes(name),
            (_, Some(current)) => Some(current.join(name)),
            // Relative to the directory in which the program is started, which is unknown.
            (_, None) => None,
        };
        let Some(path) = path else {
            self.note(FoundBy::Absolute, None, Some("it is relative to the current directory".to_owned()));
            return Outcome::Missing;
        };
        // A slash at its end requests a directory.
        let asks_for_folder = name.ends_with(b"/") || name.ends_with(b"/.");
        match self.candidate(&path, asks_for_folder) {
            Candidate::Take(realpath, file) => {
                Outcome::Found { path, realpath, file, by: FoundBy::Absolute, hwcaps: None }
            }
            Candidate::Bad(reason) => Outcome::Bad { path, reason },
            Candidate::Pass(why) => {
                self.note(FoundBy::Absolute, Some(path), why);
                Outcome::Missing
            }
            Candidate::Fail(_, why) => {
                self.note(FoundBy::Absolute, Some(path), Some(why));
                Outcome::Missing
            }
        }
    }

    fn in_rpaths(&mut self, scope: &Scope, name: &[u8]) -> Option<Outcome> {
        scope.rpath.iter().find_map(|folders| self.in_folders(FoundBy::Rpath, folders, name))
    }

    fn in_folders(&mut self, by: FoundBy, folders: &[Folder], name: &[u8]) -> Option<Outcome> {
        for folder in folders {
            let path = folder.path.join(name);
            if self.progress.places_left == 0 {
                return Some(Outcome::Bad { path, reason: "there are too many places to look into".to_owned() });
            }
            self.progress.places_left -= 1;
            let is_root = folder.is_root() && self.loader.libc == Libc::Glibc && !self.loader.is_since(2, 38);
            self.progress.met_root |= is_root;
            if is_root && self.progress.root == RootFolder::Lost {
                self.note(by, Some(folder.path.clone()), Some("this loader does not look there again".to_owned()));
                continue;
            }
            let candidate = match self.is_too_long(folder, name) {
                true => Candidate::Fail(Errno::NameTooLong, "file name too long".to_owned()),
                false => self.candidate(&path, name == b"."),
            };
            if is_root && self.progress.root == RootFolder::Unknown {
                let is_there = matches!(candidate, Candidate::Take(..));
                self.progress.root = if is_there { RootFolder::There } else { RootFolder::Lost };
            }
            match candidate {
                // A subdirectory without the file is not reported.
                Candidate::Pass(_) | Candidate::Fail(..) if folder.level.is_some() => {}
                Candidate::Take(realpath, file) => {
                    let hwcaps = folder.level.clone();
                    return Some(Outcome::Found { path, realpath, file, by, hwcaps });
                }
                Candidate::Bad(reason) => return Some(Outcome::Bad { path, reason }),
                Candidate::Pass(why) => self.note(by, Some(folder.path.clone()), why),
                Candidate::Fail(errno, why) => {
                    self.note(by, Some(folder.path.clone()), Some(why));
                    match self.loader.libc {
                        Libc::Musl if errno == Errno::Other => return Some(Outcome::Missing),
                        Libc::Musl => {}
                        Libc::Glibc => {
                            if self.ends_list(folder, errno) {
                                return None;
                            }
                        }
                    }
                }
            }
        }
        None
    }

    /// Returns whether the path is too long for the loader. (The buffer of musl's `load_library` has 512 bytes.)
    fn is_too_long(&self, folder: &Folder, name: &[u8]) -> bool {
        let length = folder.length + name.len();
        match self.loader.libc {
            Libc::Glibc => name.len() > NAME_MAX || length >= PATH_MAX,
            Libc::Musl => length >= 2 * (NAME_MAX + 1),
        }
    }

    /// Returns whether an error ends the search of the whole list: any but ENOENT and EACCES, in an existing directory
    /// (`open_path`, elf/dl-load.c). Since glibc 2.39, ENOTDIR does not end it either.
    fn ends_list(&mut self, folder: &Folder, errno: Errno) -> bool {
        if errno == Errno::NotDir && self.loader.is_since(2, 39) {
            return false;
        }
        match folder.kind {
            // Only the error in the last directory counts, and that is never a subdirectory.
            Kind::Hardware => false,
            Kind::Relative => true,
            Kind::Absolute if folder.is_root() && self.progress.root == RootFolder::Lost => false,
            Kind::Absolute => folder.length <= PATH_MAX && self.files.find(&folder.path) == Find::Dir,
        }
    }

    fn in_cache(&mut self, scope: &Scope, name: &[u8]) -> Option<Outcome> {
        self.loader.cache.as_ref()?;
        let Some((path, hwcaps)) = self.loader.cached(name, &self.loader.active) else {
            self.note(FoundBy::Cache, None, None);
            return None;
        };
        // With DF_1_NODEFLIB, a cache entry below a default directory does not count either.
        let by_default = self.loader.default_dirs.iter().any(|folder| path.is_within(folder));
        if scope.no_default && by_default {
            self.note(FoundBy::Cache, Some(path), Some("DF_1_NODEFLIB".to_owned()));
            return None;
        }
        match self.candidate(&path, false) {
            Candidate::Take(realpath, file) => {
                Some(Outcome::Found { path, realpath, file, by: FoundBy::Cache, hwcaps })
            }
            Candidate::Bad(reason) => Some(Outcome::Bad { path, reason }),
            // A stale entry; the loader continues with the default directories.
            Candidate::Pass(why) => {
                self.note(FoundBy::Cache, Some(path), Some(why.unwrap_or_else(|| "stale entry".to_owned())));
                None
            }
            Candidate::Fail(_, why) => {
                self.note(FoundBy::Cache, Some(path), Some(why));
                None
            }
        }
    }

    /// The loader's verdict on the file at `path`, or on a directory if the text requests one.
    fn candidate(&mut self, path: &RootfsPath, asks_for_folder: bool) -> Candidate {
        let fail = |errno, why: &str| Candidate::Fail(errno, why.to_owned());
        let (realpath, file) = match self.files.find(path) {
            Find::File { .. } | Find::Special(_) if asks_for_folder => return fail(Errno::NotDir, "not a directory"),
            Find::File { realpath, file } => (realpath, file),
            Find::Absent => return Candidate::Pass(None),
            Find::NotDir => return fail(Errno::NotDir, "not a directory"),
            Find::Dir => return Candidate::Bad("cannot read file data: is a directory".to_owned()),
            // ENXIO; other special files can be opened.
            Find::Special("socket") => return fail(Errno::Other, "it is a socket"),
            Find::Special(word) => return Candidate::Bad(format!("it is a {word}")),
            Find::Loop => return fail(Errno::Other, "too many levels of symbolic links"),
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
