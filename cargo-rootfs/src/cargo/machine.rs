//! The machine that builds: its distribution, and the programs in its PATH.
//!
//! It answers whether a program is installed, and which command installs it. Callers know the requirements of a build.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::distro::OsRelease;
use crate::error::Error;
use crate::programs;

/// The distribution whose packages are installed here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Distribution {
    Debian,
    Fedora,
    Arch,
    #[default]
    Unknown,
}

/// The machine, real or as a test sets it.
#[derive(Debug, Default)]
pub(super) struct BuildMachine {
    pub(super) distribution: Distribution,
    path: OsString,
}

/// The commands that install one thing: one for each distribution that has it, and one for all others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Install {
    pub(super) debian: Option<String>,
    pub(super) fedora: Option<String>,
    pub(super) arch: Option<String>,
    pub(super) anywhere: Option<String>,
}

impl BuildMachine {
    /// The machine that runs this program.
    pub(super) fn this() -> Self {
        Self { distribution: distribution(&OsRelease::host()), path: programs::path() }
    }

    #[cfg(test)]
    pub(super) fn with_path(distribution: Distribution, path: impl Into<OsString>) -> Self {
        Self { distribution, path: path.into() }
    }

    /// Finds the program of this name in PATH; a path stays unchanged.
    pub(super) fn find(&self, name: &OsStr) -> Option<PathBuf> {
        programs::find(name, &self.path)
    }

    /// Runs a compiler driver, which takes some milliseconds, and returns its output; `None` if it fails.
    pub(super) fn ask(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let program = self.find(program.as_ref())?;
        let answer = duct::cmd(program, arguments).stdin_null().stderr_null().read().ok()?;
        Some(answer.trim().to_owned())
    }
}

/// The distribution by its ID, or by the first known entry of ID_LIKE.
fn distribution(system: &OsRelease) -> Distribution {
    let known = |word| match word {
        "debian" | "ubuntu" => Some(Distribution::Debian),
        "fedora" | "rhel" | "centos" => Some(Distribution::Fedora),
        "arch" | "archlinux" => Some(Distribution::Arch),
        _ => None,
    };
    system.ids().filter_map(known).next().unwrap_or(Distribution::Unknown)
}

impl Install {
    /// The command for one distribution.
    fn on(&self, distribution: Distribution) -> Option<&String> {
        match distribution {
            Distribution::Debian => self.debian.as_ref(),
            Distribution::Fedora => self.fedora.as_ref(),
            Distribution::Arch => self.arch.as_ref(),
            Distribution::Unknown => None,
        }
    }

    /// Adds the command for this distribution as help; for an unknown distribution, all commands.
    pub(super) fn explain(&self, mut error: Error, distribution: Distribution) -> Error {
        if let Some(command) = self.on(distribution) {
            return error.help(command);
        }
        if distribution == Distribution::Unknown {
            let each = [("Debian", &self.debian), ("Fedora", &self.fedora), ("Arch", &self.arch)];
            for (name, command) in each {
                if let Some(command) = command {
                    error = error.detail(format!("{name:<6} {command}"));
                }
            }
        }
        error.help_if(self.anywhere.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn distributions_are_known_by_what_they_are_like() {
        for (text, expected) in [
            ("ID=debian\nVERSION_ID=\"12\"\n", Distribution::Debian),
            ("NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Distribution::Debian),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Distribution::Fedora),
            ("ID=manjaro\nID_LIKE=arch\n", Distribution::Arch),
            ("ID='alpine'\n", Distribution::Unknown),
            ("BUILD_ID=debian\n", Distribution::Unknown),
            ("", Distribution::Unknown),
        ] {
            assert_eq!(distribution(&OsRelease::new(text)), expected, "{text}");
        }
    }

    #[test]
    fn where_the_distribution_is_not_known_all_commands_are_told() {
        let text = |text: &str| Some(text.to_owned());
        let install = Install { debian: text("d"), fedora: None, arch: text("a"), anywhere: text("w") };
        let told = |distribution| {
            let error = install.explain(Error::failed("no x"), distribution);
            (error.details().to_vec(), error.help_line().map(str::to_owned))
        };
        assert_eq!(told(Distribution::Debian), (vec![], text("d")));
        assert_eq!(told(Distribution::Fedora), (vec![], text("w")));
        let all = vec!["Debian d".to_owned(), "Arch   a".to_owned()];
        assert_eq!(told(Distribution::Unknown), (all, text("w")));
    }

    #[test]
    fn a_program_is_a_file_that_can_be_executed() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("gcc", 0o755), ("notes", 0o644)] {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        std::fs::create_dir(folder.path().join("cc")).unwrap();
        let machine = BuildMachine::with_path(Distribution::Unknown, folder.path());
        let found = |name: &str| machine.find(name.as_ref()).is_some();
        assert_eq!([found("gcc"), found("notes"), found("cc"), found("absent")], [true, false, false, false]);
        assert!(found(folder.path().join("gcc").to_str().unwrap()));
    }
}
