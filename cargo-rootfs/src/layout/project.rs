//! The build's artifacts: puts executables at their place in the image, and libraries that only the build directory has
//! at a place where the moved executables search.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::root::Root;
use super::{Artifacts, Content};
use crate::error::{Error, Result, Warning};
use crate::host_files;
use crate::path::RootfsPath;
use crate::resolve::{Files, LibraryPath, Resolver};
use crate::rootfs::Origin;
use crate::sysroot::{End, Sysroot};

/// The project's part of the image.
pub(super) struct Project {
    executables: Vec<(String, RootfsPath)>,
    /// `<install-dir>/../lib`, the place of the build's libraries.
    library_dir: RootfsPath,
    has_libraries: bool,
    build_tree: Vec<PathBuf>,
}

impl Project {
    /// Adds the executables and the files of the build's library directories to the view, at their places in the image.
    /// `tools` are the paths of the sysroot's tools; an executable must not replace one.
    pub(super) fn plant(
        view: &mut Sysroot,
        content: &Content,
        artifacts: &Artifacts,
        tools: &[Root],
        warnings: &mut Vec<Warning>,
    ) -> Result<Self> {
        let tools: Vec<_> = tools.iter().map(|tool| (tool, view.walk(&tool.path).path)).collect();
        let mut executables: Vec<(String, RootfsPath)> = Vec::new();
        for executable in &artifacts.executables {
            let path = content.install_dir.join(executable.name.as_bytes());
            if let Some((other, _)) = executables.iter().find(|(_, known)| *known == path) {
                return Err(Error::failed(format!("two executables would be `{path}`"))
                    .detail(format!("{other} and {}", executable.name))
                    .help("choose one of them with -p or --bin"));
            }
            let place = view.place(&path).path;
            if let Some((tool, _)) = tools.iter().find(|(tool, real)| tool.path == path || *real == place) {
                let binary = &executable.name;
                return Err(Error::failed(format!("two sources for `{path}`"))
                    .detail(format!("the project's binary `{binary}` and the sysroot's tool `{}`", tool.name))
                    .help("put the project's binaries elsewhere: --install-dir DIR"));
            }
            view.plant(&path, executable.path.as_std_path())?;
            executables.push((executable.name.clone(), path));
        }
        let build_tree = artifacts.build_tree.iter().filter_map(|folder| host_files::real(folder).ok()).collect();
        // The path is textual: no component of it is a symlink yet.
        let library_dir = content.install_dir.join(b"../lib").normalized();
        let mut project = Self { executables, library_dir, has_libraries: false, build_tree };
        for folder in &artifacts.library_dirs {
            project.graft(view, folder.as_std_path().to_owned());
        }
        project.graft_paths(view, artifacts, warnings)?;
        Ok(project)
    }

    /// The directory `<install-dir>/../lib`.
    pub(super) fn library_dir(&self) -> &RootfsPath {
        &self.library_dir
    }

    pub(super) fn graft(&mut self, view: &mut Sysroot, folder: PathBuf) {
        if folder.is_dir() {
            view.graft(&self.library_dir, folder);
            self.has_libraries = true;
        }
    }

    pub(super) fn is_built(&self, folder: &std::path::Path) -> bool {
        self.build_tree.iter().any(|tree| folder.starts_with(tree))
    }

    pub(super) fn roots(&self, roots: &mut Vec<Root>) {
        let root =
            |(name, path): &(String, RootfsPath)| Root::of_project(name, Origin::Binary(name.clone()), path.clone());
        roots.extend(self.executables.iter().map(root));
    }

    pub(super) fn paths(&self) -> Vec<RootfsPath> {
        self.executables.iter().map(|(_, path)| path.clone()).collect()
    }

    /// The directories that are searched first for the executables' libraries, as with `cargo run`, which sets
    /// LD_LIBRARY_PATH.
    pub(super) fn folders(&self) -> Vec<LibraryPath> {
        if self.has_libraries { vec![LibraryPath::Folder(self.library_dir.clone())] } else { Vec::new() }
    }

