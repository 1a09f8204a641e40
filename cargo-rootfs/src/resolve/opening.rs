//! Dlopen notes followed: what the objects of a process say that they open at run time, found as dlopen(3)
//! would find it from them, with all that it needs and notes in turn.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::closure::{Missing, Noted, Opening};
use super::dlopen::{Note, Priority};
use super::resolver::{Mapped, Process, Resolver};
use super::{FileId, FoundBy, Libc};
use crate::elf::{Bytes, DF_1_NOOPEN};

/// The most that is done for the notes of one process, counted in objects that are mapped or made known again.
/// systemd has some 40 notes and 30 objects.
const MAX_SPENT: usize = 1 << 20;
/// Of how many missing names it is told where they were looked for; a note has two or three.
const MAX_TOLD: usize = 16;

/// Objects that come together: those of the start, or those that opening one library adds.
struct Group {
    /// The group of the object whose note it was: that one is there, and so is whatever its own group came to.
    opened_by: Option<usize>,
    mapped: Range<usize>,
    aliases: Range<usize>,
}

/// The most useful part of all that the sonames of a note lack: the needs of one that is present, or else the first
/// one.
fn worst(note: &Note, lacking: Vec<Missing>) -> Vec<Missing> {
    let is_there = |missing: &Missing| missing.bad.is_some() || !note.sonames.contains(&missing.needed);
    let (there, absent): (Vec<_>, Vec<_>) = lacking.into_iter().partition(is_there);
    if there.is_empty() { absent.into_iter().take(1).collect() } else { there }
}

impl Resolver {
    /// Opens what the notes of `process` say, and what the notes of what is opened say.
    ///
    /// In which order a program opens its libraries, and which it never opens, is not known. So each is opened when
    /// nothing is there but what is mapped at the start and what led to it: what it needs is never left to another.
    pub(super) fn open_noted(&mut self, process: &mut Process<'_>) {
        let start = Group { opened_by: None, mapped: 0..process.mapped.len(), aliases: 0..process.aliases.len() };
        let mut groups = vec![start];
        let mut read: FxHashSet<FileId> = FxHashSet::default();
        let mut group = 0;
        while group < groups.len() {
            // After the start, the names of this group's state are known only once it is set up.
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

    /// Makes known what is there when an object of `group` opens a library.
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

    /// dlopen(3) of `soname`, called by the object at `at`; where that fails, nothing of it is left.
    fn open(
        &mut self,
        process: &mut Process<'_>,
        at: usize,
        soname: &Bytes,
        note: &Arc<Note>,
    ) -> Result<usize, Vec<Missing>> {
        let name = self.names.id(soname);
        // glibc searches as for the object that calls (`dl_open_worker_begin`, elf/dl-open.c), musl as for the
        // program (`dlopen`, ldso/dynlink.c). After that only the program's RPATH is inherited: `_dl_map_object`
        // forgets who called, and then tries the executable's.
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

    /// Finds objects that were left out although they exist, if the loader's configuration leads to them from
    /// everywhere.
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
