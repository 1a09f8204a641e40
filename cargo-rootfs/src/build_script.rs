//! For `build.rs`: a small userland as a tar in OUT_DIR, to be embedded by `include_bytes!`.
//!
//! Use the crate with `default-features = false`. It builds nothing, and prints only the directives of
//! [`Packed::print_directives`]. It reads the variables CARGO_MANIFEST_DIR, OUT_DIR, TARGET and SOURCE_DATE_EPOCH,
//! and never LD_LIBRARY_PATH, which cargo sets for build scripts.
//!
//! ```no_run
//! // build.rs
//! use cargo_rootfs::build_script::Userland;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let packed = Userland::new().with("bash").with("ls").include("assets", "/srv/assets").write_tar("userland.tar")?;
//!     packed.print_directives();
//!     Ok(())
//! }
//! // src/main.rs: static USERLAND: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/userland.tar"));
//! ```

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result, Warning};
use crate::host_files;
use crate::layout::{Artifacts, Content, Executable, Include, Licenses, Records, Variants};
use crate::path::RootfsPath;
use crate::pipeline::{self, Directory, Epoch, Events, Job, Order};
use crate::resolve::Priority;
pub use crate::runtime::Runtime;
use crate::target::{Machine, Target};
use crate::write::{self, Observer, tar::TarFile};

/// The contents to pack. Each method adds to earlier ones.
#[derive(Debug, Clone)]
pub struct Userland {
    content: Content,
    executables: Vec<Executable>,
    sysroot: Option<Utf8PathBuf>,
    target: Option<String>,
    errors: Vec<String>,
}

impl Default for Userland {
    fn default() -> Self {
        Self::new()
    }
}

impl Userland {
    /// Empty contents on the template `none`, for TARGET.
    pub fn new() -> Self {
        Self {
            content: Content { template: "none".to_owned(), ..Content::default() },
            executables: Vec::new(),
            sysroot: None,
            target: None,
            errors: Vec::new(),
        }
    }

    /// Adds a tool by name or by absolute path in the sysroot, with all its needs (`--with`).
    #[must_use]
    pub fn with(mut self, tool: impl Into<String>) -> Self {
        self.content.tools.push(tool.into());
        self
    }

    /// Adds a shared object that is opened at run time, by its soname (`--with-lib`).
    #[must_use]
    pub fn with_lib(mut self, soname: impl Into<String>) -> Self {
        self.content.libraries.push(soname.into());
        self
    }

    /// Adds a package of the sysroot's distribution, with its dependencies (`--with-package`).
    #[must_use]
    pub fn with_package(mut self, package: impl Into<String>) -> Self {
        self.content.packages.push(package.into());
        self
    }

    /// Accepts that the target provides a library (`--allow-missing`), by soname or pattern: it is neither packed nor
    /// missing.
    pub fn allow_missing(mut self, soname: impl Into<String>) -> Self {
        self.content.allow_missing.push(soname.into());
        self
    }

    /// Sets the lowest priority of packed libraries that ELF files declare to open at run time (`--dlopen`). The
    /// default is [`Priority::Recommended`].
    #[must_use]
    pub fn dlopen(mut self, priority: Priority) -> Self {
        self.content.dlopen = priority;
        self
    }

    /// Adds libraries for particular hardware, from glibc-hwcaps subdirectories (`--hwcaps all`).
    #[must_use]
    pub fn with_hwcaps(mut self) -> Self {
        self.content.hwcaps = Variants::All;
        self
    }

    /// Adds a locale besides C.UTF-8, such as `de_DE.UTF-8` (`--locale`).
    #[must_use]
    pub fn locale(mut self, name: impl Into<String>) -> Self {
        self.content.locales.push(name.into());
        self
    }

