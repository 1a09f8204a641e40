//! The compiled rows of one kind, which finds those that apply to a path.

use std::sync::OnceLock;

use super::row::{Kind, Row, SHARE, read};
use crate::glob::{Glob, Index};
use crate::path::RootfsPath;
use crate::rows::Fields;

/// The rows of one kind.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Compiled>,
    index: Index,
    /// Patterns below the first directory `share`.
    shared: Index,
    /// Rows for all files.
    everywhere: Vec<usize>,
}

#[derive(Debug)]
struct Compiled {
    row: Row,
    except: OnceLock<Vec<(Base, Glob)>>,
}

/// The directory to which a pattern is relative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Root,
    Share,
}

impl Table {
    /// The rows of an embedded file, and those of `own` of this kind.
    pub(super) fn new(kind: Kind, fields: &Fields, own: &[Row]) -> Self {
        let built_in = fields.iter().filter(|(key, _)| key == kind.word());
        let built_in = built_in.flat_map(|(_, datum)| read(kind, datum).expect("a test reads each row"));
        let own: Vec<&Row> = own.iter().filter(|row| row.kind == kind).collect();
        let is_own = |name: &str| own.iter().any(|row| *row.name == *name);
        let mut table =
            Self { rows: Vec::new(), index: Index::default(), shared: Index::default(), everywhere: Vec::new() };
        for row in built_in.filter(|row| !is_own(&row.name)) {
            table.add(row);
        }
        for (index, row) in own.iter().enumerate() {
            if !own[index + 1..].iter().any(|later| later.name == row.name) {
                table.add((*row).clone());
            }
        }
        table
    }

    fn add(&mut self, row: Row) {
        let number = self.rows.len();
        match &row.paths {
            None => self.everywhere.push(number),
            Some(paths) => {
                for text in paths {
                    match based(text) {
                        (Base::Root, text) => self.index.add(number, text.to_owned()),
                        (Base::Share, text) => self.shared.add(number, text.to_owned()),
                    }
                }
            }
        }
        self.rows.push(Compiled { row, except: OnceLock::new() });
    }

    /// The first row that applies to a file or one of its parent directories, and for which `is_meant` is true.
    pub(super) fn first(&self, path: &RootfsPath, is_meant: impl Fn(&Row) -> bool) -> Option<&Row> {
        let components: Vec<&[u8]> = path.components().collect();
        let shared = below_share(&components);
        let mut numbers = self.everywhere.clone();
        self.index.containing(&components, |number| numbers.push(number));
        self.shared.containing(shared, |number| numbers.push(number));
        numbers.sort_unstable();
        let mut rows = numbers.into_iter().map(|number| &self.rows[number]);
        let found = rows.find(|it| is_meant(&it.row) && it.row.has_ending(path) && !it.excepts(&components, shared))?;
        Some(&found.row)
    }
}

impl Compiled {
    fn excepts(&self, components: &[&[u8]], shared: &[&[u8]]) -> bool {
        let globs = self.except.get_or_init(|| {
            let based = self.row.except.iter().map(|text| based(text));
            based
                .flat_map(|(base, text)| Glob::parse(text).unwrap_or_default().into_iter().map(move |it| (base, it)))
                .collect()
        });
        globs.iter().any(|(base, glob)| glob.contains(if *base == Base::Root { components } else { shared }))
    }
}

impl Row {
    fn has_ending(&self, path: &RootfsPath) -> bool {
        if self.endings.is_empty() {
            return true;
        }
        let name = path.file_name();
        let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0);
        let ending = dot.map_or(&b""[..], |dot| &name[dot + 1..]);
        self.endings.iter().any(|known| match self.holds_key {
            true => ending.eq_ignore_ascii_case(known.as_bytes()),
            false => ending == known.as_bytes(),
        })
    }
}

fn based(text: &str) -> (Base, &str) {
    text.strip_prefix(SHARE).map_or((Base::Root, text), |rest| (Base::Share, rest))
}

/// The components below the first directory `share`.
pub(super) fn below_share<'c>(components: &'c [&'c [u8]]) -> &'c [&'c [u8]] {
    components.iter().position(|part| *part == b"share").map_or(&[], |at| &components[at + 1..])
}
