//! A closure as a readable tree: the needed objects, the way each was found, and the missing ones.

use super::json_text::text;
use super::runs_on;
use crate::elf::Bytes;
use crate::resolve::{Closure, Find, Loaded, Opening, Skipped};

/// The extent of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Each library once, under the first object that needs it.
    Once,
    /// Each library under all objects that need it, with its own needs only the first time.
    All,
}

/// Writes the tree of `file` (as typed).
pub fn tree(out: &mut Vec<u8>, file: &str, closure: &Result<Closure, Skipped>, show: Show) {
    out.extend_from_slice(file.as_bytes());
    let closure = match closure {
        Ok(closure) => closure,
        Err(skipped) => return put(out, [": ", &skipped_text(skipped), "\n"]),
    };
    put(out, ["\n"]);
    match &closure.interpreter {
        Some((path, found)) => {
            put(out, ["    interpreter ", &path.to_text()]);
            match found {
                Some((realpath, _)) if path != realpath => put(out, [" -> ", &realpath.to_text()]),
                Some(_) => {}
                None => put(out, [" not found"]),
            }
            put(out, ["\n"]);
        }
        None if closure.at_start == 0 && closure.missing.is_empty() && closure.given.is_empty() => {
            match closure.carrier {
                Some(carrier) => put(out, ["    ", &carrier.to_string(), ": its needs cannot be seen\n"]),
                None => put(out, ["    statically linked\n"]),
            }
        }
        None => {}
    }
    runs_on::line(out, closure);
    for (path, machine) in &closure.passed_over {
        put(out, ["    passed over ", &path.to_text(), ": it is for ", &machine.to_string(), "\n"]);
    }
    for object in &closure.variants {
        let hardware = object.hwcaps.as_ref().map_or_else(String::new, |level| format!(" {}", text(level)));
        put(out, ["    hwcaps", &hardware, ": ", &text(&object.needed), " => ", &object.path.to_text()]);
        if object.realpath != object.path {
            put(out, [" -> ", &object.realpath.to_text()]);
        }
        put(out, [" [", object.found_by.as_str(), "]\n"]);
    }
    Printer { out, closure, opened: vec![false; closure.objects.len()], lines: Lines::new(closure, show) }.print();
}

fn put<const N: usize>(out: &mut Vec<u8>, parts: [&str; N]) {
    put_bytes(out, parts.map(str::as_bytes));
}

/// Writes names verbatim, UTF-8 or not.
fn put_bytes<const N: usize>(out: &mut Vec<u8>, parts: [&[u8]; N]) {
    out.reserve(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Blanks for the indentation; a deeper line takes several copies.
const INDENT: &[u8] = &[b' '; 64];

struct Printer<'a> {
    out: &'a mut Vec<u8>,
    closure: &'a Closure,
    opened: Vec<bool>,
    lines: Lines,
}

impl Printer<'_> {
    // An explicit stack: the depth may be as large as the number of objects, which has no limit.
    fn print(&mut self) {
        let mut stack = vec![self.lines.first[0]];
        while let Some(next) = stack.last_mut() {
            let Some(line) = self.lines.all.get(*next as usize) else {
                stack.pop();
                continue;
            };
            *next = line.next;
            let index = line.index as usize;
            let (what, depth) = (line.what, stack.len());
            let mut indent = 4 * depth;
            while indent > 0 {
                let blanks = indent.min(INDENT.len());
                self.out.extend_from_slice(&INDENT[..blanks]);
                indent -= blanks;
            }
            let below = match what {
                What::Object => Some(index).filter(|_| self.object(index, "")),
                What::Missing => {
                    self.missing(index);
                    None
                }
                What::Note => self.note(index),
                What::Given => {
                    let needed = &self.closure.given[index].needed;
                    put_bytes(self.out, [needed, b" provided by the target (--allow-missing)\n"]);
                    None
                }
                What::MayOpen => {
                    let library = &self.closure.may_open[index].library;
                    put(self.out, ["may open "]);
                    self.library(library, " (no note says so)\n");
                    None
                }
                What::OpensUnnamed => {
                    put(self.out, ["calls dlopen, and names no other library\n"]);
                    None
                }
                What::BadNote => {
                    put(self.out, ["a dlopen note cannot be read: ", &self.closure.bad_notes[index].1, "\n"]);
                    None
                }
            };
            if let Some(object) = below {
                stack.push(self.lines.first[object + 1]);
            }
        }
    }

    fn missing(&mut self, index: usize) {
        let missing = &self.closure.missing[index];
        let name = text(&missing.needed);
        match &missing.bad {
            Some((path, why)) => put(self.out, [&name, " => ", &path.to_text(), " ", why, "\n"]),
            None => put(self.out, [&name, " not found\n"]),
        }
    }

    /// Prints the result of a note; returns its object if the needs of that are to be shown.
    fn note(&mut self, index: usize) -> Option<usize> {
        let noted = &self.closure.notes[index];
        let why = format!(" ({})", noted.note);
        put(self.out, ["dlopen "]);
        match &noted.opening {
            Opening::Taken { object: Some(object), .. } => return Some(*object).filter(|_| self.object(*object, &why)),
            Opening::Taken { soname, object: None } => {
                put(self.out, [&text(&noted.note.sonames[*soname]), " => the program itself", &why, "\n"]);
            }
            Opening::LeftOut => put(self.out, [&names(&noted.note.sonames), " left out", &why, "\n"]),
            Opening::NotFound(missing) => {
                put(self.out, [&names(&noted.note.sonames), " not found", &why]);
                let is_own = |name: &Bytes| noted.note.sonames.contains(name);
                let other: Vec<Bytes> =
                    missing.iter().map(|it| it.needed.clone()).filter(|name| !is_own(name)).collect();
                if !other.is_empty() {
                    put(self.out, [": lacks ", &names(&other)]);
                }
                for (path, why) in missing.iter().filter_map(|missing| missing.bad.as_ref()) {
                    put(self.out, [": ", &path.to_text(), " ", why]);
                }
                put(self.out, ["\n"]);
            }
        }
        None
    }

    /// Prints an object; returns whether it is the first time, when its needs are shown.
    fn object(&mut self, index: usize, why: &str) -> bool {
        let again = std::mem::replace(&mut self.opened[index], true);
        self.library(&self.closure.objects[index], why);
        put(self.out, [if again { " (above)\n" } else { "\n" }]);
        !again
    }

    fn library(&mut self, object: &Loaded, why: &str) {
        let is_link = object.realpath != object.path;
        let (arrow, realpath) = if is_link { (&b" -> "[..], object.realpath.as_bytes()) } else { (&b""[..], &b""[..]) };
        let [path, by] = [object.path.as_bytes(), object.found_by.as_str().as_bytes()];
        put_bytes(self.out, [&object.needed, b" => ", path, arrow, realpath, b" [", by, b"]", why.as_bytes()]);
    }
}