    /// Sets the source of files that belong with tools and libraries (`--runtime`).
    #[must_use]
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.content.runtime = runtime;
        self
    }

    /// Adds records and licences of the files' packages (`--records auto --licenses auto`). The default is none: no
    /// scanner reads an embedded tar.
    #[must_use]
    pub fn with_records(mut self) -> Self {
        (self.content.records, self.content.licenses) = (Records::Auto, Licenses::Auto);
        self
    }

    /// Adds a file or directory, relative to CARGO_MANIFEST_DIR, at `destination` in the image (`--include`).
    #[must_use]
    pub fn include(mut self, source: impl Into<Utf8PathBuf>, destination: &str) -> Self {
        match RootfsPath::parse(destination) {
            Ok(destination) => {
                let source = source.into();
                self.content.includes.push(Include { source, destination, mode: None, owner: None });
            }
            Err(error) => self.errors.push(error.message().to_owned()),
        }
        self
    }

    /// Adds a prebuilt executable, relative to CARGO_MANIFEST_DIR, to `/usr/local/bin` (`--binary`).
    #[must_use]
    pub fn binary(mut self, path: impl Into<Utf8PathBuf>) -> Self {
        let path = path.into();
        match path.file_name() {
            Some(name) => self.executables.push(Executable { name: name.to_owned(), path: path.clone() }),
            None => self.errors.push(format!("`{path}` does not name a file")),
        }
        self
    }

    /// Sets the skeleton: `none`, `base`, `web`, or a directory, which is a value with a slash (`--template`).
    #[must_use]
    pub fn template(mut self, template: impl Into<String>) -> Self {
        self.content.template = template.into();
        self
    }

    /// Adds a directory of the sysroot in which libraries are searched for (`--library-path`).
    #[must_use]
    pub fn library_path(mut self, folder: impl Into<Utf8PathBuf>) -> Self {
        self.content.library_path.push(folder.into());
        self
    }

    /// Sets the source of tools and libraries (`--sysroot`). The default is `/`, if TARGET has the host's architecture.
    #[must_use]
    pub fn sysroot(mut self, folder: impl Into<Utf8PathBuf>) -> Self {
        self.sysroot = Some(folder.into());
        self
    }

    /// Sets another target than TARGET.
    #[must_use]
    pub fn target(mut self, triple: impl Into<String>) -> Self {
        self.target = Some(triple.into());
        self
    }

    /// Packs everything as `<OUT_DIR>/<name>`. An existing tar with the same bytes is left unchanged, so that the code
    /// that embeds it is not compiled again.
    ///
    /// # Errors
    ///
    /// Missing tools and libraries, and all other faults of an incomplete rootfs; OUT_DIR or TARGET not set; I/O.
    pub fn write_tar(&self, name: &str) -> Result<Packed> {
        let out_dir =
            env::var_os("OUT_DIR").ok_or_else(|| Error::failed("OUT_DIR is not set: this is for build.rs"))?;
        let path = utf8(PathBuf::from(out_dir))?.join(name);
        self.write_tar_to(&path)
    }

    /// The same with any path.
    pub fn write_tar_to(&self, path: &Utf8Path) -> Result<Packed> {
        Error::all(self.errors.iter().map(Error::usage).collect())?;
        let epoch = Epoch::from_environment()?;
        let target = match (&self.target, env::var("TARGET")) {
            (Some(triple), _) => Target::parse(triple)?,
            (None, Ok(triple)) => Target::parse(&triple)?,
            (None, Err(_)) => return Err(Error::failed("TARGET is not set: this is for build.rs")),
        };
        let sysroot = match &self.sysroot {
            Some(sysroot) => sysroot.clone(),
            None if target.machine() == Machine::host() => Utf8PathBuf::from("/"),
            None => {
                return Err(Error::failed(format!("no sysroot for {}", target.triple()))
                    .help("name a directory with the target's tools and libraries by `sysroot`"));
            }
        };
        let base = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => utf8(PathBuf::from(folder))?,
            None => Utf8PathBuf::from("."),
        };
        let mut content = self.content.clone();
        for include in &mut content.includes {
            include.source = base.join(&include.source);
        }
        if content.template.contains('/') {
            content.template = base.join(&content.template).into_string();
        }
        let mut executables = self.executables.clone();
        for executable in &mut executables {
            executable.path = base.join(&executable.path);
        }
        let mut inputs: Vec<PathBuf> =
            executables.iter().map(|executable| executable.path.clone().into_std_path_buf()).collect();
        let artifacts = Artifacts { executables, ..Artifacts::default() };
        let plan = Wanted { target, content };
        let sysroot = Box::new(Directory::open(&sysroot)?);
        let gathered = Gathered::default();
        let mut proved = pipeline::prove(vec![Job { plan, artifacts, sysroot }], &gathered)?;
        let proved = proved.pop().expect("there is one rootfs for one job");

        let staged = path.with_extension("tar.new");
        let sink = TarFile::create(&staged, epoch.seconds())?;
        write::write(&proved.assembly.rootfs, vec![sink], &mut &gathered, gathered.interrupted())?;
        if same_bytes(&staged, path) {
            host_files::remove(&staged).or_cannot("remove")?;
        } else {
            host_files::rename(&staged, path).or_cannot("create")?;
        }
        let directory = proved.sysroot().to_owned();
        inputs.extend(proved.assembly.inputs);
        let watched = watched(&directory, inputs, &proved.assembly.absent);
        Ok(Packed { path: path.to_owned(), watched, warnings: gathered.warnings.into_inner() })
    }
}

