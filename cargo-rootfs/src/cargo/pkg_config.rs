//! Settings that make pkg-config answer for another machine, from the `.pc` files of the sysroot or from the host's
//! files for that machine.
//!
//! The names of the variables end with the target, so that they do not affect the host's build dependencies
//! (<https://docs.rs/pkg-config/latest/pkg_config/#cross-compilation>). If the user has set one of them, nothing is
//! changed.

use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use super::machine::BuildMachine;
use crate::host_files;
use crate::rows::{Fields, embedded, table, text};
use crate::target::Target;

/// The configuration for one target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PkgConfig {
    pub(super) variables: Vec<(String, String)>,
    pub(super) from: From,
}

/// The source of the `.pc` files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum From {
    /// In the target's sysroot.
    Sysroot,
    /// On the host: the program or directory of this name.
    Host(String),
}

/// The variables that change pkg-config's answers.
const VARIABLES: [&str; 5] =
    ["PKG_CONFIG", "PKG_CONFIG_ALLOW_CROSS", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_PATH", "PKG_CONFIG_SYSROOT_DIR"];

/// Configures a target other than the compiler's own; `sysroot` is absolute. `is_set` returns whether a build script
/// would already have a variable.
pub(super) fn configure(
    target: &Target,
    sysroot: &Utf8Path,
    is_set: impl Fn(&str) -> bool,
    machine: &BuildMachine,
) -> Option<PkgConfig> {
    let triple = target.triple();
    let underscored = triple.replace('-', "_");
    if VARIABLES.iter().flat_map(|variable| names(variable, triple)).any(|name| is_set(&name)) {
        return None;
    }
    let set = |variable: &str, value: &str| (format!("{variable}_{underscored}"), value.to_owned());
    let multiarch = target.multiarch();
    let folders = folders(sysroot, multiarch.as_deref());
    if sysroot.parent().is_some() && !folders.is_empty() {
        let folders = folders.iter().map(|folder| folder.as_str()).collect::<Vec<_>>().join(":");
        return Some(PkgConfig {
            variables: vec![
                set("PKG_CONFIG_ALLOW_CROSS", "1"),
                set("PKG_CONFIG_SYSROOT_DIR", sysroot.as_str()),
                set("PKG_CONFIG_LIBDIR", &folders),
            ],
            from: From::Sysroot,
        });
    }
    // A musl target has the same tuple as glibc, and these libraries are linked with glibc.
    if !triple.contains("gnu") {
        return None;
    }
    let wrapper = format!("{}-pkg-config", multiarch.as_deref()?);
    if machine.find(wrapper.as_ref()).is_some() {
        return Some(PkgConfig {
            variables: vec![set("PKG_CONFIG", &wrapper)],
            from: From::Host(format!("`{wrapper}`")),
        });
    }
    let own = Utf8PathBuf::from(format!("/usr/lib/{}/pkgconfig", multiarch.as_deref()?));
    let shared = "/usr/share/pkgconfig";
    has_pc(&own).then(|| PkgConfig {
        variables: vec![set("PKG_CONFIG_ALLOW_CROSS", "1"), set("PKG_CONFIG_LIBDIR", &format!("{own}:{shared}"))],
        from: From::Host(own.to_string()),
    })
}

/// The names of a variable for one target, for all targets but the host, and for all, in the order of the crates
/// pkg-config and cc.
pub(super) fn names(variable: &str, triple: &str) -> [String; 4] {
    let underscored = triple.replace('-', "_");
    [
        format!("{variable}_{triple}"),
        format!("{variable}_{underscored}"),
        format!("TARGET_{variable}"),
        variable.to_owned(),
    ]
}

/// The directories of a root's `.pc` files: Debian's, Fedora's and the common ones; empty if the root has only those
/// for all machines.
fn folders(sysroot: &Utf8Path, multiarch: Option<&str>) -> Vec<Utf8PathBuf> {
    let multiarch = multiarch.map(|tuple| format!("usr/lib/{tuple}/pkgconfig"));
    let own = multiarch.into_iter().chain(["usr/lib64/pkgconfig", "usr/lib/pkgconfig"].map(str::to_owned));
    let mut folders: Vec<_> = own.map(|folder| sysroot.join(folder)).filter(|folder| has_pc(folder)).collect();
    if !folders.is_empty() {
        folders.extend([sysroot.join("usr/share/pkgconfig")].into_iter().filter(|folder| has_pc(folder)));
    }
    folders
}

fn has_pc(folder: &Utf8Path) -> bool {
    let names = host_files::names(folder).ok().unwrap_or_default();
    names.iter().any(|name| Utf8Path::new(&name.to_string_lossy()).extension() == Some("pc"))
}

/// Returns whether a dependency uses pkg-config, by the lock file; true without a lock file.
pub(super) fn is_asked(lock: Option<&str>) -> bool {
    lock.is_none_or(|lock| lock.lines().any(|line| line == "name = \"pkg-config\""))
}

const PACKAGES: &str = include_str!("../../templates/policy/pkg-config.toml");

/// The packages of Debian and Arch with `library`'s files, by its name in pkg-config.
pub(super) fn packages(library: &str) -> Option<(&'static str, &'static str)> {
    static ROWS: OnceLock<Fields> = OnceLock::new();
    let row = table(ROWS.get_or_init(|| embedded(PACKAGES)), library)?;
    Some((text(row, "debian")?, text(row, "arch")?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::machine::Distribution;
    use super::*;

    /// Makes a root with `.pc` files of these names.
    fn root(files: &[&str]) -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        for file in files {
            std::fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            std::fs::write(path.join(file), "").unwrap();
        }
        (folder, path)
    }

    fn configured(triple: &str, sysroot: &Utf8Path, set: &[&str], path: &Utf8Path) -> Option<PkgConfig> {
        let machine = BuildMachine::with_path(Distribution::Debian, path.as_std_path());
        configure(&Target::parse(triple).unwrap(), sysroot, |name| set.contains(&name), &machine)
    }

    #[test]
    fn the_files_of_the_sysroot_are_pointed_to() {
        // The host has no multiarch directories for this machine.
        let triple = "s390x-unknown-linux-gnu";
        let (_folder, path) = root(&["usr/lib/s390x-linux-gnu/pkgconfig/zlib.pc", "usr/share/pkgconfig/shared.pc"]);
        let found = configured(triple, &path, &[], "/nowhere".into()).unwrap();
        let libdir = format!("{path}/usr/lib/s390x-linux-gnu/pkgconfig:{path}/usr/share/pkgconfig");
        let variable = |name: &str, value: &str| (format!("{name}_s390x_unknown_linux_gnu"), value.to_owned());
        assert_eq!(
            found.variables,
            [
                variable("PKG_CONFIG_ALLOW_CROSS", "1"),
                variable("PKG_CONFIG_SYSROOT_DIR", path.as_str()),
                variable("PKG_CONFIG_LIBDIR", &libdir),
            ]
        );
        // The user has configured pkg-config in one of the possible ways.
        for name in ["PKG_CONFIG_PATH", "PKG_CONFIG_s390x-unknown-linux-gnu", "TARGET_PKG_CONFIG_ALLOW_CROSS"] {
            assert_eq!(configured(triple, &path, &[name], "/nowhere".into()), None, "{name}");
        }
        let (_folder, alpine) = root(&["usr/lib/pkgconfig/zlib.pc"]);
        assert!(configured("s390x-unknown-linux-musl", &alpine, &[], "/nowhere".into()).is_some());
        let (_folder, nothing) = root(&["usr/share/pkgconfig/shared.pc", "usr/lib/s390x-linux-gnu/pkgconfig/README"]);
        assert_eq!(configured(triple, &nothing, &[], "/nowhere".into()), None);
    }

    #[test]
    fn debians_own_pkg_config_for_the_target_is_next() {
        let (_folder, path) = root(&["s390x-linux-gnu-pkg-config"]);
        let program = path.join("s390x-linux-gnu-pkg-config");
        std::fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
        let found = configured("s390x-unknown-linux-gnu", Utf8Path::new("/"), &[], &path).unwrap();
        let variable = ("PKG_CONFIG_s390x_unknown_linux_gnu".to_owned(), "s390x-linux-gnu-pkg-config".to_owned());
        assert_eq!(found.variables, [variable]);
        // Its libraries are linked with glibc.
        assert_eq!(configured("s390x-unknown-linux-musl", Utf8Path::new("/"), &[], &path), None);
    }

    #[test]
    fn the_lock_file_tells_who_asks() {
        assert!(is_asked(Some("[[package]]\nname = \"pkg-config\"\nversion = \"0.3.32\"\n")));
        assert!(!is_asked(Some("[[package]]\nname = \"pkg-config-like\"\n")));
        assert!(is_asked(None));
    }

    #[test]
    fn packages_are_known_by_pkg_configs_names() {
        assert!(embedded(PACKAGES).iter().all(|(library, _)| packages(library).is_some()));
        assert_eq!(packages("openssl"), Some(("libssl-dev", "openssl")));
        assert_eq!(packages("nowhere"), None);
    }
}
