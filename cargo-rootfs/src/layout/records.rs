//! Records of packages: the database's records of every package with a file in the rootfs, reduced to these files, at
//! the place where scanners and package managers look for them.
//!
//! dpkg's records are in `/var/lib/dpkg/status.d`, as in distroless images: trivy, syft, grype and osv-scanner read
//! that directory. If dpkg itself is packed, which reads only `status`, that file is written instead. rpm's databases
//! are not read.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::installed::Installed;
use super::licenses::{self, Licenses};
use super::owners::Owners;
use super::place::{IfThere, Layout};
use crate::distro::OsRelease;
use crate::error::Result;
use crate::packages::{self, Database, Format, Marks, PackageId};
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, Kind, Origin, OwningPackage};

/// The choice of packed records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Records {
    /// None.
    #[default]
    None,
    /// One for each package with a file in the rootfs, if the sysroot has a readable database.
    Auto,
}

const DPKG: &str = "/var/lib/dpkg";

/// Finds the owners of all files, and adds their records and licences.
pub(super) fn lay_out(
    layout: &mut Layout<'_>,
    installed: &Installed,
    records: Records,
    licenses: Licenses,
) -> Result<()> {
    if (records, licenses) == (Records::None, Licenses::None) {
        return Ok(());
    }
    let Some(database) = installed.database(layout.view) else { return Ok(()) };
    if records == Records::Auto {
        distribution(layout)?;
    }
    let mut owners = Owners::default();
    loop {
        // A licence may belong to another package: that of libgcc-s1 is in gcc-12-base.
        let new = owners.find(&mut layout.rootfs, layout.view, &database);
        if licenses == Licenses::None || new.is_empty() {
            break;
        }
        new.iter().try_for_each(|id| licenses::lay_out(layout, &database.package(*id).name))?;
    }
    match records {
        Records::Auto => Packed::new(layout, &database, owners.known).lay_out(layout),
        Records::None => Ok(()),
    }
}

/// Adds the files by which scanners identify the distribution: trivy reads Debian's and Ubuntu's own files, all others
/// os-release(5).
fn distribution(layout: &mut Layout<'_>) -> Result<()> {
    let system = OsRelease::find(|path| layout.view.read_small(path, OsRelease::LONGEST));
    let is_ubuntu = system.ids().any(|id| id == "ubuntu");
    let mut paths = vec!["/etc/os-release", "/etc/debian_version", "/etc/alpine-release", "/etc/arch-release"];
    paths.extend(is_ubuntu.then_some("/etc/lsb-release"));
    for path in paths {
        let path = RootfsPath::root().join(path.as_bytes());
        if layout.exists(&path) {
            layout.copy(&path, &Origin::Distribution, IfThere::Keep)?;
        }
    }
    Ok(())
}

/// The packages of a rootfs, and the packed files of each.
struct Packed<'d> {
    database: &'d Database,
    owners: BTreeMap<PackageId, Arc<OwningPackage>>,
    /// Files and symlinks, in order.
    files: BTreeMap<PackageId, Vec<RootfsPath>>,
}

impl<'d> Packed<'d> {
    fn new(layout: &Layout<'_>, database: &'d Database, owners: BTreeMap<PackageId, Arc<OwningPackage>>) -> Self {
        let mut files: BTreeMap<PackageId, Vec<RootfsPath>> = BTreeMap::new();
        for (path, entry) in layout.rootfs.iter() {
            let Some(package) = &entry.package else { continue };
            let id = owners.iter().find(|(_, known)| Arc::ptr_eq(known, package)).map(|(id, _)| *id);
            id.into_iter().for_each(|id| files.entry(id).or_default().push(path.clone()));
        }
        Self { database, owners, files }
    }

    fn lay_out(&self, layout: &mut Layout<'_>) -> Result<()> {
        match self.database.format() {
            Format::Dpkg if self.has_dpkg() => self.status(layout),
            Format::Dpkg => self.status_d(layout),
            Format::Apk => self.apk(layout),
            Format::Pacman => self.pacman(layout),
        }
    }

    fn has_dpkg(&self) -> bool {
        let dpkg = self.owners.iter().find(|(_, package)| &*package.name == "dpkg");
        let files = dpkg.and_then(|(id, _)| self.files.get(id));
        files.is_some_and(|files| files.iter().any(|path| path.file_name() == b"dpkg" && !path.is_within(&docs())))
    }

    /// Writes `status.d/PACKAGE`, and `PACKAGE.md5sums` beside it.
    fn status_d(&self, layout: &mut Layout<'_>) -> Result<()> {
        let folder = RootfsPath::root().join(format!("{DPKG}/status.d").as_bytes());
        for (id, package) in &self.owners {
            let is_twice = self.owners.values().filter(|other| other.name == package.name).count() > 1;
            let name =
                if is_twice { format!("{}:{}", package.name, package.architecture) } else { package.name.to_string() };
            self.put(layout, package, folder.child(name.as_bytes()), self.record(*id, None))?;
            let sums = self.sums(layout, *id);
            self.put(layout, package, folder.child(format!("{name}.md5sums").as_bytes()), sums)?;
        }
        Ok(())
    }

