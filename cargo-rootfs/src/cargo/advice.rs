//! Help after a failed build: recognises missing programs and libraries in its output, and names the commands that
//! install them.
//!
//! Cargo has already printed the error and set the exit code. This adds help for known causes only.

use super::linker;
use super::machine::{BuildMachine, Install};
use super::pkg_config;
use super::relay::Clue;
use crate::error::Error;
use crate::target::{Machine, Target};

/// A library that a build did not find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sought<'s> {
    /// By the linker's name: `z` for `-lz`.
    Linked(&'s str),
    /// By pkg-config's name.
    PkgConfig(&'s str),
}

/// Finds the package with which a library is built for a target. `None`: the sysroot is not made of packages.
/// `Some(None)`: no index names such a package.
pub(crate) type Packages<'p> = dyn Fn(&Target, Sought<'_>) -> Option<Option<String>> + 'p;

/// One line of help for each clue, without a message: cargo's exit code is `code`. `foreign` are the targets other than
/// the host's.
pub(super) fn after_failure(
    code: i32,
    clues: &[Clue],
    targets: &[&Target],
    foreign: &[&Target],
    packages: &Packages<'_>,
) -> Error {
    let machine = BuildMachine::this();
    let mut lines = Vec::new();
    for clue in clues {
        let sought = match clue {
            Clue::LibraryUnknown(library) => Some(Sought::PkgConfig(library)),
            Clue::LibraryAbsent(library) => Some(Sought::Linked(library)),
            _ => None,
        };
        let provisioned = sought.and_then(|sought| packages(foreign.first()?, sought));
        lines.extend(match provisioned {
            Some(Some(package)) => Some(format!("the sysroot lacks {package}: --build-package {package}")),
            Some(None) => Some("name the -dev package that has it: --build-package NAME".to_owned()),
            None => help(clue, targets, foreign, &machine),
        });
    }
    lines.dedup();
    let each = lines.into_iter().map(|line| Error::cargo(code, "").help(line)).collect();
    Error::all(each).err().unwrap_or_else(|| Error::cargo(code, ""))
}

/// The help for one clue.
fn help(clue: &Clue, targets: &[&Target], foreign: &[&Target], machine: &BuildMachine) -> Option<String> {
    // Cargo's output does not name the target. The first foreign one is assumed, because it lacks most.
    let foreign = foreign.first().copied();
    let command = |install: Install| {
        let error = install.explain(Error::failed(""), machine.distribution);
        error.help_line().map(str::to_owned).or_else(|| error.details().first().cloned())
    };
    match clue {
        Clue::NoLinker(_) | Clue::NoCompiler(_) | Clue::WrongLinker => {
            let target = foreign.or_else(|| targets.first().copied())?;
            let is_cpp = matches!(clue, Clue::NoCompiler(name) if name.ends_with("++"));
            let install = match is_cpp {
                true => linker::install_for_cpp(target),
                false => linker::install(target, linker::Libc::Gnu),
            };
            let install = command(install)?;
            Some(match clue {
                Clue::NoCompiler(name) => {
                    let language = if is_cpp { "C++" } else { "C" };
                    format!("`{name}` compiles {language} for {}: {install}", target.triple())
                }
                _ => format!("a linker for {}: {install}", target.triple()),
            })
        }
        Clue::NoStandardLibrary => {
            let target = foreign?;
            Some(format!("the standard library for {0}: rustup target add {0}", target.triple()))
        }
        Clue::PkgConfigAbsent => {
            let text = |text: &str| Some(text.to_owned());
            let (debian, fedora) = (text("apt-get install pkg-config"), text("dnf install pkgconf-pkg-config"));
            let install =
                Install { debian, fedora, arch: text("pacman -S pkgconf"), anywhere: text("install pkgconf") };
            command(install)
        }
        Clue::PkgConfigForeign => {
            let target = foreign?;
            let sysroot = "if the sysroot has the libraries' -dev packages, pkg-config is pointed to it";
            Some(match target.debian() {
                Some(arch) => format!("{sysroot}; or install them here, as in apt-get install libssl-dev:{arch}"),
                None => sysroot.to_owned(),
            })
        }
        Clue::LibraryUnknown(library) => {
            let target = foreign.filter(|target| target.machine() != Machine::host());
            library_help(library, target, machine)
        }
        Clue::LibraryAbsent(library) => {
            let target = foreign.filter(|target| target.machine() != Machine::host());
            library_help(by_pkg_config(library), target, machine)
        }
        Clue::NoZig => Some("pip install ziglang".to_owned()),
    }
}

/// The library's name in pkg-config; the linker's name if pkg-config has no other.
fn by_pkg_config(library: &str) -> &str {
    let known = [("ssl", "openssl"), ("crypto", "openssl"), ("pq", "libpq"), ("git2", "libgit2"), ("z", "zlib")];
    known.iter().find(|(name, _)| *name == library).map_or(library, |(_, name)| name)
}

