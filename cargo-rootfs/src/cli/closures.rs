//! `tree` and `why`: from what was typed to the rooms that know, and what these say to the terminal.
//!
//! How closures are found and shown is theirs: [`crate::resolve`] and [`crate::report`].

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8Path;
use serde_json::json;

use super::meeting;
use super::output;
use super::terminal::{self, Terminal};
use crate::error::{Error, Result, exit_code};
use crate::layout::{Assembly, Script, Suggestion, Variants};
use crate::options::{Format, TreeArgs};
use crate::path::RootfsPath;
use crate::report::{self, Cost, Costs, Show};
use crate::resolve::{Closure, LibraryPath, Loaded, Note, Noted, Opening, Resolver, Skipped};
use crate::rootfs::Origin;
use crate::sysroot::Sysroot;
use crate::target::Target;

/// `tree FILE...`: one file after the other; a bad one stops none of the rest, but fails the run.
pub(super) fn of_files(args: &TreeArgs, terminal: &Terminal) -> Result<()> {
    let folder = args.content.sysroot.as_deref().unwrap_or("/");
    if folder == "auto" || !(folder.contains('/') || folder == "." || folder == "..") {
        let error = Error::usage(format!("`--sysroot {folder}` is not a folder, which `tree FILE` looks in"));
        return Err(match std::path::Path::new(folder).is_dir() {
            true => error.help(format!("a folder is written with a slash: --sysroot ./{folder}")),
            false => error.help(format!("--sysroot $(cargo rootfs sysroot path --tools-only --sysroot {folder})")),
        });
    }
    let current_dir = std::env::current_dir().map_err(|error| Error::io("find", "the current folder", error))?;
    let mut sysroot = Sysroot::open(folder.as_ref())?;
    // Only where the tree is the host's own does the current folder mean anything in it.
    let is_host = sysroot.root() == std::path::Path::new("/");
    let current = current_dir.to_str().filter(|_| is_host).and_then(|folder| RootfsPath::from_bytes(folder.as_bytes()));
    let inside = |path: &[u8]| match &current {
        Some(current) if !path.starts_with(b"/") => current.join(path),
        _ => RootfsPath::root().join(path),
    };
    let follows = args.content.dlopen.unwrap_or_default();
    let texts = args.content.library_path.iter().flatten();
    let texts = texts.map(|text| if is_host { text.clone() } else { from_the_root(text) });
    let library_path: Vec<_> = texts.map(|text| LibraryPath::Text(text.into_bytes().into())).collect();
    let resolver = || Resolver::new(library_path.clone(), current.clone()).preloading().following(follows);
    let mut first = resolver();
    let paths: Vec<RootfsPath> = args.files.iter().map(|file| inside(file.as_bytes())).collect();
    first.read_ahead(&mut sysroot, &paths);
    let is_incomplete = AtomicBool::new(false);
    let show = Show::of(args);
    let report = |resolver: &mut Resolver, sysroot: &mut Sysroot, text: &mut Vec<u8>, index: usize| {
        let closure = of_file(args, resolver, sysroot, &paths[index]);
        if !closure.as_ref().is_ok_and(|closure| closure.missing.is_empty()) {
            is_incomplete.store(true, Ordering::Relaxed);
        }
        let name = &args.files[index];
        add(text, terminal.format(), show, &name.to_string_lossy(), &closure);
    };
    let other = meeting::is_worthwhile(paths.len()).then(|| (resolver(), sysroot.twin()));
    let mut page = Page { text: Vec::new(), how_much: show, terminal };
    let here = |index| {
        report(&mut first, &mut sysroot, &mut page.text, index);
        page.put_if_full()
    };
    let there = |(resolver, sysroot): &mut (Resolver, Sysroot), index| {
        let mut text = Vec::new();
        report(resolver, sysroot, &mut text, index);
        text
    };
    for text in meeting::meet(paths.len(), other, here, there)? {
        page.text.extend(text);
        page.put_if_full()?;
    }
    page.put()?;
    // The process is about to end: freeing the memory piece by piece first would be the longest step of a short run.
    std::mem::forget((sysroot, first));
    // What is wrong has been shown where it is wrong.
    if is_incomplete.into_inner() { Err(Error::cargo(exit_code::FAILED, "")) } else { Ok(()) }
}

