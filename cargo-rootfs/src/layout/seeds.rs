//! The first stage: finds the files that were requested by name, in the sysroot and in the project.

use super::includes::{self, Item};
use super::project::Project;
use super::root::Root;
use super::{Artifacts, Brief, Content, Notices, libraries, locales, plugins, tools};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::resolve::{Resolver, TargetLibraries};
use crate::rootfs::Origin;
use crate::sysroot::Sysroot;

/// All files requested by name, and the resolvers of their closures.
pub(super) struct Seeds {
    pub(super) project: Project,
    pub(super) includes: Vec<Item>,
    /// The path of each tool in the image.
    pub(super) tools: Vec<RootfsPath>,
    pub(super) locales: Vec<(RootfsPath, Origin)>,
    /// The roots that get a closure.
    pub(super) roots: Vec<Root>,
    pub(super) resolvers: Resolvers,
}

/// One resolver for the project's files and one for the sysroot's, because their search paths differ.
pub(super) struct Resolvers {
    pub(super) project: Resolver,
    pub(super) tools: Resolver,
}

impl Resolvers {
    pub(super) fn of(&mut self, root: &Root) -> &mut Resolver {
        if root.is_project { &mut self.project } else { &mut self.tools }
    }
}

impl Seeds {
    /// Looks up each of them once. The project's files are added to `view` at their places in the image.
    pub(super) fn find(
        view: &mut Sysroot,
        brief: Brief<'_>,
        artifacts: &Artifacts,
        notices: &mut Notices,
    ) -> Result<Self> {
        let Brief { target, content, policy, .. } = brief;
        let Notices { warnings, faults } = notices;
        // A name of `--with` means the sysroot's tool, whatever the names of the project's executables.
        let mut tool_roots = Vec::new();
        let tools = tools::roots(view, &content.tools, target, &mut tool_roots, faults);
        let mut project = Project::plant(view, content, artifacts, &tool_roots, warnings)?;
        let includes = includes::read(&content.includes, policy, warnings)?;
        let mut roots = Vec::new();
        project.roots(&mut roots);
        roots.extend(tool_roots);
        // Tools first: an include in the place of a tool is an error, and not the tool.
        includes::plant(view, &includes, &roots, faults)?;
        includes::roots(view, &includes, target.machine(), &mut roots, warnings);

        let library_path = project.library_path(content, view, warnings);
        let given = given(content)?;
        let resolver = |path| Resolver::new(path, None).following(content.dlopen).allowing(given.clone());
        let mut resolvers = Resolvers {
            project: resolver([project.folders(), library_path.clone()].concat()),
            tools: resolver(library_path),
        };
        project.graft_origins(view, &mut resolvers.project, &roots);
        let paths = project.paths();
        roots.extend(plugins::roots(view, &mut resolvers.project, artifacts, &paths, target.machine(), warnings));
        roots.extend(libraries::roots(view, &mut resolvers.project, &content.libraries, target.machine(), faults));
        let locales = locales::find(view, &content.locales, faults);
        Ok(Self { project, includes, tools, locales, roots, resolvers })
    }
}

/// The libraries that the target provides.
pub(super) fn given(content: &Content) -> Result<TargetLibraries> {
    TargetLibraries::parse(&content.allow_missing).map_err(|why| {
        Error::usage(why).help("name it as the error does, or by a pattern: --allow-missing 'libnvidia-*'")
    })
}
