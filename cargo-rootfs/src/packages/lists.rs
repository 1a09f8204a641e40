//! Lists of the files of one package, and their sums.

use super::{Database, LONGEST, Listing, Package, PackageId, Sums, dpkg};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

impl Database {
    /// The paths that the database lists for a package: files, symlinks, and mostly directories, in its order. They are
    /// not resolved through the sysroot's symlinks, and may no longer exist.
    pub fn files(&self, view: &Sysroot, id: PackageId) -> Vec<RootfsPath> {
        let package = self.package(id);
        let files = match &package.listing {
            Listing::Record => self.format.files(self.record(id)),
            _ => {
                let list = self.lists_of(package).iter().find_map(|file| view.peek(file, LONGEST));
                list.map(|bytes| self.format.files(&bytes)).unwrap_or_default()
            }
        };
        match self.diversions[..] {
            [] => files,
            _ => files.into_iter().map(|path| self.diverted(package, path)).collect(),
        }
    }

    /// The names under which the list of a package, or its sums, may have the file with the real path `path`.
    pub(crate) fn listed_as(&self, id: PackageId, path: &RootfsPath) -> Vec<RootfsPath> {
        let mut names = self.names(path);
        let by = &self.package(id).name;
        let lost: Vec<_> = self.diversions.iter().filter(|it| names.contains(&it.to) && it.by != *by).collect();
        names.extend(lost.into_iter().map(|it| it.from.clone()));
        names
    }

    /// The possible paths of a package's list; the first existing one counts.
    fn lists_of(&self, package: &Package) -> Vec<RootfsPath> {
        match &package.listing {
            Listing::None | Listing::Record => Vec::new(),
            Listing::File(file) => vec![file.clone()],
            Listing::Info => dpkg::list_names(package).map(|name| self.info.join(name.as_bytes())).into(),
        }
    }

    /// The path, without its ending, of a dpkg package's files beside the status: `/var/lib/dpkg/info/libc6:amd64`.
    pub(crate) fn stem(&self, view: &Sysroot, id: PackageId) -> Option<RootfsPath> {
        let lists = self.lists_of(self.package(id));
        let list = lists.iter().find(|list| view.has(list))?;
        let name = list.file_name();
        let stem = name.strip_suffix(b".list").or_else(|| name.strip_suffix(b".md5sums"))?;
        Some(list.parent()?.child(stem))
    }

    /// The MD5 sums of a dpkg package, each with its path without the leading slash. Configuration files, and files
    /// made at installation, have none.
    pub(crate) fn sums(&self, view: &Sysroot, id: PackageId) -> Sums {
        let file = self.stem(view, id).map(|stem| {
            stem.parent().unwrap_or_else(RootfsPath::root).child(&[stem.file_name(), b".md5sums"].concat())
        });
        Sums(file.and_then(|file| view.peek(&file, LONGEST)).unwrap_or_default())
    }

    /// The directory of a pacman package, and its list of files.
    pub(crate) fn pacman_list(&self, view: &Sysroot, id: PackageId) -> Option<(RootfsPath, Vec<u8>)> {
        let Listing::File(file) = &self.package(id).listing else { return None };
        Some((file.parent()?, view.peek(file, LONGEST)?))
    }

    /// The paths under which a database may have the file with the real path `path`.
    pub(super) fn names(&self, path: &RootfsPath) -> Vec<RootfsPath> {
        // Every package with a file in a merged directory lists it, as the directory that it was before.
        if self.merged.iter().any(|(link, _)| link == path) {
            return Vec::new();
        }
        let mut names = vec![path.clone()];
        for (link, folder) in &self.merged {
            if path.is_within(folder) && path != folder {
                names.push(link.join(&path.as_bytes()[folder.as_bytes().len()..]));
            }
        }
        names
    }

    /// The real path of a file of `package` (dpkg-divert(1)).
    fn diverted(&self, package: &Package, path: RootfsPath) -> RootfsPath {
        match self.diversions.iter().find(|it| it.from == path && it.by != package.name) {
            Some(diversion) => diversion.to.clone(),
            None => path,
        }
    }
}
