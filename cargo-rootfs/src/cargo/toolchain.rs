//! Facts about targets, from cargo's configuration and the compiler.
//!
//! Cargo reads its configuration again itself; these facts are not passed to it. [`prepare`](super::prepare) reports
//! the missing requirements of a build.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};
use cargo_config2::Config;
use toml::de::{DeTable, DeValue};

use super::machine::BuildMachine;
use crate::error::{Error, Result};
use crate::target::{Machine, Target};
use crate::threads::Pending;
use crate::{host_files, programs};

/// Cargo's configuration for the current directory, and the host's triple.
#[derive(Debug)]
pub(crate) struct Toolchain {
    config: Config,
    /// The host's triple from rustc; queried only if a target may be the host.
    host: OnceCell<String>,
    /// True if rustc, and cargo with it, is a nightly; queried on demand.
    is_nightly: OnceCell<bool>,
    /// The directory of rustc's own files; queried only if a target may not be the host.
    sysroot: OnceCell<Option<Utf8PathBuf>>,
}

/// A query for a [`Toolchain`] that runs in the background.
pub(crate) struct Asked(io::Result<Pending<Result<Toolchain>>>);

impl Toolchain {
    /// Starts the query, which runs a program and takes at least as long as `cargo metadata`.
    ///
    /// `typed` are the targets of the command line. If rustc cannot run on any of their machines, nothing is queried in
    /// advance; otherwise one call queries everything.
    pub(crate) fn ask(typed: &[String]) -> Asked {
        let typed = typed.to_vec();
        let query = move || {
            let unreadable = |error| Error::failed("cannot read cargo's configuration").with_source(error);
            let config = Config::load().map_err(unreadable)?;
            let targets = config.build_target_for_cli(&typed).map_err(unreadable)?;
            let toolchain = Self::unasked(config);
            if !targets.is_empty() && targets.iter().all(|target| is_for_another_machine(target)) {
                return Ok(toolchain);
            }
            let rustc = Rustc::of(&toolchain.config);
            match (!targets.is_empty()).then(|| rustc.host_and_sysroot()).flatten() {
                Some((host, sysroot)) => Ok(Self { host: host.into(), sysroot: Some(sysroot).into(), ..toolchain }),
                None => toolchain.host().map(drop).map(|()| toolchain),
            }
        };
        Asked(Pending::start("toolchain", query))
    }

    /// Returns whether rustc has the standard library of `triple` in its own directory, as rustup and distributions
    /// install it. It does not run rustc; if it returns false, [`Self::sysroot`] may still name another directory.
    pub(super) fn has_std_beside_rustc(&self, triple: &str) -> bool {
        let program = Rustc::of(&self.config).program();
        program.as_deref().and_then(|rustc| rustc.parent()?.parent()).is_some_and(|folder| has_std(folder, triple))
    }

    /// The directory of rustc's own files, with the standard libraries.
    pub(super) fn sysroot(&self) -> Option<&Utf8Path> {
        self.sysroot.get_or_init(|| Rustc::of(&self.config).sysroot()).as_deref()
    }

    fn unasked(config: Config) -> Self {
        Self { config, host: OnceCell::new(), is_nightly: OnceCell::new(), sysroot: OnceCell::new() }
    }

    /// The triple of the host, from rustc.
    pub(crate) fn host(&self) -> Result<&str> {
        if let Some(host) = self.host.get() {
            return Ok(host);
        }
        let (host, is_nightly) = Rustc::of(&self.config).version()?;
        self.is_nightly.get_or_init(|| is_nightly);
        Ok(self.host.get_or_init(|| host))
    }

    /// Returns whether `triple` is a target other than the host.
    pub(super) fn is_foreign(&self, triple: &str) -> Result<bool> {
        Ok(is_for_another_machine(triple) || self.host()? != triple)
    }

    /// The targets that cargo builds for without `--target`: `--config`, CARGO_BUILD_TARGET, `build.target`, in this
    /// order. Empty if none is set.
    pub(crate) fn configured_targets(&self, overrides: &[String]) -> Result<Vec<String>> {
        if let Some(targets) = overrides.iter().rev().find_map(|text| strings_of(text, &["build", "target"])) {
            return Ok(targets);
        }
        let none: [&str; 0] = [];
        self.config
            .build_target_for_cli(none)
            .map_err(|error| Error::failed("cannot read `build.target` of cargo's configuration").with_source(error))
    }

