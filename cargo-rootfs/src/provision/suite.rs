//! Distributions and their suites, as `--sysroot` names them, and their rows in `templates/policy/suites.toml`.
//!
//! It uses no network: apt finds out whether the mirror has a suite.

use std::fmt;
use std::sync::OnceLock;

use crate::distro::OsRelease;
use crate::error::{Error, Result};
use crate::rows::{Datum, Fields, Value, embedded, table, text, texts, value};
use crate::target::Machine;
use crate::wording::nearest;

/// A distribution whose packages apt can fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Distribution {
    Debian,
    Ubuntu,
}

/// A suite, such as `debian:bookworm`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Suite {
    pub(crate) distribution: Distribution,
    /// Its code name, in lower case.
    pub(crate) name: String,
}

/// One line of a distribution's sources: a mirror, and the pockets of a suite on it.
pub(super) struct DefaultSource {
    pub(super) mirror: &'static str,
    /// The suffixes of the suite's name.
    pub(super) pockets: Vec<&'static str>,
    /// The end of the host names of its mirrors; a complete name if it does not begin with a dot.
    domain: Option<&'static str>,
    /// Empty for all architectures that no other mirror has.
    architectures: Vec<&'static str>,
}

/// The packages of every sysroot.
pub(super) fn base() -> Vec<&'static str> {
    texts(data(), "base")
}

/// The rows of all distributions.
fn data() -> &'static Fields {
    static DATA: OnceLock<Fields> = OnceLock::new();
    DATA.get_or_init(|| embedded(include_str!("../../templates/policy/suites.toml")))
}

impl Distribution {
    const ALL: [Self; 2] = [Self::Debian, Self::Ubuntu];

    /// The ID of os-release(5), which is also the part of `--sysroot` before the colon.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
        }
    }

    pub(crate) fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.id() == id)
    }

    fn row(self) -> &'static Fields {
        table(data(), self.id()).expect("each distribution has its table, which a test reads")
    }

    /// The path of its archive keys, and the package that installs them.
    pub(super) fn keyring(self) -> (&'static str, &'static str) {
        let of = |key| text(self.row(), key).unwrap_or_default();
        (of("keyring"), of("keyring-package"))
    }

    /// The components of its own archives; other components belong to third parties.
    pub(super) fn components(self) -> Vec<&'static str> {
        texts(self.row(), "components")
    }

    /// The components with free software only.
    pub(super) fn free_components(self) -> Vec<&'static str> {
        texts(self.row(), "free")
    }

    fn sources(self) -> Vec<DefaultSource> {
        let Some(Value::List(items)) = value(self.row(), "source") else { return Vec::new() };
        let source = |item: &'static Datum| {
            let Value::Table(fields) = &item.value else { return None };
            let (pockets, architectures) = (texts(fields, "pockets"), texts(fields, "architectures"));
            Some(DefaultSource {
                mirror: text(fields, "mirror")?,
                pockets,
                domain: text(fields, "domain"),
                architectures,
            })
        };
        items.iter().filter_map(source).collect()
    }

    /// The public mirrors, for a host without configured ones.
    pub(super) fn default_sources(self, suite: &str, machine: Machine) -> Vec<DefaultSource> {
        let mut sources = self.sources();
        let is_for = |source: &DefaultSource| machine.debian().is_some_and(|arch| source.architectures.contains(&arch));
        let is_named = sources.iter().any(is_for);
        sources.retain(|source| if is_named { is_for(source) } else { source.architectures.is_empty() });
        if is_rolling(suite) {
            sources.iter_mut().for_each(|source| source.pockets.retain(|pocket| pocket.is_empty()));
            sources.retain(|source| !source.pockets.is_empty());
        }
        sources
    }

    /// The mirror with `machine`, if `mirror` is the public one for other machines.
    pub(super) fn mirror_for(self, mirror: &str, machine: Machine) -> Option<&'static str> {
        let host = mirror.split_once("://")?.1.split('/').next()?;
        let is_of = |domain: &str| host == domain || (domain.starts_with('.') && host.ends_with(domain));
        let sources = self.sources().into_iter().filter(|source| source.domain.is_some_and(is_of));
        let its = sources.max_by_key(|source| source.domain.map(str::len))?;
        let wanted = self.default_sources("", machine).into_iter().next()?;
        (wanted.mirror != its.mirror).then_some(wanted.mirror)
    }

    /// Code names of some years, for suggestions only: a mirror may have others.
    fn code_names(self) -> Vec<&'static str> {
        texts(self.row(), "suites")
    }

    /// Names that move from suite to suite, such as the newest one and the next one.
    pub(super) fn aliases(self) -> Vec<&'static str> {
        texts(self.row(), "moving")
    }
}

/// Suites that are never released, and so have no pocket of updates.
pub(super) fn is_rolling(suite: &str) -> bool {
    Distribution::ALL.into_iter().any(|distribution| texts(distribution.row(), "rolling").contains(&suite))
}

