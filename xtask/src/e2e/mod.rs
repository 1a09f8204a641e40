//! Runs `cargo rootfs` for real, and then its results: in a chroot, through qemu-user, in containers. Each scenario
//! works on a copy of a fixture in its own temporary directory; the checkout does not change.

pub(crate) mod arm64;
mod browser;
mod build_script;
mod cache;
pub(crate) mod chroot;
mod determinism;
mod dlopen;
mod engine;
mod enter;
mod guide;
mod hwcaps;
mod images;
mod inspect;
mod interrupt;
pub(crate) mod lab;
mod layout;
mod libraries;
mod metadata;
mod mirror;
mod musl;
mod native;
mod offline;
mod packages;
mod pipeline;
mod privileges;
mod provisioned;
mod proxy;
mod push;
mod readme;
pub(crate) mod registry;
mod report;
mod runtime;
mod sbom;
mod schemas;
mod stopped;
mod tarball;
mod ubuntu;
mod versions;
mod watch;
mod workspace;

use anyhow::{Result, ensure};

use crate::made;
use crate::stage::{self, Tier};
use lab::Lab;

pub(crate) use arm64::can_run as can_run_arm64;
pub(crate) use engine::ready;

/// A scenario's name, its first tier, and its function.
type Scenario = (&'static str, Tier, fn(&Lab) -> Result<()>);

const SCENARIOS: &[Scenario] = &[
    ("native: a chroot runs the program and its tools", Tier::Quick, native::chroot),
    ("native: one plan, several outputs", Tier::Quick, native::outputs),
    ("native: prebuilt binary, tools only, tree", Tier::Full, native::without_a_project),
    ("native: bad input", Tier::Full, native::bad_input),
    ("arm64: a program in C, and tools", Tier::Quick, arm64::without_rust),
    ("arm64: a chroot runs the cross-built program", Tier::Full, arm64::chroot),
    ("arm64: without a sysroot, or with the host's tools", Tier::Full, arm64::refused),
    ("sysroot: arm64 as typed", Tier::Full, provisioned::as_typed),
    ("sysroot: native, of another release", Tier::Full, provisioned::native),
    ("sysroot: linked with for another machine", Tier::Full, provisioned::linking),
    ("sysroot: tools that only the index of all files tells of", Tier::Full, provisioned::by_index),
    ("sysroot: packages that rules recommend", Tier::Full, provisioned::recommended),
    ("sysroot: the lock", Tier::Quick, provisioned::locked),
    ("sysroot: a bad mirror", Tier::Full, provisioned::bad_mirror),
    ("sysroot: a bad cache", Tier::Full, provisioned::bad_cache),
    ("sysroot: Ubuntu's two archives", Tier::Full, ubuntu::archives),
    ("sysroot: without the network", Tier::Full, offline::without_network),
    ("sysroot: a user without rights", Tier::Full, offline::unprivileged),
    ("sysroot: Ctrl-C, SIGTERM and kill -9 while one is made", Tier::Full, stopped::signals),
    ("arm64: built and laid out beside the native one", Tier::Full, arm64::beside_native),
    ("arm64: a linker that is not configured", Tier::Full, arm64::unconfigured_linker),
    ("arm64: zigbuild, for an old glibc", Tier::Full, arm64::zigbuild),
    ("docker: amd64", Tier::Quick, engine::docker_amd64),
    ("docker: arm64", Tier::Full, engine::docker_arm64),
    ("podman: both", Tier::Full, engine::podman),
    ("docker: a failed import leaves no image", Tier::Full, engine::failed_import),
    ("images: every reader has the same image", Tier::Full, images::every_reader),
    ("images: two architectures in one archive, one layout, one engine", Tier::Full, images::two_architectures),
    ("push: two architectures to a registry, and nothing twice", Tier::Full, push::two_architectures),
    ("push: tokens and TLS", Tier::Full, push::tokens_and_tls),
    ("push: through a proxy, and past it", Tier::Full, push::proxy),
    ("push: killed at any moment", Tier::Full, push::killed),
    ("verify and diff: images of a registry, of skopeo, and tampered with", Tier::Full, inspect::read_back),
    ("sbom: scanners, readers and validators agree", Tier::Full, sbom::scanners),
    ("sbom: licences with their texts", Tier::Full, sbom::licences),
    ("sbom: two releases, compared and proved", Tier::Full, sbom::releases),
    ("report: sums, clicks and keys in a browser", Tier::Full, report::in_a_browser),
    ("report: of the bench's large tools, and a picture", Tier::Full, report::of_many_tools),
    ("build script: a tar is embedded and run", Tier::Quick, build_script::embed),
    ("workspace: packages, binaries and folders", Tier::Quick, workspace::selection),
    ("libraries: made by a build script", Tier::Full, libraries::of_a_build_script),
    ("libraries: a Rust dylib and libstd", Tier::Full, libraries::of_rust),
    ("metadata: tools, files and environment", Tier::Quick, metadata::configured),
    ("determinism: umask, clock, locale, folder, user", Tier::Quick, determinism::same_bytes),
    ("determinism: SOURCE_DATE_EPOCH", Tier::Full, determinism::source_date_epoch),
    ("interrupt: Ctrl-C and kill -9 in the middle of a write", Tier::Quick, interrupt::signals),
    ("interrupt: an input changes while it is read", Tier::Full, interrupt::changed_input),
    ("interrupt: closed pipe", Tier::Full, interrupt::closed_pipe),
    ("interrupt: full disk", Tier::Full, interrupt::full_disk),
    ("musl: static and dynamic", Tier::Full, musl::programs),
    ("musl: a root of musl's own, as Alpine's", Tier::Full, musl::sysroot),
    ("musl: static-pie for aarch64", Tier::Full, musl::static_pie),
    ("cache: the real loader takes the generated ld.so.cache", Tier::Quick, cache::accepted),
    ("cache: libraries of --library-path", Tier::Full, cache::of_a_library_path),
    ("cache: aarch64's loader takes it as well", Tier::Full, cache::accepted_arm64),
    ("versions: what the real loader refuses is not written", Tier::Full, versions::as_the_loader),
    ("dlopen: libraries that notes name are opened", Tier::Quick, dlopen::noted),
    ("runtime: scripts, and names through alternatives", Tier::Quick, runtime::scripts),
    ("runtime: converters and terminals, by rules", Tier::Full, runtime::rules),
    ("hwcaps: each hardware takes what is for it", Tier::Quick, hwcaps::variants),
    ("packages: whole, and a tool's own", Tier::Quick, packages::whole_and_own),
    ("privileges: capabilities, setuid, setgid", Tier::Quick, privileges::kept_or_dropped),
    ("run: streams, exit status, /dev, and nothing left", Tier::Quick, enter::inside),
    ("run: binds and networks", Tier::Full, enter::outside_world),
    ("run: signals", Tier::Full, enter::signals),
    ("run: a shell on a terminal", Tier::Full, enter::terminal),
    ("run: arm64 through qemu-user", Tier::Full, enter::foreign),
    ("run: user namespaces are forbidden", Tier::Full, enter::forbidden),
    ("run: copies, in memory and on a disk", Tier::Full, enter::copies),
    ("run: in a container", Tier::Full, enter::container),
    ("check: what is missing, and the option that adds it", Tier::Quick, watch::check),
    ("trace: what a command uses, as metadata", Tier::Quick, watch::trace),
    ("trace: processes of all kinds", Tier::Full, watch::processes),
    ("check and trace: arm64 through qemu-user", Tier::Full, watch::foreign),
    ("pipelines: schemas and shellcheck", Tier::Full, pipeline::schemas),
    ("pipelines: GitHub, from a tag to a release", Tier::Full, pipeline::github),
    ("pipelines: GitHub, on native runners", Tier::Full, pipeline::native),
    ("pipelines: GitHub, bad input and a registry that goes down", Tier::Full, pipeline::bad_input),
    ("pipelines: GitHub, two runners at once", Tier::Full, pipeline::two_at_once),
    ("pipelines: GitLab, from a tag to a release", Tier::Full, pipeline::gitlab),
    ("pipelines: this project's release", Tier::Full, pipeline::release),
    ("pipelines: the reusable workflow", Tier::Full, pipeline::image),
    ("pipelines: the action", Tier::Full, pipeline::action),
    ("readme: from a clean clone", Tier::Full, readme::flow),
    ("guide: console blocks of all pages", Tier::Quick, guide::cheap),
    ("guide: console blocks with two architectures and registries", Tier::Full, guide::dear),
];

/// `cargo xtask e2e [--quick] [FILTER]`.
pub(crate) fn run(tier: Tier, filter: &str) -> Result<()> {
    let chosen = SCENARIOS.iter().filter(|(name, from, _)| name.contains(filter) && *from <= tier);
    let chosen: Vec<_> = chosen.collect();
    ensure!(!chosen.is_empty(), "no scenario's name has `{filter}` in it");
    let binary = &made::program(tier)?;
    let works = chosen.into_iter().map(|(name, _, scenario)| (*name, move || scenario(&Lab::new(binary)?)));
    stage::run("e2e", works.collect())
}
