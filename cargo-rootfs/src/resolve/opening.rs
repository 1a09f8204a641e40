//! Follows dlopen notes: finds the libraries that the objects of a process declare to open, as dlopen(3) would find
//! them from there, with all their needs and notes in turn.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::closure::{Missing, Noted, Opening};
use super::dlopen::{Note, Priority};
use super::resolver::{Mapped, Process, Resolver};
use super::{FileId, FoundBy, Libc};
use crate::elf::{Bytes, DF_1_NOOPEN};

/// The limit of work for the notes of one process, in objects that are mapped or made known again. systemd has about 40
/// notes and 30 objects.
const MAX_SPENT: usize = 1 << 20;
/// The number of missing names whose search places are reported; a note has two or three names.
const MAX_TOLD: usize = 16;

/// Objects that are mapped together: at the start, or by opening one library.
struct Group {
    /// The group of the object with the note, whose objects and their needs are present.
    opened_by: Option<usize>,
    mapped: Range<usize>,
    aliases: Range<usize>,
}

/// The most useful part of the missing libraries of a note: the needs of a present soname, or else the first soname.
fn worst(note: &Note, lacking: Vec<Missing>) -> Vec<Missing> {
    let is_there = |missing: &Missing| missing.bad.is_some() || !note.sonames.contains(&missing.needed);
    let (there, absent): (Vec<_>, Vec<_>) = lacking.into_iter().partition(is_there);
    if there.is_empty() { absent.into_iter().take(1).collect() } else { there }
}

impl Resolver {
    /// Opens the libraries in the notes of `process`, and in the notes of the opened libraries.
    ///
    /// The order in which a program opens its libraries is unknown, and it may never open some. So each library is
    /// opened in a state with only the objects of the start and those that led to it: no need is left to another opened
    /// library.
    pub(super) fn open_noted(&mut self, process: &mut Process<'_>) {
        let start = Group { opened_by: None, mapped: 0..process.mapped.len(), aliases: 0..process.aliases.len() };
        let mut groups = vec![start];
        let mut read: FxHashSet<FileId> = FxHashSet::default();
        let mut group = 0;
        while group < groups.len() {
            // For every group but the start, the known names are restored on demand.
            let mut is_set = group == 0;
            for at in groups[group].mapped.clone() {
                let by = process.mapped[at].listed;
                let file = by.map_or(process.closure.id, |by| process.closure.objects[by].file);
                if process.mapped[at].object.dlopen_notes.is_empty() || !read.insert(file) {
                    continue;
                }
                for entry in self.notes.of(file, &process.mapped[at].object).iter() {
                    let note = match entry {
                        Ok(note) => Arc::clone(note),
                        Err(why) => {
                            process.closure.bad_notes.push((by, why.clone()));
                            continue;
                        }
                    };
                    if note.priority > self.follows {
                        process.closure.notes.push(Noted { note, by, opening: Opening::LeftOut });
                        continue;
                    }
                    let name = note.sonames.iter().map(|soname| self.names.id(soname)).collect::<Vec<_>>();
                    if name.into_iter().any(|name| self.is_given(process, at, name)) {
                        process.closure.notes.push(Noted { note, by, opening: Opening::LeftOut });
                        continue;
                    }
                    let mut lacking = Vec::new();
                    let mut taken = None;
                    for (index, soname) in note.sonames.iter().enumerate() {
                        if process.spent > MAX_SPENT {
                            process.closure.bad_notes.push((by, "there are too many libraries to open".to_owned()));
                            break;
                        }
                        if !is_set {
                            self.set_up(process, &groups, group);
                        }
                        is_set = false;
                        let before = (process.mapped.len(), process.aliases.len());
                        match self.open(process, at, soname, &note) {
                            Ok(opened) => {
                                let now = (process.mapped.len(), process.aliases.len());
                                is_set = now == before;
                                if !is_set {
                                    let (mapped, aliases) = (before.0..now.0, before.1..now.1);
                                    groups.push(Group { opened_by: Some(group), mapped, aliases });
                                }
                                taken = Some((index, process.mapped[opened].listed));
                                break;
                            }
                            Err(missing) if lacking.len() < MAX_TOLD => lacking.extend(missing),
                            Err(_) => {}
                        }
                    }
                    let opening = match taken {
                        Some((soname, object)) => Opening::Taken { soname, object },
                        None => Opening::NotFound(lacking.clone()),
                    };
                    if taken.is_none() && note.priority == Priority::Required {
                        process.closure.missing.append(&mut worst(&note, lacking));
                    }
                    process.closure.notes.push(Noted { note, by, opening });
                }
            }
            group += 1;
        }
        self.find_left_out(process);
    }

