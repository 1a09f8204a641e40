//! `tree`: prints the closures of files, or of all programs in a rootfs.
//!
//! [`crate::resolve`] computes them, and [`crate::report`] formats them.

use std::sync::Arc;

use serde_json::json;

use super::scripts;
use super::terminal::{self, Terminal, bytes};
use crate::error::{Error, Result};
use crate::layout::{Assembly, Script, Suggestion};
use crate::options::{Format, TreeArgs};
use crate::pipeline::{LooseFiles, Session};
use crate::plan::Request;
use crate::report::{self, Cost, Costs, Show};
use crate::resolve::{Closure, Skipped, TargetLibraries};

/// Runs `tree FILE...`, one file after the other; a faulty one does not stop the others, but fails the run.
pub(super) fn of_files(args: &TreeArgs, terminal: &Terminal) -> Result<()> {
    let folder = args.rootfs.content.sysroot.as_deref().unwrap_or("/");
    if folder == "auto" || !(folder.contains('/') || folder == "." || folder == "..") {
        let error = Error::usage(format!("`--sysroot {folder}` is not a directory, which `tree FILE` looks in"));
        return Err(match std::path::Path::new(folder).is_dir() {
            true => error.help(format!("a directory is written with a slash: --sysroot ./{folder}")),
            false => error.help(format!("--sysroot $(cargo rootfs sysroot path --tools-only --sysroot {folder})")),
        });
    }
    let files = LooseFiles {
        sysroot: folder.as_ref(),
        files: &args.files,
        library_path: args.rootfs.content.library_path.as_deref().unwrap_or_default(),
        given: TargetLibraries::parse(args.rootfs.content.allow_missing.as_deref().unwrap_or_default())
            .map_err(Error::usage)?,
        follows: args.rootfs.content.dlopen.unwrap_or_default(),
        hwcaps: args.rootfs.content.hwcaps.unwrap_or_default(),
        may_open: args.may_open,
    };
    let (format, show) = (terminal.format(), Show::of(args));
    let render = |text: &mut Vec<u8>, name: &str, closure: &_| add(text, format, show, name, closure);
    let mut page = Page { text: Vec::new(), terminal };
    let is_complete = files.each(&render, &mut |text| {
        page.text.extend_from_slice(text);
        page.put_if_full()
    })?;
    page.put()?;
    // The faults were already shown in the trees.
    if is_complete { Ok(()) } else { Err(Error::failed("")) }
}

/// Adds the report of one closure.
fn add(text: &mut Vec<u8>, format: Format, show: Show, name: &str, closure: &Result<Closure, Skipped>) {
    match format {
        Format::Json => report::closure_json(text, name, closure),
        Format::Human => report::tree(text, name, closure, show),
    }
}

/// Runs `tree`: the closures of all programs in each rootfs.
pub(super) fn run(request: &Request<'_>, args: &TreeArgs, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    let proved = Session::new(request, terminal)?.prove()?;
    proved.into_iter().try_for_each(|one| of_rootfs(one.assembly, args, terminal))
}

fn of_rootfs(assembly: Assembly, args: &TreeArgs, terminal: &Terminal) -> Result<()> {
    let mut page = Page { text: Vec::new(), terminal };
    if args.sizes {
        page.sizes(&report::costs(&assembly.rootfs));
        return page.put();
    }
    for (name, closure) in assembly.closures {
        add(&mut page.text, terminal.format(), Show::of(args), &name, &Ok(closure));
        page.put_if_full()?;
    }
    page.scripts(&assembly.scripts, &assembly.suggestions);
    page.put()
}

/// A buffer of reports: a write for each of a thousand files would cost more than some of the reports.
struct Page<'t> {
    text: Vec<u8>,
    terminal: &'t Terminal,
}

/// The size of one write.
const PAGE: usize = 32 << 10;

impl Page<'_> {
    fn put_if_full(&mut self) -> Result<()> {
        if self.text.len() < PAGE { Ok(()) } else { self.put() }
    }

    /// Adds scripts, and the suggested programs with their callers.
    fn scripts(&mut self, scripts: &[Script], suggestions: &[Suggestion]) {
        if self.terminal.format() == Format::Human {
            scripts.iter().for_each(|script| scripts::script(&mut self.text, script));
            return scripts::suggestions(&mut self.text, suggestions);
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

    /// Adds the sizes of tools and executables.
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
