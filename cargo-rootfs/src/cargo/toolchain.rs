//! What cargo's configuration and the compiler say about targets.
//!
//! Cargo reads its configuration again for itself; nothing found here is passed to it.

use std::ffi::OsString;
use std::path::Path;
use std::thread::JoinHandle;

use camino::Utf8PathBuf;
use cargo_config2::Config;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};

/// Cargo's configuration for the current folder, and the host's triple.
#[derive(Debug)]
pub(crate) struct Toolchain {
    config: Config,
    host: String,
}

/// A [`Toolchain`] that is being asked for while other work goes on.
pub(crate) struct Asked(JoinHandle<Result<Toolchain>>);

impl Toolchain {
    /// Starts to ask: it runs a program, which takes as long as `cargo metadata`.
    pub(crate) fn ask() -> Asked {
        Asked(std::thread::spawn(|| {
            let unreadable = |error| Error::failed("cannot read cargo's configuration").with_source(error);
            let config = Config::load().map_err(unreadable)?;
            let host = config
                .host_triple()
                .map_err(|error| Error::failed("cannot ask for the host's triple").with_source(error))?;
            Ok(Self { host: host.to_owned(), config })
        }))
    }

    /// As rustc names it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// What cargo builds for without `--target`: `--config`, CARGO_BUILD_TARGET, `build.target`, in this order.
    /// Empty where none of these is set.
    pub(crate) fn configured_targets(&self, overrides: &[String]) -> Result<Vec<String>> {
        for text in overrides.iter().rev() {
            if let Some(targets) = build_target_of(text)? {
                return Ok(targets);
            }
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

    /// The program that links for `target`, where one is configured.
    pub(crate) fn linker(&self, target: &str) -> Option<OsString> {
        if let Ok(Some(linker)) = self.config.linker(target) {
            return Some(linker.into_os_string());
        }
        let flags = self.config.rustflags(target).ok().flatten()?.flags;
        let value = |flag: &String| flag.split_once("linker=").map(|(_, linker)| OsString::from(linker));
        flags.iter().find_map(value)
    }

    /// Where rustc keeps the standard library of `target`, whether or not it is installed.
    pub(super) fn library_dir(&self, target: &str) -> Option<Utf8PathBuf> {
        let rustc = self.config.rustc();
        let arguments = ["--print", "target-libdir", "--target", target].map(OsString::from);
        // As a string: duct takes a path to be relative to the current folder, not to be looked up in PATH.
        let program = rustc.path.as_os_str().to_owned();
        let text = duct::cmd(program, rustc.args.iter().cloned().chain(arguments)).stderr_null().read().ok()?;
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

/// `build.target` of one `--config`, which is a file or TOML itself
/// (<https://doc.rust-lang.org/cargo/reference/config.html#command-line-overrides>).
fn build_target_of(text: &str) -> Result<Option<Vec<String>>> {
    let text = if Path::new(text).is_file() {
        std::fs::read_to_string(text).map_err(|error| Error::io("read", text, error))?
    } else {
        text.to_owned()
    };
    // What is wrong with it is cargo's to say.
    let Ok(table) = DeTable::parse(&text) else { return Ok(None) };
    let target = table.get_ref().get("build").and_then(|build| build.get_ref().get("target"));
    Ok(target.map(|target| match target.get_ref() {
        DeValue::Array(targets) => targets.iter().filter_map(|one| one.get_ref().as_str().map(str::to_owned)).collect(),
        one => one.as_str().map(str::to_owned).into_iter().collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_target_is_read_from_config_arguments() {
        for (text, targets) in [
            ("build.target='a-b-linux'", Some(vec!["a-b-linux"])),
            ("build = { target = ['a', 'b'] }", Some(vec!["a", "b"])),
            ("build.jobs=3", None),
            ("not toml at all", None),
        ] {
            let targets = targets.map(|targets| targets.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(build_target_of(text).unwrap(), targets, "{text}");
        }
    }
}
