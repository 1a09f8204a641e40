//! The linker of each target: the names of cross compilers, the installed one, and the commands that install one.
//!
//! Cargo's configuration has precedence. A linker is passed to one build in one variable.

use std::ffi::OsStr;

use super::machine::{BuildMachine, Install};
use crate::error::Error;
use crate::target::{Machine, Target};

/// The linker of a target.
#[derive(Debug)]
pub(super) enum Linker {
    /// Nothing to do: a linker is configured or rustc's default works, or neither is known.
    Leave,
    /// An installed linker that is not configured.
    Use(String),
    /// Without a linker, the build would fail.
    Missing(Error),
}

/// Checks the configuration, then the installed programs.
pub(super) fn choose(target: &Target, configured: Option<&OsStr>, libc: Libc, machine: &BuildMachine) -> Linker {
    if let Some(linker) = configured {
        return if is_there(linker, machine) {
            Linker::Leave
        } else {
            Linker::Missing(absent(target, linker, libc, machine))
        };
    }
    let Some(names) = names(target, libc) else { return Linker::Leave };
    if links_with_cc(target, libc, machine) {
        return Linker::Leave;
    }
    match names.iter().find(|name| has_libc(name, machine)) {
        Some(name) => Linker::Use(name.clone()),
        None => Linker::Missing(missing(target, &names, libc, machine)),
    }
}

/// The C library that a linker needs for a target's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Libc {
    /// glibc's.
    Gnu,
    /// None: Rust's own static musl is linked.
    RustsMusl,
    /// musl's.
    Musl,
}

/// rustc finds `rust-lld` in its own directory, which is not in PATH.
fn is_there(linker: &OsStr, machine: &BuildMachine) -> bool {
    linker == "rust-lld" || machine.find(linker).is_some()
}

/// Returns whether rustc's default, `cc`, links programs for the target.
fn links_with_cc(target: &Target, libc: Libc, machine: &BuildMachine) -> bool {
    if machine.find("cc".as_ref()).is_none() {
        return false;
    }
    let (host, wanted) = (Machine::host(), target.machine());
    if host == wanted {
        let is_for_musl = || machine.ask("cc", &["-dumpmachine"]).is_some_and(|tuple| tuple.contains("musl"));
        return libc != Libc::Musl || is_for_musl();
    }
    // rustc passes -m32 to `cc` for these targets.
    if host.name() == "x86_64" && wanted.name() == "i686" {
        let found = machine.ask("cc", &["-m32", "-print-file-name=Scrt1.o"]);
        return found.is_some_and(|path| path.contains('/'));
    }
    let makes = machine.ask("cc", &["-dumpmachine"]).unwrap_or_default();
    Target::parse(&makes).is_ok_and(|makes| makes.machine() == wanted)
}

/// Returns whether a compiler is installed with the start files of programs. Fedora's cross compilers have no C
/// library.
fn has_libc(name: &str, machine: &BuildMachine) -> bool {
    // gcc prints the bare name of a file that it does not find (gcc(1)).
    machine.ask(name, &["-print-file-name=crt1.o"]).is_some_and(|path| path.contains('/'))
}

/// The names of cross compilers for the target; `None` if rustc's own linker for it is unknown here.
fn names(target: &Target, libc: Libc) -> Option<Vec<String>> {
    let (arch, abi) = (target.gnu_arch(), target.gnu_abi()?);
    let glibc = [
        // Debian, Fedora and Arch; crosstool-NG; Arm; openSUSE.
        format!("{arch}-linux-gnu{abi}-gcc"),
        format!("{arch}-unknown-linux-gnu{abi}-gcc"),
        format!("{arch}-none-linux-gnu{abi}-gcc"),
        format!("{arch}-suse-linux-gcc"),
    ];
    let musl = [
        // musl-cross-make; crosstool-NG; Alpine.
        format!("{arch}-linux-musl{abi}-gcc"),
        format!("{arch}-unknown-linux-musl{abi}-gcc"),
        format!("{arch}-alpine-linux-musl{abi}-gcc"),
    ];
    Some(match libc {
        Libc::Gnu => glibc.to_vec(),
        // The host's compiler with musl's files (musl-gcc, of musl itself).
        Libc::Musl if target.machine() == Machine::host() => [musl.as_slice(), &["musl-gcc".to_owned()]].concat(),
        Libc::Musl => musl.to_vec(),
        Libc::RustsMusl => [musl.as_slice(), &glibc].concat(),
    })
}

