//! The sysroot of a plan: a fixed directory, or one that is chosen and provisioned in rounds.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use camino::Utf8Path;

use super::sysroot::Directory;
use super::{Events, SysrootSource};
use crate::cargo::Sought;
use crate::error::{Error, Result};
use crate::layout::{self, Executable};
use crate::plan::{RootfsPlan, SysrootPlan};
use crate::provision::{self, Candidate, Distributions, May, Pinned, Place, Rounds, Start, Step, Want, Watch};
use crate::rootfs::KnownFiles;
use crate::shortage::Shortage;
use crate::template::{Template, TemplateKind};

/// The conditions of provisioning: the lock with the versions, and the permissions of the run.
pub(super) struct Provisioning {
    pub(super) pinned: Pinned,
    pub(super) may: May,
}

impl Provisioning {
    /// Takes the first candidate. `linker` is the program that links for the target, if known, and `executables` are those
    /// that exist before a build.
    pub(super) fn choose(
        &self,
        plan: &RootfsPlan,
        linker: Option<&OsStr>,
        executables: &[Executable],
        events: &dyn Events,
    ) -> Result<Box<dyn SysrootSource>> {
        let content = &plan.content;
        // Checked before anything is fetched, or written to a lock.
        Error::all(content.tools.iter().filter_map(|tool| layout::tools::check_name(tool).err()).collect())?;
        let (candidates, passed_over) = match &plan.sysroot {
            SysrootPlan::Folder(folder) => return Ok(Box::new(Directory::open(folder)?)),
            SysrootPlan::Suite(suite) => {
                (vec![Candidate { place: Place::Suite(suite.clone()), why: String::new() }], Vec::new())
            }
            SysrootPlan::Auto => {
                let lock = provision::project_lock(&self.pinned)?;
                let architecture = plan.target.machine().debian().unwrap_or_default();
                provision::candidates(&provision::Asked {
                    target: &plan.target,
                    tools: &content.tools,
                    linker,
                    locked: lock.auto(architecture),
                    packages: !content.packages.is_empty() || !plan.build_packages.is_empty(),
                })?
            }
        };
        let packages = content.packages.iter().chain(&plan.build_packages).cloned();
        let packages = packages.chain(of_template(&content.template)?).map(Want::Package);
        // A later round would make another sysroot for them.
        let packages = packages.chain(layout::recommended(content, executables).into_iter().map(Want::Recommended));
        let start = Start {
            target: plan.target.clone(),
            wants: content.tools.iter().cloned().map(Want::Tool).chain(packages).collect(),
            candidates,
            passed_over,
            pinned: self.pinned.clone(),
            may: self.may,
            is_auto: plan.sysroot == SysrootPlan::Auto,
        };
        let stop = || events.stop();
        Ok(Box::new(Rounds::start(start, &mut Distributions { watch: &mut Steps(events), stop: &stop })?))
    }

    /// Chooses the versions of all packages of a project's sysroots again.
    pub(super) fn update(&self, events: &dyn Events) -> Result<()> {
        provision::update(&self.pinned, self.may, &mut Steps(events), &|| events.stop())
    }
}

/// The packages whose files a template takes.
fn of_template(name: &str) -> Result<Vec<String>> {
    let template = Template::load(name, Utf8Path::new("."))?;
    let packages = template.entries.into_iter().filter_map(|entry| match entry.kind {
        TemplateKind::FromSysroot(wanted) => wanted.package,
        _ => None,
    });
    Ok(packages.collect())
}

impl SysrootSource for Rounds {
    fn directory(&self) -> &Utf8Path {
        self.directory()
    }

    fn is_final(&self) -> bool {
        self.is_last()
    }

    fn supply(&mut self, short: &BTreeSet<Shortage>, events: &dyn Events) -> Result<bool> {
        self.supply(short, &mut Distributions { watch: &mut Steps(events), stop: &|| events.stop() })
    }

    fn grant(&mut self, wishes: &BTreeSet<Shortage>, events: &dyn Events) -> Result<bool> {
        self.grant(wishes, &mut Distributions { watch: &mut Steps(events), stop: &|| events.stop() })
    }

    fn builds_with(&self, sought: Sought<'_>, events: &dyn Events) -> Option<Option<String>> {
        // The files that the linker and pkg-config look for.
        let wants = match sought {
            Sought::Linked(name) => vec![Want::Library(format!("lib{name}.so")), Want::Library(format!("lib{name}.a"))],
            Sought::PkgConfig(name) => {
                let multiarch = self.target().multiarch().map(|tuple| format!("/usr/lib/{tuple}/pkgconfig/{name}.pc"));
                let places = multiarch.into_iter().chain([format!("/usr/share/pkgconfig/{name}.pc")]);
                places.map(Want::Tool).collect()
            }
        };
        let stop = || events.stop();
        self.package_with(&wants, &mut Distributions { watch: &mut Steps(events), stop: &stop })
    }

    fn find_known_files(&self, inodes: &BTreeSet<(u64, u64)>, known: &mut KnownFiles) {
        self.find_known_files(inodes, known);
    }

    fn recommend(&mut self, packages: &BTreeSet<String>, events: &dyn Events) -> Result<bool> {
        self.recommend(packages, &mut Distributions { watch: &mut Steps(events), stop: &|| events.stop() })
    }
}

/// Reports steps of provisioning as status lines.
struct Steps<'e>(&'e dyn Events);

impl Watch for Steps<'_> {
    fn step(&mut self, step: Step<'_>) {
        let events = self.0;
        match step {
            Step::Waiting => events.status("Blocking", &"waiting for another process that makes a sysroot"),
            Step::Updating(suite, arch) => events.status("Updating", &format_args!("{suite} index for {arch}")),
            Step::Searching(suite, arch) => {
                events.status("Searching", &format_args!("the files of {suite} for {arch}"));
            }
            Step::Downloading(1) => events.status("Downloading", &"1 package"),
            Step::Downloading(count) => events.status("Downloading", &format_args!("{count} packages")),
            Step::Extracting(count, suite, arch) => {
                events.status("Extracting", &format_args!("{count} packages of {suite} for {arch}"));
            }
            Step::Locking(path) => events.status("Locking", &path.display()),
            Step::Lacking(warning) => events.warning(warning),
            Step::Using(what) | Step::Chosen(what) => events.status("Using", &what),
            Step::Changed(change, suite, arch) => events.status("Changed", &format_args!("{change} ({suite} {arch})")),
        }
    }
}
