//! A sysroot on disk, and requests for files of it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use camino::{Utf8Path, Utf8PathBuf};

use super::super::{Artifacts, Assembly, Content, Executable, Include, Planned, Variants, assemble, plan};
use crate::elf::fixture::Fixture;
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::resolve::Priority;
use crate::rootfs::{Kind, Rootfs};
use crate::runtime::{self, Runtime};
use crate::target::Target;

pub(super) fn path(text: &str) -> RootfsPath {
    RootfsPath::parse(text).unwrap()
}

/// A tool that needs only libc.
pub(super) fn tool() -> Fixture {
    Fixture::program().needs("libc.so.6").needs_versions("libc.so.6", &["GLIBC_2.34"])
}

/// A library that needs libc.
pub(super) fn library(soname: &str) -> Fixture {
    Fixture::library().soname(soname).needs("libc.so.6")
}

/// The directories built into the fixtures' loader (/lib64 would be Fedora's).
const SYSTEM_DIRS: &[u8] = b"\0x86-64-v4:x86-64-v3:x86-64-v2\0/lib/\0/usr/lib/\0";

/// A directory of the host as a sysroot or a project.
pub(super) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// An empty directory.
    pub(super) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A sysroot with a merged /usr: a loader, libc, sh and env.
    pub(super) fn merged() -> Self {
        Self::empty()
            .dir("usr/bin")
            .dir("usr/sbin")
            .dir("usr/lib")
            .dir("usr/lib64")
            .link("bin", "usr/bin")
            .link("sbin", "usr/sbin")
            .link("lib", "usr/lib")
            .link("lib64", "usr/lib64")
            .libc("usr/lib64", "usr/lib")
            .elf("usr/bin/dash", tool())
            .link("usr/bin/sh", "dash")
            .elf("usr/bin/env", tool())
    }

    /// The same with separate /bin and /usr/bin, /lib and /usr/lib.
    pub(super) fn unmerged() -> Self {
        Self::empty().libc("lib64", "lib").elf("bin/dash", tool()).link("bin/sh", "dash").elf("usr/bin/env", tool())
    }

    fn libc(self, loader: &str, libc: &str) -> Self {
        let versions = &["libc.so.6", "GLIBC_2.2.5", "GLIBC_2.34"];
        self.elf(
            &format!("{loader}/ld-linux-x86-64.so.2"),
            Fixture::library().soname("ld-linux-x86-64.so.2").tail(SYSTEM_DIRS),
        )
        .elf(
            &format!("{libc}/libc.so.6"),
            Fixture::library().soname("libc.so.6").needs("ld-linux-x86-64.so.2").defines_versions(versions),
        )
    }

    /// The directory of the sysroot.
    pub(super) fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    pub(super) fn at(&self, relative: &str) -> Utf8PathBuf {
        self.root().join(relative)
    }

    fn parents(&self, relative: &str) -> PathBuf {
        let at = self.at(relative);
        make_dirs(at.parent().unwrap());
        at.into_std_path_buf()
    }

    pub(super) fn elf(self, at: &str, file: Fixture) -> Self {
        self.bytes(at, &file.build(), 0o755)
    }

    pub(super) fn bytes(self, at: &str, bytes: &[u8], mode: u32) -> Self {
        let host = self.parents(at);
        std::fs::write(&host, bytes).unwrap();
        std::fs::set_permissions(&host, PermissionsExt::from_mode(mode)).unwrap();
        self
    }

    pub(super) fn dir(self, at: &str) -> Self {
        make_dirs(&self.at(at));
        self
    }

    pub(super) fn link(self, at: &str, target: &str) -> Self {
        symlink(target, self.parents(at)).unwrap();
        self
    }

    pub(super) fn hard_link(self, at: &str, other: &str) -> Self {
        std::fs::hard_link(self.at(other), self.parents(at)).unwrap();
        self
    }

    pub(super) fn mode(self, at: &str, mode: u32) -> Self {
        std::fs::set_permissions(self.at(at), PermissionsExt::from_mode(mode)).unwrap();
        self
    }

    pub(super) fn fifo(self, at: &str) -> Self {
        let host = self.parents(at);
        rustix::fs::mkfifoat(rustix::fs::CWD, &host, rustix::fs::Mode::from_raw_mode(0o644)).unwrap();
        self
    }
}