/// `CARGO_TARGET_<TRIPLE>_LINKER` (<https://doc.rust-lang.org/cargo/reference/config.html#targettriplelinker>).
pub(super) fn variable(target: &Target) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.triple().to_uppercase().replace(['-', '.'], "_"))
}

fn missing(target: &Target, names: &[String], libc: Libc, machine: &BuildMachine) -> Error {
    let triple = target.triple();
    let error = Error::failed(format!("there is no linker for {triple}"));
    let error = if target.machine() == Machine::host() && libc != Libc::Musl {
        error.detail("rustc calls `cc`, which is not in PATH")
    } else {
        let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let libc = if libc == Libc::Musl { " with glibc" } else { "" };
        let cc = machine.find("cc".as_ref()).map(|_| format!("`cc` links for {}{libc}, and ", Machine::host()));
        error.detail(format!("{}PATH lacks {list}", cc.unwrap_or_default()))
    };
    install(target, libc).explain(error, machine.distribution)
}

fn absent(target: &Target, linker: &OsStr, libc: Libc, machine: &BuildMachine) -> Error {
    let linker = linker.to_string_lossy();
    let message = format!("the linker `{linker}`, which is configured for {}, is not in PATH", target.triple());
    let error = Error::failed(message);
    let other = names(target, libc).unwrap_or_default().into_iter().find(|name| has_libc(name, machine));
    match other {
        Some(other) => error.help(format!("{} is here: export {}={other}", other, variable(target))),
        None => install(target, libc).explain(error, machine.distribution),
    }
}

/// The commands that install a linker for the target.
pub(super) fn install(target: &Target, libc: Libc) -> Install {
    if target.machine() == Machine::host() {
        let [debian, fedora, arch] = match libc {
            Libc::Musl => ["musl-tools", "musl-gcc", "musl"],
            Libc::Gnu | Libc::RustsMusl => ["gcc libc6-dev", "gcc", "gcc"],
        };
        return Install {
            debian: Some(format!("apt-get install {debian}")),
            fedora: Some(format!("dnf install {fedora}")),
            arch: Some(format!("pacman -S {arch}")),
            anywhere: None,
        };
    }
    // zig has a C library for each target; Fedora's cross compilers have none.
    let zig = "pip install cargo-zigbuild, then cargo rootfs --build-with zigbuild".to_owned();
    let rust_lld = match libc {
        Libc::RustsMusl => Some(format!("export {}=rust-lld (where all of it is Rust)", variable(target))),
        Libc::Gnu | Libc::Musl => None,
    };
    let anywhere = Some(rust_lld.unwrap_or(zig));
    let Some(abi) = target.gnu_abi().filter(|_| libc != Libc::Musl) else {
        return Install { anywhere, ..Install::default() };
    };
    let tuple = format!("{}-linux-gnu{abi}", target.gnu_arch());
    // Debian's package names have no underscores. The compiler only recommends the C library.
    let debian = target.debian().map(|debian| {
        let (gcc, libc) = (format!("gcc-{}", tuple.replace('_', "-")), format!("libc6-dev-{debian}-cross"));
        format!("apt-get install {gcc} {libc}")
    });
    // Arch's other cross compilers are in its user repository, which has no binary packages.
    let arch = target.is_cross_built_on_arch().then(|| format!("pacman -S {tuple}-gcc"));
    Install { debian, fedora: None, arch, anywhere }
}

