//! Properties of this machine, and the paths of the project's own files. It installs nothing; `setup` does.

use std::env;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

/// The workspace's root.
pub(crate) fn repo() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Cargo's target directory, according to `CARGO_TARGET_DIR`.
pub(crate) fn target_dir() -> Utf8PathBuf {
    match env::var("CARGO_TARGET_DIR") {
        Ok(dir) if !dir.is_empty() => repo().join(dir),
        _ => repo().join("target"),
    }
}

/// The directory of the tasks' downloads and made files.
pub(crate) fn cache_dir() -> Utf8PathBuf {
    target_dir().join("xtask")
}

/// A Debian arm64 root for cross packages, made by `setup`.
pub(crate) fn sysroot_arm64() -> Utf8PathBuf {
    cache_dir().join("sysroot-arm64")
}

/// A Debian root with the tools of the table, made by `setup`.
pub(crate) fn sysroot_tools() -> Utf8PathBuf {
    cache_dir().join("sysroot-tools")
}

/// The same for arm64, with some of the tools, and packages that were only extracted.
pub(crate) fn sysroot_tools_arm64() -> Utf8PathBuf {
    cache_dir().join("sysroot-tools-arm64")
}

/// A Debian root of more than a thousand packages, made by the first sample.
pub(crate) fn sysroot_sample() -> Utf8PathBuf {
    cache_dir().join("sysroot-installed")
}

/// The product's cache for the tests. It outlives them, so that packages are fetched once.
pub(crate) fn packages() -> Utf8PathBuf {
    cache_dir().join("packages")
}

/// The version of elfpak that the tasks compare with.
pub(crate) const ELFPAK: &str = "0.5.6";

/// That elfpak, installed by `setup --all`.
pub(crate) fn elfpak() -> Utf8PathBuf {
    cache_dir().join(format!("elfpak-{ELFPAK}/bin/elfpak"))
}

/// A Python environment with cargo-zigbuild and zig, made by `setup`.
pub(crate) fn zigbuild() -> Utf8PathBuf {
    cache_dir().join("zigbuild")
}

/// A Python environment with check-jsonschema and shellcheck, made by `setup --all`.
pub(crate) fn schemas() -> Utf8PathBuf {
    cache_dir().join("schemas")
}

/// A Python environment with syft and validators of bills of materials, made by `setup --all`.
pub(crate) fn scanners() -> Utf8PathBuf {
    cache_dir().join("scanners")
}

/// A directory of commands with cargo-auditable and rust-audit-info, installed by `setup --all`.
pub(crate) fn auditable() -> Utf8PathBuf {
    cache_dir().join("auditable/bin")
}

/// Returns whether this is CI, where a missing tool is a failure; on a laptop it is a printed skip.
pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Returns whether this process is root, as chroot, mounts and `apt-get` require.
pub(crate) fn is_root() -> bool {
    // proc(5): the owner of /proc/self is the effective user of the process.
    fs_err::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Returns whether `tool` is a command here. System directories are searched even if a user's PATH lacks them.
pub(crate) fn has(tool: &str) -> bool {
    find(tool).is_some()
}

/// The path of the command `tool`.
pub(crate) fn find(tool: &str) -> Option<Utf8PathBuf> {
    let path = env::var("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin"];
    path.split(':').chain(system).map(|dir| Utf8Path::new(dir).join(tool)).find(|file| file.is_file())
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// `rust-version` of the workspace, such as `1.85`.
pub(crate) fn rust_version() -> Result<String> {
    let path = repo().join("Cargo.toml");
    let manifest = fs_err::read_to_string(&path)?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    Ok(line.with_context(|| format!("no rust-version in {path}"))?.trim_matches('"').to_owned())
}
