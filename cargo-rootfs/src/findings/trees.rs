//! A sysroot and a rootfs as sources of findings.
//!
//! It does not judge the files.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Execution, There, Trees};
use crate::host_files;
use crate::packages::{self, Database, PackageId};
use crate::path::RootfsPath;
use crate::policy::Policy;
use crate::resolve::{Files, Find};
use crate::rootfs::{Body, Entry, Kind, Rootfs};
use crate::sysroot::{End, Sysroot};
use crate::target::Machine;

/// A sysroot and a rootfs of this run.
pub(crate) struct Real<'r> {
    pub(crate) sysroot: &'r mut Sysroot,
    pub(crate) rootfs: &'r Rootfs,
    pub(crate) policy: &'r Policy,
    /// Directories of the project on the host.
    pub(crate) project: &'r [RootfsPath],
    /// The database of the sysroot's packages, opened on demand.
    pub(crate) database: &'r OnceCell<Option<Database>>,
    pub(crate) machine: Machine,
}

/// The maximum length of a script's first line (`BINPRM_BUF_SIZE`).
const LINE: u64 = 256;

/// The names of the packages that own these paths of a sysroot. The owner of a symlink comes before that of its target:
/// the former depends on the latter.
///
/// A package of which `rootfs` has a part does not count, because only single files of it are missing, such as of
/// libc6. In a sysroot made of packages it counts, because there only packages can be requested.
pub(crate) fn owners(
    sysroot: &mut Sysroot,
    database: &OnceCell<Option<Database>>,
    machine: Machine,
    rootfs: &Rootfs,
    paths: &[RootfsPath],
) -> Vec<Option<String>> {
    let is_provisioned = packages::is_provisioned(sysroot.root());
    let Some(database) = database.get_or_init(|| Database::open(sysroot, machine)) else {
        return vec![None; paths.len()];
    };
    let places: Vec<RootfsPath> = paths.iter().map(|path| sysroot.place(path).path).collect();
    let real: Vec<RootfsPath> = paths.iter().map(|path| sysroot.walk(path).path).collect();
    let owners = database.owners(sysroot, &[places, real].concat());
    let (of_places, of_real) = owners.split_at(paths.len());
    let owner = of_places.iter().zip(of_real).map(|(place, real)| place.or(*real));
    let mut is_in_parts: BTreeMap<PackageId, bool> = BTreeMap::new();
    let mut is_whole = |id: &PackageId| {
        let is_packed = |path: &RootfsPath| rootfs.get(path).is_some_and(Entry::is_file);
        let in_parts = || !is_provisioned && database.files(sysroot, *id).iter().any(is_packed);
        !*is_in_parts.entry(*id).or_insert_with(in_parts)
    };
    owner.map(|owner| Some(database.package(owner.filter(&mut is_whole)?).name.to_string())).collect()
}

/// The file at a path of the host.
fn on_this_machine(path: &RootfsPath) -> There {
    let host = path.below(Path::new("/"));
    match host_files::metadata(&host).ok() {
        Some(metadata) if metadata.is_dir() => There::Folder(path.normalized()),
        Some(metadata) if metadata.is_file() => {
            let may = metadata.permissions().mode() & 0o111 != 0;
            There::File(path.normalized(), if may { Execution::Allowed } else { Execution::Forbidden })
        }
        _ => There::Nothing,
    }
}

impl Trees for Real<'_> {
    fn sysroot(&mut self, path: &RootfsPath) -> There {
        if self.is_projects(path) {
            return on_this_machine(path);
        }
        let walk = self.sysroot.walk(path);
        match walk.end {
            End::File(file) => {
                let may = self.sysroot.info(file).mode & 0o111 != 0;
                There::File(walk.path, if may { Execution::Allowed } else { Execution::Forbidden })
            }
            End::Dir(_) => There::Folder(walk.path),
            _ => There::Nothing,
        }
    }

    fn policy(&self) -> &Policy {
        self.policy
    }

    fn unpacked_link(&mut self, path: &RootfsPath) -> Option<String> {
        let place = self.sysroot.place(path).path;
        let walk = self.sysroot.walk(path);
        let target = walk.links.iter().find(|(link, _)| *link == place).map(|(_, target)| target)?;
        let is_packed = self.rootfs.get(&place).is_some();
        std::str::from_utf8(target).ok().filter(|_| !is_packed).map(str::to_owned)
    }

    fn first_absent(&mut self, path: &RootfsPath) -> RootfsPath {
        let walk = self.sysroot.walk(path);
        let mut way = walk.links.iter().map(|(link, _)| link).chain([&walk.path]);
        way.find(|place| self.rootfs.get(place).is_none()).unwrap_or(path).clone()
    }

    fn packages(&mut self, paths: &[RootfsPath]) -> Vec<Option<String>> {
        owners(self.sysroot, self.database, self.machine, self.rootfs, paths)
    }

    fn is_projects(&self, path: &RootfsPath) -> bool {
        self.project.iter().any(|project| path.is_within(project))
    }

    fn is_packed(&mut self, path: &RootfsPath) -> bool {
        !self.rootfs.way(path).is_empty()
    }

    fn interpreter(&mut self, path: &RootfsPath) -> Option<RootfsPath> {
        let way = self.rootfs.way(path);
        let mut head = Vec::new();
        match &way.last()?.1.kind {
            Kind::File(Body::Bytes(bytes)) => head.extend(bytes.iter().take(LINE as usize)),
            Kind::File(Body::Host(file)) => {
                file.open().ok()?.take(LINE).read_to_end(&mut head).ok()?;
            }
            _ => return None,
        }
        let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let word = line.trim_ascii_start().split(|byte| byte.is_ascii_whitespace()).next()?;
        RootfsPath::from_bytes(word)
    }

    fn count(&mut self, folder: &RootfsPath) -> usize {
        let names = self.sysroot.names(folder);
        let mut is_file = |name: &[u8]| matches!(self.sysroot.find(&folder.join(name)), Find::File { .. });
        names.iter().map(|name| &**name).filter(|name| is_file(name)).count()
    }
}