/// A userland as a plan for the pipeline.
struct Wanted {
    target: Target,
    content: Content,
}

impl Order for Wanted {
    fn name(&self) -> &str {
        "userland"
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn content(&self) -> &Content {
        &self.content
    }
}

/// Collects warnings; a build script shows no progress and is not interrupted.
#[derive(Default)]
struct Gathered {
    warnings: RefCell<Vec<Warning>>,
    never: AtomicBool,
}

impl Events for Gathered {
    fn warning(&self, warning: &Warning) {
        self.warnings.borrow_mut().push(warning.clone());
    }

    fn progress(&self, _: u64) -> Box<dyn Observer + '_> {
        Box::new(self)
    }

    fn interrupted(&self) -> &AtomicBool {
        &self.never
    }
}

impl Observer for &Gathered {
    fn warn(&mut self, warning: Warning) {
        self.warning(&warning);
    }
}

/// A written tar, and the inputs that cargo must watch.
#[derive(Debug, Clone)]
pub struct Packed {
    path: Utf8PathBuf,
    watched: BTreeSet<PathBuf>,
    warnings: Vec<Warning>,
}

impl Packed {
    /// The path of the tar.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The warnings for the author of the build script. None of them is printed.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The lines that make cargo run the build script again when an input changes, or when a missing path appears.
    ///
    /// They name every file, each symlink that led to it and, for a missing path, its nearest existing directory: cargo
    /// treats a missing path as always changed. dpkg's and apk's records are watched too: they stand for new files in
    /// the directories of packages, and such a file may have an old date.
    pub fn directives(&self) -> impl Iterator<Item = String> {
        let files = self.watched.iter().map(|path| format!("cargo::rerun-if-changed={}", path.display()));
        files.chain(["cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH".to_owned()])
    }

    /// Prints [`directives`](Self::directives) to stdout, where cargo reads them.
    #[allow(clippy::print_stdout)] // The one thing a build script is there to print, and only when told to.
    pub fn print_directives(&self) {
        for line in self.directives() {
            println!("{line}");
        }
    }
}

/// Directories that belong to a distribution's packages, except /usr/local (hier(7)). The package manager's record
/// shows new files in them and is watched, so that cargo need not walk all of /usr/lib for a missing library.
const PACKAGED: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

