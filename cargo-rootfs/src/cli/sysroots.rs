//! The sysroot of each rootfs: chosen, provisioned in rounds where a distribution has it, and told of.
//!
//! What is in one is for [`crate::provision`] to say; what a rootfs lacks, for [`crate::layout`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::output;
use super::terminal::{self, Terminal};
use crate::error::{Error, Result};
use crate::layout::{self, Artifacts, Assembly, Incomplete, Refusal};
use crate::options::Format;
use crate::plan::{RootfsPlan, SysrootPlan};
use crate::provision::{
    self, Cache, Candidate, Kept, May, Pinned, Place, Provided, Prune, Request, Step, Suite, Want, Watch,
};
use crate::shortage::Shortage;
use crate::target::{Machine, Target};
use crate::template::{Template, TemplateKind};

/// What holds for all rootfs of a run.
pub(super) struct Surroundings<'s> {
    pub(super) terminal: &'s Terminal,
    pub(super) pinned: Pinned,
    pub(super) may: May,
    /// Whether Ctrl-C was pressed.
    pub(super) stop: &'s dyn Fn() -> Result<()>,
}

/// A sysroot for one rootfs, and those that are left to try.
pub(super) struct Sysroot<'s> {
    around: &'s Surroundings<'s>,
    target: &'s Target,
    candidates: std::vec::IntoIter<Candidate>,
    /// Why what went before was not taken, for the line that says what was.
    passed_over: Vec<String>,
    /// What the packages of a distribution must have, and what they may have.
    wants: BTreeSet<Want>,
    hopes: BTreeSet<Want>,
    is_auto: bool,
    current: Current,
}

/// The one that is tried.
struct Current {
    folder: Utf8PathBuf,
    suite: Option<Suite>,
    /// What its packages were asked for.
    wants: BTreeSet<Want>,
    /// So that nobody prunes it.
    _kept: Option<Kept>,
}

impl Current {
    fn of_folder(folder: Utf8PathBuf) -> Self {
        Self { folder, suite: None, wants: BTreeSet::new(), _kept: None }
    }
}

impl<'s> Sysroot<'s> {
    /// Takes the first that may do. `linker` is the program that links for the target, where one is configured.
    pub(super) fn choose(plan: &'s RootfsPlan, around: &'s Surroundings<'s>, linker: Option<OsString>) -> Result<Self> {
        let content = &plan.content;
        // Before anything is fetched for them, or written to a lock.
        Error::all(content.tools.iter().filter_map(|tool| layout::tools::check_name(tool).err()).collect())?;
        let candidate = |place| vec![Candidate { place, why: String::new() }];
        let (candidates, passed_over) = match &plan.sysroot {
            SysrootPlan::Folder(folder) => (candidate(Place::Folder(folder.clone())), Vec::new()),
            SysrootPlan::Suite(suite) => (candidate(Place::Suite(suite.clone())), Vec::new()),
            SysrootPlan::Auto => {
                let lock = provision::project_lock(&around.pinned)?;
                let architecture = plan.target.machine().debian().unwrap_or_default();
                provision::candidates(&provision::Asked {
                    target: &plan.target,
                    tools: &content.tools,
                    linker: linker.as_deref(),
                    locked: lock.auto(architecture),
                    packages: !content.packages.is_empty(),
                })?
            }
        };
        let packages = content.packages.iter().cloned().map(Want::Package);
        let mut sysroot = Self {
            around,
            target: &plan.target,
            candidates: candidates.into_iter(),
            passed_over,
            wants: content.tools.iter().cloned().map(Want::Tool).chain(packages).collect(),
            hopes: BTreeSet::new(),
            is_auto: plan.sysroot == SysrootPlan::Auto,
            current: Current::of_folder(Utf8PathBuf::new()),
        };
        if !matches!(plan.sysroot, SysrootPlan::Folder(_)) {
            sysroot.wants.extend(of_template(&content.template)?);
        }
        sysroot.next()?;
        Ok(sysroot)
    }

    /// Where it is on the host.
    pub(super) fn folder(&self) -> &Utf8Path {
        &self.current.folder
    }

    /// Fails where it lacks a tool, and nothing can be done about it.
    pub(super) fn has_tools(&self, plan: &RootfsPlan) -> Result<()> {
        let is_last = self.current.suite.is_none() && self.candidates.len() == 0;
        if is_last { layout::find_tools(self.folder(), self.target, &plan.content.tools) } else { Ok(()) }
    }