/// The lines below each object, the executable at 0. All lists are in one table: there are many objects, and most have
/// few needs.
struct Lines {
    first: Vec<u32>,
    all: Vec<Line>,
}

struct Line {
    index: u32,
    what: What,
    next: u32,
}

/// The type of a line's index.
#[derive(Clone, Copy)]
enum What {
    Object,
    Missing,
    Given,
    Note,
    BadNote,
    MayOpen,
    OpensUnnamed,
}

/// The end of a list.
const NONE: u32 = u32::MAX;

impl Lines {
    /// With [`Show::Once`], each object is only under the first one that needs it.
    fn new(closure: &Closure, show: Show) -> Self {
        let count = closure.objects.len();
        let mut lines = Self { first: vec![NONE; count + 1], all: Vec::with_capacity(closure.edges.len()) };
        let mut last = vec![NONE; count + 1];
        // The last parent under which each object was listed.
        let mut parents = vec![NONE; count];
        for &(parent, child) in &closure.edges {
            let parent = parent.map_or(0, |parent| parent + 1);
            let before = std::mem::replace(&mut parents[child], parent as u32);
            if before == NONE || (show == Show::All && before != parent as u32) {
                lines.add(&mut last, parent, child, What::Object);
            }
        }
        // The result of a note is shown at the note itself.
        for (index, item) in closure.missing.iter().enumerate().filter(|(_, item)| item.opened.is_none()) {
            let parent = closure.objects.iter().position(|object| object.path == item.needed_by);
            lines.add(&mut last, parent.map_or(0, |parent| parent + 1), index, What::Missing);
        }
        for (index, item) in closure.given.iter().enumerate() {
            let parent = closure.objects.iter().position(|object| object.path == item.needed_by);
            lines.add(&mut last, parent.map_or(0, |parent| parent + 1), index, What::Given);
        }
        let notes = closure.notes.iter().enumerate().map(|(index, noted)| (index, noted.by, What::Note));
        let bad = closure.bad_notes.iter().enumerate().map(|(index, (by, _))| (index, *by, What::BadNote));
        let may_open = closure.may_open.iter().enumerate().map(|(index, it)| (index, it.by, What::MayOpen));
        let unnamed = closure.opens_unnamed.iter().map(|by| (0, *by, What::OpensUnnamed));
        for (index, by, what) in notes.chain(bad).chain(may_open).chain(unnamed) {
            lines.add(&mut last, by.map_or(0, |by| by + 1), index, what);
        }
        lines
    }

    fn add(&mut self, last: &mut [u32], parent: usize, index: usize, what: What) {
        // No closure has 2^32 objects.
        let at = self.all.len() as u32;
        self.all.push(Line { index: index as u32, what, next: NONE });
        match std::mem::replace(&mut last[parent], at) {
            NONE => self.first[parent] = at,
            before => self.all[before as usize].next = at,
        }
    }
}

fn names(names: &[Bytes]) -> String {
    names.iter().map(|name| text(name)).collect::<Vec<_>>().join(" or ")
}

/// The reason why a file has no closure, in a phrase.
pub(super) fn skipped_text(skipped: &Skipped) -> String {
    match skipped {
        Skipped::Absent(Find::Absent | Find::NotDir) => "not found".to_owned(),
        Skipped::Absent(Find::Dir) => "is a directory".to_owned(),
        Skipped::Absent(Find::Special(word)) => format!("is a {word}"),
        Skipped::Absent(Find::Loop) => "too many levels of symbolic links".to_owned(),
        Skipped::Absent(Find::Failed(why)) => why.clone(),
        Skipped::Absent(Find::File { .. }) => "not an ELF file".to_owned(),
        Skipped::Bad { why, .. } => why.to_string(),
    }
}
