//! Packages of a rootfs for a bill of materials: facts from the database and from copyright files.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::installed::Installed;
use super::licenses;
use crate::distro::OsRelease;
use crate::packages::{About, Format, PackageId};
use crate::path::RootfsPath;
use crate::rootfs::{OwningPackage, Rootfs};
use crate::sysroot::Sysroot;

/// A package with a file in a rootfs.
#[derive(Debug)]
pub(crate) struct PackedPackage {
    pub(crate) owner: Arc<OwningPackage>,
    /// The type of its package URL.
    pub(crate) format: &'static str,
    /// Name and version of its source, if either differs from its own.
    pub(crate) source: Option<(String, String)>,
    /// The licences in the database.
    pub(crate) licences: Vec<String>,
    /// The text of its copyright file.
    pub(crate) copyright: Option<String>,
    /// The common licences to which it refers.
    pub(crate) common: Vec<String>,
    pub(crate) maintainer: Option<String>,
    pub(crate) homepage: Option<String>,
    /// The packages of the same list that it depends on.
    pub(crate) depends: Vec<usize>,
    /// The number of its files in the sysroot.
    pub(crate) files: usize,
}

/// ID, VERSION_ID and PRETTY_NAME of a distribution.
type Named = (String, Option<String>, Option<String>);

/// The maximum size of a copyright file: Debian's longest have 3 MB.
const LONGEST: usize = 8 << 20;

/// The packages by name, and their distribution.
pub(super) fn find(rootfs: &Rootfs, view: &mut Sysroot, installed: &Installed) -> (Vec<PackedPackage>, Option<Named>) {
    let at = |path: &str| RootfsPath::root().join(path.as_bytes());
    let os_release = OsRelease::find(|path| view.read_small(path, OsRelease::LONGEST));
    let value = |key: &str| os_release.value(key).map(str::to_owned);
    let distribution = value("ID").map(|id| (id, value("VERSION_ID"), value("PRETTY_NAME")));
    let Some(database) = installed.database(view) else { return (Vec::new(), distribution) };

    let mut owners: Vec<Arc<OwningPackage>> = Vec::new();
    for package in rootfs.iter().filter_map(|(_, entry)| entry.package.as_ref()) {
        if !owners.iter().any(|known| Arc::ptr_eq(known, package)) {
            owners.push(Arc::clone(package));
        }
    }
    owners.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
    let found: Vec<(PackageId, Arc<OwningPackage>)> = owners
        .into_iter()
        .filter_map(|owner| Some((database.exactly(&owner.name, &owner.architecture, &owner.version)?, owner)))
        .collect();
    let places: FxHashMap<PackageId, usize> = found.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
    let packed = found.iter().map(|(id, owner)| {
        let About { source, licences, maintainer, homepage, files } = database.about(view, *id);
        let copyright = view.read_small(&at(&format!("/usr/share/doc/{}/copyright", owner.name)), LONGEST);
        let needed = database.needs(*id).into_iter().filter_map(|needed| places.get(&needed).copied());
        let mut depends: Vec<usize> = needed.collect();
        depends.sort_unstable();
        depends.dedup();
        PackedPackage {
            owner: Arc::clone(owner),
            format: match database.format() {
                Format::Dpkg => "deb",
                Format::Apk => "apk",
                Format::Pacman => "alpm",
            },
            source,
            licences,
            common: copyright.as_deref().map(common).unwrap_or_default(),
            copyright: copyright.map(lossy),
            maintainer,
            homepage,
            depends,
            files,
        }
    });
    (packed.collect(), distribution)
}

/// The text; invalid UTF-8 becomes U+FFFD.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn common(copyright: &[u8]) -> Vec<String> {
    let names = licenses::common(copyright);
    // A sentence may end after the name.
    let names: BTreeSet<&str> = names.iter().map(|name| name.trim_end_matches(['.', '-'])).collect();
    names.into_iter().map(str::to_owned).collect()
}
