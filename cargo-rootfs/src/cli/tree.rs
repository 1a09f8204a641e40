//! `tree`: the closures of files, or of everything in a rootfs that runs.
//!
//! [`crate::resolve`] finds them, and [`crate::report`] turns them into text.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::meeting;
use super::terminal::{self, Terminal, bytes};
use crate::error::{Error, Result, exit_code};
use crate::layout::{Assembly, Script, Suggestion, Variants};
use crate::options::{Format, TreeArgs};
use crate::path::RootfsPath;
use crate::pipeline::Session;
use crate::plan::Request;
use crate::report::{self, Cost, Costs, Show};
use crate::resolve::{Closure, LibraryPath, Resolver, Skipped};
use crate::sysroot::Sysroot;

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

/// `tree`: the closures of everything in each rootfs that runs.
pub(super) fn run(request: &Request<'_>, args: &TreeArgs, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    let proved = Session::new(request, terminal)?.prove()?;
    proved.into_iter().try_for_each(|one| of_rootfs(one.assembly, args, terminal))
}

fn of_rootfs(assembly: Assembly, args: &TreeArgs, terminal: &Terminal) -> Result<()> {
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
            return report::sizes(&mut self.text, costs, |size| bytes(size).to_string());
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