fn watched(sysroot: &Utf8Path, inputs: Vec<PathBuf>, absent: &[PathBuf]) -> BTreeSet<PathBuf> {
    // For a symlink to a directory, cargo walks the directory: all of /usr/lib for /lib. If such a symlink changes, the
    // files behind it are gone or different.
    let leads_to_folder = |path: &PathBuf| path.is_symlink() && path.is_dir();
    let mut watched: BTreeSet<PathBuf> = inputs.into_iter().filter(|path| !leads_to_folder(path)).collect();
    let records =
        ["var/lib/dpkg/status", "lib/apk/db/installed"].map(|record| sysroot.join(record).into_std_path_buf());
    let records: Vec<PathBuf> = records.into_iter().filter(|record| record.is_file()).collect();
    let comes_with_packages = |path: &Path| {
        let inside = path.strip_prefix(sysroot).unwrap_or(path);
        let is_below = |folder: &&str| inside.starts_with(folder);
        !records.is_empty() && PACKAGED.iter().any(is_below) && !inside.starts_with("usr/local")
    };
    for path in absent.iter().filter(|path| !comes_with_packages(path)) {
        let folder = path.ancestors().skip(1).find(|folder| folder.is_dir());
        // Cargo walks a whole directory, so the top-level ones are not watched: a new entry there is no file.
        watched.extend(folder.filter(|folder| folder.components().count() > 2).map(Path::to_owned));
    }
    watched.extend(records);
    watched.retain(|path| path.to_str().is_some_and(|text| !text.contains('\n')));
    watched
}

fn utf8(path: PathBuf) -> Result<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(path).map_err(|path| Error::failed(format!("`{}` is not UTF-8", path.display())))
}

fn same_bytes(one: &Utf8Path, two: &Utf8Path) -> bool {
    let compare = || -> io::Result<bool> {
        let (mut one, mut two) = (host_files::open(one).result()?, host_files::open(two).result()?);
        if one.metadata()?.len() != two.metadata()?.len() {
            return Ok(false);
        }
        let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            let length = one.read(&mut left)?;
            two.read_exact(&mut right[..length])?;
            if length == 0 || left[..length] != right[..length] {
                return Ok(length == 0);
            }
        }
    };
    compare().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn packs_a_tool_and_names_its_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("userland.tar")).unwrap();
        let userland = Userland::new().with("sh").target(Target::host().triple());
        let packed = userland.write_tar_to(&path).unwrap();
        let lines: Vec<_> = packed.directives().collect();
        assert!(lines.iter().any(|line| line.contains("libc.so.6") || line.contains("musl")), "{lines:?}");
        for line in &lines {
            let Some(path) = line.strip_prefix("cargo::rerun-if-changed=") else { continue };
            assert!(Path::new(path).symlink_metadata().is_ok(), "cargo would always run it again for {path}");
        }
        let first = fs::metadata(&path).unwrap().modified().unwrap();
        userland.write_tar_to(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), first, "the same bytes were written again");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let userland = Userland::new().include("a", "relative").target(Target::host().triple());
        assert_eq!(userland.write_tar_to("x.tar".into()).unwrap_err().exit_code(), 2);
        let userland = Userland::new().with("sh").target("s390x-unknown-linux-gnu");
        assert!(userland.write_tar_to("x.tar".into()).unwrap_err().message().contains("no sysroot"));
    }

    /// Cargo walks each watched directory in every build.
    #[test]
    fn folders_of_packages_are_watched_by_their_record() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        for path in ["usr/lib/x", "usr/local/lib", "opt/app/lib", "var/lib/dpkg"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        let absent = ["usr/lib/x/tls", "usr/local/lib/liba.so", "opt/app/lib/liba.so"];
        let absent: Vec<PathBuf> = absent.iter().map(|path| root.join(path).into()).collect();
        let folders = |watched: BTreeSet<PathBuf>| -> Vec<String> {
            let inside = watched.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string());
            inside.collect()
        };
        assert_eq!(folders(watched(root, Vec::new(), &absent)), ["opt/app/lib", "usr/lib/x", "usr/local/lib"]);
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        let expected = ["opt/app/lib", "usr/local/lib", "var/lib/dpkg/status"];
        assert_eq!(folders(watched(root, Vec::new(), &absent)), expected);
    }
}