/// The closure of one file, with what was asked for besides.
fn of_file(
    args: &TreeArgs,
    resolver: &mut Resolver,
    sysroot: &mut Sysroot,
    path: &RootfsPath,
) -> Result<Closure, Skipped> {
    let mut closure = resolver.closure(sysroot, path)?;
    if args.content.hwcaps == Some(Variants::All) {
        let above = resolver.closures_above(sysroot, &closure);
        above.iter().for_each(|(_, variant)| closure.add_variant(variant));
    }
    if args.may_open {
        resolver.find_may_open(sysroot, &mut closure);
    }
    Ok(closure)
}

/// Adds the report of one closure.
fn add(text: &mut Vec<u8>, format: Format, show: Show, name: &str, closure: &Result<Closure, Skipped>) {
    match format {
        Format::Json => report::closure_json(text, name, closure),
        Format::Human => report::tree(text, name, closure, show),
    }
}

/// A library path for a sysroot, where paths start from its root as those of files do; an empty element is none.
fn from_the_root(text: &str) -> String {
    let elements = text.split([':', ';']).filter(|element| !element.is_empty());
    let rooted = elements.map(|element| match element.as_bytes()[0] {
        b'/' | b'$' => element.to_owned(),
        _ => format!("/{element}"),
    });
    rooted.collect::<Vec<String>>().join(":")
}

/// `tree`: the closures of everything in a rootfs that runs.
pub(super) fn of_rootfs(assembly: Assembly, args: &TreeArgs, terminal: &Terminal) -> Result<()> {
    let mut page = Page { text: Vec::new(), how_much: Show::of(args), terminal };
    if args.sizes {
        page.sizes(&report::costs(&assembly.rootfs));
        return page.put();
    }
    assembly.closures.into_iter().try_for_each(|(name, closure)| page.add(&name, &Ok(closure)))?;
    page.scripts(&assembly.scripts, &assembly.suggestions);
    page.put()
}

/// Reports on their way out: a write for each of a thousand files would cost more than some of them.
struct Page<'t> {
    text: Vec<u8>,
    how_much: Show,
    terminal: &'t Terminal,
}

/// What is put out at once.
const PAGE: usize = 32 << 10;

