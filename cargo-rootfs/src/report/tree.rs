//! A closure as a tree for people: who needs what, how it was found, what is missing.

use std::borrow::Cow;

use super::runs_on;
use crate::resolve::{Closure, Find, Skipped};

/// How much of a tree is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Each library once, under the first that needs it.
    Once,
    /// Each library under all that need it, itself opened only the first time.
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
        None if closure.objects.is_empty() && closure.missing.is_empty() => put(out, ["    statically linked\n"]),
        None => {}
    }
    runs_on::line(out, closure);
    for (path, machine) in &closure.passed_over {
        put(out, ["    passed over ", &path.to_text(), ": it is for ", &machine.to_string(), "\n"]);
    }
    Printer { out, closure, opened: vec![false; closure.objects.len()], lines: Lines::new(closure, show) }.print();
}

fn put<const N: usize>(out: &mut Vec<u8>, parts: [&str; N]) {
    put_bytes(out, parts.map(str::as_bytes));
}

/// Names go out as they stand, UTF-8 or not.
fn put_bytes<const N: usize>(out: &mut Vec<u8>, parts: [&[u8]; N]) {
    out.reserve(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// The blanks before a line; a deeper one takes several.
const INDENT: &[u8] = &[b' '; 64];

struct Printer<'a> {
    out: &'a mut Vec<u8>,
    closure: &'a Closure,
    opened: Vec<bool>,
    lines: Lines,
}

impl Printer<'_> {
    // Depth is bounded by the number of objects, which is bounded by nothing: no recursion.
    fn print(&mut self) {
        let mut stack = vec![self.lines.first[0]];
        while let Some(next) = stack.last_mut() {
            let Some(line) = self.lines.all.get(*next as usize) else {
                stack.pop();
                continue;
            };
            *next = line.next;
            let index = line.index as usize;
            let (is_missing, depth) = (line.is_missing, stack.len());
            let mut indent = 4 * depth;
            while indent > 0 {
                let blanks = indent.min(INDENT.len());
                self.out.extend_from_slice(&INDENT[..blanks]);
                indent -= blanks;
            }
            if is_missing {
                self.missing(index);
            } else if self.object(index) {
                stack.push(self.lines.first[index + 1]);
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

    /// Whether it is there for the first time, so that what it needs is to be shown.
    fn object(&mut self, index: usize) -> bool {
        let object = &self.closure.objects[index];
        let again = std::mem::replace(&mut self.opened[index], true);
        let is_link = object.realpath != object.path;
        let (arrow, realpath) = if is_link { (" -> ", object.realpath.as_bytes()) } else { ("", &b""[..]) };
        let end = if again { "] (above)\n" } else { "]\n" };
        let [path, by] = [object.path.as_bytes(), object.found_by.as_str().as_bytes()];
        let [arrow, end] = [arrow, end].map(str::as_bytes);
        put_bytes(self.out, [&object.needed, b" => ", path, arrow, realpath, b" [", by, end]);
        !again
    }
}

/// What stands below each object, the executable at 0: lists through one table, for there are many objects
/// and most need little.
struct Lines {
    first: Vec<u32>,
    all: Vec<Line>,
}

struct Line {
    index: u32,
    is_missing: bool,
    next: u32,
}

/// The end of a list.
const NONE: u32 = u32::MAX;

impl Lines {
    /// By [`Show::Once`] each object only where it was needed first.
    fn new(closure: &Closure, show: Show) -> Self {
        let count = closure.objects.len();
        let mut lines = Self { first: vec![NONE; count + 1], all: Vec::with_capacity(closure.edges.len()) };
        let mut last = vec![NONE; count + 1];
        // Under which parent each object stood last.
        let mut parents = vec![NONE; count];
        for &(parent, child) in &closure.edges {
            let parent = parent.map_or(0, |parent| parent + 1);
            let before = std::mem::replace(&mut parents[child], parent as u32);
            if before == NONE || (show == Show::All && before != parent as u32) {
                lines.add(&mut last, parent, child, false);
            }
        }
        for (index, item) in closure.missing.iter().enumerate() {
            let parent = closure.objects.iter().position(|object| object.path == item.needed_by);
            lines.add(&mut last, parent.map_or(0, |parent| parent + 1), index, true);
        }
        lines
    }

    fn add(&mut self, last: &mut [u32], parent: usize, index: usize, is_missing: bool) {
        // No closure has four thousand million objects.
        let at = self.all.len() as u32;
        self.all.push(Line { index: index as u32, is_missing, next: NONE });
        match std::mem::replace(&mut last[parent], at) {
            NONE => self.first[parent] = at,
            before => self.all[before as usize].next = at,
        }
    }
}

/// As text; what is not UTF-8 becomes U+FFFD. Nearly every name is ASCII, which is seen faster.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Why a file has no closure, in a phrase.
pub(super) fn skipped_text(skipped: &Skipped) -> String {
    match skipped {
        Skipped::Absent(Find::Absent) => "not found".to_owned(),
        Skipped::Absent(Find::Dir) => "is a directory".to_owned(),
        Skipped::Absent(Find::Special(word)) => format!("is a {word}"),
        Skipped::Absent(Find::Loop) => "too many levels of symbolic links".to_owned(),
        Skipped::Absent(Find::Failed(why)) => why.clone(),
        Skipped::Absent(Find::File { .. }) => "not an ELF file".to_owned(),
        Skipped::Bad { why, .. } => why.to_string(),
    }
}
