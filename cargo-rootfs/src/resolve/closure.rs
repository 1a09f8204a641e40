//! A closure: all objects that are mapped with an executable, in ld.so's order, and the missing ones.

use std::sync::Arc;

use super::dlopen::Note;
use super::loader::Loader;
use super::may_open::MayOpen;
use super::releases::RunsOn;
use super::search::Attempt;
use super::target_libraries::Given;
use super::{BadObject, FileId, Find, FoundBy, hwcaps};
use crate::elf::{Bytes, Carrier};
use crate::path::RootfsPath;
use crate::shortage::Shortage;
use crate::target::Machine;

/// The objects that are mapped for one executable.
#[derive(Debug, Clone)]
pub struct Closure {
    /// The executable, by the requested path.
    pub file: RootfsPath,
    /// Its path without symlinks.
    pub realpath: RootfsPath,
    /// Its file.
    pub id: FileId,
    /// PT_INTERP verbatim, and the file to which it leads.
    pub interpreter: Option<(RootfsPath, Option<(RootfsPath, FileId)>)>,
    /// The loader whose rules were applied; `None` for a static executable.
    pub loader: Option<Arc<Loader>>,
    /// The kind of embedded contents of an executable that maps nothing else.
    #[doc(hidden)]
    pub carrier: Option<Carrier>,
    /// Shared objects in the order of mapping, without the executable: those that the loader maps at the start, then
    /// those that dlopen notes add.
    pub objects: Vec<Loaded>,
    /// The number of `objects` that are mapped at the start.
    pub at_start: usize,
    /// The dlopen notes of the executable and of the objects, each with its outcome.
    #[doc(hidden)]
    pub notes: Vec<Noted>,
    /// The objects that glibc-hwcaps subdirectories add on other hardware, if requested.
    #[doc(hidden)]
    pub variants: Vec<Loaded>,
    /// Unreadable notes: the object (`None` is the executable), and the reason.
    pub bad_notes: Vec<(Option<usize>, String)>,
    /// Libraries that may be opened without a note, if [`find_may_open`](super::Resolver::find_may_open) was called.
    #[doc(hidden)]
    pub may_open: Vec<MayOpen>,
    /// The objects that call dlopen(3) without notes and name no further present library, if that was called; `None` is
    /// the executable.
    #[doc(hidden)]
    pub opens_unnamed: Vec<Option<usize>>,
    /// Names that were not found, or whose file cannot be loaded.
    pub missing: Vec<Missing>,
    /// Names that were not searched for, because the target provides the library.
    #[doc(hidden)]
    pub given: Vec<Given>,
    /// Candidates for another class or machine that the loader skips, in order.
    pub passed_over: Vec<(RootfsPath, Machine)>,
    /// Further names of objects: searches for them led to an object that was already mapped.
    #[doc(hidden)]
    pub other_names: Vec<OtherName>,
    /// Edges from an object to one that it needs: indices into `objects`; `None` is the executable.
    pub edges: Vec<(Option<usize>, usize)>,
    /// The oldest glibc and Linux on which it runs.
    #[doc(hidden)]
    pub runs_on: RunsOn,
}

impl Closure {
    /// The loader's path of an object: by its index in `objects`, or of the executable.
    pub fn path(&self, object: Option<usize>) -> &RootfsPath {
        object.map_or(&self.realpath, |index| &self.objects[index].path)
    }
}

/// A shared object of a [`Closure`].
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The name by which it was first needed.
    pub needed: Bytes,
    /// The loader's path of the object.
    pub path: RootfsPath,
    /// The path without symlinks.
    pub realpath: RootfsPath,
    /// Its file.
    pub file: FileId,
    /// The source in which it was found.
    pub found_by: FoundBy,
    /// The glibc-hwcaps subdirectory that contains it, for particular hardware.
    pub hwcaps: Option<Bytes>,
}

/// A name that led to an already mapped file.
#[derive(Debug, Clone)]
pub struct OtherName {
    /// The name, and the file to which it led.
    pub found: Loaded,
    /// Its index in [`Closure::objects`].
    pub object: usize,
    /// The object that needs it by that name; `None` for the executable.
    pub needed_by: Option<usize>,
}

impl Loaded {
    /// Returns whether only the loader's configuration led to it: no default directory, and no path in an ELF file.
    pub fn is_searched(&self, loader: &Loader) -> bool {
        let folder = match &self.hwcaps {
            // There only the needed name finds it.
            Some(_) if self.path.file_name() == &*self.needed => hwcaps::above(&self.path),
            _ => self.path.parent(),
        };
        matches!(self.found_by, FoundBy::Cache | FoundBy::Conf | FoundBy::LibraryPath)
            && folder.is_some_and(|folder| !loader.default_dirs.contains(&folder))
    }
}

/// A name without a library.
#[derive(Debug, Clone)]
pub struct Missing {
    /// The name, as in DT_NEEDED with its tokens replaced.
    pub needed: Bytes,
    /// The object that needs it.
    pub needed_by: RootfsPath,
    /// Every place tried, in order.
    pub tried: Vec<Attempt>,
    /// The file that the loader accepts but cannot load, and the reason.
    pub bad: Option<(RootfsPath, String)>,
    /// The dlopen note that opens it, if it is not needed at the start.
    pub opened: Option<Arc<Note>>,
    /// The glibc-hwcaps subdirectory that has it, which only some hardware searches.
    pub only_for: Option<Box<Bytes>>,
}

impl Missing {
    /// The library that the sysroot lacks; `None` if it has one that cannot be loaded.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        let name = || Shortage::Library(String::from_utf8_lossy(&self.needed).into_owned());
        self.bad.is_none().then(name)
    }
}

/// One entry of a dlopen note of an object in a closure, and its outcome.
#[derive(Debug, Clone)]
pub struct Noted {
    /// The note itself.
    pub note: Arc<Note>,
    /// The object with the note: an index into the closure's objects; `None` is the executable.
    pub by: Option<usize>,
    /// Its outcome.
    pub opening: Opening,
}

/// The outcome of an entry of a dlopen note.
#[derive(Debug, Clone)]
pub enum Opening {
    /// It is present.
    Taken {
        /// The index of the first soname that can be opened.
        soname: usize,
        /// An index into the closure's objects; `None` is the executable itself.
        object: Option<usize>,
    },
    /// Notes of its priority are not followed.
    LeftOut,
    /// None of its sonames can be opened; the missing libraries of each.
    NotFound(Vec<Missing>),
}

/// A file that has no closure: not ELF, or not readable.
#[derive(Debug, Clone)]
pub enum Skipped {
    /// The path does not exist, or is no regular file.
    Absent(Find),
    /// It is not a readable ELF file.
    Bad {
        /// Its path without symlinks.
        realpath: RootfsPath,
        /// The file there.
        id: FileId,
        /// The reason.
        why: BadObject,
    },
}
