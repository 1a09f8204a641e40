//! A closure as a tree for people: who needs what, how it was found, what is missing.

use std::io::{self, Write};

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
pub fn tree(out: &mut dyn Write, file: &str, closure: &Result<Closure, Skipped>, show: Show) -> io::Result<()> {
    let closure = match closure {
        Ok(closure) => closure,
        Err(skipped) => return writeln!(out, "{file}: {}", skipped_text(skipped)),
    };
    writeln!(out, "{file}")?;
    match &closure.interpreter {
        Some((path, Some((realpath, _)))) if path != realpath => {
            writeln!(out, "    interpreter {path} -> {realpath}")?;
        }
        Some((path, Some(_))) => writeln!(out, "    interpreter {path}")?,
        Some((path, None)) => writeln!(out, "    interpreter {path} not found")?,
        None if closure.objects.is_empty() && closure.missing.is_empty() => writeln!(out, "    statically linked")?,
        None => {}
    }
    for (path, machine) in &closure.passed_over {
        writeln!(out, "    passed over {path}: it is for {machine}")?;
    }
    let mut printer = Printer { out, closure, opened: vec![false; closure.objects.len()], show };
    // Depth is bounded by the number of objects, which is bounded by nothing: no recursion.
    printer.print()
}

struct Printer<'a> {
    out: &'a mut dyn Write,
    closure: &'a Closure,
    opened: Vec<bool>,
    show: Show,
}

enum Line {
    Object(usize),
    Missing(usize),
}

impl Printer<'_> {
    fn print(&mut self) -> io::Result<()> {
        let children = self.children();
        let missing = self.missing();
        let lines = |parent: usize| {
            let objects = children[parent].iter().map(|child| Line::Object(*child));
            objects.chain(missing[parent].iter().map(|index| Line::Missing(*index))).collect::<Vec<_>>()
        };
        let mut stack = vec![lines(0).into_iter()];
        while let Some(level) = stack.last_mut() {
            let Some(line) = level.next() else {
                stack.pop();
                continue;
            };
            let indent = "    ".repeat(stack.len());
            match line {
                Line::Missing(index) => {
                    let missing = &self.closure.missing[index];
                    let name = String::from_utf8_lossy(&missing.needed);
                    match &missing.bad {
                        Some((path, why)) => writeln!(self.out, "{indent}{name} => {path} {why}")?,
                        None => writeln!(self.out, "{indent}{name} not found")?,
                    }
                }
                Line::Object(index) => {
                    let object = &self.closure.objects[index];
                    let again = std::mem::replace(&mut self.opened[index], true);
                    let name = String::from_utf8_lossy(&object.needed);
                    write!(self.out, "{indent}{name} => {}", object.path)?;
                    if object.realpath != object.path {
                        write!(self.out, " -> {}", object.realpath)?;
                    }
                    writeln!(self.out, " [{}]{}", object.found_by, if again { " (above)" } else { "" })?;
                    if !again {
                        stack.push(lines(index + 1).into_iter());
                    }
                }
            }
        }
        Ok(())
    }

    /// What each object needs, the executable at 0; by [`Show::Once`] only where it was needed first.
    fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.closure.objects.len() + 1];
        let mut seen = vec![false; self.closure.objects.len()];
        for &(parent, child) in &self.closure.edges {
            let first = !std::mem::replace(&mut seen[child], true);
            let parent = parent.map_or(0, |parent| parent + 1);
            if first || (self.show == Show::All && !children[parent].contains(&child)) {
                children[parent].push(child);
            }
        }
        children
    }

    fn missing(&self) -> Vec<Vec<usize>> {
        let mut missing = vec![Vec::new(); self.closure.objects.len() + 1];
        for (index, item) in self.closure.missing.iter().enumerate() {
            let parent = self.closure.objects.iter().position(|object| object.path == item.needed_by);
            missing[parent.map_or(0, |parent| parent + 1)].push(index);
        }
        missing
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