impl Suite {
    /// Parses `DISTRO:SUITE`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let known: Vec<_> = Distribution::ALL.iter().map(|it| it.id()).collect();
        let Some((distribution, name)) = text.split_once(':') else {
            return Err(Error::usage(format!("`{text}` is not a sysroot: a directory is written with a slash"))
                .help(format!("--sysroot ./{text}")));
        };
        let distribution = Distribution::of_id(distribution).ok_or_else(|| {
            Error::usage(format!("`{text}` is not a sysroot: the distribution `{distribution}` is not known"))
                .detail(format!("known are {}", known.join(" and ")))
                .help("extract its packages to a directory, and pass --sysroot DIR")
        })?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(Error::usage(format!("`{text}` is not a sysroot: `{name}` is not the name of a suite"))
                .help("as debian:bookworm or ubuntu:noble"));
        }
        Ok(Self { distribution, name: name.to_owned() })
    }

    /// The most similar known suite, of this distribution or another, if the name is unknown.
    pub(super) fn near(&self) -> Option<Self> {
        let others = Distribution::ALL.into_iter().filter(|other| *other != self.distribution);
        let mut exactly = others.filter(|other| other.code_names().contains(&self.name.as_str()));
        if let Some(distribution) = exactly.next() {
            return Some(Self { distribution, name: self.name.clone() });
        }
        let own = self.distribution.code_names().into_iter().chain(self.distribution.aliases());
        let near = nearest(&self.name, own).filter(|near| *near != self.name)?;
        Some(Self { distribution: self.distribution, name: near.to_owned() })
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.distribution.id(), self.name)
    }
}

/// The suite of an installed system.
pub(super) fn of_os_release(system: &OsRelease) -> Option<Suite> {
    let suite = |distribution, key| Some(Suite { distribution, name: system.value(key)?.to_owned() });
    match Distribution::of_id(system.ids().next()?) {
        Some(distribution) => suite(distribution, "VERSION_CODENAME"),
        // Derivatives that name their Ubuntu suite have its mirrors among their sources.
        None if system.ids().any(|id| id == Distribution::Ubuntu.id()) => {
            suite(Distribution::Ubuntu, "UBUNTU_CODENAME")
        }
        None => suite(Distribution::Debian, "DEBIAN_CODENAME"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_that_no_mirror_has_may_be_another() {
        for (text, near) in [
            ("debian:bookwrom", Some("debian:bookworm")),
            ("debian:noble", Some("ubuntu:noble")),
            ("ubuntu:trixie", Some("debian:trixie")),
            ("debian:stabel", Some("debian:stable")),
            // This suite exists, but the mirror has it no more.
            ("debian:buster", None),
            ("ubuntu:zzzzzz", None),
        ] {
            assert_eq!(Suite::parse(text).unwrap().near().map(|it| it.to_string()).as_deref(), near, "{text}");
        }
    }

    #[test]
    fn suites_are_written_with_their_distribution() {
        let suite = Suite::parse("debian:bookworm").unwrap();
        assert_eq!((suite.distribution, suite.name.as_str()), (Distribution::Debian, "bookworm"));
        assert_eq!(Suite::parse("ubuntu:noble").unwrap().to_string(), "ubuntu:noble");
        for text in ["debian", "debian:", "fedora:41", "debian:../x", "debian:a b", "", ":", "Debian:bookworm"] {
            assert_eq!(Suite::parse(text).unwrap_err().exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn a_host_is_known_by_its_os_release() {
        for (text, suite) in [
            ("ID=debian\nVERSION_CODENAME=bookworm\n", Some("debian:bookworm")),
            ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", Some("ubuntu:noble")),
            (
                "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble",
                Some("ubuntu:noble"),
            ),
            ("ID=linuxmint\nID_LIKE=debian\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm", Some("debian:bookworm")),
            ("ID=fedora\nVERSION_CODENAME=\"\"\n", None),
            ("ID=debian\n", None),
            ("", None),
        ] {
            assert_eq!(of_os_release(&OsRelease::new(text)).map(|suite| suite.to_string()).as_deref(), suite, "{text}");
        }
    }

    #[test]
    fn ubuntu_has_two_archives() {
        let machine = |triple| crate::target::Target::parse(triple).unwrap().machine();
        let (arm, intel) = (machine("aarch64-unknown-linux-gnu"), machine("x86_64-unknown-linux-gnu"));
        let ubuntu = Distribution::Ubuntu;
        assert_eq!(
            ubuntu.mirror_for("http://de.archive.ubuntu.com/ubuntu", arm),
            Some("http://ports.ubuntu.com/ubuntu-ports")
        );
        assert_eq!(
            ubuntu.mirror_for("http://ports.ubuntu.com/ubuntu-ports/", intel),
            Some("http://archive.ubuntu.com/ubuntu")
        );
        assert_eq!(ubuntu.mirror_for("http://archive.ubuntu.com/ubuntu", intel), None);
        assert_eq!(ubuntu.mirror_for("https://mirror.example/ubuntu", arm), None);
        assert_eq!(Distribution::Debian.mirror_for("http://deb.debian.org/debian", arm), None);
    }
}