    /// Plans and proves the rootfs; `tried` is how that went with the first sysroot. Where one lacks something, or what
    /// the rules recommend, more packages are added to it, or the next is tried, as long as that changes anything.
    pub(super) fn assemble(
        &mut self,
        plan: &RootfsPlan,
        artifacts: &Artifacts,
        mut tried: Result<Assembly, Refusal>,
    ) -> Result<Assembly> {
        loop {
            (self.around.stop)()?;
            match tried {
                Ok(assembly) if !self.complete(&assembly.recommended)? => return Ok(assembly),
                Ok(_) => {}
                Err(Refusal::Incomplete(Incomplete { shortages, report })) => {
                    if !self.mend(&shortages)? {
                        return Err(report);
                    }
                }
                Err(Refusal::Failed(error)) => return Err(error),
            }
            tried = layout::assemble(&self.current.folder, self.target, &plan.content, artifacts);
        }
    }

    /// Does something about what is lacking; whether there was anything to do.
    fn mend(&mut self, short: &BTreeSet<Shortage>) -> Result<bool> {
        if self.current.suite.is_none() {
            let lacking: Vec<_> = short.iter().map(named).collect();
            let said = format!("{} has no {}", self.current.folder, lacking.join(", "));
            if self.candidates.len() == 0 {
                return Ok(false);
            }
            self.passed_over.push(said);
            self.next()?;
            return Ok(true);
        }
        self.hope(short.iter().filter_map(|shortage| match shortage {
            Shortage::Tool(name) => Some(Want::Tool(name.clone())),
            // The interpreter is needed by its path.
            Shortage::Library(name) => Some(Want::Library(name.rsplit('/').next().unwrap_or(name).to_owned())),
            Shortage::Package(name) => Some(Want::Package(name.clone())),
            Shortage::Versions => None,
        }))
    }

    /// Adds the packages that rules recommend, where it is made of packages; whether that changed anything.
    fn complete(&mut self, recommended: &BTreeSet<String>) -> Result<bool> {
        let wants = recommended.iter().cloned().map(Want::Recommended);
        let news: Vec<Want> = wants.filter(|want| !self.current.wants.contains(want)).collect();
        self.hope(news.into_iter())
    }

    /// Has what is hoped for as well, where it is made of packages; whether that changed anything.
    fn hope(&mut self, hopes: impl Iterator<Item = Want>) -> Result<bool> {
        let Some(suite) = self.current.suite.clone() else { return Ok(false) };
        let before = (self.current.folder.clone(), self.hopes.len());
        self.hopes.extend(hopes);
        if self.hopes.len() == before.1 {
            return Ok(false);
        }
        let (current, _) = self.provide(&suite)?;
        self.current = current;
        Ok(self.current.folder != before.0)
    }

    fn next(&mut self) -> Result<()> {
        let Some(Candidate { place, why }) = self.candidates.next() else {
            return Err(Error::failed(format!("no sysroot for {}", self.target.triple())));
        };
        let mut because: Vec<String> = Vec::new();
        because.extend((!why.is_empty()).then_some(why));
        let what = match place {
            Place::Folder(folder) => {
                check(&folder)?;
                let what = folder.to_string();
                self.current = Current::of_folder(folder);
                what
            }
            Place::Suite(suite) => {
                let (current, packages) = self.provide(&suite)?;
                self.current = current;
                because.extend(self.passed_over.iter().cloned());
                format!("{suite} for {} ({packages} packages)", self.target.machine().debian().unwrap_or_default())
            }
        };
        if self.is_auto {
            let because = if because.is_empty() { String::new() } else { format!(": {}", because.join("; ")) };
            self.around.terminal.status("Using", format_args!("{what}{because}"));
        }
        Ok(())
    }

    fn provide(&self, suite: &Suite) -> Result<(Current, usize)> {
        let request = Request {
            suite: suite.clone(),
            machine: self.target.machine(),
            wants: self.wants.clone(),
            hopes: self.hopes.clone(),
            pinned: self.around.pinned.clone(),
            may: self.around.may,
            is_auto: self.is_auto,
        };
        let provided = provision::provide(&request, &mut Told { around: self.around }, self.around.stop)?;
        let folder = Utf8PathBuf::try_from(provided.kept.root.clone())
            .map_err(|error| Error::failed("the cache folder's path is not UTF-8").with_source(error))?;
        let Provided { kept, wants, .. } = provided;
        let current = Current { folder, suite: Some(suite.clone()), wants, _kept: Some(kept) };
        Ok((current, provided.packages))
    }
}

