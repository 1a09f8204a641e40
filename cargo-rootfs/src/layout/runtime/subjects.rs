//! The packed files that are examined for evidence: those without a rule, each once, and packed configuration.

use super::super::root::Root;
use super::super::worklist::Worklist;
use super::Runtime;
use super::evidence::Evidence;
use crate::path::RootfsPath;
use crate::policy::{is_configuration, is_module};
use crate::resolve::FileId;
use crate::rootfs::Origin;

/// The maximum number of modules that are examined: the largest language has a thousand.
const MOST_MODULES: usize = 1000;

/// A packed file that no rule covers.
pub(super) struct Subject {
    pub(super) file: Option<FileId>,
    pub(super) realpath: RootfsPath,
    pub(super) name: String,
    pub(super) reach: Reach,
    /// True if it is a tool that the user named.
    pub(super) is_named: bool,
    /// True unless it is a module of another source than its script: that names what its language knows anywhere.
    pub(super) is_own: bool,
}

impl Subject {
    /// Returns whether it is a packed configuration.
    pub(super) fn is_configuration(&self) -> bool {
        self.file.is_none() && self.reach == Reach::Constants
    }

    /// Returns whether the files beside it under its name are its own, if it has no package.
    pub(super) fn has_prefix(&self) -> bool {
        self.reach == Reach::Package || self.reach == Reach::Module && self.is_named
    }
}

/// The extent of the search for a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// A part of the project, which has no package.
    Project,
    /// Its constants and its package.
    Package,
    /// Its constants, or the text of a configuration: it came along itself, or a rule is about its package.
    Constants,
    /// The directories that a module of an interpreter's own package names.
    Directories,
    /// The modules that a script in Perl imports: a rule covers it, and knows no modules of other packages.
    Imports,
    /// The paths and programs that a script names: it came along itself.
    Called,
    /// Paths and programs that it names, from packages that its own depends on: scripts with modules, and the modules.
    Module,
}

impl Evidence {
    /// The files that were packed since the last call, and that no rule covers.
    pub(super) fn subjects(&mut self, runtime: &Runtime<'_>, worklist: &mut Worklist<'_>) -> Vec<Subject> {
        let mut subjects = Vec::new();
        let worked = &worklist.worked;
        for (root, closure) in worked.roots.iter().zip(&worked.closures).skip(self.looked.0) {
            let is_covered = runtime.covered.contains(&closure.realpath)
                || self.judge.is_self_contained(closure.realpath.file_name());
            // The author of a tool's rule has considered the files that its libraries read, and those that the rule
            // brings.
            if is_covered || matches!(root.origin, Origin::Rule { .. }) {
                continue;
            }
            let reach = reach(root);
            let own = (
                closure.id,
                &closure.realpath,
                if reach == Reach::Package && !is_asked(root) { Reach::Constants } else { reach },
            );
            let is_of_project = reach == Reach::Project;
            let needed = if is_of_project { Reach::Package } else { reach };
            let objects = closure.objects.iter().map(|object| (object.file, &object.realpath, needed));
            let is_tool = matches!(root.origin, Origin::Tool(_));
            for (at, (file, realpath, reach)) in std::iter::once(own).chain(objects).enumerate() {
                let is_linked = || is_of_project && closure.edges.contains(&(None, at.wrapping_sub(1)));
                let name = realpath.file_name();
                let is_known = runtime.covered.contains(realpath)
                    || self.judge.is_self_contained(name)
                    || self.judge.is_common(name) && !is_linked();
                if is_known || !self.seen.insert(file) {
                    continue;
                }
                // The project's libraries belong to the project too.
                let reach = if worklist.view.is_outside(realpath) { Reach::Project } else { reach };
                let name = String::from_utf8_lossy(realpath.file_name()).into_owned();
                let is_named = is_tool && file == closure.id;
                subjects.push(Subject {
                    file: Some(file),
                    realpath: realpath.clone(),
                    name,
                    reach,
                    is_named,
                    is_own: true,
                });
            }
        }
        for root in worked.others.iter().skip(self.looked.1).filter(|root| root.is_tool && is_asked(root) || came(root))
        {
            let Some(script) = worked.scripts.iter().find(|script| script.path == root.path) else { continue };
            let realpath = script.realpath.clone();
            let is_covered = runtime.covered.contains(&realpath);
            let is_perl = script.program.as_ref().unwrap_or(&script.interpreter).file_name().starts_with(b"perl");
            let is_named = is_asked(root);
            let is_known = is_covered && !(is_perl && is_named) || self.judge.is_self_contained(realpath.file_name());
            if !is_known && !worklist.view.is_outside(&realpath) && self.scripts.insert(realpath.clone()) {
                let name = String::from_utf8_lossy(realpath.file_name()).into_owned();
                let has_modules = runtime.modular.contains(&realpath);
                let reach = match (has_modules, is_named) {
                    _ if is_covered => Reach::Imports,
                    (true, _) => Reach::Module,
                    (false, true) => Reach::Package,
                    (false, false) => Reach::Called,
                };
                subjects.push(Subject { file: None, realpath, name, reach, is_named, is_own: true });
            }
        }
        for index in self.looked.2..runtime.taken.len() {
            let (path, origin) = runtime.taken.item(index);
            let reach = match origin {
                Origin::Package { .. } if is_configuration(path) => Reach::Constants,
                Origin::Package { .. } if self.modules < MOST_MODULES && is_module(path.file_name()) => {
                    Reach::Directories
                }
                _ => continue,
            };
            self.modules += usize::from(reach == Reach::Directories);
            let (realpath, name) = (worklist.view.walk(path).path, path.to_string());
            subjects.push(Subject {
                file: None,
                realpath,
                name,
                reach,
                is_named: false,
                is_own: reach == Reach::Constants,
            });
        }
        self.looked = (worked.roots.len(), worked.others.len(), runtime.taken.len());
        subjects
    }
}

/// Returns whether a root was named by the user, or a rule says that a tool calls it.
fn is_asked(root: &Root) -> bool {
    matches!(root.origin, Origin::Tool(_) | Origin::Library(_) | Origin::InterpreterOf(_))
}

/// Returns whether evidence brought a root that may be run: administrators start what is below /etc.
fn came(root: &Root) -> bool {
    matches!(root.origin, Origin::Package { .. }) && root.path.components().next() != Some(b"etc")
}

fn reach(root: &Root) -> Reach {
    match &root.origin {
        _ if root.is_project && !matches!(root.origin, Origin::Library(_)) => Reach::Project,
        Origin::Package { .. } => Reach::Constants,
        _ => Reach::Package,
    }
}
