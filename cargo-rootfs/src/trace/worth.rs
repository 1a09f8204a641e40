//! Selects the files that are worth packing: packs tools and libraries, and groups other files by program.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::Rule;
use super::used::{Group, Own, Used, used};
use crate::error::{Result, Warning};
use crate::findings::Real;
use crate::layout::{self, Assembly, Content, secrets};
use crate::path::RootfsPath;
use crate::pipeline::Rooted;
use crate::sysroot::Sysroot;
use crate::watch::Event;
use crate::wording::and_more;

/// The tools, libraries and files of a command that are worth packing.
pub(super) struct Worth<'p> {
    pub(super) rooted: &'p Rooted,
    pub(super) with: Vec<String>,
    pub(super) with_lib: Vec<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) warnings: Vec<Warning>,
}

impl<'p> Worth<'p> {
    pub(super) fn new(rooted: &'p Rooted) -> Self {
        let (with, with_lib, rules, warnings) = Default::default();
        Self { rooted, with, with_lib, rules, warnings }
    }

    /// Packs used tools and libraries, one by one, until only files are left.
    pub(super) fn find(&mut self, events: &[Event], own: &Own, sysroot: &mut Sysroot) -> Result<()> {
        let Rooted { plan, assembly, artifacts, .. } = self.rooted;
        let mut content = plan.content.clone();
        let (database, machine) = (OnceCell::new(), plan.target.machine());
        let mut packed: Option<Assembly> = None;
        let (mut tried, mut plugins) = (BTreeSet::new(), Vec::new());
        let groups = loop {
            let rootfs = &packed.as_ref().unwrap_or(assembly).rootfs;
            let Used { tools, libraries, groups, own: programs, of_home } = used(
                events,
                own,
                &mut Real { sysroot, rootfs, policy: &assembly.policy, project: &[], database: &database, machine },
            );
            let next = |names: Vec<String>| names.into_iter().find(|name| !tried.contains(name));
            let mut with = content.clone();
            let (name, is_tool) = match (next(tools), next(libraries)) {
                (Some(tool), _) => (tool, true),
                (None, Some(library)) => (library, false),
                (None, None) => {
                    let built = |path: &RootfsPath| {
                        artifacts.executables.iter().any(|one| one.path.as_str().as_bytes() == path.as_bytes())
                    };
                    let programs = programs.iter().filter(|path| !built(path));
                    self.warnings.extend(programs.map(|path| {
                        Warning::new(format!("left out `{path}`: it is a file of your own, not of the system"))
                    }));
                    self.warnings.extend(left_in_a_home(&of_home));
                    break groups;
                }
            };
            // A file that is packed under another path is not tried twice.
            tried.insert(name.clone());
            if is_tool {
                with.tools.push(name.clone())
            } else {
                with.libraries.push(name.clone())
            };
            match self.assemble(&with) {
                Ok(more) => {
                    (packed, content) = (Some(more), with);
                    match (is_tool, name.starts_with('/')) {
                        (true, _) => self.with.push(name),
                        (false, false) => self.with_lib.push(name),
                        (false, true) => plugins.push(name),
                    }
                }
                Err(error) => {
                    self.warnings.push(Warning::new(format!("left out `{name}`: {}", error.message())));
                }
            }
        };
        self.group(groups, plugins, events, sysroot, packed.as_ref().unwrap_or(assembly));
        Ok(())
    }

    fn assemble(&self, content: &Content) -> Result<Assembly> {
        let Rooted { plan, artifacts, .. } = self.rooted;
        Ok(layout::assemble(self.rooted.sysroot(), &plan.target, content, artifacts)?)
    }

    /// Groups files that are neither tools nor libraries by the program to which they belong.
    fn group(
        &mut self,
        mut groups: Vec<Group>,
        plugins: Vec<String>,
        events: &[Event],
        sysroot: &mut Sysroot,
        assembly: &Assembly,
    ) {
        for plugin in plugins {
            let Ok(path) = RootfsPath::parse(&plugin) else { continue };
            let program =
                events.iter().find(|event| event.path.normalized() == path).and_then(|event| event.program.clone());
            match groups.iter_mut().find(|group| group.program == program) {
                Some(group) => group.paths.push(path),
                None => {
                    let (links, listed) = Default::default();
                    groups.push(Group { program, paths: vec![path], links, listed });
                }
            }
        }
        for Group { program, mut paths, links, listed } in groups {
            paths.sort();
            paths.retain(|path| match secrets::of(sysroot, &assembly.policy, path) {
                None => true,
                Some(secret) => {
                    self.warnings.push(Warning::new(format!("left out `{path}`: {secret}")));
                    false
                }
            });
            let take: Vec<String> = paths.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect();
            let text = |path: RootfsPath| path.as_str().map(str::to_owned);
            let links: Vec<_> = links.into_iter().filter_map(|(path, to)| Some((text(path)?, to))).collect();
            let folders: Vec<String> = listed.into_iter().filter_map(text).collect();
            if take.is_empty() && links.is_empty() && folders.is_empty() {
                continue;
            }
            let shown = program.as_ref().unwrap_or(&RootfsPath::root()).file_name().to_vec();
            let shown = String::from_utf8_lossy(&shown).into_owned();
            let when = self.in_image(program, sysroot, assembly);
            let taken = self.rules.iter().filter(|rule| rule.program == shown).count();
            let name = if taken == 0 { format!("traced-{shown}") } else { format!("traced-{shown}-{}", taken + 1) };
            self.rules.push(Rule { name, program: shown, when, take, links, folders });
        }
    }

    /// The program's path in the image; if the image lacks it, that of the project's executable or of the first tool.
    fn in_image(&self, program: Option<RootfsPath>, sysroot: &mut Sysroot, assembly: &Assembly) -> Option<String> {
        let program = program.and_then(|program| {
            let built = self.rooted.artifacts.executables.iter().zip(&assembly.executables);
            let mut built = built.filter(|(executable, _)| executable.path.as_str().as_bytes() == program.as_bytes());
            if let Some((_, path)) = built.next() {
                return Some(path.clone());
            }
            let is_packed = !assembly.rootfs.way(&program).is_empty();
            // The real name makes one rule for all names of a program.
            is_packed.then(|| sysroot.walk(&program).path)
        });
        let first = || assembly.executables.first().or(assembly.tools.first()).cloned();
        program.or_else(first)?.as_str().map(str::to_owned)
    }
}

/// The number of files of a home directory that are named.
const NAMED: usize = 6;

/// The warning about files of a home directory that the command read: they are not packed, but the command may need
/// them.
fn left_in_a_home(files: &BTreeSet<RootfsPath>) -> Option<Warning> {
    let first = files.first()?;
    let list = and_more(files.iter().map(|path| format!("`{path}`")), NAMED);
    let warning = Warning::new(format!("left out files of a home: {list}"));
    Some(warning.help(format!("to pack one: --include {first}:{first}")))
}
