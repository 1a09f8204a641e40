//! The package with a missing library or tool, from dpkg's files of the sysroot or of the host.
//!
//! It is for help lines only: no decision depends on it, and without dpkg it returns nothing.

use std::path::Path;

use super::known_owner;
use crate::host_files;
use crate::target::Machine;

const INFO: &str = "var/lib/dpkg/info";

/// The record beside the root directory of a sysroot made of packages.
pub(crate) const ABOUT: &str = "about.toml";

/// True if the sysroot was made of packages by this program: users do not install packages in it.
pub(crate) fn is_provisioned(sysroot: &Path) -> bool {
    sysroot.parent().is_some_and(|directory| directory.join(ABOUT).is_file())
}

/// The way to get a package into a sysroot, as the beginning of a help line: `install libssl3 in the sysroot`.
pub(crate) fn remedy(sysroot: &Path, package: Option<&str>) -> String {
    match (package, is_provisioned(sysroot)) {
        (Some(package), true) => {
            // The sysroot has only packages of its own machine.
            format!("add it: --with-package {}", package.split(':').next().unwrap_or(package))
        }
        (Some(package), false) => format!("install {package} in the sysroot"),
        (None, true) => "name the package that has it: --with-package NAME".to_owned(),
        (None, false) => "add its package to the sysroot".to_owned(),
    }
}

/// The package with the library `soname`, such as `libssl3:arm64`, from the shlibs files (deb-shlibs(5)) of the
/// sysroot, else of the host.
pub(crate) fn of_library(sysroot: &Path, soname: &[u8], machine: Machine) -> Option<String> {
    let soname = std::str::from_utf8(soname).ok()?;
    // The files write `libfoo.so.1` as `libfoo 1`, and `libfoo-1.2.so` as `libfoo 1.2`.
    let (library, version) = match soname.split_once(".so.") {
        Some(parts) => parts,
        None => soname.strip_suffix(".so")?.rsplit_once('-')?,
    };
    let package = [sysroot, Path::new("/")].into_iter().find_map(|root| {
        in_files(root, ".shlibs", |_, text| {
            text.lines().find_map(|line| {
                let mut words = line.split_whitespace().skip_while(|word| word.ends_with(':'));
                let is_it = words.next() == Some(library) && words.next() == Some(version);
                let package = words.next().filter(|_| is_it)?;
                // The copy for a cross compiler names its architecture.
                let (package, architecture) = package.split_once(':').map_or((package, None), |(a, b)| (a, Some(b)));
                (architecture.is_none() || architecture == machine.debian()).then(|| package.to_owned())
            })
        })
    })?;
    Some(with_architecture(&package, machine))
}

/// The package of the host with a tool of this name, such as `coreutils:arm64`.
pub(crate) fn of_tool(name: &str, machine: Machine) -> Option<String> {
    let endings = [format!("/bin/{name}"), format!("/sbin/{name}")];
    let package = in_files(Path::new("/"), ".list", |file, text| {
        let found = text.lines().any(|line| endings.iter().any(|ending| line.ends_with(ending)));
        found.then(|| file.split(':').next().unwrap_or(file).to_owned())
    })?;
    Some(with_architecture(&package, machine))
}

/// Debian's package with a tool of this name, for a sysroot with dpkg's database; the host need not have the tool.
pub(crate) fn of_tool_in_debian(sysroot: &Path, name: &str, machine: Machine) -> Option<String> {
    let package = known_owner("tools", name).filter(|_| sysroot.join(INFO).is_dir())?;
    Some(with_architecture(package, machine))
}

/// The path of a tool of this name outside the sysroot's PATH, such as `/usr/lib/postgresql/15/bin/postgres`.
pub(crate) fn elsewhere(sysroot: &Path, name: &str) -> Option<String> {
    let endings = ["bin", "sbin", "games"].map(|folder| format!("/{folder}/{name}"));
    in_files(sysroot, ".list", |_, text| {
        text.lines().find(|line| endings.iter().any(|ending| line.ends_with(ending))).map(str::to_owned)
    })
}

fn with_architecture(package: &str, machine: Machine) -> String {
    match machine.debian() {
        Some(debian) if machine != Machine::host() => format!("{package}:{debian}"),
        _ => package.to_owned(),
    }
}

/// Calls `pick` for each file with this ending, in the order of names, with the name without the ending.
fn in_files(root: &Path, ending: &str, pick: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    let names = host_files::names(&root.join(INFO)).ok()?;
    let mut names = names.iter().filter_map(|name| name.to_str());
    names.find_map(|name| {
        let stem = name.strip_suffix(ending)?;
        let text = host_files::text(&root.join(INFO).join(name)).ok()?;
        pick(stem, &text)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::target::Target;

    /// Packages cannot be installed in a sysroot of the cache, and its package names have no architecture.
    #[test]
    fn a_package_comes_into_a_sysroot_in_one_of_two_ways() {
        let cache = tempfile::tempdir().unwrap();
        let root = cache.path().join("root");
        fs::create_dir_all(root.join(INFO)).unwrap();
        assert_eq!(remedy(&root, Some("libssl3:arm64")), "install libssl3:arm64 in the sysroot");
        assert_eq!(remedy(&root, None), "add its package to the sysroot");
        fs::write(cache.path().join(ABOUT), "").unwrap();
        assert_eq!(remedy(&root, Some("libssl3:arm64")), "add it: --with-package libssl3");
        assert!(remedy(&root, None).ends_with("--with-package NAME"));
        let of = |name: &str| of_tool_in_debian(&root, name, Machine::host());
        assert_eq!((of("ss").as_deref(), of("no-such-tool")), (Some("iproute2"), None));
        assert_eq!(of_tool_in_debian(cache.path(), "ss", Machine::host()), None, "dpkg does not fill it");
    }

    #[test]
    fn packages_by_soname() {
        let root = tempfile::tempdir().unwrap();
        let info = root.path().join(INFO);
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("libquux7:amd64.shlibs"), "libquux 7 libquux7 (>= 1.0)\nudeb: libquux 7 x\n").unwrap();
        fs::write(info.join("libquux7-cross.shlibs"), "libquux 7 libquux7:arm64 (>= 1.0)\n").unwrap();
        fs::write(info.join("libbfd.shlibs"), "libbfdx 2.40-system libbfdx (>= 2.40)\n").unwrap();
        let arm = Target::parse("aarch64-unknown-linux-gnu").unwrap().machine();
        assert_eq!(of_library(root.path(), b"libquux.so.7", Machine::host()).as_deref(), Some("libquux7"));
        if arm != Machine::host() {
            assert_eq!(of_library(root.path(), b"libquux.so.7", arm).as_deref(), Some("libquux7:arm64"));
        }
        assert_eq!(of_library(root.path(), b"libquux.so.8", arm), None);
        fs::write(info.join("postgresql-15.list"), "/.\n/usr/lib/postgresql/15/bin/postgres\n").unwrap();
        assert_eq!(elsewhere(root.path(), "postgres").as_deref(), Some("/usr/lib/postgresql/15/bin/postgres"));
        assert_eq!(elsewhere(root.path(), "gres"), None);
        assert_eq!(of_library(root.path(), b"\xff.so.8", arm), None);
    }
}
