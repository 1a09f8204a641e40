//! Checks the requirements of a build for another machine before the build: the standard library, a linker,
//! pkg-config's files.
//!
//! A certain lack ends the run at once, and not after minutes of building. The build itself reports a likely one.

use std::ffi::{OsStr, OsString};

use camino::{Utf8Path, Utf8PathBuf};

use super::linker::{self, Libc, Linker};
use super::machine::{BuildMachine, Distribution, Install};
use super::pkg_config::{self, From};
use super::toolchain::has_std;
use super::{Toolchain, driver};
use crate::error::{Error, Result};
use crate::host_files;
use crate::options::{Auditable, BuildWith};
use crate::plan::{Build, RootfsPlan};
use crate::target::{Target, triple_like};
use crate::wording::{did_you_mean, nearest};

/// The variables for one build, and messages about them.
#[derive(Debug, Default)]
pub(crate) struct Preparation {
    pub(crate) variables: Vec<(String, OsString)>,
    /// One line for each thing that is used without being configured.
    pub(crate) notes: Vec<String>,
    /// One line of advice.
    pub(crate) hint: Option<&'static str>,
    is_auditable: bool,
    /// The configured or found linkers, by triple.
    linkers: Vec<(String, OsString)>,
    machine: BuildMachine,
    /// True if a dependency uses pkg-config; computed on demand.
    asks_pkg_config: Option<bool>,
}

/// Finds each target's tools on the host. Fails with everything that is missing.
pub(crate) fn prepare(build: &Build, plans: &[RootfsPlan], toolchain: &Toolchain) -> Result<Preparation> {
    let (preparation, errors) = look(build, plans, toolchain)?;
    Error::all(errors).map(|()| preparation)
}

/// Prepares a run without a build: missing tools are no error.
pub(crate) fn without_build(build: &Build, plans: &[RootfsPlan], toolchain: &Toolchain) -> Result<Preparation> {
    look(build, plans, toolchain).map(|(preparation, _)| preparation)
}

fn look(build: &Build, plans: &[RootfsPlan], toolchain: &Toolchain) -> Result<(Preparation, Vec<Error>)> {
    let mut preparation = Preparation::default();
    let machine = BuildMachine::this();
    let mut errors = Vec::new();
    let overrides = build.overrides();
    if build.with == BuildWith::Zigbuild {
        errors.extend(without_zigbuild(&machine));
    }
    errors.extend(preparation.audit(build, &machine));
    for plan in plans {
        let target = &plan.target;
        let triple = target.triple();
        // rustc itself reads the linker of a target specification.
        if plan.cargo_target.as_deref().is_some_and(|name| Utf8Path::new(name).extension() == Some("json")) {
            continue;
        }
        let flags = toolchain.rustflags(triple, &overrides);
        let lacking = if toolchain.is_foreign(triple)? { without_std(target, toolchain, &machine) } else { None };
        if let Some(error) = lacking.filter(|_| !may_have_its_own_std(build, &flags, toolchain)) {
            // An unknown target has no standard library and no linker to install.
            if let Some(unknown) = unknown_target(triple, &toolchain.targets()) {
                errors.push(unknown);
                continue;
            }
            errors.push(error);
        }
        let configured = toolchain.linker(triple, &overrides);
        if build.with == BuildWith::Cargo {
            match linker::choose(target, configured.as_deref(), libc(triple, &flags), &machine) {
                Linker::Leave => preparation.linkers.extend(configured.map(|linker| (triple.to_owned(), linker))),
                Linker::Use(linker) => {
                    preparation.linkers.push((triple.to_owned(), linker.clone().into()));
                    preparation.notes.push(format!("{linker} to link for {triple}, as nothing else is configured"));
                    preparation.variables.push((linker::variable(target), linker.into()));
                }
                Linker::Missing(error) => errors.push(error),
            }
        }
    }
    preparation.machine = machine;
    Ok((preparation, errors))
}

impl Preparation {
    /// The arguments of cargo, its command first.
    pub(crate) fn arguments(&self, build: &Build) -> Vec<String> {
        let auditable = self.is_auditable.then(|| "auditable".to_owned());
        auditable.into_iter().chain(build.arguments.iter().cloned()).collect()
    }

    /// Decides whether to call cargo-auditable, which embeds the list of crates into the binaries.
    fn audit(&mut self, build: &Build, machine: &BuildMachine) -> Option<Error> {
        // cargo-auditable replaces a configured wrapper, so `auto` does not call it then.
        let is_free = std::env::var_os("RUSTC_WORKSPACE_WRAPPER").is_none();
        match build.auditable {
            Auditable::Never => {}
            Auditable::Auto if !is_free => {}
            _ if has_command("cargo-auditable", machine) => self.is_auditable = true,
            Auditable::Auto => {
                self.hint =
                    Some("scanners see the crates of the binary with cargo-auditable: cargo install cargo-auditable")
                        .filter(|_| build.is_written);
            }
            Auditable::Always => {
                return Some(
                    Error::failed("cargo-auditable, which `--auditable always` calls, is not in PATH")
                        .help("cargo install --locked cargo-auditable"),
                );
            }
        }
        None
    }