/// Makes `at` and its parents with a mode that does not depend on the umask.
fn make_dirs(at: &Utf8Path) {
    let missing: Vec<&Utf8Path> = at.ancestors().take_while(|it| !it.exists()).collect();
    std::fs::create_dir_all(at).unwrap();
    for dir in missing {
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// The request of a test.
pub(super) struct Ask {
    pub(super) content: Content,
    pub(super) artifacts: Artifacts,
    pub(super) target: Target,
}

impl Ask {
    /// These tools only, without a template.
    pub(super) fn tools(names: &[&str]) -> Self {
        Self {
            content: Content {
                tools: names.iter().map(|name| (*name).to_owned()).collect(),
                template: "none".to_owned(),
                ..Content::default()
            },
            artifacts: Artifacts::default(),
            target: Target::parse("x86_64-unknown-linux-gnu").unwrap(),
        }
    }

    pub(super) fn nothing() -> Self {
        Self::tools(&[])
    }

    pub(super) fn template(mut self, name: &str) -> Self {
        self.content.template = name.to_owned();
        self
    }

    pub(super) fn package(mut self, name: &str) -> Self {
        self.content.packages.push(name.to_owned());
        self
    }

    pub(super) fn library(mut self, name: &str) -> Self {
        self.content.libraries.push(name.to_owned());
        self
    }

    /// With libraries for all hardware.
    pub(super) fn hwcaps(mut self) -> Self {
        self.content.hwcaps = Variants::All;
        self
    }

    pub(super) fn dlopen(mut self, priority: Priority) -> Self {
        self.content.dlopen = priority;
        self
    }

    pub(super) fn runtime(mut self, runtime: Runtime) -> Self {
        self.content.runtime = runtime;
        self
    }

    /// With these rules, in TOML.
    #[track_caller]
    pub(super) fn rules(mut self, text: &str) -> Self {
        let document = toml::de::DeTable::parse(text).unwrap();
        self.content.rules.extend(runtime::from_toml(document.get_ref().get("rule").unwrap()).unwrap());
        self
    }

    pub(super) fn library_path(mut self, folder: impl Into<Utf8PathBuf>) -> Self {
        self.content.library_path.push(folder.into());
        self
    }

    pub(super) fn include(self, source: impl Into<Utf8PathBuf>, destination: &str) -> Self {
        self.include_as(source, destination, None, None)
    }

    pub(super) fn include_as(
        mut self,
        source: impl Into<Utf8PathBuf>,
        destination: &str,
        mode: Option<u32>,
        owner: Option<(u32, u32)>,
    ) -> Self {
        let (source, destination) = (source.into(), path(destination));
        self.content.includes.push(Include { source, destination, mode, owner });
        self
    }

    pub(super) fn executable(mut self, at: impl Into<Utf8PathBuf>) -> Self {
        let path = at.into();
        let name = path.file_name().unwrap().to_owned();
        self.artifacts.executables.push(Executable { name, path });
        self
    }

    pub(super) fn library_dir(mut self, at: impl Into<Utf8PathBuf>) -> Self {
        self.artifacts.library_dirs.push(at.into());
        self
    }

    pub(super) fn build_tree(mut self, at: impl Into<Utf8PathBuf>) -> Self {
        self.artifacts.build_tree.push(at.into());
        self
    }

    pub(super) fn plan(&self, sysroot: &Disk) -> Result<Planned> {
        Ok(plan(sysroot.root(), &self.target, &self.content, &self.artifacts)?)
    }

    pub(super) fn assemble(&self, sysroot: &Disk) -> Result<Assembly> {
        Ok(assemble(sysroot.root(), &self.target, &self.content, &self.artifacts)?)
    }

    /// The rootfs of a successful layout.
    #[track_caller]
    pub(super) fn rootfs(&self, sysroot: &Disk) -> Rootfs {
        match self.assemble(sysroot) {
            Ok(assembly) => assembly.rootfs,
            Err(error) => panic!("{error}"),
        }
    }

    /// The error of a failed layout.
    #[track_caller]
    pub(super) fn error(&self, sysroot: &Disk) -> Error {
        match self.assemble(sysroot) {
            Ok(assembly) => panic!("no error, but\n{}", assembly.rootfs.dump()),
            Err(error) => error,
        }
    }
}

/// The dump without lengths and origins.
pub(super) fn shape(rootfs: &Rootfs) -> String {
    let mut text = String::new();
    for (path, entry) in rootfs.iter() {
        let (letter, rest) = match &entry.kind {
            Kind::Dir => ('d', String::new()),
            Kind::File(_) => ('f', String::new()),
            Kind::Symlink(target) => ('l', format!(" -> {}", String::from_utf8_lossy(target))),
            Kind::Hardlink(target) => ('h', format!(" = {target}")),
        };
        let owner =
            if (entry.uid, entry.gid) == (0, 0) { String::new() } else { format!(" {}:{}", entry.uid, entry.gid) };
        text.push_str(&format!("{path} {letter}{:04o}{owner}{rest}\n", entry.mode));
    }
    text
}

/// Compares the whole shape; the expected text is indented with the test.
#[track_caller]
pub(super) fn expect_shape(rootfs: &Rootfs, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let found = shape(rootfs);
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "\n{found}");
}