    /// Writes `status`, and the lists that dpkg itself reads.
    fn status(&self, layout: &mut Layout<'_>) -> Result<()> {
        let folder = RootfsPath::root().join(DPKG.as_bytes());
        let mut status = Vec::new();
        for (id, package) in &self.owners {
            status.extend([self.record(*id, Some("install ok installed")), b"\n".to_vec()].concat());
            let Some(stem) = self.database.stem(layout.view, *id) else { continue };
            let stem = folder.join(b"info").child(stem.file_name());
            let beside = |ending: &str| RootfsPath::root().join(&[stem.as_bytes(), ending.as_bytes()].concat());
            let lines = self.files.get(id).into_iter().flatten().map(|path| [path.as_bytes(), b"\n"].concat());
            self.put(layout, package, beside(".list"), lines.collect::<Vec<_>>().concat())?;
            let sums = self.sums(layout, *id);
            self.put(layout, package, beside(".md5sums"), sums)?;
        }
        let dpkg = self.owners.values().find(|package| &*package.name == "dpkg");
        dpkg.map_or(Ok(()), |dpkg| self.put(layout, dpkg, folder.child(b"status"), status))
    }

    fn record(&self, id: PackageId, status: Option<&str>) -> Vec<u8> {
        packages::cut_dpkg_record(self.database.record(id), status)
    }

    /// The sums of the packed files, by their paths in the rootfs: a package lists lib/x where a merged root has
    /// usr/lib/x.
    fn sums(&self, layout: &Layout<'_>, id: PackageId) -> Vec<u8> {
        let files = || self.files.get(&id).into_iter().flatten();
        let mut wanted: FxHashMap<RootfsPath, usize> = FxHashMap::default();
        for (at, path) in files().enumerate().filter(|(_, path)| layout.rootfs.get(path).is_some_and(Entry::is_file)) {
            wanted.extend(self.database.listed_as(id, path).into_iter().map(|name| (name, at)));
        }
        let wanted: FxHashMap<&[u8], usize> = wanted.iter().map(|(name, at)| (name.relative(), *at)).collect();
        let sums = self.database.sums(layout.view, id);
        let marks = Marks::of(wanted.keys().copied());
        let listed = sums.of(|path| marks.may_have(path));
        let found = listed.filter_map(|(path, sum)| Some((*wanted.get(path)?, sum)));
        let found: BTreeMap<usize, &str> = found.collect();
        let mut text = Vec::new();
        for (path, sum) in files().enumerate().filter_map(|(at, path)| Some((path, found.get(&at)?))) {
            text.extend([sum.as_bytes(), b"  ", path.relative(), b"\n"].concat());
        }
        text
    }

    /// The names under which a package's list may have its packed files.
    fn names(&self, id: PackageId) -> FxHashSet<RootfsPath> {
        self.files.get(&id).into_iter().flatten().flat_map(|path| self.database.listed_as(id, path)).collect()
    }

    /// Writes apk's single file for all packages.
    fn apk(&self, layout: &mut Layout<'_>) -> Result<()> {
        let mut text = Vec::new();
        for id in self.owners.keys() {
            let names = self.names(*id);
            let record = packages::cut_apk_record(self.database.record(*id), |path| names.contains(path));
            text.extend([&record, &b"\n"[..]].concat());
        }
        let entry = Entry::new(Kind::File(Body::Bytes(text.into())), 0o644, Origin::Record("apk".into()));
        let at = |path: &str| RootfsPath::root().join(path.as_bytes());
        let path = packages::APK_FILES.map(at).into_iter().find(|path| layout.exists(path));
        path.map_or(Ok(()), |path| layout.put(&path, entry, IfThere::Keep))
    }

    /// Writes pacman's directory for each package.
    fn pacman(&self, layout: &mut Layout<'_>) -> Result<()> {
        for (id, package) in &self.owners {
            let Some((folder, list)) = self.database.pacman_list(layout.view, *id) else { continue };
            let names = self.names(*id);
            self.put(layout, package, folder.child(b"desc"), self.database.record(*id).to_vec())?;
            let files = packages::cut_pacman_list(&list, |path| names.contains(path));
            self.put(layout, package, folder.child(b"files"), files)?;
            self.mtree(layout, *id, package, &folder)?;
        }
        Ok(())
    }

    #[cfg(feature = "cli")]
    fn mtree(
        &self,
        layout: &mut Layout<'_>,
        id: PackageId,
        of: &Arc<OwningPackage>,
        folder: &RootfsPath,
    ) -> Result<()> {
        let is_link = |path| layout.rootfs.get(path).is_some_and(|entry| matches!(entry.kind, Kind::Symlink(_)));
        let files = self.files.get(&id).into_iter().flatten();
        let list = packages::mtree(files.map(|path| (path, if is_link(path) { "link" } else { "file" })));
        let list = list.map_err(|error| crate::error::Error::failed("cannot write a record").with_source(error))?;
        self.put(layout, of, folder.child(b"mtree"), list)
    }

    /// Without the command nothing compresses.
    #[cfg(not(feature = "cli"))]
    fn mtree(&self, _: &mut Layout<'_>, _: PackageId, _: &Arc<OwningPackage>, _: &RootfsPath) -> Result<()> {
        Ok(())
    }

    /// Puts a record as an entry that belongs to its package, so it gets into that package's layer.
    fn put(&self, layout: &mut Layout<'_>, of: &Arc<OwningPackage>, path: RootfsPath, bytes: Vec<u8>) -> Result<()> {
        let kind = Kind::File(Body::Bytes(bytes.into()));
        let mut entry = Entry::new(kind, 0o644, Origin::Record(of.name.as_ref().into()));
        entry.package = Some(Arc::clone(of));
        layout.put(&path, entry, IfThere::Keep)
    }
}

fn docs() -> RootfsPath {
    RootfsPath::root().join(b"usr/share")
}
