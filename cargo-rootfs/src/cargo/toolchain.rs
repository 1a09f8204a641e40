//! What cargo's configuration and the compiler say about targets.
//!
//! Cargo reads its configuration again for itself; nothing found here is passed to it.
//! What is missing for a build is said by [`prepare`](super::prepare).

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::Path;
use std::thread::JoinHandle;

use camino::{Utf8Path, Utf8PathBuf};
use cargo_config2::Config;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};

/// Cargo's configuration for the current folder, and the host's triple.
#[derive(Debug)]
pub(crate) struct Toolchain {
    config: Config,
    host: String,
    /// Whether rustc, and cargo with it, is a nightly; asked for where that matters.
    is_nightly: OnceCell<bool>,
    /// Where rustc keeps what it comes with; asked for where there may be another target than the host.
    sysroot: OnceCell<Option<Utf8PathBuf>>,
}

/// A [`Toolchain`] that is being asked for while other work goes on.
pub(crate) struct Asked(JoinHandle<Result<Toolchain>>);

impl Toolchain {
    /// Starts to ask: it runs a program, which takes as long as `cargo metadata`.
    ///
    /// `typed` are the targets of the command line: where there are any, it asks in the same breath for what is needed
    /// where one is not the host.
    pub(crate) fn ask(typed: &[String]) -> Asked {
        let is_typed = !typed.is_empty();
        Asked(std::thread::spawn(move || {
            let unreadable = |error| Error::failed("cannot read cargo's configuration").with_source(error);
            let config = Config::load().map_err(unreadable)?;
            let rustc = Rustc::of(&config);
            let is_question = is_typed || config.build.target.is_some();
            if let Some((host, sysroot)) = is_question.then(|| rustc.host_and_sysroot()).flatten() {
                return Ok(Self { host, is_nightly: OnceCell::new(), config, sysroot: Some(sysroot).into() });
            }
            let (host, is_nightly) = rustc.version()?;
            Ok(Self { host, is_nightly: is_nightly.into(), config, sysroot: OnceCell::new() })
        }))
    }

    /// Where rustc keeps what it comes with, the standard libraries among it.
    pub(super) fn sysroot(&self) -> Option<&Utf8Path> {
        self.sysroot.get_or_init(|| Rustc::of(&self.config).sysroot()).as_deref()
    }

    /// As rustc names it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// What cargo builds for without `--target`: `--config`, CARGO_BUILD_TARGET, `build.target`, in this order.
    /// Empty where none of these is set.
    pub(crate) fn configured_targets(&self, overrides: &[String]) -> Result<Vec<String>> {
        if let Some(targets) = overrides.iter().rev().find_map(|text| strings_of(text, &["build", "target"])) {
            return Ok(targets);
        }
        let none: [&str; 0] = [];
        self.config
            .build_target_for_cli(none)
            .map_err(|error| Error::failed("cannot read `build.target` of cargo's configuration").with_source(error))
    }

    /// Whether cargo is configured to do without the network (`net.offline`).
    pub(crate) fn is_offline(&self) -> bool {
        self.config.net.offline.unwrap_or(false)
    }

    /// The program that links for `target`, where one is configured: `--config`, the environment, the files, and last
    /// the flags of rustc, as cargo and rustc read them.
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

    /// The flags that rustc gets for `target`, from wherever they are set.
    pub(super) fn rustflags(&self, target: &str, overrides: &[String]) -> Vec<String> {
        let configured = self.config.rustflags(target).ok().flatten().map(|flags| flags.flags).unwrap_or_default();
        let typed = |text: &String| {
            let of_target = strings_of(text, &["target", target, "rustflags"]);
            of_target.into_iter().chain(strings_of(text, &["build", "rustflags"])).flatten().collect::<Vec<_>>()
        };
        configured.into_iter().chain(overrides.iter().flat_map(typed)).collect()
    }

    /// Whether cargo takes unstable options (and so may build the standard library itself).
    pub(super) fn is_unstable(&self) -> bool {
        let is_nightly = || Rustc::of(&self.config).version().is_ok_and(|(_, is_nightly)| is_nightly);
        std::env::var_os("RUSTC_BOOTSTRAP").is_some() || *self.is_nightly.get_or_init(is_nightly)
    }

    /// A variable that build scripts get: cargo's table `env`, or this program's environment
    /// (<https://doc.rust-lang.org/cargo/reference/config.html#env>).
    pub(super) fn sets(&self, variable: &str) -> bool {
        self.config.env.contains_key(variable) || std::env::var_os(variable).is_some()
    }

    /// Where rustc keeps the standard library of `target`, whether or not it is installed.
    pub(super) fn library_dir(&self, target: &str) -> Option<Utf8PathBuf> {
        Rustc::of(&self.config).print(&["target-libdir", "--target", target])
    }
}

/// The compiler, with the wrapper that is configured.
struct Rustc(Vec<OsString>);

impl Rustc {
    fn of(config: &Config) -> Self {
        let rustc = config.rustc();
        // As a string: duct takes a path to be relative to the current folder, not to be looked up in PATH.
        Self([rustc.path.as_os_str().to_owned()].into_iter().chain(rustc.args.iter().cloned()).collect())
    }

    /// The host, and whether it is a nightly. Cargo knows both as well, but looks for the name of the distribution
    /// before it says so, by programs that take longer than all the rest (`cargo -vV`).
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

    /// Both by one call. `None` before Rust 1.84, which does not print `host-tuple`.
    fn host_and_sysroot(&self) -> Option<(String, Utf8PathBuf)> {
        let said = self.print(&["host-tuple", "--print", "sysroot"])?;
        let (host, sysroot) = said.as_str().split_once('\n')?;
        Some((host.trim_end().to_owned(), Utf8PathBuf::from(sysroot)))
    }

    /// A path that it prints.
    fn print(&self, what: &[&str]) -> Option<Utf8PathBuf> {
        let (program, before) = self.0.split_first()?;
        let arguments = ["--print"].iter().chain(what).map(OsString::from);
        let text = duct::cmd(program, before.iter().cloned().chain(arguments)).stderr_null().read().ok()?;
        Some(Utf8PathBuf::from(text.trim()))
    }
}

impl Asked {
    /// Waits for the answer.
    pub(crate) fn answer(self) -> Result<Toolchain> {
        match self.0.join() {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Of what `rustc -vV` prints.
fn host_and_channel(said: &str) -> Option<(String, bool)> {
    let value = |name| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let release = value("release")?;
    Some((value("host")?.to_owned(), release.ends_with("-nightly") || release.ends_with("-dev")))
}

/// The string, or the list of strings, at `path` in one `--config`, which is a file or TOML itself
/// (<https://doc.rust-lang.org/cargo/reference/config.html#command-line-overrides>).
fn strings_of(text: &str, path: &[&str]) -> Option<Vec<String>> {
    let text = if Path::new(text).is_file() { std::fs::read_to_string(text).ok()? } else { text.to_owned() };
    // What is wrong with it is cargo's to say.
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