/// Help with the packages that a library is built with.
fn library_help(library: &str, foreign: Option<&Target>, machine: &BuildMachine) -> Option<String> {
    let (debian, arch) = pkg_config::packages(library).unzip();
    let install = match foreign {
        None => Install {
            debian: debian.map(|package| format!("apt-get install {package}")),
            fedora: Some(format!("dnf install 'pkgconfig({library})'")),
            arch: arch.map(|package| format!("pacman -S {package}")),
            anywhere: None,
        },
        Some(target) => {
            let (package, arch) = (debian?, target.debian()?);
            let here = format!("apt-get install {package}:{arch}");
            Install {
                debian: Some(format!("put {package} into the sysroot, or install it here: {here}")),
                anywhere: Some(format!("put the files for building with `{library}` into the sysroot")),
                ..Install::default()
            }
        }
    };
    install.explain(Error::failed(""), machine.distribution).help_line().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::machine::Distribution;
    use super::*;

    #[test]
    fn what_to_install_depends_on_the_distribution_and_on_the_target() {
        let (host, other) = match Machine::host().name().as_str() {
            "aarch64" => ("aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
            _ => ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"),
        };
        let debian_arch = Target::parse(other).unwrap().machine().debian().unwrap();
        let said = |clue: Clue, triple: &str, distribution| {
            let target = Target::parse(triple).unwrap();
            let foreign = if triple == host { vec![] } else { vec![&target] };
            help(&clue, &[&target], &foreign, &BuildMachine::with_path(distribution, "")).unwrap_or_default()
        };
        let openssl = || Clue::LibraryUnknown("openssl".to_owned());
        assert_eq!(said(openssl(), host, Distribution::Debian), "apt-get install libssl-dev");
        assert_eq!(said(openssl(), host, Distribution::Fedora), "dnf install 'pkgconfig(openssl)'");
        assert_eq!(said(openssl(), host, Distribution::Arch), "pacman -S openssl");
        let foreign = said(openssl(), other, Distribution::Debian);
        assert!(foreign.ends_with(&format!("apt-get install libssl-dev:{debian_arch}")), "{foreign}");
        assert_eq!(said(Clue::LibraryUnknown("nowhere".to_owned()), host, Distribution::Debian), "");
        assert_eq!(said(Clue::LibraryAbsent("pq".to_owned()), host, Distribution::Debian), "apt-get install libpq-dev");
        let compiler = said(Clue::NoCompiler("x-gcc".to_owned()), other, Distribution::Debian);
        assert!(
            compiler.starts_with("`x-gcc` compiles C for") && compiler.contains("apt-get install gcc-"),
            "{compiler}"
        );
        let compiler = said(Clue::NoCompiler("x-g++".to_owned()), other, Distribution::Debian);
        assert!(compiler.starts_with("`x-g++` compiles C++ for") && compiler.contains("install g++-"), "{compiler}");
        let compiler = said(Clue::NoCompiler("g++".to_owned()), host, Distribution::Fedora);
        assert!(compiler.ends_with("dnf install gcc-c++"), "{compiler}");
        let std = said(Clue::NoStandardLibrary, other, Distribution::Unknown);
        assert!(std.ends_with(&format!("rustup target add {other}")), "{std}");
    }

    #[test]
    fn cargos_code_stands() {
        let error = after_failure(101, &[Clue::NoZig], &[], &[], &|_, _| None);
        assert_eq!((error.exit_code(), error.message()), (101, ""));
        assert_eq!(error.help_line(), Some("pip install ziglang"));
        assert_eq!(after_failure(101, &[], &[], &[], &|_, _| None).help_line(), None);
    }

    #[test]
    fn the_sysroots_package_for_a_missing_library_is_named() {
        let target = Target::parse("s390x-unknown-linux-gnu").unwrap();
        let said = |clue: Clue, packages: &Packages<'_>| {
            let error = after_failure(101, &[clue], &[&target], &[&target], packages);
            error.help_line().unwrap_or_default().to_owned()
        };
        let missing = || Clue::LibraryAbsent("magic".to_owned());
        let by_index: &Packages<'_> = &|_, sought| {
            assert_eq!(sought, Sought::Linked("magic"));
            Some(Some("libmagic-dev".to_owned()))
        };
        assert_eq!(said(missing(), by_index), "the sysroot lacks libmagic-dev: --build-package libmagic-dev");
        assert!(said(missing(), &|_, _| Some(None)).ends_with("--build-package NAME"));
        // The user fills a directory sysroot.
        assert!(!said(Clue::LibraryUnknown("openssl".to_owned()), &|_, _| None).contains("--build-package"));
    }
}