    /// The program that links for a target, if known.
    pub(crate) fn linker(&self, triple: &str) -> Option<&OsStr> {
        self.linkers.iter().find(|(of, _)| of == triple).map(|(_, linker)| linker.as_os_str())
    }

    /// Makes the build link with the libraries of the target's sysroot, if it has files for linking, and points
    /// pkg-config to them, if a dependency uses pkg-config.
    pub(crate) fn add_libraries(
        &mut self,
        build: &Build,
        target: &Target,
        sysroot: &Utf8Path,
        toolchain: &Toolchain,
    ) -> Result<()> {
        let triple = target.triple();
        if !toolchain.is_foreign(triple)? {
            return Ok(());
        }
        let sysroot = absolute(sysroot);
        let is_set = |name: &str| toolchain.sets(name);
        let asks = *self.asks_pkg_config.get_or_insert_with(|| asks_pkg_config(build));
        let found = asks.then(|| pkg_config::configure(target, &sysroot, is_set, &self.machine)).flatten();
        let from = found.map(|found| {
            self.variables.extend(found.variables.into_iter().map(|(name, value)| (name, value.into())));
            found.from
        });
        if let Some(From::Host(from)) = &from {
            self.notes.push(format!("the libraries that {from} has for {triple}"));
        }
        // Also without pkg-config: the linker needs only a name (`#[link]`).
        if from == Some(From::Sysroot) || sysroot.parent().is_some() && driver::links(target, &sysroot) {
            let why =
                if from == Some(From::Sysroot) { "a dependency asks pkg-config" } else { "it has libraries to link" };
            self.notes.push(format!("{sysroot} to build for {triple}: {why}"));
            self.compile_with(build, target, &sysroot, toolchain)?;
        }
        Ok(())
    }

    /// Compiles C and links programs with the headers and libraries of the sysroot.
    fn compile_with(
        &mut self,
        build: &Build,
        target: &Target,
        sysroot: &Utf8Path,
        toolchain: &Toolchain,
    ) -> Result<()> {
        let Some(linker) = self.linker(target.triple()) else { return Ok(()) };
        // The directory is beside the default outputs.
        let folder = build.target_directory.join("rootfs/linker");
        let Some(driver) = driver::write(target, linker, sysroot, &folder, &self.machine)? else { return Ok(()) };
        self.set(linker::variable(target), driver.path.into());
        let underscored = target.triple().replace('-', "_");
        let is_set = |flags: &str| pkg_config::names(flags, target.triple()).iter().any(|name| toolchain.sets(name));
        // The crate cmake looks for the same variables as the crate cc.
        if !is_set("CMAKE_TOOLCHAIN_FILE") {
            self.set(format!("CMAKE_TOOLCHAIN_FILE_{underscored}"), driver.cmake.into());
        }
        // For programs that call the compiler by its name: a toolchain file of cmake, a cross file of meson.
        if let Some(programs) = &driver.programs {
            let known = self.variables.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
            let path = known.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
            if let Some(path) = driver::path_with(programs, &path) {
                self.set("PATH".to_owned(), path);
            }
        }
        for flags in ["CFLAGS", "CXXFLAGS"] {
            // The crate cc takes the most specific of these
            // (<https://docs.rs/cc/latest/cc/#external-configuration-via-environment-variables>).
            if !is_set(flags) && !driver.compile.is_empty() {
                self.set(format!("{flags}_{underscored}"), driver.compile.clone().into());
            }
        }
        Ok(())
    }

    fn set(&mut self, name: String, value: OsString) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value));
    }
}

/// Returns whether the standard library may come from a place other than rustc's own directory.
fn may_have_its_own_std(build: &Build, flags: &[String], toolchain: &Toolchain) -> bool {
    build.arguments.iter().any(|argument| argument.contains("build-std"))
        || flags.iter().any(|flag| flag.starts_with("--sysroot"))
        || toolchain.is_unstable()
}

/// The C library whose files the linker needs.
fn libc(triple: &str, flags: &[String]) -> Libc {
    // The last flag counts, as in rustc. Rust's own musl is for static programs only
    // (<https://doc.rust-lang.org/reference/linkage.html#static-and-dynamic-c-runtimes>).
    let last = flags.iter().rev().find(|flag| flag.contains("crt-static"));
    match last {
        _ if !triple.contains("musl") => Libc::Gnu,
        Some(flag) if flag.contains("-crt-static") => Libc::Musl,
        _ => Libc::RustsMusl,
    }
}