/// The commands that install a C++ compiler for the target.
pub(super) fn install_for_cpp(target: &Target) -> Install {
    let of_c = install(target, Libc::Gnu);
    // Arch's gcc packages include C++.
    Install {
        debian: of_c.debian.map(|command| command.replace("gcc", "g++")),
        fedora: of_c.fedora.map(|command| command.replace("gcc", "gcc-c++")),
        ..of_c
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::super::machine::Distribution;
    use super::*;

    const ARM: &str = "aarch64-unknown-linux-gnu";

    /// Writes a compiler driver that makes programs for `makes`, with or without a C library.
    fn driver(folder: &Path, name: &str, makes: &str, libc: &str) {
        let script = format!(
            "#!/bin/sh\ncase $* in\n*-m32*) echo Scrt1.o;;\n-dumpmachine) echo {makes};;\n*crt1.o) echo {libc};;\nesac\n"
        );
        let path = folder.join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn chosen(triple: &str, configured: Option<&str>, libc: Libc, path: &Path) -> Linker {
        let machine = BuildMachine::with_path(Distribution::Debian, path);
        choose(&Target::parse(triple).unwrap(), configured.map(OsStr::new), libc, &machine)
    }

    /// A target other than the host's.
    fn foreign() -> (&'static str, &'static str) {
        match Machine::host().name().as_str() {
            "aarch64" => ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu-gcc"),
            _ => (ARM, "aarch64-linux-gnu-gcc"),
        }
    }

    #[test]
    fn a_known_compiler_that_is_not_configured_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let (target, gcc) = foreign();
        driver(path, "cc", "the-host", "/usr/lib/crt1.o");
        assert!(matches!(chosen(target, None, Libc::Gnu, path), Linker::Missing(_)));
        // Without a C library, as Fedora's, the compiler links nothing.
        driver(path, gcc, "it", "crt1.o");
        assert!(matches!(chosen(target, None, Libc::Gnu, path), Linker::Missing(_)));
        driver(path, gcc, "it", "/usr/lib/it/crt1.o");
        assert!(matches!(chosen(target, None, Libc::Gnu, path), Linker::Use(name) if name == gcc));
        // A static musl program links with Rust's files; a dynamic one needs those of musl.
        let musl = target.replace("gnu", "musl");
        assert!(matches!(chosen(&musl, None, Libc::RustsMusl, path), Linker::Use(name) if name == gcc));
        assert!(matches!(chosen(&musl, None, Libc::Musl, path), Linker::Missing(_)));
    }

    #[test]
    fn what_is_configured_is_left_alone_where_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let (target, gcc) = foreign();
        driver(path, gcc, "it", "/usr/lib/it/crt1.o");
        driver(path, "my-clang", "it", "crt1.o");
        assert!(matches!(chosen(target, Some("my-clang"), Libc::Gnu, path), Linker::Leave));
        assert!(matches!(chosen(target, Some("rust-lld"), Libc::Gnu, path), Linker::Leave));
        let Linker::Missing(error) = chosen(target, Some("nowhere-gcc"), Libc::Gnu, path) else { panic!() };
        assert!(error.message().contains("`nowhere-gcc`"), "{error}");
        assert!(error.help_line().unwrap().ends_with(&format!("_LINKER={gcc}")), "{error}");
    }

    #[test]
    fn a_cc_for_the_target_is_a_linker_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let (target, gcc) = foreign();
        driver(folder.path(), "cc", gcc.trim_end_matches("-gcc"), "/usr/lib/crt1.o");
        assert!(matches!(chosen(target, None, Libc::Gnu, folder.path()), Linker::Leave));
        let host = format!("{}-unknown-linux-gnu", Machine::host());
        assert!(matches!(chosen(&host, None, Libc::Gnu, folder.path()), Linker::Leave));
        let empty = tempfile::tempdir().unwrap();
        let Linker::Missing(error) = chosen(&host, None, Libc::Gnu, empty.path()) else { panic!() };
        assert_eq!(error.help_line(), Some("apt-get install gcc libc6-dev"));
    }

    #[test]
    fn commands_are_exact() {
        for (triple, debian, arch) in [
            (ARM, "gcc-aarch64-linux-gnu libc6-dev-arm64-cross", Some("aarch64-linux-gnu-gcc")),
            ("armv7-unknown-linux-gnueabihf", "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross", None),
            ("arm-unknown-linux-gnueabi", "gcc-arm-linux-gnueabi libc6-dev-armel-cross", None),
            (
                "riscv64gc-unknown-linux-gnu",
                "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross",
                Some("riscv64-linux-gnu-gcc"),
            ),
            ("powerpc64le-unknown-linux-gnu", "gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross", None),
            ("i686-unknown-linux-gnu", "gcc-i686-linux-gnu libc6-dev-i386-cross", None),
        ] {
            let target = Target::parse(triple).unwrap();
            if target.machine() == Machine::host() {
                continue;
            }
            let install = install(&target, Libc::Gnu);
            assert_eq!(install.debian.unwrap(), format!("apt-get install {debian}"));
            assert_eq!(install.arch, arch.map(|package| format!("pacman -S {package}")), "{triple}");
        }
        let arm = Target::parse("armv7-unknown-linux-gnueabihf").unwrap();
        assert_eq!(names(&arm, Libc::Musl).unwrap()[0], "arm-linux-musleabihf-gcc");
        assert_eq!(variable(&arm), "CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER");
        // rustc has its own linkers for these targets.
        assert_eq!(names(&Target::parse("aarch64-unknown-linux-ohos").unwrap(), Libc::Gnu), None);
    }
}