impl Page<'_> {
    fn add(&mut self, name: &str, closure: &Result<Closure, Skipped>) -> Result<()> {
        add(&mut self.text, self.terminal.format(), self.how_much, name, closure);
        self.put_if_full()
    }

    fn put_if_full(&mut self) -> Result<()> {
        if self.text.len() < PAGE { Ok(()) } else { self.put() }
    }

    /// Scripts, and who may run what is not packed.
    fn scripts(&mut self, scripts: &[Script], suggestions: &[Suggestion]) {
        if self.terminal.format() == Format::Human {
            scripts.iter().for_each(|script| report::script(&mut self.text, script));
            return report::suggestions(&mut self.text, suggestions);
        }
        for script in scripts {
            let program = script.program.as_ref().map(ToString::to_string);
            let names = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            let fields = json!({
                "file": script.name,
                "path": script.path.to_string(),
                "realpath": script.realpath.to_string(),
                "interpreter": script.interpreter.to_string(),
                "program": program,
                "calls": names(&script.calls),
                "execs": names(&script.execs),
            });
            self.text.extend(terminal::line("script", &fields).into_bytes());
        }
        for Suggestion { tool, by, rule } in suggestions {
            let fields = json!({"tool": tool, "needed_by": by.to_string(), "rule": rule.as_deref()});
            self.text.extend(terminal::line("suggestion", &fields).into_bytes());
        }
    }

    /// What everything costs.
    fn sizes(&mut self, costs: &Costs) {
        if self.terminal.format() == Format::Human {
            return report::sizes(&mut self.text, costs, |size| output::bytes(size).to_string());
        }
        for Cost { of, alone, all } in &costs.each {
            let line = terminal::line("size", &json!({"of": of, "alone": alone, "all": all}));
            self.text.extend(line.into_bytes());
        }
        let line = terminal::line("sizes", &json!({"shared": costs.shared, "total": costs.total}));
        self.text.extend(line.into_bytes());
    }

    fn put(&mut self) -> Result<()> {
        self.terminal.result(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

impl Show {
    fn of(args: &TreeArgs) -> Self {
        if args.no_dedupe { Self::All } else { Self::Once }
    }
}

/// `why PATH`: an absolute path, or a name that entries of the rootfs have.
pub(super) fn why(assembly: &Assembly, target: &Target, typed: &str, terminal: &Terminal) -> Result<()> {
    let rootfs = &assembly.rootfs;
    let named = |name: &str| -> Vec<&RootfsPath> {
        rootfs.iter().map(|(path, _)| path).filter(|path| path.file_name() == name.as_bytes()).collect()
    };
    let asked: Vec<RootfsPath> = match RootfsPath::from_bytes(typed.as_bytes()) {
        Some(path) => Some(path).filter(|path| !report::way(rootfs, path).is_empty()).into_iter().collect(),
        None => named(typed).into_iter().cloned().collect(),
    };
    if asked.is_empty() {
        let error = Error::failed(format!("`{typed}` is not in the rootfs for {}", target.triple()));
        let name = Utf8Path::new(typed).file_name().unwrap_or(typed);
        if let Some((noted, by)) = left_out(assembly, name) {
            let priority = noted.note.priority;
            let error = error.detail(format!("left out: a dlopen note of {by} names it ({})", noted.note));
            return Err(match noted.opening {
                Opening::LeftOut => error.help(format!("add it by `--dlopen {priority}`")),
                _ => error.detail("it is not in the sysroot, or lacks something there"),
            });
        }
        if let Some((library, by)) = may_open(assembly, name) {
            let error = error.detail(format!("{by} may open it at run time, and no note says so"));
            return Err(error.help(format!("add it: --with-lib {library}")));
        }
        return Err(match named(name).first() {
            Some(near) => error.help(format!("`{near}` is")),
            None => error.help("`cargo rootfs tree` shows what it holds"),
        });
    }
    for path in &asked {
        let mut text = Vec::new();
        match terminal.format() {
            Format::Human => {
                report::why(&mut text, rootfs, path).map_err(unwritable)?;
                let file = report::way(rootfs, path).pop().map(|(path, _)| path);
                for note in file.iter().flat_map(|file| left_out_by(assembly, file)) {
                    text.extend(format!("    leaves out {} ({note})\n", sonames(note)).into_bytes());
                }
            }
            Format::Json => {
                for (path, entry) in report::way(rootfs, path) {
                    let origins: Vec<String> = entry.origins.iter().map(Origin::to_string).collect();
                    let left_out: Vec<_> = left_out_by(assembly, &path).into_iter().map(sonames).collect();
                    let mut fields = json!({"path": path.to_string(), "origins": origins, "target": target.triple()});
                    if !left_out.is_empty() {
                        fields["left_out"] = json!(left_out);
                    }
                    text.extend(terminal::line("rootfs-entry", &fields).into_bytes());
                }
            }
        }
        terminal.result(&text)?;
    }
    Ok(())
}

/// The dlopen note that names `soname` and was not followed to a library, and whose it is.
fn left_out<'a>(assembly: &'a Assembly, soname: &str) -> Option<(&'a Noted, &'a RootfsPath)> {
    let closures = assembly.closures.iter().map(|(_, closure)| closure);
    let mut noted = closures.flat_map(|closure| closure.notes.iter().map(move |noted| (noted, closure)));
    let (noted, closure) = noted.find(|(noted, _)| {
        let is_taken = matches!(noted.opening, Opening::Taken { .. });
        !is_taken && noted.note.sonames.iter().any(|name| **name == *soname.as_bytes())
    })?;
    Some((noted, noted.by.map_or(&closure.realpath, |by| &closure.objects[by].realpath)))
}

/// The soname by which `name` may be opened without a note, and by what.
fn may_open<'a>(assembly: &'a Assembly, name: &str) -> Option<(String, &'a RootfsPath)> {
    assembly.closures.iter().find_map(|(_, closure)| {
        let is_it = |library: &Loaded| {
            let names = [&*library.needed, library.path.file_name(), library.realpath.file_name()];
            names.contains(&name.as_bytes())
        };
        let found = closure.may_open.iter().find(|it| is_it(&it.library))?;
        let by = found.by.map_or(&closure.realpath, |by| &closure.objects[by].realpath);
        Some((String::from_utf8_lossy(&found.library.needed).into_owned(), by))
    })
}

/// The dlopen notes of the object at `path` that were not followed to a library.
fn left_out_by<'a>(assembly: &'a Assembly, path: &RootfsPath) -> Vec<&'a Note> {
    let mut notes: Vec<&Note> = Vec::new();
    for closure in assembly.closures.iter().map(|(_, closure)| closure) {
        for noted in &closure.notes {
            let by = noted.by.map_or(&closure.realpath, |by| &closure.objects[by].realpath);
            let is_taken = matches!(noted.opening, Opening::Taken { .. });
            if by == path && !is_taken && !notes.contains(&&*noted.note) {
                notes.push(&noted.note);
            }
        }
    }
    notes
}

fn sonames(note: &Note) -> String {
    note.sonames.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(" or ")
}

/// Writing to memory does not fail.
fn unwritable(error: io::Error) -> Error {
    Error::failed("cannot write a report").with_source(error)
}
