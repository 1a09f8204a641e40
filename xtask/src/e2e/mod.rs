//! Runs `cargo rootfs` for real, and then runs what it made: in a chroot, through qemu-user, in containers.
//! Each scenario works in a temporary folder of its own on a copy of a fixture; the checkout stays as it is.

pub(crate) mod arm64;
mod build_script;
mod cache;
pub(crate) mod chroot;
mod determinism;
mod dlopen;
mod engine;
mod enter;
mod hwcaps;
mod interrupt;
pub(crate) mod lab;
mod libraries;
mod metadata;
mod mirror;
mod musl;
mod native;
mod offline;
mod packages;
mod privileges;
mod provisioned;
mod readme;
mod runtime;
mod stopped;
mod tarball;
mod ubuntu;
mod versions;
mod watch;
mod workspace;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::made;
use crate::stage::Score;
use lab::Lab;

pub(crate) use arm64::can_run as can_run_arm64;
pub(crate) use engine::ready;

/// A scenario's name, the seconds it may take, and what it does.
type Scenario = (&'static str, u64, fn(&Lab) -> Result<()>);

const SCENARIOS: &[Scenario] = &[
    ("native: a chroot runs the program and its tools", 15, native::chroot),
    ("native: one plan, several outputs", 15, native::outputs),
    ("native: prebuilt binary, tools only, tree", 15, native::without_a_project),
    ("native: bad input", 15, native::bad_input),
    ("arm64: a chroot runs the cross-built program", 20, arm64::chroot),
    ("arm64: without a sysroot, or with the host's tools", 10, arm64::refused),
    ("sysroot: arm64 as typed", 90, provisioned::as_typed),
    ("sysroot: native, of another release", 60, provisioned::native),
    ("sysroot: tools that only the index of all files tells of", 120, provisioned::by_index),
    ("sysroot: packages that rules recommend", 60, provisioned::recommended),
    ("sysroot: the lock", 60, provisioned::locked),
    ("sysroot: a bad mirror", 40, provisioned::bad_mirror),
    ("sysroot: a bad cache", 90, provisioned::bad_cache),
    ("sysroot: Ubuntu's two archives", 40, ubuntu::archives),
    ("sysroot: without the network", 45, offline::without_network),
    ("sysroot: a user without rights", 45, offline::unprivileged),
    ("sysroot: Ctrl-C, SIGTERM and kill -9 while one is made", 40, stopped::signals),
    ("arm64: built and laid out beside the native one", 25, arm64::beside_native),
    ("arm64: a linker that is not configured", 20, arm64::unconfigured_linker),
    ("arm64: zigbuild, for an old glibc", 60, arm64::zigbuild),
    ("docker: amd64", 30, engine::docker_amd64),
    ("docker: arm64", 30, engine::docker_arm64),
    ("podman: both", 45, engine::podman),
    ("docker: a failed import leaves no image", 15, engine::failed_import),
    ("build script: a tar is embedded and run", 60, build_script::embed),
    ("workspace: packages, binaries and folders", 30, workspace::selection),
    ("libraries: made by a build script", 15, libraries::of_a_build_script),
    ("libraries: a Rust dylib and libstd", 15, libraries::of_rust),
    ("metadata: tools, files and environment", 15, metadata::configured),
    ("determinism: umask, clock, locale, folder, user", 20, determinism::same_bytes),
    ("determinism: SOURCE_DATE_EPOCH", 10, determinism::source_date_epoch),
    ("interrupt: Ctrl-C and kill -9 in the middle of a write", 30, interrupt::signals),
    ("interrupt: an input changes while it is read", 40, interrupt::changed_input),
    ("interrupt: closed pipe", 5, interrupt::closed_pipe),
    ("interrupt: full disk", 10, interrupt::full_disk),
    ("musl: static and dynamic", 10, musl::programs),
    ("musl: a root of musl's own, as Alpine's", 10, musl::sysroot),
    ("musl: static-pie for aarch64", 10, musl::static_pie),
    ("cache: the real loader takes the generated ld.so.cache", 10, cache::accepted),
    ("cache: libraries of --library-path", 10, cache::of_a_library_path),
    ("cache: aarch64's loader takes it as well", 40, cache::accepted_arm64),
    ("versions: what the real loader refuses is not written", 10, versions::as_the_loader),
    ("dlopen: libraries that notes name are opened", 15, dlopen::noted),
    ("runtime: scripts, and names through alternatives", 10, runtime::scripts),
    ("runtime: converters and terminals, by rules", 10, runtime::rules),
    ("hwcaps: each hardware takes what is for it", 20, hwcaps::variants),
    ("packages: whole, and a tool's own", 15, packages::whole_and_own),
    ("privileges: capabilities, setuid, setgid", 10, privileges::kept_or_dropped),
    ("run: streams, exit status, /dev, and nothing left", 10, enter::inside),
    ("run: binds and networks", 5, enter::outside_world),
    ("run: signals", 5, enter::signals),
    ("run: a shell on a terminal", 10, enter::terminal),
    ("run: arm64 through qemu-user", 10, enter::foreign),
    ("run: user namespaces are forbidden", 5, enter::forbidden),
    ("run: copies, in memory and on a disk", 10, enter::copies),
    ("run: in a container", 15, enter::container),
    ("check: what is missing, and the option that adds it", 30, watch::check),
    ("trace: what a command uses, as metadata", 40, watch::trace),
    ("trace: processes of all kinds", 20, watch::processes),
    ("check and trace: arm64 through qemu-user", 20, watch::foreign),
    ("readme: from a clean clone", 90, readme::flow),
];

/// `cargo xtask e2e [FILTER]`.
pub(crate) fn run(filter: &str) -> Result<()> {
    let chosen: Vec<_> = SCENARIOS.iter().filter(|(name, ..)| name.contains(filter)).collect();
    ensure!(!chosen.is_empty(), "no scenario's name has `{filter}` in it");
    let binary = made::program()?;
    let mut score = Score::new("e2e: ");
    for (name, seconds, scenario) in chosen {
        score.stage(name, Duration::from_secs(*seconds), || scenario(&Lab::new(&binary)?));
    }
    score.close()
}