    /// Makes the objects known that are present when an object of `group` opens a library.
    fn set_up(&mut self, process: &mut Process<'_>, groups: &[Group], group: usize) {
        self.known.clear();
        self.by_file.clear();
        let mut chain = vec![group];
        while let Some(by) = chain.last().and_then(|group| groups[*group].opened_by) {
            chain.push(by);
        }
        for group in chain.into_iter().rev() {
            process.spent += groups[group].mapped.len();
            groups[group].mapped.clone().for_each(|at| self.make_known(process, at));
            for (name, at) in &process.aliases[groups[group].aliases.clone()] {
                self.known.set(*name, *at);
            }
        }
    }

    /// Does the dlopen(3) of `soname` by the object at `at`; after a failure nothing of it remains.
    fn open(
        &mut self,
        process: &mut Process<'_>,
        at: usize,
        soname: &Bytes,
        note: &Arc<Note>,
    ) -> Result<usize, Vec<Missing>> {
        let name = self.names.id(soname);
        // glibc searches for the calling object (`dl_open_worker_begin`, elf/dl-open.c), musl for the program
        // (`dlopen`, ldso/dynlink.c). For further needs, only the program's RPATH is inherited: `_dl_map_object` does
        // not know the caller, and then tries the executable's.
        let searcher = if process.loader.libc == Libc::Glibc { at } else { 0 };
        let closure = &process.closure;
        let (mapped, aliases, objects) = (process.mapped.len(), process.aliases.len(), closure.objects.len());
        let (edges, other_names) = (closure.edges.len(), closure.other_names.len());
        let (passed_over, missing) = (closure.passed_over.len(), closure.missing.len());
        process.spent += 1;
        let mut lacking = Vec::new();
        let opened = match self.map_object(process, searcher, 0, name) {
            Ok(opened) => {
                self.map_needed(process, mapped);
                process.spent += process.mapped.len() - mapped;
                lacking = process.closure.missing.split_off(missing);
                let refuses = |it: &Mapped| it.object.flags_1 & DF_1_NOOPEN != 0;
                if let Some(refusing) = process.mapped[mapped..].iter().find(|it| refuses(it)) {
                    let why = "shared object cannot be dlopen()ed".to_owned();
                    let bad = Some((refusing.path.clone(), why));
                    let needed_by = process.mapped[at].path.clone();
                    let (needed, tried) = (soname.clone(), Vec::new());
                    lacking.push(Missing { needed, needed_by, tried, bad, opened: None, only_for: None });
                }
                opened
            }
            Err(outcome) => {
                let mut missing = self.missing(process, searcher, name, outcome);
                missing.needed_by = process.mapped[at].path.clone();
                lacking.push(missing);
                0
            }
        };
        if lacking.is_empty() {
            for it in &process.mapped[mapped..] {
                if let ([Some(name), ..], Some(listed)) = (it.names, it.listed) {
                    let path = self.names.id(&Bytes::from(it.path.as_bytes()));
                    process.opened.insert((name, path), listed);
                }
            }
            return Ok(opened);
        }
        process.mapped.truncate(mapped);
        process.aliases.truncate(aliases);
        let closure = &mut process.closure;
        closure.objects.truncate(objects);
        closure.edges.truncate(edges);
        closure.other_names.truncate(other_names);
        closure.passed_over.truncate(passed_over);
        lacking.iter_mut().for_each(|missing| missing.opened = Some(Arc::clone(note)));
        Err(lacking)
    }

    /// Finds notes that are not followed although their library is present and the loader's configuration leads to it
    /// from every object.
    fn find_left_out(&self, process: &mut Process<'_>) {
        let closure = &mut process.closure;
        let mut there = FxHashMap::default();
        for (index, object) in closure.objects.iter().enumerate() {
            if !matches!(object.found_by, FoundBy::Rpath | FoundBy::Runpath | FoundBy::Absolute) {
                let soname = process.files.object(object.file).ok().and_then(|object| object.soname.clone());
                for name in std::iter::once(object.needed.clone()).chain(soname) {
                    there.entry(name).or_insert(index);
                }
            }
        }
        for noted in &mut closure.notes {
            if let Opening::LeftOut = noted.opening {
                let found = noted.note.sonames.iter().enumerate().find_map(|(at, name)| Some((at, *there.get(name)?)));
                if let Some((soname, object)) = found {
                    noted.opening = Opening::Taken { soname, object: Some(object) };
                }
            }
        }
    }
}
