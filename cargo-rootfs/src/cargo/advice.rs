//! After a failed build: whether what is missing is a target's standard library or a linker for it.
//!
//! Cargo has told the error by then. This asks what is installed, and does not read diagnostics.

use std::path::{Path, PathBuf};

use super::Toolchain;
use crate::plan::{Build, RootfsPlan};
use crate::target::{Machine, Target};

/// One thing to install, with the commands for rustup and for Debian.
pub(super) fn after_failure(build: &Build, plans: &[RootfsPlan], toolchain: &Toolchain) -> Option<String> {
    let builds_std = build.arguments.iter().any(|argument| argument.starts_with("build-std"));
    let configures_linker = build.arguments.iter().any(|argument| argument.contains("linker"));
    let standard_library = || {
        let missing = plans.iter().find(|plan| !builds_std && lacks_standard_library(plan, toolchain))?;
        Some(install_standard_library(&missing.target))
    };
    let linker = || {
        let missing = plans.iter().find(|plan| !configures_linker && lacks_linker(plan, toolchain))?;
        install_linker(&missing.target)
    };
    standard_library().or_else(linker)
}

/// Whether rustc would say: can't find crate for `core` (E0463).
fn lacks_standard_library(plan: &RootfsPlan, toolchain: &Toolchain) -> bool {
    let Some(target) = plan.cargo_target.as_deref() else { return false };
    let Some(folder) = toolchain.library_dir(target) else { return false };
    let Ok(entries) = std::fs::read_dir(folder) else { return true };
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    !names.any(|name| name.starts_with("libcore-"))
}

/// Whether rustc has to fall back to `cc` for another machine than this one, or its linker is not there.
fn lacks_linker(plan: &RootfsPlan, toolchain: &Toolchain) -> bool {
    match toolchain.linker(plan.target.triple()) {
        Some(linker) => !is_program(Path::new(&linker)),
        None => plan.target.machine() != Machine::host() || !is_program(Path::new("cc")),
    }
}

fn is_program(name: &Path) -> bool {
    if name.components().count() > 1 {
        return name.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder: PathBuf| folder.join(name)).any(|file| file.is_file())
}

fn install_standard_library(target: &Target) -> String {
    let rustup = format!("`rustup target add {}`", target.triple());
    match target.machine().debian() {
        Some(arch) => format!(
            "the standard library for {} is not installed: {rustup}, or with Debian's Rust \
             `dpkg --add-architecture {arch} && apt-get update && apt-get install libstd-rust-dev:{arch}`",
            target.triple()
        ),
        None => format!("the standard library for {} is not installed: {rustup}", target.triple()),
    }
}

fn install_linker(target: &Target) -> Option<String> {
    if target.machine() == Machine::host() {
        return Some("there is no C compiler to link with: `apt-get install gcc`".to_owned());
    }
    let gnu = gnu_triple(target)?;
    // Debian has no underscores in names of packages.
    let package = format!("gcc-{}", gnu.replace('_', "-"));
    let variable = format!("CARGO_TARGET_{}_LINKER", target.triple().to_uppercase().replace(['-', '.'], "_"));
    Some(format!(
        "there is no linker for {}: `apt-get install {package}`, then `export {variable}={gnu}-gcc`",
        target.triple()
    ))
}

/// How Debian names the cross compiler of an architecture (<https://wiki.debian.org/Multiarch/Tuples>).
fn gnu_triple(target: &Target) -> Option<&'static str> {
    Some(match target.machine().debian()? {
        "amd64" => "x86_64-linux-gnu",
        "arm64" => "aarch64-linux-gnu",
        "armhf" if target.triple().ends_with("eabi") => "arm-linux-gnueabi",
        "armhf" => "arm-linux-gnueabihf",
        "i386" => "i686-linux-gnu",
        "ppc64" => "powerpc64-linux-gnu",
        "ppc64el" => "powerpc64le-linux-gnu",
        "riscv64" => "riscv64-linux-gnu",
        "s390x" => "s390x-linux-gnu",
        "loong64" => "loongarch64-linux-gnu",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_exact() {
        let target = Target::parse("aarch64-unknown-linux-gnu").unwrap();
        let foreign = target.machine() != Machine::host();
        if foreign {
            assert_eq!(
                install_linker(&target).unwrap(),
                "there is no linker for aarch64-unknown-linux-gnu: `apt-get install gcc-aarch64-linux-gnu`, \
                 then `export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc`"
            );
        }
        assert!(install_standard_library(&target).contains("`rustup target add aarch64-unknown-linux-gnu`"));
        let arm = Target::parse("armv7-unknown-linux-gnueabihf").unwrap();
        assert_eq!(gnu_triple(&arm), Some("arm-linux-gnueabihf"));
    }
}