    /// Returns whether cargo's configuration forbids the network (`net.offline`).
    pub(crate) fn is_offline(&self) -> bool {
        self.config.net.offline.unwrap_or(false)
    }

    /// The configured linker for `target`, in the order of cargo and rustc: `--config`, the environment, the files,
    /// rustc's flags.
    pub(crate) fn linker(&self, target: &str, overrides: &[String]) -> Option<OsString> {
        let typed = |text: &String| strings_of(text, &["target", target, "linker"])?.pop();
        if let Some(linker) = overrides.iter().rev().find_map(typed) {
            return Some(linker.into());
        }
        if let Ok(Some(linker)) = self.config.linker(target) {
            return Some(linker.into_os_string());
        }
        let flags = self.rustflags(target, overrides);
        flags.iter().find_map(|flag| flag.split_once("linker=").map(|(_, linker)| OsString::from(linker)))
    }

    /// The flags of rustc for `target`, from all sources.
    pub(super) fn rustflags(&self, target: &str, overrides: &[String]) -> Vec<String> {
        let configured = self.config.rustflags(target).ok().flatten().map(|flags| flags.flags).unwrap_or_default();
        let typed = |text: &String| {
            let of_target = strings_of(text, &["target", target, "rustflags"]);
            of_target.into_iter().chain(strings_of(text, &["build", "rustflags"])).flatten().collect::<Vec<_>>()
        };
        configured.into_iter().chain(overrides.iter().flat_map(typed)).collect()
    }

    /// Returns whether cargo accepts unstable options, and so may build the standard library itself.
    pub(super) fn is_unstable(&self) -> bool {
        let is_nightly = || Rustc::of(&self.config).version().is_ok_and(|(_, is_nightly)| is_nightly);
        std::env::var_os("RUSTC_BOOTSTRAP").is_some() || *self.is_nightly.get_or_init(is_nightly)
    }

    /// Returns whether build scripts get this variable: from cargo's table `env`, or from the environment
    /// (<https://doc.rust-lang.org/cargo/reference/config.html#env>).
    pub(super) fn sets(&self, variable: &str) -> bool {
        self.config.env.contains_key(variable) || std::env::var_os(variable).is_some()
    }

    /// The directory of the standard library of `target`, installed or not.
    pub(super) fn library_dir(&self, target: &str) -> Option<Utf8PathBuf> {
        Rustc::of(&self.config).print(&["target-libdir", "--target", target])
    }

    /// All targets that rustc knows without a specification; empty if rustc does not print them.
    pub(super) fn targets(&self) -> Vec<String> {
        Rustc::of(&self.config).targets().unwrap_or_default()
    }
}

/// The compiler, with its configured wrapper.
struct Rustc(Vec<OsString>);

impl Rustc {
    fn of(config: &Config) -> Self {
        let rustc = config.rustc();
        let variable = std::env::var_os;
        let chosen = match (variable("RUSTUP_HOME"), variable("RUSTUP_TOOLCHAIN"), variable("PATH")) {
            (Some(home), Some(toolchain), Some(path)) => {
                behind_proxy(rustc.path.as_os_str(), &path, &PathBuf::from(home).join("toolchains").join(toolchain))
            }
            _ => None,
        };
        // As a string: duct would take a path relative to the current directory, and not search PATH.
        let program = chosen.unwrap_or_else(|| rustc.path.clone()).into_os_string();
        Self([program].into_iter().chain(rustc.args.iter().cloned()).collect())
    }

    /// The compiler's file, without wrappers and symlinks; `None` if it is missing.
    fn program(&self) -> Option<PathBuf> {
        host_files::real(&BuildMachine::this().find(self.0.last()?)?).ok()
    }

    /// The host's triple, with true for a nightly. `cargo -vV` prints both too, but takes longer: it runs programs to
    /// find the distribution's name.
    fn version(&self) -> Result<(String, bool)> {
        let cannot = || Error::failed("cannot ask rustc for the host's triple");
        let (program, before) = self.0.split_first().ok_or_else(cannot)?;
        let arguments = before.iter().cloned().chain([OsString::from("-vV")]);
        let said = duct::cmd(program, arguments)
            .stderr_null()
            .read()
            .map_err(|error| cannot().detail(format!("`{} -vV`", program.to_string_lossy())).with_source(error))?;
        host_and_channel(&said).ok_or_else(cannot)
    }

