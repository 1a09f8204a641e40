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

/// All that gets mapped when one executable starts.
#[derive(Debug, Clone)]
pub struct Closure {
    /// The executable, by the path it was asked for.
    pub file: RootfsPath,
    /// The same without links.
    pub realpath: RootfsPath,
    /// Its file.
    pub id: FileId,
    /// PT_INTERP as it stands, and where that leads.
    pub interpreter: Option<(RootfsPath, Option<(RootfsPath, FileId)>)>,
    /// The loader that the rules were taken from; `None` for a static executable.
    pub loader: Option<Arc<Loader>>,
    /// Where nothing is mapped with it, what it carries inside.
    pub carrier: Option<Carrier>,
    /// Shared objects in the order they are mapped, without the executable: those that the loader maps at
    /// the start, then those that dlopen notes add.
    pub objects: Vec<Loaded>,
    /// The number of `objects` that are mapped at the start.
    pub at_start: usize,
    /// The dlopen notes of the executable and of the objects, each with its outcome.
    pub notes: Vec<Noted>,
    /// The objects that glibc-hwcaps subdirectories add on other hardware, on request.
    pub variants: Vec<Loaded>,
    /// Notes that cannot be read: whose (`None` is the executable's), and why.
    pub bad_notes: Vec<(Option<usize>, String)>,
    /// Libraries that may be opened though no note says so, where [`find_may_open`](super::Resolver::find_may_open) was asked.
    pub may_open: Vec<MayOpen>,
    /// Likewise, what calls dlopen(3) without notes and names no library that is there besides; `None` is the executable.
    pub opens_unnamed: Vec<Option<usize>>,
    /// Names that were not found, or were found and cannot be loaded.
    pub missing: Vec<Missing>,
    /// Names that were not searched, because the target has the library.
    pub given: Vec<Given>,
    /// Candidates for another class or machine that the loader passes over, in order.
    pub passed_over: Vec<(RootfsPath, Machine)>,
    /// Names of objects besides the one they were first needed by: what was found by them is an object already.
    pub other_names: Vec<OtherName>,
    /// Edges from an object to one that it needs: indices into `objects`; `None` is the executable.
    pub edges: Vec<(Option<usize>, usize)>,
    /// The oldest glibc and Linux that it runs on.
    pub runs_on: RunsOn,
}

impl Closure {
    /// The path by which the loader knows an object: by its index in `objects`, or the executable.
    pub fn path(&self, object: Option<usize>) -> &RootfsPath {
        object.map_or(&self.realpath, |index| &self.objects[index].path)
    }
}

/// A shared object of a [`Closure`].
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The name by which it was first needed.
    pub needed: Bytes,
    /// The path by which the loader knows it.
    pub path: RootfsPath,
    /// The same without links.
    pub realpath: RootfsPath,
    /// Its file.
    pub file: FileId,
    /// The source in which it was found.
    pub found_by: FoundBy,
    /// The glibc-hwcaps subdirectory that it is in: what hardware it is for.
    pub hwcaps: Option<Bytes>,
}

/// A name that led to a file which was mapped already, or which stands for one that was.
#[derive(Debug, Clone)]
pub struct OtherName {
    /// The name, and what it led to.
    pub found: Loaded,
    /// Its index in [`Closure::objects`].
    pub object: usize,
    /// The object that needs it by that name; `None` for the executable.
    pub needed_by: Option<usize>,
}

impl Loaded {
    /// Returns whether the loader's configuration alone led to it: no default directory, and nothing in an ELF file.
    pub fn is_searched(&self, loader: &Loader) -> bool {
        let folder = match &self.hwcaps {
            // There it is found by the name that it is needed by, and by no other.
            Some(_) if self.path.file_name() == &*self.needed => hwcaps::above(&self.path),
            _ => self.path.parent(),
        };
        matches!(self.found_by, FoundBy::Cache | FoundBy::Conf | FoundBy::LibraryPath)
            && folder.is_some_and(|folder| !loader.default_dirs.contains(&folder))
    }
}

/// A name for which there is no library.
#[derive(Debug, Clone)]
pub struct Missing {
    /// The name, as in DT_NEEDED with its tokens replaced.
    pub needed: Bytes,
    /// The object that needs it.
    pub needed_by: RootfsPath,
    /// Every place tried, in order.
    pub tried: Vec<Attempt>,
    /// The file that the loader takes and gives up on, and why.
    pub bad: Option<(RootfsPath, String)>,
    /// The dlopen note by which it is opened, where it is not needed at the start.
    pub opened: Option<Arc<Note>>,
    /// The glibc-hwcaps subdirectory that has it, and that not all hardware uses.
    pub only_for: Option<Box<Bytes>>,
}

impl Missing {
    /// The library that the sysroot lacks; `None` where it has one that cannot be loaded.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        let name = || Shortage::Library(String::from_utf8_lossy(&self.needed).into_owned());
        self.bad.is_none().then(name)
    }
}

/// One entry of a dlopen note of an object in a closure, and what came of it.
#[derive(Debug, Clone)]
pub struct Noted {
    /// The note itself.
    pub note: Arc<Note>,
    /// Whose it is: an index into the closure's objects; `None` is the executable.
    pub by: Option<usize>,
    /// Its outcome.
    pub opening: Opening,
}

/// The outcome of an entry of a dlopen note.
#[derive(Debug, Clone)]
pub enum Opening {
    /// It is there.
    Taken {
        /// The index of the first soname that can be opened.
        soname: usize,
        /// An index into the closure's objects; `None` is the executable itself.
        object: Option<usize>,
    },
    /// Notes of its priority are not followed.
    LeftOut,
    /// None of its sonames can be opened: what each lacks.
    NotFound(Vec<Missing>),
}

/// A file that has no closure: not ELF, or not readable.
#[derive(Debug, Clone)]
pub enum Skipped {
    /// Nothing is at the path, or not a regular file.
    Absent(Find),
    /// It is no ELF file that can be read.
    Bad {
        /// Its path without symlinks.
        realpath: RootfsPath,
        /// The file there.
        id: FileId,
        /// The reason.
        why: BadObject,
    },
}
