//! Build paths in ELF files: a library in OUT_DIR that is needed by its path, and directories of the project in an
//! RPATH or RUNPATH. The image has none of them, so the libraries go to the place of the build's libraries.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Artifacts;
use super::project::{Project, after_origin};
use crate::elf::Object;
use crate::error::{Result, Warning};
use crate::host_files;
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

impl Project {
    /// Adds the libraries of build paths to the view, for the executables and for all libraries that are found in this
    /// way.
    pub(super) fn graft_paths(
        &mut self,
        view: &mut Sysroot,
        artifacts: &Artifacts,
        warnings: &mut Vec<Warning>,
    ) -> Result<()> {
        // The second value is true if the file is opened by its path: its `$ORIGIN` then does not exist in the image.
        let mut left: Vec<(PathBuf, bool)> =
            artifacts.executables.iter().map(|it| (it.path.clone().into_std_path_buf(), false)).collect();
        let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
        while let Some((host, is_by_path)) = left.pop() {
            let Some(host) = host_files::real(&host).ok() else { continue };
            let Some(object) = host_files::open(&host).ok().and_then(|file| Object::read(&file).ok()) else { continue };
            if !seen.insert(host.clone()) {
                continue;
            }
            let mut folders: Vec<PathBuf> = Vec::new();
            for search_path in [&object.rpath, &object.runpath].into_iter().flatten() {
                for element in search_path.split(|byte| *byte == b':') {
                    if let Some(rest) = after_origin(element) {
                        let Some(folder) = host.parent() else { continue };
                        let folder = folder.join(OsStr::from_bytes(rest));
                        if is_by_path {
                            self.graft(view, folder.clone());
                        }
                        folders.push(folder);
                    } else if let Some(folder) = self.built(element).filter(|folder| folder.is_dir()) {
                        self.graft(view, folder.clone());
                        folders.push(folder);
                    }
                }
            }
            folders.extend(artifacts.library_dirs.iter().map(|folder| folder.clone().into_std_path_buf()));
            for dependency in &object.dependencies {
                if let Some(library) = self.built(&dependency.name).filter(|path| path.is_file()) {
                    self.plant_needed(view, &host, &dependency.name, &library, warnings)?;
                    left.push((library, true));
                } else {
                    let name = OsStr::from_bytes(&dependency.name);
                    let library = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
                    left.extend(library.map(|library| (library, false)));
                }
            }
        }
        Ok(())
    }

    /// The host path in `text` of an ELF file, if it is in the build tree.
    fn built(&self, text: &[u8]) -> Option<PathBuf> {
        let path = Path::new(OsStr::from_bytes(text));
        let path = host_files::real(path).ok().filter(|_| text.starts_with(b"/"))?;
        self.is_built(&path).then_some(path)
    }

    /// Adds a library that is needed by its path beside the executables, and a symlink to it at that path: a loader
    /// opens the path verbatim (ld.so(8)).
    fn plant_needed(
        &mut self,
        view: &mut Sysroot,
        by: &Path,
        needed: &[u8],
        library: &Path,
        warnings: &mut Vec<Warning>,
    ) -> Result<()> {
        let Some(path) = RootfsPath::from_bytes(needed) else { return Ok(()) };
        let place = self.library_dir().join(path.file_name());
        view.plant(&place, library)?;
        view.plant_link(&path, Arc::from(place.as_bytes()));
        let by = by.file_name().unwrap_or_default().to_string_lossy();
        let name = String::from_utf8_lossy(path.file_name());
        let message =
            format!("`{by}` needs `{path}` by a path of this machine; a symlink leads from there to `{place}`");
        let help = format!("give the library a soname when it is linked: -Wl,-soname,{name}");
        warnings.push(Warning::new(message).help(help));
        Ok(())
    }
}