fn asks_pkg_config(build: &Build) -> bool {
    let lock = host_files::text(&build.workspace_root.join("Cargo.lock")).ok();
    pkg_config::is_asked(lock.as_deref())
}

fn absolute(folder: &Utf8Path) -> Utf8PathBuf {
    let real = host_files::real(folder).ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    real.unwrap_or_else(|| folder.to_owned())
}

/// The error for a target without a standard library in rustc's directory; rustc would report E0463.
fn without_std(target: &Target, toolchain: &Toolchain, machine: &BuildMachine) -> Option<Error> {
    if toolchain.has_std_beside_rustc(target.triple()) {
        return None;
    }
    let sysroot = toolchain.sysroot()?;
    if has_std(sysroot, target.triple()) {
        return None;
    }
    let in_usr = Utf8Path::new("/usr");
    let others = sysroot != in_usr && has_std(in_usr, target.triple());
    let rustc = others.then(|| machine.find("/usr/bin/rustc".as_ref())).flatten();
    Some(missing_std(target, sysroot, rustc.is_some(), toolchain.host().ok()?, machine))
}

/// The error for a target that rustc does not know.
fn unknown_target(triple: &str, known: &[String]) -> Option<Error> {
    // A name alone may refer to a target specification (`rustc --print target-spec-json`).
    if known.is_empty() || known.iter().any(|it| it == triple) || std::env::var_os("RUST_TARGET_PATH").is_some() {
        return None;
    }
    let near = nearest(triple, known.iter().map(String::as_str)).map(str::to_owned);
    let meant = near.or_else(|| triple_like(triple).filter(|it| known.contains(it)));
    let error = Error::usage(format!("rustc has no target `{triple}`"));
    Some(match meant {
        Some(meant) => error.help(did_you_mean(meant)),
        None => error.help("to list the targets: rustc --print target-list"),
    })
}

fn missing_std(target: &Target, sysroot: &Utf8Path, usr_has_it: bool, host: &str, machine: &BuildMachine) -> Error {
    let triple = target.triple();
    let error = Error::failed(format!("the standard library for {triple} is not installed"));
    let error = error.detail(format!("rustc's is in {sysroot}"));
    let is_rustups = sysroot.parent().is_some_and(|folder| folder.file_name() == Some("toolchains"));
    let toolchain = sysroot.file_name().filter(|name| is_rustups && *name != format!("stable-{host}"));
    let named = toolchain.map(|name| format!("--toolchain {name} ")).unwrap_or_default();
    let rustup = format!("rustup target add {named}{triple}");
    if usr_has_it {
        return error
            .detail(format!("/usr/bin/rustc has it; or {rustup}"))
            .help("RUSTC=/usr/bin/rustc cargo rootfs ...");
    }
    // A distribution's standard library works with its own rustc only.
    let install = match sysroot.as_str() {
        "/usr" => Install { anywhere: Some(rustup), ..packaged_std(target) },
        _ => Install { anywhere: Some(rustup), ..Install::default() },
    };
    install.explain(error, machine.distribution)
}

/// The distributions' packages with the standard library: Debian's belongs to the target's architecture, Arch's to the
/// host's.
fn packaged_std(target: &Target) -> Install {
    let triple = target.triple();
    let debian = target.debian().filter(|_| !triple.contains("musl"));
    Install {
        debian: debian.map(|arch| {
            format!("dpkg --add-architecture {arch} && apt-get update && apt-get install libstd-rust-dev:{arch}")
        }),
        arch: target.std_on_arch().map(|package| format!("pacman -S {package}")),
        ..Install::default()
    }
}

/// Returns whether cargo finds the program of a subcommand: in PATH, or in cargo's own `bin`.
fn has_command(program: &str, machine: &BuildMachine) -> bool {
    let in_home = super::cargo_home().map(|home| home.join("bin").join(program));
    machine.find(program.as_ref()).is_some() || in_home.is_some_and(|file| machine.find(file.as_os_str()).is_some())
}