    fn sysroot(&self) -> Option<Utf8PathBuf> {
        self.print(&["sysroot"])
    }

    /// Both in one call. `None` before Rust 1.84, which does not print `host-tuple`.
    fn host_and_sysroot(&self) -> Option<(String, Utf8PathBuf)> {
        let said = self.print(&["host-tuple", "--print", "sysroot"])?;
        let (host, sysroot) = said.as_str().split_once('\n')?;
        Some((host.trim_end().to_owned(), Utf8PathBuf::from(sysroot)))
    }

    /// All targets that rustc knows.
    fn targets(&self) -> Option<Vec<String>> {
        let said = self.print(&["target-list"])?;
        Some(said.as_str().lines().map(|line| line.trim().to_owned()).collect())
    }

    /// A path that rustc prints.
    fn print(&self, what: &[&str]) -> Option<Utf8PathBuf> {
        let (program, before) = self.0.split_first()?;
        let arguments = ["--print"].iter().chain(what).map(OsString::from);
        let text = duct::cmd(program, before.iter().cloned().chain(arguments)).stderr_null().read().ok()?;
        Some(Utf8PathBuf::from(text.trim()))
    }
}

/// The program `name` of a toolchain, if the one in `path` is rustup's proxy for it. Rustup passes its choice of a
/// toolchain on to cargo and its subcommands, and the proxy would take as long as the compiler to find it again; cargo
/// does without the proxy as well.
fn behind_proxy(name: &OsStr, path: &OsStr, toolchain: &Path) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    let file = |name: &OsStr| host_files::metadata(&programs::find(name, path)?).ok();
    let (proxy, rustup) = (file(name)?, file("rustup".as_ref())?);
    let is_proxy = (proxy.dev(), proxy.ino()) == (rustup.dev(), rustup.ino());
    let program = toolchain.join("bin").join(name);
    (is_proxy && program.is_file()).then_some(program)
}

impl Asked {
    /// Waits for the answer.
    pub(crate) fn answer(self) -> Result<Toolchain> {
        let failed = |error| Error::failed("cannot start a thread to ask rustc").with_source(error);
        self.0.map_err(failed)?.result()
    }
}

/// Returns whether this target's machine cannot run the same rustc as the host.
fn is_for_another_machine(triple: &str) -> bool {
    Target::parse(triple).is_ok_and(|target| !target.machine().is_kin(Machine::host()))
}

/// `lib/rustlib/<triple>/lib` below rustc's sysroot (`rustc --print target-libdir`).
pub(super) fn has_std(sysroot: impl AsRef<Path>, triple: &str) -> bool {
    let folder = sysroot.as_ref().join("lib/rustlib").join(triple).join("lib");
    let names = host_files::names(&folder).ok().unwrap_or_default();
    names.iter().any(|name| name.to_string_lossy().starts_with("libcore-"))
}

/// Parses the output of `rustc -vV`.
fn host_and_channel(said: &str) -> Option<(String, bool)> {
    let value = |name| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let release = value("release")?;
    Some((value("host")?.to_owned(), release.ends_with("-nightly") || release.ends_with("-dev")))
}

