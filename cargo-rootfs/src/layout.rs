//! stub while rooms are being built: the types that other rooms hand in and get back.
use crate::error::{Result, Warning};
use crate::path::RootfsPath;
use crate::rootfs::Rootfs;
use crate::target::Target;
use camino::Utf8PathBuf;

/// What goes into a rootfs, besides what cargo built.
#[derive(Debug, Clone)]
pub struct Content {
    /// Tools by name or absolute path (`--with`).
    pub tools: Vec<String>,
    /// Sonames that are opened at run time (`--with-lib`).
    pub libraries: Vec<String>,
    /// Files and folders of the project (`--include`).
    pub includes: Vec<Include>,
    /// The skeleton: a built-in's name, or a folder (anything with a slash).
    pub template: String,
    /// Extra search directories (`--library-path`), each absolute or below the current folder.
    pub library_path: Vec<Utf8PathBuf>,
    /// Where the project's executables go.
    pub install_dir: RootfsPath,
}

/// `SRC:DST[:MODE[:UID:GID]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// On the host, already joined to its base folder.
    pub source: Utf8PathBuf,
    /// In the image.
    pub destination: RootfsPath,
    /// Permission bits of the files; their own where `None`.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
}

/// What the build left: executables, and where their libraries may be.
#[derive(Debug, Clone, Default)]
pub struct Artifacts {
    /// Each goes to `<install-dir>/<name>`.
    pub executables: Vec<Executable>,
    /// Native library directories that build scripts named, and folders of `dylib` dependencies and of
    /// the toolchain's own libstd: host folders, in search order.
    pub library_dirs: Vec<Utf8PathBuf>,
    /// Folders whose paths must not become entries: workspace root and target directory.
    pub build_tree: Vec<Utf8PathBuf>,
}

/// An ELF file of the project on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// Its name in the install dir.
    pub name: String,
    /// Where cargo put it.
    pub path: Utf8PathBuf,
}

/// A rootfs that has been proved complete, and what is to be said about it.
#[derive(Debug)]
pub struct Assembly {
    /// What to write.
    pub rootfs: Rootfs,
    /// What to print, in order.
    pub warnings: Vec<Warning>,
    /// Paths of the project's executables in the image, in the order of [`Artifacts::executables`].
    pub executables: Vec<RootfsPath>,
    /// Paths of the tools in the image, in the order of [`Content::tools`].
    pub tools: Vec<RootfsPath>,
}
/// `assemble` will be: sysroot is a host folder.
pub fn assemble(
    _sysroot: &camino::Utf8Path,
    _target: &Target,
    _content: &Content,
    _artifacts: &Artifacts,
) -> Result<Assembly> {
    Err(crate::Error::failed("not there yet"))
}