/// How long a sysroot is kept that no run uses.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// `cargo rootfs sysroot list`
pub(super) fn list(terminal: &Terminal) -> Result<()> {
    for listed in Cache::locate()?.list()? {
        let (path, section) = (listed.root.to_string_lossy(), listed.section.as_ref());
        let age = SystemTime::now().duration_since(listed.used).unwrap_or_default();
        let line = match terminal.format() {
            Format::Human => {
                let what = section.map_or_else(
                    || "damaged".to_owned(),
                    |it| format!("{}\t{}\t{} packages", it.suite, it.architecture, it.packages.len()),
                );
                let days = age.as_secs() / (24 * 3600);
                format!("{path}\t{what}\t{}\t{days} days\n", output::bytes(listed.bytes))
            }
            Format::Json => {
                let used = listed.used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
                let fields = json!({
                    "path": path, "bytes": listed.bytes, "used": used,
                    "suite": section.map(|it| it.suite.to_string()),
                    "architecture": section.map(|it| &it.architecture),
                    "packages": section.map(|it| it.packages.len()),
                });
                terminal::line("rootfs-sysroot", &fields)
            }
        };
        terminal.result(line.as_bytes())?;
    }
    Ok(())
}

/// `cargo rootfs sysroot prune`
pub(super) fn prune(all: bool, terminal: &Terminal) -> Result<()> {
    let what = if all { Prune::All } else { Prune::Unused(KEPT) };
    let (removed, bytes) = Cache::locate()?.prune(what)?;
    for path in &removed {
        let path = path.to_string_lossy();
        let line = match terminal.format() {
            Format::Human => format!("{path}\n"),
            Format::Json => terminal::line("rootfs-removed", &json!({"path": path})),
        };
        terminal.result(line.as_bytes())?;
    }
    terminal.status("Removed", format_args!("{} files and folders, {}", removed.len(), output::bytes(bytes)));
    Ok(())
}

/// `cargo rootfs sysroot update`
pub(super) fn update(around: &Surroundings<'_>) -> Result<()> {
    let lock = provision::project_lock(&around.pinned)?;
    if lock.sections.is_empty() {
        return Err(Error::failed("this project has no `rootfs.lock`, and so nothing to update")
            .help("it is written where a sysroot is made of packages: --sysroot auto, or debian:bookworm"));
    }
    for section in &lock.sections {
        let machine = Machine::of_debian(&section.architecture)
            .ok_or_else(|| Error::failed(format!("`{}` is not a known architecture", section.architecture)))?;
        let (hopes, wants): (Vec<_>, Vec<_>) = section.wants.keys().partition(|want| want.is_recommended());
        let request = Request {
            suite: section.suite.clone(),
            machine,
            wants: wants.into_iter().cloned().collect(),
            hopes: hopes.into_iter().cloned().collect(),
            pinned: around.pinned.clone(),
            may: around.may,
            is_auto: section.is_auto,
        };
        provision::provide(&request, &mut Told { around }, around.stop)?;
        let renewed = provision::project_lock(&around.pinned)?;
        let changes = renewed.find(&section.suite, &section.architecture).map(|new| new.changes(section));
        for change in changes.into_iter().flatten() {
            around.terminal.status("Changed", format_args!("{change} ({} {})", section.suite, section.architecture));
        }
    }
    Ok(())
}

/// The packages that a template takes files of.
fn of_template(name: &str) -> Result<Vec<Want>> {
    let template = Template::load(name, Utf8Path::new("."))?;
    let packages = template.entries.into_iter().filter_map(|entry| match entry.kind {
        TemplateKind::FromSysroot(wanted) => wanted.package,
        _ => None,
    });
    Ok(packages.map(Want::Package).collect())
}

fn named(shortage: &Shortage) -> &str {
    match shortage {
        Shortage::Tool(name) | Shortage::Library(name) | Shortage::Package(name) => name,
        Shortage::Versions => "new enough libraries",
    }
}

fn check(sysroot: &Utf8Path) -> Result<()> {
    match std::fs::metadata(sysroot) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Error::failed(format!("the sysroot `{sysroot}` is not a folder"))),
        Err(error) => Err(Error::io("open the sysroot", sysroot, error)),
    }
}

/// Says what goes on.
struct Told<'t> {
    around: &'t Surroundings<'t>,
}

impl Watch for Told<'_> {
    fn step(&mut self, step: Step<'_>) {
        let terminal = self.around.terminal;
        match step {
            Step::Waiting => terminal.status("Blocking", "waiting for another process that makes a sysroot"),
            Step::Updating(suite, arch) => terminal.status("Updating", format_args!("{suite} index for {arch}")),
            Step::Searching(suite, arch) => {
                terminal.status("Searching", format_args!("the files of {suite} for {arch}"));
            }
            Step::Downloading(1) => terminal.status("Downloading", "1 package"),
            Step::Downloading(count) => terminal.status("Downloading", format_args!("{count} packages")),
            Step::Extracting(count, suite, arch) => {
                terminal.status("Extracting", format_args!("{count} packages of {suite} for {arch}"));
            }
            Step::Locking(path) => terminal.status("Locking", path.display()),
        }
    }
}