/// The string, or the list of strings, at `path` in one `--config`: a file, or TOML itself
/// (<https://doc.rust-lang.org/cargo/reference/config.html#command-line-overrides>).
fn strings_of(text: &str, path: &[&str]) -> Option<Vec<String>> {
    let text = if Path::new(text).is_file() { host_files::text(text).ok()? } else { text.to_owned() };
    // Cargo reports errors in it.
    let table = DeTable::parse(&text).ok()?;
    let (last, folders) = path.split_last()?;
    let mut within = table.get_ref();
    for name in folders {
        within = within.get(*name)?.get_ref().as_table()?;
    }
    Some(match within.get(*last)?.get_ref() {
        DeValue::Array(all) => all.iter().filter_map(|one| one.get_ref().as_str().map(str::to_owned)).collect(),
        one => one.as_str().map(str::to_owned).into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use cargo_config2::ResolveOptions;

    use super::*;

    #[test]
    fn the_host_and_the_channel_are_rustcs() {
        let said = |release: &str| {
            format!("rustc {release}\nbinary: rustc\nhost: a-b-linux-gnu\nrelease: {release}\nLLVM version: 19\n")
        };
        assert_eq!(host_and_channel(&said("1.85.0")), Some(("a-b-linux-gnu".to_owned(), false)));
        assert_eq!(host_and_channel(&said("1.98.0-beta.2")), Some(("a-b-linux-gnu".to_owned(), false)));
        assert_eq!(host_and_channel(&said("1.98.0-nightly")), Some(("a-b-linux-gnu".to_owned(), true)));
        assert_eq!(host_and_channel("something else"), None);
    }

    #[test]
    fn rustc_is_not_asked_what_the_architecture_tells() {
        let host = Target::host();
        let (near, far) = match host.machine().debian() {
            Some("amd64") => ("i686-unknown-linux-gnu", "aarch64-unknown-linux-gnu"),
            Some("arm64") => ("armv7-unknown-linux-gnueabihf", "x86_64-unknown-linux-gnu"),
            _ => (host.triple(), "x86_64-unknown-linux-gnu"),
        };
        for asked in [host.triple(), near, "host-tuple", "board.json"] {
            assert!(!is_for_another_machine(asked), "{asked}");
        }
        assert!(is_for_another_machine(far) && is_for_another_machine(&format!("{far}.2.17")));

        let config =
            Config::load_with_options("/", ResolveOptions::default().env([("RUSTC", "/no/such/rustc")])).unwrap();
        let toolchain = Toolchain::unasked(config);
        assert!(toolchain.is_foreign(far).unwrap());
        assert!(toolchain.is_foreign(host.triple()).is_err(), "it must be asked");
    }

    /// An empty program at `path`.
    fn program(path: &Path) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path.to_owned()
    }

    #[test]
    fn a_standard_library_is_found_beside_rustc_and_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str| program(&folder.path().join(path));
        let rustc = make("toolchain/bin/rustc");
        make("toolchain/lib/rustlib/a-b-linux/lib/libcore-0123.rlib");
        let link = folder.path().join("rustc");
        std::os::unix::fs::symlink(rustc, &link).unwrap();
        let config = Config::load_with_options("/", ResolveOptions::default().env([("RUSTC", &link)])).unwrap();
        let toolchain = Toolchain::unasked(config);
        assert!(toolchain.has_std_beside_rustc("a-b-linux") && !toolchain.has_std_beside_rustc("b-c-linux"));
    }

    #[test]
    fn rustc_is_called_without_rustups_proxy() {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str| program(&folder.path().join(path));
        let rustup = make("rustup/rustup");
        std::fs::hard_link(rustup, folder.path().join("rustup/rustc")).unwrap();
        make("distribution/rustc");
        let (rustc, toolchain) = (make("toolchains/stable/bin/rustc"), folder.path().join("toolchains/stable"));
        let path = |names: &[&str]| std::env::join_paths(names.iter().map(|name| folder.path().join(name))).unwrap();
        let name = OsStr::new("rustc");
        assert_eq!(behind_proxy(name, &path(&["rustup", "distribution"]), &toolchain), Some(rustc.clone()));
        assert_eq!(behind_proxy(name, &path(&["distribution", "rustup"]), &toolchain), None, "another rustc is first");
        assert_eq!(behind_proxy(name, &path(&["distribution"]), &toolchain), None, "rustup is not there");
        assert_eq!(behind_proxy(name, &path(&["rustup"]), &folder.path().join("toolchains/beta")), None);
        assert_eq!(behind_proxy(rustc.as_os_str(), &path(&["rustup"]), &toolchain), None, "a path is a choice");
    }

    #[test]
    fn config_arguments_are_read() {
        let linker = strings_of("target.a-b-linux.linker = 'b-gcc'", &["target", "a-b-linux", "linker"]);
        assert_eq!(linker, Some(vec!["b-gcc".to_owned()]));
        for (text, targets) in [
            ("build.target='a-b-linux'", Some(vec!["a-b-linux"])),
            ("build = { target = ['a', 'b'] }", Some(vec!["a", "b"])),
            ("build.jobs=3", None),
            ("not toml at all", None),
        ] {
            let targets = targets.map(|targets| targets.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(strings_of(text, &["build", "target"]), targets, "{text}");
        }
    }
}