/// The error for a missing `cargo zigbuild`.
fn without_zigbuild(machine: &BuildMachine) -> Option<Error> {
    if has_command("cargo-zigbuild", machine) {
        return None;
    }
    let error = Error::failed("cargo-zigbuild, which `--build-with zigbuild` calls, is not in PATH");
    let error = if machine.distribution == Distribution::Unknown {
        error
    } else {
        // PEP 668: pip does not change a distribution's own Python.
        error.detail("pip brings zig with it; where pip refuses, in an environment: python3 -m venv ~/zig && . ~/zig/bin/activate")
    };
    Some(error.help("pip install cargo-zigbuild (or: cargo install --locked cargo-zigbuild && pip install ziglang)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM: &str = "aarch64-unknown-linux-gnu";
    const HOST: &str = "x86_64-unknown-linux-gnu";

    fn explained(triple: &str, sysroot: &str, usr_has_it: bool, distribution: Distribution) -> String {
        let machine = BuildMachine::with_path(distribution, "");
        missing_std(&Target::parse(triple).unwrap(), sysroot.into(), usr_has_it, HOST, &machine).to_string()
    }

    #[test]
    fn the_standard_library_is_installed_by_whoever_brought_rustc() {
        let rustups = "/home/me/.rustup/toolchains/stable-x86_64-unknown-linux-gnu";
        for distribution in [Distribution::Debian, Distribution::Unknown] {
            assert_eq!(
                explained(ARM, rustups, false, distribution),
                format!(
                    "the standard library for {ARM} is not installed\n  rustc's is in {rustups}\n  \
                     help: rustup target add {ARM}"
                )
            );
        }
        let nightly =
            explained(ARM, "/r/toolchains/nightly-2025-01-01-x86_64-unknown-linux-gnu", false, Distribution::Arch);
        assert!(nightly.ends_with(&format!("add --toolchain nightly-2025-01-01-{HOST} {ARM}")), "{nightly}");
        let debian = explained(ARM, "/usr", false, Distribution::Debian);
        assert!(debian.ends_with("apt-get install libstd-rust-dev:arm64"), "{debian}");
        let arch = explained("x86_64-unknown-linux-musl", "/usr", false, Distribution::Arch);
        assert!(arch.ends_with("help: pacman -S rust-musl"), "{arch}");
        // Debian has none for musl, and Fedora has none for other machines.
        let musl = explained("x86_64-unknown-linux-musl", "/usr", false, Distribution::Debian);
        assert!(musl.ends_with("help: rustup target add x86_64-unknown-linux-musl"), "{musl}");
        let unknown = explained(ARM, "/usr", false, Distribution::Unknown);
        assert!(unknown.contains("\n  Debian dpkg --add-arch") && unknown.contains("\n  Arch   pacman"), "{unknown}");
    }

    #[test]
    fn a_target_that_rustc_has_not_has_a_near_one() {
        let known: Vec<String> =
            [ARM, HOST, "x86_64-unknown-linux-musl", "armv7-unknown-linux-gnueabihf"].map(str::to_owned).into();
        for (triple, help) in [
            ("aarch64-linux-gnu", "did you mean `aarch64-unknown-linux-gnu`?"),
            ("aarch64-unknown-linux", "did you mean `aarch64-unknown-linux-gnu`?"),
            ("x86_64-unknown-linux-msul", "did you mean `x86_64-unknown-linux-musl`?"),
            ("arm-linux-gnueabihf", "did you mean `armv7-unknown-linux-gnueabihf`?"),
            ("riscv64-linux", "to list the targets: rustc --print target-list"),
        ] {
            let told = unknown_target(triple, &known).unwrap();
            assert_eq!(told.to_string(), format!("rustc has no target `{triple}`\n  help: {help}"));
            assert_eq!(told.exit_code(), 2);
        }
        assert!(unknown_target(ARM, &known).is_none() && unknown_target("x", &[]).is_none());
    }

    #[test]
    fn debians_rustc_is_named_where_it_has_what_rustups_lacks() {
        let text = explained(ARM, "/r/toolchains/stable-x86_64-unknown-linux-gnu", true, Distribution::Debian);
        assert!(text.ends_with("help: RUSTC=/usr/bin/rustc cargo rootfs ..."), "{text}");
        assert!(text.contains("or rustup target add"), "{text}");
    }

    #[test]
    fn a_standard_library_is_a_libcore_in_rustcs_folder() {
        let folder = tempfile::tempdir().unwrap();
        let sysroot = Utf8Path::from_path(folder.path()).unwrap();
        assert!(!has_std(sysroot, ARM));
        let lib = sysroot.join("lib/rustlib").join(ARM).join("lib");
        std::fs::create_dir_all(&lib).unwrap();
        assert!(!has_std(sysroot, ARM));
        std::fs::write(lib.join("libcore-0123.rlib"), "").unwrap();
        assert!(has_std(sysroot, ARM));
    }

    #[test]
    fn rusts_own_musl_is_for_static_programs() {
        let musl = "x86_64-unknown-linux-musl";
        let flags = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(libc(HOST, &flags("-C target-feature=+crt-static")), Libc::Gnu);
        assert_eq!(libc(musl, &flags("-C opt-level=3")), Libc::RustsMusl);
        assert_eq!(libc(musl, &flags("-C target-feature=-crt-static")), Libc::Musl);
        assert_eq!(libc(musl, &flags("-Ctarget-feature=-crt-static -Ctarget-feature=+crt-static")), Libc::RustsMusl);
    }
}