    /// Interprets `--library-path`. An absolute directory belongs to the sysroot. A relative one, and one in the build
    /// tree, belongs to the project: its libraries go to the place of the build's. One with a token is a directory of
    /// the image that differs for each program.
    pub(super) fn library_path(
        &mut self,
        content: &Content,
        view: &mut Sysroot,
        warnings: &mut Vec<Warning>,
    ) -> Vec<LibraryPath> {
        let mut path = Vec::new();
        for folder in &content.library_path {
            if LibraryPath::has_token(folder.as_str()) {
                path.push(LibraryPath::Text(folder.as_str().as_bytes().into()));
                continue;
            }
            let inside = RootfsPath::from_bytes(folder.as_str().as_bytes());
            let is_built = host_files::real(folder).ok().is_some_and(|folder| self.is_built(&folder));
            match inside.filter(|_| !is_built) {
                Some(inside) if matches!(view.walk(&inside).end, End::Dir(_)) => path.push(LibraryPath::Folder(inside)),
                None if folder.is_dir() => {
                    self.graft(view, folder.as_std_path().to_owned());
                    path.push(LibraryPath::Folder(self.library_dir.clone()));
                }
                _ => warnings.push(Warning::new(format!("no directory `{folder}` for --library-path"))),
            }
        }
        path
    }

    /// Adds libraries beside the project's files to the view: the directory that `$ORIGIN` means in the build directory
    /// appears where `$ORIGIN` leads in the image. Such a library may itself have an `$ORIGIN`.
    pub(super) fn graft_origins(&self, view: &mut Sysroot, resolver: &mut Resolver, roots: &[Root]) {
        let mut done: Vec<(RootfsPath, PathBuf)> = Vec::new();
        loop {
            let before = done.len();
            for root in roots.iter().filter(|root| root.is_project) {
                let Ok(closure) = resolver.closure(view, &root.path) else { continue };
                let objects = closure.objects.iter().map(|object| (object.file, &object.realpath));
                for (file, path) in std::iter::once((closure.id, &closure.realpath)).chain(objects) {
                    if !view.is_outside(path) {
                        continue;
                    }
                    let Ok(object) = view.object(file) else { continue };
                    let host = view.info(file).host.path.clone();
                    let (Some(here), Some(there)) = (path.parent(), host.parent()) else { continue };
                    for search_path in [&object.rpath, &object.runpath].into_iter().flatten() {
                        for rest in search_path.split(|byte| *byte == b':').filter_map(after_origin) {
                            let folder = there.join(OsStr::from_bytes(rest));
                            let graft = (here.join(rest).normalized(), folder);
                            if graft.1.is_dir() && !done.contains(&graft) {
                                view.graft(&graft.0, graft.1.clone());
                                done.push(graft);
                            }
                        }
                    }
                }
            }
            if done.len() == before {
                return;
            }
            resolver.forget();
        }
    }
}

/// The rest of a search path's element after `$ORIGIN`, without its leading slash.
pub(super) fn after_origin(element: &[u8]) -> Option<&[u8]> {
    let rest = element.strip_prefix(b"$ORIGIN").or_else(|| element.strip_prefix(b"${ORIGIN}"))?;
    if rest.contains(&b'$') || !matches!(rest.first(), None | Some(b'/')) {
        return None;
    }
    Some(rest.strip_prefix(b"/").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::after_origin;

    #[test]
    fn elements_that_begin_at_the_origin() {
        for (element, rest) in [
            ("$ORIGIN", Some("")),
            ("${ORIGIN}/../lib", Some("../lib")),
            ("$ORIGIN/lib", Some("lib")),
            ("$ORIGINAL/lib", None),
            ("/usr/lib", None),
            ("$ORIGIN/$LIB", None),
        ] {
            assert_eq!(after_origin(element.as_bytes()), rest.map(str::as_bytes), "{element}");
        }
    }
}
